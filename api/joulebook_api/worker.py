"""The clock of a worker: reminds it every few seconds, within a service or in a process of its own.

The scheduler is only a clock and keeps nothing. What is to be done stands in the book as rows (`joulebook_ledger.duties`), so that
nothing is lost with a worker that was stopped, and of several workers on one book one leads.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import logging.config
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler

from joulebook_api.ending import ending_on_signal
from joulebook_api.log import LOG_SETTINGS
from joulebook_ledger.core.refusals import BadInput, JoulebookError
from joulebook_ledger.duties.wanted import BOOK
from joulebook_ledger.settings import without_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from fastapi import FastAPI

    from joulebook_ledger.duties.rounds import Rounds
    from joulebook_ledger.settings import Settings

BEAT_SECONDS = 5
_LOG = logging.getLogger("joulebook.service")


class Errand:
    """A piece of work done by one thread; asked for while it is under way, it is done once more, however often it was asked."""

    def __init__(self, work: Callable[[], object], executor: ThreadPoolExecutor) -> None:
        self._work = work
        self._executor = executor
        self._lock = threading.Lock()
        self._is_waiting = False
        self._trouble = ""

    def ask(self) -> None:
        """Have it done soon; return at once."""
        with self._lock:
            if self._is_waiting:
                return
            self._is_waiting = True
        try:
            self._executor.submit(self._run).add_done_callback(self._say)
        except RuntimeError:  # the service is being stopped; the next one to start finds the work
            _LOG.info("event=not_done_while_stopping")

    def _run(self) -> object:
        with self._lock:
            self._is_waiting = False  # what is asked from here on is not seen by this pass
        return self._work()

    def _say(self, done: Future[object]) -> None:
        """Say what went wrong, once for as long as it is the same; it is tried again at the next beat, and the service goes on."""
        if done.cancelled():
            return
        error = done.exception()
        trouble = "" if error is None else f"{type(error).__name__}: {error}"
        if error is not None and trouble != self._trouble:
            known = isinstance(error, JoulebookError)
            _LOG.error("event=round_failed error=%s", trouble, exc_info=None if known else error)
        self._trouble = trouble


class Worker:
    """One thread that goes its rounds, and a clock that reminds it."""

    def __init__(self, rounds: Rounds, beat_seconds: float = BEAT_SECONDS) -> None:
        """Make a worker who is not at work yet."""
        self._rounds = rounds
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="joulebook-worker")
        self._round = Errand(rounds.round, self._executor)
        self._clock = BackgroundScheduler(timezone=datetime.UTC)
        self._beat_seconds = beat_seconds

    def book_soon(self) -> None:
        """Have the books brought up to date soon; return at once."""
        self._rounds.ask(BOOK)
        self._round.ask()

    def start(self) -> None:
        """Begin work with a booking of all that is due."""
        self._clock.add_job(
            self._round.ask,
            "interval",
            seconds=self._beat_seconds,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        self._clock.start()
        self.book_soon()

    def stop(self) -> None:
        """End work after the task that is under way; what waits is left to the next start."""
        self._rounds.end()
        self._clock.shutdown(wait=False)
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._rounds.close()

    @contextlib.asynccontextmanager
    async def at_work(self, _app: FastAPI) -> AsyncIterator[None]:
        """Work as long as the service runs."""
        self.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self.stop)


def work(
    settings: Settings,
    *,
    once: bool = False,
    beat_seconds: float = BEAT_SECONDS,
    announce: Callable[[str], None] = lambda _text: None,
) -> None:
    """Work on the book of the settings until the process is told to end (SIGTERM, Ctrl-C), or do what is due and end.

    Args:
        settings: Whose ledger is a book, SQLite or PostgreSQL.
        once: Do what is due and end.
        beat_seconds: How often to look.
        announce: Is told when work begins, and of `once` what was done.

    Raises:
        BadInput: The ledger is no book.
        Unavailable: It cannot be reached, or was made by a newer version.
    """
    logging.config.dictConfig(LOG_SETTINGS)
    with ending_on_signal(), _rounds(settings) as rounds:
        if once:
            rounds.ask(BOOK)
            done = rounds.round()
            rounds.close()
            announce(
                f"{done} done"
                if done
                else "nothing was done: another worker leads, or what is due failed (joulebook worker --status)"
            )
            return
        worker = Worker(rounds, beat_seconds)
        announce(f"at work on {without_secret(settings.ledger)}")
        worker.start()
        try:
            threading.Event().wait()
        finally:
            worker.stop()


@contextlib.contextmanager
def _rounds(settings: Settings) -> Iterator[Rounds]:
    require_book(settings)
    from joulebook_ledger.local import LocalLedger

    with contextlib.closing(LocalLedger(settings.ledger)) as ledger:
        yield ledger.rounds()


def require_book(settings: Settings) -> None:
    """Refuse a ledger that is no book of this process.

    Raises:
        BadInput: It is a service or a drop-box.
    """
    if not settings.ledger.startswith(("sqlite:", "postgresql")):
        raise BadInput(
            f"{without_secret(settings.ledger)} is no book that can be served: set JOULEBOOK_LEDGER to a SQLite file or a PostgreSQL database"
        )
