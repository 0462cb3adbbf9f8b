"""A path of the control groups tells job, step, pod and container, whatever wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.machines import Machine

from joulebook_collectors.host.cgroups import (
    Place,
    cpu_us,
    groups_in,
    memory_bytes,
    oom_kills,
    parse_membership,
    parse_path,
    parse_usage_us,
    pids_in,
    place_of,
)

UID = "5b0e5f0c-7f6a-4a53-8ec7-0b7f0c9d1e2f"
UNDERLINED = UID.replace("-", "_")
STATIC = "0123456789abcdef0123456789abcdef"
BOX = "c0ffee" * 10 + "abcd"
SCOPE = f"cri-containerd-{BOX}.scope"
BURSTABLE = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/", Place()),
        ("/user.slice/user-1000.slice/session-3.scope", Place(unit="session-3.scope")),
        ("/system.slice/cron.service", Place(unit="cron.service")),
        ("/system.slice/slurmstepd.scope/job_42/step_0/user/task_1", Place(job="42", step="0", unit="slurmstepd.scope")),
        ("/system.slice/slurmstepd.scope/job_42/step_batch/slurm", Place(job="42", step="batch", unit="slurmstepd.scope")),
        ("/system.slice/node7_slurmstepd.scope/job_42/step_extern/user", Place(job="42", step="extern", unit="node7_slurmstepd.scope")),
        ("/slurm/uid_1000/job_42/step_3/task_0", Place(job="42", step="3")),
        ("/slurm_node7/uid_1000/job_42", Place(job="42")),
        ("/elsewhere/job_42/step_0", Place()),
        (f"{BURSTABLE}{UNDERLINED}.slice/{SCOPE}", Place(pod=UID, container=BOX, unit=SCOPE)),
        (f"/kubepods.slice/kubepods-pod{UNDERLINED}.slice/crio-{BOX}.scope", Place(pod=UID, container=BOX, unit=f"crio-{BOX}.scope")),
        (f"/kubepods/besteffort/pod{UID}/{BOX}", Place(pod=UID, container=BOX)),
        (f"/kubepods/pod{UID}/{BOX}", Place(pod=UID, container=BOX)),
        (f"/kubepods/burstable/pod{STATIC}/{BOX}", Place(pod=STATIC, container=BOX)),
        (
            f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{UNDERLINED}.slice",
            Place(pod=UID),
        ),
        (
            f"/system.slice/containerd.service/kubepods-burstable-pod{UNDERLINED}.slice:cri-containerd:{BOX}",
            Place(pod=UID, container=BOX, unit="containerd.service"),
        ),
        (f"/docker/{BOX}", Place(container=BOX)),
        (f"/system.slice/docker-{BOX}.scope", Place(container=BOX, unit=f"docker-{BOX}.scope")),
        (f"/machine.slice/libpod-{BOX}.scope/container", Place(container=BOX, unit=f"libpod-{BOX}.scope")),
        ("/kubepods/burstable/podium", Place()),
        (f"/user.slice/podcast-pod{UNDERLINED}.slice", Place()),
    ],
)  # fmt: skip
def test_a_path_tells_where_a_process_is(path: str, place: Place) -> None:
    """Both drivers of Kubernetes, every usual runtime, and both of Slurm's plugins."""
    assert parse_path(path) == place


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b"0::/a/b\n", "/a/b"),
        (b"0::/a/b (deleted)\n", "/a/b"),
        (b"9:name=systemd:/init.scope\n4:cpu,cpuacct:/slurm/uid_1/job_2\n0::/\n", "/slurm/uid_1/job_2"),
        (b"9:name=systemd:/docker/x\n4:memory:/y\n", "/docker/x"),
        (b"0::/a/x.slice:cri-containerd:1\n", "/a/x.slice:cri-containerd:1"),
        (b"", ""),
        (b"nonsense\n\xff\n", ""),
    ],
)
def test_membership_is_read_of_both_versions(text: bytes, path: str) -> None:
    """Version 2 has one path, version 1 one for each controller."""
    assert parse_membership(text) == path


def test_use_is_read_of_both_versions(tmp_path: Path) -> None:
    """What is not there is None."""
    machine = Machine(tmp_path)
    machine.write("new/cpu.stat", "usage_usec 1234567\nuser_usec 1000000\n")
    machine.write("new/memory.current", "4096\n")
    machine.write("new/memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n")
    machine.write("old/cpuacct.usage", "1234567890\n")
    machine.write("old/memory.usage_in_bytes", "8192\n")
    machine.write("old/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    new, old, none = (str(tmp_path / name) for name in ("new", "old", "none"))
    assert (cpu_us(new), memory_bytes(new), oom_kills(new)) == (1_234_567, 4096, 2)
    assert (cpu_us(old), memory_bytes(old), oom_kills(old)) == (1_234_567, 8192, 1)
    assert (cpu_us(none), memory_bytes(none), oom_kills(none)) == (None, None, None)
    assert parse_usage_us(b"usage_usec much\n") is None


def test_jobs_and_pods_are_found_in_version_2(tmp_path: Path) -> None:
    """Each once, at the folder that holds all of it; what is below tells the processes."""
    machine = Machine(tmp_path)
    job = "cg/system.slice/slurmstepd.scope/job_42"
    machine.write(f"{job}/cgroup.procs", "")
    machine.write(f"{job}/step_0/user/task_0/cgroup.procs", "10\n11\n")
    machine.write(f"{job}/step_batch/user/task_0/cgroup.procs", "9\n")
    machine.write(f"cg{BURSTABLE}{UNDERLINED}.slice/{SCOPE}/cgroup.procs", "20\n")
    machine.write("cg/user.slice/user-1000.slice/session-3.scope/cgroup.procs", "30\n")
    found = groups_in(f"{tmp_path}/cg")
    assert [(group.place.pod, group.place.job) for group in found] == [(UID, ""), ("", "42")]
    assert sorted(pids_in(found[1].folder)) == [9, 10, 11]
    assert found[1].memory_folder == found[1].folder
    assert pids_in(found[0].folder) == [20]


def test_jobs_are_found_in_version_1(tmp_path: Path) -> None:
    """CPU time and memory have trees of their own."""
    machine = Machine(tmp_path)
    machine.write("cg/cpu,cpuacct/slurm/uid_1000/job_42/step_0/cgroup.procs", "10\n")
    machine.write("cg/memory/slurm/uid_1000/job_42/memory.usage_in_bytes", "8192\n")
    (group,) = groups_in(f"{tmp_path}/cg")
    assert group.place == Place(job="42")
    assert memory_bytes(group.memory_folder) == 8192


def test_a_process_says_where_it_is(tmp_path: Path) -> None:
    """By its file in /proc; one that is gone is nowhere."""
    machine = Machine(tmp_path)
    machine.write("proc/10/cgroup", "0::/system.slice/slurmstepd.scope/job_42/step_0\n")
    assert place_of(10, machine.proc_root).job == "42"
    assert place_of(11, machine.proc_root) == Place()


def test_a_host_without_groups_has_no_jobs(tmp_path: Path) -> None:
    """Nor does one whose tree cannot be read."""
    assert groups_in(str(tmp_path / "nothing")) == []
