"""`joulebook agent`: the host's one reader as a daemon. The one place that wires it.

    python -m joulebook_collectors.agent [--config FILE] [--check | --once]

It holds the lock of its own spool with rank 0, reads the meters for as long as the host runs, hears jobs of every user over a socket,
delivers in the background and shows how it is on a page of its own. It loads no library but those that speak to meters and to the
ledger. SIGTERM ends it cleanly: windows are closed, what waits is sent for a bounded time, the reader is retired.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from joulebook_collectors.agent import sockets
from joulebook_collectors.agent.delivery import Deliverer
from joulebook_collectors.agent.devices import fingerprint
from joulebook_collectors.agent.jobs import Jobs
from joulebook_collectors.agent.log import Log
from joulebook_collectors.agent.loop import Loop
from joulebook_collectors.agent.metrics import Metrics, Pulse
from joulebook_collectors.agent.notify import Notifier
from joulebook_collectors.agent.page import PageChannel
from joulebook_collectors.agent.settings import load_agent_settings
from joulebook_collectors.host.clock import Clock
from joulebook_collectors.host.identity import boot_id
from joulebook_collectors.host.lock import open_once
from joulebook_collectors.meters.find import find_meters
from joulebook_collectors.meters.node_source import configured_node
from joulebook_collectors.meters.nvml_library import load_library
from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.presence.unannounced import Presence
from joulebook_collectors.presence.unannounced_words import presence_settings
from joulebook_collectors.reading.bell import Bell
from joulebook_collectors.reading.handover import clock_after
from joulebook_collectors.reading.link_words import ledger_digest
from joulebook_collectors.reading.reader import Reader
from joulebook_collectors.reading.watcher import LOCK, TDP_CACHE, Patience
from joulebook_collectors.reading.windows import meter_item, meter_key
from joulebook_collectors.spool.checkpoint import Checkpoint, read_checkpoint
from joulebook_collectors.spool.endings import move_to_done
from joulebook_collectors.spool.folders import READER, prepare_boot_folder, write_once
from joulebook_collectors.spool.segments import create_segment
from joulebook_collectors.tracking.session import reader_item
from joulebook_ledger.core.refusals import JoulebookError
from joulebook_ledger.settings import without_secret

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from joulebook_collectors.agent.loop import Channel
    from joulebook_collectors.agent.settings import AgentSettings
    from joulebook_collectors.meters.find import FoundMeters
    from joulebook_collectors.spool.segments import Frame, Segment

VERSION = "0.1.0"
AGENT_RANK = 0
HOUSEKEEPING_US = 60_000_000
LARGEST_SEGMENT_BYTES = 1 << 20
LOCK_SECONDS = 1.0
STOP_SECONDS = 2.0
SHORTEST_SILENCE_SECONDS = 30.0
ANSWERS_PER_SECOND = 2.0
_USAGE = "usage: joulebook agent [--config FILE] [--check | --once]"


class Agent:
    """The daemon. Made, run once, and gone."""

    def __init__(self, settings: AgentSettings, environment: Mapping[str, str], log: Log) -> None:
        """Prepare the spool and open the doors; nothing is read yet.

        Raises:
            JoulebookError: The ledger's address or token is none, or a door cannot be opened.
            OSError: The spool cannot be written.
        """
        base = settings.base
        load_library()  # the largest one first: what it leaves is given back before the next one comes
        give_back_memory()
        self._settings = settings
        self._log = log
        self._notifier = Notifier(environment)
        self._folder = prepare_boot_folder(base)
        write_once(os.path.join(self._folder, READER), {**reader_item(base), "rank": AGENT_RANK})
        self._lock = open_once(os.path.join(self._folder, LOCK))
        self._metrics = Metrics(VERSION)
        self._pulse = Pulse(max(SHORTEST_SILENCE_SECONDS, 10 * base.sample_seconds))
        self._presence = presence_settings(settings.sections)
        self._deliverer = Deliverer(base, settings.deliver_seconds, self._metrics, log)
        self._clock = Clock()
        self._bell = Bell(self._folder)
        self._jobs = Jobs(
            folder=self._folder, ledger=ledger_digest(base.ledger), proc_root=base.proc_root, most=settings.most_connections,
            most_per_user=settings.most_connections_per_user, log=log, ring=self._bell.ring, now_ms=self._now_ms,
        )  # fmt: skip
        self._loop = Loop(log)
        self._is_stopping = False
        self._is_asked_anew = False
        self._housekeeping_us = 0
        self._devices: tuple[str, ...] = ()
        self._pages = {"/metrics": self._page, "/healthz": self._pulse.health, "/readyz": self._pulse.readiness}
        self._open_doors()

    def stop(self) -> None:
        """End soon; may be called by a signal handler."""
        self._is_stopping = True
        self._bell.ring()

    def look_anew(self) -> None:
        """Look for the meters anew; may be called by a signal handler."""
        self._is_asked_anew = True
        self._bell.ring()

    def run(self, *, seconds: float | None = None) -> int:
        """Read until somebody says stop, or for so many seconds; return the exit code."""
        if not self._take_lock():
            return 0
        self._segment = self._new_segment()
        self._checkpoint = Checkpoint(self._folder)
        self._find()
        self._begin()
        self._loop.start()
        if self._deliverer.delivers:
            self._deliverer.start()
        self._pulse.is_ready = True
        told = f"reading {len(self._found.meters)} meters"
        self._notifier.ready(told)
        base = self._settings.base
        self._log.info(
            "reading", meters=len(self._found.meters), gpus=len(self._found.gpus), spool=self._folder, ledger=without_secret(base.ledger),
            socket=self._settings.socket or "none", pid=os.getpid(),
        )  # fmt: skip
        if not self._deliverer.delivers:
            self._log.warning(
                "not_delivering",
                reason="a book on this machine takes what commands with this spool deliver",
                spool=base.spool,
            )
        self._work(None if seconds is None else time.monotonic() + seconds)
        return self._end()

    def _work(self, until: float | None) -> None:
        sample_ms = max(1, int(self._settings.base.sample_seconds * 1000))
        patience = Patience(ANSWERS_PER_SECOND)
        while not self._is_stopping and (until is None or time.monotonic() < until):
            rung = self._bell.wait(self._reader.seconds_to_next(sample_ms))
            if rung and not self._is_stopping:
                time.sleep(patience.wait_seconds(time.monotonic()))
            self._tick(rung=rung)
            now_us = time.monotonic_ns() // 1000
            self._notifier.alive(now_us)
            if now_us >= self._housekeeping_us:
                self._housekeeping_us = now_us + HOUSEKEEPING_US
                self._keep_house()
            if self._is_asked_anew:
                self._is_asked_anew = False
                self._renew()

    def _tick(self, *, rung: bool, is_last: bool = False) -> None:
        """Sample, then finish the segments of jobs whose last words were heard by that."""
        ended = self._jobs.take_ended()
        self._reader.tick(rung=rung or bool(ended))
        for channel in ended:
            if not channel.finish(is_last=is_last):
                self._jobs.ended.append(channel)
            elif channel.is_alive and channel.segment is not None:
                self._attendance.tracked.pop(channel.segment.path, None)
        self._metrics.take(
            self._reader.open_energy, runs=len(self._attendance.runs), processes=len(self._jobs.channels)
        )
        self._pulse.beat()

    def _keep_house(self) -> None:
        give_back_memory()
        self._loop.call(self._jobs.look_after)
        if not self._deliverer.delivers:
            self._deliverer.weigh()
        if _size_of(self._segment.path) > LARGEST_SEGMENT_BYTES:
            self._begin_segment()
        if not self._loop.is_alive:
            self._log.trouble("loop", "sockets_dead", reason="restart the agent")
        if fingerprint(self._settings.base.sysfs_root) != self._devices:
            self._log.info("devices_changed")
            self._renew()

    def _begin_segment(self) -> None:
        """Go on in a new segment: one that is finished is removed once it was sent."""
        fresh, old = self._new_segment(), self._segment
        if not self._reader.write_to(fresh):
            fresh.close(remove=True)
            return
        self._segment = fresh
        self._finish_segment(old)

    def _new_segment(self) -> Segment:
        return create_segment(self._folder, f"{os.getpid()}-{os.urandom(6).hex()}")

    def _finish_segment(self, segment: Segment) -> None:
        try:
            move_to_done(segment.path)
        except OSError as error:
            self._log.warning("segment_not_moved", path=segment.path, reason=error.strerror or error)
        segment.close()

    def _find(self) -> None:
        base = self._settings.base
        self._devices = fingerprint(base.sysfs_root)
        self._found: FoundMeters = find_meters(
            boot=boot_id(base.proc_root), sysfs_root=base.sysfs_root, proc_root=base.proc_root,
            tdp_cache=os.path.join(base.home, TDP_CACHE),
            node=configured_node(self._settings.sections.get("node", {}), sysfs_root=base.sysfs_root),
        )  # fmt: skip
        for absent in self._found.absent:
            self._log.info("meter_absent", name=absent.name, component=absent.component, reason=absent.reason)
        descriptions = [*(meter.description for meter in self._found.meters), self._found.time]
        for description in descriptions:
            self._metrics.know(meter_key(description), description)
        self._jobs.meters = {"meters": [meter_item(description) for description in descriptions]}

    def _begin(self) -> None:
        before = read_checkpoint(self._folder)
        base = self._settings.base
        self._clock = clock_after(self._folder, before)
        self._attendance = Attendance(self._folder, time.monotonic_ns() // 1000, base.proc_root, base.sysfs_root)
        if not self._presence.is_empty:
            self._attendance.presence = Presence(
                self._presence, self._note, now_ms=self._now_ms, proc_root=base.proc_root, cgroup_root=f"{base.sysfs_root}/fs/cgroup",
            )  # fmt: skip
        self._reader = Reader(
            found=self._found, attendance=self._attendance, segment=self._segment, checkpoint=self._checkpoint, clock=self._clock,
            sample_seconds=base.sample_seconds, is_agent=True, listener=self._hear,
        )  # fmt: skip
        self._reader.begin(before)

    def _renew(self) -> None:
        """Go on with the meters that are there now: a device was added or lost, or a driver loaded."""
        self._reader.end()
        self._found.close()
        self._find()
        self._begin()
        self._log.info("reading", meters=len(self._found.meters), gpus=len(self._found.gpus))

    def _note(self, frame: Frame) -> None:
        """Write what was seen of jobs that nobody announced."""
        self._segment.append(frame)

    def _hear(self, frame: Frame, windows_us: int) -> None:
        self._metrics.hear(frame)
        self._loop.call(lambda: self._jobs.tell_windows(frame, windows_us))

    def _take_lock(self) -> bool:
        """Wait until nobody else reads in this spool; False where we are to stop meanwhile."""
        while not self._lock.try_take():
            self._log.trouble(
                "lock",
                "waiting_for_lock",
                lock=os.path.join(self._folder, LOCK),
                reason="another process reads in this spool",
            )
            self._bell.wait(LOCK_SECONDS)
            self._notifier.alive(time.monotonic_ns() // 1000)
            if self._is_stopping:
                return False
        self._log.over("lock", "lock_taken")
        return True

    def _end(self) -> int:
        """Close windows and doors, send what waits for a bounded time."""
        self._notifier.stopping()
        self._pulse.is_ready = False
        self._loop.stop(STOP_SECONDS)
        self._tick(rung=True, is_last=True)
        self._reader.end()
        self._found.close()
        self._finish_segment(self._segment)
        self._checkpoint.close()
        self._lock.give()
        sockets.remove(self._settings.socket)
        sent = self._deliverer.flush(self._settings.base.flush_seconds)
        self._log.info("stopped", all_sent="yes" if sent else "no: the spool keeps it")
        return 0

    def _open_doors(self) -> None:
        settings = self._settings
        if settings.socket:
            listener = sockets.listen_for_jobs(settings.socket, settings.socket_mode)
            self._loop.listen(listener, self._jobs.welcome)
        if settings.metrics_host:
            page = sockets.listen_for_scrapers(settings.metrics_host, settings.metrics_port)
            self._loop.listen(page, self._scraped)
            host, port = page.getsockname()[:2]
            self._log.info("serving", url=f"http://{host}:{port}/metrics")

    def _now_ms(self) -> int:
        return self._clock.now_ms()

    def _scraped(self, sock: socket.socket) -> Channel:
        return PageChannel(sock, self._pages)

    def _page(self) -> tuple[bool, str]:
        return True, self._metrics.page(connections=len(self._jobs.channels), refused=self._jobs.refused)


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def give_back_memory() -> None:
    """Give the system back what loading a library took and left: of NVIDIA's binding two thirds."""
    import ctypes

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return  # another libc


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run the agent and return its exit code: 0 stopped cleanly or all is well, 1 the system refuses, 2 what was given cannot be taken."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    variables = os.environ if environment is None else environment
    log = Log()
    config, mode = "", ""
    while words:
        word = words.pop(0)
        if word == "--config" and words:
            config = words.pop(0)
        elif word in {"--check", "--once"} and not mode:
            mode = word
        else:
            log.fault("bad_input", reason=f"{word} is not known", usage=_USAGE)
            return 2
    try:
        settings = load_agent_settings(variables, config)
        log = Log(settings.log_level)
        if mode == "--check":
            from joulebook_collectors.agent.check import check

            return check(settings, log)
        agent = Agent(settings, variables, log)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: agent.stop())
        signal.signal(signal.SIGHUP, lambda *_: agent.look_anew())
        return agent.run(seconds=2 * settings.base.sample_seconds if mode == "--once" else None)
    except JoulebookError as error:
        for sentence in str(error).split("; "):
            log.fault("bad_input", reason=sentence)
        code: int = error.exit_code
        return code
    except OSError as error:
        log.fault("refused", reason=error.strerror or error, path=error.filename or "", user=os.geteuid())
        return 1
