"""What earlier releases wrote is taken in by today's, to the same figures; what a later one wrote is left as it is, and said."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from helpers.recorded import figures
from helpers.source import ROOT

from joulebook_collectors.clock import wall_ms
from joulebook_collectors.delivery import deliver_spool
from joulebook_collectors.dropbox import ingest_dropbox
from joulebook_collectors.recovery import recover
from joulebook_ledger.local import LocalLedger

RELEASES = ROOT / "tests/releases"
VERSIONS = sorted(path.name for path in RELEASES.iterdir() if path.is_dir() and path.name[0].isdigit())


def expected(version: str, name: str) -> object:
    """Return the figures that the release itself made."""
    return json.loads((RELEASES / version / f"{name}.json").read_text())


def test_every_release_so_far_is_there() -> None:
    """So that the tests below try something."""
    assert "0.1.0" in VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_a_spool_of_an_earlier_release_is_recovered_and_delivered(version: str, tmp_path: Path) -> None:
    """Also the run that was killed, and the windows that only its checkpoint knew of."""
    folder = tmp_path / "boot"
    shutil.copytree(RELEASES / version / "boot", folder)
    recover(str(folder))
    with closing(LocalLedger(f"sqlite:///{tmp_path}/book.sqlite")) as ledger:
        assert deliver_spool(str(folder), ledger, wall_ms())
        ledger.book()
    assert not (folder / "aside").exists()
    assert figures(tmp_path / "book.sqlite") == expected(version, "spool")


@pytest.mark.parametrize("version", VERSIONS)
def test_batches_of_an_earlier_release_are_taken_in(version: str, tmp_path: Path) -> None:
    """A drop-box may wait for months."""
    with closing(LocalLedger(f"sqlite:///{tmp_path}/book.sqlite")) as ledger:
        assert ingest_dropbox(str(RELEASES / version / "batches"), ledger) > 0
        ledger.book()
    assert figures(tmp_path / "book.sqlite") == expected(version, "batches")
