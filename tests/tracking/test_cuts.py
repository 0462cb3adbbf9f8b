"""SIGKILL at every point of the write path: whatever byte a write was cut at, the spool is sound and next to nothing is lost.

A reader and a delivery write into a spool as they always do; every write is kept. Then each state in between is laid out again, with
the next write cut at each of its bytes, as if everything had been killed there, and is recovered, read on and delivered.
"""

from __future__ import annotations

import copy
import itertools
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.tracked import Keeper

from joulebook_collectors.delivery.deliver import ASIDE, RETRY, Delivery, deliver_spool, reader_of
from joulebook_collectors.delivery.recovery import recover
from joulebook_collectors.host.clock import Clock
from joulebook_collectors.host.lock import LockedFile, forget, open_once
from joulebook_collectors.meters.find import FoundMeters, time_meter
from joulebook_collectors.meters.meter import CounterValue, MeterDescription
from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.reading.reader import Reader
from joulebook_collectors.spool.checkpoint import NOTES, Checkpoint, read_checkpoint
from joulebook_collectors.spool.endings import move_to_done
from joulebook_collectors.spool.folders import READER, write_once
from joulebook_collectors.spool.segments import Segment, create_segment, decode_frames
from joulebook_ledger.core.events import RunEvent
from joulebook_ledger.core.records import Window
from joulebook_ledger.core.wire import Answer, Outcome, Rejected, decode_batch

RUN, OTHER = "a" * 32, "b" * 32
START_MS = 1_800_000_027_000
MILLIWATTS = 10_000
MOST_LOST_MS = 5_000
Files = dict[str, bytes]


class Host:
    """A host whose clock the test moves, with one counter of 10 W.

    Attributes:
        writes: What the spool was before each write of the reader, what the write made of one file, and when.
    """

    description = MeterDescription(
        device="boot", domain="package-0", component="cpu", max_power_mw=500_000, label="", method="counter"
    )

    def __init__(self, folder: Path, now_ms: int = START_MS) -> None:
        self.folder = folder
        self.now_ms = now_ms
        self.writes: list[tuple[Files, str, bytes, int]] = []
        self._known: Files = files_of(folder)

    def read(self) -> CounterValue:
        """Answer with the counter: microjoules since long ago."""
        return CounterValue((self.now_ms - START_MS + 10_000) * MILLIWATTS, 1_000_000, 1 << 60)

    def close(self) -> None:
        """Hold nothing."""

    def reader(self, segment: Segment, checkpoint: Checkpoint) -> Reader:
        """Return a reader that has begun."""
        before = read_checkpoint(str(self.folder))
        reader = Reader(
            found=FoundMeters(meters=(self,), gpus=(), time=time_meter("boot"), absent=()),
            attendance=Attendance(str(self.folder), self.now_us()),
            segment=segment, checkpoint=checkpoint, sample_seconds=1.0, monotonic_us=self.now_us,
            clock=Clock(least_ms=before["reached"] if before else 0, wall_ms=lambda: self.now_ms, monotonic_ms=lambda: self.now_ms),
        )  # fmt: skip
        reader.begin(before)
        return reader

    def now_us(self) -> int:
        """Return the host's monotonic clock."""
        return self.now_ms * 1_000

    def note(self, path: str) -> None:
        """Keep what a write has made of a file."""
        name = os.path.relpath(path, self.folder)
        content = Path(path).read_bytes()
        if content != self._known.get(name):
            self.writes.append((self._known, name, content, self.now_ms))
            self._known = {**self._known, name: content}

    def announce(self, name: str, runs: list[str]) -> Segment:
        """Let a process of the test's own open runs."""
        segment = create_segment(str(self.folder), name)
        events = [{"run": run, "event": f"{name}.started", "kind": "started", "at_ms": self.now_ms} for run in runs]
        mark = {"at_us": self.now_us(), "cpu_us": 0, "waited_us": 0, "memory": 1, "runs": runs}
        segment.append({"process": {"pid": os.getpid(), "started": 0, "ancestors": []}, "runs": events, "mark": mark})
        self._known = files_of(self.folder)
        return segment


class Watched(Checkpoint):
    """A checkpoint every write of which is kept."""

    __slots__ = ("host",)

    def __init__(self, host: Host) -> None:
        super().__init__(str(host.folder))
        self.host = host

    def write(self, frame: dict[str, Any], rest: bytes = b"{}", *, sync: bool = False) -> None:
        """Write."""
        super().write(frame, rest, sync=sync)
        for number in range(2):
            self.host.note(str(self.host.folder / f"checkpoint.{number}"))


