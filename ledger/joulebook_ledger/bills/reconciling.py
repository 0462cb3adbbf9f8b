"""Holding the bills of a month against what was metered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from joulebook_ledger.core import focus
from joulebook_ledger.core.billing import QUANTA_PER_MICRO
from joulebook_ledger.core.bills import Kind, Total, commitments
from joulebook_ledger.core.focus import QUANTUM, amount_text, period_text
from joulebook_ledger.core.periods import days_of_month, month_of_day, month_text
from joulebook_ledger.core.pricing import COLUMNS, price_hour
from joulebook_ledger.core.reconciling import Charged, Metered, causes_of, estimate_of
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY, MILLISECONDS_PER_HOUR
from joulebook_ledger.figures.lens import HOURS_PER_DAY, Lens
from joulebook_ledger.figures.stand import stand_of
from joulebook_ledger.store import reads_windows
from joulebook_ledger.store.bill_reads import Bills, Delivery, MachineLine, machine_costs, totals

if TYPE_CHECKING:
    from joulebook_ledger.bills.bodies import (
        AccountBody,
        CommitmentBody,
        InvoiceBody,
        MachineBillBody,
        ReconciliationBody,
        ServiceBody,
        UnbilledBody,
    )
    from joulebook_ledger.store.bill_reads import SourceHour
    from joulebook_ledger.store.rows import Rows

_COST, _UNCOVERED = (COLUMNS.index(name) for name in ("cost_instance", "unc_cost_instance_ms"))
_CENT = QUANTUM // 100
Sums = dict[Kind, Total]


def reconcile(rows: Rows, month: int) -> ReconciliationBody:
    """Return the bills whose billing period begins in a month, beside what was metered by price.

    Args:
        rows: A snapshot of the book.
        month: yyyymm.
    """
    stand = stand_of(rows)
    desk = _Desk(rows, month)
    accounts = [desk.account(bill) for _, bill in sorted(desk.bills.newest.items()) if bill.period // 100 == month]
    return {
        "month": month_text(month), "currency": desk.lens.currency or None, "link": stand.link, "head": stand.head,
        "accounts": accounts, "unbilled": desk.unbilled(),
    }  # fmt: skip


class _Desk:
    """What is asked of one month. A machine's hours that are not billed are held against the first bill that names it."""

    def __init__(self, rows: Rows, month: int) -> None:
        self._rows = rows
        self._month = month
        self._named: set[str] = set()
        self.bills = Bills(rows)
        self.lens = Lens(rows)

    def account(self, bill: Delivery) -> AccountBody:
        """Return one bill."""
        sums = totals(self._rows, bill)
        is_ours = bill.currency == self.bills.currency
        machines = [self._machine(bill, machine) for machine in self.bills.machines(bill)] if is_ours else []
        lines = [line for _, some in machines for line in some]
        effective = sum(total.effective for total in sums.values())
        placed = sum(line.charge.amount for line in lines)
        return {
            "provider": bill.provider, "billing_account": bill.account, "billing_period": period_text(bill.period),
            "delivery": bill.delivery, "rows": bill.rows, "currency": bill.currency,
            "billed_cost": amount_text(sum(total.billed for total in sums.values())), "effective_cost": amount_text(effective),
            "in_machines": amount_text(placed), "unallocated": amount_text(effective - placed),
            "by_category": _by_category(sums),
            "corrections": amount_text(sum(its.effective for kind, its in sums.items() if kind.charge_class == focus.CORRECTION)),
            "invoices": _invoices(sums), "services": _services(sums, lines), "commitments": _commitments(sums),
            "machines": [body for body, _ in machines],
            "notes": [] if is_ours else [f"billed in {bill.currency}: no rate is known, so what it comes to here is not known"],
        }  # fmt: skip

    def unbilled(self) -> list[UnbilledBody]:
        """Return the machines of clouds that no bill of the month names."""
        days = days_of_month(self._month)
        found: list[UnbilledBody] = []
        for machine, cost, time_ms in machine_costs(self._rows, days.start, days.stop - 1):
            place = self.lens.book.place(machine, days.stop * MILLISECONDS_PER_DAY - 1)
            if machine not in self._named and time_ms and place is not None and place.ownership == "cloud":
                booked = amount_text(cost * QUANTA_PER_MICRO)
                found.append(
                    {
                        "machine": machine,
                        "host": self._host(machine),
                        "metered_hours": _hours(time_ms),
                        "booked": booked,
                    }
                )
        return found

    def _host(self, machine: str) -> str:
        return self.lens.hosts.get(machine, machine)

    def _machine(self, bill: Delivery, machine: str) -> tuple[MachineBillBody, list[MachineLine]]:
        """Return a machine's part of a bill, and its lines that stand in its hours."""
        lines = self.bills.lines(bill, machine)
        laid = self.bills.laid_on(bill, machine)
        seen = {charge[:4] for charge in laid.found}
        there = [line for line in lines if line.charge[:4] in seen]
        charged = _charged(lines, there)
        billed, unbilled = self._metered(bill, machine, laid.priced)
        self._named.add(machine)
        estimate = estimate_of(billed, unbilled)
        causes = causes_of(charged, billed, unbilled) if estimate is not None else {}
        body: MachineBillBody = {
            "machine": machine, "host": self._host(machine), "metered_hours": _hours(billed.time_ms + unbilled.time_ms),
            "estimate": None if estimate is None else amount_text(estimate), "effective_cost": amount_text(charged.whole),
            "billed_cost": amount_text(sum(line.billed for line in lines)),
            "difference": None if estimate is None else amount_text(charged.whole - estimate),
            "causes": {cause: amount_text(amount) for cause, amount in causes.items()},
            "services": sorted({line.service for line in lines}),
        }  # fmt: skip
        return body, there

    def _metered(self, bill: Delivery, machine: str, priced: frozenset[SourceHour]) -> tuple[Metered, Metered]:
        """Return a machine's hours that a bill charges for, and its others of the month."""
        month = days_of_month(self._month)
        first, last = min(month.start, bill.days.start), max(month.stop, bill.days.stop) - 1
        days = set(self.bills.time_meters(machine, first, last))
        billed = unbilled = Metered()
        for source in sorted({source for source, _ in days}):
            usage = reads_windows.usage(self._rows, source, first * HOURS_PER_DAY, (last + 1) * HOURS_PER_DAY - 1)
            for hour, rows in usage.items():
                day = hour // HOURS_PER_DAY
                if (source, day) not in days:
                    continue
                amounts = price_hour(rows, self.lens.book.rates(machine, "time", "it", hour))
                its = Metered(
                    sum(row.time_ms for row in rows), sum(row[_COST] for row in amounts), sum(row[_UNCOVERED] for row in amounts)
                )  # fmt: skip
                if (source, hour) in priced:
                    billed = billed.plus(its)
                elif machine not in self._named and month_of_day(day) == self._month:
                    unbilled = unbilled.plus(its)
        return billed, unbilled


