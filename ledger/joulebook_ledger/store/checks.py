"""Proving a book against itself: each check says whether it holds, and if not, names the first thing that differs (CORE §9)."""

from __future__ import annotations

from collections.abc import Callable

from joulebook_ledger.store import checks_books, checks_chain, checks_readings
from joulebook_ledger.store.findings import Check
from joulebook_ledger.store.rows import Rows

CHECKS: tuple[Callable[[Rows], list[Check]], ...] = (
    checks_chain.links,
    checks_chain.receipts,
    checks_chain.entries,
    checks_books.balanced,
    checks_books.projections,
    checks_readings.readings,
    checks_books.closes,
    checks_books.smuggled,
)


def run_checks(rows: Rows, head: str = "") -> list[Check]:
    """Return what every check found, in one snapshot; what is due and not booked yet is left out of those that compare targets.

    Args:
        rows: The book.
        head: Digest of a link that was kept elsewhere, or its beginning; empty where there is none to prove the chain against.
    """
    kept = [checks_chain.kept_head(rows, head)] if head else []
    return [*kept, *(found for check in CHECKS for found in check(rows))]
