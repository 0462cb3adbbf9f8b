"""Due work is a row: done once by whoever leads, caught up after an absence, tried again after a failure. Time stands in the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from books import DAY, HOUR, MINUTE, NOVEMBER

from joulebook_ledger.core.periods import time_text
from joulebook_ledger.core.refusals import Unavailable
from joulebook_ledger.duties.jobs import Job, period_of, periods_due
from joulebook_ledger.duties.rounds import Rounds
from joulebook_ledger.store import tasks
from joulebook_ledger.store.engine import Book, open_book
from joulebook_ledger.store.leader import Leader, leader_of

NOW = NOVEMBER + 20 * DAY + 30 * MINUTE


class Office:
    """A book, workers on it, and a clock that only tests move."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now_ms = NOW
        self.book: Book = open_book(url)
        self.done: list[tuple[str, str, int]] = []
        self.trouble: list[Exception] = []
        self.leaders: list[Leader] = []

    def worker(self, who: str = "ann", *jobs: Job) -> Rounds:
        """Return a worker who books each hour, unless told otherwise."""
        leader = leader_of(self.url)
        self.leaders.append(leader)
        wanted = jobs or (Job(name="book", every="hour", work=self.work(who)),)
        return Rounds(self.book, leader, wanted, who=who, clock=lambda: self.now_ms)

    def work(self, who: str, name: str = "book") -> Callable[[int], object]:
        """Return work that is noted, or fails as the test wants."""

        def work(period_ms: int) -> int:
            if self.trouble:
                raise self.trouble.pop(0)
            self.done.append((who, name, period_ms))
            return len(self.done)

        return work

    def stand(self) -> list[tasks.Task]:
        """Return what the rows say."""
        with self.book.read() as rows:
            return tasks.stand(rows)


@pytest.fixture
def office(book_url: str) -> Iterator[Office]:
    """Return an office with a book on each engine."""
    found = Office(book_url)
    yield found
    for leader in found.leaders:
        leader.give()
    found.book.close()


def test_a_job_is_done_once_in_its_period(office: Office) -> None:
    """However often its worker looks; in the next hour once more."""
    ann = office.worker()
    assert [ann.round(), ann.round(), ann.round()] == [1, 0, 0]
    office.now_ms += HOUR
    assert [ann.round(), ann.round()] == [1, 0]
    assert [period for _, _, period in office.done] == [NOW - 30 * MINUTE, NOW + 30 * MINUTE]


def test_of_two_workers_one_leads_and_the_other_takes_over(office: Office) -> None:
    """What the first did is not done again."""
    ann, bob = office.worker("ann"), office.worker("bob")
    assert [ann.round(), bob.round()] == [1, 0]
    office.now_ms += HOUR
    assert [bob.round(), ann.round()] == [0, 1]
    office.leaders[0].give()
    assert bob.round() == 0
    office.now_ms += HOUR
    assert bob.round() == 1
    assert [who for who, _, _ in office.done] == ["ann", "ann", "bob"]


def test_a_restart_does_nothing_twice(office: Office) -> None:
    """A new process finds the row of the old one."""
    office.worker("ann").round()
    office.leaders[0].give()
    assert office.worker("bob").round() == 0


def test_what_a_worker_left_behind_is_found_by_the_next(office: Office) -> None:
    """It died in the middle: the row says running, and whoever leads next does it again."""

    class Died(BaseException):
        """No exception that anybody catches."""

    def die(_period_ms: int) -> object:
        raise Died

    with pytest.raises(Died):
        office.worker("ann", Job(name="book", every="hour", work=die)).round()
    assert [task.state for task in office.stand()] == ["running"]
    assert office.worker("bob").round() == 0  # ann still leads
    office.leaders[0].give()
    assert office.worker("cat").round() == 1
    (task,) = office.stand()
    assert (task.state, task.who, task.failures) == ("done", "cat", 0)


def test_a_failure_is_seen_and_tried_again_later(office: Office) -> None:
    """After a minute, then two, then four; a success ends the count."""
    ann = office.worker()
    office.trouble = [Unavailable("the grid is away"), ZeroDivisionError("a fault of ours"), Unavailable("still")]
    assert ann.round() == 0
    (task,) = office.stand()
    assert (task.state, task.failures, task.last_error) == ("failed", 1, "the grid is away")
    assert ann.round() == 0
    assert len(office.trouble) == 2
    for minutes, failures in ((1, 2), (2, 3)):
        office.now_ms += minutes * MINUTE - 1
        ann.round()
        office.now_ms += 1
        ann.round()
        (task,) = office.stand()
        assert (task.failures, task.next_try_ms) == (failures, office.now_ms + 2 ** (failures - 1) * MINUTE)
    office.now_ms += 4 * MINUTE
    assert ann.round() == 1
    (task,) = office.stand()
    assert (task.state, task.failures, task.last_error, task.result) == ("done", 0, "", "1")


