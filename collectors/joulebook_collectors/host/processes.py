"""What the kernel says of processes: cpu time, start, parent, resident memory, and the host's busy time.

Linux' /proc is read directly: these functions run in the measured process, where importing psutil would cost more than a day of
sampling. Elsewhere `portable` answers the same questions through psutil. A process that is gone is None, never 0.
"""

from __future__ import annotations

import os
import sys
import time

from joulebook_ledger.core.slotted import Slotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LINUX = sys.platform == "linux"
# The inode of the host's own pid namespace (PROC_PID_INIT_INO, include/linux/proc_ns.h of the kernel).
HOST_PID_NAMESPACE = "pid:[4026531836]"
_ENDED, _GONE = b"Z", frozenset({b"X", b"x"})
_STAT_BYTES = 1024
_WHOLE_FILE_BYTES = 1 << 16
_SAME_INSTANT_NS = 2_000_000  # a fifth of the kernel's tick, in which these times are told


class ProcessState(Slotted):
    """A process that is there: it lives, or has ended and its parent has not waited for it yet.

    Attributes:
        pid: Its id in the pid namespace of proc_root.
        parent: Its parent's id.
        started: When it started, in ticks since boot (Linux) or milliseconds since the epoch: with the pid it names one process.
        cpu_ms: User and system time of all its threads, milliseconds.
        waited_ms: The same of its children that ended and were waited for, and of theirs.
        is_ended: Whether it has ended: a zombie still tells its time, which shows nowhere else until its parent waits for it.
    """

    __slots__ = ("cpu_ms", "is_ended", "parent", "pid", "started", "waited_ms")

    def __init__(
        self, pid: int, parent: int, started: int, cpu_ms: int, waited_ms: int, *, is_ended: bool = False
    ) -> None:
        self.is_ended = is_ended
        self.pid = pid
        self.parent = parent
        self.started = started
        self.cpu_ms = cpu_ms
        self.waited_ms = waited_ms


class HostTime(Slotted):
    """Time of all logical cpus since boot, milliseconds: at work (interrupts included), and waiting (for disks too).

    Time stolen by a hypervisor is in neither: somebody else's work drew that energy.
    """

    __slots__ = ("busy_ms", "idle_ms")

    def __init__(self, busy_ms: int, idle_ms: int) -> None:
        self.busy_ms = busy_ms
        self.idle_ms = idle_ms


