"""`joulebook worker --status`: what was done last, what waits, what failed and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook.tables import Column, Page, grid

if TYPE_CHECKING:
    from joulebook_ledger.duties.bodies import DutiesBody, DutyBody

_MINUTES = 16


def page(body: DutiesBody, paper: Page) -> str:
    """Return the jobs of a book and how they stand, and the months that nobody has closed."""
    if not body["jobs"]:
        return "Nothing was done by the clock yet: joulebook worker, or joulebook serve"
    columns = [
        Column("JOB"), Column("PERIOD", leaves=2), Column("STATE"), Column("SINCE", leaves=1), Column("BY", leaves=3), Column("", shrinks=True),
    ]  # fmt: skip
    rows = [
        [job["job"], job["period"][:_MINUTES], job["state"], job["since"][:_MINUTES], job["who"] or "", _said(job)]
        for job in body["jobs"]
    ]
    said = [grid(columns, rows, paper)]
    said += [f"{month} is over and not closed" for month in body["months_not_closed"]]
    return "\n".join(said)


def _said(job: DutyBody) -> str:
    if job["failures"]:
        times = "once" if job["failures"] == 1 else f"{job['failures']} times"
        return f"failed {times}: {job['error']}; next try {(job['next_try'] or 'under way')[:_MINUTES]}"
    return job["result"] or ""
