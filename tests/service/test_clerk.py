"""The clerk books at once, each hour and after a run's end; never twice for one reason, and never never."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from joulebook_api.app import create_app
from joulebook_api.clerk import Clerk, Errand
from joulebook_ledger.core.refusals import Unavailable

WAIT_SECONDS = 30


class Work:
    """Work that can be held up: each pass says that it began and waits to be let go."""

    def __init__(self) -> None:
        self.passes = 0
        self.began = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def __call__(self) -> int:
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
    errand = Errand("book", work, executor)
    errand.ask()
    work.wait_until_it_began()
    for _ in range(100):
        errand.ask()
    for _ in range(200):
        work.go_on.release()
    executor.shutdown(wait=True)
    assert work.passes == 2


def test_an_errand_that_failed_is_logged_and_done_again(
    executor: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that was away costs one pass and no clerk."""
    outcomes: list[object] = [Unavailable("the database is away"), ZeroDivisionError("a fault of ours"), 3]
    done = threading.Semaphore(0)

    def work() -> object:
        outcome = outcomes.pop(0)
        done.release()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    errand = Errand("book", work, executor)
    with caplog.at_level(logging.INFO, logger="joulebook.service"):
        for _ in range(3):
            errand.ask()
            assert done.acquire(timeout=WAIT_SECONDS)
        executor.shutdown(wait=True)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "event=errand_failed errand=book error=Unavailable",
        "event=errand_failed errand=book error=ZeroDivisionError",
        "event=errand_done errand=book result=3",
    ]


def test_what_is_asked_of_a_clerk_who_left_is_no_error(executor: ThreadPoolExecutor) -> None:
    """The end of a run may arrive while the service stops; the book itself remembers what is due."""
    executor.shutdown()
    Errand("book", Work(), executor).ask()


def test_the_books_are_brought_up_to_date_at_once_and_after_a_run() -> None:
    """The first pass finds what was due before the service was there."""
    work = Work()
    clerk = Clerk(work, lambda: None)
    clerk.start()
    work.wait_until_it_began()
    clerk.book_soon()
    work.go_on.release()
    work.wait_until_it_began()
    work.go_on.release()
    clerk.stop()
    assert work.passes == 2


def test_the_clock_reminds_each_hour_and_seals_each_minute() -> None:
    """What it says is all it does: no job is kept anywhere."""
    clerk = Clerk(lambda: 0, lambda: 0)
    clerk.start()
    triggers = sorted(str(job.trigger) for job in clerk._clock.get_jobs())
    assert triggers == ["cron[minute='0']", "cron[second='30']"]
    assert all(job.coalesce and job.max_instances == 1 for job in clerk._clock.get_jobs())
    clerk.stop()


def test_the_clerk_works_as_long_as_the_service_runs(ledger: object) -> None:
    """Started with it, and gone with it."""
    booked = threading.Event()
    clerk = Clerk(booked.set, lambda: None)
    with TestClient(create_app(ledger, "a-token-of-some-length", lifespan=clerk.at_work)):  # type: ignore[arg-type]
        assert booked.wait(WAIT_SECONDS)
        assert clerk._clock.running
    assert not clerk._clock.running
