"""`track()`: a context manager and a decorator, sync and async; `start`/`stop` for notebooks; the run in force."""

from __future__ import annotations

import functools
import threading
from contextvars import ContextVar

from joulebook.opening import open_run, outer_run
from joulebook.run import FAILED, FINISHED, Run
from joulebook_collectors.host.guard import harmless, say_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Any

COROUTINE, GENERATOR, ASYNC_GENERATOR = 0x80, 0x20, 0x200  # flags of a code object (inspect.CO_…)
INTERRUPTED = 130

_in_context: ContextVar[Run | None] = ContextVar("joulebook_run", default=None)
_open: list[Run] = []


class Track:
    """One `track(...)`: enter it, decorate with it, or both, as often as wanted; each time is a run of its own."""

    __slots__ = ("_given", "_ledger", "_runs", "_scope", "_tags")

    def __init__(self, given: Mapping[str, object], *, tags: object, scope: object, ledger: object) -> None:
        self._given = given
        self._tags = tags
        self._scope = scope
        self._ledger = ledger
        self._runs: list[Run] = []

    def __enter__(self) -> Run:
        """Open the run."""
        run = _open_run(self._given, self._tags, self._scope, self._ledger)
        self._runs.append(run)
        return run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run; an exception passes."""
        if self._runs:
            _close_run(self._runs.pop(), error)

    async def __aenter__(self) -> Run:
        """Open the run."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run; an exception passes."""
        self.__exit__(kind, error, trace)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, each call of which is a run; of a coroutine or generator until it ends."""
        flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
        if flags & COROUTINE:

            @functools.wraps(function)
            async def tracked_coroutine(*args: Any, **kwargs: Any) -> Any:
                with self._fresh():
                    return await function(*args, **kwargs)

            return tracked_coroutine
        if flags & ASYNC_GENERATOR:

            @functools.wraps(function)
            async def tracked_stream(*args: Any, **kwargs: Any) -> Any:
                with self._fresh():
                    async for item in function(*args, **kwargs):
                        yield item

            return tracked_stream
        if flags & GENERATOR:

            @functools.wraps(function)
            def tracked_generator(*args: Any, **kwargs: Any) -> Any:
                with self._fresh():
                    return (yield from function(*args, **kwargs))

            return tracked_generator

        @functools.wraps(function)
        def tracked(*args: Any, **kwargs: Any) -> Any:
            with self._fresh():
                return function(*args, **kwargs)

        return tracked

    def _fresh(self) -> Track:
        """Return a copy for one call, so that calls side by side do not end each other's runs."""
        return Track(self._given, tags=self._tags, scope=self._scope, ledger=self._ledger)


def track(
    function: Callable[..., Any] | None = None,
    /,
    *,
    model: str | None = None,
    version: str | None = None,
    task: str | None = None,
    stage: str | None = None,
    project: str | None = None,
    team: str | None = None,
    name: str | None = None,
    base_model: str | None = None,
    sweep: str | None = None,
    tags: Mapping[str, object] | Sequence[str] | None = None,
    scope: str | None = None,
    budget: str | None = None,
    ledger: str | None = None,
) -> Any:
    """Return what tracks a run: a context manager, sync and async, and a decorator of functions, coroutines and generators.

        with joulebook.track(model="resnet50") as run: ...

        @joulebook.track(model="resnet50")
        async def train(): ...

    Every keyword is also a variable (`JOULEBOOK_TEAM`…) and a key of `[tool.joulebook]` in pyproject.toml.

    Args:
        function: The function to decorate, where `@track` stands without brackets.
        model: Name of the model.
        version: Its version.
        task: What it is to do; models of one task are ranked.
        stage: training, finetuning, tuning, evaluation, serving or other.
        project: Project.
        team: Team.
        name: Name of this run.
        base_model: The model it was made from.
        sweep: The sweep it is a trial of.
        tags: More labels: a mapping, a list of bare ones, or a text such as "grid=b,seed=7".
        scope: host (a run bears the static part of what it holds), or process (its own activity only).
        budget: What it may cost, for people; recorded with the run.
        ledger: URL of another ledger than the one set.
    """
    given = {
        "model": model, "version": version, "task": task, "stage": stage, "project": project, "team": team, "name": name,
        "base_model": base_model, "sweep": sweep, "budget": budget,
    }  # fmt: skip
    tracker = Track(given, tags=tags, scope=scope, ledger=ledger)
    return tracker if function is None else tracker(function)


def start(**keywords: Any) -> Run:
    """Start a run, to be ended by `stop()`; for notebooks. Takes the keywords of `track`."""
    run: Run = track(**keywords).__enter__()
    return run


def stop(run: Run | None = None) -> Run | None:
    """End a run: the one given, else the one started last. Returns it, or None where none is open."""
    mine = [candidate for candidate in _open if candidate.is_mine]
    ended = run if run is not None else (mine[-1] if mine else None)
    if ended is None:
        say_once("stop: no run is open")
        return None
    _close_run(ended, None)
    return ended


def current() -> Run | None:
    """Return the run in force: of this task or thread, else the one opened last, else that of `joulebook run`; None without one."""
    run = _in_context.get()
    if run is not None and run.is_mine and run in _open:
        return run
    mine = [candidate for candidate in _open if candidate.is_mine]
    return mine[-1] if mine else _outer_run()


def log(scores: Mapping[str, object] | None = None, /, **keywords: Any) -> None:
    """Log scores of the run in force; see `Run.log`."""
    run = current()
    if run is None:
        say_once("log: no run is open; nothing was logged")
    else:
        run.log(scores, **keywords)


def _open_run(given: Mapping[str, object], tags: object, scope: object, ledger: object) -> Run:
    run = _try_open(given, tags, scope, ledger)
    if run is None:
        run = Run("", {}, None)
    run.outer = _in_context.get()
    _open.append(run)
    _in_context.set(run)
    return run


@harmless(None)
def _try_open(given: Mapping[str, object], tags: object, scope: object, ledger: object) -> Run | None:
    return open_run(given, tags, scope, ledger, _parent())


def _parent() -> Run | None:
    """Return the run in which a new one is nested: of this task or thread, else, in a new thread, that of the main thread.

    Runs of two threads that were started below no run are not nested: they run side by side.
    """
    run = _in_context.get()
    if run is not None and run.is_live and run in _open:
        return run
    if threading.current_thread() is threading.main_thread():
        return None
    return next((run for run in reversed(_open) if run.is_live and run.thread == threading.main_thread().ident), None)


@harmless(None)
def _close_run(run: Run, error: BaseException | None) -> None:
    if run in _open:
        _open.remove(run)
    if _in_context.get() is run:
        _in_context.set(run.outer)
    run.end(*_status_of(error))


def _status_of(error: BaseException | None) -> tuple[str, int | None]:
    if error is None or isinstance(error, GeneratorExit):
        return FINISHED, None
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else (0 if error.code is None else 1)
        return (FINISHED if code == 0 else FAILED), code
    return FAILED, INTERRUPTED if isinstance(error, KeyboardInterrupt) else None


@harmless(None)
def _outer_run() -> Run | None:
    return outer_run()