class Followed(Segment):
    """A segment every write of which is kept."""

    __slots__ = ("host",)
    host: Host

    def append(self, *frames: dict[str, Any]) -> None:
        """Write."""
        super().append(*frames)
        self.host.note(self.path)


def followed(host: Host, name: str) -> Followed:
    """Return a new segment that is followed."""
    made = create_segment(str(host.folder), name)
    segment = Followed(made.path, made._file)
    segment.host = host
    return segment


def files_of(folder: Path) -> Files:
    """Return the content of all files."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def lay_out(files: Files, folder: Path) -> Path:
    """Write files into a fresh folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def cut_states(before: Files, name: str, after: bytes) -> Iterator[bytes]:
    """Yield each distinct content that is to be told from the others, of all that a write cut at any byte can leave.

    Cuts after which the same frames are read are one: every byte is cut at and read, and recovered once for each thing that is read.
    """
    old = before.get(name, b"")
    seen: set[str] = set()
    for length in range(len(after) + 1):
        if name.endswith(".segment") or name in {ASIDE, RETRY}:
            if length < len(old):
                continue
            content = after[:length]
            readable = str(decode_frames(content)[0]) + str(content.endswith(b"\n"))
        else:
            content = after[:length] + old[length:]
            readable = str(decode_frames(content.partition(b"\n")[0] + b"\n")[0])
        if readable not in seen:
            seen.add(readable)
            yield content


def energy_mj(keeper: Keeper) -> int:
    """Return what the counter's windows hold."""
    return sum(w.energy_mj or 0 for w in keeper.facts(Window) if "package-0" in w.meter)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Return a host on which a reader wrote for 40 s, over a full minute; a run begins on the way."""
    folder = tmp_path_factory.mktemp("spool")
    write_once(str(folder / READER), {"reader": "r" * 32, "machine": "m", "boot": "boot", "host": "h", "rank": 1})
    host = Host(folder)
    held = [host.announce("job", [RUN])]
    segment = followed(host, "reader")
    reader = host.reader(segment, Watched(host))
    for second in range(40):
        host.now_ms += 1_000
        if second == 20:
            held.append(host.announce("other", [OTHER]))
        reader.tick()
    for open_segment in [*held, segment]:
        open_segment.close()
    return host


def killed(host: Host, folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield a spool for each state that a kill can leave, and when it happened."""
    number = itertools.count()
    for before, name, after, at_ms in host.writes:
        for content in cut_states(before, name, after):
            yield lay_out({**before, name: content}, folder / str(next(number))), at_ms


def test_every_write_was_kept_and_is_cut_at_every_byte(host: Host) -> None:
    """So that the tests below try what they say."""
    names = Counter(name.partition(".")[0] for _, name, _, _ in host.writes)
    assert names["checkpoint"] > 40
    assert names["reader"] >= 3
    cut = [list(cut_states(before, name, after)) for before, name, after, _ in host.writes]
    assert all(len(contents) >= 2 for contents, (_, _, after, _) in zip(cut, host.writes, strict=True) if after)


def test_a_kill_at_any_byte_loses_no_more_than_seconds_of_evidence(host: Host, tmp_path: Path) -> None:
    """All of it dead: the next command closes what was open, and tells nothing that was not so."""
    number = 0
    for folder, at_ms in killed(host, tmp_path):
        keeper = Keeper()
        recover(str(folder))
        deliver_spool(str(folder), keeper, at_ms)
        keeper.assert_sound()
        lost_mj = (at_ms - START_MS) * MILLIWATTS // 1_000 - energy_mj(keeper)
        assert 0 <= lost_mj <= MOST_LOST_MS * MILLIWATTS // 1_000
        assert all(at_ms - e.at_ms <= MOST_LOST_MS for e in keeper.facts(RunEvent) if e.kind == "ended")
        begun = {event.run for event in keeper.facts(RunEvent) if event.kind == "started"}
        assert begun == set(keeper.statuses)
        again = Keeper()
        recover(str(folder))
        deliver_spool(str(folder), again, at_ms)
        assert again.facts(Window) == []
        number += 1
    assert number > 100


@pytest.mark.parametrize("away_ms", [300, 40_000])
def test_a_kill_at_any_byte_loses_no_energy_that_the_counter_holds(host: Host, tmp_path: Path, away_ms: int) -> None:
    """Another process of the boot lives and reads on, at once or later: every millijoule since the first reading is in the books."""
    tried = 0
    for number, (folder, at_ms) in enumerate(killed(host, tmp_path)):
        if read_checkpoint(str(folder)) is None:
            continue  # killed before the first reading was written down
        tried += 1
        successor = Host(folder, at_ms + away_ms)
        survivor: LockedFile = open_once(str(folder / "job.segment"))
        assert survivor.try_take()
        segment = create_segment(str(folder), f"successor{number}")
        checkpoint = Checkpoint(str(folder))
        reader = successor.reader(segment, checkpoint)
        successor.now_ms += 1_000
        reader.tick()
        successor.now_ms += 1_000
        forget(survivor)
        reader.end()
        checkpoint.close()
        segment.close()
        keeper = Keeper()
        recover(str(folder))
        deliver_spool(str(folder), keeper, successor.now_ms)
        keeper.assert_sound()
        assert energy_mj(keeper) == (successor.now_ms - START_MS) * MILLIWATTS // 1_000
    assert tried > 80


