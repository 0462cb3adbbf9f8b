"""The tracked processes of a host as its reader sees them: which runs are in force where, and what their processes did.

Each tracked process announces a *mark* whenever its runs change: the instant, its CPU time so far, and the runs in force from then on.
So a run that is over before the reader looks still has its time and its work. In between, the reader looks at the processes itself:
at each that belongs to a tracked one, and once a window at all, to find the new ones.
"""

from __future__ import annotations

import os

from joulebook_collectors.host.allotment import Processors
from joulebook_collectors.host.lock import is_held, read_file
from joulebook_collectors.host.processes import (
    all_processes,
    host_memory,
    host_time,
    process_state,
    processes_below,
    resident_bytes,
)
from joulebook_collectors.presence.finished import Finished
from joulebook_collectors.presence.span import CPU, MEMORY
from joulebook_collectors.presence.tracked import Tracked, by_group
from joulebook_collectors.spool.endings import DONE
from joulebook_collectors.spool.segments import decode_frames, is_newer, segment_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from joulebook_collectors.host.processes import ProcessState
    from joulebook_collectors.presence.span import Span
    from joulebook_collectors.presence.tracked import Work
    from joulebook_collectors.presence.unannounced import Presence
    from joulebook_collectors.spool.segments import Frame

# A full look at all processes may cost at most this part of the time: on a host with thousands of them it comes more seldom.
SCAN_SHARE = 100


