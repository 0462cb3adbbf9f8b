"""Checks 2, 3 and 6: entries balance, projections are their rebuild, closes are what they sealed; and what was smuggled in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from joulebook_ledger.core.periods import days_of_month, month_of_day
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.store.findings import Check, found, many
from joulebook_ledger.store.laws import FACTS, WINDOWS
from joulebook_ledger.store.marks import CHAIN
from joulebook_ledger.store.rows import Row, Rows, one
from joulebook_ledger.store.work import listed_amounts

_NOT_ALL_ZERO = " OR ".join(f"SUM({column}) <> 0" for column in COLUMNS)


def balanced(rows: Rows) -> list[Check]:
    """Check that the postings of every entry sum to its leg in every column."""
    sums = ", ".join(f"SUM({column}) AS {column}" for column in COLUMNS)
    differs = " OR ".join(f"e.{column} <> COALESCE(s.{column}, 0)" for column in COLUMNS)
    first = one(
        rows,
        f"SELECT e.number, e.source, e.day FROM entry AS e LEFT JOIN (SELECT entry, {sums} FROM posting GROUP BY entry) AS s"
        f" ON s.entry = e.number WHERE {differs} ORDER BY e.number LIMIT 1",
    )
    difference = (
        None
        if first is None
        else f"the postings of entry {first[0]} ({first[1]}, day {first[2]}) do not sum to its leg"
    )
    return [found("balance of entries", difference, _count(rows, "entry", "entry"))]


def projections(rows: Rows) -> list[Check]:
    """Check that `booked` and `balance` are the sums of the journal."""
    journal = "FROM posting AS p JOIN entry AS e ON e.number = p.entry"
    of_booked = f"SELECT e.source, e.day, p.account, p.method, {listed_amounts('p')} {journal}"
    of_balance = (
        f"SELECT e.period, m.month, e.source, p.account, p.method, {listed_amounts('p')} {journal} {_months(rows)}"
    )
    return [
        _same_sums(rows, "booked", ("source", "day", "account", "method"), of_booked),
        _same_sums(rows, "balance", ("period", "month", "source", "account", "method"), of_balance),
    ]


def _months(rows: Rows) -> str:
    """Return a join that gives the month of an entry's day."""
    bounds = one(rows, "SELECT MIN(day), MAX(day) FROM entry")
    months = _each_month(bounds[0], bounds[1]) if bounds and bounds[0] is not None else [0]
    ranges = ((month, days_of_month(month)) for month in months if month)
    selects = [f"SELECT {month} AS month, {days.start} AS first_day, {days.stop} AS end_day" for month, days in ranges]
    listed = " UNION ALL ".join(selects or ["SELECT 0 AS month, 0 AS first_day, 0 AS end_day"])
    return f"JOIN ({listed}) AS m ON e.day >= m.first_day AND e.day < m.end_day"


def _each_month(first_day: int, last_day: int) -> Iterator[int]:
    day = first_day
    while True:
        month = month_of_day(day)
        yield month
        day = days_of_month(month).stop
        if day > last_day:
            return


def _same_sums(rows: Rows, table: str, key: tuple[str, ...], journal: str) -> Check:
    names = ", ".join(key)
    first = one(
        rows,
        f"SELECT {names} FROM ({journal} UNION ALL SELECT {names}, {listed_amounts(sign='-')} FROM {table}) AS both_sides"
        f" GROUP BY {names} HAVING {_NOT_ALL_ZERO} ORDER BY {names} LIMIT 1",
    )
    difference = None if first is None else f"{table} is not the sum of the journal at ({_said(first)})"
    return found(table, difference, _count(rows, table, "row"))


def closes(rows: Rows) -> list[Check]:
    """Check that the sealed totals of every close are what the journal holds of that month in that period."""
    key = "month, source, account, method"
    first = one(
        rows,
        f"SELECT {key} FROM (SELECT b.month, b.source, b.account, b.method, {listed_amounts('b')} FROM balance AS b"
        " JOIN month_close AS c ON c.month = b.month AND c.month = b.period"
        f" UNION ALL SELECT {key}, {listed_amounts(sign='-')} FROM close_total) AS both_sides"
        f" GROUP BY {key} HAVING {_NOT_ALL_ZERO} ORDER BY {key} LIMIT 1",
    )
    difference = None if first is None else f"the close of {first[0]} sealed another total for ({_said(first[1:])})"
    return [found("closes", difference, _count(rows, "month_close", "closed month"))]


