"""How the work that the clock brings stands, as JSON."""

from __future__ import annotations

# The schema of the service is made from these, which before Python 3.12 takes the newer TypedDict.
from typing_extensions import TypedDict


class DutyBody(TypedDict):
    """A job of one period: its state (due, running, done, failed), who took it last, and how it went."""

    job: str
    period: str
    state: str
    who: str | None
    since: str
    next_try: str | None
    failures: int
    error: str | None
    result: str | None


class DutiesBody(TypedDict):
    """The work that the clock brings, at an instant of the book's clock, and the months that are over and not closed."""

    at: str
    jobs: list[DutyBody]
    months_not_closed: list[str]
