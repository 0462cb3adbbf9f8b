"""The project's own files as text and as syntax trees, for the test about the code itself."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {
    "joulebook": "joulebook",
    "joulebook_api": "api/joulebook_api",
    "joulebook_collectors": "collectors/joulebook_collectors",
    "joulebook_ledger": "ledger/joulebook_ledger",
}
CORE = "ledger/joulebook_ledger/core/"
TEXT_SUFFIXES = {
    "",
    ".cfg",
    ".csv",
    ".html",
    ".ini",
    ".json",
    ".mako",
    ".md",
    ".py",
    ".sh",
    ".sql",
    ".toml",
    ".txt",
    ".yml",
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file of the project.

    Attributes:
        path: Where it lies, relative to the root of the repository, with forward slashes.
        text: What it says.
    """

    path: str
    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        """Return the syntax tree; an empty one where this is no Python."""
        return ast.parse(self.text if self.path.endswith(".py") else "")

    @functools.cached_property
    def aliases(self) -> dict[str, str]:
        """Return what each imported name stands for: `from time import time as t` gives {"t": "time.time"}."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {
                    a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in node.names
                }
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        return found

    def imported(self) -> Iterator[tuple[int, str]]:
        """Yield line and full name of everything that is imported, at the top or inside functions."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (
                    (node.lineno, f"{'.' * node.level}{node.module or ''}.{alias.name}") for alias in node.names
                )

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Yield every call with the full name of what is called, as far as the imports of the file tell."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and (name := self.full_name(node.func)):
                yield node, name

    def full_name(self, node: ast.expr) -> str:
        """Return the dotted name of an expression with imports resolved, or an empty text where it has none."""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.full_name(node.value)
            return f"{owner}.{node.attr}" if owner else f"?.{node.attr}"
        return ""

    @property
    def is_product(self) -> bool:
        """Whether this is code that runs at a user's."""
        return self.path.startswith((*(f"{room}/" for room in ROOMS.values()), "alembic/", "scripts/"))

    @property
    def is_core(self) -> bool:
        """Whether this belongs to the pure part."""
        return self.path.startswith(CORE)


@functools.cache
def project() -> tuple[Source, ...]:
    """Return every text file that is in the repository or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    names = listed.stdout.split("\0") if listed.returncode == 0 else _walk()
    files = (name for name in names if name and (ROOT / name).is_file() and Path(name).suffix in TEXT_SUFFIXES)
    return tuple(Source(path=name, text=(ROOT / name).read_text(encoding="utf-8")) for name in sorted(files))


def _walk() -> list[str]:
    """Return the files of an unpacked source archive, which has no git."""
    places = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
    return [p.as_posix() for p in places if not any(part == "__pycache__" or part.startswith(".") for part in p.parts)]
