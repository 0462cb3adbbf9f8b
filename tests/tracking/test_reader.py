"""A reader ends its windows where it should, and its successor goes on where it stopped."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.told import Told

from joulebook_collectors.delivery.recovery import recover
from joulebook_collectors.host.clock import Clock
from joulebook_collectors.host.quickjson import decode
from joulebook_collectors.meters.find import FoundMeters, time_meter
from joulebook_collectors.meters.meter import CounterValue, MeterDescription, NoData
from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.reading.handover import Draft
from joulebook_collectors.reading.reader import Reader
from joulebook_collectors.spool.checkpoint import Checkpoint, read_checkpoint
from joulebook_collectors.spool.segments import Segment, create_segment

RUN = "a" * 32
HOUR_MS = 3_600_000
START_MS = 1_800_000_000_000 // HOUR_MS * HOUR_MS + 30_000
WATTS = 10


class CounterMeter:
    """A counter of 10 W, which may fail."""

    def __init__(self, host: Host, domain: str = "package-0", *, method: str = "counter") -> None:
        """Count from the host's boot."""
        self.description = MeterDescription(
            device="boot", domain=domain, component="cpu", max_power_mw=500_000, label="", method=method
        )
        self._host = host
        self.is_failing = False

    def read(self) -> CounterValue | NoData:
        """Answer."""
        if self.is_failing:
            return NoData("read_failed")
        return CounterValue(WATTS * self._host.monotonic_us, 1_000_000, 1 << 60)

    def close(self) -> None:
        """Hold nothing."""


