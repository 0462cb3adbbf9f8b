"""What a delivery notes down: how far it came, what is to come again, and until when everything was told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.tracked import Keeper

from joulebook_collectors.delivery.deliver import ASIDE, MOST_ITEMS, RETRY, deliver_spool, stand_of
from joulebook_collectors.spool.checkpoint import Checkpoint
from joulebook_collectors.spool.endings import move_to_done
from joulebook_collectors.spool.folders import READER, write_once
from joulebook_collectors.spool.lines import MOST_BYTES, append_whole
from joulebook_collectors.spool.segments import create_segment, decode_frames, encode_frame

NOW_MS = 1_800_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return a spool with a reader and nothing else."""
    write_once(str(tmp_path / READER), {"reader": "r" * 32, "machine": "m", "boot": "b", "host": "h", "rank": 1})
    return str(tmp_path)


def spool(folder: str, name: str, *frames: dict[str, object]) -> None:
    """Leave a finished segment."""
    segment = create_segment(folder, name)
    segment.append(*frames)
    move_to_done(segment.path)
    segment.close()


def score(*names: str) -> dict[str, object]:
    """Return a frame with scores."""
    return {"scores": [{"run": "a" * 32, "score": name, "name": "x", "value": "1", "at_ms": NOW_MS} for name in names]}


def test_a_first_batch_of_many_does_not_say_that_all_was_told(folder: str) -> None:
    """What is still to come may be older: a month must not be held complete before it is."""
    spool(folder, "a", *(score(f"a{n}") for n in range(MOST_ITEMS + 1)))
    spool(folder, "b", score("b"))
    keeper = Keeper()
    deliver_spool(folder, keeper, NOW_MS)
    told = [batch.complete_until_ms for batch in keeper.batches]
    assert (len(told) > 1, set(told[:-1]), told[-1]) == (True, {0}, NOW_MS)
    spool(folder, "c", *(score(f"c{n}") for n in range(MOST_ITEMS + 1)))
    spool(folder, "d", score("d"))
    later = Keeper()
    deliver_spool(folder, later, NOW_MS + 9)
    assert [batch.complete_until_ms for batch in later.batches] == [NOW_MS, NOW_MS + 9]


def test_a_reader_whose_windows_are_left_open_is_not_retired(folder: str) -> None:
    """An agent that stops leaves them to its successor; until then what it owes begins where they do."""
    spool(folder, "a", score("a"))
    checkpoint = Checkpoint(folder)
    checkpoint.write({"open": True, "closed": [], "watches": [[NOW_MS - 5_000, []]]})
    keeper = Keeper()
    deliver_spool(folder, keeper, NOW_MS)
    checkpoint.write({"open": False, "closed": [], "watches": [[NOW_MS - 5_000, []]]})
    deliver_spool(folder, keeper, NOW_MS)
    assert [(batch.state, batch.complete_until_ms) for batch in keeper.batches] == [
        ("active", NOW_MS - 5_000),
        ("retired", NOW_MS),
    ]


def test_what_was_to_come_again_and_came_is_removed(folder: str) -> None:
    """A file that only grows would fill the disk."""
    spool(folder, "a", score("a"))
    keeper = Keeper()
    keeper.later = {"scores"}
    for _ in range(3):
        deliver_spool(folder, keeper, NOW_MS)
        assert Path(folder, RETRY).exists()
    keeper.later = set()
    deliver_spool(folder, keeper, NOW_MS)
    assert not Path(folder, RETRY).exists()
    assert RETRY not in stand_of(folder)["offsets"]
    keeper.later = {"scores"}
    spool(folder, "b", score("b"))
    deliver_spool(folder, keeper, NOW_MS)
    keeper.later = set()
    assert deliver_spool(folder, keeper, NOW_MS) == 1


def test_a_line_longer_than_a_batch_is_sent_all_the_same(folder: str) -> None:
    """A host of very many runs has long windows; the rest does not wait behind one."""
    long = score(*(f"l{n}" for n in range(MOST_BYTES // 100)))
    assert len(encode_frame(long)) > MOST_BYTES
    spool(folder, "a", score("first"), long, score("last"))
    keeper = Keeper()
    deliver_spool(folder, keeper, NOW_MS)
    names = [getattr(fact, "score", "") for batch in keeper.batches for fact in batch.facts()]
    assert (names[0], names[-1], len(names)) == ("first", "last", MOST_BYTES // 100 + 2)


def test_what_a_full_disk_refuses_is_not_struck_off(tmp_path: Path) -> None:
    """The file is as it was, and the batch is sent again."""
    program = """
import resource, signal, sys
from joulebook_collectors.spool.lines import append_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
append_whole(sys.argv[1], b"first\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (9, resource.RLIM_INFINITY))
try:
    append_whole(sys.argv[1], b"second\\n")
except OSError as error:
    print(error.strerror, open(sys.argv[1], "rb").read())
"""
    command = [sys.executable, "-c", program, str(tmp_path / ASIDE)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.split(" b'") == ["No space left on device", "first\\n'\n"]


def test_a_torn_line_harms_none_that_follows(tmp_path: Path) -> None:
    """Somebody was killed in the middle of it."""
    path = tmp_path / RETRY
    path.write_bytes(encode_frame({"n": 1})[:-4])
    append_whole(str(path), encode_frame({"n": 2}))
    assert decode_frames(path.read_bytes())[:2] == ([{"n": 2}], 1)
