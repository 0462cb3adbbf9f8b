"""Tracking within one process: its segment, its open runs, and the marks by which the reader knows of them.

One session per process and spool folder, made by the first run. A forked child inherits nothing of it: what it tracks begins afresh.
"""

from __future__ import annotations

import os
import threading
import time

from joulebook_collectors.host.clock import Clock
from joulebook_collectors.host.guard import harmless
from joulebook_collectors.host.identity import boot_id, host_name, machine_id
from joulebook_collectors.host.lock import read_file
from joulebook_collectors.host.processes import LINUX, process_state, resident_bytes
from joulebook_collectors.meters.visibility import NAMING_VARIABLES
from joulebook_collectors.reading.watcher import Watcher
from joulebook_collectors.spool.checkpoint import read_checkpoint
from joulebook_collectors.spool.endings import ENDED, STARTED, move_to_done
from joulebook_collectors.spool.folders import READER, prepare_boot_folder, write_once
from joulebook_collectors.spool.segments import create_segment, decode_frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from joulebook_collectors.delivery.uploader import Uploader
    from joulebook_collectors.reading.link import Link
    from joulebook_ledger.settings import Settings

# Ledgers to which no command of this machine need ever deliver.
AWAY = ("http://", "https://", "file://")
END_SECONDS = 2.0
WAIT_STEP_SECONDS = 0.005
TOUCH_US = 5_000_000
TOUCH_WAIT_SECONDS = 0.3
_MOST_ANCESTORS = 32


class OpenRun:
    """A run while it is open in this process.

    Attributes:
        run: Its id.
        prefix: Begins the ids of its events: one for each time that a process opens it.
        parent: The run of this process in which it is nested, or None.
        bears_static: False where its scope is its own process.
        is_joined: Whether another process speaks for it.
        started_ms: When it was opened here.
    """

    __slots__ = ("bears_static", "is_joined", "parent", "prefix", "run", "started_ms")

    def __init__(
        self, run: str, prefix: str, parent: OpenRun | None, *, bears_static: bool, is_joined: bool, started_ms: int
    ) -> None:
        self.run = run
        self.prefix = prefix
        self.parent = parent
        self.bears_static = bears_static
        self.is_joined = is_joined
        self.started_ms = started_ms


