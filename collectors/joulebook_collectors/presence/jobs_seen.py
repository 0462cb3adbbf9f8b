"""Jobs that nobody announced, as the attendance counts them: like tracked processes, but for their group's own counter.

A job's entry owns the processes of its group that no `track()` owns. It holds the host while no run is open inside it. Of the CPU time
of its group, what nobody inside showed is its own: processes that came and went between two looks.
"""

from __future__ import annotations

from joulebook_collectors.host.cgroups import cpu_us
from joulebook_collectors.host.processes import process_state
from joulebook_collectors.presence.tracked import Tracked
from joulebook_ledger.core.slotted import Slotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from joulebook_collectors.presence.attendance import Attendance
    from joulebook_collectors.presence.span import Span

# Begins the name of an entry without a segment; no segment is called so.
PREFIX = "job~"


class Job(Slotted):
    """A job of this host at one moment.

    Attributes:
        run: Id of its run.
        name: What it is, for people.
        labels: Labels of its run.
        folder: Folder of its group; empty where it is processes only.
        pids: Its processes.
        number: What tells it from one of the same name before it.
        oom_kills: How many of its processes the kernel killed because memory ran out.
    """

    __slots__ = ("folder", "labels", "name", "number", "oom_kills", "pids", "run")

    def __init__(
        self,
        *,
        run: str,
        name: str,
        labels: dict[str, str],
        folder: str,
        pids: list[int],
        number: int = 0,
        oom_kills: int = 0,
    ) -> None:
        self.run = run
        self.name = name
        self.labels = labels
        self.folder = folder
        self.pids = pids
        self.number = number
        self.oom_kills = oom_kills


def note_jobs(
    attendance: Attendance, jobs: Mapping[str, Job], now_us: int, spans: list[Span], proc_root: str
) -> tuple[list[str], list[Tracked]]:
    """Let the attendance have an entry for each job; return the runs that came, and the entries that left.

    A group that went and came again between two looks (a requeued job) has left and come.
    """
    entries = {tracked.runs[0]: path for path, tracked in attendance.tracked.items() if tracked.is_job}
    gone = [
        run for run, path in entries.items() if run not in jobs or jobs[run].number != attendance.tracked[path].started
    ]
    left = [_leave(attendance, entries.pop(run)) for run in gone]
    came = [run for run in jobs if run not in entries]
    owned = attendance.owners()
    for run, job in jobs.items():
        path = entries.get(run) or attendance.path_of(PREFIX + run)
        entry = attendance.tracked.get(path) or _enter(attendance, path, job)
        entry.seen_us = now_us
        for pid in job.pids:
            if pid not in owned and (state := process_state(pid, proc_root)) is not None:
                did_us = entry.adopt(state)
                attendance.credit(entry, 0 if entry.cgroup else did_us, spans)  # else the group's counter tells it
                owned[pid] = entry
        entry.is_new = False
    _place(attendance, jobs)
    return came, left


def settle(attendance: Attendance, spans: list[Span]) -> None:
    """Give each job what its group's counter says beyond what was given to it and to those inside it."""
    for entry in attendance.tracked.values():
        used_us = cpu_us(entry.cgroup) if entry.cgroup else None
        if used_us is not None:
            attendance.credit(entry, used_us - entry.base_us - entry.inside_us, spans)


def _enter(attendance: Attendance, path: str, job: Job) -> Tracked:
    entry = attendance.tracked[path] = Tracked()
    entry.is_job = True
    entry.runs = [job.run]
    entry.started = job.number
    entry.cgroup = job.folder
    if job.folder:
        entry.bound(attendance.processors.of_group(job.folder))
    entry.base_us = (cpu_us(job.folder) or 0) if job.folder else 0
    return entry


def _leave(attendance: Attendance, path: str) -> Tracked:
    for tracked in attendance.tracked.values():
        if tracked.above == path:
            tracked.above = ""
    return attendance.tracked.pop(path)


def _place(attendance: Attendance, jobs: Mapping[str, Job]) -> None:
    """Find for each tracked process the job that it is in."""
    known = {pid: attendance.path_of(PREFIX + job.run) for job in jobs.values() for pid in job.pids}
    for tracked in attendance.tracked.values():
        if tracked.pid and not tracked.above and not tracked.is_job:
            tracked.above = known.get(tracked.pid, "")
