"""On which basis a report stands: closed months as they were sealed, open ones as they are booked, or all as known today (CORE §7)."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from joulebook_ledger.closing.seal import Seal
from joulebook_ledger.core.periods import days_of_month, next_month
from joulebook_ledger.core.vocabulary import RESERVED_ACCOUNTS
from joulebook_ledger.figures.groups import PLACE_KEYS
from joulebook_ledger.figures.runfacts import run_facts
from joulebook_ledger.figures.stand import Stand, stand_of
from joulebook_ledger.store import reads, reads_amounts, reads_closed, reads_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from joulebook_ledger.core.names import Names
    from joulebook_ledger.figures.lens import Lens
    from joulebook_ledger.figures.runfacts import RunFacts
    from joulebook_ledger.queries import ReportQuery
    from joulebook_ledger.store.reads_amounts import Cell
    from joulebook_ledger.store.rows import Rows


def seals_of(rows: Rows, query: ReportQuery, stand: Stand) -> dict[int, Seal]:
    """Return the seals of the closed months of a report; none on the basis `current`. An unsealed month before a close went with it."""
    closes = sorted(reads.closed_months(rows, stand.link).items()) if query.basis == "closed" else []
    months = [month for month, _ in closes]
    seals = {}
    for month in reads_amounts.months_between(query.from_month, query.to_month):
        place = bisect_left(months, month)
        if place < len(months):
            seals[month] = Seal(rows, month, closes[place][1])
    return seals


def stand_on(rows: Rows, query: ReportQuery) -> tuple[Stand, dict[int, Seal]]:
    """Return what a report stands on: where all its months are closed the link of their last close, which never changes."""
    stand = stand_of(rows, query.as_of)
    seals = seals_of(rows, query, stand)
    if query.to_month in seals:
        sealed = stand_of(rows, str(seals[query.to_month].link))
        return sealed._replace(as_of=stand.as_of), seals
    return stand, seals


def cells_of(
    rows: Rows, query: ReportQuery, stand: Stand, seals: Mapping[int, Seal], lens: Lens, *, by_day: bool
) -> list[Cell]:
    """Return the amounts of a report's months, each from the least table that holds them."""
    has_places = any(key in PLACE_KEYS for key in query.by)
    wants_days = by_day or "day" in query.by
    cells: list[Cell] = []
    for month, seal in seals.items():
        if wants_days or (has_places and seal.has_moved):
            own = reads_amounts.of_entries(rows, month, month, as_closed=True, link=seal.link, by_day=True)
            cells += [cell._replace(closed=month) for cell in own]
        else:
            cells += seal.totals
    first = next_month(max(seals)) if seals else query.from_month
    if first > query.to_month:
        return cells
    return cells + _open_cells(rows, query, stand, first, by_day=wants_days or (has_places and lens.has_moved))


def _open_cells(rows: Rows, query: ReportQuery, stand: Stand, first: int, *, by_day: bool) -> list[Cell]:
    last, as_closed = query.to_month, query.basis == "closed"
    if stand.as_of is not None or (by_day and as_closed and reads.closed_months(rows)):
        return reads_amounts.of_entries(rows, first, last, as_closed=as_closed, link=stand.link, by_day=by_day)
    if by_day:
        return reads_amounts.of_days(rows, days_of_month(first).start, days_of_month(last).stop - 1)
    return reads_amounts.of_months(rows, first, last, as_closed=as_closed)


class RunsThen:
    """What is known of runs, as of when their cells are of: of closed months as their closes knew them, with the labels they sealed."""

    def __init__(self, rows: Rows, limit: int, seals: Mapping[int, Seal]) -> None:
        self._rows = rows
        self._links = {0: limit, **{month: seal.link for month, seal in seals.items()}}
        self._known: dict[tuple[int, str], RunFacts | None] = {}
        self._names: dict[int, Names] = {}

    def add(self, cells: Iterable[Cell]) -> None:
        """Read what is known of the runs that cells are of."""
        wanted = {(cell.closed, cell.account) for cell in cells if cell.account not in RESERVED_ACCOUNTS}
        for month in sorted({month for month, _ in wanted.difference(self._known)}):
            runs = sorted(run for its, run in wanted if its == month and (its, run) not in self._known)
            found = self.facts(runs, self._links[month])
            sealed = reads_closed.labels(self._rows, month, runs) if month else {}
            for run in runs:
                facts = found.get(run)
                self._known[month, run] = facts and facts._replace(labels=sealed.get(run, facts.labels))

    def facts(self, runs: list[str], link: int) -> dict[str, RunFacts]:
        """Return what was known of runs up to a link."""
        if link not in self._names:
            self._names[link] = reads.names(self._rows, link)
        return run_facts(reads_runs.events(self._rows, runs, link), self._names[link]) if runs else {}

    def newest(self) -> dict[str, RunFacts]:
        """Return what is known of each run, as of the last of the months that it is in."""
        open_last = sorted(self._known.items(), key=lambda known: (known[0][0] == 0, known[0]))
        return {run: facts for (_, run), facts in open_last if facts is not None}

    def of(self, cell: Cell) -> RunFacts | None:
        """Return what is known of a cell's run, or None."""
        return self._known.get((cell.closed, cell.account))
