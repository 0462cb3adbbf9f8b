"""The rules of the house, each a function from one source file to its complaints.

What ruff, mypy and import-linter can say is said there. Each complaint names the line, what is wrong and what to use
instead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator

from helpers.source import CORE, ROOMS, Source

Rule = Callable[[Source], Iterable[str]]

FILE_LINES = 400
FUNCTION_LINES = 60
COLLECTORS = "collectors/joulebook_collectors/"
LEDGER = "ledger/joulebook_ledger/"

# What core may import: modules that compute, and nothing that reads a clock, a file, the network or the environment.
PURE_MODULES = {
    "__future__",
    "base64",
    "binascii",
    "bisect",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "string",
    "struct",
    "types",
    "typing",
    "unicodedata",
    "zlib",
}
# Where floats may be worked with inside core: scores, shares and ratios are no amounts.
FLOAT_FILES = {f"{CORE}events.py", f"{CORE}quality.py", f"{CORE}frontier.py"}
# Where the wall clock is read; everything else takes `now` as an argument.
CLOCKS: set[str] = {f"{COLLECTORS}host/clock.py", f"{LEDGER}local.py", "joulebook/wiring.py"}
# Where a broad except stands, how often, and why.
BROAD_EXCEPTS: dict[str, tuple[int, str]] = {
    "api/joulebook_api/problems.py": (1, "the last handler: what no other one took is logged and answered with 500"),
    f"{LEDGER}duties/rounds.py": (1, "a job that fails is written down and tried again, and the others are done"),
    f"{COLLECTORS}host/guard.py": (
        1,
        "measuring never raises into the job: what goes wrong is said once, and the job goes on",
    ),
}

# What may be imported from the other rooms; a longer name also allows what lies in it.
ALLOWED_ROOMS = {
    CORE: ("joulebook_ledger.core",),
    f"{LEDGER}store/": ("joulebook_ledger.core", "joulebook_ledger.store"),
    LEDGER: ("joulebook_ledger",),
    COLLECTORS: (
        "joulebook_collectors",
        "joulebook_ledger.core",
        "joulebook_ledger.settings",
        "joulebook_ledger.ledger",
        "joulebook_ledger.client",
    ),
    "api/joulebook_api/": ("joulebook_api", "joulebook_ledger"),
    "joulebook/": ("joulebook", "joulebook_api", "joulebook_collectors", "joulebook_ledger"),
    "alembic/": ("joulebook_ledger.store", "joulebook_ledger.core"),
}

BANNED_CALLS = {
    "datetime.datetime.utcnow": "datetime.now(tz=UTC), or better a `now` that is passed in",
    "datetime.datetime.utcfromtimestamp": "datetime.fromtimestamp(seconds, tz=UTC)",
    "fcntl.flock": "the POSIX record lock of lock.py: a forked child keeps a flock of its dead parent",
    "os.getlogin": "nothing: user names are not recorded",
    "os.system": "subprocess.run with a list",
    "tempfile.mktemp": "tempfile.mkdtemp",
}
BANNED_IN_CORE = {
    "float": "integers in the smallest unit (units.py)",
    "open": "nothing: core reads no file; take the text as an argument",
    "print": "nothing: core writes nowhere; return the value",
    "round": "div_floor or div_half_even of units.py, which say how they round",
}
BANNED_IMPORTS = {
    "unittest.mock": "a fake that implements the protocol",
    "freezegun": "a `now` that is passed in",
    "requests": "httpx2",
    "httpx": "httpx2",
}


def file_is_short(source: Source) -> Iterator[str]:
    """No file of the product is longer than 400 lines."""
    lines = len(source.text.splitlines())
    if source.is_product and lines > FILE_LINES:
        yield f"{lines} lines: split it by purpose, {FILE_LINES} at most"


def functions_are_short(source: Source) -> Iterator[str]:
    """No function of the product is longer than 60 lines."""
    for node in ast.walk(source.tree):
        if source.is_product and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{node.lineno}: {node.name} has {lines} lines: {FUNCTION_LINES} at most"


def packages_are_where_they_belong(source: Source) -> Iterator[str]:
    """Neither alembic nor the tests are packages, and the two middle packages stay empty."""
    if source.path == "alembic/__init__.py":
        yield "with this file the alembic command no longer finds its own package: remove it"
    if source.path.startswith("tests/") and source.path.endswith("__init__.py"):
        yield "tests are imported with importlib and are no package: remove it"
    is_quiet = source.path == f"{LEDGER}__init__.py" or (
        source.path.startswith(COLLECTORS) and source.path.endswith("__init__.py")
    )
    if is_quiet and any(not _is_docstring(node) for node in source.tree.body):
        yield "holds its docstring and nothing else: whatever is imported here is loaded into every measured process"


def calls_are_allowed(source: Source) -> Iterator[str]:
    """Calls that go wrong in ways that tests seldom see are not made."""
    for node, name in source.calls():
        if instead := BANNED_CALLS.get(name) or _banned_in_core(source, name):
            yield f"{node.lineno}: {name}() is banned, use {instead}"
        if name in {"datetime.datetime.now", "datetime.datetime.fromtimestamp"} and not _has_time_zone(node, name):
            yield f"{node.lineno}: {name}() without a time zone is banned, add tz=UTC"
        if (
            source.is_product
            and name in {"time.time", "time.time_ns", "datetime.datetime.now"}
            and source.path not in CLOCKS
        ):
            yield f"{node.lineno}: {name}() is banned here, take `now` as an argument: the clock is read in {sorted(CLOCKS)}"
        if name == "print" and source.is_product and not source.path.startswith(("joulebook/", "scripts/")):
            yield f"{node.lineno}: print() is banned here, return the value: only the front door prints"
        if name.endswith("patch.setattr") and source.path.startswith("tests/"):
            yield f"{node.lineno}: {name}() is banned, use a fake that implements the protocol"


def imports_are_allowed(source: Source) -> Iterator[str]:
    """Each room imports from below, core only what computes, and pynvml has one place."""
    for line, name in source.imported():
        for banned, instead in BANNED_IMPORTS.items():
            if name == banned or name.startswith(f"{banned}."):
                yield f"{line}: {banned} is banned, use {instead}"
        top = name.split(".")[0]
        if source.is_core and top not in PURE_MODULES and top not in ROOMS:
            yield f"{line}: core does not import {top}: standard library only, and of it only what computes"
        if top == "pynvml" and source.is_product and source.path != f"{COLLECTORS}meters/nvml_library.py":
            yield f"{line}: pynvml is imported in {COLLECTORS}meters/nvml_library.py only, where its library was found first"
        if name.startswith("."):
            yield f"{line}: a relative import hides the room, write the full name"
        allowed = next((names for place, names in ALLOWED_ROOMS.items() if source.path.startswith(place)), tuple(ROOMS))
        if top in ROOMS and not any(name == low or name.startswith(f"{low}.") for low in allowed):
            yield f"{line}: {name} is out of reach from here: arrows point down, to {', '.join(allowed)}"


def core_divides_integers(source: Source) -> Iterator[str]:
    """Core says how it divides and holds no float."""
    if not source.is_core or source.path in FLOAT_FILES:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"{node.lineno}: a bare / gives a float, use div_floor or muldiv of units.py"
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"{node.lineno}: {node.value!r} is a float, use an integer of the smallest unit"


def excepts_are_narrow(source: Source) -> Iterator[str]:
    """What is caught is named; a broad except stands only where a whole loop must go on, and is listed with its reason."""
    found = [] if not source.is_product else [*_broad_handlers(source)]
    allowed, _ = BROAD_EXCEPTS.get(source.path, (0, ""))
    if len(found) > allowed:
        lines = ", ".join(str(line) for line in found)
        yield f"{lines}: a broad except, {allowed} allowed here: name the errors that can be answered"


def nothing_is_left_over(source: Source) -> Iterator[str]:
    """Nothing unfinished is committed."""
    words = "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "NotImplemented" + "Error"])
    for number, line in _matches(source, rf"\b({words})\b"):
        yield f"{number}: {line!r} is left over: finish it, or open an issue"


def no_address_of_one_machine(source: Source) -> Iterator[str]:
    """No file knows where it lies on one machine, or where one machine takes its packages from."""
    places = "home|Users|root"
    if source.path.startswith("tests/machines/"):
        return  # recorded from machines that are not ours to tidy
    for number, line in _matches(source, rf"(?<![\w.])/({places})/\w|/wo{'rk'}/(main|shared)"):
        yield f"{number}: {line!r} is a path of one machine"
    for number, line in _matches(
        source, r"(https?|file)://[^\s\"']*/simple\b|^\s*(-i|--(extra-)?index-url|--find-links)\b"
    ):
        yield f"{number}: {line!r} is the address of a package index"


def public_names_are_documented(source: Source) -> Iterator[str]:
    """Every public name of core and of the front door says what it is."""
    if source.is_core or source.path.startswith("joulebook/"):
        yield from _undocumented(source.tree, "")


RULES: tuple[Rule, ...] = (
    file_is_short,
    functions_are_short,
    packages_are_where_they_belong,
    calls_are_allowed,
    imports_are_allowed,
    core_divides_integers,
    excepts_are_narrow,
    nothing_is_left_over,
    no_address_of_one_machine,
    public_names_are_documented,
)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _banned_in_core(source: Source, name: str) -> str | None:
    works_with_floats = name in {"float", "round"} and source.path in FLOAT_FILES
    return BANNED_IN_CORE.get(name) if source.is_core and not works_with_floats else None


def _has_time_zone(node: ast.Call, name: str) -> bool:
    given = len(node.args) + len(node.keywords)
    return given > (1 if name.endswith("fromtimestamp") else 0)


def _broad_handlers(source: Source) -> Iterator[int]:
    broad = {"Exception", "BaseException"}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or source.full_name(kind) in broad for kind in caught):
                yield node.lineno
    for call, name in source.calls():
        if name == "contextlib.suppress" and any(source.full_name(kind) in broad for kind in call.args):
            yield call.lineno


def _matches(source: Source, pattern: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.text.splitlines(), start=1):
        if re.search(pattern, line):
            yield number, line.strip()[:100]


def _undocumented(tree: ast.Module | ast.ClassDef, owner: str) -> Iterator[str]:
    if isinstance(tree, ast.Module) and not ast.get_docstring(tree) and tree.body:
        yield "1: the file has no docstring"
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        is_repeated = any(
            (isinstance(d, ast.Attribute) and d.attr in {"setter", "overload"})
            or (isinstance(d, ast.Name) and d.id == "overload")
            for d in node.decorator_list
        )
        if not ast.get_docstring(node) and not is_repeated:
            yield f"{node.lineno}: {owner}{node.name} has no docstring"
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node, f"{owner}{node.name}.")
