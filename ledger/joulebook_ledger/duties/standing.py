"""How the work of a book stands: what was done last, what waits, what failed and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook_ledger.core.periods import time_text
from joulebook_ledger.duties.wanted import months_not_closed
from joulebook_ledger.store import tasks

if TYPE_CHECKING:
    from joulebook_ledger.duties.bodies import DutiesBody, DutyBody
    from joulebook_ledger.store.rows import Rows


def list_duties(rows: Rows, now_ms: int) -> DutiesBody:
    """Return the newest task of each job, every other that is not done, and the months that nobody has closed."""
    return {
        "at": time_text(now_ms),
        "jobs": [_duty(task) for task in tasks.stand(rows)],
        "months_not_closed": months_not_closed(rows, now_ms),
    }


def _duty(task: tasks.Task) -> DutyBody:
    return {
        "job": task.job,
        "period": time_text(task.period_ms),
        "state": task.state,
        "who": task.who or None,
        "since": time_text(task.since_ms),
        "next_try": time_text(task.next_try_ms) if task.state in {tasks.DUE, tasks.FAILED} else None,
        "failures": task.failures,
        "error": task.last_error or None,
        "result": task.result or None,
    }
