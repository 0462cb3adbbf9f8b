"""What is carried by hand from a host without a network arrives once, whatever it is carried as, and however often."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from helpers.source import ROOT
from helpers.tracked import Keeper, Place

from joulebook_collectors.delivery.carried import Carried, take_in
from joulebook_collectors.delivery.dropbox import DAMAGED_AFTER_MS, DropBox
from joulebook_ledger.core.records import Window
from joulebook_ledger.core.refusals import BadInput

JOB = "import joulebook, sys\nwith joulebook.track(model=sys.argv[1]) as run: run.log(accuracy=0.5)"
KILLED = "import joulebook, os, time\nwith joulebook.track(model='killed'):\n    time.sleep(0.4)\n    os.kill(os.getpid(), 9)"
RECORDED = ROOT / "tests/releases/0.1.0"


def taken(path: Path, keeper: Keeper, *, is_final: bool = False) -> Carried:
    """Take in what lies at a path."""
    return take_in(str(path), keeper, lambda _: "", is_final=is_final)


def tar_of(folder: Path, name: str = "carried.tar.gz") -> Path:
    """Return an archive of a folder, beside it."""
    archive = folder.parent / name
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, arcname=folder.name)
    return archive


def bytes_of(folder: Path) -> dict[Path, bytes]:
    """Return all files of a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a host on which one run has finished and one was killed, and where no command was ever called."""
    place = Place(tmp_path)
    place.run(JOB, "finished")
    place.run(KILLED)
    return place


def test_a_copied_spool_is_taken_in_and_left_as_it_is(place: Place, tmp_path: Path) -> None:
    """At any level: the whole folder was copied, as it lay. What was open is left to its machine."""
    copied = tmp_path / "stick"
    shutil.copytree(place.spool, copied, ignore=lambda folder, names: [n for n in names if not _is_plain(folder, n)])
    before = bytes_of(copied)
    keeper = Keeper()
    carried = taken(copied, keeper)
    keeper.assert_sound()
    assert (carried.spools, carried.open_runs, carried.left) == (1, 1, {})
    assert keeper.statuses == {keeper.run_named("finished"): ["finished"]}
    assert {batch.state for batch in keeper.batches} == {"active"}
    assert bytes_of(copied) == before
    again = taken(copied, keeper)
    assert (again.items, keeper.batches[0]) == (carried.items, keeper.batches[1])
    place.deliver(keeper)
    keeper.assert_sound()
    assert len(keeper.statuses) == 2


def test_the_spool_of_a_machine_that_is_gone_is_closed_on_the_way(place: Place) -> None:
    """Its killed run is ended, and its last window is there; the copy itself is not touched."""
    before = bytes_of(place.spool)
    keeper = Keeper()
    carried = taken(place.spool, keeper, is_final=True)
    keeper.assert_sound()
    assert carried.open_runs == 0
    assert sorted(keeper.statuses.values()) == [["finished"], ["killed"]]
    last = max(window.end_ms for window in keeper.facts(Window))
    assert (keeper.batches[-1].state, keeper.batches[-1].complete_until_ms) == ("retired", last)
    assert bytes_of(place.spool) == before
    windows = len(keeper.facts(Window))
    taken(place.spool, keeper, is_final=True)
    place.deliver(keeper)
    keeper.assert_sound()
    assert len(keeper.facts(Window)) == windows


def test_an_archive_is_taken_in_like_what_is_in_it(tmp_path: Path) -> None:
    """Spools and drop-boxes, as many as there are; nothing of it is left on this disk."""
    shutil.copytree(RECORDED, tmp_path / "carried")
    keeper = Keeper()
    carried = taken(tar_of(tmp_path / "carried"), keeper, is_final=True)
    keeper.assert_sound()
    assert (carried.spools, carried.batches, carried.left) == (1, 3, {})
    assert len(keeper.statuses) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"carried", "carried.tar.gz"}


def test_one_batch_file_is_taken_in(tmp_path: Path) -> None:
    """One that was sent by mail, say."""
    (first, _) = sorted((RECORDED / "batches").iterdir())
    keeper = Keeper()
    assert taken(first, keeper).items > 10
    damaged = tmp_path / first.name
    damaged.write_bytes(first.read_bytes()[:-1])
    carried = taken(damaged, keeper)
    assert (carried.items, list(carried.left)) == (0, [str(damaged)])


def test_an_archive_cannot_write_where_it_wants(tmp_path: Path) -> None:
    """Neither outside its folder nor through a link."""
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as file:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        file.addfile(link)
        file.add(RECORDED / "boot" / "reader", arcname="../outside")
    with pytest.raises(BadInput, match="cannot be unpacked"):
        taken(archive, Keeper())
    assert not (tmp_path.parent / "outside").exists()


@pytest.mark.parametrize("name", ["missing", "empty", "text.txt"])
def test_what_is_nothing_of_ours_is_refused_with_what_would_be(name: str, tmp_path: Path) -> None:
    """A mistyped path is said to be one."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(BadInput, match=r"spool folder|tar archive"):
        taken(tmp_path / name, Keeper())


def test_a_file_that_stays_damaged_blocks_no_other(tmp_path: Path) -> None:
    """After an hour it is named and passed over; when it comes whole, it is taken, and what came before does no harm."""
    first, second = sorted((RECORDED / "batches").iterdir())
    for path in (first, second):
        shutil.copy(path, tmp_path)
    broken = tmp_path / first.name
    broken.write_bytes(first.read_bytes()[:-5])
    keeper = Keeper()
    assert taken(tmp_path, keeper).batches == 0
    old = broken.stat().st_mtime - DAMAGED_AFTER_MS / 1_000 - 1
    os.utime(broken, (old, old))
    carried = taken(tmp_path, keeper)
    assert (carried.batches, list(carried.left)) == (1, [str(broken)])
    shutil.copy(first, tmp_path)
    assert taken(tmp_path, keeper).batches == 2


def test_a_batch_of_a_newer_version_is_named_and_blocks_no_other(tmp_path: Path) -> None:
    """The remedy is an update of ours; nobody else waits for it."""
    box = DropBox(str(tmp_path))
    box.deliver(json.dumps({"wire": 2, "reader": {"reader": "new"}, "sequence": 1, "moods": []}).encode())
    for path in (RECORDED / "batches").iterdir():
        shutil.copy(path, tmp_path)
    carried = taken(tmp_path, Keeper())
    (why,) = carried.left.values()
    assert (carried.batches, "pip install -U" in why) == (2, True)


def test_the_command_says_what_it_took(tmp_path: Path) -> None:
    """The second time all of it is known already; what was left is named."""
    environment = {**os.environ, "JOULEBOOK_HOME": str(tmp_path / "home"), "JOULEBOOK_SPOOL": str(tmp_path / "own")}
    archive = tmp_path / "boot.tar"
    with tarfile.open(archive, "w") as file:
        file.add(RECORDED / "boot", arcname="boot")
    told = []
    for _ in range(2):
        command = [sys.executable, "-m", "joulebook", "import", "spool", str(archive), "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        told.append(json.loads(done.stdout))
    first, second = told
    assert (first["spools"], first["open_runs"], first["left"], first["entries_booked"] > 0) == (1, 1, [], True)
    assert first["outcomes"]["stored"] > 10
    assert second["outcomes"] == {"already_stored": first["items"]}
    done = subprocess.run([*command[:-1]], env=environment, capture_output=True, text=True, check=True)
    assert "--final" in done.stdout


def _is_plain(folder: str, name: str) -> bool:
    path = Path(folder, name)
    return path.is_file() or path.is_dir()