class Stern:
    """A ledger that keeps each item once, refuses some, asks for some later, and minds that no batch is ever cut anew."""

    def __init__(self) -> None:
        self.names: Counter[str] = Counter()
        self.asked_later = 0
        self._batches: dict[int, bytes] = {}
        self._known: set[str] = set()

    def deliver(self, batch: bytes) -> Answer:
        """Keep a batch."""
        content = decode_batch(batch)
        assert self._batches.setdefault(content.sequence, batch) == batch
        exceptions = []
        for item in content.items:
            assert not isinstance(item.fact, Rejected)
            name = getattr(item.fact, "score", "")
            if name.startswith("later") and self.asked_later < 2:
                exceptions.append(Outcome(kind=item.kind, index=item.index, outcome="retry_later"))
            elif name.startswith("bad"):
                exceptions.append(Outcome(kind=item.kind, index=item.index, outcome="refused", reason="bad"))
            elif name not in self._known:
                self._known.add(name)
                self.names[name] += 1
        self.asked_later += any(outcome.outcome == "retry_later" for outcome in exceptions)
        return Answer(counts={}, exceptions=tuple(exceptions))


class Kept(Checkpoint):
    """Notes of a delivery: after each write, and after each answer, spool and ledger are kept as they are."""

    __slots__ = ("folder", "ledger", "states")

    def __init__(self, folder: Path, ledger: Stern) -> None:
        super().__init__(str(folder), NOTES)
        self.folder = folder
        self.ledger = ledger
        self.states: list[tuple[Files, Stern]] = []
        self.keep()

    def keep(self) -> None:
        """Keep the state."""
        self.states.append((files_of(self.folder), copy.deepcopy(self.ledger)))

    def write(self, frame: dict[str, Any], rest: bytes = b"{}", *, sync: bool = False) -> None:
        """Write."""
        self.keep()
        super().write(frame, rest, sync=sync)
        self.keep()

    def deliver(self, batch: bytes) -> Answer:
        """Pass a batch on to the ledger."""
        self.keep()
        answer = self.ledger.deliver(batch)
        self.keep()
        return answer


def test_a_delivery_killed_at_any_byte_sends_everything_once(tmp_path: Path) -> None:
    """Its notes, what is to come again and what was set aside: cut anywhere, no item is lost and none is cut into another batch."""
    folder = tmp_path / "spool"
    folder.mkdir()
    write_once(str(folder / READER), {"reader": "r" * 32, "machine": "m", "boot": "boot", "host": "h", "rank": 1})
    names = ["plain1", "bad1", "later1", "plain2", "later2", "bad2"]
    notes = Kept(folder, Stern())
    for number, part in enumerate((names[:3], names[3:], [])):
        segment = create_segment(str(folder), f"s{number}")
        segment.append(*({"scores": [{"run": RUN, "score": n, "name": "x", "value": "1", "at_ms": 1}]} for n in part))
        move_to_done(segment.path)
        segment.close()
        reader = reader_of(str(folder))
        assert reader is not None
        Delivery(str(folder), reader, notes).deliver(notes, START_MS)
    notes.close()
    assert set(notes.ledger.names) == {"plain1", "plain2", "later1", "later2"}
    tried = 0
    for (before, ledger), (after, _) in itertools.pairwise(notes.states):
        present = {n for n in names if any(n.encode() in content for content in before.values())}
        for name in [name for name, content in after.items() if before.get(name, b"") != content]:
            if name not in {ASIDE, RETRY} and not name.startswith(NOTES):
                continue  # written by the test
            for cut in cut_states(before, name, after[name]):
                place = lay_out({**before, name: cut}, tmp_path / f"cut{tried}")
                heard = copy.deepcopy(ledger)
                for _ in range(3):
                    deliver_spool(str(place), heard, START_MS)
                assert {n for n in present if not n.startswith("bad")} == set(heard.names) & present
                assert set(heard.names.values()) <= {1}
                aside = (place / ASIDE).read_bytes() if (place / ASIDE).exists() else b""
                assert all(n.encode() in aside for n in present if n.startswith("bad"))
                tried += 1
    assert tried > 20
