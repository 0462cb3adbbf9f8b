"""Jobs and their periods. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from joulebook_ledger.core.periods import days_of_month, month_interval, month_of, month_of_day, next_month
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY, MILLISECONDS_PER_HOUR

MINUTE, HOUR, DAY, MONTH = "minute", "hour", "day", "month"
MILLISECONDS_PER_MINUTE = 60_000
_LENGTHS_MS = {MINUTE: MILLISECONDS_PER_MINUTE, HOUR: MILLISECONDS_PER_HOUR, DAY: MILLISECONDS_PER_DAY}
FIRST_WAIT_MS = MILLISECONDS_PER_MINUTE
LONGEST_WAIT_MS = MILLISECONDS_PER_HOUR


def always() -> bool:
    """Say yes."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that is to be done once in a period.

    Attributes:
        name: Its name.
        every: minute, hour, day or month. A minute, an hour or a day is worked on while it runs; a month once it is over.
        work: Does it for the period that starts at an instant; what it returns is written down. What it raises is a failure.
        is_wanted: Whether it is to be planned at all just now.
        each: Whether every period that was missed is done by itself; else the newest does for all before it.
    """

    name: str
    every: str
    work: Callable[[int], object]
    is_wanted: Callable[[], bool] = always
    each: bool = False


def period_of(every: str, now_ms: int) -> int:
    """Return the start of the newest period to be worked on: the one that runs, or the month that ended last.

    >>> period_of("hour", 3_600_001)
    3600000
    """
    if every == MONTH:
        first_day = days_of_month(month_of(now_ms)).start
        return month_interval(month_of_day(first_day - 1)).start_ms
    if every not in _LENGTHS_MS:
        raise BadInput(f"{every!r} is no period: it is one of {', '.join((*_LENGTHS_MS, MONTH))}")
    return now_ms // _LENGTHS_MS[every] * _LENGTHS_MS[every]


def periods_due(job: Job, newest_ms: int | None, now_ms: int) -> list[int]:
    """Return the periods that there is no row of yet, oldest first.

    Args:
        job: The job.
        newest_ms: The newest period that there is a row of; None where there is none.
        now_ms: The ledger's time.
    """
    last = period_of(job.every, now_ms)
    if newest_ms is None:
        return [last]
    if newest_ms >= last:  # also where the clock was put back
        return []
    if not job.each:
        return [last]
    found = []
    period = newest_ms
    while (period := _after(job.every, period)) <= last:
        found.append(period)
    return found


def wait_ms(failures: int) -> int:
    """Return how long to wait after so many failures in a row: a minute, then twice as long each time, at most an hour.

    >>> [wait_ms(failures) // 60_000 for failures in (1, 2, 3, 9)]
    [1, 2, 4, 60]
    """
    return min(LONGEST_WAIT_MS, FIRST_WAIT_MS << min(failures - 1, 10))


def _after(every: str, period_ms: int) -> int:
    if every == MONTH:
        return month_interval(next_month(month_of(period_ms))).start_ms
    return period_ms + _LENGTHS_MS[every]