class Attendance:
    """Who is there. All instants are microseconds of the host's monotonic clock.

    Attributes:
        tracked: Path of a segment -> its process.
        gone: Segments whose process is gone, by path, and when it was last seen; 0 where it was gone before we looked.
        processors: The processors of the host, and who may use how many.
        presence: Who finds the jobs that nobody announced; None but in an agent that is to.
    """

    __slots__ = (
        "_busy_ms",
        "_cursor_us",
        "_finished",
        "_folder",
        "_is_first_look",
        "_left",
        "_next_scan_us",
        "_proc_root",
        "_used_bytes",
        "gone",
        "presence",
        "processors",
        "tracked",
    )

    def __init__(self, folder: str, now_us: int, proc_root: str = "/proc", sysfs_root: str = "/sys") -> None:
        self.tracked: dict[str, Tracked] = {}
        self.gone: list[tuple[str, int]] = []
        self.presence: Presence | None = None
        self.processors = Processors(proc_root, sysfs_root)
        self._folder = folder
        self._finished = Finished(folder)
        self._is_first_look = True
        self._proc_root = proc_root
        self._cursor_us = now_us
        self._left: set[str] = set()
        self._next_scan_us = 0
        self._used_bytes = 0
        times = host_time(proc_root)
        self._busy_ms = times.busy_ms if times else None

    @property
    def runs(self) -> set[str]:
        """The runs in force anywhere on the host."""
        return {run for tracked in self.tracked.values() for run in tracked.runs}

    def advance(self, now_us: int, spans: list[Span]) -> bool:
        """Read what was announced, count the time up to now in the open spans, and tell whether runs started or ended.

        What the children of a process did before its runs changed belongs to the runs that were in force until then: so they are
        looked at first.
        """
        marks = [(mark["at_us"], tracked, mark) for tracked, mark in self._listen()]
        if marks:
            announced = [tracked for _, tracked, _ in marks]
            for _, tracked, mark in marks:
                if tracked.pid not in tracked.work:
                    self._begin(tracked, mark)
            self.look(now_us, spans, everywhere=True, but=announced)
        for at_us, tracked, mark in sorted(marks, key=lambda entry: entry[0]):
            self._pass_time(min(at_us, now_us), spans)
            self._work_until(tracked, mark, spans)
            tracked.take(mark)
        self._pass_time(now_us, spans)
        changed = self.presence is not None and self.presence.see(self, now_us, spans)
        return changed or bool(marks)

    def look(self, now_us: int, spans: list[Span], *, everywhere: bool, but: Sequence[Tracked] = ()) -> None:
        """Look at the processes of all tracked ones; with `everywhere` also for new ones, at all of the host.

        What they did goes to the runs in force; what the host did as a whole is noted beside. Those of `but` have said themselves
        what they did, and are looked at through their children only.
        """
        states = self._states_everywhere(now_us) if everywhere else None
        everywhere = states is not None
        if states is None:
            states = self._known_states()
        self._bury(states, but=but)
        for tracked in self.tracked.values():
            for pid in tracked.work:
                state = states.get(pid)
                if state is not None and not (pid == tracked.pid and tracked in but):
                    credit = tracked.update(pid, state.cpu_ms * 1000, state.waited_ms * 1000, state.parent)
                    self.credit(tracked, credit, spans)
            tracked.seen_us = now_us
        if everywhere:
            self._adopt(states, spans)
            self._weigh()
        if self.presence is not None:
            self.presence.settle(self, spans)
        self._look_at_host(spans)

    def owners(self) -> dict[int, Tracked]:
        """Return pid -> the tracked process it belongs to."""
        return {pid: tracked for tracked in self.tracked.values() for pid in tracked.work}

    def credit(self, tracked: Tracked, amount_us: int, spans: list[Span]) -> None:
        """Give CPU time to the runs in force in a process."""
        if amount_us <= 0 or not tracked.runs:
            return
        for span in spans:
            span.be_active(span.cpu, tracked.runs, amount_us)
        job = tracked if tracked.is_job else self.tracked.get(tracked.above)
        if job is not None:
            job.inside_us += amount_us

    def path_of(self, name: str) -> str:
        """Return the path under which an entry without a segment is kept."""
        return os.path.join(self._folder, name)

    def to_json(self) -> dict[str, Any]:
        """Return what a successor needs."""
        return {
            "cursor": self._cursor_us,
            "busy": self._busy_ms,
            "used": self._used_bytes,
            "tracked": {os.path.basename(path): tracked.to_json() for path, tracked in self.tracked.items()},
        }

    def resume(self, state: dict[str, Any], spans: list[Span], until_us: int) -> None:
        """Go on where a predecessor stopped: all that it knew of were there until its last checkpoint, and the dead no longer."""
        self._cursor_us, self._busy_ms = state["cursor"], state["busy"]
        known = {os.path.join(self._folder, name): entry for name, entry in state["tracked"].items()}
        self.tracked = {path: Tracked.from_json(entry) for path, entry in known.items()}
        self._used_bytes = state["used"]
        self._pass_time(until_us, spans)
        for path, tracked in list(self.tracked.items()):
            if tracked.is_job:
                continue  # the next look tells whether it is still there
            if is_held(path) is False:
                self._left.add(os.path.basename(path))
                self.gone.append((path, tracked.seen_us))
                del self.tracked[path]
            elif not os.path.exists(path):
                del self.tracked[path]

    def skip_to(self, now_us: int) -> None:
        """Let the time up to now pass uncounted."""
        self._cursor_us = now_us

    def _listen(self) -> list[tuple[Tracked, dict[str, Any]]]:
        self._find_segments()
        marks = []
        for path, tracked in self.tracked.items():
            for frame in self._new_frames(path):
                if "process" in frame:
                    tracked.introduce(frame["process"])
                if "mark" in frame:
                    marks.append((tracked, frame["mark"]))
        return marks

    def _find_segments(self) -> None:
        """Find the segments of processes that came since. Whose owner was gone before we began to look is not tracked."""
        names = segment_names(self._folder)
        self._left.intersection_update(names)
        for name in names:
            path = os.path.join(self._folder, name)
            if path in self.tracked or name in self._left:
                continue
            if is_newer(path):
                self._left.add(name)  # what it says we would not understand
                continue
            if self._is_first_look and is_held(path) is False:
                self._left.add(name)
                self.gone.append((path, 0))
            else:
                self.tracked[path] = Tracked()
        for name in self._finished.unheard(names):
            self.tracked[os.path.join(self._folder, name)] = Tracked()
        self._is_first_look = False

    def _new_frames(self, path: str) -> list[Frame]:
        tracked = self.tracked[path]
        try:
            try:
                size = os.stat(path).st_size
            except FileNotFoundError:
                # Its process ended well and put it there; what it said last is yet to be heard.
                path = os.path.join(self._folder, DONE, os.path.basename(path))
                size = os.stat(path).st_size
            if size <= tracked.offset:
                return []
            frames, _, length = decode_frames(read_file(path, tracked.offset))
        except OSError:
            return []
        tracked.offset += length
        return frames

    def _pass_time(self, until_us: int, spans: list[Span]) -> None:
        """Count the time since the last event for whoever was there."""
        length_us = until_us - self._cursor_us
        if length_us <= 0:
            return
        self._cursor_us = until_us
        inside = {tracked.above for tracked in self.tracked.values() if tracked.runs}
        present = [tracked for path, tracked in self.tracked.items() if tracked.runs and path not in inside]
        processors = self.processors.thousandths or 1
        groups = by_group(present, processors)
        devices = {device for tracked in present for device in tracked.devices}
        for span in spans:
            span.length_us += length_us
            span.hold_host(groups, length_us, processors)
            for device in devices:
                span.hold(
                    {r for tracked in present if device in tracked.devices for r in tracked.runs}, length_us, device
                )
            span.host[MEMORY] += self._used_bytes * length_us
            for tracked in present:
                span.be_active(span.memory, tracked.runs, tracked.memory_bytes * length_us)
                span.apart += [run for run in tracked.apart if run not in span.apart]
                span.side_by_side = span.side_by_side or tracked.is_side_by_side

    def _begin(self, tracked: Tracked, mark: dict[str, Any]) -> None:
        """Count a process's own work from its first mark on; before it, its work was that of the tracked process that started it."""
        starter = self._starter_of(tracked)
        if starter is None or starter.is_job:
            starter = self.owners().get(tracked.pid) or starter
        known = starter.work.pop(tracked.pid, None) if starter else None
        before = known.cpu_us + known.waited_us if known else 0
        tracked.begin(mark["cpu_us"], mark["waited_us"])
        tracked.bound(self.processors.of_process(tracked.pid))
        tracked.before_us = max(0, mark["cpu_us"] + mark["waited_us"] - before)
        if starter is not None and starter.is_job:
            tracked.above = next(path for path, job in self.tracked.items() if job is starter)
            tracked.before_us = 0  # its group's counter tells it

    def _work_until(self, tracked: Tracked, mark: dict[str, Any], spans: list[Span]) -> None:
        """Give a process's CPU time up to its mark to the runs that were in force until then."""
        starter = self._starter_of(tracked) if tracked.before_us else None
        if starter is not None:
            self.credit(starter, tracked.before_us, spans)
        tracked.before_us = 0
        work = tracked.work.get(tracked.pid)
        if work is None:
            return
        if mark["waited_us"] > work.waited_us:
            self._bury(self._known_states(), below=tracked)
        self.credit(tracked, tracked.update(tracked.pid, mark["cpu_us"], mark["waited_us"], work.parent), spans)

    def _starter_of(self, tracked: Tracked) -> Tracked | None:
        owners = self.owners()
        return next((owners[pid] for pid in tracked.ancestors if pid in owners), None)

    def _states_everywhere(self, now_us: int) -> dict[int, ProcessState] | None:
        """Return what the kernel says of all that may belong to tracked ones; None where that would cost too much just now."""
        states = processes_below(self.owners(), self._proc_root)
        if states is None and now_us >= self._next_scan_us:
            began_us = _now_us()
            states = all_processes(self._proc_root)
            self._next_scan_us = now_us + SCAN_SHARE * (_now_us() - began_us)
        return states

    def _known_states(self) -> dict[int, ProcessState]:
        """Return what the kernel says of every process that belongs to a tracked one."""
        states = {}
        for pid in self.owners():
            state = process_state(pid, self._proc_root)
            if state is not None:
                states[pid] = state
        return states

    def _bury(
        self, states: dict[int, ProcessState], *, below: Tracked | None = None, but: Sequence[Tracked] = ()
    ) -> None:
        """Take leave of processes that are gone.

        Only of those that `below` was a parent of, where it is given; and of none of `but`, who are yet to be heard.
        """
        for path, tracked in list(self.tracked.items()):
            for pid, work in list(tracked.work.items()):
                state = states.get(pid)
                if below is not None and work.parent not in below.work:
                    continue
                if pid != tracked.pid:
                    if not _is_there(work, state):
                        tracked.bury(pid)
                elif tracked not in but and not _is_alive(work, state) and not is_held(path):
                    self._end(path, tracked, states)
                    break

    def _end(self, path: str, tracked: Tracked, states: dict[int, ProcessState]) -> None:
        """Take leave of a tracked process. Whoever started it inherits what it leaves behind, and will wait for it."""
        del self.tracked[path]
        self.gone.append((path, tracked.seen_us))
        tracked.runs = []
        tracked.bury(tracked.pid)
        heir = self._starter_of(tracked)
        if heir is None:
            return
        for pid, work in list(tracked.work.items()):
            if not _is_there(work, states.get(pid)):
                tracked.bury(pid)
        heir.work.update(tracked.work)
        heir.owed_us += tracked.owed_us

    def _adopt(self, states: dict[int, ProcessState], spans: list[Span]) -> None:
        """Find the processes that tracked ones have started since; those there from the beginning start from where they are."""
        children: dict[int, list[ProcessState]] = {}
        for state in states.values():
            children.setdefault(state.parent, []).append(state)
        roots = {tracked.pid for tracked in self.tracked.values()}
        owned = self.owners()
        for tracked in self.tracked.values():
            queue = list(tracked.work)
            for pid in queue:
                for child in children.get(pid, ()):
                    if child.pid in roots or child.pid in owned:
                        continue
                    queue.append(child.pid)
                    owned[child.pid] = tracked
                    credit = tracked.adopt(child)
                    self.credit(tracked, credit, spans)
            tracked.is_new = False

    def _weigh(self) -> None:
        for tracked in self.tracked.values():
            tracked.memory_bytes = sum(resident_bytes(pid, self._proc_root) or 0 for pid in tracked.work)
        memory = host_memory(self._proc_root)
        self._used_bytes = memory.used_bytes if memory else 0

    def _look_at_host(self, spans: list[Span]) -> None:
        times = host_time(self._proc_root)
        if times is None:
            return
        if self._busy_ms is not None:
            for span in spans:
                span.host[CPU] += max(0, times.busy_ms - self._busy_ms) * 1000
        self._busy_ms = times.busy_ms


def _is_there(work: Work, state: ProcessState | None) -> bool:
    """Tell whether a process is the one we know, alive or not yet waited for."""
    return state is not None and work.started in {0, state.started}


def _is_alive(work: Work, state: ProcessState | None) -> bool:
    return _is_there(work, state) and state is not None and not state.is_ended


def _now_us() -> int:
    import time

    return time.monotonic_ns() // 1000
