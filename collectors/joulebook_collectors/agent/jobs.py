"""The agent's side of the socket on which jobs announce themselves.

The kernel says who is at the other end (SO_PEERCRED): a job speaks for its own process, or for another one of the same user, and for
runs that no other user announced before. What it says goes into a segment of its own in the agent's spool, so that whoever attends
sees it like any other; how much CPU time and memory a process has is asked of the kernel and not believed.
"""

from __future__ import annotations

import os
import socket
import struct
import time

from joulebook_collectors.agent.loop import Channel
from joulebook_collectors.host.processes import is_alive, process_state, resident_bytes
from joulebook_collectors.meters.visibility import NAMING_VARIABLES
from joulebook_collectors.reading.link_words import FORM, KINDS, LONGEST_LINE
from joulebook_collectors.spool.endings import SPOKEN, killed_id, move_to_done, open_events
from joulebook_collectors.spool.segments import create_segment, decode_line, encode_frame
from joulebook_ledger.core.events import Count, RunEvent, Score
from joulebook_ledger.core.refusals import JoulebookError
from joulebook_ledger.core.wire import from_wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from joulebook_collectors.agent.log import Log
    from joulebook_collectors.host.processes import ProcessState
    from joulebook_collectors.spool.segments import Frame, Segment

_RECORDS: dict[str, type[Any]] = {"runs": RunEvent, "scores": Score, "counts": Count}
_CREDENTIALS = struct.Struct("3i")
BUDGET_BYTES, BUDGET_BYTES_PER_SECOND = 1 << 22, 1 << 16  # of one user, whatever the number of his jobs
PAUSE_SECONDS = 0.2
SILENCE_SECONDS = 10.0
MOST_RUNS = 100_000
MOST_RUNS_AT_ONCE = 64
MOST_ANCESTORS = 32
SLACK_US = 20_000  # the kernel counts CPU time in ticks
ROOT = 0


