"""What one day's amount of one account on one meter stands on: its hours, each with readings, uses and usage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from joulebook_ledger.core.pricing import price_hour
from joulebook_ledger.core.resolution import TIME
from joulebook_ledger.core.timeline import UsageRow
from joulebook_ledger.core.units import MILLIJOULES_PER_JOULE, MILLISECONDS_PER_HOUR, decimal_text
from joulebook_ledger.core.vocabulary import IDLE
from joulebook_ledger.figures.lens import HOURS_PER_DAY
from joulebook_ledger.figures.units_of import Unit, node, time_words
from joulebook_ledger.store import reads_windows
from joulebook_ledger.store.beside import Kin
from joulebook_ledger.store.bill_reads import Bills
from joulebook_ledger.store.reads_windows import Evidence
from joulebook_ledger.views.factor_words import bill_node

if TYPE_CHECKING:
    from joulebook_ledger.bodies import WhyNode
    from joulebook_ledger.figures.lens import Lens
    from joulebook_ledger.store.reads_amounts import Cell
    from joulebook_ledger.store.rows import Rows


def hours_of_day(rows: Rows, lens: Lens, cell: Cell, column: int, unit: Unit) -> list[tuple[int, WhyNode]]:
    """Return the hours of one day in which an account has usage of a meter, each with its amount of a column.

    Args:
        rows: The snapshot.
        lens: What it is of.
        cell: Any of the account's cells of that meter and day.
        column: Place in `core.pricing.COLUMNS`.
        unit: How the amounts are written.
    """
    first, last = cell.first_day * HOURS_PER_DAY, (cell.first_day + 1) * HOURS_PER_DAY - 1
    meter, machine = lens.meter(cell.source), lens.machine(cell)
    windows = _by_hour(reads_windows.windows(rows, cell.source, first, last))
    uses = _by_hour(reads_windows.uses(rows, cell.source, cell.account, first, last))
    lent = _by_hour(
        item
        for other in Kin(rows).lenders(cell.source, cell.first_day)
        for item in reads_windows.uses(rows, other, cell.account, first, last)
    )
    found = _billed(rows, lens, cell, column, unit)
    for hour, usage in reads_windows.usage(rows, cell.source, first, last).items():
        priced = price_hour(usage, lens.book.rates(machine, meter.component, meter.boundary, hour))
        own = [index for index, row in enumerate(usage) if row.account == cell.account]
        if not own:
            continue
        amount = sum(priced[index][column] for index in own)
        children = [
            *_said(windows[hour], is_time=meter.component == TIME),
            *_claimed(uses[hour], cell.account, is_time=meter.component == TIME),
            *_lent(lent[hour]),
            _laid([usage[index] for index in own], usage, is_time=meter.component == TIME),
        ]
        found.append((amount, node(_hour_text(hour), unit.text(amount), children=children)))
    return found


def _billed(rows: Rows, lens: Lens, cell: Cell, column: int, unit: Unit) -> list[tuple[int, WhyNode]]:
    """Return what bills change of a day: instead of the price of the hours that they charge for, or beside it."""
    bills = Bills(rows)
    postings = dict(bills.billed(lens.book, [(cell.source, cell.first_day)])).get((cell.source, cell.first_day), {})
    amount = sum(amounts[column] for (account, _), amounts in postings.items() if account == cell.account)
    if not amount:
        return []
    said = [bill_node(its) for its in bills.saying(cell.source, cell.first_day)]
    return [
        (
            amount,
            node(
                "what bills say of the hours they charge for, less the price of those", unit.text(amount), children=said
            ),
        )
    ]


def _by_hour(evidence: Iterable[Evidence]) -> defaultdict[int, list[Evidence]]:
    hours: defaultdict[int, list[Evidence]] = defaultdict(list)
    for item in evidence:
        hours[item.hour].append(item)
    return hours


def _said(windows: Sequence[Evidence], *, is_time: bool) -> list[WhyNode]:
    return [
        node(
            f"{item.number} {'gaps' if item.is_gap else 'readings'} by {item.method}"
            + (", estimated and in no energy" if item.is_gap else ""),
            _quantity(item, is_time=is_time),
            source=f"reader {item.reader}",
        )
        for item in windows
    ]


def _claimed(uses: Sequence[Evidence], account: str, *, is_time: bool) -> list[WhyNode]:
    if account == IDLE:
        return [node("what no use claims")]
    return [
        node(f"{item.number} uses by {item.method}", _quantity(item, is_time=is_time), source=f"reader {item.reader}")
        for item in uses
    ]


def _lent(uses: Sequence[Evidence]) -> list[WhyNode]:
    return [
        node(
            f"{item.number} uses by {item.method}, of a model of the same: where it yields, it claims its shares here",
            _quantity(item, is_time=False),
            source=f"reader {item.reader}",
        )
        for item in uses
    ]


def _laid(own: Sequence[UsageRow], usage: Sequence[UsageRow], *, is_time: bool) -> WhyNode:
    """Return what stands on the time line: every millisecond once, claims cut to what the meter read."""
    if is_time:
        ours, whole = sum(row.time_ms for row in own), sum(row.time_ms for row in usage)
        return node(f"laid on the time line: {time_words(ours)} of {time_words(whole)}", time_words(ours))
    ours, whole = sum(row.energy_mj for row in own), sum(row.energy_mj for row in usage)
    return node(f"laid on the time line: {_joules(ours)} of {_joules(whole)}", _joules(ours))


def _quantity(item: Evidence, *, is_time: bool) -> str:
    return time_words(item.time_ms) if is_time else _joules(item.energy_mj)


def _joules(millijoules: int) -> str:
    return f"{decimal_text(millijoules, MILLIJOULES_PER_JOULE)} J"


def _hour_text(hour: int) -> str:
    from joulebook_ledger.core.periods import time_text

    return f"{time_text(hour * MILLISECONDS_PER_HOUR)[:16]}Z"
