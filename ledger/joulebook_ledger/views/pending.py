"""What is due and not booked yet, of one run: target − booked, worked out in memory by the rule that will book it (CORE §5).

So a run that has just ended shows its footprint before the next booking, and what is booked then is the same to the digit.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from joulebook_ledger.core.booking import Target, plus, subtract, target_of_day
from joulebook_ledger.core.pricing import NOTHING
from joulebook_ledger.core.timeline import lay_hour
from joulebook_ledger.figures.lens import HOURS_PER_DAY
from joulebook_ledger.store import reads_amounts, reads_due, reads_windows
from joulebook_ledger.store.beside import Kin
from joulebook_ledger.store.bill_reads import Bills
from joulebook_ledger.store.reads_amounts import Cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from joulebook_ledger.core.pricing import Amounts
    from joulebook_ledger.core.timeline import UsageRow
    from joulebook_ledger.figures.lens import Lens
    from joulebook_ledger.store.rows import Rows


def pending_cells(rows: Rows, lens: Lens, account: str) -> list[Cell]:
    """Return what booking would now add to an account, by source and day; nothing where nothing is due that touches it."""
    cells: list[Cell] = []
    kin = Kin(rows)
    due = reads_due.due_days(rows, account)
    billed = dict(Bills(rows).billed(lens.book, due.keys()))
    for (source, day), is_new in due.items():
        machine, hours = _usage(rows, lens, source, day, kin if is_new else None)
        meter = lens.meter(source)
        if meter.role == "check":
            continue
        target = target_of_day(hours, partial(lens.book.rates, machine, meter.component, meter.boundary))
        target = plus(target, Target(postings=billed.get((source, day), {})))
        lens.stand_in(source, day, machine)
        cells += _differences(
            account,
            source,
            day,
            {method: amounts for (who, method), amounts in target.postings.items() if who == account},
            reads_amounts.of_days(rows, day, day, account),
        )
    return cells


def _usage(
    rows: Rows, lens: Lens, source: str, day: int, kin: Kin | None
) -> tuple[str, Mapping[int, Sequence[UsageRow]]]:
    """Return the machine and the hours of a day; from its readings where these are new and its `kin` is needed."""
    if kin is not None:
        machine, hours = reads_due.readers_of_day(rows, source, day)
        beside = reads_due.beside_on_day(rows, kin, source, day)
        return machine, {hour: lay_hour(hour, said, beside.get(hour, ())).rows for hour, said in hours.items()}
    first = day * HOURS_PER_DAY
    machine = lens.machine(Cell("", source, "", day, day, ()))
    return machine, reads_windows.usage(rows, source, first, first + HOURS_PER_DAY - 1)


def _differences(
    account: str, source: str, day: int, target: Mapping[str, Amounts], booked: Sequence[Cell]
) -> list[Cell]:
    before = {cell.method: cell.amounts for cell in booked if cell.source == source}
    found = []
    for method in sorted(target.keys() | before.keys()):
        amounts = subtract(target.get(method, NOTHING), before.get(method, NOTHING))
        if any(amounts):
            found.append(Cell(account, source, method, day, day, amounts))
    return found
