"""What a person has set: by `JOULEBOOK_…` variables, then by `[tool.joulebook]` of the nearest pyproject.toml, then by default.

This module lies on the measured path: it loads neither typing, dataclasses, pathlib nor logging, reads at most one file, and never
raises there. What cannot be taken is kept as a sentence in `problems` and the default holds; commands call `require_sound`.
"""

# pathlib costs more than this module may:
# ruff: noqa: PTH100, PTH109, PTH111, PTH117, PTH118, PTH120, PTH123

from __future__ import annotations

import os
import sys

from joulebook_ledger.core.refusals import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

PREFIX = "JOULEBOOK_"
LABEL_KEYS = ("model", "version", "task", "stage", "project", "team", "base_model", "sweep", "name")
SCOPES = ("host", "process")
SCHEMES = ("sqlite:///", "postgresql+psycopg://", "http://", "https://", "file:///")
TOKEN_FILE = "token"  # noqa: S105 - the name of a file
BOOK_FILE = "book.sqlite"
AGENT_SOCKET, NO_SOCKET = "/run/joulebook/agent.sock", "none"
_ALIASES = {"postgresql://": "postgresql+psycopg://", "postgres://": "postgresql+psycopg://"}
_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})
_KEYS = (
    "ledger", "home", "spool", "api_key", "api_key_file", "run_id", "sample_seconds", "flush_seconds", "sysfs_root", "proc_root",
    "disable", "quiet", "machine", "scope", "budget", "tags", "agent_socket", "spool_megabytes", *LABEL_KEYS,
)  # fmt: skip
_TABLE = b"[tool.joulebook"


