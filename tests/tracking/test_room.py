"""A ledger that is away for long, and a disk that fills: windows become fewer, and every sum stays what it was."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_ledger import FakeLedger
from helpers.tracked import Keeper

from joulebook_collectors.delivery.deliver import Delivery, deliver_spool, reader_of
from joulebook_collectors.delivery.recovery import recover
from joulebook_collectors.host.clock import Clock
from joulebook_collectors.meters.find import FoundMeters, time_meter
from joulebook_collectors.meters.meter import CounterValue, MeterDescription
from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.reading.reader import Reader
from joulebook_collectors.reading.rolling import Rolling
from joulebook_collectors.spool.checkpoint import NOTES, Checkpoint
from joulebook_collectors.spool.endings import move_to_done
from joulebook_collectors.spool.folders import READER, write_once
from joulebook_collectors.spool.merging import merged
from joulebook_collectors.spool.segments import FULL, ROLLED, Segment, create_segment, size_of
from joulebook_ledger.core.events import RunEvent, Score
from joulebook_ledger.core.records import Use, Window, meter_id
from joulebook_ledger.core.refusals import Unavailable
from joulebook_ledger.settings import load_settings

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
START_MS = 1_800_000_000_000 // HOUR_MS * HOUR_MS
METERS = {
    domain: {"device": "d", "domain": domain, "component": "cpu", "boundary": "device", "role": "counted", "max_power_mw": 900_000, "label": ""}
    for domain in ("package-0", "package-1")
}  # fmt: skip
IDS = {domain: meter_id("d", domain, "cpu", "device", "counted", 900_000, "") for domain in METERS}
RUNS = ["a" * 32, "b" * 32, "untracked"]
Frame = dict[str, Any]


def hour_of_work(hour: int, dice: random.Random) -> Iterator[Frame]:
    """Yield an hour of windows of a minute or less of two meters: readings of two methods, gaps of two reasons, and holes."""
    for domain in METERS:
        at_ms = START_MS + hour * HOUR_MS
        kind = "counter"
        while at_ms < START_MS + (hour + 1) * HOUR_MS:
            end_ms = min(at_ms + dice.choice([MINUTE_MS, 17_003]), START_MS + (hour + 1) * HOUR_MS)
            if dice.random() < 0.05:
                kind = dice.choice(["counter", "sensor", "read_failed", "not_read", "hole"])
            if kind != "hole":
                yield window_frame(domain, at_ms, end_ms, kind, dice)
            at_ms = end_ms


def window_frame(domain: str, start_ms: int, end_ms: int, kind: str, dice: random.Random) -> Frame:
    """Return a window of some kind with its uses."""
    window: Frame = {"meter": IDS[domain], "start_ms": start_ms, "end_ms": end_ms}
    energy = dice.randrange(3, 900 * (end_ms - start_ms) // 2)
    if kind in {"counter", "sensor"}:
        window |= {"energy_mj": energy, "method": kind}
    else:
        window |= {"reason": kind, **({"estimate_mj": energy} if kind == "read_failed" else {})}
    share = energy // 3 if "energy_mj" in window else 0
    uses = [
        {"meter": IDS[domain], "start_ms": start_ms, "run": run, "energy_mj": share, "static_mj": share // 4, "time_ms": 1_000,
         "active_ms": 500, "method": "cpu_time, static 3 mW declared"}
        for run in dice.sample(RUNS, dice.randrange(0, 3))
    ]  # fmt: skip
    return {"readings" if "energy_mj" in window else "gaps": [window], "uses": uses}


def spool(folder: Path, hours: int, seed: int = 1, *, rolled: bool = True) -> Path:
    """Make a spool with a finished segment for each hour."""
    folder.mkdir()
    write_once(str(folder / READER), {"reader": "r" * 32, "machine": "m", "boot": "b", "host": "h", "rank": 0})
    work(folder, range(hours), seed, rolled=rolled)
    return folder


def work(folder: Path, hours: range, seed: int = 1, *, rolled: bool = True) -> None:
    """Leave a finished segment for each of some hours."""
    for hour in hours:
        dice = random.Random(f"{seed} {hour}")
        segment = create_segment(str(folder), f"s{hour:03}")
        event = {
            "run": RUNS[0],
            "event": f"e{hour}",
            "kind": "labelled",
            "at_ms": START_MS + hour,
            "labels": {"model": "m"},
        }
        score = {"run": RUNS[0], "score": f"s{hour}", "name": "x", "value": "1", "at_ms": START_MS}
        segment.append(
            {"meters": [*METERS.values()]}, {"runs": [event]}, *hour_of_work(hour, dice), {"scores": [score]}
        )
        if rolled:
            segment.append(ROLLED)
        move_to_done(segment.path)
        segment.close()


def delivered(folder: Path, keeper: Keeper | None = None) -> Keeper:
    """Return what a ledger gets of a spool."""
    keeper = Keeper() if keeper is None else keeper
    deliver_spool(str(folder), keeper, START_MS + 10_000 * HOUR_MS)
    return keeper


def squeezed(folder: Path, most_bytes: int) -> None:
    """Try to deliver while the ledger is away and the spool may hold so much."""
    away = FakeLedger()
    away.failure = Unavailable("away")
    with pytest.raises(Unavailable):
        deliver_spool(str(folder), away, START_MS, most_bytes)


def assert_the_same(less: Keeper, plain: Keeper) -> None:
    """Compare what two ledgers make of what they got: hour by hour, account by account, method by method."""
    less.assert_sound()
    assert less.usage() == plain.usage()
    assert len(less.facts(RunEvent)) == len(plain.facts(RunEvent))
    assert len(less.facts(Score)) == len(plain.facts(Score))
    gaps = [Counter((w.meter, w.reason) for w in k.facts(Window) if w.is_gap) for k in (less, plain)]
    assert set(gaps[0]) == set(gaps[1])
    estimates = [sum(w.estimate_mj or 0 for w in k.facts(Window)) for k in (less, plain)]
    assert estimates[0] == estimates[1]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_merged_is_less_and_the_same(seed: int, tmp_path: Path) -> None:
    """No two windows are left that could be one, and their uses say that they were merged."""
    plain = delivered(spool(tmp_path / "plain", 6, seed))
    folder = spool(tmp_path / "spool", 1, seed)
    squeezed(folder, 0)  # the first hour is in a batch now
    work(folder, range(1, 6), seed)
    before = size_of(str(folder))
    squeezed(folder, 1_000)
    assert size_of(str(folder)) < before / 2
    squeezed_book = delivered(folder)
    assert_the_same(squeezed_book, plain)
    batch_one = {(f.meter, f.start_ms) for f in squeezed_book.batches[0].facts() if isinstance(f, Window)}
    windows = sorted(squeezed_book.facts(Window), key=lambda w: (w.meter, w.start_ms))
    assert len(windows) < len(plain.facts(Window))
    for one, next_one in pairwise(windows):
        is_apart = (one.meter, one.method, one.reason, one.start_ms // HOUR_MS) != (
            next_one.meter, next_one.method, next_one.reason, next_one.start_ms // HOUR_MS,
        )  # fmt: skip
        was_cut = {(w.meter, w.start_ms) for w in (one, next_one)} <= batch_one
        assert is_apart or one.end_ms != next_one.start_ms or was_cut
    told = Counter("merged of" in use.method for use in squeezed_book.facts(Use))
    assert told[True] > 0


def test_what_was_in_a_batch_is_never_merged(tmp_path: Path) -> None:
    """Cut, and not answered: it is sent in the same words, and the rest around it is merged."""
    plain = delivered(spool(tmp_path / "plain", 3))
    folder = spool(tmp_path / "spool", 2)
    squeezed(folder, 0)  # all of it is now in a batch
    work(folder, range(2, 3))
    squeezed(folder, 1_000)
    names = sorted(path.name.split("-")[0] for path in (folder / "done").iterdir())
    assert names == ["merged", "s000.segment", "s001.segment"]
    squeezed_book = delivered(folder)
    assert len(squeezed_book.batches) == 2
    assert_the_same(squeezed_book, plain)
    assert "merged" not in str([use.method for use in squeezed_book.batches[0].facts() if isinstance(use, Use)])


def test_what_a_dead_reader_left_is_not_merged(tmp_path: Path) -> None:
    """Its successor may have written the last of it once more: a merged window must never overlap that."""
    folder = spool(tmp_path / "spool", 1)
    squeezed(folder, 0)
    work(folder, range(1, 3), rolled=False)
    names = {path.name for path in (folder / "done").iterdir()}
    squeezed(folder, 1_000)
    assert {path.name for path in (folder / "done").iterdir()} == names
    assert (folder / FULL).exists()


def test_a_copy_of_what_was_sent_is_not_merged(tmp_path: Path) -> None:
    """Sent by one segment and once more in another: the windows behind it become one without it."""
    folder = spool(tmp_path / "spool", 1)
    keeper = delivered(folder)
    work(folder, range(2))
    notes = Checkpoint(str(folder), NOTES)
    reader = reader_of(str(folder))
    assert reader is not None
    Delivery(str(folder), reader, notes).merge(["s000.segment", "s001.segment"])
    notes.close()
    delivered(folder, keeper)
    keeper.assert_sound()
    hours = Counter(w.start_ms // HOUR_MS for w in keeper.facts(Window) if w.meter == IDS["package-0"])
    assert hours[START_MS // HOUR_MS + 1] < hours[START_MS // HOUR_MS]


class Stopping(Checkpoint):
    """Notes whose writer is killed just before, or just after, one of its writes."""

    __slots__ = ("after", "left")

    def write(self, frame: dict[str, Any], rest: bytes = b"{}", *, sync: bool = False) -> None:
        """Write, or be killed."""
        self.left -= 1
        if self.left < 0 and not self.after:
            raise KeyboardInterrupt
        super().write(frame, rest, sync=sync)
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("write", [0, 1])
def test_a_merge_killed_in_its_middle_counts_nothing_twice(tmp_path: Path, write: int, *, after: bool) -> None:
    """Before the note the old ones hold, after it the new one does."""
    plain = delivered(spool(tmp_path / "plain", 3))
    folder = spool(tmp_path / "spool", 3)
    notes = Stopping(str(folder), NOTES)
    notes.left, notes.after = write, after
    reader = reader_of(str(folder))
    assert reader is not None
    with pytest.raises(KeyboardInterrupt):
        Delivery(str(folder), reader, notes).merge(["s000.segment", "s001.segment"])
    notes.close()
    assert_the_same(delivered(folder), plain)
    assert [path for path in (folder / "done").iterdir() if path.suffix == ".segment"] == []


def test_a_ledger_that_is_back_takes_the_mark_away(tmp_path: Path) -> None:
    """Readers write again at once."""
    folder = spool(tmp_path / "spool", 2)
    squeezed(folder, 10)
    assert (folder / FULL).exists()
    delivered(folder)
    assert not (folder / FULL).exists()


class Host:
    """A host with a counter of 10 W, an hour of which is over in a moment."""

    description = MeterDescription(
        device="boot", domain="package-0", component="cpu", max_power_mw=500_000, label="", method="counter"
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_ms = START_MS + 59 * MINUTE_MS

    def read(self) -> CounterValue:
        """Answer."""
        return CounterValue((self.now_ms - START_MS) * 10_000, 1_000_000, 1 << 60)

    def close(self) -> None:
        """Hold nothing."""

    def reader(self, segment: Segment | None = None) -> Reader:
        """Return a reader that has begun."""
        reader = Reader(
            found=FoundMeters(meters=(self,), gpus=(), time=time_meter("boot"), absent=()),
            attendance=Attendance(str(self.folder), self.now_ms * 1_000), segment=segment or create_segment(str(self.folder), "reader"),
            checkpoint=Checkpoint(str(self.folder)), sample_seconds=60.0, monotonic_us=lambda: self.now_ms * 1_000,
            clock=Clock(wall_ms=lambda: self.now_ms, monotonic_ms=lambda: self.now_ms),
        )  # fmt: skip
        reader.begin(None)
        return reader


def test_without_room_the_reader_keeps_its_windows_open(tmp_path: Path) -> None:
    """The counters keep the energy; when there is room there is one window for each hour, and not a millijoule is missing."""
    write_once(str(tmp_path / READER), {"reader": "r" * 32, "machine": "m", "boot": "b", "host": "h", "rank": 0})
    host = Host(tmp_path)
    reader = host.reader()
    (tmp_path / FULL).touch()
    for _ in range(100):
        host.now_ms += MINUTE_MS
        reader.tick()
    (tmp_path / FULL).unlink()
    host.now_ms += MINUTE_MS
    reader.tick()
    reader.end()
    copied = tmp_path.parent / "copied"
    shutil.copytree(tmp_path, copied)
    recover(str(copied))
    keeper = delivered(copied)
    keeper.assert_sound()
    windows = sorted((w for w in keeper.facts(Window) if "package-0" in w.meter), key=lambda w: w.start_ms)
    assert [(w.end_ms - w.start_ms) // MINUTE_MS for w in windows] == [1, 60, 40]
    assert sum(w.energy_mj or 0 for w in windows) == 101 * 60 * 10_000


class Job(Host):
    """A host whose reader lives in a job, with segments of a kilobyte, and a spool that may hold so much."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        super().__init__(folder)
        write_once(str(folder / READER), {"reader": "r" * 32, "machine": "m", "boot": "b", "host": "h", "rank": 1})
        own = create_segment(str(folder), "reader")
        self._reader = self.reader(own)
        self._rolling = Rolling(own, most_bytes, largest_bytes=1_000)

    def work(self, hours: int) -> None:
        """Go on."""
        for _ in range(hours * 60):
            self.now_ms += MINUTE_MS
            self._reader.tick()
            self._rolling.turn(self._reader)

    def told(self, keeper: Keeper | None = None) -> list[Window]:
        """End, and return what a ledger has of the processor."""
        self._reader.end()
        self._rolling.end()
        copied = self.folder / "copied"
        shutil.copytree(self.folder, copied, ignore=lambda *_: ["copied"])
        recover(str(copied))
        keeper = delivered(copied, keeper)
        keeper.assert_sound()
        return sorted((w for w in keeper.facts(Window) if "package-0" in w.meter), key=lambda w: w.start_ms)


