"""A run as its own script sees it: what to log, and what it cost so far."""

from __future__ import annotations

import os
import threading
import time

from joulebook_collectors.host.guard import harmless, say_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Any, Self

    from joulebook.footprint import Footprint
    from joulebook_collectors.tracking.session import OpenRun, Session
    from joulebook_ledger.settings import Settings

# Ends the ids of scores of a process that joined its run (`joulebook_ledger.figures.scores`).
JOINED = "~"
FINISHED, FAILED, RUNNING = "finished", "failed", "running"
COUNT_SECONDS = 5


class Run:
    """One run. All methods are harmless: they never raise for what they are given, and never wait.

    Attributes:
        id: Its id, 32 hexadecimal digits; the same for all ranks that joined it.
        labels: What it is called.
        status: running, finished or failed, as far as this process knows.
        settings: What was set when it began; None where that could not even be looked for.
        session: Where it is recorded; None where it is not.
        opened: Its entry there; None where another process opened it.
        outer: The run in force before it, in its task or thread.
        thread: The thread it was opened in.
    """

    def __init__(
        self,
        run: str,
        labels: Mapping[str, str],
        settings: Settings | None,
        *,
        session: Session | None = None,
        opened: OpenRun | None = None,
    ) -> None:
        """Made by `track()`, `start()` and `current()`."""
        self.id = run
        self.labels = dict(labels)
        self.status = RUNNING
        self.settings = settings
        self.session = session
        self.opened = opened
        self.outer: Run | None = None
        self.thread = threading.get_ident()
        self._process = os.getpid()
        self._prefix = opened.prefix if opened is not None else os.urandom(8).hex()
        self._began = time.monotonic()
        self._ended: float | None = None
        self._numbers = 0
        self._phases: dict[str, int] = {}
        self._counts: dict[str, Any] = {}
        self._last_footprint: Footprint | None = None

    @property
    def is_mine(self) -> bool:
        """Whether it is this process's own: a forked child only has a copy that does nothing."""
        return self._process == os.getpid()

    @property
    def is_live(self) -> bool:
        """Whether it is recorded, open, and this process's own."""
        return self.session is not None and self.status == RUNNING and self.is_mine

    @harmless(None)
    def log(
        self,
        scores: Mapping[str, object] | None = None,
        /,
        *,
        step: int | None = None,
        split: str = "",
        unit: str = "",
        lower_is_better: bool | Iterable[str] | None = None,
        **more: object,
    ) -> None:
        """Log scores and efficiency facts: `run.log(accuracy=0.761, params=25_557_032, samples=1_281_167)`.

        Of one name and split the last value ranks. A value that is no finite number is said on stderr and not recorded.

        Args:
            scores: Scores whose names are no Python names.
            step: Training step; a later step is a later value.
            split: Such as "test".
            unit: Unit of the values.
            lower_is_better: Whether less is better, for all of them, or the names of those of which less is better. The direction
                of usual scores (accuracy, loss…) is known.
            more: The scores.
        """
        from joulebook.scores import score_items

        if not self.is_live or self.session is None:
            say_once("log: no run is open here that is recorded; nothing was logged")
            return
        at_ms = self.session.now_ms()
        items = score_items(
            {**(scores or {}), **more}, step=step, split=split, unit=unit, lower_is_better=lower_is_better
        )
        rank = JOINED if self.opened is not None and self.opened.is_joined else ""
        for item in items:
            self._numbers += 1
            score = f"{self._prefix}.{self._numbers}{rank}"
            self.session.record("scores", {"run": self.id, "score": score, "at_ms": at_ms, **item})

    def phase(self, name: str) -> Phase:
        """Mark a phase: `with run.phase("data"): ...`. Its time is recorded with the run, summed by name."""
        return Phase(str(name), self._add_phase)

    @harmless(None)
    def count(
        self, *, requests: int = 0, tokens_in: int = 0, tokens_out: int = 0, latency_s: float | None = None
    ) -> None:
        """Count work that was served: `run.count(requests=1, tokens_in=20, tokens_out=180, latency_s=0.42)`."""
        if self.is_live and self.session is not None:
            from joulebook.counting import add

            now_ms = self.session.now_ms()
            add(
                self._counts, now_ms, requests=requests, tokens_in=tokens_in, tokens_out=tokens_out, latency_s=latency_s
            )
            if now_ms - self._counts["start_ms"] >= COUNT_SECONDS * 1000:
                self._flush_counts()

    @property
    def footprint(self) -> Footprint:
        """What the run cost so far, by what the spool holds of it; provisional until it is booked. Unknown figures are None."""
        if self._last_footprint is None or self.status == RUNNING:
            self._last_footprint = self._compute_footprint()
        if self._last_footprint is None:
            from joulebook.footprint import unknown_footprint

            self._last_footprint = unknown_footprint(self.duration_s)
        return self._last_footprint

    def __str__(self) -> str:
        """Return a readable block."""
        from joulebook.closing import block

        return block(self)

    def _repr_html_(self) -> str:
        from joulebook.closing import html

        return html(self)

    def __repr__(self) -> str:
        """Show id, labels and status."""
        return f"Run(id={self.id!r}, labels={self.labels!r}, status={self.status!r})"

    @property
    def duration_s(self) -> float:
        """How long it was open here, seconds."""
        return (time.monotonic() if self._ended is None else self._ended) - self._began

    @harmless(None)
    def end(self, status: str, exit_code: int | None = None) -> None:
        """End the run; once it is ended nothing happens."""
        if self.status != RUNNING or not self.is_mine:
            return
        if self.session is not None and self.opened is not None:
            self._flush_counts()
            self.session.close(self.opened, status, self._facts(exit_code))
        self._ended = time.monotonic()
        self.status = status
        if self.opened is not None and self.settings is not None and not self.settings.quiet:
            from joulebook.closing import say_end

            say_end(self)

    def _facts(self, exit_code: int | None) -> dict[str, int | str]:
        from joulebook_collectors.host.peaks import peak_memory_bytes

        facts: dict[str, int | str] = {f"phase:{name}_ms": length for name, length in self._phases.items()}
        peak = peak_memory_bytes()
        if peak is not None:
            facts["peak_memory_bytes"] = peak
        if exit_code is not None:
            facts["exit_code"] = exit_code
        return facts

    def _add_phase(self, name: str, length_ms: int) -> None:
        self._phases[name] = self._phases.get(name, 0) + length_ms

    def _flush_counts(self) -> None:
        if self._counts and self.session is not None:
            from joulebook.counting import take

            self._numbers += 1
            item = take(self._counts, self.session.now_ms())
            self.session.record("counts", {"run": self.id, "count": f"{self._prefix}.{self._numbers}", **item})

    @harmless(None)
    def _compute_footprint(self) -> Footprint:
        from joulebook.footprint import footprint_of, unknown_footprint

        if self.session is None or self.settings is None or not self.is_mine:
            return unknown_footprint(self.duration_s)
        if self.status == RUNNING:
            self.session.touch()
        return footprint_of(self.id, self.session.folder, self.settings, duration_s=self.duration_s)


class Phase:
    """A stretch of a run."""

    __slots__ = ("_add", "_began_ns", "_name")

    def __init__(self, name: str, add: Callable[[str, int], None]) -> None:
        self._name = name
        self._add = add
        self._began_ns = 0

    def __enter__(self) -> Self:
        self._began_ns = time.monotonic_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._add(self._name, (time.monotonic_ns() - self._began_ns) // 1_000_000)
