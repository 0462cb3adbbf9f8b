from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core.metering import (
    COUNTER_RESET,
    IMPLAUSIBLE_JUMP,
    PLAUSIBLE_PERCENT,
    RANGE_EXCEEDED,
    RANGE_UNKNOWN,
    TICK_MS,
    Baseline,
    Measured,
    Missing,
    cut_by_time,
    energy_at_mj,
    greatest_energy_mj,
    read_counter,
    read_power,
)
from joulebook_ledger.core.vocabulary import PLAUSIBLE_OVERSHOOT_PERCENT

RAPL_RANGE = 262_143_328_850
RAPL = {"per_joule": 1_000_000, "wraps_at": RAPL_RANGE, "max_power_mw": 400_000}
NVML = {"per_joule": 1_000, "wraps_at": 0, "max_power_mw": 700_000}
POWER = {"max_gap_ms": 1_500, "max_power_mw": 700_000}


def of_counter(before, after, elapsed_ms=1_000, **meter):
    """What passed between two values."""
    return read_counter(Baseline(before, 0), after, elapsed_ms, **meter)[1]


def all_of_counter(reads, **meter):
    """Energy and gaps of reads as (at_ms, value); a failed read, None, is simply not given."""
    base, passed = None, []
    for at_ms, value in reads:
        if value is not None:
            base, what = read_counter(base, value, at_ms, **meter)
            passed.append(what)
    return [p.energy_mj for p in passed if isinstance(p, Measured)], [
        p.reason for p in passed if isinstance(p, Missing)
    ]


def test_a_first_value_is_a_baseline_and_no_energy():
    """What was drawn before anybody looked is not known."""
    assert read_counter(None, 5, 10, **NVML) == (Baseline(5, 10), None)


def test_one_failed_read_in_six_loses_nothing():
    """Law 3: six intervals of 50 J, one read failed: 300 J and no gap; never 262,443 J and never 250 J."""
    reads = [1_000, 1_050, None, 1_150, 1_200, 1_250, 1_300]
    energies, gaps = all_of_counter([(i * 1_000, r and r * 1_000_000) for i, r in enumerate(reads)], **RAPL)
    assert (sum(energies), gaps) == (300_000, [])


def test_a_counter_that_wraps_goes_on():
    """The range less what was left of it: 5 J."""
    assert of_counter(RAPL_RANGE - 1_000_000, 4_000_000, 10_000, **RAPL) == Measured(5_000)


def test_a_smaller_value_that_would_take_an_impossible_power_is_a_reset():
    """25.7 kW from a package of 1 kW: the counter began again, and nothing is booked."""
    assert of_counter(5_000_000_000, 1_000_000, 10_000, **RAPL | {"max_power_mw": 1_000_000}) == Missing(COUNTER_RESET)


def test_a_counter_that_never_wraps_was_reset_when_it_falls():
    """The driver was loaded again; the new value is a baseline, not the energy of the window."""
    base, what = read_counter(Baseline(987_654_321, 0), 1_200, 1_000, **NVML)
    assert (base, what) == (Baseline(1_200, 1_000), Missing(COUNTER_RESET))


def test_a_smaller_value_of_a_counter_of_unknown_range_is_a_gap():
    """A wrap cannot be told from a reset."""
    assert of_counter(5_000_000_000, 1_000_000, 10_000, **RAPL | {"wraps_at": None}) == Missing(RANGE_UNKNOWN)


def test_a_counter_that_may_have_passed_its_range_says_nothing():
    """400 W over an hour is more than the range: any number of wraps is possible, also where the value grew."""
    assert of_counter(1_000_000, 5_000_000, 3_600_000, **RAPL) == Missing(RANGE_EXCEEDED)
    assert of_counter(5_000_000, 1_000_000, 3_600_000, **RAPL) == Missing(RANGE_EXCEEDED)


def test_a_range_is_in_doubt_as_soon_as_it_can_be_reached():
    """At most 576 J in a second and a tick: a range of 576 J may have been passed, one of a microjoule more may not."""
    most = 576_000_000
    assert of_counter(5, 9, wraps_at=most, per_joule=1_000_000, max_power_mw=400_000) == Missing(RANGE_EXCEEDED)
    assert of_counter(5, 9, wraps_at=most + 1, per_joule=1_000_000, max_power_mw=400_000) == Measured(0)


def test_a_jump_that_no_device_can_make_is_a_gap_and_a_new_baseline():
    """A corrupted value is not booked, and the next good one is measured from it."""
    base, what = read_counter(Baseline(0, 0), 10**12, 1_000, **NVML)
    assert what == Missing(IMPLAUSIBLE_JUMP)
    assert read_counter(base, 10**12 + 350_000, 1_500, **NVML)[1] == Measured(350_000)


def test_a_value_above_its_own_range_is_a_reset_and_never_negative():
    """A range file that lies gives no energy."""
    assert of_counter(2 * RAPL_RANGE, 1, 1_000, **RAPL) == Missing(COUNTER_RESET)


def test_the_tick_of_a_counter_is_no_jump():
    """Read 1 ms apart, a counter may show the energy of a whole tick of 100 ms."""
    assert of_counter(0, 70_000, 1, **NVML) == Measured(70_000)


