"""The thread of a tracked process that waits for the host's lock, and then reads the meters for all.

It is a daemon: the end of the process ends it, wherever it waits. While no run is open here it holds nothing and does nothing.
"""

from __future__ import annotations

import os
import threading
import time

from joulebook_collectors.host.guard import harmless
from joulebook_collectors.host.identity import boot_id
from joulebook_collectors.host.lock import open_once
from joulebook_collectors.meters.find import find_meters
from joulebook_collectors.meters.nvml_library import load_library
from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.reading.bell import Bell, ring
from joulebook_collectors.reading.handover import clock_after
from joulebook_collectors.reading.reader import Reader
from joulebook_collectors.reading.rolling import Rolling
from joulebook_collectors.spool.checkpoint import Checkpoint, read_checkpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from joulebook_collectors.meters.find import FoundMeters
    from joulebook_collectors.reading.link import Link
    from joulebook_collectors.spool.segments import Segment
    from joulebook_ledger.settings import Settings

LOCK = "lock"
TDP_CACHE = "tdp"
ANSWERS_PER_SECOND = 20.0
BASELINE_SECONDS = 0.25
MEGABYTE = 1 << 20


class Patience:
    """Answers the bell at once, unless it is rung all the time: then so many times a second, and what was announced meanwhile waits."""

    __slots__ = ("_answers", "_per_second", "_seen")

    def __init__(self, per_second: float = ANSWERS_PER_SECOND) -> None:
        self._answers = ANSWERS_PER_SECOND
        self._per_second = per_second
        self._seen = 0.0

    def wait_seconds(self, now: float) -> float:
        """Return how long to wait before the bell is answered that was rung now, on the monotonic clock."""
        self._answers = min(ANSWERS_PER_SECOND, self._answers + (now - self._seen) * self._per_second) - 1
        self._seen = now
        return 0.0 if self._answers >= 0 else -self._answers / self._per_second


class Watcher:
    """Waits for the lock of one spool folder while runs are open in this process; where an agent reads, for the agent's end.

    Attributes:
        has_read: Whether this process ever read the meters itself.
    """

    __slots__ = (
        "_bell",
        "_folder",
        "_found",
        "_idle",
        "_link",
        "_lock",
        "_queued",
        "_ready",
        "_segment",
        "_settings",
        "_starting",
        "_thread",
        "_wanted",
        "has_read",
    )

    def __init__(self, folder: str, segment: Segment, settings: Settings, link: Link | None = None) -> None:
        """Open the lock.

        Raises:
            OSError: It can be neither opened nor made.
        """
        self._folder = folder
        self._segment = segment
        self._settings = settings
        self._link = link
        self._lock = open_once(os.path.join(folder, LOCK))
        self.has_read = False
        self._found: FoundMeters | None = None
        self._bell: Bell | None = None
        self._wanted = threading.Event()
        self._idle = threading.Event()
        self._ready = threading.Event()
        self._queued = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    @property
    def is_reading(self) -> bool:
        """Whether this process reads for the host."""
        return self._lock.held

    def begin(self) -> None:
        """A run was opened: read, or wait for the lock to read; whoever reads already is told of the run.

        If we are to read, this returns once the meters were read for the first time, or after a moment at the most: a job that holds
        the interpreter from its first line on would else be over before anybody looked.
        """
        if not self._wanted.is_set() and not self._queued:
            self._ready.clear()
        self._wanted.set()
        if self._is_read_by_agent():
            self._ready.set()
        # Runs of two threads may begin at once; of two readers the second would call the first one's reading done.
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                if not self._ready.is_set():
                    load_library()
                self._thread = threading.Thread(target=self._wait_and_read, name="joulebook", daemon=True)
                self._thread.start()
        self.announce()
        self._ready.wait(BASELINE_SECONDS)

    def announce(self) -> None:
        """Tell the reader, here or elsewhere, that a run started or ended."""
        bell = self._bell
        if bell is not None and self._lock.held:
            bell.ring()
        else:
            ring(self._folder)

    def end(self, wait_seconds: float) -> None:
        """The last run here is over: let the reader, if it is we, end its windows, for at most this time."""
        self._idle.clear()
        self._wanted.clear()
        self.announce()
        if self._lock.held:
            self._idle.wait(wait_seconds)

    @harmless(None)
    def _wait_and_read(self) -> None:
        while True:
            self._wanted.wait()
            if self._link is not None and self._link.reads:
                self._link.attend()
                continue
            self._take_lock()
            try:
                if self._wanted.is_set() and not self._is_read_by_agent():
                    self._read()
            finally:
                self._lock.give()
                self._ready.set()
                self._idle.set()

    def _is_read_by_agent(self) -> bool:
        """Tell whether the host's agent reads for us; where there is one and the line is not open, it is opened."""
        return self._link is not None and self._link.open()

    def _take_lock(self) -> None:
        """Wait for the lock; if another process holds it, nobody here need wait for a first reading."""
        if self._lock.try_take():
            return
        self._queued = True
        self._ready.set()
        self._lock.take()
        self._queued = False

    def _read(self) -> None:
        settings = self._settings
        bell = self._bell = Bell(self._folder)
        checkpoint = Checkpoint(self._folder)
        try:
            if self._found is None:
                self._found = find_meters(
                    boot=boot_id(settings.proc_root), sysfs_root=settings.sysfs_root, proc_root=settings.proc_root,
                    tdp_cache=os.path.join(settings.home, TDP_CACHE),
                )  # fmt: skip
            before = read_checkpoint(self._folder)
            reader = Reader(
                found=self._found,
                attendance=Attendance(
                    self._folder, time.monotonic_ns() // 1000, settings.proc_root, settings.sysfs_root
                ),
                segment=self._segment,
                checkpoint=checkpoint,
                clock=clock_after(self._folder, before),
                sample_seconds=settings.sample_seconds,
            )
            rolling = Rolling(self._segment, int(settings.spool_megabytes * MEGABYTE))
            reader.begin(before)
            self.has_read = True
            self._ready.set()
            sample_ms = max(1, int(settings.sample_seconds * 1000))
            patience = Patience()
            while self._wanted.is_set():
                rung = bell.wait(reader.seconds_to_next(sample_ms))
                if rung:
                    time.sleep(patience.wait_seconds(time.monotonic()))
                if self._wanted.is_set() and reader.tick(rung=rung):
                    rolling.turn(reader)
                    if self._is_read_by_agent():
                        break
                if self._link is not None:
                    self._link.hear(0.0)
            reader.end(leaves_to_agent=self._is_read_by_agent())
            rolling.end()
        finally:
            self._bell = None
            bell.close()
            checkpoint.close()
