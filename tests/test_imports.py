"""What is loaded into a process that is measured, seen from a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Loading any of these costs more than everything of ours together.
HEAVY = {
    "alembic",
    "apscheduler",
    "codecarbon",
    "fastapi",
    "httpx2",
    "numpy",
    "pandas",
    "psutil",
    "pydantic",
    "rich",
    "sqlalchemy",
    "sqlmodel",
    "typer",
}
# These are light next to the above, and still a good part of the time that `import joulebook` may take.
NOT_AT_IMPORT = {"asyncio", "dataclasses", "importlib.metadata", "inspect", "logging", "pynvml", "socket", "subprocess"}


def loaded_by(program: str) -> set[str]:
    """Return the modules that a program loads in a fresh interpreter, beyond those that are there without it."""
    watched = f"import sys\nbefore = set(sys.modules)\n{program}\nprint('loaded:', *sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", watched], check=True, capture_output=True, text=True)
    return set(run.stdout.rpartition("loaded:")[2].split())


def test_what_a_program_loads_is_seen() -> None:
    """The measure below tells one module from none."""
    assert loaded_by("import logging") >= {"logging"}
    assert loaded_by("pass") == set()


@pytest.mark.parametrize("module", sorted(HEAVY | NOT_AT_IMPORT))
def test_importing_joulebook_stays_light(module: str, loaded_by_import: set[str]) -> None:
    """`import joulebook` loads neither a library nor the slower parts of the standard library."""
    assert module not in loaded_by_import


@pytest.fixture(scope="module")
def loaded_by_import() -> set[str]:
    """Return what `import joulebook` loads."""
    return loaded_by("import joulebook; dir(joulebook)")
