"""One round of a worker: lead if nobody does, write down what has become due, do it, and write down how it went.

Two workers on one book never do a task twice: one of them leads, and a task is taken by an update that only one can make. A worker
that dies leaves its task as running; the next one that leads finds it and does it again, since every job may be done again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from joulebook_ledger.core.refusals import JoulebookError
from joulebook_ledger.duties.jobs import period_of, periods_due, wait_ms
from joulebook_ledger.store import tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from joulebook_ledger.duties.jobs import Job
    from joulebook_ledger.store.engine import Book
    from joulebook_ledger.store.leader import Leader
    from joulebook_ledger.store.tasks import Task

_LOG = logging.getLogger("joulebook.service")


class Rounds:
    """The work of one worker. Used by one thread at a time, but for `ask` and `end`."""

    def __init__(
        self, book: Book, leader: Leader, jobs: Sequence[Job], *, who: str, clock: Callable[[], int],
    ) -> None:  # fmt: skip
        """Make a worker that has not begun.

        Args:
            book: Where due work is written down.
            leader: The lock of the one who leads.
            jobs: What there is to do.
            who: Names this worker among all.
            clock: The ledger's time, milliseconds since the epoch.
        """
        self._book = book
        self._leader = leader
        self._jobs = {job.name: job for job in jobs}
        self._who = who
        self._clock = clock
        self._asked: set[str] = set()
        self._leads = False
        self._is_ending = False

    def ask(self, job: str) -> None:
        """Have a job done once more in the next round, of this worker or of the one who leads; return at once."""
        self._asked.add(job)

    def end(self) -> None:
        """Begin no further task."""
        self._is_ending = True

    def round(self) -> int:
        """Do all that is due, if we lead; return how many tasks were done.

        Raises:
            Unavailable: The book cannot be reached.
        """
        with self._book.read():
            pass  # a book that was taken away is not made anew by writing to it
        self._write_asked()
        if not self._lead():
            return 0
        self._plan()
        with self._book.read() as rows:
            waiting = tasks.waiting(rows, self._clock())
        known = [task for task in waiting if task.job in self._jobs]
        return sum(self._do(task) for task in known if not self._is_ending and self._lead())

    def close(self) -> None:
        """Let another lead."""
        self._leader.give()

    def _lead(self) -> bool:
        """Say whether we lead; whoever begins to lead takes over what the one before was doing."""
        led = self._leads
        self._leads = False
        is_ours = self._leader.is_ours()
        if is_ours and not led:
            _LOG.info("event=leads who=%s", self._who)
            with self._book.write() as connection:
                tasks.take_over(connection, self._clock())
        if led and not is_ours:
            _LOG.warning("event=leads_no_more who=%s", self._who)
        self._leads = is_ours
        return is_ours

    def _write_asked(self) -> None:
        asked = self._asked & set(self._jobs)
        if not asked:
            return
        now_ms = self._clock()
        with self._book.write() as connection:
            for name in sorted(asked):
                tasks.ask(connection, name, period_of(self._jobs[name].every, now_ms), now_ms)
        self._asked -= asked  # asked for again meanwhile: it has not begun yet, and will see all

    def _plan(self) -> None:
        now_ms = self._clock()
        with self._book.read() as rows:
            newest = {name: tasks.newest(rows, name) for name in self._jobs}
        new = [
            (job, period)
            for job in self._jobs.values()
            for period in periods_due(job, newest[job.name], now_ms)
            if job.is_wanted()
        ]
        if new:
            with self._book.write() as connection:
                for job, period in new:
                    tasks.plan(connection, job.name, period, now_ms, covers_earlier=not job.each)

    def _do(self, task: Task) -> bool:
        with self._book.write() as connection:
            if not tasks.claim(connection, task, self._who, self._clock()):
                return False
        error, result = self._tried(task)
        now_ms = self._clock()
        with self._book.write() as connection:
            if error is None:
                tasks.finish(connection, task, self._who, now_ms, result)
            else:
                tasks.fail(connection, task, self._who, now_ms, error, now_ms + wait_ms(task.failures + 1))
        if error is None:  # said once it is written down: a worker killed before that does it again
            _LOG.info("event=job_done job=%s result=%s", task.job, result)
        return error is None

    def _tried(self, task: Task) -> tuple[str | None, str]:
        """Do a task; return what went wrong, if anything did, and what it brought."""
        try:
            return None, str(self._jobs[task.job].work(task.period_ms))
        except JoulebookError as error:
            _LOG.warning("event=job_failed job=%s error=%s", task.job, error)
            return str(error), ""
        except Exception as error:  # noqa: BLE001 - said, written down and tried again
            _LOG.exception("event=job_failed job=%s error=%s", task.job, type(error).__name__)
            return f"{type(error).__name__}: {error}", ""
