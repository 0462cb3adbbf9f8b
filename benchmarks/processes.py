"""Run a subject as a whole process and take what it cost."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

SUBJECTS = Path(__file__).parent / "subjects"
# Both are compiled here by the turn that warms the caches, however they were installed: otherwise the one that a tool
# has compiled beforehand is compared with the one that is compiled at every start.
BYTECODE = tempfile.TemporaryDirectory(prefix="joulebook-bench-bytecode-")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One thing that is measured: a program and what surrounds it.

    Attributes:
        name: Such as "joulebook".
        program: A file in `subjects/`.
        environment: Variables beside the usual ones.
    """

    name: str
    program: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one whole process cost.

    Attributes:
        cpu: User and system time of the process, its threads and the children it waited for, in seconds.
        wall: From before it was started until it was gone, in seconds.
        inside: What the subject measured of itself: seconds and bytes by name.
        status: Its exit status; negative for a signal.
    """

    cpu: float
    wall: float
    inside: Mapping[str, float]
    status: int


class Running:
    """A subject that has been started, in a folder of its own."""

    def __init__(self, subject: Subject, mode: str, seconds: float, folder: Path) -> None:
        left_out = ("JOULEBOOK_", "CODECARBON_", "PYTHON")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        environment |= {"JOULEBOOK_HOME": str(folder / "home"), "JOULEBOOK_SPOOL": str(folder / "spool")}
        environment |= {"JOULEBOOK_QUIET": "1", "PYTHONPYCACHEPREFIX": BYTECODE.name}
        environment |= subject.environment
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, str(SUBJECTS / subject.program), mode, str(seconds)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Return when the subject is about to run its body."""
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def cost(self) -> Cost:
        """Wait for the end and return what it cost."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        said = self._process.stdout.read()
        errors = self._process.stderr.read()
        _, status, usage = os.wait4(self._process.pid, 0)
        wall = time.perf_counter() - self._started
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._process.returncode > 0:
            message = f"a subject failed with {self._process.returncode}:\n{errors}"
            raise RuntimeError(message)
        lines = [line for line in said.splitlines() if line.startswith("{")]
        return Cost(
            cpu=usage.ru_utime + usage.ru_stime,
            wall=wall,
            inside=json.loads(lines[-1]) if lines else {},
            status=self._process.returncode,
        )


def run_alone(subject: Subject, mode: str, folder: Path) -> Cost:
    """Run a subject by itself and return what it cost."""
    return Running(subject, mode, 0, folder).cost()


def run_together(subjects: Iterable[Subject], mode: str, seconds: float) -> list[tuple[Subject, Cost]]:
    """Run subjects at the same time; each begins its body alone, so that no start is paid in another's window."""
    with ExitStack() as stack:
        started = []
        for subject in subjects:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="joulebook-bench-")))
            running = Running(subject, mode, seconds, folder)
            running.wait_until_ready()
            started.append((subject, running))
        return [(subject, running.cost()) for subject, running in started]


def median_spread(values: list[float]) -> tuple[float, float, float]:
    """Return median, least and greatest."""
    return statistics.median(values), min(values), max(values)
