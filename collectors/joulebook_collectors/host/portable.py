"""The questions of `processes`, answered through psutil where there is no /proc (macOS, Windows, BSD).

psutil is imported when first asked, never with this module; what it cannot say is None.
"""

from __future__ import annotations

from joulebook_collectors.host.processes import HostMemory, HostTime, ProcessState

TYPE_CHECKING = False
if TYPE_CHECKING:
    import psutil


def process_state(pid: int) -> ProcessState | None:
    """Return what the system says of a process; None where it is gone, a zombie, or closed to us."""
    import psutil

    try:
        return _state_of(psutil.Process(pid))
    except (psutil.Error, OSError, ValueError):
        return None


def all_processes() -> dict[int, ProcessState]:
    """Return all processes that can be asked, by pid."""
    import psutil

    found = {}
    for process in psutil.process_iter():
        try:
            state = _state_of(process)
        except (psutil.Error, OSError):
            continue
        if state is not None:
            found[state.pid] = state
    return found


def _state_of(process: psutil.Process) -> ProcessState | None:
    import psutil

    with process.oneshot():
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        times = process.cpu_times()
        return ProcessState(
            pid=process.pid,
            parent=process.ppid(),
            started=round(process.create_time() * 1000),
            cpu_ms=round((times.user + times.system) * 1000),
            waited_ms=round((times.children_user + times.children_system) * 1000),
        )


def resident_bytes(pid: int) -> int | None:
    """Return the memory of a process that lies in RAM; None where it is gone or closed to us."""
    import psutil

    try:
        return psutil.Process(pid).memory_info().rss
    except (psutil.Error, OSError, ValueError):
        return None


def host_time() -> HostTime | None:
    """Return the busy and the idle time of all cpus since boot."""
    import psutil

    try:
        times = psutil.cpu_times()
    except (psutil.Error, OSError):
        return None
    working = ("user", "nice", "system", "irq", "softirq", "interrupt", "dpc")
    busy = sum(getattr(times, name, 0.0) for name in working)
    return HostTime(busy_ms=round(busy * 1000), idle_ms=round((times.idle + getattr(times, "iowait", 0.0)) * 1000))


def host_memory() -> HostMemory | None:
    """Return the host's memory."""
    import psutil

    try:
        memory = psutil.virtual_memory()
    except (psutil.Error, OSError):
        return None
    return HostMemory(total_bytes=memory.total, used_bytes=max(0, memory.total - memory.available))


def boot_seconds() -> int:
    """Return when the system started, in seconds since the epoch; 0 where it does not say."""
    import psutil

    try:
        return int(psutil.boot_time())
    except (psutil.Error, OSError):
        return 0
