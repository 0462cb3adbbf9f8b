"""A reader's clock follows forward steps, walks off backward ones, and never runs back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from joulebook_collectors.host.clock import STEP_MS, Clock


class Hands:
    """A wall clock and a monotonic clock that a test moves."""

    def __init__(self) -> None:
        """Begin at some time."""
        self.wall = 1_800_000_000_000
        self.monotonic = 5_000

    def clock(self, least_ms: int = 0) -> Clock:
        """Return a clock with these hands."""
        return Clock(least_ms=least_ms, wall_ms=lambda: self.wall, monotonic_ms=lambda: self.monotonic)

    def move(self, elapsed_ms: int, step_ms: int = 0) -> None:
        """Let time pass; `step_ms` is by how much the wall clock is set besides."""
        self.monotonic += elapsed_ms
        self.wall += elapsed_ms + step_ms


def test_a_forward_step_is_told_and_followed() -> None:
    """The next window begins at the new time, and the gap is known."""
    hands = Hands()
    clock = hands.clock()
    hands.move(1_000, step_ms=3_600_000)
    before = clock.now_ms()
    assert clock.follow() == 3_600_000
    assert clock.now_ms() == before + 3_600_000 == hands.wall
    assert clock.follow() == 0


def test_a_backward_step_is_walked_off_at_a_twentieth() -> None:
    """Time goes on, a little slower than it should, until the wall clock has caught up."""
    hands = Hands()
    clock = hands.clock()
    hands.move(1_000, step_ms=-10_000)
    assert clock.follow() == 0
    before = clock.now_ms()
    hands.move(20_000)
    assert (clock.follow(), clock.now_ms() - before) == (0, 19_000)
    hands.move(180_000)
    clock.follow()
    assert clock.now_ms() == hands.wall
    hands.move(20_000)
    assert (clock.follow(), clock.now_ms()) == (0, hands.wall)


def test_a_clock_never_begins_before_what_was_told() -> None:
    """A successor whose wall clock was set back goes on from where its predecessor was."""
    hands = Hands()
    assert hands.clock(least_ms=hands.wall + 60_000).now_ms() == hands.wall + 60_000


@given(
    moves=st.lists(
        st.tuples(st.integers(min_value=1, max_value=70_000), st.integers(min_value=-100_000, max_value=100_000)),
        max_size=30,
    )
)
def test_whatever_happens_to_the_wall_clock_time_never_runs_back(moves: list[tuple[int, int]]) -> None:
    """After any steps: later is later, and the wall clock is never more than a step ahead."""
    hands = Hands()
    clock = hands.clock()
    last = clock.now_ms()
    for elapsed, step in moves:
        hands.move(elapsed, step)
        assert clock.now_ms() >= last
        clock.follow()
        assert clock.now_ms() >= last
        assert hands.wall - clock.now_ms() < STEP_MS
        last = clock.now_ms()