class Session:
    """The tracking of one process into one spool folder.

    Attributes:
        folder: The spool folder of this boot.
    """

    __slots__ = (
        "_clock",
        "_link",
        "_lock",
        "_marked_us",
        "_number",
        "_open",
        "_segment",
        "_settings",
        "_token",
        "_touched_us",
        "_uploader",
        "_watcher",
        "folder",
    )

    def __init__(self, settings: Settings) -> None:
        """Make the segment and say who we are.

        Raises:
            OSError: The spool cannot be written.
        """
        self._settings = settings
        self.folder = prepare_boot_folder(settings)
        write_once(os.path.join(self.folder, READER), reader_item(settings))
        self._clock = Clock()
        self._token = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._segment = create_segment(self.folder, self._token)
        self._link = self._make_link()
        self._watcher = Watcher(self.folder, self._segment, settings, self._link)
        self._open: list[OpenRun] = []
        self._number = 0
        self._marked_us = 0
        self._touched_us = 0
        self._lock = threading.Lock()
        self._uploader: Uploader | None = None
        self._segment.append({"process": _process_item(settings.proc_root)})

    @property
    def trouble(self) -> str:
        """Why the spool could not be written just now; empty where it could."""
        return self._segment.trouble

    @property
    def runs(self) -> tuple[OpenRun, ...]:
        """The runs that are open here."""
        return tuple(self._open)

    def now_ms(self) -> int:
        """Return the present, milliseconds since the epoch; it never runs backwards."""
        self._clock.follow()
        return self._clock.now_ms()

    def open(
        self, run: str, labels: Mapping[str, str], *, parent: OpenRun | None, bears_static: bool, is_joined: bool,
        facts: Mapping[str, int | str],
    ) -> OpenRun:  # fmt: skip
        """Open a run: from here on the work of this process is its own, and its parent's no more."""
        with self._lock:
            self._number += 1
            now_ms = self.now_ms()
            opened = OpenRun(
                run,
                f"{self._token}.{self._number}",
                parent,
                bears_static=bears_static,
                is_joined=is_joined,
                started_ms=now_ms,
            )
            self._open.append(opened)
            event = {
                "run": run, "event": opened.prefix + STARTED, "kind": "joined" if is_joined else "started", "at_ms": now_ms,
                "labels": dict(labels), "facts": dict(facts),
            }  # fmt: skip
            self._tell({"runs": [event], "mark": self._mark()})
        self._begin_threads()
        return opened

    def close(self, opened: OpenRun, status: str, facts: Mapping[str, int | str]) -> None:
        """End a run; if it was the last one open here and we read for the host, its windows are written when this returns."""
        with self._lock:
            if opened not in self._open:
                return
            self._open.remove(opened)
            event = {
                "run": opened.run, "event": opened.prefix + ENDED, "kind": "ended", "at_ms": self.now_ms(), "status": status,
                "facts": dict(facts),
            }  # fmt: skip
            self._tell({"runs": [event], "mark": self._mark()})
            is_last = not self._open
        if is_last:
            was_reading = self._watcher.is_reading
            self._watcher.end(END_SECONDS)
            if was_reading:
                self._deliver_now()
        else:
            self._watcher.announce()

    def touch(self) -> None:
        """Ask that windows end now, so that what was used so far can be told; not more often than every few seconds."""
        now_us = time.monotonic_ns() // 1000
        if self._open and now_us - self._touched_us > TOUCH_US:
            self._touched_us = now_us
            with self._lock:
                self._tell({"mark": self._mark()})
            self._watcher.announce()
            self.await_windows(TOUCH_WAIT_SECONDS)

    def await_windows(self, wait_seconds: float) -> None:
        """Wait until whoever reads has ended the windows that were open when we asked, for at most this time."""
        until_us = time.monotonic_ns() // 1000 + int(wait_seconds * 1_000_000)
        while time.monotonic_ns() // 1000 < until_us:
            if self._link is not None and self._link.reads:
                if self._link.windows_us >= self._marked_us:
                    return
                time.sleep(WAIT_STEP_SECONDS)
                continue
            checkpoint = read_checkpoint(self.folder)
            if checkpoint is None or not checkpoint["open"] or checkpoint["windows_us"] >= self._marked_us:
                return
            time.sleep(WAIT_STEP_SECONDS)

    def record(self, kind: str, item: dict[str, Any]) -> None:
        """Write one fact."""
        self._tell({kind: [item]})

    def finish(self) -> None:
        """The process ends: no run is open any more, and the segment is finished."""
        self._watcher.end(END_SECONDS)
        is_handed_over = self._is_handed_over()
        if not is_handed_over:
            try:
                if self._segment.is_written:
                    move_to_done(self._segment.path)
            except OSError:
                pass  # the next reader or command does it; it also ends what a full disk kept us from ending
        self._segment.close(remove=is_handed_over)
        if self._uploader is not None or self._watcher.has_read:
            self._deliver_now()

    def leave_in_child(self) -> None:
        """In a forked child: let go of what is the parent's."""
        if self._link is not None:
            self._link.drop()

    def _tell(self, frame: dict[str, Any]) -> None:
        """Write a frame, and tell the agent of it too."""
        if self._link is None:
            self._segment.append(frame)
            return
        with self._link.telling:
            self._segment.append(frame)
            self._link.say(frame)

    @harmless(None)
    def _make_link(self) -> Link | None:
        """Return the line to the host's agent; None where no agent ever was in this boot, and so nothing of it is loaded."""
        path = self._settings.agent_socket
        if not path or not hasattr(os, "getuid") or not os.path.isdir(os.path.dirname(path)):
            return None
        from joulebook_collectors.reading.link import Link

        return Link(self._settings, self.folder, self._all_told)

    def _all_told(self) -> list[dict[str, Any]]:
        """Return all that an agent has to know of this process: what it wrote so far, and how it stands now."""
        frames, _, _ = decode_frames(read_file(self._segment.path))
        kinds = ("process", "runs", "scores", "counts")
        told = [{kind: frame[kind] for kind in kinds if kind in frame} for frame in frames]
        return [*(frame for frame in told if frame), {"mark": self._mark()}]

    @harmless(False)
    def _is_handed_over(self) -> bool:
        """Tell whether all that we wrote lies in the agent's spool, and goes to our ledger from there."""
        link = self._link
        if link is None or not link.is_same_ledger or self._watcher.has_read:
            return False
        until = time.monotonic() + TOUCH_WAIT_SECONDS
        while link.is_open and not link.is_kept and time.monotonic() < until:
            time.sleep(WAIT_STEP_SECONDS)
        return link.is_kept

    @harmless(None)
    def _begin_threads(self) -> None:
        """Read and deliver; where no thread can be started any more, what we announced is left to other readers."""
        self._watcher.begin()
        if self._link is None or not self._link.reads:
            self._begin_delivery()

    def _begin_delivery(self) -> None:
        """Deliver from now on; where an agent reads, it delivers too, and nothing for it is loaded here."""
        if self._uploader is None:
            self._uploader = self._make_uploader()
        if self._uploader is not None:
            self._uploader.begin()

    @harmless(None)
    def _deliver_now(self) -> None:
        """Deliver what we have read, and wait for it, within bounds."""
        self._begin_delivery()
        if self._uploader is not None:
            self._uploader.flush(self._settings.flush_seconds)

    @harmless(None)
    def _make_uploader(self) -> Uploader | None:
        """Return what delivers for us; None where commands do, or where the ledger's address is none."""
        if not self._settings.ledger.startswith(AWAY):
            return None
        from joulebook_collectors.delivery.uploader import Uploader

        return Uploader(self._settings, lambda: self._watcher.is_reading)

    def _mark(self) -> dict[str, Any]:
        """Return the present state of this process: the runs in force are those in which no other one is nested."""
        outer = [opened.parent for opened in self._open]
        inner = [opened for opened in self._open if opened not in outer]
        times = os.times()
        self._marked_us = time.monotonic_ns() // 1000
        mark: dict[str, Any] = {
            "at_us": self._marked_us,
            "cpu_us": time.process_time_ns() // 1000,
            "waited_us": int((times.children_user + times.children_system) * 1_000_000),
            "memory": resident_bytes(os.getpid()) or 0 if LINUX else 0,
            "runs": sorted({opened.run for opened in inner}),
        }
        apart = sorted({opened.run for opened in inner if not opened.bears_static})
        if apart:
            mark["apart"] = apart
        visible = [os.environ.get(name) for name in NAMING_VARIABLES]
        if any(text is not None for text in visible):
            mark["visible"] = visible
        return mark


def reader_item(settings: Settings) -> dict[str, Any]:
    """Return who reads here, with a new random id: one per machine, boot and spool folder."""
    return {
        "reader": os.urandom(16).hex(),
        "machine": machine_id(settings.machine, proc_root=settings.proc_root, sysfs_root=settings.sysfs_root),
        "boot": boot_id(settings.proc_root),
        "host": host_name(settings.proc_root),
        "rank": 1,
    }


def _process_item(proc_root: str) -> dict[str, Any]:
    """Return who this process is, as this /proc names it, and its ancestors."""
    pid = _own_pid(proc_root)
    state = process_state(pid, proc_root) if LINUX else None
    ancestors: list[int] = []
    above = state
    while above is not None and above.parent > 1 and len(ancestors) < _MOST_ANCESTORS:
        ancestors.append(above.parent)
        above = process_state(above.parent, proc_root)
    return {"pid": pid, "started": state.started if state else 0, "ancestors": ancestors or [os.getppid()]}


def _own_pid(proc_root: str) -> int:
    """Return our id in the pid namespace that this /proc shows, which may be the host's while ours is a container's."""
    try:
        return int(os.readlink(f"{proc_root}/self"))
    except (OSError, ValueError):
        return os.getpid()
