"""Writing a close: the rows that seal a month, under the link that is being written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.store import bulk, work
from joulebook_ledger.store.engine import Book, alone
from joulebook_ledger.store.journal import BOOK_LOCK, book_within
from joulebook_ledger.store.reads import LinkInfo, last_link
from joulebook_ledger.store.reads_closed import Close, SealedSource
from joulebook_ledger.store.rows import Rows, SqlRows

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Sealing(NamedTuple):
    """What is written of a month.

    Attributes:
        close: The month, and what was missing.
        figures: Account -> its row of figures, canonical JSON.
        labels: Run -> its labels, canonical JSON.
        sources: Where each source stood, and how it was priced.
    """

    close: Close
    figures: Mapping[str, str]
    labels: Mapping[str, str]
    sources: Sequence[SealedSource]


Sealer = Callable[[Rows, int], Iterator[Sealing]]
"""Yields, month by month, what is to be sealed under a link: from the transaction in which all that is due is booked."""


def book_and_seal(book: Book, now_ms: int, sealer: Sealer) -> LinkInfo:
    """Book all that is due and seal months, in one transaction under the book's lock; return the link that seals them.

    Whatever the sealer raises leaves the book as it was.
    """
    with alone(book.engine, BOOK_LOCK) as connection:
        rows = SqlRows(connection)

        def closing(connection: Connection, link: int) -> None:
            for sealing in sealer(rows, link):
                _write(connection, sealing)

        # The one place for what makes facts at a close, such as the allocation of instruments: here, before anything is booked.
        book_within(connection, now_ms, closing=closing)
        return last_link(rows)


def _write(connection: Connection, sealing: Sealing) -> None:
    """Write the month itself, its totals as they stand in `balance`, and what views need besides."""
    close, figures, labels, sources = sealing
    month = close.month
    numbers = frozenset({"month", "closed_ms", "tolerance_ppm", "link"})
    bulk.insert(connection, "month_close", Close._fields, numbers, [tuple(close)])
    amounts = ", ".join(COLUMNS)
    work.run(
        connection,
        f"INSERT INTO close_total (month, source, account, method, {amounts})"
        f" SELECT month, source, account, method, {amounts} FROM balance WHERE month = :month AND period = :month",
        month=month,
    )
    for table, column, texts in (("close_figure", "account", figures), ("close_label", "run", labels)):
        value = "figures" if table == "close_figure" else "labels"
        rows = [(month, key, text) for key, text in sorted(texts.items())]
        bulk.insert(connection, table, ("month", column, value), frozenset({"month"}), rows)
    bulk.insert(
        connection,
        "close_source",
        ("month", *SealedSource._fields),
        frozenset({"month", "first_day", "last_day"}),
        [(month, *source) for source in sources],
    )
