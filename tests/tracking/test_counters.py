"""A machine with counters: what they pass while runs are open is booked to the last millijoule, whoever dies."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from helpers.machines import Machine, lay_out
from helpers.tracked import Place, end_group, kill, reader_pid, ready, wait_until

from joulebook_collectors.spool.checkpoint import read_checkpoint
from joulebook_ledger.core.records import Meter, Window

pytestmark = pytest.mark.processes

WORK = """
import joulebook, sys
with joulebook.track(model=sys.argv[1]):
    print("ready", flush=True)
    sys.stdin.readline()
"""
STEP_UJ = 1_234_567


class Counter:
    """The counter of package 0 of a machine with RAPL."""

    def __init__(self, machine: Machine) -> None:
        """Begin somewhere."""
        self._machine = machine
        self.value_uj = 5_000_000_000
        machine.counts("intel-rapl:0", self.value_uj)

    def draw(self) -> None:
        """Let it count a little energy, and a little time pass."""
        self.value_uj += STEP_UJ
        self._machine.counts("intel-rapl:0", self.value_uj)
        time.sleep(0.05)


def test_no_energy_that_a_counter_holds_is_lost_when_its_reader_is_killed(tmp_path: Path) -> None:
    """It counts before, while nobody reads, and after: all of it is in the windows, and none of it twice."""
    machine = lay_out("two_xeons", tmp_path / "machine")
    counter = Counter(machine)
    place = Place(tmp_path)
    place.environment["JOULEBOOK_SYSFS_ROOT"] = machine.sysfs_root
    processes = {}
    for name in ("first", "second"):
        process = place.start(WORK, name)
        assert ready(process) == "ready"
        processes[process.pid] = process
    wait_until(lambda: read_checkpoint(str(place.boot)), "nobody reads")
    time.sleep(0.3)  # both have the counter's first value
    for _ in range(30):
        counter.draw()
    first = reader_pid(place)
    kill(processes[first], signal.SIGKILL)
    end_group(processes.pop(first))
    for _ in range(10):
        counter.draw()
    (heir,) = processes.values()
    wait_until(lambda: reader_pid(place) == heir.pid, "nobody took over")
    for _ in range(30):
        counter.draw()
    heir.communicate("\n", timeout=60)
    keeper = place.deliver()
    keeper.assert_sound()
    (package,) = [meter.key for meter in keeper.facts(Meter) if meter.domain == "package-0"]
    read = [window for window in keeper.facts(Window) if window.meter == package]
    assert [window for window in read if window.is_gap] == []
    assert sum(window.energy_mj or 0 for window in read) == 70 * STEP_UJ // 1_000
    assert {window.method for window in read} == {"counter"}


def test_a_counter_that_fails_for_a_while_is_made_good(tmp_path: Path) -> None:
    """Its file cannot be read for a second: the next read holds what it passed."""
    machine = lay_out("two_xeons", tmp_path / "machine")
    counter = Counter(machine)
    place = Place(tmp_path)
    place.environment["JOULEBOOK_SYSFS_ROOT"] = machine.sysfs_root
    process = place.start(WORK, "m")
    assert ready(process) == "ready"
    wait_until(lambda: read_checkpoint(str(place.boot)), "nobody reads")
    time.sleep(0.3)
    for number in range(40):
        counter.draw()
        if number == 10:
            machine.write("sys/class/powercap/intel-rapl:0/energy_uj", "")
            time.sleep(1.1)
    process.communicate("\n", timeout=60)
    keeper = place.deliver()
    keeper.assert_sound()
    package = next(meter.key for meter in keeper.facts(Meter) if meter.domain == "package-0")
    energy_mj = sum(window.energy_mj or 0 for window in keeper.facts(Window) if window.meter == package)
    assert energy_mj == 40 * STEP_UJ // 1_000
