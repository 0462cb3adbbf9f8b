"""Segments stay readable however they are cut, and never say what nobody wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from joulebook_collectors.spool.segments import FORM, create_segment, decode_frames, encode_frame

FRAMES = [{"runs": [{"run": "a" * 32, "event": f"e{n}", "text": "ä\n\x00"}], "number": n} for n in range(8)]
DATA = b"".join(map(encode_frame, FRAMES))


def test_a_segment_cut_at_every_byte_gives_the_frames_that_are_whole() -> None:
    """Whatever byte a crash cut it at: the frames before are read, and nothing else is."""
    for length in range(len(DATA) + 1):
        frames, damaged, end = decode_frames(DATA[:length])
        whole = DATA[:length].count(b"\n")
        assert (frames, damaged) == (FRAMES[:whole], 0)
        assert DATA[:end] == b"".join(map(encode_frame, FRAMES[:whole]))


def test_a_flipped_bit_costs_the_frames_it_lies_in_and_no_other() -> None:
    """Every single bit flipped: no wrong frame is ever read, and at most two are lost (where a line end is hit)."""
    for place in range(len(DATA)):
        for bit in range(8):
            data = bytearray(DATA)
            data[place] ^= 1 << bit
            frames, _, _ = decode_frames(bytes(data))
            assert all(frame in FRAMES for frame in frames)
            assert len(frames) >= len(FRAMES) - 2


@given(garbage=st.binary(max_size=300), place=st.integers(min_value=0, max_value=len(DATA)))
def test_garbage_in_a_segment_is_passed_over(garbage: bytes, place: int) -> None:
    """Bytes of somebody else in the middle of it never become a frame."""
    frames, _, _ = decode_frames(DATA[:place] + garbage + DATA[place:])
    assert all(frame in FRAMES for frame in frames)
    assert len(frames) >= len(FRAMES) - 2


def test_a_short_write_is_cut_back_and_made_good_later(tmp_path: Path) -> None:
    """A disk with room for a part of a frame: nothing torn remains, and when there is room again nothing is missing."""
    program = """
import resource, signal, sys
from joulebook_collectors.spool.segments import create_segment
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
segment = create_segment(sys.argv[1], "s")
segment.append({"n": 1})
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (30, hard))
segment.append({"n": 2, "text": "x" * 100})
print(segment.trouble, segment.is_written, open(segment.path, "rb").read().count(b"\\n"))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
segment.append({"n": 3})
print(segment.trouble, segment.is_written)
"""
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["No space left on device False 1", " True"]
    frames, damaged, _ = decode_frames((tmp_path / "s.segment").read_bytes())
    assert ([frame["n"] for frame in frames], damaged) == ([1, 2, 3], 0)


def test_frames_for_which_there_is_no_disk_are_kept_within_bounds(tmp_path: Path) -> None:
    """A disk that stays full costs the oldest frames, counted, and never all memory."""
    segment = create_segment(str(tmp_path), "s")
    segment.close()
    for number in range(20_100):
        segment._pending.append(encode_frame({"n": number}))
    segment.append({"n": "last"})
    assert (segment.lost, len(segment._pending), segment.is_written) == (101, 20_000, False)


def test_a_forked_child_writes_nothing_into_its_parents_segment(tmp_path: Path) -> None:
    """What a child inherits does nothing there."""
    segment = create_segment(str(tmp_path), "s")
    pid = os.fork()
    if pid == 0:
        segment.append({"n": 2})
        segment.close(remove=True)
        os._exit(0)
    os.waitpid(pid, 0)
    segment.append({"n": 1})
    assert decode_frames(Path(segment.path).read_bytes())[0] == [{"form": FORM, "n": 1}]
    segment.close()


def test_threads_that_append_side_by_side_lose_and_mix_nothing(tmp_path: Path) -> None:
    """Each frame is written once, whole, and in the order of its thread."""
    import threading

    segment = create_segment(str(tmp_path), "s")

    def write(name: int) -> None:
        for number in range(200):
            segment.append({"thread": name, "number": number})

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    segment.append()
    frames, damaged, _ = decode_frames(Path(segment.path).read_bytes())
    by_thread = {name: [f["number"] for f in frames if f["thread"] == name] for name in range(4)}
    assert damaged == 0
    assert by_thread == {name: list(range(200)) for name in range(4)}
    segment.close()
