"""Which jobs a book has: what is done by the clock, and how often."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

from joulebook_ledger.core.periods import month_of, month_text
from joulebook_ledger.core.refusals import Unavailable
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.duties.jobs import DAY, HOUR, MINUTE, Job
from joulebook_ledger.duties.rounds import Rounds
from joulebook_ledger.queries import FetchQuery
from joulebook_ledger.store import reads, reads_market, reads_zones, tasks
from joulebook_ledger.store.leader import leader_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from joulebook_ledger.local import LocalLedger
    from joulebook_ledger.store.engine import Book
    from joulebook_ledger.store.rows import Rows

BOOK, SEAL, FACTORS, LATE_FACTORS, REMINDER = "book", "seal", "factors", "late_factors", "close_reminder"
ALLOCATE = "allocate"
LATELY_MS = 3 * MILLISECONDS_PER_DAY
_LOG = logging.getLogger("joulebook.service")


def rounds_of(book: Book, ledger: LocalLedger, clock: Callable[[], int]) -> Rounds:
    """Return the worker of a book, which has not begun.

    Args:
        book: Where due work is written down.
        ledger: The same book, which does the work.
        clock: The ledger's time.
    """
    who = f"{socket.gethostname()}-{os.getpid()}"
    return Rounds(book, leader_of(book.url), jobs_of(book, ledger, clock), who=who, clock=clock)


def jobs_of(book: Book, ledger: LocalLedger, clock: Callable[[], int]) -> list[Job]:
    """Return the jobs of a book, in no order: whatever is due is done by its period."""

    def lately(_period_ms: int) -> str:
        return _refreshed(ledger, FetchQuery(from_ms=clock() - LATELY_MS))

    def missing(_period_ms: int) -> str:
        return _refreshed(ledger, FetchQuery())

    def has_providers() -> bool:
        from joulebook_ledger.providers.settings import SWITCH

        if not os.environ.get(SWITCH):
            return False
        with book.read() as rows:
            return bool(reads_zones.zones_in_use(rows))

    def has_receipts() -> bool:
        with book.read() as rows:
            return reads.is_sealing_due(rows)

    def has_any_to_assign() -> bool:
        with book.read() as rows:
            return reads_market.is_any_to_assign(rows)

    def remind(_period_ms: int) -> str:
        with book.read() as rows:
            months = months_not_closed(rows, clock())
        for month in months:
            _LOG.warning("event=month_not_closed month=%s look_with='joulebook close %s --check'", month, month)
        return ", ".join(months) or "every month that is over is closed"

    return [
        Job(name=BOOK, every=HOUR, work=lambda _period_ms: ledger.book()),
        Job(name=SEAL, every=MINUTE, work=lambda _period_ms: ledger.seal(), is_wanted=has_receipts),
        Job(name=FACTORS, every=HOUR, work=lately, is_wanted=has_providers),
        Job(name=LATE_FACTORS, every=DAY, work=missing, is_wanted=has_providers),
        Job(
            name=ALLOCATE,
            every=DAY,
            work=lambda _period_ms: _allocated(book, ledger, clock()),
            is_wanted=has_any_to_assign,
        ),
        Job(name=REMINDER, every=DAY, work=remind),
    ]


def months_not_closed(rows: Rows, now_ms: int) -> list[str]:
    """Return the months that are over, in which something is booked, and that nobody has closed."""
    closed = reads.closed_months(rows)
    return [
        month_text(month) for month in tasks.months_booked(rows) if month < month_of(now_ms) and month not in closed
    ]


def _allocated(book: Book, ledger: LocalLedger, now_ms: int) -> str:
    """Assign the instruments anew to what was drawn since, and book what that changes."""
    from joulebook_ledger.market.allocating import allocate_by_the_clock

    changed = allocate_by_the_clock(book, now_ms)
    if changed:
        ledger.book()
    return ", ".join(changed) or "nothing changed"


def _refreshed(ledger: LocalLedger, query: FetchQuery) -> str:
    """Fetch what the book lacks and book it.

    Raises:
        Unavailable: No provider that was asked gave anything.
    """
    body = ledger.fetch_factors(query)
    reasons = [item["detail"] for item in body["items"] if item["detail"] is not None]
    if reasons and len(reasons) == len(body["items"]):
        raise Unavailable("; ".join(dict.fromkeys(reasons)))
    if body["stored"]:
        ledger.book()
    return f"{body['stored']} new, {len(body['holes'])} stretches of time without a value"
