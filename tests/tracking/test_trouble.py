"""A spool that is full, read-only, corrupt or a trap costs records, and never the job."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.tracked import Place

from joulebook_collectors.spool.folders import file_system_of, ledger_folder, prepare, spool_root
from joulebook_ledger.core.events import RunEvent
from joulebook_ledger.settings import load_settings

pytestmark = pytest.mark.processes

JOB = """
import joulebook, sys, time
with joulebook.track(model="m") as run:
    for step in range(200):
        run.log(loss=1 / (step + 1), step=step)
    time.sleep(0.3)
print(run.footprint.duration_s > 0)
sys.exit(3)
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a spool and a home of the test's own."""
    return Place(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk; limits on file sizes are tried in test_segments")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def assert_unharmed(done: subprocess.CompletedProcess[str]) -> None:
    """The job ended as it meant to, and heard of the trouble in one line at most for each kind."""
    assert (done.returncode, done.stdout) == (3, "True\n")
    said = done.stderr.splitlines()
    assert all(line.startswith("joulebook: ") for line in said)
    assert len(said) == len(set(said)) <= 2


def test_a_full_disk_does_not_harm_the_job(place: Place, small_disk: Path) -> None:
    """Full from the first byte on."""
    with (small_disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 1_024):
            pass
    assert shutil.disk_usage(small_disk).free == 0
    assert_unharmed(place.run(JOB, JOULEBOOK_SPOOL=str(small_disk)))


def test_a_disk_that_fills_up_during_a_run_loses_only_what_had_no_room(place: Place, small_disk: Path) -> None:
    """As soon as there is room again, what was written before is delivered; nothing of it is wrong."""
    place.environment["JOULEBOOK_SPOOL"] = str(small_disk)
    done = place.run(JOB.replace("range(200)", "range(2_000)"))
    assert_unharmed(done)
    keeper = place.deliver()
    assert keeper.batches == []
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    place.deliver(keeper)
    keeper.assert_sound()
    assert [event.kind for event in keeper.facts(RunEvent)][:1] == ["started"]


def test_a_spool_that_cannot_be_written_does_not_harm_the_job(place: Place) -> None:
    """As root nothing is read-only, so a file stands where a folder should."""
    place.spool.write_text("not a folder")
    assert_unharmed(place.run(JOB))


def test_a_read_only_spool_does_not_harm_the_job(place: Place, small_disk: Path) -> None:
    """A file system mounted read-only."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert_unharmed(place.run(JOB, JOULEBOOK_SPOOL=str(small_disk)))


def test_a_corrupt_spool_does_not_harm_the_job_and_the_rest_is_delivered(place: Place) -> None:
    """Garbage in every file of an earlier run: the next run is recorded, and what is not garbage is delivered."""
    assert_unharmed(place.run(JOB))
    for path in [path for path in place.boot.rglob("*") if path.is_file()]:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2] + os.urandom(200) + data[len(data) // 2 :])
    assert_unharmed(place.run(JOB))
    keeper = place.deliver()
    assert keeper.conflicts == []
    assert len([event for event in keeper.facts(RunEvent) if event.kind == "started"]) == 2


def test_a_spool_that_is_removed_during_a_run_does_not_harm_the_job(place: Place) -> None:
    """Somebody cleans up in the middle of it."""
    program = JOB.replace(
        "time.sleep(0.3)", "import shutil, os; shutil.rmtree(os.environ['JOULEBOOK_SPOOL']); time.sleep(0.3)"
    )
    assert_unharmed(place.run(program))


def test_a_link_in_place_of_the_spool_is_not_followed(place: Place, tmp_path: Path) -> None:
    """Nobody makes us write where they want."""
    assert_unharmed(place.run(JOB))
    folder = Path(ledger_folder(place.settings))
    (tmp_path / "elsewhere").mkdir()
    shutil.rmtree(folder)
    folder.symlink_to(tmp_path / "elsewhere")
    assert_unharmed(place.run(JOB))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_spool_is_closed_to_everybody_else(place: Place) -> None:
    """0700, every folder of it, and its files 0600."""
    place.run(JOB)
    modes = {path.stat().st_mode & 0o077 for path in [place.spool, *place.spool.rglob("*")]}
    assert modes == {0}


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Its owner could read what is written there."""
    if os.getuid():
        pytest.skip("only root can give a folder away")
    folder = tmp_path / "spool"
    folder.mkdir()
    os.chown(folder, 65_534, 65_534)
    with pytest.raises(PermissionError, match="another user"):
        prepare(str(folder))


def test_the_spool_lies_on_a_local_disk(tmp_path: Path) -> None:
    """In the user's local state; below /var/tmp where home is on the network."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda / ext4 rw 0 0\nserver:/homes /homes nfs4 rw 0 0\n/dev/sdb /homes/local\\040disk xfs rw 0 0\n"
    )
    settings = load_settings({"HOME": "/homes/ada"}, str(tmp_path))
    assert file_system_of("/homes/ada/.local/state", str(mounts)) == "nfs4"
    assert spool_root(settings, {"HOME": "/homes/ada"}, str(mounts)) == f"/var/tmp/joulebook-{os.getuid()}"
    assert (
        spool_root(settings, {"HOME": "/homes/local disk"}, str(mounts)) == "/homes/local disk/.local/state/joulebook"
    )
    assert spool_root(settings, {"HOME": "/homes/ada", "XDG_STATE_HOME": "/state"}, str(mounts)) == "/state/joulebook"
    assert spool_root(settings.replaced(spool="/mine"), {}, str(mounts)) == "/mine"
