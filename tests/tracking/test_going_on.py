"""Who goes on with what another one left: the same time, the same words, nothing twice. Each was found by a simulated fleet."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from joulebook_collectors.delivery.recovery import recover
from joulebook_collectors.host.clock import Clock
from joulebook_collectors.meters.find import FoundMeters, time_meter
from joulebook_collectors.meters.meter import CounterValue, MeterDescription, NoData
from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.presence.gpus import GpuLookout
from joulebook_collectors.presence.span import Span
from joulebook_collectors.reading.handover import clock_after, close_checkpoint
from joulebook_collectors.reading.reader import Reader
from joulebook_collectors.reading.windows import Watch
from joulebook_collectors.spool.checkpoint import NOTES, Checkpoint, read_checkpoint
from joulebook_collectors.spool.endings import finish
from joulebook_collectors.spool.segments import Segment, create_segment, decode_frames, encode_frame, segment_names
from joulebook_collectors.spool.standing import complete_until
from joulebook_collectors.tracking.session import Session
from joulebook_ledger.settings import Settings

RUN = "a" * 32
HOUR_MS = 3_600_000
START_MS = 1_800_000_000_000 // HOUR_MS * HOUR_MS + 30_000
WATTS = 100


class FullCheckpoint(Checkpoint):
    """A checkpoint on a disk that may refuse."""

    is_refused = False

    def write(self, frame: Any, rest: bytes = b"{}", *, sync: bool = False) -> None:
        """Write it, if the disk lets us."""
        if self.is_refused:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(frame, rest, sync=sync)


class Host:
    """A host with one counter that hardly draws less than it can, whose clocks a test moves."""

    description = MeterDescription(
        device="boot", domain="package-0", component="cpu", max_power_mw=WATTS * 1_000, label="", method="counter"
    )

    def __init__(self, folder: Path) -> None:
        """Begin with one tracked process."""
        self.folder = str(folder)
        self.wall_ms = START_MS
        self.monotonic_us = 7_000_000_000
        self.is_failing = False
        self.is_disk_full = False
        self.checkpoints: list[FullCheckpoint] = []
        self.segments = [create_segment(self.folder, "job")]
        event = {"run": RUN, "event": "job.1.started", "kind": "started", "at_ms": self.wall_ms}
        self.segments[0].append({"process": {"pid": os.getpid(), "started": 0, "ancestors": []}, "runs": [event]})
        self.track(RUN)

    def track(self, *runs: str) -> None:
        """Say which runs are in force from now on."""
        mark = {"at_us": self.monotonic_us, "cpu_us": 0, "waited_us": 0, "memory": 1, "runs": list(runs)}
        self.segments[0].append({"mark": mark})

    def move(self, milliseconds: int, step_ms: int = 0) -> None:
        """Let time pass; the wall clock may step besides."""
        self.monotonic_us += milliseconds * 1_000
        self.wall_ms += milliseconds + step_ms

    def read(self) -> CounterValue | NoData:
        """Answer as a meter."""
        return NoData("read_failed") if self.is_failing else CounterValue(WATTS * self.monotonic_us, 1_000_000, 1 << 60)

    def close(self) -> None:
        """Hold nothing."""

    def reader(self) -> Reader:
        """Let a new reader begin."""
        before = read_checkpoint(self.folder)
        self.checkpoints.append(FullCheckpoint(self.folder))
        self.segments.append(create_segment(self.folder, f"reader{len(self.segments)}"))
        segment = refusing(self.segments[-1]) if self.is_disk_full else self.segments[-1]
        reader = Reader(
            found=FoundMeters(meters=(self,), gpus=(), time=time_meter("boot"), absent=()),
            attendance=Attendance(self.folder, self.monotonic_us), segment=segment, checkpoint=self.checkpoints[-1],
            clock=clock_after(self.folder, before, wall_ms=lambda: self.wall_ms, monotonic_ms=lambda: self.monotonic_us // 1_000),
            sample_seconds=1.0, monotonic_us=lambda: self.monotonic_us,
        )  # fmt: skip
        reader.begin(before)
        return reader

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Return all items of a kind, repetitions included."""
        places = [Path(self.folder), Path(self.folder) / "done"]
        frames = [
            frame
            for place in places
            for name in segment_names(str(place))
            for frame in decode_frames((place / name).read_bytes())[0]
        ]
        return [item for frame in frames for item in frame.get(kind, ())]

    def windows(self) -> list[dict[str, Any]]:
        """Return the counter's windows in order, each once; whoever tells of one again uses the same words."""
        found: dict[int, dict[str, Any]] = {}
        for window in [*self.told("readings"), *self.told("gaps")]:
            if "/package-0~" in window["meter"]:
                assert found.setdefault(window["start_ms"], window) == window
        return [found[start] for start in sorted(found)]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Return a host, and let go of its files."""
    host = Host(tmp_path)
    yield host
    for segment in host.segments:
        segment.close()
    for checkpoint in host.checkpoints:
        checkpoint.close()


def reasons(host: Host) -> list[str]:
    """Return the reasons of all gaps."""
    return [window["reason"] for window in host.windows() if "reason" in window]


def read_mj(host: Host) -> int:
    """Return the energy of all windows."""
    return sum(window.get("energy_mj", 0) for window in host.windows())


@pytest.mark.parametrize("pause_ms", [3_000, 60_000])
def test_a_clock_that_was_set_back_does_not_squeeze_what_a_counter_passed(host: Host, pause_ms: int) -> None:
    """The successor's time goes on as the dead reader's would have: full power is no implausible jump."""
    first = host.reader()
    host.move(10_000)
    first.tick()
    host.move(pause_ms, step_ms=-HOUR_MS)
    second = host.reader()
    host.move(1_000)
    second.end()
    assert reasons(host) == []
    assert read_mj(host) == WATTS * (11_000 + pause_ms)


def test_a_clock_that_was_set_forward_between_two_readers_is_a_gap(host: Host) -> None:
    """No hour passed: it is not in the reading."""
    first = host.reader()
    host.move(10_000)
    first.tick()
    host.move(1_000, step_ms=HOUR_MS)
    second = host.reader()
    host.move(1_000)
    second.end()
    assert set(reasons(host)) == {"clock_step"}
    assert read_mj(host) == WATTS * 12_000
    assert sum(w["end_ms"] - w["start_ms"] for w in host.windows() if "energy_mj" in w) == 12_000


def test_a_read_that_fails_as_the_clock_steps_costs_nothing(host: Host) -> None:
    """The time since the last answer lies behind the gap, and so does its energy."""
    reader = host.reader()
    host.move(10_000)
    reader.tick(rung=False)
    host.is_failing = True
    host.move(1_000, step_ms=20_000)
    reader.tick(rung=False)
    host.is_failing = False
    host.move(100)
    reader.end()
    assert reasons(host) == ["clock_step"]
    assert read_mj(host) == WATTS * 11_100


def test_a_backward_step_is_walked_off_and_not_more(tmp_path: Path) -> None:
    """Also where nobody asked for the time for long."""
    times = {"wall": 1_000_000, "monotonic": 0}
    clock = Clock(wall_ms=lambda: times["wall"], monotonic_ms=lambda: times["monotonic"])
    times["wall"] -= 1_000
    clock.follow()
    for name in times:
        times[name] += 60_000
    assert (clock.follow(), clock.now_ms()) == (0, times["wall"])


def test_nothing_is_told_of_time_that_was_said_to_be_complete(tmp_path: Path) -> None:
    """A ledger was told that all before an instant is known; then the wall clock was set back."""
    notes = Checkpoint(str(tmp_path), NOTES)
    notes.write({"complete_ms": 5_000, "unanswered": None})
    assert clock_after(str(tmp_path), None, wall_ms=lambda: 2_000, monotonic_ms=lambda: 0).now_ms() == 5_000
    notes.write({"complete_ms": 5_000, "unanswered": [2, {}, {}, "active", 6_000]})
    before = {"open": False, "reached": 1_000, "at_us": 0}
    assert clock_after(str(tmp_path), before, wall_ms=lambda: 2_000, monotonic_ms=lambda: 0).now_ms() == 6_000
    notes.close()


def test_what_the_checkpoint_does_not_hold_is_not_in_the_segment(host: Host) -> None:
    """A successor would go on from the checkpoint and tell of the same time in other words."""
    first = host.reader()
    host.move(10_000)
    first.tick(rung=False)
    host.checkpoints[0].is_refused = True
    host.track(RUN, "b" * 32)
    host.move(1_000)
    first.tick()
    first.end()
    host.move(3_000)
    second = host.reader()
    host.move(5_000)
    second.end()
    first._segment.append()
    assert read_mj(host) == WATTS * 19_000
    assert [w["end_ms"] - START_MS for w in host.windows()] == [14_000, 19_000]


def test_what_was_not_read_last_is_no_gap_where_the_successor_has_it(host: Host) -> None:
    """Half a minute later the counter tells of that second too."""
    first = host.reader()
    host.move(10_000)
    first.tick(rung=False)
    host.is_failing = True
    host.move(1_000)
    first.tick(rung=False)
    host.is_failing = False
    host.move(30_000)
    second = host.reader()
    host.move(1_000)
    second.end()
    assert reasons(host) == []
    assert read_mj(host) == WATTS * 42_000
    assert [w["end_ms"] - START_MS for w in host.windows()][:1] == [10_000]
    assert all(a["end_ms"] == b["start_ms"] for a, b in pairwise(host.windows()))


def test_what_a_checkpoint_holds_is_told_in_the_same_words_however_often(host: Host) -> None:
    """Closing it leaves it as it is, though it counts the time until the last sign of life."""
    reader = host.reader()
    host.is_failing = True
    for runs in ((), (RUN,), (RUN,)):  # the window stays open meanwhile: its meter does not answer
        host.move(3_000)
        host.track(*runs)
        reader.tick()
    before = read_checkpoint(host.folder)
    assert before is not None
    before["at_us"] += 2_000_000
    assert close_checkpoint(before) == close_checkpoint(before) != {}


def test_a_frame_that_lacks_nothing_but_its_end_counts(tmp_path: Path) -> None:
    """A process died one byte before the end of the frame that began a run: the run is there, and was killed."""
    event = {"run": RUN, "event": "job.1.started", "kind": "started", "at_ms": 5}
    path = tmp_path / "job.segment"
    path.write_bytes(encode_frame({"runs": [event]})[:-1])
    assert finish(str(path), 7)
    frames, damaged, _ = decode_frames((tmp_path / "done" / "job.segment").read_bytes())
    assert damaged == 0
    assert [(e["kind"], e.get("status")) for f in frames for e in f["runs"]] == [("started", None), ("ended", "killed")]


def test_complete_is_only_what_lies_before_every_piece_of_an_open_window(tmp_path: Path) -> None:
    """A meter that fails keeps its window open, with pieces that ended long ago."""
    watch = Watch(None, Host.description, start_ms=0, max_gap_ms=1_500, span=Span())
    watch.observe(CounterValue(50, 1_000_000, 0), 10)
    watch.observe(CounterValue(10, 1_000_000, 0), 1_000)
    checkpoint = Checkpoint(str(tmp_path))
    checkpoint.write({"watches": [watch.to_json()], "closed": []})
    checkpoint.close()
    assert complete_until(str(tmp_path), 5_000) == 0


def test_a_segment_that_a_full_disk_cut_short_is_not_finished_by_its_owner(tmp_path: Path) -> None:
    """Then the next command ends its runs as killed; among the finished ones nobody would look at it again."""
    session = Session(Settings(ledger=f"sqlite:///{tmp_path}/book", home=str(tmp_path), spool=str(tmp_path / "spool")))
    path = Path(session._segment.path)
    session._segment._pending.append(b"what the disk refused")
    session.finish()
    assert path.exists()


def test_a_command_that_recovers_windows_tells_of_their_meters_too(host: Host) -> None:
    """The disk may have refused that word to the reader that is dead."""
    reader = host.reader()
    host.move(10_000)
    reader.tick()
    for segment in host.segments:
        Path(segment.path).unlink()
        segment.close()
    recover(host.folder)
    assert {meter["domain"] for meter in host.told("meters")} == {"package-0", "time"}
    assert read_mj(host) == WATTS * 10_000


def test_windows_of_a_dead_reader_stay_in_the_checkpoint_until_a_segment_has_them(host: Host) -> None:
    """Its successor's disk refuses, and it dies too: the third one tells of them."""
    host.is_disk_full = True
    first = host.reader()
    host.move(10_000)
    first.tick(end_window=True)
    second = host.reader()
    host.move(1_000)
    second.tick(rung=False)
    assert host.windows() == []
    host.is_disk_full = False
    third = host.reader()
    third.end()
    assert [w["end_ms"] - START_MS for w in host.windows()] == [10_000, 11_000]


class Refusing(Segment):
    """A segment on a disk that refuses."""

    __slots__ = ()

    def _write(self, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refusing(segment: Segment) -> Refusing:
    """Return a segment to which the disk refuses everything."""
    return Refusing(segment.path, segment._file)


@pytest.mark.parametrize(("namespace", "expected"), [("pid:[4026531836]", True), ("pid:[4026539999]", False)])
def test_whether_pids_are_the_hosts_is_asked_where_the_kernel_is_mounted(
    tmp_path: Path, namespace: str, *, expected: bool
) -> None:
    """As drivers of GPUs name them."""
    (tmp_path / "self" / "ns").mkdir(parents=True)
    (tmp_path / "self" / "ns" / "pid").symlink_to(namespace)
    gpus: Any = [Host]
    assert GpuLookout(gpus, str(tmp_path))._pids_are_hosts is expected
