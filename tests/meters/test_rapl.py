"""RAPL: which domains count, what they answer, and what is never counted twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.machines import POWERCAP, Machine, as_nobody

from joulebook_collectors.meters.meter import Absent, CounterValue, NoData
from joulebook_collectors.meters.rapl import RaplMeter, find_rapl

Recorded = Callable[[str], Machine]
VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "counters_and_sampling.json"
RANGE_UJ = 262_143_328_850


def found_on(
    machine: Machine, pause: Callable[[float], object] = lambda _: None
) -> tuple[dict[str, RaplMeter], list[Absent]]:
    """Return the meters of a recorded machine by domain, and what is absent."""
    meters, absent = find_rapl(device="boot", processor="CPU", sysfs_root=machine.sysfs_root, pause=pause)
    return {meter.description.domain: meter for meter in meters}, absent


def vector(name: str) -> dict[str, Any]:
    """Return a case of the worked numbers."""
    cases: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]
    return next(case for case in cases if case["id"] == name)


def test_packages_and_dram_count_and_nothing_within_or_around_them(machine: Recorded) -> None:
    """Of a server with psys and the mmio twins, two packages and two drams are left."""
    meters, absent = found_on(machine("two_xeons"))
    assert sorted(meters) == ["package-0", "package-0-dram", "package-1", "package-1-dram"]
    assert [meter.description.component for _, meter in sorted(meters.items())] == ["cpu", "dram", "cpu", "dram"]
    assert absent == [
        Absent("RAPL intel-rapl-mmio:0", "cpu", "covered_by_another"),
        Absent("RAPL intel-rapl-mmio:1", "cpu", "covered_by_another"),
        Absent("RAPL intel-rapl:2 psys", "cpu", "covered_by_another"),
    ]


def test_core_and_uncore_of_a_laptop_do_not_count(machine: Recorded) -> None:
    """They lie within the package."""
    meters, absent = found_on(machine("laptop"))
    assert list(meters) == ["package-0"]
    assert [missing.reason for missing in absent] == ["covered_by_another"] * 4


def test_the_twins_of_a_package_count_only_where_they_are_alone(machine: Recorded) -> None:
    """By whichever path the kernel shows it, a package counts once."""
    server = machine("two_xeons")
    server.write(f"{POWERCAP}/intel-rapl-mmio:0:0/name", "dram\n")
    server.counts("intel-rapl-mmio:0:0", 1)
    server.counts("intel-rapl-mmio:0", 5)
    before = found_on(server)[0]
    assert sorted(before) == ["package-0", "package-0-dram", "package-1", "package-1-dram"]
    for zone in ("0", "0:0", "1", "1:0", "2"):
        server.remove_folder(f"{POWERCAP}/intel-rapl:{zone}")
    alone = found_on(server)[0]
    assert sorted(alone) == ["package-0", "package-0-dram", "package-1"]
    assert alone["package-0"].read() == CounterValue(5, 1_000_000, RANGE_UJ)


def test_a_domain_answers_its_counter_with_its_range(machine: Recorded) -> None:
    """Microjoules, and where they start again."""
    meters, _ = found_on(machine("two_xeons"))
    assert meters["package-0"].read() == CounterValue(120_000_000_000, 1_000_000, RANGE_UJ)
    assert meters["package-1-dram"].read() == CounterValue(29_000_000_000, 1_000_000, 65_712_999_613)


@pytest.mark.parametrize("content", ["", "0\n", "-1\n", "unlimited\n", None])
def test_a_range_that_cannot_be_read_is_unknown(machine: Recorded, content: str | None) -> None:
    """Then nobody can tell a wrap from a reset, and the answer says so."""
    laptop = machine("laptop")
    path = f"{POWERCAP}/intel-rapl:0/max_energy_range_uj"
    if content is None:
        laptop.remove(path)
    else:
        laptop.write(path, content)
    assert found_on(laptop)[0]["package-0"].read() == CounterValue(5_000_000_000, 1_000_000, None)


def test_a_forbidden_counter_is_no_data_and_not_zero(machine: Recorded) -> None:
    """Kernels let root alone read it."""
    laptop = machine("laptop")
    with as_nobody():
        meters, _ = found_on(laptop)
        assert meters["package-0"].read() == NoData("permission_denied")


@pytest.mark.parametrize(
    "content", ["", "\n", "garbage\n", "-5\n", "1.5\n", "5 6\n", "٣\n", "9" * 30, "300000000000\n"]
)
def test_what_is_no_number_is_a_failed_read(machine: Recorded, content: str) -> None:
    """It is never taken for 0."""
    laptop = machine("laptop")
    laptop.write(f"{POWERCAP}/intel-rapl:0/energy_uj", content)
    assert found_on(laptop)[0]["package-0"].read() == NoData("read_failed")


def test_a_read_that_fails_between_two_good_ones_leaves_the_counter_whole(machine: Recorded) -> None:
    """Six steps of 50 J, the third reading fails: the next good one holds all of it."""
    case = vector("rapl_one_failed_read_in_six")
    laptop = machine("laptop")
    meter = found_on(laptop)[0]["package-0"]
    answers = []
    for value in case["inputs"]["reads_uj"]:
        laptop.write(f"{POWERCAP}/intel-rapl:0/energy_uj", "" if value is None else f"{value}\n")
        answers.append(meter.read())
    good = [answer.value for answer in answers if isinstance(answer, CounterValue)]
    assert answers.count(NoData("read_failed")) == 1
    assert (good[-1] - good[0]) / 1_000_000 == case["expected"]["joules"]


def test_an_error_of_the_kernel_is_a_failed_read(machine: Recorded) -> None:
    """The file opens and then cannot be read."""
    laptop = machine("laptop")
    laptop.break_file(f"{POWERCAP}/intel-rapl:0/energy_uj")
    assert found_on(laptop)[0]["package-0"].read() == NoData("read_failed")


def test_a_domain_that_vanishes_is_lost(machine: Recorded) -> None:
    """As when the module is taken out of the kernel."""
    laptop = machine("laptop")
    meter = found_on(laptop)[0]["package-0"]
    laptop.remove(f"{POWERCAP}/intel-rapl:0/energy_uj")
    assert meter.read() == NoData("device_lost")


def test_a_closed_domain_says_so(machine: Recorded) -> None:
    """Closing twice is no harm."""
    meter = found_on(machine("laptop"))[0]["package-0"]
    meter.close()
    meter.close()
    assert meter.read() == NoData("closed")


def test_a_machine_without_powercap_has_no_rapl(machine: Recorded) -> None:
    """It says that it looked."""
    assert found_on(machine("virtual_machine")) == ({}, [Absent("RAPL", "cpu", "not_found")])


@pytest.mark.parametrize(
    ("max_power_uw", "bound_mw"),
    [("15000000", 150_000), ("150000000", 450_000), ("350000000", 1_000_000), ("0", 1_000_000), ("", 1_000_000)],
)
def test_the_greatest_power_comes_from_the_hardware(machine: Recorded, max_power_uw: str, bound_mw: int) -> None:
    """Three times the TDP, room for a small laptop's turbo, and a bound where the TDP is unknown: always the same."""
    laptop = machine("laptop")
    laptop.write(f"{POWERCAP}/intel-rapl:0/constraint_0_max_power_uw", max_power_uw)
    assert found_on(laptop)[0]["package-0"].description.max_power_mw == bound_mw


