"""From what a meter shows to energy: two counter values, or two power samples, become a reading or a gap (DESIGN law 3, CORE §2).

A failed read is never 0: it is not given to these functions at all. A counter's next good value covers the time of the missed one; a
power meter's missed time is a gap as soon as it is longer than `max_gap_ms`. Every gap starts a new baseline.

A smaller counter value is a wrap only where the range is known and the power it implies is possible; everything else is a gap with
its reason. On the measured path: integers in, small records out, nothing imported.

Units: times in milliseconds of one clock that never steps back, power in milliwatts, energy in millijoules. 1 mW·ms = 1 µJ.
"""

from __future__ import annotations

from joulebook_ledger.core.slotted import Slotted

COUNTER_RESET = "counter_reset"
RANGE_UNKNOWN = "range_unknown"
RANGE_EXCEEDED = "range_exceeded"
IMPLAUSIBLE_JUMP = "implausible_jump"
SAMPLES_TOO_FAR_APART = "samples_too_far_apart"

# A device draws at most this much of its declared greatest power on average: sensors overshoot briefly, a factor of two never
# happens (the same figure as vocabulary.PLAUSIBLE_OVERSHOOT_PERCENT; a test keeps them equal).
PLAUSIBLE_PERCENT = 120
# A counter moves in ticks, NVML's up to every 100 ms: between two reads it may show the energy of one more tick than the time
# between them (standards: NVML 10-100 ms, RAPL about 1 ms). Twice that is allowed for.
TICK_MS = 200

_MILLIJOULES_PER_JOULE = 1_000
_MICROJOULES_PER_JOULE = 1_000_000


class Baseline(Slotted):
    """The last good answer of a meter; a checkpoint of it is all that a successor needs to continue.

    Attributes:
        at_ms: When it was read.
        rest: Energy already passed but not yet given out because it was less than a millijoule; in thousandths of a counter's own
            unit, or in half microjoules of a power meter.
        value: The counter's value in its own unit, or power in milliwatts.
    """

    __slots__ = ("at_ms", "rest", "value")

    def __init__(self, value: int, at_ms: int, rest: int = 0) -> None:
        """Take an answer and when it was read."""
        self.value = value
        self.at_ms = at_ms
        self.rest = rest


class Measured(Slotted):
    """The energy between the baseline and this answer."""

    __slots__ = ("energy_mj",)

    def __init__(self, energy_mj: int) -> None:
        """Take the energy in millijoules."""
        self.energy_mj = energy_mj


class Missing(Slotted):
    """Nothing is known of the energy between the baseline and this answer.

    Attributes:
        estimate_mj: What may have been drawn, to be shown beside the energy; None where nothing is known.
        reason: One of the words of this module.
    """

    __slots__ = ("estimate_mj", "reason")

    def __init__(self, reason: str, estimate_mj: int | None = None) -> None:
        """Take the reason and the estimate."""
        self.reason = reason
        self.estimate_mj = estimate_mj


def read_counter(
    base: Baseline | None, value: int, at_ms: int, *, per_joule: int, wraps_at: int | None, max_power_mw: int
) -> tuple[Baseline, Measured | Missing | None]:
    """Return the new baseline, and what passed since the old one; None where there was no old one or no time has passed.

    Args:
        base: The last good answer of the same boot, or None.
        value: What the counter shows now, in its own unit.
        at_ms: When it was read.
        per_joule: How many of the counter's units are one joule.
        wraps_at: Where the counter starts again at 0; 0 where it never does; None where that is unknown.
        max_power_mw: Greatest power the device can draw.
    """
    if base is None:
        return Baseline(value, at_ms), None
    if at_ms <= base.at_ms:
        return base, None
    greatest = _greatest_energy_uj(max_power_mw, at_ms - base.at_ms) * per_joule // _MICROJOULES_PER_JOULE
    passed, reason = _passed(base.value, value, wraps_at, greatest)
    if reason:
        return Baseline(value, at_ms), Missing(reason)
    energy_mj, rest = divmod(passed * _MILLIJOULES_PER_JOULE + base.rest, per_joule)
    return Baseline(value, at_ms, rest), Measured(energy_mj)


