"""What is loaded into a process that is measured, seen from a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
NOT_AT_IMPORT = {
    "asyncio",
    "dataclasses",
    "enum",
    "importlib.metadata",
    "inspect",
    "json",
    "logging",
    "pynvml",
    "re",
    "socket",
    "subprocess",
}
# All that an import loads of ours: what measures is loaded by the first run.
OURS = {
    "joulebook",
    "joulebook.labels",
    "joulebook.opening",
    "joulebook.run",
    "joulebook.tracking",
    "joulebook_collectors",
    "joulebook_collectors.host",
    "joulebook_collectors.host.guard",
    "joulebook_collectors.host.identity",
    "joulebook_collectors.host.processes",
    "joulebook_ledger",
    "joulebook_ledger.core",
    "joulebook_ledger.core.refusals",
    "joulebook_ledger.core.slotted",
    "joulebook_ledger.settings",
}
NOT_WHILE_MEASURING = {"joulebook_ledger.client", "joulebook_ledger.store", "pynvml", "sqlite3", "typing_extensions"}


def loaded_by(program: str, folder: Path | None = None) -> set[str]:
    """Return the modules that a program loads in a fresh interpreter, beyond those that are there without it."""
    places = {"JOULEBOOK_HOME": str(folder / "home"), "JOULEBOOK_SPOOL": str(folder / "spool")} if folder else {}
    watched = f"import sys\nbefore = set(sys.modules)\n{program}\nprint('loaded:', *sorted(set(sys.modules) - before))"
    run = subprocess.run(
        [sys.executable, "-c", watched], check=True, capture_output=True, text=True, env=os.environ | places
    )
    return set(run.stdout.rpartition("loaded:")[2].split())


def test_what_a_program_loads_is_seen() -> None:
    """The measure below tells one module from none."""
    assert loaded_by("import logging") >= {"logging"}
    assert loaded_by("pass") == set()


@pytest.mark.parametrize("module", sorted(HEAVY | NOT_AT_IMPORT))
def test_importing_joulebook_stays_light(module: str, loaded_by_import: set[str]) -> None:
    """`import joulebook` loads neither a library nor the slower parts of the standard library."""
    assert module not in loaded_by_import


def test_what_measures_is_loaded_by_the_first_run(loaded_by_import: set[str]) -> None:
    """A job that imports us and tracks nothing pays for a front only."""
    assert {module for module in loaded_by_import if module.startswith("joulebook")} == OURS


def test_a_job_that_switched_us_off_loads_nothing_that_measures() -> None:
    """`JOULEBOOK_DISABLE=1`: a run that is not recorded needs no more than the import."""
    program = (
        "import os; os.environ['JOULEBOOK_DISABLE'] = '1'\nimport joulebook\nwith joulebook.track(model='m'): pass"
    )
    assert {module for module in loaded_by(program) if module.startswith("joulebook")} == OURS


@pytest.mark.parametrize("module", sorted(HEAVY | NOT_WHILE_MEASURING))
def test_tracking_stays_light(module: str, loaded_by_track: set[str]) -> None:
    """A body under `track()`, its scores and its footprint load neither a library nor anything that speaks SQL or HTTP."""
    assert module not in loaded_by_track


def test_tracking_was_really_tried(loaded_by_track: set[str]) -> None:
    """The program above measured something: the reader was there, and the footprint was computed."""
    assert {"joulebook_collectors.reading.reader", "joulebook_ledger.core.pricing"} <= loaded_by_track


@pytest.fixture(scope="module")
def loaded_by_track(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return what a small tracked program loads, a footprint and the closing line included."""
    program = (
        "import joulebook, time\n"
        "with joulebook.track(model='m', task='t') as run:\n"
        "    with run.phase('data'):\n"
        "        time.sleep(0.01)\n"
        "    run.log(accuracy=0.5)\n"
        "assert run.footprint.duration_s is not None\n"
        "str(run)"
    )
    return loaded_by(program, folder=tmp_path_factory.mktemp("tracked"))


@pytest.fixture(scope="module")
def loaded_by_import() -> set[str]:
    """Return what `import joulebook` loads."""
    return loaded_by("import joulebook; dir(joulebook)")
