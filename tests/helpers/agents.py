"""A host whose clocks and counter a test moves, read by an agent's reader; and agents in processes of their own."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.told import Told
from helpers.tracked import PATIENCE_SECONDS, Keeper, Place, end_group, wait_until

from joulebook_collectors.delivery.dropbox import ingest_dropbox
from joulebook_collectors.host.clock import Clock
from joulebook_collectors.meters.find import FoundMeters, time_meter
from joulebook_collectors.meters.meter import CounterValue, MeterDescription, NoData
from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.reading.reader import Reader
from joulebook_collectors.spool.checkpoint import Checkpoint, read_checkpoint
from joulebook_collectors.spool.segments import create_segment, decode_line, encode_frame

NOBODY, SOMEBODY = 65_534, 65_533
needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can start processes of other users"
)
# What a program of another user needs is loaded before it becomes his: the interpreter may lie where only we can read.
BECOME = """
import os, sys, threading, time, _socket
import joulebook, joulebook.footprint
import joulebook_collectors.reading.link, joulebook_collectors.reading.reader, joulebook_collectors.delivery.uploader, joulebook_collectors.host.peaks
user = int(os.environ["TEST_USER"])
if user:
    os.setgid(user)
    os.setuid(user)
"""
WATTS = 10
HOUR_MS = 3_600_000
START_MS = 1_800_000_000_000 // HOUR_MS * HOUR_MS + 30_000


class AgentHost(Told):
    """A host without jobs, whose one meter counts 10 W.

    Attributes:
        folder: Its spool folder.
        is_lost: Whether the device is lost just now.
        counted_from_us: When the counter began to count.
    """

    description = MeterDescription(
        device="boot", domain="package-0", component="cpu", max_power_mw=500_000, label="", method="counter"
    )

    def __init__(self, folder: Path) -> None:
        """Begin."""
        self.folder = str(folder)
        self.wall_ms = START_MS
        self.monotonic_us = 7_000_000_000
        self.counted_from_us = 0
        self.is_lost = False
        self._open: list[Any] = []
        self._number = 0

    def read(self) -> CounterValue | NoData:
        """Answer as the meter."""
        if self.is_lost:
            return NoData("device_lost")
        return CounterValue(WATTS * (self.monotonic_us - self.counted_from_us), 1_000_000, 0)

    def close(self) -> None:
        """Let go of what the last reader had open, as its death would."""
        for held in self._open:
            held.close()
        self._open = []

    kill = close

    def move(self, milliseconds: int, step_ms: int = 0) -> None:
        """Let time pass; the wall clock may step besides."""
        self.monotonic_us += milliseconds * 1_000
        self.wall_ms += milliseconds + step_ms

    def pass_seconds(self, reader: Reader, seconds: int) -> None:
        """Let time pass, and the reader tick each second."""
        for _ in range(seconds):
            self.move(1_000)
            reader.tick(rung=False)

    def reader(self, *, is_agent: bool = True, listener: Callable[[Any, int], None] | None = None) -> Reader:
        """Return a new reader, which has begun."""
        before = read_checkpoint(self.folder)
        checkpoint = Checkpoint(self.folder)
        self._number += 1
        segment = create_segment(self.folder, f"reader{self._number}")
        self._open += [checkpoint, segment]
        reader = Reader(
            found=FoundMeters(meters=(self,), gpus=(), time=time_meter("boot"), absent=()),
            attendance=Attendance(self.folder, self.monotonic_us), segment=segment, checkpoint=checkpoint,
            clock=Clock(
                least_ms=before["reached"] if before else 0, wall_ms=lambda: self.wall_ms, monotonic_ms=lambda: self.monotonic_us // 1_000
            ),
            sample_seconds=1.0, monotonic_us=lambda: self.monotonic_us, is_agent=is_agent, listener=listener,
        )  # fmt: skip
        reader.begin(before)
        return reader


class AgentPlace:
    """Where an agent runs, in a process of its own, and jobs of several users reach it.

    Attributes:
        folder: A folder that every user may enter.
        lines: What the agents wrote so far.
    """

    def __init__(self, folder: Path) -> None:
        """Lie below `folder`."""
        self.folder = folder
        self.lines: list[str] = []
        self.jobs: list[subprocess.Popen[str]] = []
        self.process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        (folder / "run").mkdir(mode=0o755)
        self.environment = {
            "JOULEBOOK_LEDGER": f"file://{folder / 'box'}",
            "JOULEBOOK_HOME": str(folder / "state"),
            "JOULEBOOK_SPOOL": str(folder / "state" / "spool"),
            "JOULEBOOK_AGENT_SOCKET": str(folder / "run" / "agent.sock"),
            "JOULEBOOK_AGENT_METRICS": "127.0.0.1:0",
            "JOULEBOOK_SAMPLE_SECONDS": "0.2",
            "JOULEBOOK_FLUSH_SECONDS": str(PATIENCE_SECONDS),
            "JOULEBOOK_AGENT_DELIVER_SECONDS": "3600",
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start an agent and wait until it reads."""
        self.begin(*arguments, **environment)
        self.wait_for("event=reading")
        assert self.process is not None
        return self.process

    def begin(self, *arguments: str, **environment: str) -> None:
        """Start an agent."""
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("JOULEBOOK_")}
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "joulebook_collectors.agent", *arguments],
            env={**surroundings, **self.environment, **environment}, stderr=subprocess.PIPE, text=True, cwd=self.folder,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._listen, args=(self.process,), daemon=True)
        self._thread.start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.lines.append(line.rstrip())

    def wait_for(self, words: str) -> str:
        """Wait until the agent says something, and return the line."""
        assert self.process is not None
        process = self.process
        wait_until(
            lambda: any(words in line for line in self.lines) or process.poll() is not None, f"{words}: {self.lines}"
        )
        found = [line for line in self.lines if words in line]
        assert found, self.lines
        return found[-1]

    def end(self, number: int = signal.SIGTERM) -> int:
        """End the agent, and return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        assert self._thread is not None
        self._thread.join(PATIENCE_SECONDS)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def job(self, name: str, user: int = 0, ledger: str | None = None) -> Place:
        """Return the place of a job of some user, who announces himself to this agent."""
        folder = self.folder / name
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        place = JobPlace(folder, self.jobs, self.environment["JOULEBOOK_LEDGER"] if ledger is None else ledger)
        place.environment["JOULEBOOK_AGENT_SOCKET"] = self.environment["JOULEBOOK_AGENT_SOCKET"]
        place.environment["TEST_USER"] = str(user)
        place.environment["HOME"] = str(folder)
        return place

    def books(self) -> Keeper:
        """Return what the agent delivered."""
        keeper = Keeper()
        ingest_dropbox(str(self.folder / "box"), keeper)
        return keeper

    def ask(self, page: str) -> tuple[int, str]:
        """Ask the agent's page."""
        url = self.wait_for("event=serving").partition("url=")[2].removesuffix("/metrics")
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", page)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def figure(self, name: str) -> float:
        """Return a figure of the metrics page, summed over its labels."""
        lines = self.ask("/metrics")[1].splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name)

    def call(self) -> Caller:
        """Return a connection to the agent's socket, which says what a test wants."""
        return Caller(self.environment["JOULEBOOK_AGENT_SOCKET"])


