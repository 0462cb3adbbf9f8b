"""One tracked process and the processes that belong to it: what they did, counted once.

A child's CPU time shows twice in the kernel: while it lives as its own, and when its parent has waited for it, as the parent's time
for children. What was already counted while it lived is *owed*, and taken off when it shows anywhere among those that belong together:
who waits for a process need not be who started it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from joulebook_collectors.host.allotment import Allotment
    from joulebook_collectors.host.processes import ProcessState


class Work:
    """CPU time of one process as last seen, microseconds.

    Attributes:
        started: When it started, as `ProcessState` says; 0 until it was looked at.
        cpu_us: Its own.
        waited_us: That of its children that ended and were waited for.
        parent: Its parent's id.
    """

    __slots__ = ("cpu_us", "parent", "started", "waited_us")

    def __init__(self, started: int, cpu_us: int, waited_us: int, parent: int) -> None:
        self.started = started
        self.cpu_us = cpu_us
        self.waited_us = waited_us
        self.parent = parent


class Tracked:
    """A tracked process.

    Attributes:
        pid: Its id.
        started: When it started, as `ProcessState` says; 0 where it could not tell.
        ancestors: Its parent, the parent of that, and so on.
        before_us: CPU time before its first mark, which belongs to whoever started it, until that was noted.
        offset: How far its segment was read.
        owed_us: Of those that have ended, what was counted while they lived and does not show yet as waited for.
        runs: Runs in force in it.
        apart: Those of them that bear no static part.
        is_side_by_side: Whether several are in force at once, in threads.
        visible: What `NAMING_VARIABLES` say in it; nothing where none is set.
        devices: Devices it holds.
        memory_bytes: Resident memory of all that belong to it.
        work: Process id -> CPU time, of itself and what belongs to it.
        is_new: Whether its children were never looked for yet.
        seen_us: When it was last seen alive.
        is_job: Whether it is no process that tracks, but a job that the agent found (`jobs_seen`).
        above: Path of the job's entry that it is in; empty for none.
        allotted: What its group may use of the host's processors, in thousandths of one; 0 for all of them.
        group: The control group that bounds it, which all in it share; empty for none.
        cgroup: Of a job, the folder of its control group; empty for none.
        base_us: Of a job, what its group's counter said when it was first seen.
        inside_us: Of a job, what was given to it and to those in it since.
    """

    __slots__ = (
        "above", "allotted", "ancestors", "apart", "base_us", "before_us", "cgroup", "devices", "group", "inside_us", "is_job", "is_new",
        "is_side_by_side", "memory_bytes", "offset", "owed_us", "pid", "runs", "seen_us", "started", "visible", "work",
    )  # fmt: skip

    def __init__(self) -> None:
        self.pid = 0
        self.started = 0
        self.ancestors: list[int] = []
        self.before_us = 0
        self.offset = 0
        self.owed_us = 0
        self.runs: list[str] = []
        self.apart: list[str] = []
        self.is_side_by_side = False
        self.visible: list[str | None] = []
        self.devices: list[str] = []
        self.memory_bytes = 0
        self.work: dict[int, Work] = {}
        self.is_new = True
        self.seen_us = 0
        self.is_job = False
        self.above = ""
        self.allotted = 0
        self.group = ""
        self.cgroup = ""
        self.base_us = 0
        self.inside_us = 0

    def introduce(self, process: dict[str, Any]) -> None:
        """Take what the process says of itself."""
        self.pid = process["pid"]
        self.started = process["started"]
        self.ancestors = process["ancestors"]

    def take(self, mark: dict[str, Any]) -> None:
        """Take the runs that are in force from this mark on."""
        self.runs = mark["runs"]
        self.apart = mark.get("apart", [])
        self.is_side_by_side = len(self.runs) > 1
        self.visible = mark.get("visible", [])
        self.memory_bytes = max(self.memory_bytes, mark.get("memory", 0))
        self.seen_us = mark["at_us"]

    def bound(self, allotment: Allotment) -> None:
        """Take what it may use of the host."""
        self.allotted, self.group = allotment.thousandths, allotment.folder

    def begin(self, cpu_us: int, waited_us: int) -> None:
        """Count its own work from here on."""
        self.work[self.pid] = Work(self.started, cpu_us, waited_us, self.ancestors[0] if self.ancestors else 0)

    def update(self, pid: int, cpu_us: int, waited_us: int, parent: int) -> int:
        """Note the present CPU time of a process, and return what is new of it, microseconds."""
        work = self.work[pid]
        own_us = max(0, cpu_us - work.cpu_us)
        waited_more_us = max(0, waited_us - work.waited_us)
        known_us = min(waited_more_us, self.owed_us)
        self.owed_us -= known_us
        work.cpu_us += own_us
        work.waited_us += waited_more_us
        work.parent = parent
        return own_us + waited_more_us - known_us

    def adopt(self, child: ProcessState) -> int:
        """Count a child from here on; return what it did since it belongs to us: all, unless it was there before."""
        cpu_us, waited_us = child.cpu_ms * 1000, child.waited_ms * 1000
        self.work[child.pid] = Work(child.started, cpu_us, waited_us, child.parent)
        return 0 if self.is_new else cpu_us + waited_us

    def bury(self, pid: int) -> None:
        """Take leave of a process that is gone: its time will show as that of a child waited for, and is known already."""
        work = self.work.pop(pid)
        self.owed_us += work.cpu_us + work.waited_us

    def to_json(self) -> dict[str, Any]:
        """Return what a successor needs."""
        state = {name: getattr(self, name) for name in self.__slots__ if name != "work"}
        state["work"] = [[pid, w.started, w.cpu_us, w.waited_us, w.parent] for pid, w in self.work.items()]
        return state

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Tracked:
        """Return the process as a predecessor saw it last."""
        tracked = cls()
        for name in cls.__slots__:
            if name != "work" and name in state:
                setattr(tracked, name, state[name])
        tracked.work = {pid: Work(*entry) for pid, *entry in state["work"]}
        return tracked


def by_group(present: Iterable[Tracked], processors: int) -> list[tuple[int, list[str]]]:
    """Return the runs that are present by what bounds them: of each group what it may use of the processors, and its runs."""
    groups: dict[str, tuple[int, set[str]]] = {}
    for tracked in present:
        groups.setdefault(tracked.group, (tracked.allotted or processors, set()))[1].update(tracked.runs)
    return [(allotted, sorted(runs)) for allotted, runs in groups.values()]
