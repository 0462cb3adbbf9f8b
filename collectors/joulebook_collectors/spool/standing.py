"""How a spool stands: who lives in it, what is open, until when all was written down, and what a batch of it is made of."""

from __future__ import annotations

import os

from joulebook_collectors.host.lock import is_held, read_file
from joulebook_collectors.spool.checkpoint import read_checkpoint
from joulebook_collectors.spool.segments import decode_frames, segment_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Cut:
    """What a batch is made of.

    Attributes:
        sequence: Its number.
        start: Segment's name -> where it begins in it.
        end: Segment's name -> where it ends.
        state: active, or retired.
        complete_ms: All windows that end before it have been sent with this batch.
    """

    __slots__ = ("complete_ms", "end", "sequence", "start", "state")

    def __init__(self, sequence: int, start: dict[str, int], end: dict[str, int], state: str, complete_ms: int) -> None:
        self.sequence = sequence
        self.start = start
        self.end = end
        self.state = state
        self.complete_ms = complete_ms

    def to_json(self) -> list[Any]:
        """Return it as it is noted."""
        return [self.sequence, self.start, self.end, self.state, self.complete_ms]


def is_anybody_there(folder: str) -> bool:
    """Tell whether a process lives that writes here."""
    return any(is_held(os.path.join(folder, name)) is not False for name in segment_names(folder))


def is_left_open(folder: str) -> bool:
    """Tell whether windows of a reader wait for a successor, or for whoever recovers the spool."""
    checkpoint = read_checkpoint(folder)
    return checkpoint is not None and bool(checkpoint["open"] or checkpoint["closed"])


def oldest_live_ns(folder: str) -> int:
    """Return when the oldest segment of a living process began, or the far future where none lives."""
    oldest = 1 << 63
    for name in segment_names(folder):
        path = os.path.join(folder, name)
        try:
            frames, _, _ = decode_frames(read_file(path))
        except OSError:
            continue
        if not any("process" in frame for frame in frames):
            continue  # windows alone, or nothing yet: what it may want to read is still to come
        times = [event["at_ms"] for frame in frames for event in frame.get("runs", ())]
        oldest = min(oldest, min(times, default=1 << 40) * 1_000_000)
    return oldest


def complete_until(folder: str, now_ms: int) -> int:
    """Return the instant before which all windows stand in the segments: the start of the open ones."""
    checkpoint = read_checkpoint(folder)
    if checkpoint is None:
        return 0
    starts: list[int] = [min([start, *(piece[0] for piece in pieces)]) for start, *_, pieces in checkpoint["watches"]]
    closed: list[int] = [
        w["start_ms"] for frame in checkpoint["closed"] for kind in ("readings", "gaps") for w in frame.get(kind, ())
    ]
    return min([now_ms, *starts, *closed])