class JobPlace(Place):
    """The place of jobs whose processes are ended with the agent's place."""

    def __init__(self, folder: Path, jobs: list[subprocess.Popen[str]], ledger: str) -> None:
        """Lie below `folder`; note what is started in `jobs`."""
        super().__init__(folder, ledger)
        self._jobs = jobs

    def start(self, program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a program."""
        process = super().start(program, *arguments, **environment)
        self._jobs.append(process)
        return process


class Caller:
    """A client that keeps no rules."""

    def __init__(self, path: str) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE_SECONDS)
        self.sock.connect(path)
        self._came = b""

    def say(self, *frames: dict[str, Any]) -> None:
        """Send frames."""
        self.sock.sendall(b"".join(encode_frame(frame) for frame in frames))

    def hear(self) -> dict[str, Any]:
        """Return the next frame; empty where the connection is over."""
        while b"\n" not in self._came:
            try:
                data = self.sock.recv(65_536)
            except ConnectionError:
                return {}
            if not data:
                return {}
            self._came += data
        line, _, self._came = self._came.partition(b"\n")
        return decode_line(line) or {}

    def hear_of(self, kind: str) -> dict[str, Any]:
        """Return the next frame that has this kind; empty where none comes any more."""
        while (frame := self.hear()) and kind not in frame:
            pass
        return frame

    def close(self) -> None:
        """End the connection."""
        self.sock.close()


@contextlib.contextmanager
def agent_place() -> Iterator[AgentPlace]:
    """Give a place that every user may enter; its agent is ended with it."""
    folder = Path(tempfile.mkdtemp(prefix="joulebook-agent-"))
    folder.chmod(0o755)
    place = AgentPlace(folder)
    try:
        yield place
    finally:
        for job in place.jobs:
            end_group(job)
        if place.process is not None:
            place.end(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
