"""The chain: each link seals the receipts and entries of one transaction by digest (CORE §9).

The digest of a receipt covers what it says and, through the digest of its facts, every row stored under it. The digest of a close
covers every row that it sealed, and stands after those of the entries of its link.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core import digest
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.store import bulk
from joulebook_ledger.store.rows import Row, Rows, SqlRows, one
from joulebook_ledger.store.shapes import facts_digest, row_text

if TYPE_CHECKING:
    from sqlalchemy import Connection

RECEIPT = (
    "reader",
    "sequence",
    "part",
    "received_ms",
    "batch_digest",
    "digest",
    "facts",
    "state",
    "complete_until_ms",
    "author",
)


CLOSE_PARTS = {
    "month_close": "month, closed_ms, tolerance_ppm, owed, author, link",
    "close_total": f"month, source, account, method, {', '.join(COLUMNS)}",
    "close_figure": "month, account, figures",
    "close_label": "month, run, labels",
    "close_source": "month, source, first_day, last_day, machine, host, site, pricing",
}
"""What a close is made of: table -> columns, in the order of its digest."""


class Head(NamedTuple):
    """The newest link: number, time and digest. Before the first one, number 0."""

    sequence: int
    at_ms: int
    digest: str


def head(rows: Rows) -> Head:
    """Return the newest link."""
    found = one(rows, "SELECT sequence, at_ms, digest FROM link ORDER BY sequence DESC LIMIT 1")
    return Head(*found) if found else Head(0, -1, digest.FIRST_PREVIOUS)


def receipt_digest(receipt: Row) -> str:
    """Return the digest of a receipt, given in the order of RECEIPT."""
    return hashlib.sha256(row_text("receipt", receipt).encode()).hexdigest()


def receipts_digest(receipts: Iterable[Row]) -> str:
    """Return the digest of a link's receipts, given in the order of RECEIPT."""
    ordered = sorted(receipts, key=lambda receipt: receipt[:3])
    return digest.receipts_digest((receipt[0], receipt[1], receipt_digest(receipt)) for receipt in ordered)


def close_digests(rows: Rows, link: int) -> list[str]:
    """Return the digest of every close under a link, in order of months."""
    found = rows.rows("SELECT month FROM month_close WHERE link = :link ORDER BY month", link=link)
    return [_close_digest(rows, month) for (month,) in found]


def _close_digest(rows: Rows, month: int) -> str:
    texts = (
        row_text(table, row)
        for table, columns in CLOSE_PARTS.items()
        for row in rows.rows(f"SELECT {columns} FROM {table} WHERE month = :month", month=month)
    )
    return facts_digest(texts)


def seal(
    connection: Connection, before: Head, now_ms: int, receipts: Sequence[Row], entry_digests: Iterable[str]
) -> Head:
    """Add the next link; the database checks the balance of its entries as it does so.

    Args:
        connection: In the booker's transaction; entries, postings, sealed receipts and closes of the link are there already.
        before: The newest link so far.
        now_ms: The ledger's time; a link is always later than the one before.
        receipts: The receipts it seals, in the order of RECEIPT.
        entry_digests: Of its entries, in the order (source, day, revision).
    """
    sequence, at_ms = before.sequence + 1, max(now_ms, before.at_ms + 1)
    sealed = (*entry_digests, *close_digests(SqlRows(connection), sequence))
    of_receipts, of_entries = receipts_digest(receipts), digest.entries_digest(sealed)
    text = digest.link_digest(
        previous=before.digest, sequence=sequence, at_ms=at_ms, receipts=of_receipts, entries=of_entries
    )
    columns = ("sequence", "previous", "at_ms", "receipts_digest", "entries_digest", "digest")
    bulk.insert(
        connection,
        "link",
        columns,
        frozenset({"sequence", "at_ms"}),
        [(sequence, before.digest, at_ms, of_receipts, of_entries, text)],
    )
    return Head(sequence, at_ms, text)
