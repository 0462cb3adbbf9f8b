"""Meters of hwmon: which count, what they answer, and that no joule is under two of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.machines import Machine, as_nobody

from joulebook_collectors.meters.hwmon import EnergyCounter, Rails, find_hwmon
from joulebook_collectors.meters.meter import Absent, CounterValue, DeviceProcesses, NoData, PowerValue

Recorded = Callable[[str], Machine]
HWMON = "sys/class/hwmon"


def found_on(machine: Machine) -> tuple[dict[tuple[str, str], EnergyCounter | Rails], list[Absent]]:
    """Return the meters of a recorded machine by device and domain, and what is absent."""
    meters, absent = find_hwmon(device="boot", sysfs_root=machine.sysfs_root, processor="CPU")
    return {(meter.description.device, meter.description.domain): meter for meter in meters}, absent


def powers(machine: Machine) -> dict[str, int]:
    """Return what the rails of a machine draw, milliwatts by domain."""
    answers = {domain: meter.read() for (_, domain), meter in found_on(machine)[0].items()}
    return {domain: answer.power_mw for domain, answer in answers.items() if isinstance(answer, PowerValue)}


def test_a_card_counts_once_whatever_its_driver_shows(machine: Recorded) -> None:
    """Not its package, nor its tile."""
    meters, absent = found_on(machine("intel_gpus"))
    assert {key: meter.read() for key, meter in meters.items()} == {
        ("boot:0000:03:00.0", "gpu"): CounterValue(7_000_000_000, 1_000_000, 0),
        ("boot:0000:07:00.0", "gpu"): CounterValue(2_000_000_000, 1_000_000, 0),
    }
    assert absent == [
        Absent("Intel GPU 0000:03:00.0 pkg", "gpu", "covered_by_another"),
        Absent("Intel GPU i915_gt0", "gpu", "covered_by_another"),
    ]
    assert [meter.description.max_power_mw for meter in meters.values()] == [570_000, 675_000]


def test_an_intel_gpu_names_no_processes(machine: Recorded) -> None:
    """Then runs are presumed, and said to be."""
    card = next(iter(found_on(machine("intel_gpus"))[0].values()))
    assert card.processes() == DeviceProcesses(None, None)
    assert not card.contains("GPU-1")


def test_a_gpu_without_a_counter_is_said_to_have_none(machine: Recorded) -> None:
    """As older cards; and a card that says no place is called by its folder."""
    arc = machine("intel_gpus")
    arc.remove(f"{HWMON}/hwmon4/energy1_input")
    arc.remove(f"{HWMON}/hwmon4/device/uevent")
    assert Absent("Intel GPU hwmon4", "gpu", "not_supported") in found_on(arc)[1]


def test_the_rails_of_an_agx_board_sum_to_the_module(machine: Recorded) -> None:
    """7.6 + 3.8 + 4.5 W; the rail that is fed from the 5 V rail is not added again."""
    orin = machine("jetson_orin")
    assert powers(orin) == {"rail-VDD_GPU_SOC": 7_600, "rail-VDD_CPU_CV": 3_800, "rail-VIN_SYS_5V0": 4_500}
    meters, absent = found_on(orin)
    assert absent == [Absent("rail VDDQ_VDD2_1V8AO", "node_rest", "covered_by_another")]
    assert [meter.description.component for meter in meters.values()] == ["gpu", "cpu", "node_rest"]


def test_a_board_with_a_total_counts_just_that(machine: Recorded) -> None:
    """The parts and the rest of VDD_IN are 10 W together."""
    nano = machine("jetson_orin_nano")
    assert powers(nano) == {"rest-of-VDD_IN": 7_000, "rail-VDD_CPU_GPU_CV": 3_000}
    assert found_on(nano)[1] == [Absent("rail VDD_SOC", "node_rest", "covered_by_another")]


def test_parts_that_show_more_than_their_total_leave_no_rest(machine: Recorded) -> None:
    """They are read one after the other."""
    nano = machine("jetson_orin_nano")
    nano.write(f"{HWMON}/hwmon0/curr1_input", "500\n")
    assert powers(nano)["rest-of-VDD_IN"] == 0


def test_a_rail_of_unknown_name_is_left_out(machine: Recorded) -> None:
    """It may lie within another."""
    orin = machine("jetson_orin")
    orin.write(f"{HWMON}/hwmon1/in2_label", "SOMETHING\n")
    assert found_on(orin)[1] == [Absent("rail SOMETHING", "node_rest", "not_supported")]


@pytest.mark.parametrize(
    ("current", "power_mw"),
    [("", None), ("text", None), ("-", None), ("-101", None), ("-8", 0), ("9" * 30, None), ("99999", None)],
)
def test_a_malformed_rail_is_a_failed_read(machine: Recorded, current: str, power_mw: int | None) -> None:
    """But the small negative current that an amplifier shows where none flows is none."""
    orin = machine("jetson_orin")
    orin.write(f"{HWMON}/hwmon0/curr1_input", current)
    meter = found_on(orin)[0]["boot:rails", "rail-VDD_GPU_SOC"]
    assert meter.read() == (NoData("read_failed") if power_mw is None else PowerValue(power_mw))


def test_a_part_that_fails_leaves_the_rest_unknown(machine: Recorded) -> None:
    """A total less nothing would count the part twice when it is back."""
    nano = machine("jetson_orin_nano")
    nano.write(f"{HWMON}/hwmon0/curr2_input", "")
    assert found_on(nano)[0]["boot", "rest-of-VDD_IN"].read() == NoData("read_failed")


@pytest.mark.parametrize("content", ["", "text", "-5", "9" * 30, "1.5"])
def test_a_malformed_counter_is_a_failed_read(machine: Recorded, content: str) -> None:
    """It is never taken for 0."""
    arc = machine("intel_gpus")
    arc.write(f"{HWMON}/hwmon4/energy1_input", content)
    assert found_on(arc)[0]["boot:0000:07:00.0", "gpu"].read() == NoData("read_failed")


def test_a_forbidden_counter_says_so(machine: Recorded) -> None:
    """Root alone may read it on some kernels."""
    arc = machine("intel_gpus")
    arc.write(f"{HWMON}/hwmon4/energy1_input", "5", 0o400)
    with as_nobody():
        assert found_on(arc)[0]["boot:0000:07:00.0", "gpu"].read() == NoData("permission_denied")


def test_the_sockets_of_amd_energy_are_found_and_not_its_cores(machine: Recorded) -> None:
    """Whether they count, RAPL decides."""
    assert list(found_on(machine("two_epycs"))[0]) == [("boot", "Esocket0"), ("boot", "Esocket1")]


@pytest.mark.parametrize("name", ["virtual_machine", "two_xeons"])
def test_a_machine_without_hwmon_has_nothing(machine: Recorded, name: str) -> None:
    """And nothing to explain."""
    assert found_on(machine(name)) == ({}, [])


def test_closed_meters_say_so(machine: Recorded) -> None:
    """As every meter does."""
    for name in ("intel_gpus", "jetson_orin"):
        for meter in found_on(machine(name))[0].values():
            meter.close()
            assert meter.read() == NoData("closed")