# What no commit of ours can leave behind: it was put there with foreign keys, triggers or the service's own checks out of force.
_SMUGGLED = {
    "entry without its link": "SELECT number, source, day FROM entry WHERE NOT EXISTS (SELECT 1 FROM link WHERE sequence = entry.link)",
    "posting without its entry": "SELECT entry, account, method FROM posting"
    " WHERE NOT EXISTS (SELECT 1 FROM entry WHERE number = posting.entry)",
    "sealed receipt without its link": "SELECT receipt, link FROM sealed_receipt"
    " WHERE NOT EXISTS (SELECT 1 FROM link WHERE sequence = sealed_receipt.link)",
    "sealed receipt that is not there": "SELECT receipt, link FROM sealed_receipt"
    " WHERE NOT EXISTS (SELECT 1 FROM receipt WHERE number = sealed_receipt.receipt)",
    "close without its link": "SELECT month FROM month_close WHERE NOT EXISTS (SELECT 1 FROM link WHERE sequence = month_close.link)",
    "entry booked into a closed month": "SELECT e.number, e.source, e.day FROM entry AS e JOIN month_close AS c"
    " ON c.month >= e.period AND c.link < e.link",
    "receipt that no link seals and nothing marks": "SELECT number, reader, sequence FROM receipt"
    " WHERE NOT EXISTS (SELECT 1 FROM sealed_receipt WHERE receipt = receipt.number)"
    f" AND NOT EXISTS (SELECT 1 FROM due WHERE scope = '{CHAIN}' AND due.receipt = receipt.number)",
    "price in another currency than the book's": "SELECT kind, object, provider, currency FROM factor"
    " WHERE currency <> '' AND currency <> COALESCE((SELECT value FROM book_setting WHERE name = 'currency'), '')",
    "window of a meter that is not there": "SELECT meter, reader, start_ms FROM meter_window"
    " WHERE NOT EXISTS (SELECT 1 FROM meter WHERE meter.meter = meter_window.meter)",
    "use without its window": "SELECT u.meter, u.reader, u.start_ms, u.run FROM meter_use AS u WHERE NOT EXISTS"
    " (SELECT 1 FROM meter_window AS w WHERE w.meter = u.meter AND w.reader = u.reader AND w.start_ms = u.start_ms)"
    " AND NOT EXISTS (SELECT 1 FROM archive_manifest WHERE day = u.start_ms / 86400000)",
    "windows of one reader that overlap": "SELECT meter, reader, start_ms FROM (SELECT meter, reader, start_ms,"
    " LAG(end_ms) OVER (PARTITION BY meter, reader ORDER BY start_ms) AS reached FROM meter_window) AS in_order WHERE reached > start_ms",
}  # fmt: skip


def smuggled(rows: Rows) -> list[Check]:
    """Name what can only be there if somebody wrote past the laws, such as with `PRAGMA foreign_keys = OFF`."""
    for what, sql in (_SMUGGLED | dict(_facts_without_receipt())).items():
        first = one(rows, f"{sql} LIMIT 1")
        if first is not None:
            return [Check("nothing smuggled in", ok=False, detail=f"{what}: ({_said(first)})")]
    return [Check("nothing smuggled in", ok=True, detail=f"{many(len(_SMUGGLED) + len(FACTS), 'form')} looked for")]


def _facts_without_receipt() -> Iterator[tuple[str, str]]:
    without = {"receipt", "refused_fact", "archive_manifest", "book_setting"}
    for table in (*WINDOWS, *(name for name in FACTS if name not in {*WINDOWS, *without})):
        key = ", ".join(FACTS[table][0])
        yield (
            f"{table} without its receipt",
            f"SELECT {key} FROM {table} AS f WHERE NOT EXISTS (SELECT 1 FROM receipt WHERE number = f.receipt)",
        )


def _said(key: Iterable[object]) -> str:
    return ", ".join(map(str, key))


def _count(rows: Rows, table: str, what: str) -> str:
    counted: Row | None = one(rows, f"SELECT COUNT(*) FROM {table}")
    return many(counted[0] if counted else 0, what)
