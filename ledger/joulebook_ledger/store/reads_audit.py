"""What an audit takes along: the journal of a year with its chain, usage, and the facts that price it, as tables to be streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from joulebook_ledger.core.periods import days_of_month
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.store.chain import CLOSE_PARTS, RECEIPT
from joulebook_ledger.store.rows import Row, Rows
from joulebook_ledger.store.shapes import SHAPES

HOURS_PER_DAY = 24
USAGE = ("meter", "hour", "account", "method", "energy_mj", "held_mj", "time_ms", "unmetered_mj", "overclaimed")
ENTRY = ("number", "source", "day", "revision", "period", "cause", "known", "link", "digest", *COLUMNS)
POSTING = ("entry", "account", "method", *COLUMNS)
LINK = ("sequence", "previous", "at_ms", "receipts_digest", "entries_digest", "digest")
PRICING_FACTS = (
    "factor", "instrument", "allocation", "site", "placement", "name_map", "restatement", "correction", "meter",
)  # fmt: skip


class Table(NamedTuple):
    """One table of an audit.

    Attributes:
        name: Its file, without folder and ending.
        columns: In their order.
        rows: Streamed.
    """

    name: str
    columns: tuple[str, ...]
    rows: Iterator[Row]


def journal(rows: Rows, year: int) -> Iterator[Table]:
    """Yield the chain, and of every link that the year has to do with its receipts, entries and postings."""
    of_year = _links(year)
    yield _table(rows, "links", LINK, "link", "ORDER BY sequence")
    yield Table(
        "receipts",
        ("link", *RECEIPT),
        rows.stream(
            f"SELECT s.link, {', '.join(f'r.{column}' for column in RECEIPT)} FROM sealed_receipt AS s"
            f" JOIN receipt AS r ON r.number = s.receipt WHERE s.link IN ({of_year}) ORDER BY s.link, r.reader, r.sequence, r.part"
        ),
    )
    yield _table(rows, "entries", ENTRY, "entry", f"WHERE link IN ({of_year}) ORDER BY link, source, day, revision")
    yield Table(
        "postings",
        POSTING,
        rows.stream(
            f"SELECT {', '.join(f'p.{column}' for column in POSTING)} FROM posting AS p JOIN entry AS e ON e.number = p.entry"
            f" WHERE e.link IN ({of_year}) ORDER BY e.link, e.source, e.day, e.revision, p.account, p.method"
        ),
    )
    within = f"WHERE month BETWEEN {year}01 AND {year}12"
    for name, columns in CLOSE_PARTS.items():
        named = tuple(columns.split(", "))
        yield _table(rows, name, named, name, f"{within} ORDER BY {', '.join(named[:4])}")


def usage_of_month(rows: Rows, month: int) -> Table:
    """Return the hourly usage of a month."""
    days = days_of_month(month)
    within = f"WHERE hour >= {days.start * HOURS_PER_DAY} AND hour < {days.stop * HOURS_PER_DAY}"
    text = f"{month // 100}-{month % 100:02d}"
    return _table(rows, text, USAGE, "usage", f"{within} ORDER BY meter, hour, account, method")


def pricing_facts(rows: Rows) -> Iterator[Table]:
    """Yield every fact that prices, places or corrects, each with the link that seals it (empty where none does yet)."""
    for name in PRICING_FACTS:
        columns = SHAPES[name].columns
        key = ", ".join(f"f.{column}" for column in SHAPES[name].key)
        yield Table(
            name,
            (*columns, "link"),
            rows.stream(
                f"SELECT {', '.join(f'f.{column}' for column in columns)}, s.link FROM {name} AS f"
                f" LEFT JOIN sealed_receipt AS s ON s.receipt = f.receipt ORDER BY {key}"
            ),
        )


def _links(year: int) -> str:
    """Return SQL for the links that booked a day of the year, booked into one of its months, or closed one."""
    first, last = days_of_month(year * 100 + 1).start, days_of_month(year * 100 + 12).stop - 1
    months = f"BETWEEN {year}01 AND {year}12"
    return (
        f"SELECT link FROM entry WHERE day BETWEEN {first} AND {last} OR period {months}"
        f" UNION SELECT link FROM month_close WHERE month {months}"
    )


def _table(rows: Rows, name: str, columns: tuple[str, ...], table: str, rest: str) -> Table:
    return Table(name, columns, rows.stream(f"SELECT {', '.join(columns)} FROM {table} {rest}"))
