"""What a container, pod or job may use of its host's processors, and what it therefore bears of what the host draws when idle."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.machines import Machine

from joulebook_collectors.host.allotment import Allotment, Processors
from joulebook_collectors.meters.diagnosis import diagnose
from joulebook_collectors.meters.find import FoundMeters, time_meter
from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.presence.span import Span
from joulebook_collectors.presence.tracked import Tracked, by_group
from joulebook_ledger.core.attribution import split_window

ONLINE = "sys/devices/system/cpu/online"
ROOT = "sys/fs/cgroup"
POD = "kubepods.slice/kubepods-burstable.slice/pod.slice"
RUN, OTHER = "a" * 32, "b" * 32
IDLE_MJ, ACTIVE_MJ, LENGTH_MS = 640_000, 100_000, 10_000


def machine(folder: Path, files: dict[str, str], online: str = "0-63\n") -> Machine:
    """Return a machine with these files of its control groups."""
    made = Machine(folder)
    made.write(ONLINE, online)
    for path, content in files.items():
        made.write(f"{ROOT}/{path}", content)
    return made


def bound_of(made: Machine, path: str) -> tuple[int, str]:
    """Return what a process in a group may use, and the group that bounds it."""
    made.write("proc/7/cgroup", f"0::{path}\n")
    found = Processors(made.proc_root, made.sysfs_root).of_process(7)
    return found.thousandths, found.folder.removeprefix(f"{made.sysfs_root}/fs/cgroup")


@pytest.mark.parametrize(
    ("files", "path", "bound"),
    [
        ({}, "/", (0, "")),
        ({"cpu.max": "200000 100000\n"}, "/", (2_000, "")),  # a container sees its own group as the root
        ({"cpu.max": "200000 100000\n"}, "/docker/0123", (2_000, "")),  # and may be told the host's path of it
        ({"cpu.max": "max 100000\n"}, "/", (0, "")),
        ({"cpu.max": "6400000 100000\n"}, "/", (0, "")),
        ({"cpu.max": "150000 100000\n"}, "/", (1_500, "")),
        ({"cpu.max": "1 100000\n"}, "/", (1, "")),
        ({"cpu.max": "200000 0\n"}, "/", (0, "")),
        ({"cpu.max": "broken\n"}, "/", (0, "")),
        ({"cpuset.cpus.effective": "0-63\n"}, "/", (0, "")),
        ({"cpuset.cpus.effective": "0-3,8\n"}, "/", (5_000, "")),
        ({"cpuset.cpus.effective": "0-3,8\n", "cpu.max": "200000 100000\n"}, "/", (2_000, "")),
        ({f"{POD}/cpu.max": "400000 100000\n", f"{POD}/x/cpu.max": "100000 100000\n"}, f"/{POD}/x", (1_000, f"/{POD}/x")),
        ({f"{POD}/cpu.max": "400000 100000\n", f"{POD}/x/cpu.max": "max 100000\n"}, f"/{POD}/x", (4_000, f"/{POD}")),
        # Tasks of a job have the job's cpuset: they share it.
        ({"job/cpuset.cpus.effective": "0-7\n", "job/task/cpuset.cpus.effective": "0-7\n"}, "/job/task", (8_000, "/job")),
        ({"cpu.max": "200000 100000\n"}, "/../elsewhere", (0, "")),
    ],
)  # fmt: skip
def test_the_least_bound_on_the_way_up_counts(
    tmp_path: Path, files: dict[str, str], path: str, bound: tuple[int, str]
) -> None:
    """And the highest folder where it stands is who shares it."""
    assert bound_of(machine(tmp_path, files), path) == bound


@pytest.mark.parametrize("online", ["", "none\n"])
def test_without_a_number_of_processors_nothing_is_bounded(tmp_path: Path, online: str) -> None:
    """A part of an unknown whole is unknown."""
    assert bound_of(machine(tmp_path, {"cpu.max": "200000 100000\n"}, online), "/") == (0, "")


def test_what_is_switched_off_is_allotted_to_nobody(tmp_path: Path) -> None:
    """With 32 of 64 online, a set of those 32 bounds nothing."""
    assert bound_of(machine(tmp_path, {"cpuset.cpus.effective": "0-31\n"}, "0-31\n"), "/") == (0, "")


def shares(*groups: tuple[str, int, str], processors: int = 64_000) -> dict[str, tuple[int, int]]:
    """Return run -> (energy, of it held and not used), where runs were in groups that may use so much."""
    present = []
    for run, allotted, group in groups:
        tracked = Tracked()
        tracked.runs = [run]
        tracked.bound(Allotment(group, allotted))
        present.append(tracked)
    span = Span()
    span.length_us = LENGTH_MS * 1000
    span.hold_host(by_group(present, processors), span.length_us, processors)
    span.cpu = {RUN: 1_000}
    span.host["cpu"] = 4_000
    claims, _ = span.claims("cpu", "host")
    told = split_window(IDLE_MJ + ACTIVE_MJ, IDLE_MJ, LENGTH_MS, claims, capacity=span.capacity)
    return {share.account: (share.energy_mj, share.static_mj) for share in told}


def test_a_run_in_a_container_bears_its_part_of_what_the_host_draws_when_idle() -> None:
    """Two of 64 processors: 2/64 of the static part, and a quarter of the active part for a quarter of the CPU time."""
    assert shares((RUN, 2_000, "c")) == {RUN: (20_000 + 25_000, 20_000), "untracked": (75_000, 0)}
    assert shares((RUN, 0, "")) == {RUN: (640_000 + 25_000, 640_000), "untracked": (75_000, 0)}


def test_runs_of_one_group_share_its_part_and_those_of_two_have_theirs() -> None:
    """Together never more than the host."""
    assert shares((RUN, 2_000, "c"), (OTHER, 2_000, "c"))[OTHER] == (10_000, 10_000)
    assert shares((RUN, 2_000, "c"), (OTHER, 2_000, "d"))[OTHER] == (20_000, 20_000)
    assert shares((RUN, 0, ""), (OTHER, 0, ""))[OTHER] == (320_000, 320_000)
    held = [static for _, static in shares((RUN, 48_000, "c"), (OTHER, 48_000, "d")).values()]
    assert held == [320_000, 320_000, 0]
    assert shares((RUN, 0, ""), (OTHER, 32_000, "d"))[OTHER] == (213_334, 213_334)


def test_ranks_of_one_job_hold_its_processors_once() -> None:
    """Eight processes of one run in one group are no more than the group."""
    assert shares(*[(RUN, 8_000, "job")] * 8)[RUN] == (80_000 + 25_000, 80_000)


def test_an_attendance_goes_on_with_the_bounds_it_knew(tmp_path: Path) -> None:
    """They stand in the checkpoint; one of an older release bounds nothing."""
    tracked = Tracked()
    tracked.bound(Allotment("c", 2_000))
    state = tracked.to_json()
    assert by_group([Tracked.from_json(state)], 64_000) == [(2_000, [])]
    del state["allotted"], state["group"]
    assert by_group([Tracked.from_json(state)], 64_000) == [(64_000, [])]
    made = machine(tmp_path, {})
    assert Attendance("", 0, made.proc_root, made.sysfs_root).processors.thousandths == 64_000


def test_the_doctor_tells_of_the_bound(tmp_path: Path) -> None:
    """With the file that says so; and nothing where nothing bounds."""
    made = machine(tmp_path, {"cpu.max": "250000 100000\n"})
    made.write("proc/self/cgroup", "0::/\n")
    found = FoundMeters(meters=(), gpus=(), time=time_meter("boot"), absent=())
    (told,) = diagnose(found, sysfs_root=made.sysfs_root, proc_root=made.proc_root)
    assert told.detail == f"2.5 of 64, by {made.sysfs_root}/fs/cgroup/cpu.max"
    assert "2.5/64" in told.why
    made.write(f"{ROOT}/cpu.max", "max 100000\n")
    assert diagnose(found, sysfs_root=made.sysfs_root, proc_root=made.proc_root) == ()