def _charged(lines: Sequence[MachineLine], there: Sequence[MachineLine]) -> Charged:
    usage = [line for line in there if line.charge.prices]
    timed = [line.used_ms for line in usage if line.used_ms is not None]
    beside: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        if not line.charge.prices:
            beside[line.category] += line.charge.amount
    of_usage = sum(line.charge.amount for line in lines if line.charge.prices)
    laid = sum(line.charge.amount for line in usage)
    return Charged(laid, sum(timed) if timed else None, of_usage - laid, beside)


def _by_category(sums: Sums) -> dict[str, str]:
    found = _summed(sums, lambda kind: kind.category)
    return {category: amount_text(effective) for category, (_, effective) in sorted(found.items())}


def _invoices(sums: Sums) -> list[InvoiceBody]:
    return [
        {
            "invoice": invoice, "billed_cost": amount_text(billed), "to_the_cent": _to_the_cent(billed),
            "effective_cost": amount_text(effective),
        }
        for invoice, (billed, effective) in sorted(_summed(sums, lambda kind: kind.invoice).items())
    ]  # fmt: skip


def _services(sums: Sums, lines: Iterable[MachineLine]) -> list[ServiceBody]:
    placed: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        placed[line.service] += line.charge.amount
    return [
        {
            "service": service, "billed_cost": amount_text(billed), "effective_cost": amount_text(effective),
            "in_machines": amount_text(placed[service]),
        }
        for service, (billed, effective) in sorted(_summed(sums, lambda kind: kind.service).items())
    ]  # fmt: skip


def _commitments(sums: Sums) -> list[CommitmentBody]:
    return [
        {
            "commitment": name, "purchased": amount_text(its.purchased), "used": amount_text(its.used), "unused": amount_text(its.unused),
        }
        for name, its in commitments(sums.items()).items()
    ]  # fmt: skip


def _summed(sums: Sums, key: Callable[[Kind], str]) -> Mapping[str, tuple[int, int]]:
    """Return key -> (BilledCost, EffectiveCost)."""
    found: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for kind, total in sums.items():
        billed, effective = found[key(kind)]
        found[key(kind)] = billed + total.billed, effective + total.effective
    return found


def _to_the_cent(amount: int) -> str:
    """Return an amount rounded to the nearest cent, half a cent away from 0, with both of its digits.

    >>> _to_the_cent(focus.quanta("-1.005")), _to_the_cent(focus.quanta("2"))
    ('-1.01', '2.00')
    """
    units, cents = divmod((2 * abs(amount) + _CENT) // (2 * _CENT), 100)
    return f"{'-' if amount < 0 and (units or cents) else ''}{units}.{cents:02d}"


def _hours(time_ms: int) -> float:
    return time_ms / MILLISECONDS_PER_HOUR