class Host(Told):
    """A host whose clocks a test moves, with a spool and one tracked process: the test's own."""

    def __init__(self, folder: Path) -> None:
        """Begin with nothing tracked."""
        self.folder = str(folder)
        self.wall_ms = START_MS
        self.monotonic_us = 7_000_000_000
        self.meter = CounterMeter(self)
        self.meters: tuple[CounterMeter, ...] = (self.meter,)
        self.segments = [create_segment(self.folder, "job")]
        self.checkpoints: list[Checkpoint] = []
        event = {"run": RUN, "event": "job.1.started", "kind": "started", "at_ms": self.wall_ms}
        self.segments[0].append({"process": {"pid": os.getpid(), "started": 0, "ancestors": []}, "runs": [event]})

    def move(self, milliseconds: int, step_ms: int = 0) -> None:
        """Let time pass; the wall clock may step besides."""
        self.monotonic_us += milliseconds * 1_000
        self.wall_ms += milliseconds + step_ms

    def track(self, *runs: str) -> Segment:
        """Announce which runs are in force in the test's process from now on."""
        mark = {"at_us": self.monotonic_us, "cpu_us": 0, "waited_us": 0, "memory": 1, "runs": list(runs)}
        self.segments[0].append({"mark": mark})
        return self.segments[0]

    def reader(self) -> Reader:
        """Return a new reader, which has not begun."""
        before = read_checkpoint(self.folder)
        checkpoint = Checkpoint(self.folder)
        segment = create_segment(self.folder, f"reader{len(self.checkpoints)}")
        self.checkpoints.append(checkpoint)
        self.segments.append(segment)
        self.track(RUN)
        reader = Reader(
            found=FoundMeters(meters=self.meters, gpus=(), time=time_meter("boot"), absent=()),
            attendance=Attendance(self.folder, self.monotonic_us),
            segment=segment,
            checkpoint=checkpoint,
            clock=Clock(
                least_ms=before["reached"] if before else 0,
                wall_ms=lambda: self.wall_ms,
                monotonic_ms=lambda: self.monotonic_us // 1_000,
            ),
            sample_seconds=1.0,
            monotonic_us=lambda: self.monotonic_us,
        )
        reader.begin(before)
        return reader

    def held_ms(self) -> int:
        """Return for how long the run held the meter."""
        return sum(
            use["time_ms"]
            for frame in self.frames()
            for use in frame.get("uses", ())
            if use["run"] == RUN and "/package-0~" in use["meter"]
        )


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Return a host, and let go of its files."""
    host = Host(tmp_path)
    yield host
    for segment in host.segments:
        segment.close()
    for checkpoint in host.checkpoints:
        checkpoint.close()


def test_a_window_ends_at_each_utc_minute(host: Host) -> None:
    """From half past to the minute, and from there to the next."""
    reader = host.reader()
    for _ in range(95):
        host.move(1_000)
        reader.tick(rung=False)
    assert [(w["start_ms"] - START_MS, w["end_ms"] - START_MS) for w in host.windows()] == [
        (0, 30_000),
        (30_000, 90_000),
    ]
    assert host.total_mj() == WATTS * 90 * 1_000


def test_a_few_milliseconds_after_the_minute_count_as_the_minute(host: Host) -> None:
    """A thread wakes a little late; no window of a millisecond is made of that."""
    reader = host.reader()
    host.move(30_004)
    reader.tick(rung=False)
    assert [w["end_ms"] for w in host.windows()] == [START_MS + 30_000]


def test_a_window_ends_where_a_run_starts_or_ends(host: Host) -> None:
    """As soon as the bell is rung."""
    reader = host.reader()
    host.move(5_000)
    host.track(RUN, "b" * 32)
    reader.tick(rung=True)
    host.move(2_000)
    host.track(RUN)
    reader.tick(rung=True)
    assert [w["end_ms"] - START_MS for w in host.windows()] == [5_000, 7_000]


def test_a_forward_step_of_the_wall_clock_is_a_gap_for_every_meter(host: Host) -> None:
    """What lies between was no time at all: the energy is what the counter passed, and the gap says why."""
    reader = host.reader()
    host.move(10_000)
    reader.tick(rung=False)
    host.move(1_000, step_ms=600_000)
    reader.tick(rung=False)
    host.move(1_000)
    reader.end()
    assert [(w["end_ms"] - w["start_ms"], w.get("reason", "")) for w in host.windows()] == [
        (11_000, ""),
        (600_000, "clock_step"),
        (1_000, ""),
    ]
    assert host.total_mj() == WATTS * 12 * 1_000


def test_a_backward_step_of_the_wall_clock_makes_no_overlap(host: Host) -> None:
    """Time goes on a little slower; the energy is whole."""
    reader = host.reader()
    for number in range(100):
        host.move(1_000, step_ms=-3_600_000 if number == 10 else 0)
        reader.tick(rung=False)
    reader.end()
    windows = host.windows()
    assert all(a["end_ms"] == b["start_ms"] for a, b in pairwise(windows))
    assert host.total_mj() == WATTS * 100 * 1_000
    assert windows[-1]["end_ms"] - START_MS == 100_000 - (100_000 - 11_000) // 20


def test_a_successor_goes_on_with_the_open_window_of_a_dead_reader(host: Host) -> None:
    """Nothing of what the counter holds is lost, and nothing is counted twice; the run bears it all the while."""
    first = host.reader()
    host.move(10_000)
    first.tick()
    host.move(900)
    second = host.reader()
    host.move(1_000)
    second.end()
    assert host.total_mj() == WATTS * 11_900
    assert host.held_ms() == 11_900


def test_what_a_dead_reader_wrote_into_the_checkpoint_only_is_written_by_its_successor(host: Host) -> None:
    """It died between checkpoint and segment: the windows are told all the same, in the same words."""
    first = host.reader()
    host.move(5_000)
    first.tick()
    host.track(RUN, "b" * 32)
    host.move(1_000)
    first._segment = create_segment(host.folder, "lost")
    first._segment.close(remove=True)
    first.tick()
    assert host.windows() == []
    second = host.reader()
    assert [w["end_ms"] - START_MS for w in host.windows()][:1] == [6_000]
    host.move(1_000)
    second.end()
    assert host.total_mj() == WATTS * 7_000


def test_after_a_long_pause_with_a_run_open_what_the_counter_held_is_untracked(host: Host) -> None:
    """Nobody watched: who used it is not known, but that it was used is."""
    first = host.reader()
    host.move(10_000)
    first.tick()
    host.move(600_000)
    second = host.reader()
    assert host.total_mj() == WATTS * 610_000
    assert host.uses()["untracked"] >= WATTS * 600_000
    host.move(1_000)
    second.end()
    assert host.total_mj() == WATTS * 611_000


def test_after_a_pause_with_no_run_open_a_reader_starts_from_where_the_counter_stands(host: Host) -> None:
    """Hours without a reader are not in the books."""
    first = host.reader()
    host.move(10_000)
    first.tick()
    host.track()
    host.move(1_000)
    first.tick()
    first.end()
    host.move(600_000)
    second = host.reader()
    host.move(5_000)
    second.end()
    assert host.total_mj() == WATTS * 16_000


def test_a_command_closes_what_a_dead_reader_left_open(host: Host) -> None:
    """At the last checkpoint, once; the run of a process that is gone is ended as killed."""
    reader = host.reader()
    host.move(10_000)
    reader.tick()
    host.move(2_000)
    reader.tick(rung=False)
    for segment in host.segments:
        segment.close()
    recover(host.folder)
    recover(host.folder)
    assert host.total_mj() == WATTS * 12_000
    ended = [event for frame in host.frames() for event in frame.get("runs", ()) if event["kind"] == "ended"]
    assert [(event["status"], event["event"]) for event in ended] == [("killed", "job.1.ended")]


def test_a_checkpoint_holds_what_the_reader_knows_at_every_tick(host: Host) -> None:
    """Most of it is encoded once and written again as it stands: never a stale part of it, whatever happens in between.

    A model is sampled at looks only, a counter at every tick, and one of them fails at times.
    """
    host.meters = (host.meter, CounterMeter(host, "cpu-model", method="model"), CounterMeter(host, "package-1"))
    reader = host.reader()
    chance = random.Random(7)
    stale = []
    for step in range(400):
        host.meters[2].is_failing = chance.random() < 0.2
        host.move(chance.choice([1, 200, 1_000, 1_000, 4_000, 70_000]), step_ms=chance.choice([0] * 20 + [5_000, -300]))
        if chance.random() < 0.1:
            host.track(*chance.choice([[RUN], [], [RUN, "b" * 32]]))
        if chance.random() < 0.1:
            host.segments.append(create_segment(host.folder, f"other{step}"))
            reader.write_to(host.segments[-1])
        reader.tick(rung=chance.random() < 0.2)
        written = read_checkpoint(host.folder)
        draft = Draft().encoded(reader._watches, reader._attendance, reader._gpus.facts, reader._segment)
        known = decode(b"{" + draft) | {"reached": reader._reached_ms, "windows_us": reader._windows_us, "open": True}
        assert written is not None
        stale += [(step, name) for name in known if written[name] != known[name]]
        assert known["watches"] == [watch.to_json() for watch in reader._watches]
    assert stale == []


def test_a_damaged_checkpoint_costs_the_open_window_and_nothing_else(host: Host) -> None:
    """Both files torn: the next reader starts anew."""
    reader = host.reader()
    host.move(10_000)
    reader.tick()
    for name in ("checkpoint.0", "checkpoint.1"):
        path = Path(host.folder) / name
        path.write_bytes(path.read_bytes()[:100])
    assert read_checkpoint(host.folder) is None
    host.move(1_000)
    second = host.reader()
    host.move(5_000)
    second.end()
    assert host.total_mj() == WATTS * 5_000


def test_a_checkpoint_torn_at_any_byte_leaves_the_one_before(tmp_path: Path) -> None:
    """Two files in turn: one of them is always whole."""
    checkpoint = Checkpoint(str(tmp_path))
    checkpoint.write({"text": "a" * 300})
    checkpoint.write({"text": "b" * 300})
    checkpoint.close()
    path = tmp_path / "checkpoint.0"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        left = read_checkpoint(str(tmp_path))
        assert left is not None
        assert left["text"] in {"a" * 300, "b" * 300}


def test_a_meter_that_fails_at_the_end_of_a_minute_is_read_on(host: Host) -> None:
    """Its window is told when the next read succeeds; those of other meters end as they should."""
    reader = host.reader()
    host.move(29_000)
    reader.tick(rung=False)
    host.meter.is_failing = True
    host.move(1_000)
    reader.tick(rung=False)
    assert (host.windows(), len(host.windows("time"))) == ([], 1)
    host.meter.is_failing = False
    host.move(1_000)
    reader.tick(rung=True)
    host.move(1_000)
    reader.end()
    assert host.total_mj() == WATTS * 32_000
