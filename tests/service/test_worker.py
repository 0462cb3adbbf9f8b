"""A worker books at once, each hour and after a run's end; never twice for one reason, and never never."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from joulebook_api.app import create_app
from joulebook_api.worker import Errand, Worker
from joulebook_ledger.core.refusals import Unavailable
from joulebook_ledger.duties.jobs import Job
from joulebook_ledger.duties.rounds import Rounds
from joulebook_ledger.duties.wanted import BOOK
from joulebook_ledger.store.engine import open_book
from joulebook_ledger.store.leader import leader_of

WAIT_SECONDS = 30


class Work:
    """Work that can be held up: each pass says that it began and waits to be let go."""

    def __init__(self) -> None:
        self.passes = 0
        self.began = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def __call__(self, _period_ms: int = 0) -> int:
        """Do one pass."""
        self.began.release()
        assert self.go_on.acquire(timeout=WAIT_SECONDS)
        self.passes += 1
        return self.passes

    def wait_until_it_began(self) -> None:
        """Return once a pass is under way."""
        assert self.began.acquire(timeout=WAIT_SECONDS)


@pytest.fixture
def executor() -> ThreadPoolExecutor:
    """Return one thread."""
    return ThreadPoolExecutor(max_workers=1)


def test_what_is_asked_during_a_pass_is_done_once_more(executor: ThreadPoolExecutor) -> None:
    """A pass does not see what came after it began; a hundred reasons make one more pass."""
    work = Work()
    errand = Errand(work, executor)
    errand.ask()
    work.wait_until_it_began()
    for _ in range(100):
        errand.ask()
    for _ in range(200):
        work.go_on.release()
    executor.shutdown(wait=True)
    assert work.passes == 2


def test_trouble_is_said_once_and_work_goes_on(executor: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture) -> None:
    """A database that is away for an hour is no hour of lines; what is new is said."""
    outcomes: list[object] = [Unavailable("the database is away")] * 3 + [ZeroDivisionError("a fault of ours"), 3]
    done = threading.Semaphore(0)

    def work() -> object:
        outcome = outcomes.pop(0)
        done.release()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    errand = Errand(work, executor)
    with caplog.at_level(logging.INFO, logger="joulebook.service"):
        for _ in range(5):
            errand.ask()
            assert done.acquire(timeout=WAIT_SECONDS)
        executor.shutdown(wait=True)
    assert [record.getMessage() for record in caplog.records] == [
        "event=round_failed error=Unavailable: the database is away",
        "event=round_failed error=ZeroDivisionError: a fault of ours",
    ]
    assert [record.exc_info is not None for record in caplog.records] == [False, True]


def test_what_is_asked_of_a_worker_who_left_is_no_error(executor: ThreadPoolExecutor) -> None:
    """The end of a run may arrive while the service stops; the book itself remembers what is due."""
    executor.shutdown()
    Errand(Work(), executor).ask()


def rounds(keeper_url: str, work: object, beat_jobs: str = "hour") -> Rounds:
    """Return the rounds of a worker with one job."""
    book = open_book(keeper_url)
    job = Job(name=BOOK, every=beat_jobs, work=work)  # type: ignore[arg-type]
    return Rounds(book, leader_of(keeper_url), [job], who="w", clock=lambda: 3_600_000)


def test_the_books_are_brought_up_to_date_at_once_and_after_a_run(sqlite_url: str) -> None:
    """The first pass finds what was due before the service was there; what is asked during it is done once more."""
    work = Work()
    worker = Worker(rounds(sqlite_url, work), beat_seconds=3600)
    worker.start()
    work.wait_until_it_began()
    worker.book_soon()
    work.go_on.release()
    work.wait_until_it_began()
    work.go_on.release()
    worker.stop()
    assert work.passes == 2


def test_the_clock_reminds_and_keeps_nothing(sqlite_url: str) -> None:
    """One beat for all jobs; missed beats are one."""
    worker = Worker(rounds(sqlite_url, lambda _period: 0), beat_seconds=5)
    worker.start()
    (beat,) = worker._clock.get_jobs()
    assert (str(beat.trigger), beat.coalesce, beat.max_instances) == ("interval[0:00:05]", True, 1)
    worker.stop()


def test_a_worker_works_as_long_as_the_service_runs(ledger: object, sqlite_url: str) -> None:
    """Started with it, and gone with it: another may lead then."""
    booked = threading.Event()
    worker = Worker(rounds(sqlite_url, lambda _period: booked.set()), beat_seconds=3600)
    other = leader_of(sqlite_url)
    with TestClient(create_app(ledger, "a-token-of-some-length", lifespan=worker.at_work)):  # type: ignore[arg-type]
        assert booked.wait(WAIT_SECONDS)
        assert worker._clock.running
        assert not other.is_ours()
    assert not worker._clock.running
    assert other.is_ours()
    other.give()
