"""What a reader leaves in each checkpoint, and what its successor, or a command, makes of it.

Most of it changes only when windows end and when the processes are looked at: that part is encoded once and written again as it
stands. What changes each second is small: the instant, and where those counters are that are read each second.
"""

from __future__ import annotations

from joulebook_collectors.host.clock import Clock, monotonic_ms, wall_ms
from joulebook_collectors.host.quickjson import encode
from joulebook_collectors.meters.meter import MeterDescription
from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.presence.span import Span
from joulebook_collectors.reading.windows import Watch, meter_item
from joulebook_collectors.spool.checkpoint import NOTES, read_checkpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from joulebook_collectors.spool.segments import Frame, Segment

AGENT = "agent"


class Draft:
    """The greater part of a reader's checkpoint, kept as it was encoded; `quick_part` goes before it."""

    __slots__ = ("_descriptions", "_lively", "_rest", "_states")

    def __init__(self) -> None:
        self._descriptions: list[bytes] = []
        self._states: list[bytes] = []
        self._lively: list[int] = []
        self._rest = b""

    def forget(self) -> None:
        """Encode all of it anew next time: windows have ended, or somebody was looked at."""
        self._rest = b""

    def encoded(
        self, watches: list[Watch], attendance: Attendance, facts: dict[str, dict[str, int | str]], segment: Segment
    ) -> bytes:
        """Return it; unless all was forgotten, only those watches are encoded that each tick samples.

        Args:
            watches: The meters under watch; always the same ones.
            attendance: Who is there.
            facts: What was learnt of runs on the way.
            segment: The reader's own.
        """
        if self._rest:
            for place in self._lively:
                self._states[place] = watches[place].encoded()
        else:
            self._lively = [place for place, watch in enumerate(watches) if watch.is_lively]
            self._states = [watch.encoded() for watch in watches]
            self._rest = self._encoded_rest(watches, attendance, facts, segment)
        return b'"watches":[%s],%s' % (b",".join(self._states), self._rest)

    def _encoded_rest(
        self, watches: list[Watch], attendance: Attendance, facts: dict[str, dict[str, int | str]], segment: Segment
    ) -> bytes:
        if not self._descriptions:
            self._descriptions = [_json(_described(watch.description)) for watch in watches]
        spans = spans_of(watches)
        rest = {
            "reader": segment.name,
            "spans": [span.to_json() for span in spans],
            "attendance": attendance.to_json(),
            "facts": facts,
        }
        meters = [
            b"[%s,%d]" % (description, spans.index(watch.span))
            for description, watch in zip(self._descriptions, watches, strict=True)
        ]
        return b'"meters":[%s],%s' % (b",".join(meters), _json(rest)[1:])


def quick_part(
    *, is_open: bool, at_us: int, windows_us: int, reached_ms: int, closed: list[Frame], is_agent: bool
) -> bytes:
    """Return the part of a checkpoint that changes each second, encoded, up to where the draft goes on.

    Args:
        is_open: Whether windows are open.
        at_us: The present, on the host's monotonic clock.
        windows_us: When windows ended last, on the same clock: all that was announced before is in them.
        reached_ms: The present, in the reader's time.
        closed: Windows that may not stand in the segment yet.
        is_agent: Whether the reader is the host's agent.
    """
    told = b"[]" if not closed else _json(closed)
    return b'{"open":%s,"at_us":%d,"windows_us":%d,"reached":%d,"closed":%s,%s' % (
        b"true" if is_open else b"false", at_us, windows_us, reached_ms, told, b'"agent":true,' if is_agent else b"",
    )  # fmt: skip


def _described(description: MeterDescription) -> dict[str, int | str | None]:
    return {name: getattr(description, name) for name in MeterDescription.__slots__}


def _json(value: Any) -> bytes:
    return encode(value).encode()


def restored(checkpoint: Frame) -> list[Watch]:
    """Return the watches of a checkpoint, without their meters; those that shared a span share it again."""
    spans = [Span.from_json(sums) for sums in checkpoint["spans"]]
    watches = []
    for (description, span), state in zip(checkpoint["meters"], checkpoint["watches"], strict=True):
        watch = Watch(None, MeterDescription(**description), start_ms=state[0], max_gap_ms=0, span=spans[span])
        watch.resume(state)
        watches.append(watch)
    return watches


def close_checkpoint(checkpoint: Frame, *, goes_on: bool = False) -> Frame:
    """Return the windows that a dead reader left open, as far as its checkpoint tells, as a frame; empty where it left none.

    Where its successor `goes_on` with the counters, what could not be read last is no gap: it is in what they show next.
    """
    if not checkpoint["open"]:
        return {}
    watches = restored(checkpoint)
    Attendance("", 0).resume(checkpoint["attendance"], spans_of(watches), checkpoint["at_us"])
    return frame_of(watches, [watch.give_up(checkpoint["reached"], goes_on=goes_on) for watch in watches])


def meters_of(checkpoint: Frame) -> list[dict[str, Any]]:
    """Return the meters of a checkpoint as facts: a disk may have refused them to the reader that is dead."""
    return [meter_item(MeterDescription(**description)) for description, _ in checkpoint["meters"]]


def last_seen(checkpoint: Frame) -> dict[str, int]:
    """Return segment -> when its process was last seen alive, in the reader's time; of the reader itself, its last checkpoint."""
    seen = {
        name: checkpoint["reached"] - (checkpoint["at_us"] - tracked["seen_us"]) // 1000
        for name, tracked in checkpoint["attendance"]["tracked"].items()
    }
    return {**seen, checkpoint["reader"]: checkpoint["reached"]}


def clock_after(
    folder: str,
    checkpoint: Frame | None,
    *,
    wall_ms: Callable[[], int] = wall_ms,
    monotonic_ms: Callable[[], int] = monotonic_ms,
) -> Clock:
    """Return the clock of who reads next in a spool.

    Where windows are open it goes on as that of its predecessor would have, and follows the wall clock from there: what a counter
    passed in between has the time it took. Else it begins anew, but never before what was told, nor before an instant of which a ledger
    was told that all before it is known.
    """
    notes = read_checkpoint(folder, NOTES) or {}
    *_, unanswered_ms = notes.get("unanswered") or [0]
    least_ms = max(notes.get("complete_ms", 0), unanswered_ms)
    if checkpoint is None:
        return Clock(least_ms=least_ms, wall_ms=wall_ms, monotonic_ms=monotonic_ms)
    reached_ms = checkpoint["reached"]
    passed_ms = max(0, monotonic_ms() - checkpoint["at_us"] // 1000)
    start_ms = reached_ms + passed_ms if checkpoint["open"] else None
    return Clock(least_ms=max(least_ms, reached_ms), start_ms=start_ms, wall_ms=wall_ms, monotonic_ms=monotonic_ms)


def frame_of(watches: list[Watch], windows: list[list[dict[str, Any]]]) -> Frame:
    """Return windows with their uses as one frame; an empty one where there are none."""
    devices = [watch.description.device for watch in watches if watch.description.component == "gpu"]
    frame: Frame = {}
    for watch, items in zip(watches, windows, strict=True):
        for item in items:
            frame.setdefault("readings" if "energy_mj" in item else "gaps", []).append(item)
            frame.setdefault("uses", []).extend(watch.uses(item, devices))
    return frame


def spans_of(watches: list[Watch]) -> list[Span]:
    """Return the spans of open windows, each once."""
    spans: list[Span] = []
    for watch in watches:
        if watch.span not in spans:
            spans.append(watch.span)
    return spans