def test_dies_that_show_one_counter_count_once(machine: Recorded) -> None:
    """The worked number: 680 J, never 1,360 J."""
    case = vector("rapl_mirrored_dies")
    tower = machine("threadripper")
    rows: Iterator[tuple[int, ...]] = zip(*(domain["energy_uj"] for domain in case["inputs"]["domains"]), strict=True)
    first = next(rows)

    def show(row: tuple[int, ...]) -> None:
        for domain, value in zip(case["inputs"]["domains"], row, strict=True):
            tower.counts(domain["path"], value)

    def go_on(_: float) -> None:
        for row in rows:
            show(row)

    show(first)
    meters, absent = found_on(tower, pause=go_on)
    assert list(meters) == ["package-0-die-0"]
    assert Absent("RAPL package-0-die-1", "cpu", "mirrored") in absent
    last = meters["package-0-die-0"].read()
    assert isinstance(last, CounterValue)
    assert (last.value - first[0]) / 1_000_000 == case["expected"]["joules"]


def test_dies_that_started_apart_and_move_together_count_once(machine: Recorded) -> None:
    """It is the movement that tells, not the value."""
    tower = machine("threadripper")
    ticks = iter(range(1, 100))

    def tick(_: float) -> None:
        moved = next(ticks) * 61_035
        tower.counts("intel-rapl:0", 1_000_000_000 + moved)
        tower.counts("intel-rapl:1", 7_000_000_000 + moved)

    tick(0)
    assert list(found_on(tower, pause=tick)[0]) == ["package-0-die-0"]


