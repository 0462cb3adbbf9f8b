"""Processes, cpu time and memory, as /proc tells them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.machines import Machine
from hypothesis import given
from hypothesis import strategies as st

from joulebook_collectors.host import portable, processes
from joulebook_collectors.host.processes import HostMemory, HostTime, ProcessState

Recorded = Callable[[str], Machine]


def stat_line(pid: int, name: bytes, *, state: bytes = b"S", parent: int = 1, started: int = 77) -> bytes:
    """Return a line of /proc/PID/stat: 1 s of user and 0.5 s of system time, children 2 s and 0.25 s."""
    fields = [state, b"%d" % parent, *[b"0"] * 9, b"100", b"50", b"200", b"25", *[b"0"] * 4, b"%d" % started, b"0"]
    return b"%d (%s) %s\n" % (pid, name, b" ".join(fields))


@pytest.fixture
def proc(tmp_path: Path) -> Machine:
    """Return a machine with nothing on it."""
    return Machine(tmp_path)


def test_a_process_is_read_from_its_line() -> None:
    """Ticks become milliseconds."""
    expected = ProcessState(pid=42, parent=1, started=77, cpu_ms=1_500, waited_ms=2_250)
    assert processes.parse_stat(stat_line(42, b"python")) == expected


@given(st.binary(max_size=15))
def test_any_name_may_stand_in_the_line(name: bytes) -> None:
    """Spaces, brackets and line ends in it move no field."""
    expected = ProcessState(pid=42, parent=1, started=77, cpu_ms=1_500, waited_ms=2_250)
    assert processes.parse_stat(stat_line(42, name)) == expected


@given(st.binary(max_size=200))
def test_no_line_raises(line: bytes) -> None:
    """What is no line of a process is no process."""
    assert processes.parse_stat(line) is None or isinstance(processes.parse_stat(line), ProcessState)


@pytest.mark.parametrize("missing", range(2, 62))
def test_a_line_cut_short_is_no_process(missing: int) -> None:
    """At whichever byte: a start that lost its last digit would be another process."""
    assert processes.parse_stat(stat_line(42, b"python")[:-missing]) is None


def test_a_zombie_still_tells_its_time_and_is_not_alive(proc: Machine) -> None:
    """Its parent has not waited for it: what it did shows nowhere else yet."""
    proc.write("proc/42/stat", stat_line(42, b"python", state=b"Z"))
    state = processes.process_state(42, proc.proc_root)
    assert state is not None
    assert (state.is_ended, state.cpu_ms) == (True, 1_500)
    assert not processes.is_alive(42, 77, proc.proc_root)


@pytest.mark.parametrize("state", [b"X", b"x"])
def test_a_process_that_is_just_going_is_gone(state: bytes) -> None:
    """Nobody will ever see it again."""
    assert processes.parse_stat(stat_line(42, b"python", state=state)) is None


def test_a_process_that_vanished_is_none(proc: Machine) -> None:
    """Never a process without time."""
    assert processes.process_state(42, proc.proc_root) is None
    assert processes.resident_bytes(42, proc.proc_root) is None
    assert not processes.is_alive(42, 77, proc.proc_root)


def test_a_pid_used_anew_is_another_process(proc: Machine) -> None:
    """The start tells them apart."""
    proc.write("proc/42/stat", stat_line(42, b"python", started=77))
    assert processes.is_alive(42, 77, proc.proc_root)
    assert not processes.is_alive(42, 76, proc.proc_root)


def test_all_processes_are_those_with_a_number(proc: Machine) -> None:
    """`self` and the like are other names for them."""
    for pid in (10, 11, 20):
        proc.write(f"proc/{pid}/stat", stat_line(pid, b"worker"))
    proc.write("proc/self/stat", stat_line(99, b"not a pid"))
    assert sorted(processes.all_processes(proc.proc_root)) == [10, 11, 20]


def test_below_a_process_are_the_children_of_all_its_threads(proc: Machine) -> None:
    """And theirs, and nobody else's; one that went meanwhile is passed over, and a circle ends."""
    proc.write("proc/thread-self/children", "")
    for pid, parent in ((10, 1), (11, 10), (12, 10), (13, 11), (20, 1), (21, 20)):
        proc.write(f"proc/{pid}/stat", stat_line(pid, b"worker", parent=parent))
    proc.write("proc/10/task/10/children", "11 99 ")
    proc.write("proc/10/task/14/children", "12 ")
    proc.write("proc/11/task/11/children", "13 ")
    proc.write("proc/13/task/13/children", "10 ")
    below = processes.processes_below([10, 4711], proc.proc_root)
    assert below is not None
    assert sorted(below) == [10, 11, 12, 13]
    assert below[13].parent == 11


