"""Due work as rows: one per job and period, so that nobody does a job twice and nothing is forgotten over a restart.

The table is neither a fact nor the journal: it says who does what when, and no figure is made of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.store.rows import Rows, SqlRows, one
from joulebook_ledger.store.work import run

if TYPE_CHECKING:
    from sqlalchemy import Connection

DUE, RUNNING, DONE, FAILED = "due", "running", "done", "failed"
KEPT_MS = 7 * MILLISECONDS_PER_DAY
LONGEST_ERROR = 500
_COLUMNS = "job, period_ms, state, who, since_ms, next_try_ms, failures, last_error, result"


class Task(NamedTuple):
    """A job of one period.

    Attributes:
        job: Its name.
        period_ms: When its period starts.
        state: due, running, done or failed.
        who: Who took it last; empty where nobody has.
        since_ms: Since when it is in this state.
        next_try_ms: Not before then.
        failures: How often it failed in a row.
        last_error: Why, the last time.
        result: What it brought, the last time it was done.
    """

    job: str
    period_ms: int
    state: str
    who: str
    since_ms: int
    next_try_ms: int
    failures: int
    last_error: str
    result: str


def newest(rows: Rows, job: str) -> int | None:
    """Return the newest period of a job that there is a row of, or None."""
    row = one(rows, "SELECT MAX(period_ms) FROM task WHERE job = :job", job=job)
    return None if row is None else row[0]


def waiting(rows: Rows, now_ms: int) -> list[Task]:
    """Return what is to be done now, oldest period first."""
    sql = f"SELECT {_COLUMNS} FROM task WHERE state IN ('due', 'failed') AND next_try_ms <= :now_ms ORDER BY period_ms, job"
    return [Task(*row) for row in rows.rows(sql, now_ms=now_ms)]


def stand(rows: Rows) -> list[Task]:
    """Return the newest row of each job, and every other that is not done."""
    sql = (
        f"SELECT {_COLUMNS} FROM task t WHERE state <> 'done'"
        " OR period_ms = (SELECT MAX(period_ms) FROM task o WHERE o.job = t.job) ORDER BY job, period_ms"
    )
    return [Task(*row) for row in rows.rows(sql)]


def plan(connection: Connection, job: str, period_ms: int, now_ms: int, *, covers_earlier: bool) -> None:
    """Add a row for a period, unless there is one.

    Args:
        connection: In a transaction that writes.
        job: Its name.
        period_ms: The period.
        now_ms: The ledger's time.
        covers_earlier: Whether it does what earlier periods left undone too. Then their rows go, and how often they failed stays.
    """
    before = (now_ms, 0, "")
    if covers_earlier:
        undone = one(
            SqlRows(connection),
            "SELECT next_try_ms, failures, last_error FROM task WHERE job = :job AND period_ms < :period_ms"
            " AND state IN ('due', 'failed') ORDER BY period_ms DESC LIMIT 1",
            job=job, period_ms=period_ms,
        )  # fmt: skip
        before = (undone[0], undone[1], undone[2]) if undone else before
        run(
            connection, "DELETE FROM task WHERE job = :job AND period_ms < :period_ms AND state IN ('due', 'failed')", job=job, period_ms=period_ms,
        )  # fmt: skip
    run(
        connection,
        f"INSERT INTO task ({_COLUMNS}, again) VALUES (:job, :period_ms, :state, '', :now_ms, :next_try_ms, :failures, :last_error, '', 0)"
        " ON CONFLICT (job, period_ms) DO NOTHING",
        job=job, period_ms=period_ms, state=FAILED if before[1] else DUE, now_ms=now_ms, next_try_ms=before[0], failures=before[1],
        last_error=before[2],
    )  # fmt: skip


def ask(connection: Connection, job: str, period_ms: int, now_ms: int) -> None:
    """Have a job done once more in its period; asked for while it is under way, it is done again afterwards."""
    plan(connection, job, period_ms, now_ms, covers_earlier=True)
    run(
        connection,
        "UPDATE task SET again = CASE WHEN state = 'running' THEN 1 ELSE again END, since_ms = CASE WHEN state = 'done' THEN :now_ms ELSE since_ms END,"
        " next_try_ms = CASE WHEN state = 'done' THEN :now_ms ELSE next_try_ms END, state = CASE WHEN state = 'done' THEN 'due' ELSE state END"
        " WHERE job = :job AND period_ms = :period_ms",
        job=job, period_ms=period_ms, now_ms=now_ms,
    )  # fmt: skip


def claim(connection: Connection, task: Task, who: str, now_ms: int) -> bool:
    """Take a task if it still waits; False where somebody else took it."""
    run(
        connection,
        "UPDATE task SET state = 'running', who = :who, since_ms = :now_ms WHERE job = :job AND period_ms = :period_ms"
        " AND state IN ('due', 'failed')",
        who=who, now_ms=now_ms, job=task.job, period_ms=task.period_ms,
    )  # fmt: skip
    return _is_held(connection, task, who, now_ms)


def finish(connection: Connection, task: Task, who: str, now_ms: int, result: str) -> None:
    """Say that a task is done, if it is still ours; of the rows done long before, the old ones go."""
    run(
        connection,
        "UPDATE task SET state = CASE WHEN again = 1 THEN 'due' ELSE 'done' END, again = 0, since_ms = :now_ms, next_try_ms = :now_ms,"
        " failures = 0, last_error = '', result = :result"
        " WHERE job = :job AND period_ms = :period_ms AND state = 'running' AND who = :who",
        now_ms=now_ms, result=result[:LONGEST_ERROR], job=task.job, period_ms=task.period_ms, who=who,
    )  # fmt: skip
    run(
        connection, "DELETE FROM task WHERE job = :job AND state = 'done' AND period_ms < :oldest_ms", job=task.job, oldest_ms=task.period_ms - KEPT_MS,
    )  # fmt: skip


def fail(connection: Connection, task: Task, who: str, now_ms: int, error: str, next_try_ms: int) -> None:
    """Say that a task failed, if it is still ours, and when to try again."""
    run(
        connection,
        "UPDATE task SET state = 'failed', again = 0, since_ms = :now_ms, next_try_ms = :next_try_ms, failures = failures + 1,"
        " last_error = :error WHERE job = :job AND period_ms = :period_ms AND state = 'running' AND who = :who",
        now_ms=now_ms, next_try_ms=next_try_ms, error=error[:LONGEST_ERROR], job=task.job, period_ms=task.period_ms, who=who,
    )  # fmt: skip


def take_over(connection: Connection, now_ms: int) -> None:
    """Make what somebody was doing due again: whoever did it no longer leads."""
    run(
        connection,
        "UPDATE task SET state = 'failed', again = 0, since_ms = :now_ms, next_try_ms = :now_ms, failures = failures + 1,"
        " last_error = 'its worker was gone' WHERE state = 'running'",
        now_ms=now_ms,
    )  # fmt: skip


def months_booked(rows: Rows) -> list[int]:
    """Return the months of which something is booked."""
    return [month for (month,) in rows.rows("SELECT DISTINCT month FROM balance ORDER BY month")]


def _is_held(connection: Connection, task: Task, who: str, now_ms: int) -> bool:
    sql = "SELECT 1 FROM task WHERE job = :job AND period_ms = :period_ms AND state = 'running' AND who = :who AND since_ms = :now_ms"
    held = one(SqlRows(connection), sql, job=task.job, period_ms=task.period_ms, who=who, now_ms=now_ms)
    return held is not None
