"""What views ask of the journal: amounts per source, account and method, from the least table that holds them.

`balance` answers by month, `booked` by day; only what is asked as of an earlier link, and adjustments by their cause, are added up
from entries and postings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from joulebook_ledger.core.periods import days_of_month, month_of_day
from joulebook_ledger.core.pricing import COLUMNS, NOTHING, Amounts
from joulebook_ledger.store.rows import Row, Rows, listed, one

_SUMS = ", ".join(f"CAST(SUM({name}) AS BIGINT)" for name in COLUMNS)
_POSTED = ", ".join(f"CAST(SUM(p.{name}) AS BIGINT)" for name in COLUMNS)
# SQLite takes 32,766 parameters; far fewer keep the statement small.
_MOST_LISTED = 500


class Cell(NamedTuple):
    """Amounts of one account by one method on one source, of a stretch of days.

    Attributes:
        account: A run's id, or a reserved account.
        source: A meter's id, an asset, or `unallocated`.
        method: Of the readings.
        first_day: First day it is of.
        last_day: Last day it is of.
        amounts: In COLUMNS order.
        closed: The closed month whose seal tells what it is of; 0 for what is known now.
    """

    account: str
    source: str
    method: str
    first_day: int
    last_day: int
    amounts: Amounts
    closed: int = 0


class Adjustment(NamedTuple):
    """What was booked in a period of an earlier month, for one cause."""

    period: int
    month: int
    cause: str
    account: str
    source: str
    method: str
    amounts: Amounts


def of_months(rows: Rows, first: int, last: int, *, as_closed: bool) -> list[Cell]:
    """Return the amounts of months, by month: as booked within each, or as known today."""
    own = "AND period = month" if as_closed else ""
    sql = (
        f"SELECT month, account, source, method, {_SUMS} FROM balance WHERE month BETWEEN :first AND :last {own} "
        "GROUP BY month, account, source, method"
    )
    return _monthly(rows.rows(sql, first=first, last=last))


def of_accounts(rows: Rows, accounts: Sequence[str] | None = None) -> list[Cell]:
    """Return all that accounts ever bore, as known today, by month; of every run where none are named."""
    sql = f"SELECT month, account, source, method, {_SUMS} FROM balance {{}} GROUP BY month, account, source, method"
    if accounts is None:
        return _monthly(rows.rows(sql.format("")))
    cells: list[Cell] = []
    for start in range(0, len(accounts), _MOST_LISTED):
        names, bound = listed("account", accounts[start : start + _MOST_LISTED])
        cells += _monthly(rows.rows(sql.format(f"WHERE account IN {names}"), **bound))
    return cells


def of_days(rows: Rows, first_day: int, last_day: int, account: str = "") -> list[Cell]:
    """Return the amounts of days, by day, as known today; of one account where it is named."""
    only = "AND account = :account" if account else ""
    columns = ", ".join(COLUMNS)
    sql = f"SELECT day, account, source, method, {columns} FROM booked WHERE day BETWEEN :first AND :last {only}"
    bound: dict[str, int | str] = {"first": first_day, "last": last_day, **({"account": account} if account else {})}
    return [_daily(row) for row in rows.rows(sql, **bound)]


def of_entries(rows: Rows, first: int, last: int, *, as_closed: bool, link: int, by_day: bool) -> list[Cell]:
    """Return the amounts of months, added up from the entries sealed up to a link: by day where asked, else by month."""
    sql = (
        f"SELECT e.day, p.account, e.source, p.method, {_POSTED} FROM entry e JOIN posting p ON p.entry = e.number "
        "WHERE e.day BETWEEN :first AND :last AND e.link <= :link {} GROUP BY e.day, p.account, e.source, p.method"
    )
    cells: list[Cell] = []
    for month in months_between(first, last):
        days = {"first": days_of_month(month).start, "last": days_of_month(month).stop - 1}
        own = {"period": month} if as_closed else {}
        found = rows.rows(sql.format("AND e.period = :period" if as_closed else ""), link=link, **days, **own)
        cells += [_daily(row) for row in found] if by_day else _summed(found, month)
    return [cell for cell in cells if any(cell.amounts)]


def _summed(found: list[Row], month: int) -> list[Cell]:
    """Return a month's rows by day, added up."""
    days = days_of_month(month)
    alike: defaultdict[tuple[str, str, str], list[Amounts]] = defaultdict(list)
    for row in found:
        alike[row[1], row[2], row[3]].append(row[4:])
    return [
        Cell(*key, days.start, days.stop - 1, tuple(map(sum, zip(*amounts, strict=True))))
        for key, amounts in alike.items()
    ]


