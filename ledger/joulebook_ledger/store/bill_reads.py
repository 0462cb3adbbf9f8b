"""What bills say of machines and of the rest: the newest complete delivery of each, laid by `core.billing` over the hours machines were there.

Only what is asked for is read: a delivery carries its sums, and the lines of a machine are found by the names it goes by.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from joulebook_ledger.core.billing import (
    Charge,
    Laid,
    There,
    account_of_source,
    billed_hour,
    charged_ms,
    lay_on_machine,
    lay_rest,
    rest_of_day,
    source_of_bill,
    unknown_day,
)
from joulebook_ledger.core.bills import Kind, Total, charges_of, totals_of_text
from joulebook_ledger.core.booking import add
from joulebook_ledger.core.focus import QUANTUM, USAGE, consumed_hours, named_cells, quanta
from joulebook_ledger.core.names import RESOURCE
from joulebook_ledger.core.pricing import NOTHING, Amounts
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY, MILLISECONDS_PER_HOUR
from joulebook_ledger.core.vocabulary import UNALLOCATED
from joulebook_ledger.store import reads, reads_windows
from joulebook_ledger.store.rows import Rows, listed, one

METHOD = "declared"
_HOURS_PER_DAY = 24
_TIME_METERS = "JOIN meter AS m ON m.meter = p.source AND m.component = 'time' AND m.role = 'counted'"
SourceDay = tuple[str, int]
SourceHour = tuple[str, int]
Postings = dict[tuple[str, str], Amounts]


class Delivery(NamedTuple):
    """One delivery of a bill.

    Attributes:
        provider: Who sells.
        account: The billing account.
        period: First day of the billing period, yyyymmdd.
        delivery: Its name.
        rows: How many lines.
        currency: Of its amounts.
        evidence_name: The file it was read from.
        evidence_digest: sha256 of that.
        first_ms: Where its first charge period begins.
        last_ms: Where its last one ends.
        receipt: By which it was learnt.
    """

    provider: str
    account: str
    period: int
    delivery: str
    rows: int
    currency: str
    evidence_name: str
    evidence_digest: str
    first_ms: int
    last_ms: int
    receipt: int

    @property
    def key(self) -> tuple[str, str, int, str]:
        """Its key in the book."""
        return self[:4]

    @property
    def days(self) -> range:
        """The days it charges for."""
        return range(self.first_ms // MILLISECONDS_PER_DAY, -(-self.last_ms // MILLISECONDS_PER_DAY))


class MachineLine(NamedTuple):
    """A line of a bill that names a machine.

    Attributes:
        charge: What it charges; its prices say whether it is of usage.
        category: Of `focus.CATEGORIES`.
        service: What was sold.
        billed: BilledCost, in 10^-30.
        used_ms: How much time it says was used; None where it does not say that in hours.
    """

    charge: Charge
    category: str
    service: str
    billed: int
    used_ms: int | None


_DELIVERY = "provider, billing_account, billing_period, delivery, rows, currency, evidence_name, evidence_digest, first_ms, last_ms, receipt"
_OF = "provider = :provider AND billing_account = :account AND billing_period = :period AND delivery = :delivery"


def deliveries(rows: Rows, link: int = reads.NO_LIMIT) -> list[Delivery]:
    """Return all complete deliveries sealed up to a link, in the order in which they were learnt."""
    known, bound = reads.sealed_by(link)
    sql = f"SELECT {_DELIVERY} FROM bill_delivery WHERE complete = 1 {known} ORDER BY receipt, provider, billing_account, billing_period"
    return [Delivery(*row) for row in rows.rows(sql, **bound)]


def newest(found: Iterable[Delivery]) -> dict[tuple[str, str, int], Delivery]:
    """Return the bills: of deliveries in the order in which they were learnt, the last of each period."""
    return {its.key[:3]: its for its in found}


def totals(rows: Rows, delivery: Delivery) -> dict[Kind, Total]:
    """Return the sums of a delivery."""
    found = one(rows, f"SELECT totals FROM bill_delivery WHERE {_OF}", **_bound(delivery))
    return totals_of_text(found[0]) if found else {}


def machine_costs(rows: Rows, first_day: int, last_day: int) -> list[tuple[str, int, int]]:
    """Return (machine, what is booked of its hours in micro-units, milliseconds) over days, in order of the machines."""
    sql = (
        "SELECT p.machine, CAST(SUM(b.cost_instance) AS BIGINT), CAST(SUM(b.time_ms) AS BIGINT) FROM booked AS b"
        f" JOIN placed AS p ON p.source = b.source AND p.day = b.day {_TIME_METERS}"
        " WHERE b.day BETWEEN :first AND :last AND p.machine <> '' GROUP BY p.machine ORDER BY p.machine"
    )
    return [(machine, cost, time_ms) for machine, cost, time_ms in rows.rows(sql, first=first_day, last=last_day)]


class Bills:
    """The bills that hold, in one snapshot of a book."""

    def __init__(self, rows: Rows) -> None:
        """Ask which there are; everything else is asked for when it is needed."""
        self._rows = rows
        self._every = deliveries(rows)
        self.newest = newest(self._every)
        self._laid: dict[tuple[tuple[str, str, int, str], str], Laid] = {}

    @cached_property
    def currency(self) -> str:
        """The book's; empty while it has none."""
        found = one(self._rows, "SELECT value FROM book_setting WHERE name = 'currency'")
        return str(found[0]) if found else ""

    def touched(self, rebuilt: Iterable[SourceDay]) -> set[SourceDay]:
        """Return what has to be worked out again because machines' hours were: all days of the charges of those days."""
        found: set[SourceDay] = set()
        machines = self._machines_of(rebuilt)
        for machine, days in machines.items():
            for bill in self.newest.values():
                if not any(day in bill.days for day in days) or bill.currency != self.currency:
                    continue
                for charge in self._charges(bill, machine):
                    of_charge = range(
                        charge.start_ms // MILLISECONDS_PER_DAY, -(-charge.end_ms // MILLISECONDS_PER_DAY)
                    )
                    if days.isdisjoint(of_charge):
                        continue
                    found.update((source_of_bill(bill.provider, bill.account), day) for day in of_charge)
                    found.update(self.time_meters(machine, of_charge.start, of_charge.stop - 1))
        return found

    def billed(self, factors: FactorBook, wanted: Collection[SourceDay]) -> Iterator[tuple[SourceDay, Postings]]:
        """Yield what bills change of the targets of (source, day); of a source of a bill it is all of its target.

        Args:
            factors: What prices hours without a bill.
            wanted: Which are asked for; those that no bill changes are passed over.
        """
        if not self.newest:
            return
        by_account: defaultdict[str, set[int]] = defaultdict(set)
        for source, day in wanted:
            if account_of_source(source):
                by_account[source].add(day)
        for source, days in sorted(by_account.items()):
            for day, amounts in sorted(self._rest(source, days).items()):
                yield (source, day), {(UNALLOCATED, METHOD): amounts}
        yield from self._of_machines(factors, [key for key in wanted if key[0] not in by_account])

    def due(self, name: str, first_day: int, last_day: int) -> Iterator[SourceDay]:
        """Yield what a mark of bills means: the days that deliveries charge for, of the rest and of the machines that they name.

        Args:
            name: Source of an account's bills; empty for all of them.
            first_day: First day.
            last_day: Last day.
        """
        for source, days in self._charged_days(name, first_day, last_day).items():
            yield from ((source, day) for day in sorted(days))
            provider, account = account_of_source(source) or ("", "")
            for machine in self._names.of_account(self._rows, provider, account):
                found = self.time_meters(machine, min(days), max(days))
                yield from (key for key in found if key[1] in days)

    def laid(self, bill: Delivery) -> list[tuple[str, Laid]]:
        """Return what of a bill stands in machines; nothing of one in another currency."""
        if bill.currency != self.currency:
            return []
        found = [(machine, self.laid_on(bill, machine)) for machine in sorted(self._names.machines)]
        return [(machine, its) for machine, its in found if its.found]

    def saying(self, source: str, day: int) -> list[Delivery]:
        """Return the bills that change what an hour of a machine's time meter costs on a day."""
        machine = self._places.get((source, day), "")
        hours = range(day * _HOURS_PER_DAY, (day + 1) * _HOURS_PER_DAY)
        found = ((bill, self.laid_on(bill, machine)) for bill in self.newest.values() if machine and day in bill.days)
        return [bill for bill, laid in found if any((source, hour) in laid.amounts for hour in hours)]

    def machines(self, bill: Delivery) -> list[str]:
        """Return the machines that a bill names."""
        return [
            name
            for name in self._names.of_account(self._rows, bill.provider, bill.account)
            if self._charges(bill, name)
        ]

    def lines(self, bill: Delivery, machine: str) -> list[MachineLine]:
        """Return the lines of a delivery that name a machine, with what they say beside their charge."""
        (header,) = one(self._rows, f"SELECT header FROM bill_delivery WHERE {_OF}", **_bound(bill)) or ("[]",)
        names = json.loads(header)
        found = []
        for charge, category, billed, content in self._named(bill, machine, ", charge_category, billed_cost, content"):
            cells = named_cells(names, json.loads(content))
            hours = consumed_hours(cells)
            used_ms = quanta(hours) * MILLISECONDS_PER_HOUR // QUANTUM if hours else None
            found.append(MachineLine(charge, category, cells.get("ServiceName", ""), quanta(billed), used_ms))
        return found

    def _charged_days(self, name: str, first_day: int, last_day: int) -> dict[str, set[int]]:
        """Return the days that any delivery of an account charges for, also one that was replaced since."""
        found: defaultdict[str, set[int]] = defaultdict(set)
        for bill in self._every:
            source = source_of_bill(bill.provider, bill.account)
            days = range(max(first_day, bill.days.start), min(last_day + 1, bill.days.stop))
            if name in {"", source} and days:
                found[source].update(days)
        return dict(sorted(found.items()))

    def _rest(self, source: str, days: set[int]) -> dict[int, Amounts]:
        """Return the postings of a source of bills, of the days that are asked for."""
        found: defaultdict[int, Amounts] = defaultdict(lambda: NOTHING)
        for bill in self.newest.values():
            if source_of_bill(bill.provider, bill.account) != source or days.isdisjoint(bill.days):
                continue
            charges = charges_of(totals(self._rows, bill))
            if bill.currency == self.currency:
                laid = lay_rest(charges, [its for _, its in self.laid(bill)])
                of_days = {day: rest_of_day(amount) for day, amount in laid.items()}
            else:
                of_days = {day: unknown_day(time_ms) for day, time_ms in charged_ms(charges).items()}
            for day in days & of_days.keys():
                found[day] = add(found[day], of_days[day])
        return dict(found)

    def _of_machines(self, factors: FactorBook, wanted: Sequence[SourceDay]) -> Iterator[tuple[SourceDay, Postings]]:
        for machine, days in sorted(self._machines_of(wanted).items()):
            amounts: defaultdict[tuple[str, int], int] = defaultdict(int)
            priced: set[tuple[str, int]] = set()
            for bill in self.newest.values():
                if bill.currency == self.currency and not days.isdisjoint(bill.days):
                    laid = self.laid_on(bill, machine)
                    for at, amount in laid.amounts.items():
                        amounts[at] += amount
                    priced |= laid.priced
            for source, day in sorted(key for key in wanted if key in self._places and self._places[key] == machine):
                hours = range(day * _HOURS_PER_DAY, (day + 1) * _HOURS_PER_DAY)
                if any((source, hour) in amounts for hour in hours):
                    usage = reads_windows.usage(self._rows, source, hours.start, hours.stop - 1)
                    postings: Postings = {}
                    for hour, rows in usage.items():
                        if (source, hour) in amounts and any(row.time_ms for row in rows):
                            changed = billed_hour(
                                rows, amounts[source, hour], prices=(source, hour) in priced,
                                rates=factors.rates(machine, "time", "it", hour),
                            )  # fmt: skip
                            for row, its in zip(rows, changed, strict=True):
                                who = (row.account, row.method)
                                postings[who] = add(postings.get(who, NOTHING), its)
                    yield (source, day), postings

    def laid_on(self, bill: Delivery, machine: str) -> Laid:
        """Return what of a bill stands in a machine."""
        key = (bill.key, machine)
        if key not in self._laid:
            charges = self._charges(bill, machine)
            self._laid[key] = lay_on_machine(charges, self._presence(machine, bill) if charges else ())
        return self._laid[key]

    def _charges(self, bill: Delivery, machine: str) -> list[Charge]:
        """Return the lines of a delivery that name a machine."""
        return [charge for (charge,) in self._named(bill, machine, "")]

    def _named(self, bill: Delivery, machine: str, more: str) -> Iterator[tuple[Any, ...]]:
        """Yield the charge of each line that names a machine, and more columns of it."""
        sql = f"SELECT invoice, charge_start_ms, charge_end_ms, charge_category, effective_cost{more} FROM bill_row WHERE resource = :resource AND {_OF}"
        for resource in sorted(self._names.candidates(machine)):
            for invoice, start_ms, end_ms, category, effective, *others in self._rows.rows(
                sql, resource=resource, **_bound(bill)
            ):
                if self._names.machine(resource, start_ms) == machine:
                    yield Charge(invoice, start_ms, end_ms, category == USAGE, quanta(effective)), *others

    def _presence(self, machine: str, bill: Delivery) -> list[There]:
        days = bill.days
        sql = (
            "SELECT u.hour, u.meter, CAST(SUM(u.time_ms) AS BIGINT) FROM placed AS p"
            f" {_TIME_METERS} JOIN usage AS u ON u.meter = p.source AND u.hour >= p.day * 24 AND u.hour < p.day * 24 + 24"
            " WHERE p.machine = :machine AND p.day BETWEEN :first AND :last GROUP BY u.hour, u.meter ORDER BY u.hour, u.meter"
        )
        found = self._rows.rows(sql, machine=machine, first=days.start, last=days.stop - 1)
        return [There(*row) for row in found]

    def time_meters(self, machine: str, first_day: int, last_day: int) -> list[SourceDay]:
        """Return the days on which a machine was there, by each of its time meters."""
        sql = f"SELECT p.source, p.day FROM placed AS p {_TIME_METERS} WHERE p.machine = :machine AND p.day BETWEEN :first AND :last"
        return [(source, day) for source, day in self._rows.rows(sql, machine=machine, first=first_day, last=last_day)]

    def _machines_of(self, wanted: Iterable[SourceDay]) -> dict[str, set[int]]:
        """Return the machines whose time meters are asked for, with the days."""
        found: defaultdict[str, set[int]] = defaultdict(set)
        if self.newest:
            for key in wanted:
                if key in self._places and self._names.is_charged(self._places[key]):
                    found[self._places[key]].add(key[1])
        return found

    @cached_property
    def _places(self) -> dict[SourceDay, str]:
        days = [day for bill in self.newest.values() for day in (bill.days.start, bill.days.stop - 1)]
        sql = f"SELECT p.source, p.day, p.machine FROM placed AS p {_TIME_METERS} WHERE p.day BETWEEN :first AND :last"
        found = self._rows.rows(sql, first=min(days, default=0), last=max(days, default=0))
        return {(source, day): machine for source, day, machine in found}

    @cached_property
    def _names(self) -> _Names:
        return _Names(self._rows)