def read_power(
    base: Baseline | None, power_mw: int, at_ms: int, *, max_gap_ms: int, max_power_mw: int
) -> tuple[Baseline | None, Measured | Missing | None]:
    """Return the new baseline and the energy since the old one by the trapezoidal rule, or a gap where the pause was too long.

    A sample above what the device can draw is as good as no sample: the baseline stays.

    Args:
        base: The last good sample, or None.
        power_mw: The power now.
        at_ms: When it was read.
        max_gap_ms: The longest pause between two samples that may be bridged.
        max_power_mw: Greatest power the device can draw.
    """
    if power_mw < 0 or power_mw * 100 > max_power_mw * PLAUSIBLE_PERCENT:
        return base, None
    if base is None:
        return Baseline(power_mw, at_ms), None
    elapsed_ms = at_ms - base.at_ms
    if elapsed_ms <= 0:
        return base, None
    half_microjoules = (base.value + power_mw) * elapsed_ms
    if elapsed_ms > max_gap_ms:
        return Baseline(power_mw, at_ms), Missing(SAMPLES_TOO_FAR_APART, half_microjoules // 2_000)
    energy_mj, rest = divmod(half_microjoules + base.rest, 2_000)
    return Baseline(power_mw, at_ms, rest), Measured(energy_mj)


def greatest_energy_mj(max_power_mw: int, length_ms: int) -> int:
    """Return the greatest energy that a window of this length can plausibly hold, ticks and overshoot allowed for."""
    return _greatest_energy_uj(max_power_mw, length_ms) // 1_000


def energy_at_mj(power_mw: int, length_ms: int) -> int:
    """Return the energy of a steady power over a time: the estimate of a gap, or of what is drawn when idle."""
    return power_mw * length_ms // 1_000


def cut_by_time(whole: int, bounds: list[int]) -> list[int]:
    """Return the parts of `whole` between successive bounds, by time; they sum to `whole`.

    Part i is F(b_i) − F(b_{i−1}) with F(t) = floor(whole·(t − start)/(end − start)): a counter difference that spans windows or hours
    is cut at them and stays a counter's.

    Args:
        whole: Energy between the first and the last bound.
        bounds: Two or more instants in order, the last after the first.

    >>> cut_by_time(100, [0, 10, 20, 30])
    [33, 33, 34]
    """
    start, length = bounds[0], bounds[-1] - bounds[0]
    reached = [whole * (bound - start) // length for bound in bounds]
    return [after - before for before, after in zip(reached, reached[1:], strict=False)]  # noqa: RUF007 - itertools is an import


def microseconds_to_wrap(wraps_at: int, per_joule: int, power_mw: int) -> int:
    """Return how long a counter takes to pass its whole range at a steady power.

    >>> microseconds_to_wrap(262_143_328_850, 1_000_000, 200_000)
    1310716644
    """
    return wraps_at * 1_000_000_000 // (per_joule * power_mw)


def _greatest_energy_uj(max_power_mw: int, length_ms: int) -> int:
    return max_power_mw * PLAUSIBLE_PERCENT * (length_ms + TICK_MS) // 100


def _passed(before: int, after: int, wraps_at: int | None, greatest: int) -> tuple[int, str]:
    """Return how many units passed, or why that cannot be told."""
    if wraps_at and greatest >= wraps_at:
        return 0, RANGE_EXCEEDED  # any number of wraps is possible, also where the value grew
    if after >= before:
        return (after - before, "") if after - before <= greatest else (0, IMPLAUSIBLE_JUMP)
    if wraps_at is None:
        return 0, RANGE_UNKNOWN
    wrapped = after + wraps_at - before
    if wraps_at and 0 <= wrapped <= greatest:
        return wrapped, ""
    return 0, COUNTER_RESET
