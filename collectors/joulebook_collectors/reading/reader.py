"""The reader of a host: samples the meters, ends windows, and leaves each second what a successor needs to go on.

A window ends at each UTC minute and wherever a run starts or ends. Its records are written into the checkpoint before they are
written into the segment: whoever takes over in between writes them again, word for word, and the ledger knows them already.

A successor goes on with the open windows where the counters of the same boot stand: what processes did meanwhile, the kernel still
knows. After more than five seconds nobody can tell any more who used what: then that time is `untracked`, if a run was open all the
while, and else no business of ours.
"""

from __future__ import annotations

import os
import time

from joulebook_collectors.host.guard import say_once
from joulebook_collectors.presence.gpus import GpuLookout
from joulebook_collectors.presence.span import Span
from joulebook_collectors.reading.handover import (
    AGENT,
    Draft,
    close_checkpoint,
    frame_of,
    quick_part,
    restored,
    spans_of,
)
from joulebook_collectors.reading.windows import MODEL, Watch, meter_item
from joulebook_collectors.spool.endings import finish
from joulebook_collectors.spool.segments import ROLLED, is_full

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from joulebook_collectors.host.clock import Clock
    from joulebook_collectors.meters.find import FoundMeters
    from joulebook_collectors.meters.meter import MeterDescription
    from joulebook_collectors.presence.attendance import Attendance
    from joulebook_collectors.spool.checkpoint import Checkpoint
    from joulebook_collectors.spool.segments import Frame, Segment

MINUTE_MS = 60_000
SNAP_MS = 20
EVIDENCE_US = 5_000_000
LONGEST_STEP_MS = 86_400_000
CLOCK_STEP = "clock_step"
_MOST_CLOSED = 100
LOOK_SECONDS = 4
MODELLED_SECONDS = 3  # between two looks that are all there is: the checkpoint is no fresher than the last one
LATENESS_MS = 200


