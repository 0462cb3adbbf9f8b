"""What tracking loads into a process that is measured."""

from __future__ import annotations

import pytest
from helpers.tracked import Place

TRACK = """
import sys
before = set(sys.modules)
import joulebook
with joulebook.track(model="m") as run:
    run.log(accuracy=1)
print(*sorted(set(sys.modules) - before))
"""
HEAVY = {
    "alembic", "asyncio", "codecarbon", "dataclasses", "decimal", "enum", "fastapi", "hashlib", "httpx2", "importlib.metadata", "inspect",
    "joulebook_ledger.client", "joulebook_ledger.core.records", "joulebook_ledger.core.wire", "joulebook_ledger.store", "json",
    "json.decoder", "logging", "numpy", "pathlib", "psutil", "pynvml", "re", "socket", "sqlalchemy", "sqlite3", "subprocess", "tempfile",
    "typing", "uuid",
}  # fmt: skip


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the modules that a whole run loads."""
    done = Place(tmp_path_factory.mktemp("light")).run(TRACK)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


def test_a_whole_run_loads_nothing_heavy(loaded: set[str]) -> None:
    """It writes a spool; neither a database nor a client, nor the records of the books are in reach."""
    assert loaded & HEAVY == set()
    assert "joulebook_collectors.tracking.session" in loaded


@pytest.mark.parametrize("ledger", ["http://127.0.0.1:9", "file:///nowhere"])
def test_only_a_ledger_without_commands_loads_what_delivers(tmp_path: str, ledger: str) -> None:
    """The store stays out of reach even then."""
    from pathlib import Path

    done = Place(Path(tmp_path), ledger).run(TRACK, JOULEBOOK_FLUSH_SECONDS="0", JOULEBOOK_API_KEY="secret")
    loaded = set(done.stdout.split())
    assert done.returncode == 0
    assert "joulebook_ledger.core.wire" in loaded
    assert ("httpx2" in loaded) == ledger.startswith("http")
    assert not {name for name in loaded if name.startswith(("sqlalchemy", "joulebook_ledger.store", "pynvml"))}
