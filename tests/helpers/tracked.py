"""Programs that track, in processes of their own, and what their spool then tells a ledger."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from joulebook_collectors.delivery.recovery import recover_and_deliver
from joulebook_collectors.spool.folders import boot_folders
from joulebook_ledger.core.events import Count, RunEvent, Score
from joulebook_ledger.core.facts import Fact, content_text
from joulebook_ledger.core.periods import hour_of
from joulebook_ledger.core.records import Meter, Use, Window
from joulebook_ledger.core.timeline import HourUsage, ReaderWindows, WindowUses, lay_hour
from joulebook_ledger.core.wire import Answer, Batch, Outcome, Rejected, decode_batch
from joulebook_ledger.settings import Settings, load_settings

PATIENCE_SECONDS = 60
T = TypeVar("T", Meter, Window, Use, RunEvent, Score, Count)


class Keeper:
    """A ledger that keeps every batch, and minds that nobody contradicts himself.

    Attributes:
        batches: As they came.
        conflicts: Facts that came twice under one key, with two contents.
        later: Kinds of items it asks to have later.
    """

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.conflicts: list[Fact] = []
        self.later: set[str] = set()
        self._known: dict[tuple[str, ...], str] = {}

    def deliver(self, batch: bytes) -> Answer:
        """Keep a batch."""
        content = decode_batch(batch)
        self.batches.append(content)
        exceptions = []
        for item in content.items:
            assert not isinstance(item.fact, Rejected), item
            key = (content.reader.reader, *key_of(item.fact))
            text = content_text(item.fact)
            if self._known.setdefault(key, text) != text:
                self.conflicts.append(item.fact)
            if item.kind in self.later:
                exceptions.append(Outcome(kind=item.kind, index=item.index, outcome="retry_later"))
        counts = Counter({"stored": len(content.items) - len(exceptions), "retry_later": len(exceptions)})
        return Answer(counts=counts, exceptions=tuple(exceptions))

    def facts(self, kind: type[T]) -> list[T]:
        """Return the facts of one kind, each once."""
        found: dict[tuple[str, ...], T] = {}
        for batch in self.batches:
            for fact in batch.facts():
                if isinstance(fact, kind):
                    found.setdefault(key_of(fact), fact)
        return list(found.values())

    @property
    def statuses(self) -> dict[str, list[str]]:
        """Run -> how its processes ended."""
        ended = defaultdict(list)
        for event in self.facts(RunEvent):
            if event.kind == "ended":
                ended[event.run].append(event.status)
        return dict(ended)

    def run_named(self, model: str) -> str:
        """Return the one run of a model."""
        (run,) = {event.run for event in self.facts(RunEvent) if event.labels.get("model") == model}
        return run

    def usage(self) -> dict[tuple[str, int], HourUsage]:
        """Return the usage of every meter and hour, laid as the ledger lays it."""
        by_hour: dict[tuple[str, int], dict[str, list[Window]]] = defaultdict(lambda: defaultdict(list))
        ranks = {batch.reader.reader: batch.reader.rank for batch in self.batches}
        uses: dict[tuple[str, str, int], list[Use]] = defaultdict(list)
        seen: set[tuple[str, ...]] = set()
        for batch in self.batches:
            reader = batch.reader.reader
            for fact in batch.facts():
                if (reader, *key_of(fact)) in seen:
                    continue
                seen.add((reader, *key_of(fact)))
                if isinstance(fact, Window):
                    by_hour[fact.meter, hour_of(fact.start_ms)][reader].append(fact)
                elif isinstance(fact, Use):
                    uses[reader, fact.meter, fact.start_ms].append(fact)
        return {
            (meter, hour): lay_hour(
                hour,
                [
                    ReaderWindows(
                        rank=ranks[reader],
                        reader=reader,
                        windows=tuple(
                            WindowUses(window=window, uses=tuple(uses[reader, meter, window.start_ms]))
                            for window in windows
                        ),
                    )
                    for reader, windows in readers.items()
                ],
            )
            for (meter, hour), readers in by_hour.items()
        }

    def energy_mj(self, account: str) -> int:
        """Return what an account drew of all meters."""
        return sum(row.energy_mj for usage in self.usage().values() for row in usage.rows if row.account == account)

    def read_mj(self) -> int:
        """Return what all meters read."""
        return sum(window.energy_mj or 0 for window in self.facts(Window))

    def assert_sound(self) -> None:
        """Nobody contradicts himself, no windows of one reader overlap, and of no window more is claimed than it has."""
        assert self.conflicts == []
        windows = defaultdict(list)
        for window in self.facts(Window):
            windows[window.meter].append(window)
        for its in windows.values():
            its.sort(key=lambda window: window.start_ms)
            assert all(a.end_ms <= b.start_ms for a, b in pairwise(its))
        claimed: Counter[tuple[str, int]] = Counter()
        for use in self.facts(Use):
            claimed[use.meter, use.start_ms] += use.energy_mj
        for window in self.facts(Window):
            assert claimed[window.meter, window.start_ms] <= (window.energy_mj or 0)
        for usage in self.usage().values():
            assert not usage.overclaimed


class Place:
    """A spool and a home of its own for the programs of one test."""

    def __init__(self, folder: Path, ledger: str = "") -> None:
        """Lie below `folder`."""
        self.spool = folder / "spool"
        self.environment = {
            "JOULEBOOK_SPOOL": str(self.spool),
            "JOULEBOOK_HOME": str(folder / "home"),
            "JOULEBOOK_QUIET": "1",
            "JOULEBOOK_AGENT_SOCKET": "none",
        }
        if ledger:
            self.environment["JOULEBOOK_LEDGER"] = ledger

    @property
    def settings(self) -> Settings:
        """What is set for the programs."""
        return load_settings(self.environment, str(self.spool.parent))

    @property
    def boot(self) -> Path:
        """The spool folder of the present boot."""
        (folder,) = boot_folders(self.settings)
        return Path(folder)

    def start(self, program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a program in a process group of its own; it may say a line on stdout when it is ready."""
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("JOULEBOOK_")}
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), *arguments],
            env={**surroundings, **self.environment, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=self.spool.parent,
        )

    def run(self, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        process = self.start(program, *arguments, **environment)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return subprocess.CompletedProcess([], process.returncode, out, err)

    def deliver(self, keeper: Keeper | None = None) -> Keeper:
        """Recover and deliver the spool."""
        keeper = Keeper() if keeper is None else keeper
        recover_and_deliver(self.settings, keeper)
        return keeper


def ready(process: subprocess.Popen[str]) -> str:
    """Wait for the next line of a program, and return it."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    """Kill a program and wait for its end."""
    process.send_signal(number)
    process.wait(PATIENCE_SECONDS)


def end_group(process: subprocess.Popen[str]) -> None:
    """End a program and what it started, whatever is left of them."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE_SECONDS)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds; the deadline is far, and only there so that a test ends."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.005)


def reader_pid(place: Place) -> int:
    """Return the process that reads for the host: the one that holds the lock; 0 where nobody does."""
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if "->" not in fields and fields[1] == "POSIX" and int(fields[5].rpartition(":")[2]) == lock_inode(place):
            return int(fields[4])
    return 0


def lock_inode(place: Place) -> int:
    """Return the inode of the host's lock."""
    return (place.boot / "lock").stat().st_ino


def key_of(fact: Fact) -> tuple[str, ...]:
    """Return what makes a fact the same one."""
    match fact:
        case Meter():
            return ("meter", fact.key)
        case Window():
            return ("window", fact.meter, str(fact.start_ms))
        case Use():
            return ("use", fact.meter, str(fact.start_ms), fact.run)
        case RunEvent():
            return ("event", fact.run, fact.event)
        case Score():
            return ("score", fact.run, fact.score)
        case Count():
            return ("count", fact.run, fact.count)
    raise AssertionError(fact)
