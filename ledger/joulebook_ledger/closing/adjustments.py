"""What is shown beneath a report of a closed basis: booked in a month of the months before it, and moved between its rows (CORE §7).

A run that is relabelled after a close moves in open months at once. What was sealed of it stays, and the move is a pair: taken from
the row of the old labels and given to that of the new ones, in the month that is the earliest open one; when that month is closed, it
keeps the pair. Nothing is posted for it. So the rows of all periods and their adjustments sum, row by row, to what is known today.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.closing.basis import RunsThen
from joulebook_ledger.closing.seal import Seal
from joulebook_ledger.core.periods import days_of_month, next_month
from joulebook_ledger.figures.groups import Group, group
from joulebook_ledger.figures.lens import Lens
from joulebook_ledger.figures.runfacts import unknown_run
from joulebook_ledger.store import reads, reads_amounts, reads_closed
from joulebook_ledger.store.reads_amounts import Cell
from joulebook_ledger.store.reads_closed import Relabelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from joulebook_ledger.figures.runfacts import RunFacts
    from joulebook_ledger.figures.stand import Stand
    from joulebook_ledger.store.rows import Rows

RELABELLED = "relabelled"


class Adjusted(NamedTuple):
    """One line beneath a report.

    Attributes:
        period: The month it is booked in, yyyymm.
        month: The month it is of.
        cause: As of an entry, or `relabelled`.
        group: Its row: keys and amounts.
    """

    period: int
    month: int
    cause: str
    group: Group


class Adjustments:
    """The adjustments of a stretch of months, and all that tells what they are of."""

    def __init__(self, rows: Rows, months: Iterable[int], by: Sequence[str], stand: Stand) -> None:
        """Read them from a snapshot.

        Args:
            rows: The snapshot.
            months: The periods, yyyymm.
            by: The keys of the report's rows.
            stand: What the report stands on.
        """
        self._rows = rows
        self._by = by
        self._stand = stand
        self._closes = dict(sorted(reads.closed_months(rows, stand.link).items()))
        self._seals = {month: Seal(rows, month, link) for month, link in self._closes.items()}
        self.lens = Lens(rows, stand.limit, self._seals)
        self._runs = RunsThen(rows, stand.limit, self._seals)
        self.lines = [line for month in months for line in (*self._late(month), *self._moves(month))]

    def cells(self) -> list[Cell]:
        """Return all that was booked late; a move takes as much as it gives."""
        return [cell for line in self.lines if line.cause != RELABELLED for cell in line.group.cells]

    def _late(self, period: int) -> list[Adjusted]:
        found: defaultdict[tuple[int, str], list[Cell]] = defaultdict(list)
        closed = period if period in self._closes else 0
        for late in reads_amounts.adjustments(self._rows, period, self._closes.get(period, self._stand.link)):
            days = days_of_month(late.month)
            cell = Cell(late.account, late.source, late.method, days.start, days.stop - 1, late.amounts, closed)
            found[late.month, late.cause].append(cell)
        self._runs.add(cell for cells in found.values() for cell in cells)
        return [
            Adjusted(period, month, cause, its)
            for (month, cause), cells in sorted(found.items())
            for its in group(cells, self._by, self._runs.of, self.lens)
        ]

    def _moves(self, period: int) -> list[Adjusted]:
        """Return the pairs of runs that were relabelled since the close before a month."""
        moved, link = self._moved(period)
        if not moved:
            return []
        runs = sorted(its.run for its in moved)
        facts = self._runs.facts(runs, link)
        before = {its.run: _labelled(facts.get(its.run), its.run, its.before) for its in moved}
        after = {its.run: _labelled(facts.get(its.run), its.run, its.after) for its in moved}
        by_month: defaultdict[int, list[Cell]] = defaultdict(list)
        for its in reads_closed.booked_before(self._rows, period, runs):
            by_month[its.month].append(its.cell)
        return [
            Adjusted(period, month, RELABELLED, its)
            for month, cells in sorted(by_month.items())
            for its in self._pairs(cells, before, after)
        ]

    def _pairs(
        self, cells: Sequence[Cell], before: Mapping[str, RunFacts], after: Mapping[str, RunFacts]
    ) -> list[Group]:
        old = group(cells, self._by, lambda cell: before.get(cell.account), self.lens)
        new = group(cells, self._by, lambda cell: after.get(cell.account), self.lens)
        stays = {(its.keys, cell) for its in old for cell in its.cells}.intersection(
            (its.keys, cell) for its in new for cell in its.cells
        )
        taken = [_only(its, stays, -1) for its in old]
        given = [_only(its, stays, 1) for its in new]
        return [its for its in (*taken, *given) if its.cells]

    def _moved(self, period: int) -> tuple[list[Relabelled], int]:
        """Return whose labels changed since the close before a month, and up to which link that is known."""
        if period in self._closes:
            return reads_closed.relabelled_at(self._rows, period), self._closes[period]
        closed_through = max(self._closes, default=0)
        if not closed_through or period != next_month(closed_through):
            return [], self._stand.limit
        since, until = self._closes[closed_through], self._stand.limit
        runs = reads_closed.perhaps_relabelled(self._rows, since, until)
        sealed = reads_closed.labels(self._rows, closed_through, runs)
        now = self._runs.facts(runs, until)
        told = (Relabelled(run, sealed[run], now[run].labels if run in now else {}) for run in runs)
        return [its for its in told if its.before != its.after], until


def _labelled(facts: RunFacts | None, run: str, labels: dict[str, str]) -> RunFacts:
    return (facts or unknown_run(run))._replace(labels=labels)


def _only(its: Group, stays: set[tuple[tuple[str | None, ...], Cell]], sign: int) -> Group:
    """Return a group with those of its cells that move, taken away or given."""
    moving = [cell for cell in its.cells if (its.keys, cell) not in stays and any(cell.amounts)]
    cells = [cell._replace(amounts=tuple(sign * amount for amount in cell.amounts)) for cell in moving]
    return Group(account=its.account, keys=its.keys, cells=cells, runs={cell.account for cell in cells})
