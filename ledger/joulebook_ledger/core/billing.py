"""What lines of a bill come to in the books: laid over the hours that a machine was there, and over days where they are of none. Pure.

Amounts are exact to 10^-30 of the currency until they are booked; then each is the difference of two floors of what is reached within
the invoice (CORE §5), so that whatever was charged is booked to the last micro-unit, in whatever order its rows came.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from joulebook_ledger.core.focus import QUANTUM
from joulebook_ledger.core.pricing import COLUMNS, NOTHING, Amounts, Rates, price_hour
from joulebook_ledger.core.timeline import UsageRow
from joulebook_ledger.core.units import MICRO, MILLISECONDS_PER_DAY, MILLISECONDS_PER_HOUR, muldiv, split_cumulatively

QUANTA_PER_MICRO = QUANTUM // MICRO
_COST, _UNCOVERED, _TIME = (COLUMNS.index(name) for name in ("cost_instance", "unc_cost_instance_ms", "time_ms"))


_SOURCE = "bill:"


def source_of_bill(provider: str, account: str) -> str:
    """Return the name, as a source of the journal, of what an account is charged and stands in no machine.

    >>> source_of_bill("AWS", "123")
    'bill:["AWS","123"]'
    """
    return _SOURCE + json.dumps([provider, account], separators=(",", ":"), ensure_ascii=False)


def account_of_source(source: str) -> tuple[str, str] | None:
    """Return provider and billing account of such a source, or None of any other.

    >>> account_of_source('bill:["AWS","123"]')
    ('AWS', '123')
    >>> account_of_source("bill:board")
    """
    if not source.startswith(_SOURCE):
        return None
    try:
        provider, account = json.loads(source.removeprefix(_SOURCE))
    except (ValueError, TypeError):
        return None
    return provider, account


class Charge(NamedTuple):
    """Lines of one bill that share an invoice and a charge period.

    Attributes:
        invoice: Its id; empty where the provider names none.
        start_ms: Charge period, half-open.
        end_ms: Its end.
        prices: Whether they are of usage, which stands for the price of the hours; a credit or a fee comes beside it.
        amount: EffectiveCost, in 10^-30 of the currency.
    """

    invoice: str
    start_ms: int
    end_ms: int
    prices: bool
    amount: int


class There(NamedTuple):
    """How long a machine was there by one of its time meters in one hour."""

    hour: int
    source: str
    time_ms: int


SourceHour = tuple[str, int]


class Laid(NamedTuple):
    """The charges of a machine on one bill.

    Attributes:
        amounts: (source, hour) -> micro-units.
        priced: Hours whose price a bill says.
        found: Of the charges, those within which the machine was there.
    """

    amounts: Mapping[SourceHour, int]
    priced: frozenset[SourceHour]
    found: Sequence[Charge]


def lay_on_machine(charges: Iterable[Charge], there: Sequence[There]) -> Laid:
    """Lay the charges of a machine over the hours it was there, by its time in them.

    Args:
        charges: All of one bill that are of the machine.
        there: In order of (hour, source).
    """
    hours = [at.hour for at in there]
    amounts: defaultdict[SourceHour, int] = defaultdict(int)
    priced: set[SourceHour] = set()
    found: list[Charge] = []
    reached: defaultdict[str, int] = defaultdict(int)
    for charge in merged(charges):
        within = there[
            bisect_left(hours, charge.start_ms // MILLISECONDS_PER_HOUR) : bisect_left(
                hours, -(-charge.end_ms // MILLISECONDS_PER_HOUR)
            )
        ]
        weights = [muldiv(at.time_ms, _overlap_ms(charge, at.hour), MILLISECONDS_PER_HOUR) for at in within]
        if not any(weights):
            continue
        found.append(charge)
        before = reached[charge.invoice]
        reached[charge.invoice] += charge.amount
        micro = _floor(reached[charge.invoice]) - _floor(before)
        for at, part, weight in zip(within, split_cumulatively(micro, weights), weights, strict=True):
            if weight:
                amounts[at.source, at.hour] += part
            if charge.prices and weight:
                priced.add((at.source, at.hour))
    return Laid(dict(amounts), frozenset(priced), found)


def lay_rest(charges: Iterable[Charge], laid: Iterable[Laid]) -> dict[int, int]:
    """Lay what of a bill stands in no machine over days: day -> micro-units.

    Every invoice comes to the floor of its exact sum: what machines' own floors leave of it is in its last line here.

    Args:
        charges: The whole bill.
        laid: What of it stands in machines.
    """
    whole: defaultdict[tuple[str, int, int, bool], int] = defaultdict(int)
    booked: defaultdict[str, int] = defaultdict(int)
    for charge in charges:
        whole[charge[:4]] += charge.amount
    totals: defaultdict[str, int] = defaultdict(int)
    for key, amount in whole.items():
        totals[key[0]] += amount
    for machine in laid:
        of_machine: defaultdict[str, int] = defaultdict(int)
        for charge in machine.found:
            whole[charge[:4]] -= charge.amount
            of_machine[charge.invoice] += charge.amount
        for invoice, amount in of_machine.items():
            booked[invoice] += _floor(amount)
    days: defaultdict[int, int] = defaultdict(int)
    last = {key[0]: key for key in sorted(whole)}
    reached: defaultdict[str, int] = defaultdict(int)
    for key in sorted(whole):
        invoice, start_ms, end_ms, _ = key
        before = reached[invoice]
        reached[invoice] += whole[key]
        micro = _floor(reached[invoice]) - _floor(before)
        if key == last[invoice]:
            micro += _floor(totals[invoice]) - booked[invoice] - _floor(reached[invoice])
        for day, part in _over_days(start_ms, end_ms, micro):
            days[day] += part
    return {day: amount for day, amount in sorted(days.items()) if amount}


def billed_hour(rows: Sequence[UsageRow], amount: int, *, prices: bool, rates: Rates) -> list[Amounts]:
    """Return what a bill changes of the amounts of an hour's usage rows, in their order.

    Args:
        rows: Of the machine's time, in account order.
        amount: What the bill says of the hour, micro-units.
        prices: Whether it stands for the price of the hour, or comes beside it.
        rates: What prices the hour without a bill.
    """
    whole = sum(row.time_ms for row in rows)
    changed: list[Amounts] = []
    reached = before = 0
    for row, priced in zip(rows, price_hour(rows, rates), strict=True):
        reached += row.time_ms
        now = muldiv(reached, amount, whole)
        instead = list(NOTHING)
        instead[_COST] = now - before - (priced[_COST] if prices else 0)
        instead[_UNCOVERED] = -priced[_UNCOVERED] if prices else 0
        changed.append(tuple(instead))
        before = now
    return changed


def rest_of_day(amount: int) -> Amounts:
    """Return the posting of what is charged for a day and stands in no machine."""
    return _amounts(cost=amount, uncovered_ms=0)


def unknown_day(time_ms: int) -> Amounts:
    """Return the posting of a day that is charged in a currency with no rate: time whose cost nobody knows."""
    return _amounts(cost=0, uncovered_ms=time_ms)


def charged_ms(charges: Iterable[Charge]) -> dict[int, int]:
    """Return which days charge periods touch, and for how long, at most the whole day."""
    days: defaultdict[int, int] = defaultdict(int)
    for start_ms, end_ms in {(charge.start_ms, charge.end_ms) for charge in charges}:
        for day in range(start_ms // MILLISECONDS_PER_DAY, -(-end_ms // MILLISECONDS_PER_DAY)):
            days[day] = min(MILLISECONDS_PER_DAY, days[day] + _on_day(start_ms, end_ms, day))
    return dict(sorted(days.items()))


def merged(charges: Iterable[Charge]) -> list[Charge]:
    """Return charges with those of one invoice and period added up, in order of (invoice, period)."""
    sums: defaultdict[tuple[str, int, int, bool], int] = defaultdict(int)
    for charge in charges:
        sums[charge[:4]] += charge.amount
    return [Charge(*key, amount) for key, amount in sorted(sums.items())]


def _amounts(*, cost: int, uncovered_ms: int) -> Amounts:
    posting = list(NOTHING)
    posting[_COST], posting[_UNCOVERED], posting[_TIME] = cost, uncovered_ms, uncovered_ms
    return tuple(posting)


def _floor(quanta: int) -> int:
    return quanta // QUANTA_PER_MICRO


def _overlap_ms(charge: Charge, hour: int) -> int:
    start_ms = hour * MILLISECONDS_PER_HOUR
    return max(0, min(charge.end_ms, start_ms + MILLISECONDS_PER_HOUR) - max(charge.start_ms, start_ms))


def _on_day(start_ms: int, end_ms: int, day: int) -> int:
    return min(end_ms, (day + 1) * MILLISECONDS_PER_DAY) - max(start_ms, day * MILLISECONDS_PER_DAY)


def _over_days(start_ms: int, end_ms: int, micro: int) -> Iterable[tuple[int, int]]:
    days = range(start_ms // MILLISECONDS_PER_DAY, -(-end_ms // MILLISECONDS_PER_DAY))
    return zip(days, split_cumulatively(micro, [_on_day(start_ms, end_ms, day) for day in days]), strict=True)