def test_dies_with_counters_of_their_own_both_count(machine: Recorded) -> None:
    """Even where they showed the same at first, and their dram too."""
    server = machine("two_dies")
    ticks = iter(range(1, 100))

    def tick(_: float) -> None:
        moved = next(ticks)
        server.counts("intel-rapl:0", 1_000_000_000 + 61 * moved)
        server.counts("intel-rapl:1", 1_000_000_000 + 62 * moved)

    assert sorted(found_on(server, pause=tick)[0]) == [
        "package-0-die-0",
        "package-0-die-0-dram",
        "package-0-die-1",
        "package-0-die-1-dram",
    ]


def test_dies_that_cannot_be_read_are_not_watched(machine: Recorded) -> None:
    """Nothing waits for a counter that says nothing."""
    tower = machine("threadripper")
    for zone in ("intel-rapl:0", "intel-rapl:1"):
        tower.write(f"{POWERCAP}/{zone}/energy_uj", "")
    waited: list[float] = []
    found_on(tower, pause=waited.append)
    assert waited == []


def test_packages_of_different_sockets_are_never_taken_for_one(machine: Recorded) -> None:
    """Two idle sockets that show the same are two."""
    server = machine("two_xeons")
    server.counts("intel-rapl:0", 5)
    server.counts("intel-rapl:1", 5)
    assert {"package-0", "package-1"} <= set(found_on(server)[0])


@pytest.mark.parametrize("name", ["", "\n", None])
def test_a_domain_without_a_name_is_left_out_with_the_reason(machine: Recorded, name: str | None) -> None:
    """Nobody can tell whether it would count twice."""
    laptop = machine("laptop")
    if name is None:
        laptop.break_file(f"{POWERCAP}/intel-rapl:0/name")
    else:
        laptop.write(f"{POWERCAP}/intel-rapl:0/name", name)
    meters, absent = found_on(laptop)
    assert meters == {}
    assert Absent("RAPL intel-rapl:0", "cpu", "read_failed") in absent
    assert Absent("RAPL", "cpu", "not_found") not in absent


@pytest.mark.parametrize(("step", "count"), [(61, 1), (62, 2)])
def test_dies_of_one_name_are_told_apart_by_how_they_move(machine: Recorded, step: int, count: int) -> None:
    """Older kernels know no dies: a second counter counts, the same one seen twice does not."""
    server = machine("two_dies")
    for zone in ("intel-rapl:0", "intel-rapl:1"):
        server.write(f"{POWERCAP}/{zone}/name", "package-0\n")
    ticks = iter(range(1, 200))

    def tick(_: float) -> None:
        moved = next(ticks)
        server.counts("intel-rapl:0", 1_000_000_000 + 61 * moved)
        server.counts("intel-rapl:1", 1_000_000_000 + step * moved)

    found = found_on(server, pause=tick)[0]
    assert len([domain for domain in found if "dram" not in domain]) == count
    assert len([domain for domain in found if "dram" in domain]) == 2
