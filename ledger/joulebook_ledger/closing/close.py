"""Closing months: checked first, then booked, sealed and linked in one transaction under the book's lock (CORE §6).

Whatever stands in the way leaves the book as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook_ledger.closing.basis import RunsThen
from joulebook_ledger.closing.judge import judge
from joulebook_ledger.closing.seal import canonical, labels_of, sources_of
from joulebook_ledger.core.periods import month_interval, month_of, month_text, next_month
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import RESERVED_ACCOUNTS
from joulebook_ledger.figures.footprints import PLACE
from joulebook_ledger.figures.lens import Lens
from joulebook_ledger.store import reads, reads_amounts, reads_closed
from joulebook_ledger.store.reads import NO_LIMIT
from joulebook_ledger.store.reads_closed import Close

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from joulebook_ledger.bodies import CloseBody
    from joulebook_ledger.closing.judge import Judgement
    from joulebook_ledger.queries import CloseQuery
    from joulebook_ledger.store.closing import Sealing
    from joulebook_ledger.store.engine import Book
    from joulebook_ledger.store.reads_amounts import Cell
    from joulebook_ledger.store.rows import Rows

_ALL_PPM = 1_000_000


def check_close(rows: Rows, query: CloseQuery, now_ms: int) -> CloseBody:
    """Return the checklist of a close, and close nothing; what is due and not booked yet is not in it.

    Raises:
        BadInput: As of `close_months`.
    """
    closed = max(reads.closed_months(rows), default=0)
    judged = [
        _judged(rows, month, closed, query, now_ms, NO_LIMIT)[0] for month in _months(rows, query, closed, now_ms)
    ]
    newest = reads.last_link(rows)
    return {
        "closed": False,
        "months": [its.body() for its in judged],
        "link": newest.sequence,
        "head": newest.digest,
    }


def close_months(book: Book, query: CloseQuery, now_ms: int) -> CloseBody:
    """Close the open months up to the one that is asked for, all or none, and return what was found with the head of the chain.

    Raises:
        BadInput: A month that is not over, is closed already or came before the book; or more is missing than may be.
    """
    from joulebook_ledger.store.closing import book_and_seal

    judged: list[Judgement] = []

    def seal(rows: Rows, link: int) -> Iterator[Sealing]:
        closed = max(reads.closed_months(rows), default=0)
        for month in _months(rows, query, closed, now_ms):
            judgement, sealing = _sealing(rows, month, closed, query, now_ms, link)
            judged.append(judgement)
            yield sealing

    head = book_and_seal(book, now_ms, seal)
    return {"closed": True, "months": [its.body() for its in judged], "link": head.sequence, "head": head.digest}


def _months(rows: Rows, query: CloseQuery, closed: int, now_ms: int) -> list[int]:
    """Return the months to close, in order."""
    _check_tolerance(query)
    first = next_month(closed) if closed else reads_closed.first_month(rows)
    if first is None:
        raise BadInput("nothing is booked yet, so that there is no month to close")
    month, running = query.month or first, month_of(now_ms)
    name = month_text(month)
    if month >= running:
        over = month_text(next_month(month))
        raise BadInput(f"{name} is not over: it can be closed from {over}-01 (UTC) on")
    if closed and month <= closed:
        link = next((its.link for its in reads_closed.closes(rows, NO_LIMIT) if its.month >= month), 0)
        raise BadInput(
            f"{name} is closed already, at link {link}: what comes later is booked as an adjustment of an open month"
        )
    if month < first:
        raise BadInput(f"{name} is before the book began: its first month is {month_text(first)}")
    return reads_amounts.months_between(first, month)


def _check_tolerance(query: CloseQuery) -> None:
    if not 0 <= query.tolerance_ppm <= _ALL_PPM:
        raise BadInput("a tolerance is a share of the month's energy from 0 to 100 %")


def _judged(
    rows: Rows, month: int, closed: int, query: CloseQuery, now_ms: int, link: int
) -> tuple[Judgement, Lens, RunsThen, list[Cell]]:
    lens = Lens(rows, link)
    cells = reads_amounts.of_months(rows, month, month, as_closed=True)
    runs = RunsThen(rows, link, {})
    runs.add(cells)
    return judge(rows, lens, runs, cells, month, closed, query.tolerance_ppm, now_ms), lens, runs, cells


def _sealing(
    rows: Rows, month: int, closed: int, query: CloseQuery, now_ms: int, link: int
) -> tuple[Judgement, Sealing]:
    from joulebook_ledger.store.closing import Sealing

    judgement, lens, runs, cells = _judged(rows, month, closed, query, now_ms, link)
    if not judgement.can_close:
        why = "; ".join(i["detail"] for i in judgement.items if i["blocks"] and not i["ok"])
        raise BadInput(
            f"{month_text(month)} is not closed, and nothing was changed: {why}. Wait for them, retire who is gone for good"
            " (`joulebook hosts`, `joulebook retire`), or close with a greater --tolerance"
        )
    booked = [its.cell for its in reads_closed.booked_in(rows, month)]
    accounts = {cell.account for cell in booked}.difference(RESERVED_ACCOUNTS)
    before = max(reads.closed_months(rows).values(), default=0)
    named = sorted(accounts.union(reads_closed.perhaps_relabelled(rows, before, link) if before else ()))
    return judgement, Sealing(
        close=Close(month, now_ms, query.tolerance_ppm, _owed(judgement, query), query.author, link),
        figures=_figures(lens, runs, cells, month),
        labels=labels_of(rows, month, runs.facts(named, link), accounts),
        sources=list(sources_of(rows, lens, booked)),
    )


def _figures(lens: Lens, runs: RunsThen, cells: Sequence[Cell], month: int) -> dict[str, str]:
    """Return the row of figures of each account, as canonical JSON."""
    interval = month_interval(month)
    by_account: dict[str, list[Cell]] = {}
    for cell in cells:
        by_account.setdefault(cell.account, []).append(cell)
    figures = {}
    for account, its in by_account.items():
        facts = runs.of(its[0])
        duration = facts.duration_ms(interval.end_ms, interval.start_ms, interval.end_ms) if facts else None
        count = int(account not in RESERVED_ACCOUNTS)
        row = lens.footprint(its, account=account, duration_ms=duration, runs=count)
        sums = {name: sum(cell.amounts[place] for cell in its) for name, place in PLACE.items()}
        figures[account] = canonical({**row, "amounts": sums})
    return figures


def _owed(judgement: Judgement, query: CloseQuery) -> str:
    """Return what was missing and who owed it, as canonical JSON."""
    readers = [
        {"reader": its.info.reader, "machine": its.info.machine, "complete_until_ms": its.info.complete_until_ms, "missing_mj": its.missing_mj}
        for its in judgement.owing
    ]  # fmt: skip
    said = {"readers": readers, "missing_mj": judgement.missing_mj, "energy_mj": judgement.energy_mj}
    return canonical({**said, "reason": query.reason} if query.reason else said)