class _Names:
    """By which names of resources machines are known: their ids, their hosts' names, and what the map says."""

    def __init__(self, rows: Rows) -> None:
        self._map = reads.names(rows)
        of_name: defaultdict[str, set[str]] = defaultdict(set)
        for machine, host in rows.rows("SELECT DISTINCT machine, host FROM reader WHERE machine <> ''"):
            of_name[machine].add(machine)
            if host:
                of_name[host].add(machine)
        # A name that two machines go by is that of neither.
        self._machine = {name: next(iter(machines)) for name, machines in of_name.items() if len(machines) == 1}
        mapped: defaultdict[str, set[str]] = defaultdict(set)
        for line in reads.name_maps(rows):
            if line.fact.kind == RESOURCE:
                mapped[line.fact.name].add(line.fact.value)
        names, bound = listed("name", sorted({*self._machine, *mapped}))
        known = rows.rows(f"SELECT DISTINCT resource FROM bill_row WHERE resource IN {names}", **bound)
        self._of: defaultdict[str, set[str]] = defaultdict(set)
        for (resource,) in known:
            if resource in self._machine:
                self._of[self._machine[resource]].add(resource)
            for value in mapped.get(resource, ()):
                if value in self._machine:
                    self._of[self._machine[value]].add(resource)
        self.machines = frozenset(self._of)

    def is_charged(self, machine: str) -> bool:
        return machine in self._of

    def of_account(self, rows: Rows, provider: str, account: str) -> list[str]:
        """Return the machines that any line of an account's bills names."""
        found = []
        for machine in sorted(self.machines):
            names, bound = listed("name", sorted(self._of[machine]))
            sql = f"SELECT 1 FROM bill_row WHERE resource IN {names} AND provider = :provider AND billing_account = :account LIMIT 1"
            if one(rows, sql, provider=provider, account=account, **bound) is not None:
                found.append(machine)
        return found

    def candidates(self, machine: str) -> Collection[str]:
        return self._of.get(machine, ())

    def machine(self, resource: str, at_ms: int) -> str:
        named = self._map.value(RESOURCE, resource, at_ms)
        return self._machine.get(named or resource, "")


def _bound(delivery: Delivery) -> dict[str, int | str]:
    return {
        "provider": delivery.provider, "account": delivery.account, "period": delivery.period, "delivery": delivery.delivery,
    }  # fmt: skip
