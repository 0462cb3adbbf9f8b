import json
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.vectors import Missing, agree, cases

from joulebook_ledger.core.metering import (
    COUNTER_RESET,
    RANGE_EXCEEDED,
    RANGE_UNKNOWN,
    Baseline,
    Measured,
    microseconds_to_wrap,
    read_counter,
    read_power,
)
from joulebook_ledger.core.metering import (
    Missing as Gap,
)

RAPL = 1_000_000
NVML = 1_000


def passed(case, *, unit=RAPL, watts=1_000, elapsed_s=10):
    """What the case's two counter values give."""
    given = case["inputs"]
    before, after = (given.get(f"{name}_uj", given.get(f"{name}_mj")) for name in ("prev", "now"))
    elapsed_ms = int(given.get("elapsed_s", elapsed_s) * 1_000)
    wraps_at = given.get("max_energy_range_uj", 0)
    greatest = int(given.get("greatest_w", given.get("max_plausible_w", watts)) * 1_000)
    return read_counter(
        Baseline(before, 0), after, elapsed_ms, per_joule=unit, wraps_at=wraps_at, max_power_mw=greatest
    )[1]


def joules(case):
    """A reading of so many joules."""
    found = passed(case)
    agree(case, "joules", found.energy_mj / 1_000, case["expected"]["joules"])
    assert found.energy_mj * 1_000 == case["expected"]["delta_uj"]


def nvml(case):
    """A reading with its mean power and its kilowatt hours."""
    found = passed(case, unit=NVML).energy_mj
    agree(case, "joules", found / 1_000, case["expected"]["joules"])
    agree(case, "avg_w", found / 1_000 / case["inputs"]["elapsed_s"], case["expected"]["avg_w"])
    agree(case, "kwh", found / 3_600_000_000, case["expected"]["kwh"])


def gap(reason):
    """A gap for this reason, and never energy."""

    def check(case):
        unit = NVML if "prev_mj" in case["inputs"] else RAPL
        assert passed(case, unit=unit) == Gap(reason)

    return check


def wrap_time(case):
    """How long the range lasts."""
    found = microseconds_to_wrap(case["inputs"]["max_energy_range_uj"], RAPL, case["inputs"]["power_w"] * 1_000)
    agree(case, "seconds_to_wrap", found / 1_000_000, case["expected"]["seconds_to_wrap"])


def counter_with_a_failed_read(case):
    """All energy, no gap."""
    base, energies, gaps = None, [], 0
    for second, value in enumerate(case["inputs"]["reads_uj"]):
        if value is None:
            continue
        base, what = read_counter(
            base,
            value,
            second * 1_000,
            per_joule=RAPL,
            wraps_at=case["inputs"]["max_energy_range_uj"],
            max_power_mw=400_000,
        )
        energies += [what.energy_mj] if isinstance(what, Measured) else []
        gaps += isinstance(what, Gap)
    assert sum(energies) == case["expected"]["joules"] * 1_000
    assert gaps == case["expected"]["gaps"]


def power(case):
    """Measured energy, and gaps with their estimates beside it."""
    given, expected = case["inputs"], case["expected"]
    base, energy, gaps = None, 0, []
    for second, watts in zip(given["t_s"], given["w"], strict=True):
        if watts is None:
            continue
        limits = {"max_gap_ms": int(given.get("max_gap_s", 1) * 1_000), "max_power_mw": 400_000}
        base, what = read_power(base, watts * 1_000, second * 1_000, **limits)
        energy += what.energy_mj if isinstance(what, Measured) else 0
        gaps += [what.estimate_mj] if isinstance(what, Gap) else []
    assert energy == expected.get("joules", expected.get("joules_measured")) * 1_000
    assert sum(gaps) == expected.get("gap_estimate_joules", 0) * 1_000
    assert len(gaps) == expected.get("gaps", len(gaps))


def part_time_sensor(case):
    """A sensor that looks a quarter of the time, in step with the load, is wrong by 129 %; the counter of the same load is right."""
    wave, period = case["inputs"]["square_wave"], case["inputs"]["period_ms"]
    values = [0]
    for _ in range(600):
        values.append(values[-1] + wave["high_w"] * wave["high_ms"] + wave["low_w"] * wave["low_ms"])
    counted = sum(
        read_counter(Baseline(a, 0), b, period, per_joule=1_000, wraps_at=0, max_power_mw=400_000)[1].energy_mj
        for a, b in pairwise(values)
    )
    base, sensed = None, 0
    for tick in range(601):
        base, what = read_power(base, wave["high_w"] * 1_000, tick * period, max_gap_ms=1_000, max_power_mw=400_000)
        sensed += what.energy_mj if what else 0
    agree(case, "true_avg_w", counted / (600 * period), case["expected"]["true_avg_w"])
    agree(case, "sensor_avg_w", sensed / (600 * period), case["expected"]["sensor_avg_w"])
    assert round((sensed / counted - 1) * 100, 3) == case["expected"]["error_pct"]


def held_by(path):
    """The case is held by another test file, which names it."""

    def check(case):
        assert json.dumps(case["id"]) in (Path(__file__).parent.parent / path).read_text()

    return check


PROMETHEUS = Missing("import of Prometheus metrics", "joulebook_ledger.importers.prometheus")
BUILT = {
    "rapl_no_wrap": joules,
    "rapl_one_wrap": joules,
    "rapl_wrap_interval_200w": wrap_time,
    "rapl_reset_is_not_wrap": gap(COUNTER_RESET),
    "nvml_counter": nvml,
    "nvml_driver_reload": gap(COUNTER_RESET),
    "power_trapezoid": power,
    "power_gap_rule": power,
    "part_time_sampling_bias": part_time_sensor,
    "rapl_one_failed_read_in_six": counter_with_a_failed_read,
    "power_one_failed_read_in_six": power,
    "rapl_unreadable_range": gap(RANGE_UNKNOWN),
    "rapl_range_may_be_exceeded": gap(RANGE_EXCEEDED),
    "rapl_mirrored_dies": held_by("meters/test_rapl.py"),
}
MISSING = {"dcgm_sentinel": PROMETHEUS, "dcgm_text_line": PROMETHEUS}


@pytest.mark.parametrize(("case", "check"), cases("counters_and_sampling", BUILT, MISSING))
def test_counters_and_sampling(case, check):
    """Wrap, reset, missing read, unknown and exceeded range, and power by trapezoids."""
    check(case)
