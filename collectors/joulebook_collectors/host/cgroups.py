"""What control groups say of processes: which Slurm job, pod, container or unit they belong to, and what a group used.

Paths are parsed by their form alone: both drivers of Kubernetes (systemd and cgroupfs), containerd, CRI-O, docker and podman, Slurm's
plugins for version 1 and 2. Files are read only. A file that is not there is None, never 0.
"""

from __future__ import annotations

import os

from joulebook_collectors.host.processes import read_bytes
from joulebook_ledger.core.slotted import Slotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CGROUP_ROOT = "/sys/fs/cgroup"
_CONTAINER_ID_LENGTH = 64
_HEXADECIMAL = frozenset("0123456789abcdef")
_UNITS = (".scope", ".service")
_STEPD = "slurmstepd.scope"
_DEEPEST = 8
# Of version 1 every controller has a tree of its own; that of CPU time tells all that is asked here.
_OLD_CPU = ("cpuacct", "cpu,cpuacct", "cpuacct,cpu")
_OLD_MEMORY = "memory"


class Place(Slotted):
    """Where in the tree a process is, as far as the path tells.

    Attributes:
        job: Slurm's job id; empty for none.
        step: Its step: a number, "batch", "extern", "interactive"; empty where the path ends above.
        pod: The pod's uid, with dashes; empty for none.
        container: The container's id; empty for none.
        unit: The innermost systemd scope or service; empty for none.
    """

    __slots__ = ("container", "job", "pod", "step", "unit")

    def __init__(self, *, job: str = "", step: str = "", pod: str = "", container: str = "", unit: str = "") -> None:
        self.job = job
        self.step = step
        self.pod = pod
        self.container = container
        self.unit = unit


class Group(Slotted):
    """The group of a whole job or pod on this host.

    Attributes:
        folder: Its folder in the tree that counts CPU time.
        place: The job or pod.
        memory_folder: Its folder in the tree that counts memory: the same one but in version 1.
    """

    __slots__ = ("folder", "memory_folder", "place")

    def __init__(self, folder: str, place: Place, memory_folder: str) -> None:
        self.folder = folder
        self.place = place
        self.memory_folder = memory_folder


def parse_membership(text: bytes) -> str:
    """Return the path of /proc/PID/cgroup that tells most: of version 2 the one there is, else that of CPU time, else the longest.

    A line is `hierarchy:controllers:path`; in version 2 it is `0::path` (cgroups(7)). A path may hold colons.
    """
    paths: dict[str, str] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        _, colon, rest = line.partition(":")
        controllers, second, path = rest.partition(":")
        if colon and second:
            paths[controllers] = path.removesuffix(" (deleted)")
    unified = paths.get("", "")
    if len(unified) > 1:
        return unified
    for controllers, path in paths.items():
        if "cpuacct" in controllers.split(",") and len(path) > 1:
            return path
    return max(paths.values(), key=len, default="")


def parse_path(path: str) -> Place:
    """Return what a path tells.

    >>> parse_path("/system.slice/slurmstepd.scope/job_42/step_0/user/task_1").job
    '42'
    """
    job = step = pod = container = unit = ""
    for part in path.replace(":", "/").split("/"):
        if part.startswith("job_") and part[4:].isdecimal():
            job = part[4:]
        elif part.startswith("step_") and job:
            step = part[5:]
        else:
            pod = pod_of(part) or pod
            container = container_of(part) or container
        if part.endswith(_UNITS):
            unit = part
    if job and "slurm" not in path:
        job = step = ""
    return Place(job=job, step=step, pod=pod, container=container, unit=unit)


def pod_of(part: str) -> str:
    """Return the uid of a pod's own folder; empty where it is none.

    With cgroupfs it is `podUID`, with systemd `kubepods-burstable-podUID.slice`, where dashes of the uid are underlines.
    """
    name = part.removesuffix(".slice")
    is_slice = name != part
    if is_slice:
        before, _, name = name.rpartition("-")
        if not before.endswith(("kubepods", "kubepods-burstable", "kubepods-besteffort")):
            return ""
    uid = name.removeprefix("pod").replace("_", "-") if name.startswith("pod") else ""
    return uid if len(uid.replace("-", "")) == 32 and _HEXADECIMAL.issuperset(uid.replace("-", "")) else ""


