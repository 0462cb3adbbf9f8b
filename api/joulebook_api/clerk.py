"""Keeps the books up to date while the service runs: at once, each hour, and soon after a run ended or a person entered something.

The scheduler is only a clock. What has to be booked stands in the book itself, so that nothing is lost with a clerk that was
stopped, and a pass too many changes nothing. Of several services on one book each has a clerk; the book's own lock lets one of them
work at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fastapi import FastAPI

_LOG = logging.getLogger("joulebook.service")


class Errand:
    """A piece of work done by one thread; asked for while it is under way, it is done once more, however often it was asked."""

    def __init__(self, name: str, work: Callable[[], object], executor: ThreadPoolExecutor) -> None:
        self.name = name
        self._work = work
        self._executor = executor
        self._lock = threading.Lock()
        self._is_waiting = False

    def ask(self) -> None:
        """Have it done soon; return at once."""
        with self._lock:
            if self._is_waiting:
                return
            self._is_waiting = True
        try:
            self._executor.submit(self._run).add_done_callback(self._say)
        except RuntimeError:  # the service is being stopped; the next one to start finds the work
            _LOG.info("event=not_done_while_stopping errand=%s", self.name)

    def _run(self) -> object:
        with self._lock:
            self._is_waiting = False  # what is asked from here on is not seen by this pass
        return self._work()

    def _say(self, done: Future[object]) -> None:
        """Say how it went; what failed is tried again at the next occasion, and the service goes on."""
        if done.cancelled():
            return
        if (error := done.exception()) is not None:
            _LOG.error("event=errand_failed errand=%s error=%s", self.name, type(error).__name__, exc_info=error)
        else:
            _LOG.info("event=errand_done errand=%s result=%s", self.name, done.result())


class Clerk:
    """One thread that books, and a clock that reminds it."""

    def __init__(self, book: Callable[[], object], seal: Callable[[], object]) -> None:
        """Make a clerk who is not at work yet.

        Args:
            book: Brings the books up to date.
            seal: Puts the receipts that are in no chain link yet into one.
        """
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="joulebook-clerk")
        self._booking = Errand("book", book, self._executor)
        self._sealing = Errand("seal", seal, self._executor)
        self._clock = BackgroundScheduler(timezone=datetime.UTC)

    def book_soon(self) -> None:
        """Have the books brought up to date soon; return at once."""
        self._booking.ask()

    def start(self) -> None:
        """Begin work with a first pass over all that is due."""
        every = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._clock.add_job(self._booking.ask, "cron", minute=0, **every)
        self._clock.add_job(self._sealing.ask, "cron", second=30, **every)
        self._clock.start()
        self._booking.ask()

    def stop(self) -> None:
        """End work after the pass that is under way; what waits is left to the next start."""
        self._clock.shutdown(wait=False)
        self._executor.shutdown(wait=True, cancel_futures=True)

    @contextlib.asynccontextmanager
    async def at_work(self, _app: FastAPI) -> AsyncIterator[None]:
        """Work as long as the service runs."""
        self.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self.stop)
