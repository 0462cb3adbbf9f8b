"""What earlier releases wrote is taken in by today's, to the same figures; what a later one wrote is left as it is, and said."""

from __future__ import annotations

import json
import shutil
from binascii import crc32
from contextlib import closing
from pathlib import Path

import pytest
from helpers.recorded import figures
from helpers.source import ROOT
from helpers.tracked import Place

from joulebook_collectors.delivery.deliver import deliver_spool
from joulebook_collectors.delivery.dropbox import ingest_dropbox
from joulebook_collectors.delivery.recovery import recover
from joulebook_collectors.delivery.spools import state_of
from joulebook_collectors.host.clock import wall_ms
from joulebook_ledger.core.events import RunEvent
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


def changed(path: Path, before: str, after: str) -> None:
    """Change a word in a file of frames, each line with its check made anew."""
    lines = [line[9:].replace(before.encode(), after.encode()) for line in path.read_bytes().splitlines()]
    path.write_bytes(b"".join(b"%08x %s\n" % (crc32(line), line) for line in lines))


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder that hold something."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.stat().st_size}


def test_a_segment_of_a_newer_version_waits_and_blocks_nothing(tmp_path: Path) -> None:
    """The rest is delivered; an update of ours takes it along."""
    place = Place(tmp_path)
    place.run("import joulebook\nwith joulebook.track(model='old') as run: pass")
    place.run("import joulebook\nwith joulebook.track(model='new') as run: pass")
    old, new = sorted(place.boot.glob("done/*.segment"), key=lambda path: b'"new"' in path.read_bytes())
    changed(new, '"form":1', '"form":2')
    kept = new.read_bytes()
    keeper = place.deliver()
    assert {event.labels["model"] for event in keeper.facts(RunEvent) if event.labels} == {"old"}
    assert (keeper.batches[-1].state, keeper.batches[-1].complete_until_ms) == ("active", 0)
    assert (old.exists(), new.read_bytes()) == (False, kept)
    (told,) = state_of(place.settings)["aside"]
    assert (told["outcome"], told["file"], "pip install -U" in told["detail"]) == ("left", str(new), True)
    changed(new, '"form":2', '"form":1')
    assert len(place.deliver(keeper).statuses) == 2
    assert keeper.batches[-1].state == "retired"


@pytest.mark.parametrize("name", ["checkpoint", "delivery", "reader"])
def test_a_spool_of_a_newer_version_is_left_untouched_and_the_job_goes_on(name: str, tmp_path: Path) -> None:
    """Whoever tracks, reads or delivers says so and what to do; not a byte of what the newer one wrote is changed."""
    place = Place(tmp_path)
    job = "import joulebook\nwith joulebook.track(model='m') as run: pass"
    place.run(job)
    place.deliver()
    boot = place.boot
    for path in boot.glob(f"{name}*"):
        changed(path, '"form":4', '"form":5')
        changed(path, '"rank":1', '"rank":1,"shade":"green"')
    before = {path: content for path, content in bytes_of(boot).items() if Path(path).name.startswith(name)}
    assert before
    done = place.run(job)
    assert done.returncode == 0
    said = place.run(
        "from joulebook_collectors.delivery.recovery import recover_and_deliver\n"
        "from joulebook_ledger.settings import load_settings\n"
        "assert recover_and_deliver(load_settings(), None).sent == 0"
    )
    assert (said.returncode, "newer Joulebook" in said.stderr, "pip install -U" in said.stderr) == (0, True, True)
    after = bytes_of(boot)
    assert {path: after[path] for path in before} == before
    assert any(told["outcome"] == "left" for told in state_of(place.settings)["aside"])