def container_of(part: str) -> str:
    """Return the id of a container's folder: 64 digits, in a systemd scope after the name of its runtime; empty for none."""
    identifier = part.removesuffix(".scope").rpartition("-")[2]
    return identifier if len(identifier) == _CONTAINER_ID_LENGTH and _HEXADECIMAL.issuperset(identifier) else ""


def place_of(pid: int, proc_root: str = "/proc") -> Place:
    """Return where a process is; nowhere where it is gone."""
    return parse_path(membership(pid, proc_root))


def membership(pid: int, proc_root: str = "/proc") -> str:
    """Return the path of a process's group; empty where it is gone."""
    return parse_membership(read_bytes(f"{proc_root}/{pid}/cgroup") or b"")


def membership_v2(pid: int | str, proc_root: str = "/proc") -> str:
    """Return the path of a process's group of version 2; empty where it has none or is gone."""
    for line in (read_bytes(f"{proc_root}/{pid}/cgroup") or b"").decode("utf-8", "replace").splitlines():
        if line.startswith("0::"):
            return line[3:].removesuffix(" (deleted)")
    return ""


def parse_usage_us(text: bytes) -> int | None:
    """Return the CPU time of cpu.stat, microseconds."""
    return _value_of(text, b"usage_usec")


def cpu_us(folder: str) -> int | None:
    """Return the CPU time of all that ever was in a group, microseconds; None where the kernel does not say."""
    stat = read_bytes(f"{folder}/cpu.stat")
    used = parse_usage_us(stat) if stat is not None else None
    if used is not None:
        return used
    nanoseconds = (read_bytes(f"{folder}/cpuacct.usage") or b"").strip()
    return int(nanoseconds) // 1000 if nanoseconds.isdigit() else None


def memory_bytes(folder: str) -> int | None:
    """Return the memory of a group; None where the kernel does not say."""
    for name in ("memory.current", "memory.usage_in_bytes"):
        amount = (read_bytes(f"{folder}/{name}") or b"").strip()
        if amount.isdigit():
            return int(amount)
    return None


def oom_kills(folder: str) -> int | None:
    """Return how many processes of a group the kernel killed because memory ran out; None where it does not say."""
    for name in ("memory.events", "memory.oom_control"):
        killed = _value_of(read_bytes(f"{folder}/{name}") or b"", b"oom_kill")
        if killed is not None:
            return killed
    return None


def pids_in(folder: str) -> list[int]:
    """Return all processes of a group and of those below it."""
    found: list[int] = []
    for path, _, names in os.walk(folder):
        if "cgroup.procs" in names:
            found += [int(pid) for pid in _whole(f"{path}/cgroup.procs").split() if pid.isdigit()]
    return found


def groups_in(cgroup_root: str = CGROUP_ROOT) -> list[Group]:
    """Return the groups of all Slurm jobs and pods of this host, in order of their paths."""
    roots = [f"{cgroup_root}/{name}" for name in _OLD_CPU if os.path.isdir(f"{cgroup_root}/{name}")][:1] or [
        cgroup_root
    ]
    found = []
    for root in roots:
        for path, place in _below(root, "", 0):
            memory = path if root == cgroup_root else path.replace(root, f"{cgroup_root}/{_OLD_MEMORY}", 1)
            found.append(Group(path, place, memory))
    return sorted(found, key=lambda group: group.folder)


def _below(root: str, path: str, depth: int) -> Iterator[tuple[str, Place]]:
    """Yield the folders of jobs and pods, going only where such may be."""
    try:
        names = sorted(entry.name for entry in os.scandir(root + path) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in names:
        inner = f"{path}/{name}"
        place = parse_path(inner)
        if (place.job and not place.step) or (place.pod and not place.container):
            yield root + inner, place
        elif depth < _DEEPEST and _may_lead_to_jobs(name, depth):
            yield from _below(root, inner, depth + 1)


def _may_lead_to_jobs(name: str, depth: int) -> bool:
    if name.endswith(_STEPD) or name.startswith(("slurm", "uid_", "kubelet", "kubepods")):
        return True
    return (depth == 0 and name.endswith(".slice")) or name in {"burstable", "besteffort"}


def _value_of(text: bytes, name: bytes) -> int | None:
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[0] == name and fields[1].isdigit():
            return int(fields[1])
    return None


def _whole(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