class Reader:
    """Reads for one host. The holder of the host's lock makes one, and calls `begin`, `tick` and `end` from one thread."""

    __slots__ = (
        "_attendance", "_checkpoint", "_clock", "_closed", "_draft", "_found", "_gpus", "_handed", "_is_agent", "_is_modelled", "_listener", "_max_gap_ms",
        "_monotonic_us", "_next_look_ms", "_next_minute_ms", "_reached_ms", "_saved", "_segment", "_watches", "_windows_us",
    )  # fmt: skip

    def __init__(
        self, *, found: FoundMeters, attendance: Attendance, segment: Segment, checkpoint: Checkpoint, clock: Clock,
        sample_seconds: float, monotonic_us: Callable[[], int] = lambda: time.monotonic_ns() // 1000,
        is_agent: bool = False, listener: Callable[[Frame, int], None] | None = None,
        proc_root: str = "/proc",
    ) -> None:  # fmt: skip
        """Begin nothing yet.

        Args:
            found: The meters.
            attendance: Who is there.
            segment: Where windows are written.
            checkpoint: Where open windows are kept.
            clock: The reader's time.
            sample_seconds: Time between two samples.
            monotonic_us: The host's monotonic clock, microseconds.
            is_agent: Whether it reads for as long as the host runs: then the time while it was away is `untracked`, also without runs.
            listener: Is told of every frame of windows, and when windows ended, on the monotonic clock.
            proc_root: Where the kernel says whether ids of processes are the host's own, as the drivers of GPUs name them.
        """
        self._is_agent = is_agent
        self._listener = listener
        self._found = found
        self._attendance = attendance
        self._segment = segment
        self._checkpoint = checkpoint
        self._clock = clock
        self._monotonic_us = monotonic_us
        self._is_modelled = all(meter.description.method == MODEL for meter in found.meters)
        self._max_gap_ms = int(sample_seconds * 1500)
        self._gpus = GpuLookout(found.gpus, proc_root)
        self._watches: list[Watch] = []
        self._closed: list[Frame] = []
        self._saved = 0  # how many of them the checkpoint holds
        self._handed = 0  # how many of them the segment was given
        self._reached_ms = 0
        self._windows_us = 0
        self._next_minute_ms = 0
        self._next_look_ms = 0
        self._draft = Draft()

    def begin(self, before: Frame | None) -> None:
        """Begin to read: go on where the checkpoint of a predecessor stops, or from where the counters stand now."""
        if before is not None:
            self._reached_ms = before["reached"]
        now_ms = self._now_ms()
        span = Span()
        sources = [(meter, meter.description) for meter in self._found.meters]
        for meter, description in [*sources, (None, self._found.time)]:
            self._watches.append(
                Watch(meter, description, start_ms=now_ms, max_gap_ms=self._max_gap_ms, span=span),
            )
        self._name_meters()
        if before is not None:
            self._take_over(before, restored(before))
        self._tick_at(now_ms, look=True, end_window=True)

    def tick(self, *, rung: bool = True, end_window: bool = False) -> bool:
        """Sample; end the window where it is time; leave a checkpoint.

        While nobody rings, runs neither start nor end; processes are looked at only every few seconds, and what is modelled from
        their work is no more than that. A tick in between costs little more than waking up.

        Returns:
            Whether processes were looked at: what can wait a few seconds is best done then.
        """
        step_ms = self._clock.follow()
        now_ms = self._now_ms(step_ms)
        end_window = end_window or step_ms > 0 or now_ms >= self._next_minute_ms
        look = rung or end_window or self._is_modelled or now_ms >= self._next_look_ms
        self._tick_at(now_ms, look=look, end_window=end_window)
        if step_ms:
            self._follow_step(now_ms + step_ms)
            self._save(is_open=True)
        return look

    def _tick_at(self, now_ms: int, *, look: bool, end_window: bool) -> None:
        for watch in self._watches:
            if look or watch.is_lively:
                watch.sample(now_ms)
        self._reached_ms = now_ms
        if look:
            self._next_look_ms = now_ms + LOOK_SECONDS * 1000 - LATENESS_MS
            self._look(now_ms, end_window=end_window)
        self._hand_over()
        self._save(is_open=True)
        self._hand_over()
        if self._attendance.gone:
            self._finish_the_gone()

    def _look(self, now_ms: int, *, end_window: bool) -> None:
        """See who is there and what they did; where runs started or ended, end the window too."""
        now_us = self._monotonic_us()
        spans = spans_of(self._watches)
        self._gpus.name_devices(self._attendance)
        ends = self._attendance.advance(now_us, spans) or end_window
        self._attendance.look(now_us, spans, everywhere=ends)
        self._gpus.look(self._attendance, spans, now_us, at_once=ends)
        self._draft.forget()
        if ends and self._has_room():
            self._windows_us = now_us
            self._close_windows(now_ms)
        elif ends:
            self._next_minute_ms = (now_ms // MINUTE_MS + 1) * MINUTE_MS

    def _has_room(self) -> bool:
        """Tell whether windows can be written: else they stay open, and the counters keep what goes into them."""
        self._hand_over()
        is_first = not self._windows_us  # what was taken over is not written yet, and must not be mixed with what comes
        return is_first or (not self._closed and not is_full(os.path.dirname(self._segment.path)))

    @property
    def open_energy(self) -> list[tuple[MeterDescription, int]]:
        """What each meter counted in its open window so far, millijoules."""
        return [(watch.description, watch.open_mj) for watch in self._watches]

    def write_to(self, segment: Segment) -> bool:
        """Go on in a new segment, so that the old one can be sent and removed; False where the old one is not written yet."""
        if self._closed or not self._segment.is_written:
            return False
        self._save(is_open=True)
        self._segment.append(ROLLED)
        self._segment = segment
        self._name_meters()  # segments are sent in no order, and a ledger takes no window of a meter that it does not know
        self._draft.forget()
        return True

    def _name_meters(self) -> None:
        self._segment.append({"meters": [meter_item(watch.description) for watch in self._watches]})

    def end(self, *, leaves_to_agent: bool = False) -> None:
        """End every window. Where others still have runs, the next reader goes on from here; else nothing is left open.

        Nor is it where the host's agent reads from here on; what an agent leaves open its successor goes on with.
        """
        self.tick(end_window=True)
        is_open = self._is_agent or (bool(self._attendance.runs) and not leaves_to_agent)
        if not is_open:
            self._write(frame_of(self._watches, [watch.give_up(self._reached_ms) for watch in self._watches]))
        self._save(is_open=is_open)
        if not self._closed:
            self._segment.append(ROLLED)

    def seconds_to_next(self, sample_ms: int) -> float:
        """Return how long to wait for the next sample: on a grid on which the UTC minutes lie.

        Where every meter is a model, there is nothing to sample between two looks.
        """
        if self._is_modelled:
            sample_ms = max(sample_ms, MODELLED_SECONDS * 1000)
        now_ms = self._clock.now_ms()
        return min(sample_ms - now_ms % sample_ms, max(1, self._next_minute_ms - now_ms)) / 1000

    def _now_ms(self, step_ms: int = 0) -> int:
        """Return the present, a few milliseconds after a full minute as the minute itself, and never before what was told."""
        now_ms = self._clock.now_ms() - step_ms
        over_ms = now_ms % MINUTE_MS
        if over_ms <= SNAP_MS:
            now_ms -= over_ms
        return max(now_ms, self._reached_ms)

    def _close_windows(self, now_ms: int) -> None:
        self._next_minute_ms = (now_ms // MINUTE_MS + 1) * MINUTE_MS
        frame = frame_of(self._watches, [watch.close(now_ms) for watch in self._watches])
        fresh = Span()
        for watch in self._watches:
            if watch.start_ms >= now_ms:
                watch.span = fresh
        self._write(self._with_facts(frame))

    def _follow_step(self, now_ms: int) -> None:
        """The wall clock stepped forward: what lies between, of which there was no time, is a gap."""
        items = [watch.skip(self._reached_ms, now_ms, CLOCK_STEP, LONGEST_STEP_MS) for watch in self._watches]
        self._reached_ms = now_ms
        self._next_minute_ms = (now_ms // MINUTE_MS + 1) * MINUTE_MS
        self._write(frame_of(self._watches, items))

    def _write(self, frame: Frame) -> None:
        """Write windows: first into the checkpoint, then into the segment; what a disk refused stays in the checkpoint."""
        self._draft.forget()
        if frame:
            self._closed.append(frame)
            self._save(is_open=True)
            self._hand_over()
            if self._listener is not None:
                self._listener(frame, self._windows_us)

    def _hand_over(self) -> None:
        """Write into the segment what the checkpoint holds, and nothing else: a successor would tell of it once more, in other words."""
        if not self._closed:
            return
        self._segment.append(*self._closed[self._handed : self._saved])
        self._handed = self._saved
        if self._handed == len(self._closed) and self._segment.is_written:
            self._closed, self._handed, self._saved = [], 0, 0

    def _save(self, *, is_open: bool) -> None:
        """Leave a checkpoint."""
        draft = self._draft.encoded(self._watches, self._attendance, self._gpus.facts, self._segment)
        quick = quick_part(
            is_open=is_open, at_us=self._monotonic_us(), windows_us=self._windows_us, reached_ms=self._reached_ms,
            closed=self._closed[-_MOST_CLOSED:], is_agent=self._is_agent,
        )  # fmt: skip
        try:
            self._checkpoint.write({}, quick + draft)
        except OSError as error:
            say_once(f"the checkpoint cannot be written ({error.strerror}); the job goes on")
        else:
            self._saved = len(self._closed)

    def _take_over(self, before: Frame, left: list[Watch]) -> None:
        self._closed = [*before["closed"]]
        self._saved = len(self._closed)
        known = {watch.key: watch for watch in left}
        self._attendance.resume(before["attendance"], spans_of([*known.values()]), before["at_us"])
        self._gpus.facts.update(before["facts"])
        for watch in self._watches:
            if watch.key in known:
                watch.remember(known[watch.key])
        now_us = self._monotonic_us()
        goes_on = (self._is_agent and AGENT in before) or (before["open"] and bool(self._attendance.runs))
        if goes_on and before["open"] and now_us - before["at_us"] <= EVIDENCE_US:
            self._go_on(known)
            return
        self._attendance.skip_to(now_us)
        frame = close_checkpoint(before, goes_on=goes_on)
        if frame:
            self._closed.append(frame)
        if goes_on:
            self._book_as_unwatched(known)

    def _go_on(self, known: dict[str, Watch]) -> None:
        for watch in self._watches:
            if watch.key in known:
                watch.take_over(known.pop(watch.key))
        lost = [*known.values()]
        frame = frame_of(lost, [watch.give_up(self._reached_ms) for watch in lost])
        if frame:
            self._closed.append(frame)

    def _book_as_unwatched(self, known: dict[str, Watch]) -> None:
        """Let each counter go on from its last value: what it counted since, while a run was open, nobody can be named for."""
        span = Span()
        span.is_unwatched = True
        for watch in self._watches:
            if watch.key in known:
                watch.take_over(known[watch.key])
                watch.give_up_before(self._reached_ms)
            watch.span = span

    def _with_facts(self, frame: Frame) -> Frame:
        """Add what was learnt on the way of runs that are over."""
        over = [run for run in self._gpus.facts if run not in self._attendance.runs]
        if not over:
            return frame
        events = [
            {
                "run": run,
                "event": os.urandom(8).hex(),
                "kind": "labelled",
                "at_ms": self._reached_ms,
                "facts": self._gpus.facts.pop(run),
            }
            for run in over
        ]
        return {**frame, "runs": events}

    def _finish_the_gone(self) -> None:
        for path, seen_us in self._attendance.gone:
            finish(path, self._clock.at(seen_us // 1000) if seen_us else 0)
        self._attendance.gone.clear()