def test_a_kernel_that_names_no_children_says_so(proc: Machine) -> None:
    """None, not nobody."""
    proc.write("proc/10/stat", stat_line(10, b"worker"))
    assert processes.processes_below([10], proc.proc_root) is None


def test_a_machine_without_proc_has_no_processes(proc: Machine) -> None:
    """Nothing is known, and nothing raises."""
    assert processes.all_processes(proc.proc_root) == {}
    assert processes.host_time(proc.proc_root) is None
    assert processes.host_memory(proc.proc_root) is None
    assert not processes.sees_host_pids(proc.proc_root)


def test_busy_time_leaves_out_waiting_for_disks_and_time_stolen(machine: Recorded) -> None:
    """`cpu  1000 20 300 90000 500 10 5 7 50 0`: guests are in user already."""
    expected = HostTime(busy_ms=13_350, idle_ms=905_000)
    assert processes.host_time(machine("virtual_machine").proc_root) == expected


@pytest.mark.parametrize("text", [b"", b"cpu  1 2 3", b"cpu0 1 2 3 4 5 6 7 8", b"cpu  a b c d e f g h", b"\xff\xfe"])
def test_a_line_that_tells_no_time_is_none(text: bytes) -> None:
    """Never 0."""
    assert processes.parse_host_time(text) is None


def test_memory_in_use_is_what_the_kernel_could_not_give_away(machine: Recorded) -> None:
    """Caches are not in use."""
    expected = HostMemory(total_bytes=16_300_000 * 1024, used_bytes=4_075_000 * 1024)
    assert processes.host_memory(machine("virtual_machine").proc_root) == expected


def test_resident_memory_is_counted_in_pages(proc: Machine) -> None:
    """The second number of statm."""
    proc.write("proc/42/statm", "5000 300 100 1 0 700 0\n")
    assert processes.resident_bytes(42, proc.proc_root) == 300 * os.sysconf("SC_PAGE_SIZE")
    proc.write("proc/42/statm", "")
    assert processes.resident_bytes(42, proc.proc_root) is None


def test_the_pid_namespace_of_the_host_is_known_by_its_number(proc: Machine) -> None:
    """In any other, pids that a driver names are not ours."""
    namespace = proc.folder / "proc/self/ns/pid"
    namespace.parent.mkdir(parents=True)
    namespace.symlink_to("pid:[4026531836]")
    assert processes.sees_host_pids(proc.proc_root)
    namespace.unlink()
    namespace.symlink_to("pid:[4026532201]")
    assert not processes.sees_host_pids(proc.proc_root)


def test_this_process_is_found_with_its_child() -> None:
    """On the real /proc, and by psutil, the same processes with the same parents."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        below = processes.processes_below([os.getpid()])
        for found in (processes.all_processes(), portable.all_processes(), below or processes.all_processes()):
            assert found[child.pid].parent == os.getpid()
        child.communicate(b"\n")


def test_psutil_answers_what_proc_answers() -> None:
    """Where there is no /proc the same questions get answers of the same kind."""
    ours, psutils = processes.process_state(os.getpid()), portable.process_state(os.getpid())
    assert ours is not None
    assert psutils is not None
    assert (ours.pid, ours.parent) == (psutils.pid, psutils.parent)
    memory, time = portable.host_memory(), portable.host_time()
    assert memory is not None
    assert memory.total_bytes == (processes.host_memory() or memory).total_bytes
    assert time is not None
    assert time.busy_ms > 0
    assert (portable.resident_bytes(os.getpid()) or 0) > 0
    assert portable.boot_seconds() > 0


def test_psutil_knows_no_process_that_is_gone() -> None:
    """None, as with /proc."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert portable.process_state(child.pid) is None
    assert portable.resident_bytes(child.pid) is None