def test_what_the_reader_of_a_job_wrote_is_merged_while_the_job_goes_on(tmp_path: Path) -> None:
    """It goes on in a new segment when one is large; the finished ones give room, and not a millijoule is missing."""
    job = Job(tmp_path, 0)
    job.work(1)
    squeezed(tmp_path, 0)  # what is cut by now stays as it is
    job.work(5)
    for path in (tmp_path / "done").iterdir():
        assert b'"meters"' in path.read_bytes(), "sent in whatever order, its windows are of a meter that it names"
    before = size_of(str(tmp_path))
    squeezed(tmp_path, 1_000)
    assert any(path.name.startswith("merged-") for path in (tmp_path / "done").iterdir())
    assert size_of(str(tmp_path)) < before * 0.6
    (tmp_path / FULL).unlink()
    job.work(1)
    windows = job.told()
    assert sum(w.energy_mj or 0 for w in windows) == 7 * 60 * MINUTE_MS * 10
    assert len(windows) < 3 * 60


def test_where_nobody_delivers_the_reader_itself_minds_the_limit(tmp_path: Path) -> None:
    """The spool stays within a segment or two of it; what comes then is in the counters, and in one window for each hour."""
    job = Job(tmp_path, 40_000)
    job.work(20)
    assert (tmp_path / FULL).exists()
    assert size_of(str(tmp_path)) < 44_000
    (tmp_path / FULL).unlink()
    windows = job.told()
    assert sum(w.energy_mj or 0 for w in windows) == 20 * 60 * MINUTE_MS * 10
    assert {(w.end_ms - w.start_ms) // MINUTE_MS for w in windows} >= {1, 60}


def test_what_is_no_window_is_passed_on_as_it_is() -> None:
    """The ledger says what is wrong with it; the merge does not break on it."""
    odd = {
        "readings": ["x", {"meter": 1}],
        "uses": [None, {"meter": "m", "start_ms": 1, "run": "r", "method": "m", "time_ms": "1"}],
    }
    (frame,) = merged([odd], lambda _: True)
    assert frame == {"form": 1, **odd}


def test_how_much_a_spool_may_hold_can_be_set(tmp_path: Path) -> None:
    """In megabytes; what is no number is said, and the usual bound holds."""
    assert load_settings({"JOULEBOOK_SPOOL_MEGABYTES": "1.5"}, str(tmp_path)).spool_megabytes == 1.5
    refused = load_settings({"JOULEBOOK_SPOOL_MEGABYTES": "much"}, str(tmp_path))
    assert (refused.spool_megabytes, "megabytes" in refused.problems[0]) == (1024.0, True)