def test_a_clock_that_stands_still_or_goes_back_brings_nothing():
    """No time has passed: the baseline stays and nothing is lost."""
    base = Baseline(100, 1_000)
    assert read_counter(base, 200, 1_000, **NVML) == (base, None)
    assert read_counter(base, 200, 999, **NVML) == (base, None)


def test_the_rest_below_a_millijoule_stays_for_the_next_reading():
    """Three times 400 µJ are 1 mJ and 200 µJ to come."""
    energies, _ = all_of_counter([(0, 0), (1_000, 400), (2_000, 800), (3_000, 1_200)], **RAPL)
    assert energies == [0, 0, 1]


def test_power_is_integrated_by_trapezoids():
    """100, 300, 300, 100 W a second apart: 700 J."""
    base, energies = None, []
    for second, watts in enumerate([100, 300, 300, 100]):
        base, what = read_power(base, watts * 1_000, second * 1_000, **POWER)
        energies += [what.energy_mj] if what else []
    assert sum(energies) == 700_000


def test_a_missed_sample_of_power_is_a_gap_with_an_estimate_beside():
    """50 W, one sample missed: two seconds are a gap, estimated at 100 J, and not filled in."""
    base, what = read_power(Baseline(50_000, 1_000), 50_000, 3_000, **POWER)
    assert what.estimate_mj == 100_000
    assert isinstance(what, Missing)
    assert base == Baseline(50_000, 3_000)


def test_a_sample_above_what_the_device_can_draw_is_no_sample():
    """Ten kilowatts from a 700 W device: the last good sample stays the baseline."""
    base = Baseline(50_000, 0)
    assert read_power(base, 10_000_000, 1_000, **POWER) == (base, None)
    assert read_power(base, -1, 1_000, **POWER) == (base, None)
    assert read_power(None, 840_001, 0, **POWER) == (None, None)
    assert read_power(None, 840_000, 0, **POWER)[0] == Baseline(840_000, 0)


def test_what_is_plausible_is_the_same_for_meters_and_for_the_ledger():
    """A reading that a meter takes is not refused at the door."""
    assert PLAUSIBLE_PERCENT == PLAUSIBLE_OVERSHOOT_PERCENT
    assert greatest_energy_mj(700_000, 1_000) == 700 * 12 // 10 * (1_000 + TICK_MS)
    assert energy_at_mj(12_000, 60_000) == 720_000


@given(st.lists(st.integers(0, 400_000_000), min_size=1, max_size=30), st.integers(0, RAPL_RANGE - 1), st.data())
def test_whatever_reads_fail_a_counter_gives_the_energy_between_the_good_ones(steps, start, data):
    """Law 3: seconds of up to 400 J with wraps anywhere and reads failing at random: to the millijoule, and no gap."""
    values = [start]
    for step in steps:
        values.append(values[-1] + step)
    good = [True, *(data.draw(st.booleans()) for _ in steps)]
    reads = [
        (i * 1_000, value % RAPL_RANGE if ok else None) for i, (value, ok) in enumerate(zip(values, good, strict=True))
    ]
    energies, gaps = all_of_counter(reads, **RAPL)
    last = max(i for i, ok in enumerate(good) if ok)
    assert gaps == []
    assert sum(energies) == (values[last] - values[0]) // 1_000


@given(
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.integers(1, 10**7),
    st.sampled_from([None, 0, 1, 10**6, RAPL_RANGE]),
)
def test_no_two_values_give_energy_below_nothing_or_above_what_the_device_can_draw(before, after, elapsed, wraps_at):
    """Whatever a broken counter shows."""
    what = of_counter(before, after, elapsed, per_joule=1_000_000, wraps_at=wraps_at, max_power_mw=400_000)
    assert isinstance(what, Missing) or 0 <= what.energy_mj <= greatest_energy_mj(400_000, elapsed)


@given(st.lists(st.tuples(st.integers(0, 840_000), st.integers(1, 3_000)), min_size=1, max_size=20))
def test_energy_and_estimates_of_power_cover_the_time_without_overlap(samples):
    """Measured energy plus estimates is the trapezoid of all good samples, less than a millijoule each apart."""
    at_ms, points = 0, []
    for power, pause in samples:
        at_ms += pause
        points.append((at_ms, power))
    exact = sum((p + q) * (b - a) for (a, p), (b, q) in pairwise(points))
    base, total = None, 0
    for moment, power in points:
        base, what = read_power(base, power, moment, **POWER)
        if what is not None:
            total += what.energy_mj if isinstance(what, Measured) else what.estimate_mj
    assert 0 <= exact // 2_000 - total <= len(points)


@given(st.integers(0, 10**15), st.lists(st.integers(1, 10**6), min_size=1, max_size=10), st.integers(0, 10**12))
def test_a_difference_cut_at_hours_keeps_its_sum(whole, lengths, start):
    """Cumulative rounding: the parts sum to the whole, and each is its share of time."""
    bounds = [start]
    for length in lengths:
        bounds.append(bounds[-1] + length)
    parts = cut_by_time(whole, bounds)
    assert sum(parts) == whole
    assert all(abs(p * sum(lengths) - whole * n) < sum(lengths) for p, n in zip(parts, lengths, strict=True))