class HostMemory(Slotted):
    """Memory of the host in bytes: all of it, and what is in use (all but what the kernel could give away at once)."""

    __slots__ = ("total_bytes", "used_bytes")

    def __init__(self, total_bytes: int, used_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.used_bytes = used_bytes


def read_bytes(path: str, most: int = _WHOLE_FILE_BYTES) -> bytes | None:
    """Return at most `most` bytes of a small kernel file, or None where it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (OSError, ValueError):
        return None
    try:
        return os.read(descriptor, most)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def process_state(pid: int, proc_root: str = "/proc") -> ProcessState | None:
    """Return what the kernel says of a process; None where it is gone."""
    if not LINUX:
        from joulebook_collectors.host import portable

        return portable.process_state(pid)
    text = read_bytes(f"{proc_root}/{pid}/stat", _STAT_BYTES)
    return None if text is None else parse_stat(text, _milliseconds_per_tick())


def parse_stat(text: bytes, milliseconds_per_tick: int = 10) -> ProcessState | None:
    """Return the process a line of /proc/PID/stat tells of; None for one that is just going and for what is no such line.

    The name in brackets may hold spaces, brackets and line ends: the fields begin after the last bracket (proc(5)).
    """
    head, bracket, tail = text.rpartition(b")")
    fields = tail.split()
    if not bracket or len(fields) < 21 or fields[0] in _GONE:
        return None
    try:
        return ProcessState(
            pid=int(head[: head.index(b"(")]),
            parent=int(fields[1]),
            started=int(fields[19]),
            cpu_ms=(int(fields[11]) + int(fields[12])) * milliseconds_per_tick,
            waited_ms=(int(fields[13]) + int(fields[14])) * milliseconds_per_tick,
            is_ended=fields[0] == _ENDED,
        )
    except ValueError:
        return None


def is_alive(pid: int, started: int, proc_root: str = "/proc") -> bool:
    """Tell whether that very process lives: the same pid and the same start. A pid used anew, or a zombie, is not it."""
    state = process_state(pid, proc_root)
    return state is not None and state.started == started and not state.is_ended


def all_processes(proc_root: str = "/proc") -> dict[int, ProcessState]:
    """Return all processes by pid, in one pass (about 20 µs each: once a window, not once a second)."""
    if not LINUX:
        from joulebook_collectors.host import portable

        return portable.all_processes()
    try:
        names = os.listdir(proc_root)
    except OSError:
        return {}
    states = (process_state(int(name), proc_root) for name in names if name.isdecimal())
    return {state.pid: state for state in states if state is not None}


def processes_below(roots: Iterable[int], proc_root: str = "/proc") -> dict[int, ProcessState] | None:
    """Return these processes and all that descend from them, by pid; None where the kernel does not name children.

    It does where it was built to freeze and thaw processes (proc(5), task/TID/children), as those of distributions are. The cost is
    that of the processes asked for, however many others the host runs.
    """
    if not LINUX or not os.path.exists(f"{proc_root}/thread-self/children"):
        return None
    states: dict[int, ProcessState] = {}
    queue = list(roots)
    for pid in queue:
        state = None if pid in states else process_state(pid, proc_root)
        if state is not None:
            states[pid] = state
            queue += _children_of(pid, proc_root)
    return states


def _children_of(pid: int, proc_root: str) -> list[int]:
    """Return the children of each of its threads."""
    folder = f"{proc_root}/{pid}/task"
    try:
        threads = os.listdir(folder)
    except OSError:
        return []
    return [int(child) for thread in threads for child in (read_bytes(f"{folder}/{thread}/children") or b"").split()]


def resident_bytes(pid: int, proc_root: str = "/proc") -> int | None:
    """Return the memory of a process that lies in RAM; None where it is gone."""
    if not LINUX:
        from joulebook_collectors.host import portable

        return portable.resident_bytes(pid)
    fields = (read_bytes(f"{proc_root}/{pid}/statm", _STAT_BYTES) or b"").split()
    if len(fields) < 2 or not fields[1].isdigit():
        return None
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def host_time(proc_root: str = "/proc") -> HostTime | None:
    """Return the busy and the idle time of all cpus since boot; None where the kernel does not say."""
    if not LINUX:
        from joulebook_collectors.host import portable

        return portable.host_time()
    text = _HOST_STAT.read() if proc_root == "/proc" else read_bytes(f"{proc_root}/stat", _STAT_BYTES)
    return parse_host_time(text or b"", _milliseconds_per_tick())


class _HostStat:
    """The beginning of the kernel's own /proc/stat.

    It is opened once, and what it said counts for who asks at the same instant: the kernel sums over all cpus to answer, and of a look
    each few seconds that is a third of the cost.
    """

    __slots__ = ("_descriptor", "_said", "_said_ns")

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._said = b""
        self._said_ns = -_SAME_INSTANT_NS

    def read(self) -> bytes | None:
        now_ns = time.monotonic_ns()
        if now_ns - self._said_ns < _SAME_INSTANT_NS:
            return self._said
        try:
            if self._descriptor is None:
                self._descriptor = os.open("/proc/stat", os.O_RDONLY)
            self._said, self._said_ns = os.pread(self._descriptor, _STAT_BYTES, 0), now_ns
        except OSError:
            return read_bytes("/proc/stat", _STAT_BYTES)
        return self._said


_HOST_STAT = _HostStat()


def parse_host_time(text: bytes, milliseconds_per_tick: int = 10) -> HostTime | None:
    """Return the times of the first line of /proc/stat: user nice system idle iowait irq softirq (steal, guests: in user)."""
    fields = text.partition(b"\n")[0].split()
    if len(fields) < 8 or fields[0] != b"cpu" or not b"".join(fields[1:8]).isdigit():
        return None
    user, nice, system, idle, iowait, irq, softirq = map(int, fields[1:8])
    return HostTime(
        busy_ms=(user + nice + system + irq + softirq) * milliseconds_per_tick,
        idle_ms=(idle + iowait) * milliseconds_per_tick,
    )


def host_memory(proc_root: str = "/proc") -> HostMemory | None:
    """Return the host's memory; None where the kernel does not say."""
    if not LINUX:
        from joulebook_collectors.host import portable

        return portable.host_memory()
    kilobytes: dict[bytes, int] = {}
    for line in (read_bytes(f"{proc_root}/meminfo") or b"").splitlines()[:3]:
        name, _, rest = line.partition(b":")
        amount = rest.split()
        if amount and amount[0].isdigit():
            kilobytes[name] = int(amount[0])
    total = kilobytes.get(b"MemTotal")
    if total is None:
        return None
    free = kilobytes.get(b"MemAvailable", kilobytes.get(b"MemFree", 0))
    return HostMemory(total_bytes=total * 1024, used_bytes=max(0, total - free) * 1024)


def sees_host_pids(proc_root: str = "/proc") -> bool:
    """Tell whether pids here are the host's own, as drivers name them; in a container's namespace they are not to be compared."""
    try:
        return os.readlink(f"{proc_root}/self/ns/pid") == HOST_PID_NAMESPACE
    except OSError:
        return not LINUX


def _milliseconds_per_tick() -> int:
    return 1000 // os.sysconf("SC_CLK_TCK")