class Settings:
    """What is set, ready to use. Made by `load_settings`; `replaced` makes a changed copy.

    Attributes:
        ledger: URL of the book: `sqlite:///…`, `postgresql+psycopg://…`, `http(s)://…` or `file:///folder` (a drop-box).
        home: Folder of the default book, the token and what is kept aside.
        spool: Folder of the spool; empty where it is to be derived.
        api_key: Secret for an http ledger; empty where it is to be read (`read_api_key`). Never shown.
        api_key_file: File that holds it; empty for none.
        run_id: Run to join; empty for none.
        sample_seconds: Time between two samples of use.
        flush_seconds: Longest time that the end of a run may take to deliver over http.
        sysfs_root: Where sysfs is mounted.
        proc_root: Where proc is mounted.
        disable: Whether nothing is measured.
        quiet: Whether the line at a run's end is left out.
        machine: The machine's configured name; empty for none.
        scope: host (a run bears the static part of what it holds) or process (activity only).
        budget: What a run may cost, in words; recorded with it.
        labels: Label name (of LABEL_KEYS, or `tag:KEY`) -> value.
        problems: What could not be taken, one sentence each.
        spool_megabytes: What a spool may hold while its ledger is away, before windows in it are merged.
        agent_socket: Where an agent of this host may listen; empty where none is to be asked.
    """

    __slots__ = (
        "agent_socket", "api_key", "api_key_file", "budget", "disable", "flush_seconds", "home", "labels", "ledger", "machine", "problems", "proc_root", "quiet",
        "run_id", "sample_seconds", "scope", "spool", "spool_megabytes", "sysfs_root",
    )  # fmt: skip

    def __init__(
        self, *, ledger: str, home: str, spool: str = "", api_key: str = "", api_key_file: str = "", run_id: str = "",
        sample_seconds: float = 1.0, flush_seconds: float = 5.0, sysfs_root: str = "/sys", proc_root: str = "/proc",
        disable: bool = False, quiet: bool = False, machine: str = "", scope: str = "host", budget: str = "",
        labels: Mapping[str, str] | None = None, problems: tuple[str, ...] = (), agent_socket: str = "", spool_megabytes: float = 1024.0,
    ) -> None:  # fmt: skip
        self.agent_socket = agent_socket
        self.spool_megabytes = spool_megabytes
        self.ledger = ledger
        self.home = home
        self.spool = spool
        self.api_key = api_key
        self.api_key_file = api_key_file
        self.run_id = run_id
        self.sample_seconds = sample_seconds
        self.flush_seconds = flush_seconds
        self.sysfs_root = sysfs_root
        self.proc_root = proc_root
        self.disable = disable
        self.quiet = quiet
        self.machine = machine
        self.scope = scope
        self.budget = budget
        self.labels = dict(labels or {})
        self.problems = problems

    @property
    def is_default_ledger(self) -> bool:
        """Whether the ledger is the one that holds where nobody names another."""
        return self.ledger == f"sqlite:///{os.path.join(self.home, BOOK_FILE)}"

    def replaced(self, **changes: Any) -> Settings:
        """Return a copy with these fields changed; an unknown field is a programmer's mistake."""
        return Settings(**{**{name: getattr(self, name) for name in self.__slots__}, **changes})

    def require_sound(self) -> None:
        """Raise `BadInput` with every problem, for commands: only the measured path goes on with defaults."""
        if self.problems:
            raise BadInput("; ".join(self.problems))

    def __eq__(self, other: object) -> bool:
        """Compare field by field."""
        return isinstance(other, Settings) and all(getattr(self, n) == getattr(other, n) for n in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show every field but the secrets."""
        shown = {name: getattr(self, name) for name in self.__slots__}
        shown["api_key"] = "…" if self.api_key else ""
        shown["ledger"] = without_secret(self.ledger)
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def load_settings(environment: Mapping[str, str] | None = None, folder: str | None = None) -> Settings:
    """Return what is set; never raises for what is set badly.

    Args:
        environment: Variables; the process's own by default.
        folder: Where the search for pyproject.toml begins; the current folder by default.
    """
    variables = os.environ if environment is None else environment
    given = {key: variables[PREFIX + key.upper()] for key in _KEYS if variables.get(PREFIX + key.upper())}
    problems = _unknown_variables(variables)
    for key, value in _of_project(_current_folder() if folder is None else folder, problems).items():
        given.setdefault(key, value)
    take = _Taker(given, problems)
    home = os.path.abspath(take.text("home") or _default_home(variables))
    default_ledger = f"sqlite:///{os.path.join(home, BOOK_FILE)}"
    return Settings(
        home=home, ledger=take.ledger(default_ledger), spool=take.text("spool") and os.path.abspath(take.text("spool")),
        api_key=take.text("api_key"), api_key_file=take.text("api_key_file"), run_id=take.text("run_id"),
        sample_seconds=take.seconds("sample_seconds", 1.0, 0.05, 60.0), flush_seconds=take.seconds("flush_seconds", 5.0, 0.0, 3600.0),
        sysfs_root=take.text("sysfs_root") or "/sys", proc_root=take.text("proc_root") or "/proc",
        disable=take.switch("disable"), quiet=take.switch("quiet"), machine=take.text("machine"),
        scope=take.choice("scope", SCOPES), budget=take.text("budget"), labels=take.labels(),
        agent_socket=_socket_of(take.text("agent_socket") or AGENT_SOCKET),
        spool_megabytes=take.seconds("spool_megabytes", 1024.0, 1.0, 1e9, "megabytes"),
        problems=tuple(problems),  # last: all of the above may add to them
    )  # fmt: skip


def read_api_key(settings: Settings) -> str:
    """Return the secret for an http ledger: the key set, else its file, else `JOULEBOOK_HOME/token`; empty where there is none."""
    if settings.api_key:
        return settings.api_key
    path = settings.api_key_file or os.path.join(settings.home, TOKEN_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeError) as error:
        if settings.api_key_file:
            raise BadInput(f"JOULEBOOK_API_KEY_FILE {path!r} cannot be read: {error}") from None
        return ""


def without_secret(url: str) -> str:
    """Return a URL without its password.

    >>> without_secret("postgresql+psycopg://ann:secret@books/joulebook")
    'postgresql+psycopg://ann@books/joulebook'
    """
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if not at:
        return url
    return f"{scheme}{mark}{user.partition(':')[0]}@{host}{slash}{path}"


def parse_tags(text: str) -> dict[str, str]:
    """Return the labels of "key=value,key=value"; a part without "=" is refused.

    >>> parse_tags("grid=b, seed=7")
    {'tag:grid': 'b', 'tag:seed': '7'}
    """
    labels = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if part.strip():
            if not equals or not key.strip():
                raise BadInput(f"tag {part.strip()!r} has no value: write tags as key=value,key=value")
            labels[f"tag:{key.strip()}"] = value.strip()
    return labels


class _Taker:
    """Takes each value that was given, or its default with a problem."""

    __slots__ = ("given", "problems")

    def __init__(self, given: dict[str, Any], problems: list[str]) -> None:
        self.given = given
        self.problems = problems

    def text(self, key: str) -> str:
        value = self.given.get(key, "")
        if isinstance(value, str):
            return value
        self.problems.append(f"{key} must be a text, not {value!r}")
        del self.given[key]
        return ""

    def seconds(self, key: str, default: float, least: float, most: float, unit: str = "seconds") -> float:
        value = self.given.get(key)
        if value is None:
            return default
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = -1.0
        if least <= number <= most:
            return number
        self.problems.append(f"{key} must be a number of {unit} from {least:g} to {most:g}, not {value!r}")
        return default

    def switch(self, key: str) -> bool:
        value = self.given.get(key)
        if value is None or str(value).strip().lower() in _NO:
            return False
        if str(value).strip().lower() not in _YES:
            self.problems.append(f"{key} must be 1 or 0, not {value!r}: taken as 1")
        return True

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self.text(key)
        if value and value not in choices:
            self.problems.append(f"{key} {value!r} is none of: {', '.join(choices)}")
        return value if value in choices else choices[0]

    def ledger(self, default: str) -> str:
        value = self.text("ledger") or default
        for alias, scheme in _ALIASES.items():
            if value.startswith(alias):
                value = scheme + value[len(alias) :]
        if value.startswith(SCHEMES):
            return value
        self.problems.append(
            f"ledger {without_secret(value)!r} is no ledger: write one of {', '.join(s + '…' for s in SCHEMES)}; "
            f"until then {default} is used"
        )
        return default

    def labels(self) -> dict[str, str]:
        labels = {key: self.text(key) for key in LABEL_KEYS if self.text(key)}
        tags = self.given.get("tags", "")
        if isinstance(tags, dict):
            labels.update({f"tag:{key}": str(value) for key, value in tags.items()})
            return labels
        try:
            labels.update(parse_tags(self.text("tags")))
        except BadInput as problem:
            self.problems.append(str(problem))
        return labels


def _socket_of(path: str) -> str:
    return "" if path == NO_SOCKET else path


def _default_home(variables: Mapping[str, str]) -> str:
    if sys.platform == "win32" and variables.get("LOCALAPPDATA"):
        return os.path.join(variables["LOCALAPPDATA"], "joulebook")
    shared = variables.get("XDG_DATA_HOME", "")
    if not os.path.isabs(shared):  # the base directory specification: a relative one is ignored
        shared = os.path.join(variables.get("HOME") or os.path.expanduser("~"), ".local", "share")
    return os.path.join(shared, "joulebook")


def _unknown_variables(variables: Mapping[str, str]) -> list[str]:
    """Return a problem for each variable that is nearly one of ours; what merely shares the prefix is not our business."""
    known = {PREFIX + key.upper() for key in _KEYS}
    problems = []
    for name in sorted(name for name in variables if name.startswith(PREFIX) and name not in known):
        import difflib

        near = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
        if near:
            problems.append(f"{name} is not known: {near[0]} is meant?")
    return problems


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # the folder was removed below a running job
        return ""


def _of_project(folder: str, problems: list[str]) -> dict[str, Any]:
    """Return the values of `[tool.joulebook]` of the nearest pyproject.toml, paths made absolute from its folder."""
    path, data = _nearest_project(folder)
    if _TABLE not in data:
        return {}
    import tomllib

    try:
        table = tomllib.loads(data.decode()).get("tool", {}).get("joulebook", {})
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        problems.append(f"{path} cannot be read: {error}")
        return {}
    given = {}
    for key, value in table.items() if isinstance(table, dict) else ():
        if key == "api_key":
            problems.append(f"{path}: a secret does not belong there: set JOULEBOOK_API_KEY or api_key_file")
        elif key not in _KEYS:
            problems.append(f"{path}: [tool.joulebook] has no key {key!r}: it has {', '.join(sorted(_KEYS))}")
        else:
            given[key] = _from_folder(os.path.dirname(path), key, value)
    return given


def _nearest_project(folder: str) -> tuple[str, bytes]:
    folder = folder and os.path.abspath(folder)
    while folder:
        path = os.path.join(folder, "pyproject.toml")
        try:
            with open(path, "rb") as file:
                return path, file.read()
        except OSError:
            pass
        above = os.path.dirname(folder)
        folder = "" if above == folder else above
    return "", b""


def _from_folder(folder: str, key: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if key in {"home", "spool", "api_key_file"}:
        return os.path.join(folder, os.path.expanduser(value))
    if key == "ledger" and value.startswith("sqlite:///") and not value.startswith("sqlite:////"):
        return "sqlite:///" + os.path.join(folder, value.removeprefix("sqlite:///"))
    return value
