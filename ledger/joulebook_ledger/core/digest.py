"""The texts and digests of the chain (CORE §9): sha256 over integers in decimal, null as nothing, strings as length:value.

Fields are joined by commas, the parts of an entry by semicolons. A string's length is its number of characters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from joulebook_ledger.core.booking import Target
from joulebook_ledger.core.vocabulary import account_order

FIRST_PREVIOUS = "0" * 64
"""What the first link of a book names as the digest before it."""

Field = int | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFields:
    """What an entry says besides its amounts.

    Attributes:
        source: The source's id: a meter, an asset, or `unallocated`.
        day: Day since the epoch.
        revision: 1, 2, ... within (source, day).
        period: Month it is booked in, yyyymm.
        cause: first, late, correction, factor, bill, allocation or restatement.
        known: Link up to which factors were known, or None.
        link: Sequence of the link that seals it.
    """

    source: str
    day: int
    revision: int
    period: int
    cause: str
    known: int | None
    link: int


def entry_text(entry: EntryFields, amounts: Target) -> str:
    """Return an entry as one canonical text: its fields, its source leg, its postings in account order."""
    head = _line(
        entry.source, entry.day, entry.revision, entry.period, entry.cause, entry.known, entry.link, *amounts.leg
    )
    keys = sorted(amounts.postings, key=lambda key: (account_order(key[0]), key[1]))
    return ";".join((head, *(_line(*key, *amounts.postings[key]) for key in keys)))


def entry_digest(entry: EntryFields, amounts: Target) -> str:
    """Return the digest of an entry, hex."""
    return _sha256(entry_text(entry, amounts))


def entries_digest(digests: Iterable[str]) -> str:
    """Return the digest of a link's entries, given in the order (source by bytes, day, revision)."""
    return _sha256(_line(*digests))


def receipts_digest(receipts: Iterable[tuple[str, int, str]]) -> str:
    """Return the digest of a link's receipts (reader, sequence, digest of the batch), whatever order they are given in."""
    ordered = sorted(receipts, key=lambda receipt: (receipt[0].encode(), receipt[1]))
    return _sha256(";".join(_line(*receipt) for receipt in ordered))


def link_digest(*, previous: str, sequence: int, at_ms: int, receipts: str, entries: str) -> str:
    """Return sha256(previous ‖ sequence ‖ at_ms ‖ receipts digest ‖ entries digest), hex."""
    return _sha256(_line(previous, sequence, at_ms, receipts, entries))


def _line(*fields: Field) -> str:
    return ",".join(_field(field) for field in fields)


def _field(field: Field) -> str:
    if field is None:
        return ""
    if isinstance(field, str):
        return f"{len(field)}:{field}"
    return str(field)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
