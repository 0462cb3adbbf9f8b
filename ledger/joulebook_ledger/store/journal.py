"""Booking: target − booked, by source and UTC day, set-wise and in one transaction under the book's lock (CORE §5).

Usage is made again from windows where facts changed; it is priced with the factors known now; what differs from what is booked becomes
entries with their postings; the link that seals them is added last, and the database then checks that they balance.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.booking import Target
from joulebook_ledger.core.digest import EntryFields, entry_digest
from joulebook_ledger.core.periods import month_of_day, next_month
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.store import beside, bulk, chain, marks, prices, rates, usage, work
from joulebook_ledger.store.bill_reads import Bills
from joulebook_ledger.store.engine import alone
from joulebook_ledger.store.neighbours import COUNTED, closed_through
from joulebook_ledger.store.reads import factor_book
from joulebook_ledger.store.rows import Row, SqlRows, one

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from joulebook_ledger.core.resolution import FactorBook

BOOK_LOCK = 0x6A6F756C_626F6F6B
"""Key of the advisory lock under which a PostgreSQL book is booked, closed and sealed."""
_ENTRY = ("number", "source", "day", "revision", "period", "cause", "known", "link", "digest")
_ENTRY_NUMBERS = frozenset({"number", "day", "revision", "period", "known", "link", *COLUMNS})
_KEY = ("source", "day", "account", "method")


class Booked(NamedTuple):
    """What a booking did.

    Attributes:
        link: The newest link after it.
        entries: How many entries it added.
        booked_until_ms: Everything stored up to then that happened before it is in the journal.
    """

    link: int
    entries: int
    booked_until_ms: int


Closing = Callable[["Connection", int], None]
"""What a close adds under the link that is being written: its rows (`chain.CLOSE_PARTS`)."""


def book(
    engine: Engine, now_ms: int, wanted: Container[tuple[str, int]] | None = None, *, by_rule: bool = False
) -> Booked:
    """Bring the journal up to date with the facts, and seal what is new in the next link.

    Args:
        engine: The book's engine.
        now_ms: The ledger's time, milliseconds since the epoch.
        wanted: The (source, day) to book; None for all that is due.
        by_rule: Work usage and prices out by the Python of `core` in place of SQL. The same digits, many times slower.
    """
    with alone(engine, BOOK_LOCK) as connection:
        return book_within(connection, now_ms, wanted, by_rule=by_rule)


def book_within(
    connection: Connection,
    now_ms: int,
    wanted: Container[tuple[str, int]] | None = None,
    *,
    by_rule: bool = False,
    closing: Closing | None = None,
) -> Booked:
    """Do what `book` does, in the transaction of one who holds the book's lock.

    Args:
        connection: Of `engine.alone`.
        now_ms: As of `book`.
        wanted: As of `book`.
        by_rule: As of `book`.
        closing: Called with the number of the link when its entries are there and before it is added.
    """
    rows = SqlRows(connection)
    before = chain.head(rows)
    due = rows.rows("SELECT number, scope, object, first_day, last_day, cause, receipt FROM due ORDER BY number")
    if not due and closing is None:
        return Booked(before.sequence, 0, before.at_ms)
    work.make(connection)
    seen = _fill_days(connection, due, wanted)
    digests = _post(connection, before.sequence + 1, by_rule=by_rule)
    receipts = _seal_receipts(connection, due, before.sequence + 1)
    _forget(connection, seen)
    if closing is not None:
        closing(connection, before.sequence + 1)
    is_needed = digests or receipts or closing is not None
    after = chain.seal(connection, before, now_ms, receipts, digests) if is_needed else before
    return Booked(after.sequence, len(digests), _booked_until(rows, after))


def _booked_until(rows: SqlRows, head: chain.Head) -> int:
    found = one(rows, "SELECT MIN(first_day) FROM due WHERE scope <> :chain", chain=marks.CHAIN)
    return head.at_ms if found is None or found[0] is None else int(found[0]) * MILLISECONDS_PER_DAY


def _fill_days(connection: Connection, due: list[Row], wanted: Container[tuple[str, int]] | None) -> list[int]:
    """Fill `work_day` with what the marks mean; return the marks that are then done with."""
    rows = SqlRows(connection)
    causes: dict[tuple[str, int], tuple[int, int]] = {}
    seen: list[int] = []
    checks = {row[0] for row in rows.rows("SELECT meter FROM meter WHERE role <> :counted", counted=COUNTED)}
    for number, scope, name, first_day, last_day, cause, _ in due:
        if scope == marks.CHAIN or (scope == marks.SOURCE and name in checks):
            seen.append(
                number
            )  # a check meter is compared and never booked, also where a correction voids what it said
            continue
        touched = list(marks.expand(rows, scope, name, first_day, last_day))
        kept = touched if wanted is None else [key for key in touched if key in wanted]
        if len(kept) == len(touched):
            seen.append(number)
        rank, rebuild = marks.CAUSES.index(cause), int(cause in marks.OF_READINGS and scope == marks.SOURCE)
        for key in kept:
            known = causes.get(key, (0, 0))
            causes[key] = (max(known[0], rank), max(known[1], rebuild))
    _add_those_beside(connection, causes)
    _add_days(connection, causes)
    return seen


def _add_days(connection: Connection, causes: dict[tuple[str, int], tuple[int, int]]) -> None:
    """Add (source, day) -> (place of its cause, whether its hours are made again) to `work_day`."""
    closed = closed_through(SqlRows(connection))
    months = {day: month_of_day(day) for _, day in causes}
    work.fill(
        connection,
        "work_day",
        [
            (
                source,
                day,
                marks.CAUSES[rank],
                rebuild,
                months[day],
                months[day] if months[day] > closed else next_month(closed),
            )
            for (source, day), (rank, rebuild) in sorted(causes.items())
        ],
    )


def _add_those_beside(connection: Connection, causes: dict[tuple[str, int], tuple[int, int]]) -> None:
    """Let the days be made again that are laid together with one whose readings changed, for the same cause."""
    touched = {key: rank for key, (rank, rebuild) in causes.items() if rebuild}
    for key, together in beside.fill(connection, touched).items():
        for other in together:
            rank, _ = causes.get(other, (0, 0))
            causes[other] = max(rank, touched[key]), 1


def _post(connection: Connection, link: int, *, by_rule: bool) -> list[str]:
    """Add entries and postings for what stands in `work_day`; return the digests of the entries in order."""
    rows = SqlRows(connection)
    if one(rows, "SELECT 1 FROM work_day LIMIT 1") is None:
        return []
    usage.rebuild(connection, by_rule=by_rule)
    bills = Bills(rows)
    _add_days(connection, dict.fromkeys(_days_of_bills(rows, bills), (marks.CAUSES.index("bill"), 0)))
    factors = factor_book(rows)
    if by_rule:
        prices.price_by_rule(connection, factors)
    else:
        rates.fill(connection, factors)
        prices.price(connection)
    _add_billed(connection, bills, factors)
    _subtract_booked(connection)
    entries = list(_entries(rows, link))
    bulk.insert(connection, "entry", (*_ENTRY, *COLUMNS), _ENTRY_NUMBERS, entries)
    _add_postings(connection, link)
    return [entry[8] for entry in entries]


def _days_of_bills(rows: SqlRows, bills: Bills) -> set[tuple[str, int]]:
    """Return the days to be worked out too because a bill lays its lines by hours that were made again."""
    if not bills.newest:
        return set()
    known = rows.rows("SELECT source, day, rebuild FROM work_day")
    return bills.touched([row[:2] for row in known if row[2]]) - {row[:2] for row in known}


def _add_billed(connection: Connection, bills: Bills, factors: FactorBook) -> None:
    """Fill `work_billed` with what bills change of the targets: few hours, by the rule of `core.billing` itself."""
    if not bills.newest:
        return
    wanted = SqlRows(connection).rows("SELECT source, day FROM work_day")
    found = bills.billed(factors, wanted)
    work.fill(
        connection,
        "work_billed",
        [(*key, *who, *amounts) for key, postings in found for who, amounts in postings.items()],
    )


def _subtract_booked(connection: Connection) -> None:
    """Fill `work_delta` with the postings that are missing, and `work_entry` with the legs to go with them."""
    booked = "FROM work_day AS d CROSS JOIN booked AS b WHERE b.source = d.source AND b.day = d.day"
    differs = " OR ".join(f"SUM({column}) <> 0" for column in COLUMNS)
    work.run(
        connection,
        f"""
        INSERT INTO work_delta SELECT {", ".join(_KEY)}, {work.summed_amounts()} FROM (
            SELECT {", ".join(_KEY)}, {work.listed_amounts()} FROM work_target
            UNION ALL SELECT {", ".join(_KEY)}, {work.listed_amounts()} FROM work_billed
            UNION ALL SELECT b.source, b.day, b.account, b.method, {work.listed_amounts("b", "-")} {booked}
        ) AS both_sides GROUP BY {", ".join(_KEY)} HAVING {differs}
    """,
    )
    work.weigh(connection, "work_delta")
    work.run(
        connection,
        f"""
        INSERT INTO work_entry SELECT source, day, {work.summed_amounts()} FROM (
            SELECT source, day, {work.listed_amounts()} FROM work_leg
            UNION ALL SELECT source, day, {work.listed_amounts()} FROM work_billed
            UNION ALL SELECT b.source, b.day, {work.listed_amounts("b", "-")} {booked}
        ) AS both_sides WHERE (source, day) IN (SELECT source, day FROM work_delta) GROUP BY source, day
    """,
    )


def _entries(rows: SqlRows, link: int) -> Iterator[Row]:
    """Yield the entries to add, in the order (source, day), each with its digest."""
    found = one(rows, "SELECT MAX(number) FROM entry")
    number = int(found[0] or 0) if found else 0
    headers = rows.rows(f"""
        SELECT e.source, e.day, COALESCE(r.revision, 0) + 1, d.period, d.cause, {work.listed_amounts("e")}
        FROM work_entry AS e JOIN work_day AS d ON d.source = e.source AND d.day = e.day
        LEFT JOIN (SELECT n.source, n.day, MAX(n.revision) AS revision FROM work_entry AS w CROSS JOIN entry AS n
                   WHERE n.source = w.source AND n.day = w.day GROUP BY n.source, n.day) AS r ON r.source = e.source AND r.day = e.day
        ORDER BY e.source, e.day
    """)
    postings = rows.rows(f"SELECT {', '.join(_KEY)}, {work.listed_amounts()} FROM work_delta ORDER BY source, day")
    by_day = groupby(postings, key=lambda row: row[:2])
    for header, (key, of_day) in zip(headers, by_day, strict=True):
        source, day, revision, period, cause, *leg = header
        assert key == (source, day), key
        number += 1
        fields = EntryFields(
            source=source, day=day, revision=revision, period=period, cause=cause, known=link, link=link
        )
        digest = entry_digest(fields, Target(postings={row[2:4]: row[4:] for row in of_day}, leg=tuple(leg)))
        yield (number, source, day, revision, period, cause, link, link, digest, *leg)


def _add_postings(connection: Connection, link: int) -> None:
    """Add the postings, and bring `booked` and `balance` along."""
    added = "work_delta AS w JOIN entry AS e ON e.source = w.source AND e.day = w.day AND e.link = :link"
    work.run(
        connection,
        f"INSERT INTO posting (entry, account, method, {work.listed_amounts()})"
        f" SELECT e.number, w.account, w.method, {work.listed_amounts('w')} FROM {added}",
        link=link,
    )
    # `WHERE true` keeps SQLite from reading ON CONFLICT as the condition of a join.
    work.run(
        connection,
        f"INSERT INTO booked ({', '.join(_KEY)}, {work.listed_amounts()})"
        f" SELECT {', '.join(_KEY)}, {work.listed_amounts()} FROM work_delta WHERE true"
        f" ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {_increments('booked')}",
    )
    key = "period, month, source, account, method"
    work.run(
        connection,
        f"INSERT INTO balance ({key}, {work.listed_amounts()})"
        f" SELECT d.period, d.month, w.source, w.account, w.method, {work.summed_amounts('w')}"
        " FROM work_delta AS w JOIN work_day AS d ON d.source = w.source AND d.day = w.day"
        " WHERE true GROUP BY d.period, d.month, w.source, w.account, w.method"
        f" ON CONFLICT ({key}) DO UPDATE SET {_increments('balance')}",
    )


def _increments(table: str) -> str:
    return ", ".join(f"{column} = {table}.{column} + excluded.{column}" for column in COLUMNS)


def _seal_receipts(connection: Connection, due: list[Row], link: int) -> list[Row]:
    """Put the receipts that wait for a link into it; return them in the order of `chain.RECEIPT`."""
    numbers = [mark[6] for mark in due if mark[1] == marks.CHAIN]
    bulk.insert(
        connection,
        "sealed_receipt",
        ("receipt", "link"),
        frozenset({"receipt", "link"}),
        [(number, link) for number in numbers],
    )
    return SqlRows(connection).rows(
        f"SELECT {', '.join(f'r.{column}' for column in chain.RECEIPT)}"
        " FROM sealed_receipt AS s JOIN receipt AS r ON r.number = s.receipt WHERE s.link = :link",
        link=link,
    )


def _forget(connection: Connection, seen: list[int]) -> None:
    """Delete exactly the marks that were seen: one added meanwhile belongs to facts that this snapshot does not hold."""
    work.fill(connection, "work_mark", [(number,) for number in seen])
    work.run(connection, "DELETE FROM due WHERE number IN (SELECT number FROM work_mark)")
