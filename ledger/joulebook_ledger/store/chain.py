"""The chain: each link seals the receipts and entries of one transaction by digest (CORE §9).

The digest of a receipt covers what it says and, through the digest of its facts, every row stored under it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core import digest
from joulebook_ledger.store import bulk
from joulebook_ledger.store.rows import Row, Rows, one
from joulebook_ledger.store.shapes import row_text

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


def seal(
    connection: Connection, before: Head, now_ms: int, receipts: Sequence[Row], entry_digests: Iterable[str]
) -> Head:
    """Add the next link; the database checks the balance of its entries as it does so.

    Args:
        connection: In the booker's transaction; entries, postings and sealed receipts of the link are there already.
        before: The newest link so far.
        now_ms: The ledger's time; a link is always later than the one before.
        receipts: The receipts it seals, in the order of RECEIPT.
        entry_digests: Of its entries, in the order (source, day, revision).
    """
    sequence, at_ms = before.sequence + 1, max(now_ms, before.at_ms + 1)
    of_receipts, of_entries = receipts_digest(receipts), digest.entries_digest(entry_digests)
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
