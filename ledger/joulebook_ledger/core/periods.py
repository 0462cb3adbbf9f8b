"""UTC time as integers: milliseconds, hours, days, months and half-open intervals.

hour = ms div 3,600,000, day = ms div 86,400,000, month = the UTC calendar month as the integer yyyymm. A time zone only changes
how a time is printed, and is applied by whoever prints.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import (
    MILLISECONDS_PER_DAY,
    MILLISECONDS_PER_HOUR,
    require_integer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_EPOCH = datetime.date(1970, 1, 1)
_FIRST_MONTHS = {"Q1": "01", "Q2": "04", "Q3": "07", "Q4": "10"}
MONTHS_PER_YEAR = 12


def hour_of(time_ms: int) -> int:
    """Return the hour since the epoch that holds the instant."""
    return time_ms // MILLISECONDS_PER_HOUR


def day_of(time_ms: int) -> int:
    """Return the day since the epoch that holds the instant."""
    return time_ms // MILLISECONDS_PER_DAY


def month_of_day(day: int) -> int:
    """Return the UTC calendar month of a day since the epoch, as yyyymm.

    >>> month_of_day(20_779)
    202611
    """
    date = _EPOCH + datetime.timedelta(days=day)
    return date.year * 100 + date.month


def month_of(time_ms: int) -> int:
    """Return the UTC calendar month that holds the instant, as yyyymm."""
    return month_of_day(day_of(time_ms))


def next_month(month: int) -> int:
    """Return the month after yyyymm.

    >>> next_month(202612)
    202701
    """
    year, number = divmod(month, 100)
    return (year + 1) * 100 + 1 if number == MONTHS_PER_YEAR else month + 1


def days_of_month(month: int) -> range:
    """Return the days since the epoch of the month yyyymm."""
    return range(_first_day(month), _first_day(next_month(month)))


def month_interval(month: int) -> Interval:
    """Return the month yyyymm as an interval of milliseconds."""
    days = days_of_month(month)
    return Interval(
        start_ms=days.start * MILLISECONDS_PER_DAY,
        end_ms=days.stop * MILLISECONDS_PER_DAY,
    )


def parse_month(text: str) -> int:
    """Return yyyymm of a text such as "2026-11"; anything else is refused.

    >>> parse_month("2026-11")
    202611
    """
    year, dash, number = text.partition("-")
    good = (
        dash
        and len(year) == 4
        and len(number) == 2
        and year.isascii()
        and number.isascii()
        and (year + number).isdigit()
    )
    if not good or not 1 <= int(number) <= MONTHS_PER_YEAR or int(year) < 1970:
        message = f"{text!r} is no month: write it as YYYY-MM, such as 2026-11"
        raise BadInput(message)
    return int(year) * 100 + int(number)


def parse_quarter(text: str) -> tuple[int, int]:
    """Return first and last month, yyyymm, of a calendar quarter such as "2026-Q3"; anything else is refused.

    >>> parse_quarter("2026-Q3")
    (202607, 202609)
    """
    year, _, number = text.partition("-")
    try:
        first = parse_month(f"{year}-{_FIRST_MONTHS[number.upper()]}")
    except (KeyError, BadInput):
        message = f"{text!r} is no quarter: write it as YYYY-QN, such as 2026-Q3"
        raise BadInput(message) from None
    return first, first + 2


def month_text(month: int) -> str:
    """Return yyyymm as people write it, such as "2026-11"."""
    return f"{month // 100:04d}-{month % 100:02d}"


def day_text(day: int) -> str:
    """Return a day since the epoch as YYYY-MM-DD."""
    return (_EPOCH + datetime.timedelta(days=day)).isoformat()


def time_text(time_ms: int) -> str:
    """Return an instant as RFC 3339 in UTC with milliseconds.

    >>> time_text(0)
    '1970-01-01T00:00:00.000Z'
    """
    moment = datetime.datetime.fromtimestamp(time_ms // 1000, tz=datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def parse_time(text: str) -> int:
    """Return the milliseconds of an RFC 3339 instant or a plain date; a time without a zone is refused.

    >>> parse_time("1970-01-01T01:00:00+01:00")
    0
    """
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no instant: write it as 2026-11-22T10:00:00Z or 2026-11-22"
        raise BadInput(message) from None
    if moment.tzinfo is None:
        if "T" in text or " " in text:
            message = f"{text!r} has no time zone: add Z for UTC or an offset such as +01:00"
            raise BadInput(message)
        moment = moment.replace(tzinfo=datetime.UTC)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (moment - epoch) // datetime.timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A half-open stretch of time, [start_ms, end_ms).

    Attributes:
        start_ms: First millisecond inside.
        end_ms: First millisecond no longer inside; after start_ms.
    """

    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        """Refuse an interval that holds nothing."""
        require_integer(self.start_ms, "start_ms", least=0)
        require_integer(self.end_ms, "end_ms")
        if self.end_ms <= self.start_ms:
            message = f"an interval ends after it starts: [{self.start_ms}, {self.end_ms})"
            raise BadInput(message)

    @property
    def length_ms(self) -> int:
        """How long it is, in milliseconds."""
        return self.end_ms - self.start_ms

    def overlap_ms(self, other: Interval) -> int:
        """Return how many milliseconds the two have in common."""
        return max(0, min(self.end_ms, other.end_ms) - max(self.start_ms, other.start_ms))

    def cut_at_hours(self) -> Iterator[Interval]:
        """Yield its parts, none of which crosses a UTC hour."""
        start = self.start_ms
        while start < self.end_ms:
            end = min(self.end_ms, (hour_of(start) + 1) * MILLISECONDS_PER_HOUR)
            yield Interval(start_ms=start, end_ms=end)
            start = end


def union_ms(intervals: list[Interval]) -> int:
    """Return the length of the union of intervals, in milliseconds; an overlap counts once."""
    total = reached = 0
    for interval in sorted(intervals, key=lambda i: i.start_ms):
        total += max(0, interval.end_ms - max(reached, interval.start_ms))
        reached = max(reached, interval.end_ms)
    return total


def _first_day(month: int) -> int:
    return (datetime.date(month // 100, month % 100, 1) - _EPOCH).days
