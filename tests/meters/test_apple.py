"""Apple silicon, by a stand-in for zeus_apple_silicon 1.1.0: the names of its functions and fields, and what it may raise."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from joulebook_collectors.meters.apple import find_apple
from joulebook_collectors.meters.meter import Absent, CounterValue, DeviceProcesses, NoData


class Metrics:
    """AppleEnergyMetrics: millijoules, or None where this chip does not say."""

    def __init__(self, **shown: Any) -> None:
        """Show these fields and no other."""
        names = ("cpu_total_mj", "efficiency_cores_mj", "performance_cores_mj", "efficiency_cluster_mj", "performance_cluster_mj",
                 "efficiency_core_manager_mj", "performance_core_manager_mj", "dram_mj", "gpu_mj", "gpu_sram_mj", "ane_mj")  # fmt: skip
        for name in names:
            setattr(self, name, shown.get(name))


class Zeus:
    """The module."""

    def __init__(self, **shown: Any) -> None:
        """Show these fields; an error in `error` is raised by every reading, one in `broken` by the first call."""
        self.error = shown.pop("error", None)
        self.broken = shown.pop("broken", None)
        self.shown = shown

    def AppleEnergyMonitor(self) -> Zeus:  # noqa: N802 - its name
        """Make a monitor."""
        if self.broken is not None:
            raise self.broken
        return self

    def get_cumulative_energy(self) -> Metrics:
        """Return what was counted."""
        if self.error is not None:
            raise self.error
        return Metrics(**self.shown)


def found(library: Zeus) -> tuple[dict[str, Any], list[Absent]]:
    """Return the meters by domain, and what is absent."""
    meters, absent = find_apple(device="boot", processor="Apple M4 Pro", library=library)
    return {meter.description.domain: meter for meter in meters}, absent


M4 = {
    "cpu_total_mj": 9_000,
    "gpu_mj": 4_000,
    "ane_mj": 0,
    "dram_mj": 700,
    "gpu_sram_mj": 3,
    "performance_cores_mj": [1, 2],
}


def test_each_part_of_the_chip_counts_once() -> None:
    """Cores and clusters lie within the processor."""
    meters, absent = found(Zeus(**M4))
    assert {name: meter.read() for name, meter in meters.items()} == {
        "apple-cpu_total": CounterValue(9_000, 1_000, 0),
        "apple-gpu": CounterValue(4_000, 1_000, 0),
        "apple-ane": CounterValue(0, 1_000, 0),
        "apple-dram": CounterValue(700, 1_000, 0),
    }
    assert [meter.description.component for meter in meters.values()] == ["cpu", "gpu", "other", "dram"]
    assert absent == []
    assert meters["apple-gpu"].processes() == DeviceProcesses(None, None)
    assert not meters["apple-gpu"].contains("x")


def test_a_part_that_the_chip_does_not_show_is_absent() -> None:
    """None is not 0."""
    meters, absent = found(Zeus(cpu_total_mj=1, gpu_mj=2))
    assert sorted(meters) == ["apple-cpu_total", "apple-gpu"]
    assert [missing.name for missing in absent] == ["IOReport ane_mj", "IOReport dram_mj"]


@pytest.mark.parametrize("value", [None, -1, "5", 1.5, True])
def test_what_is_no_count_is_a_failed_read(value: object) -> None:
    """As after an update of the system."""
    zeus = Zeus(**M4)
    meters, _ = found(zeus)
    zeus.shown["gpu_mj"] = value
    assert meters["apple-gpu"].read() == NoData("read_failed")


def test_a_library_that_fails_is_a_failed_read() -> None:
    """It raises what C++ raises."""
    zeus = Zeus(**M4)
    meters, _ = found(zeus)
    zeus.error = RuntimeError("IOReport")
    assert meters["apple-gpu"].read() == NoData("read_failed")


def test_a_machine_that_cannot_begin_says_why() -> None:
    """A Mac of another kind, or a package that is not there."""
    assert found(Zeus(broken=RuntimeError("x"))) == ({}, [Absent("IOReport", "cpu", "read_failed")])
    assert found(Zeus(broken=ImportError("x"))) == ({}, [Absent("IOReport", "cpu", "package_missing")])


def test_closed_meters_say_so() -> None:
    """As every meter does."""
    meters, _ = found(Zeus(**M4))
    for meter in meters.values():
        meter.close()
        assert meter.read() == NoData("closed")


@pytest.mark.skipif(sys.platform == "darwin", reason="here the chip is looked for")
def test_other_machines_are_not_asked() -> None:
    """And nothing is said to be missing."""
    assert find_apple(device="boot", processor="CPU") == ([], [])
