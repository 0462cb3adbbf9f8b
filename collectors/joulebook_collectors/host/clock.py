"""A reader's time: wall clock at an anchor, plus monotonic time since. It never runs backwards.

The monotonic clock is one for all processes of a host, so an instant noted by one of them is understood by every other. A forward
step of the wall clock is followed at the next window, with a gap in between; a backward step is walked off, a twentieth slower than
real time, so that no window ever overlaps another and none looks as if twice the power had been drawn.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STEP_MS = 200
WALK_OFF_PARTS = 20
_NANOSECONDS_PER_MS = 1_000_000


def wall_ms() -> int:
    """Return the wall clock, milliseconds since the epoch, UTC."""
    return time.time_ns() // _NANOSECONDS_PER_MS


def monotonic_ms() -> int:
    """Return the host's monotonic clock, milliseconds."""
    return time.monotonic_ns() // _NANOSECONDS_PER_MS


class Clock:
    """A clock that two functions drive; tests drive it with their own."""

    __slots__ = ("_anchor_ms", "_monotonic_ms", "_owed_ms", "_slow_from_ms", "_wall_ms")

    def __init__(
        self,
        *,
        least_ms: int = 0,
        start_ms: int | None = None,
        wall_ms: Callable[[], int] = wall_ms,
        monotonic_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        """Start from `start_ms`, or from the wall clock, but never before `least_ms`: what was already told of stays told."""
        self._wall_ms = wall_ms
        self._monotonic_ms = monotonic_ms
        self._anchor_ms = (max(wall_ms(), least_ms) if start_ms is None else start_ms) - monotonic_ms()
        self._slow_from_ms: int | None = None
        self._owed_ms = 0

    def now_ms(self) -> int:
        """Return the present."""
        return self.at(self._monotonic_ms())

    def at(self, monotonic_ms: int) -> int:
        """Return when something was that happened at this instant of the monotonic clock."""
        if self._slow_from_ms is None:
            return self._anchor_ms + monotonic_ms
        return self._anchor_ms + monotonic_ms - self._walked_off_ms(monotonic_ms)

    def follow(self) -> int:
        """Compare with the wall clock and follow it; return how far it had stepped ahead of us, milliseconds, else 0.

        After a forward step the present is later at once: whoever asks ends a window first, and tells of a gap.
        """
        monotonic_ms = self._monotonic_ms()
        ahead_ms = self._wall_ms() - self.at(monotonic_ms)
        if self._slow_from_ms is not None:
            walked_off_ms = self._walked_off_ms(monotonic_ms)
            if ahead_ms >= 0 or walked_off_ms == self._owed_ms:
                self._anchor_ms -= walked_off_ms
                self._slow_from_ms = None
        if ahead_ms <= -STEP_MS and self._slow_from_ms is None:
            self._slow_from_ms, self._owed_ms = monotonic_ms, -ahead_ms
        if ahead_ms < STEP_MS:
            return 0
        self._anchor_ms += ahead_ms
        return ahead_ms

    def _walked_off_ms(self, monotonic_ms: int) -> int:
        """Return how much of a backward step was walked off by then: never more than it was, however long nobody asked."""
        if self._slow_from_ms is None:
            return 0
        return min(max(0, monotonic_ms - self._slow_from_ms) // WALK_OFF_PARTS, self._owed_ms)