def test_a_failure_is_not_forgotten_when_the_next_hour_begins(office: Office) -> None:
    """The newer row does the older one's work too, waits as long as that had to, and goes on counting."""
    ann = office.worker()
    office.trouble = [Unavailable("away")] * 7
    for _ in range(6):
        ann.round()
        office.now_ms = office.stand()[-1].next_try_ms
    (task,) = office.stand()
    assert (task.failures, time_text(task.period_ms)[11:16]) == (6, "01:00")
    ann.round()
    assert [task.failures for task in office.stand()] == [7]


def test_one_that_fails_keeps_no_other_waiting(office: Office) -> None:
    """Its neighbours are done in the same round."""

    def fail(_period_ms: int) -> object:
        raise Unavailable("away")

    jobs = [Job(name="a", every="hour", work=fail), Job(name="b", every="hour", work=office.work("ann", "b"))]
    assert office.worker("ann", *jobs).round() == 1
    assert [(task.job, task.state) for task in office.stand()] == [("a", "failed"), ("b", "done")]


@pytest.mark.parametrize(("each", "months"), [(True, ["2026-11", "2026-12", "2027-01"]), (False, ["2027-01"])])
def test_down_over_the_end_of_months(office: Office, each: bool, months: list[str]) -> None:  # noqa: FBT001 - a parameter of the test
    """What is to be done of each month is done of each, oldest first; what covers all before it, once."""
    job = Job(name="allocate", every="month", work=office.work("ann", "allocate"), each=each)
    ann = office.worker("ann", job)
    ann.round()
    assert [time_text(period)[:7] for _, _, period in office.done] == ["2026-10"]
    office.leaders[0].give()
    office.now_ms += 80 * DAY
    office.done.clear()
    office.worker("bob", job).round()
    assert [time_text(period)[:7] for _, _, period in office.done] == months


def test_a_clock_that_was_put_back_does_nothing_twice(office: Office) -> None:
    """An hour that was done stays done."""
    ann = office.worker()
    ann.round()
    office.now_ms -= 5 * HOUR
    assert ann.round() == 0
    office.now_ms += 5 * HOUR
    assert ann.round() == 0


def test_what_nobody_wants_is_not_planned(office: Office) -> None:
    """And is planned in the same minute once it is wanted."""
    wanted = [False]
    ann = office.worker(
        "ann", Job(name="seal", every="minute", work=office.work("ann", "seal"), is_wanted=lambda: wanted[0])
    )
    assert ann.round() == 0
    assert office.stand() == []
    wanted[0] = True
    assert [ann.round(), ann.round()] == [1, 0]


def test_what_is_asked_for_is_done_once_more(office: Office) -> None:
    """By whoever leads, though another was asked; of a hundred reasons one more time."""
    ann, bob = office.worker("ann"), office.worker("bob")
    ann.round()
    for _ in range(100):
        bob.ask("book")
    assert [bob.round(), ann.round(), ann.round()] == [0, 1, 0]
    assert [who for who, _, _ in office.done] == ["ann", "ann"]


def test_what_is_asked_for_while_it_is_under_way_is_done_again(office: Office) -> None:
    """A pass does not see what came after it began."""
    bob = office.worker("bob")

    def work(period_ms: int) -> object:
        if not office.done:
            bob.ask("book")
            bob.round()
        return office.work("ann")(period_ms)

    ann = office.worker("ann", Job(name="book", every="hour", work=work))
    assert [ann.round(), ann.round(), ann.round()] == [1, 1, 0]


def test_a_task_is_taken_by_one(office: Office) -> None:
    """Also where two think that they lead."""
    with office.book.write() as connection:
        tasks.plan(connection, "book", 0, NOW, covers_earlier=True)
    with office.book.read() as rows:
        (task,) = tasks.waiting(rows, NOW)
    taken = []
    for who in ("ann", "bob"):
        with office.book.write() as connection:
            taken.append(tasks.claim(connection, task, who, NOW))
    assert taken == [True, False]
    with office.book.write() as connection:
        tasks.finish(connection, task, "bob", NOW, "not mine")
        tasks.fail(connection, task, "bob", NOW, "not mine", NOW)
    (task,) = office.stand()
    assert (task.state, task.who) == ("running", "ann")


def test_rows_of_long_ago_go(office: Office) -> None:
    """Those that are done; the newest of a job stays for ever."""
    ann = office.worker()
    for _ in range(10):
        ann.round()
        office.now_ms += DAY
    with office.book.read() as rows:
        assert rows.rows("SELECT COUNT(*) FROM task") == [(8,)]


def test_who_is_told_to_end_begins_nothing(office: Office) -> None:
    """What waits is left to the next."""
    ann = office.worker()
    ann.end()
    assert ann.round() == 0
    assert [task.state for task in office.stand()] == ["due"]


def test_periods() -> None:
    """A minute, an hour, a day while it runs; a month once it is over."""
    assert [period_of(every, NOW) for every in ("minute", "hour", "day")] == [NOW, NOW - 30 * MINUTE, NOW - 30 * MINUTE]
    assert time_text(period_of("month", NOW)) == "2026-10-01T00:00:00.000Z"
    job = Job(name="j", every="month", work=lambda _period: None, each=True)
    assert [time_text(p)[:7] for p in periods_due(job, period_of("month", NOW), NOW + 45 * DAY)] == [
        "2026-11",
        "2026-12",
    ]