def adjustments(rows: Rows, period: int, link: int) -> list[Adjustment]:
    """Return what was booked in a month of what had happened before it, by month of origin and cause."""
    sums: dict[tuple[int, str, str, str, str], Amounts] = {}
    sql = (
        f"SELECT e.day, e.cause, p.account, e.source, p.method, {_POSTED} FROM entry e JOIN posting p ON p.entry = e.number "
        "WHERE e.period = :period AND e.day < :first_day AND e.link <= :link"
        " GROUP BY e.day, e.cause, p.account, e.source, p.method"
    )
    for row in rows.rows(sql, period=period, first_day=days_of_month(period).start, link=link):
        key = (month_of_day(row[0]), *row[1:5])
        sums[key] = tuple(a + b for a, b in zip(sums.get(key, NOTHING), row[5:], strict=True))
    return [Adjustment(period, *key, amounts) for key, amounts in sorted(sums.items()) if any(amounts)]


def spans_of_days(
    rows: Rows, sources: Sequence[str], first_day: int, last_day: int, link: int
) -> dict[str, tuple[int, int]]:
    """Return the first and the last day of which anything of each source is booked up to a link; without those that have none."""
    spans: dict[str, tuple[int, int]] = {}
    for start in range(0, len(sources), _MOST_LISTED):
        names, bound = listed("source", sources[start : start + _MOST_LISTED])
        sql = (
            "SELECT source, MIN(day), MAX(day) FROM entry "
            f"WHERE source IN {names} AND day BETWEEN :first AND :last AND link <= :link GROUP BY source"
        )
        found = rows.rows(sql, first=first_day, last=last_day, link=link, **bound)
        spans |= {source: (first, last) for source, first, last in found}
    return spans


def overclaimed_hours(rows: Rows, meters: Sequence[str], first_hour: int, last_hour: int) -> int:
    """Return in how many hours of these meters claims were cut to what the meter read."""
    total = 0
    for start in range(0, len(meters), _MOST_LISTED):
        names, bound = listed("meter", meters[start : start + _MOST_LISTED])
        sql = (
            "SELECT COUNT(*) FROM (SELECT meter, hour FROM usage "
            f"WHERE meter IN {names} AND hour BETWEEN :first AND :last AND overclaimed = 1 GROUP BY meter, hour) AS cut"
        )
        row = one(rows, sql, first=first_hour, last=last_hour, **bound)
        total += row[0] if row else 0
    return total


def accounts_like(rows: Rows, prefix: str) -> list[str]:
    """Return the accounts that begin with a text; all of them for an empty one."""
    sql = "SELECT DISTINCT account FROM balance WHERE account >= :low AND account < :high ORDER BY account"
    return [row[0] for row in rows.rows(sql, low=prefix, high=prefix + "\U0010ffff")]


def _monthly(found: list[Row]) -> list[Cell]:
    days = {month: days_of_month(month) for month in {row[0] for row in found}}
    return [Cell(row[1], row[2], row[3], days[row[0]].start, days[row[0]].stop - 1, row[4:]) for row in found]


def _daily(row: Row) -> Cell:
    return Cell(row[1], row[2], row[3], row[0], row[0], row[4:])


def months_between(first: int, last: int) -> list[int]:
    """Return the months from first to last, yyyymm."""
    return [
        year * 100 + month
        for year in range(first // 100, last // 100 + 1)
        for month in range(1, 13)
        if first <= year * 100 + month <= last
    ]