class Jobs:
    """All jobs that are connected, and what they may say.

    Attributes:
        channels: The connections.
        ended: Those that are over, and whose last words the reader has yet to hear.
        refused: Reason -> how often a job was refused.
    """

    def __init__(
        self, *, folder: str, ledger: str, proc_root: str, most: int, most_per_user: int, log: Log, ring: Callable[[], None],
        now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        """Take the spool folder of this boot, the ledger's digest, bounds, and what tells the reader that something was announced."""
        self.folder = folder
        self.ledger = ledger
        self.proc_root = proc_root
        self.log = log
        self.ring = ring
        self.now_ms = now_ms
        self.channels: set[JobChannel] = set()
        self.ended: list[JobChannel] = []
        self.refused: dict[str, int] = {}
        self.meters: Frame = {}
        self._most = most
        self._most_per_user = most_per_user
        self._owners: dict[str, int] = {}
        self._budgets: dict[int, tuple[float, float]] = {}
        self.pid_namespace = _namespace("/proc/self/ns/pid")

    def welcome(self, sock: socket.socket) -> Channel | None:
        """Take a new connection, or turn it away with a sentence where there are too many."""
        try:
            pid, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        except OSError:
            return None
        channel = JobChannel(sock, self, pid, uid)
        its_user = sum(other.uid == uid for other in self.channels)
        self.channels.add(channel)
        if len(self.channels) > self._most or (its_user >= self._most_per_user and uid != ROOT):
            channel.refuse("too_many", "too many jobs are connected (most_connections, most_connections_per_user)")
        elif pid <= 0:
            channel.refuse(
                "not_seen",
                "the agent does not see your process: let it run in the host's pid namespace (hostPID: true)",
            )
        return channel

    def owns(self, uid: int, run: str) -> bool:
        """Tell whether a user may speak of a run: nobody else announced it before. Root may speak of every run."""
        if len(self._owners) >= MOST_RUNS:  # the oldest are forgotten
            for known in list(self._owners)[: MOST_RUNS // 10]:
                del self._owners[known]
        return uid == ROOT or self._owners.setdefault(run, uid) == uid

    def spend(self, uid: int, number: int) -> float:
        """Take so many bytes off what a user may send; return for how many seconds he has to wait then."""
        now = time.monotonic()
        left, at = self._budgets.get(uid, (float(BUDGET_BYTES), now))
        left = min(BUDGET_BYTES, left + (now - at) * BUDGET_BYTES_PER_SECOND) - number
        self._budgets[uid] = (left, now)
        return 0.0 if left >= 0 else max(PAUSE_SECONDS, -left / BUDGET_BYTES_PER_SECOND)

    def take_ended(self) -> list[JobChannel]:
        """Return the connections that are over, each once."""
        ended, self.ended = self.ended, []
        return ended

    def tell_windows(self, frame: Frame, windows_us: int) -> None:
        """Tell every job what its runs used; in the loop's thread."""
        for channel in self.channels:
            channel.tell(frame, windows_us)

    def look_after(self) -> None:
        """End connections whose process is gone though a child of it still holds the line."""
        for channel in self.channels:
            if channel.segment is not None and not channel.is_alive:
                channel.is_over = True


class JobChannel(Channel):
    """One job.

    Attributes:
        pid: Its process, as our /proc names it.
        uid: Its user.
        started: When the process started, as `ProcessState` says.
        runs: The runs that it announced.
        segment: Where what it says is kept; None until it said who it is.
    """

    def __init__(self, sock: socket.socket, jobs: Jobs, pid: int, uid: int) -> None:
        """Wait for its first words, not for long."""
        super().__init__(sock)
        self.pid = pid
        self.uid = uid
        self.started = 0
        self.runs: set[str] = set()
        self.segment: Segment | None = None
        self._jobs = jobs
        self._rest = b""
        self._said_hello = False
        self._has_meters = False
        self._events: list[dict[str, Any]] = []
        self._at_us = 0
        self._came_bytes = 0
        self._is_namespace_ours = False
        self._greeted: ProcessState | None = None
        self.until = time.monotonic() + SILENCE_SECONDS

    def on_bytes(self, data: bytes) -> None:
        """Take whole lines; the rest waits. Who sends more than its share is not listened to for a moment."""
        self._came_bytes += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if self._ends_when_sent:
                return
            self._hear(line)
        if len(self._rest) > LONGEST_LINE:
            self.refuse("malformed", f"a line is longer than {LONGEST_LINE} bytes")
        wait_seconds = self._jobs.spend(self.uid, len(data))
        if wait_seconds:
            self.pause_until = time.monotonic() + wait_seconds
            # Who is not listened to cannot be blamed for his silence.
            if self.segment is None and not self._ends_when_sent:
                self.until = self.pause_until + SILENCE_SECONDS
        if self.segment is not None:
            self._acknowledge()

    def on_look(self) -> None:
        """Where the disk refused, try again; until it is written no more is heard."""
        if self.segment is not None and not self.segment.is_written:
            self.segment.append()
            self._acknowledge()

    def on_end(self) -> None:
        """Leave what is to be finished to the reader, who first hears the last words."""
        self._jobs.channels.discard(self)
        if self.segment is not None:
            self._jobs.ended.append(self)
            self._jobs.ring()

    @property
    def is_alive(self) -> bool:
        """Whether its process lives."""
        return is_alive(self.pid, self.started, self._jobs.proc_root)

    def finish(self, *, is_last: bool) -> bool:
        """End its segment: runs of a process that is gone were killed, those of one that lives go on elsewhere.

        The event has an id of its own: the job, or whoever finds its own spool, may tell of the same end in other words.

        Returns:
            False where the disk has no room for its words yet: they wait in memory, unless this `is_last`.
        """
        segment, jobs = self.segment, self._jobs
        if segment is None:
            return True
        if not self.is_alive:
            killed = [
                {"run": event["run"], "event": killed_id(event, by_agent=True), "kind": "ended", "at_ms": max(event["at_ms"], jobs.now_ms()),
                 "status": "killed"}
                for event in open_events([{"runs": self._events}])
            ]  # fmt: skip
            if killed:
                segment.append({"runs": killed})
                self._events = []
        segment.append()
        if not segment.is_written and not is_last:
            return False
        try:
            move_to_done(segment.path)
        except OSError as error:
            jobs.log.trouble("done", "segment_not_moved", path=segment.path, reason=error.strerror or error)
        segment.close()
        return True

    def refuse(self, reason: str, sentence: str) -> None:
        """Say no, on both sides, and end the connection; the job goes on by itself."""
        jobs = self._jobs
        jobs.refused[reason] = jobs.refused.get(reason, 0) + 1
        jobs.log.trouble(
            f"refused {reason} {self.uid}", "job_refused", reason=reason, uid=self.uid, pid=self.pid, sentence=sentence
        )
        self.end(encode_frame({"refused": sentence}))

    def tell(self, frame: Frame, windows_us: int) -> None:
        """Tell what its runs used; where it does not listen, it does without."""
        uses = [use for use in frame.get("uses", ()) if use["run"] in self.runs]
        keys = {(use["meter"], use["start_ms"]) for use in uses}
        told: Frame = {"windows_us": windows_us}
        if uses and not self._has_meters:
            self._has_meters = True
            told.update(self._jobs.meters)
        for kind in ("readings", "gaps"):
            told[kind] = [window for window in frame.get(kind, ()) if (window["meter"], window["start_ms"]) in keys]
        if self.segment is not None:
            self.send(encode_frame({**told, "uses": uses}))
        if windows_us >= self._at_us:  # what ended before is told of whole
            self.runs = {event["run"] for event in self._events}

    def _hear(self, line: bytes) -> None:
        frame = decode_line(line)
        if frame is None:
            self.refuse("malformed", "a line is damaged: both sides must be Joulebook")
            return
        try:
            if not self._said_hello:
                self._greet(frame["hello"])
            elif "process" in frame:
                self._introduce(frame["process"])
            else:
                self._note(frame)
        except (KeyError, TypeError, ValueError, AttributeError, JoulebookError) as error:
            self.refuse("malformed", f"a line says nothing that the agent knows ({type(error).__name__}: {error})")

    def _greet(self, hello: dict[str, Any]) -> None:
        if int(hello["form"]) > FORM:
            self.refuse("newer", "the agent is older than this job's Joulebook: update the agent")
            return
        status = os.stat(self._jobs.folder)
        self._greeted = process_state(self.pid, self._jobs.proc_root)
        self._is_namespace_ours = hello.get("pid_namespace") == self._jobs.pid_namespace
        self._said_hello = True
        told = {"form": FORM, "ledger": self._jobs.ledger, "folder": [status.st_dev, status.st_ino]}
        self.send(encode_frame({"agent": told}))

    def _introduce(self, process: dict[str, Any]) -> None:
        """Note who is spoken for: the process at the other end, or, if it says so, another one of the same user."""
        pid = int(process["pid"])
        if self._is_namespace_ours and pid != self.pid:
            owner = _owner_of(pid, self._jobs.proc_root)
            if owner is not None and self.uid not in {owner, ROOT}:
                self.refuse(
                    "other_user",
                    f"process {pid} belongs to user id {owner}, and you are {self.uid}: a job speaks for its own user",
                )
                return
            self.pid = pid
        state = process_state(self.pid, self._jobs.proc_root)
        if state is None and self._greeted is not None and self._greeted.pid == self.pid:
            state = self._greeted  # it died before its words were read
        if state is None:
            self.refuse(
                "not_seen",
                f"process {self.pid} is not seen by the agent: let it see the host's /proc (hidepid, pid namespace)",
            )
            return
        if self.segment is None:
            self.started = state.started
            told = {"pid": self.pid, "started": state.started, "ancestors": self._ancestors(state)}
            self.segment = create_segment(self._jobs.folder, f"{self.pid}-{os.urandom(6).hex()}")
            self.segment.append({"process": told, SPOKEN: {"uid": self.uid}})
            self.until = None

    def _ancestors(self, state: ProcessState) -> list[int]:
        ancestors: list[int] = []
        above: ProcessState | None = state
        while above is not None and above.parent > 1 and len(ancestors) < MOST_ANCESTORS:
            ancestors.append(above.parent)
            above = process_state(above.parent, self._jobs.proc_root)
        return ancestors

    def _note(self, frame: dict[str, Any]) -> None:
        """Keep facts and marks, checked as the ledger would check them; what is not known here is passed over."""
        if self.segment is None:
            self.refuse("malformed", "say first which process this is")
            return
        kept: Frame = {}
        for kind in KINDS:
            items = frame.get(kind, ())
            for item in items:
                from_wire(kind, _RECORDS[kind], dict(item))
                if not self._may(item["run"]):
                    return
            if items:
                kept[kind] = list(items)
        if "mark" in frame:
            mark = self._checked(frame["mark"])
            if mark is None:
                return
            kept["mark"] = mark
        self._events = open_events([{"runs": [*self._events, *kept.get("runs", ())]}])
        self.runs.update(event["run"] for event in kept.get("runs", ()))
        if kept:
            self.segment.append(kept)
        if "mark" in kept:
            self._jobs.ring()

    def _may(self, run: str) -> bool:
        if self._jobs.owns(self.uid, run):
            return True
        self.refuse("other_user", f"run {run} was announced by another user: a run belongs to the user who began it")
        return False

    def _checked(self, mark: dict[str, Any]) -> Frame | None:
        """Return a mark with what the kernel says in place of what the job says, as far as the kernel knows better."""
        runs, apart = [str(run) for run in mark["runs"]], [str(run) for run in mark.get("apart", ())]
        if len(runs) > MOST_RUNS_AT_ONCE or not set(apart) <= set(runs) or not all(self._may(run) for run in runs):
            if not self._ends_when_sent:
                self.refuse(
                    "malformed", f"a mark names more than {MOST_RUNS_AT_ONCE} runs, or others than are in force"
                )
            return None
        now_us = time.monotonic_ns() // 1000
        self._at_us = min(max(int(mark["at_us"]), self._at_us, now_us - int(SILENCE_SECONDS * 1_000_000)), now_us)
        state = process_state(self.pid, self._jobs.proc_root)
        checked: Frame = {
            "at_us": self._at_us,
            "cpu_us": min(max(0, int(mark["cpu_us"])), state.cpu_ms * 1000 + SLACK_US) if state else 0,
            "waited_us": min(max(0, int(mark["waited_us"])), state.waited_ms * 1000 + SLACK_US) if state else 0,
            "memory": resident_bytes(self.pid, self._jobs.proc_root) or 0,
            "runs": runs,
        }
        if apart:
            checked["apart"] = apart
        visible = mark.get("visible")
        if visible is not None:
            checked["visible"] = [
                None if text is None else str(text)[:4096] for text in visible[: len(NAMING_VARIABLES)]
            ]
        return checked

    def _acknowledge(self) -> None:
        """Tell how many bytes are kept; while the disk refuses, no more is heard."""
        assert self.segment is not None
        if self.segment.is_written:
            self._jobs.log.over("segment", "spool_written_again")
            self.send(encode_frame({"kept": self._came_bytes - len(self._rest)}))
        else:
            self.pause_until = time.monotonic() + PAUSE_SECONDS
            self._jobs.log.trouble("segment", "spool_not_written", reason=self.segment.trouble)


def _namespace(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _owner_of(pid: int, proc_root: str) -> int | None:
    try:
        return os.stat(f"{proc_root}/{pid}").st_uid
    except OSError:
        return None
