"""Which instrument is assigned to which month, and the one factor that this makes of each month (CORE §8).

Pure: loads, instruments and what is left over go in, an assignment comes out. Instruments are taken by the hierarchy of the GHG Protocol
Scope 2 Guidance (certificates, contracts, supplier rates), within a kind the shorter vintage first. One that spans months is laid on them
in proportion to the load that is still open there. No month takes more than its load, no instrument gives more than its volume; what is
left of a month is at the residual mix, or at the grid's average where there is none, and says so. The order in which instruments were
learnt changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from joulebook_ledger.core.instruments import (
    ATTRIBUTES,
    CERTIFICATE,
    INSTRUMENT_KINDS,
    NO,
    SOLE,
    SUPPLIER_RATE,
    YES,
    Instrument,
)
from joulebook_ledger.core.periods import month_of, next_month
from joulebook_ledger.core.units import MILLIJOULES_PER_KWH, split_by_largest_remainder

ALLOCATION = "allocation"
"""Provider of the factors that it makes."""
RESIDUAL_MIX, GRID_AVERAGE = "residual_mix", "grid_average"
OTHER_MARKET, OTHER_VINTAGE, NOT_RETIRED = "other_market", "other_vintage", "not_retired"
CLAIMED_TWICE, NO_ATTRIBUTES = "claimed_twice", "attributes_not_conveyed"

MEANINGS = {
    OTHER_MARKET: "its market is none of those that electricity was drawn from",
    OTHER_VINTAGE: "its vintage lies in no month of this market in which electricity was drawn",
    NOT_RETIRED: "nobody says for whom and when it was retired",
    CLAIMED_TWICE: "the same energy is claimed by another instrument, or by somebody else",
    NO_ATTRIBUTES: "nobody says that the attributes come with the electricity (column attributes: yes)",
}
"""Why an instrument is not used."""


class Rest(NamedTuple):
    """What prices the part of a month that no instrument covers.

    Attributes:
        value: Micrograms CO2e per kWh.
        kind: residual_mix or grid_average.
        source: For people.
        sigma_ppm: One relative standard deviation, parts per million.
    """

    value: int
    kind: str
    source: str = ""
    sigma_ppm: int = 0


class Part(NamedTuple):
    """Energy of one month that one instrument covers."""

    instrument: Instrument
    energy_mj: int


class Month(NamedTuple):
    """One month of the assignment.

    Attributes:
        month: yyyymm.
        load_mj: Electricity of all facilities in the market, idle included.
        parts: What instruments cover, in the order of the hierarchy.
        rest_mj: What none covers.
        rest: What prices that, or None where nothing is known.
    """

    month: int
    load_mj: int
    parts: tuple[Part, ...]
    rest_mj: int
    rest: Rest | None

    @property
    def value(self) -> int | None:
        """The mean of all parts, micrograms per kWh, floored once; None where the rest has no price."""
        if not self.load_mj or (self.rest_mj and self.rest is None):
            return None
        sums = sum(part.energy_mj * part.instrument.value for part in self.parts)
        return (sums + self.rest_mj * (self.rest.value if self.rest else 0)) // self.load_mj

    @property
    def sigma_ppm(self) -> int:
        """Of that mean: instruments are exact, the rest is as uncertain as what prices it."""
        if self.rest is None or not self.value:
            return 0
        return self.rest.sigma_ppm * self.rest_mj * self.rest.value // (self.value * self.load_mj)


class Assignment(NamedTuple):
    """A market's year.

    Attributes:
        months: Those with load, in order.
        unused: Instrument of the market -> why it is not used; usable ones are not in it.
        left_mj: (issuer, id) -> energy of a usable instrument that no month could take.
    """

    months: tuple[Month, ...]
    unused: tuple[tuple[Instrument, str], ...]
    left_mj: Mapping[tuple[str, str], int]


def assign(loads: Mapping[int, int], instruments: Iterable[Instrument], rests: Mapping[int, Rest]) -> Assignment:
    """Return what is assigned to the months of one market.

    Args:
        loads: Month yyyymm -> millijoules of facilities, idle included.
        instruments: Of this market, the version of each that holds.
        rests: Month -> what prices what is left.
    """
    ordered = sorted(instruments, key=_order)
    reasons = reasons_against(ordered, [month for month, load in loads.items() if load > 0])
    open_mj = {month: load for month, load in loads.items() if load > 0}
    parts: defaultdict[int, list[Part]] = defaultdict(list)
    left: dict[tuple[str, str], int] = {}
    for instrument in ordered:
        if instrument.key in reasons:
            continue
        given = _laid(instrument, open_mj)
        for month, energy in given.items():
            open_mj[month] -= energy
            parts[month].append(Part(instrument, energy))
        left[instrument.key] = max(0, instrument.energy_mj - sum(given.values()))
    months = tuple(
        Month(month, loads[month], tuple(parts[month]), open_mj[month], rests.get(month)) for month in sorted(open_mj)
    )
    unused = tuple((one, reasons[one.key]) for one in ordered if one.key in reasons)
    return Assignment(months, unused, left)


def reasons_against(instruments: Iterable[Instrument], months: Iterable[int]) -> dict[tuple[str, str], str]:
    """Return (issuer, id) -> the first criterion that an instrument fails, of instruments of one market with load in these months."""
    drawn = set(months)
    reasons: dict[tuple[str, str], str] = {}
    claims: dict[str, list[Instrument]] = {}
    for one in sorted(instruments, key=_order):
        reason = _reason(one, drawn)
        rivals = claims.setdefault(one.instrument.casefold(), [])
        if not reason and any(_overlap(one, rival) for rival in rivals):
            reason = CLAIMED_TWICE
        if reason:
            reasons[one.key] = reason
        else:
            rivals.append(one)
    return reasons


def months_of(instrument: Instrument) -> list[int]:
    """Return the months that a vintage touches."""
    months = [month_of(instrument.vintage_from_ms)]
    while months[-1] < month_of(instrument.vintage_to_ms - 1):
        months.append(next_month(months[-1]))
    return months


def _laid(instrument: Instrument, open_mj: Mapping[int, int]) -> dict[int, int]:
    months = [month for month in months_of(instrument) if open_mj.get(month)]
    weights = [open_mj[month] for month in months]
    takes_all = instrument.kind == SUPPLIER_RATE and not instrument.energy_mj
    energy = sum(weights) if takes_all else min(instrument.energy_mj, sum(weights))
    if not energy:
        return {}
    shares = split_by_largest_remainder(energy, weights)
    return {month: share for month, share in zip(months, shares, strict=True) if share}


def _reason(one: Instrument, drawn: set[int]) -> str:
    if not drawn:
        return OTHER_MARKET
    if drawn.isdisjoint(months_of(one)):
        return OTHER_VINTAGE
    if one.kind == CERTIFICATE and one.retired_at_ms is None:
        return NOT_RETIRED
    if one.quality.get(SOLE) == NO:
        return CLAIMED_TWICE
    if one.kind != CERTIFICATE and one.quality.get(ATTRIBUTES) != YES:
        return NO_ATTRIBUTES
    return NO_ATTRIBUTES if one.quality.get(ATTRIBUTES) == NO else ""


def _overlap(one: Instrument, other: Instrument) -> bool:
    return one.vintage_from_ms < other.vintage_to_ms and other.vintage_from_ms < one.vintage_to_ms


def _order(one: Instrument) -> tuple[int, int, int, int, bytes, bytes]:
    """Return the order of taking: the hierarchy, the shorter vintage, the cleaner, then by name."""
    length = one.vintage_to_ms - one.vintage_from_ms
    kind = INSTRUMENT_KINDS.index(one.kind)
    return kind, length, one.vintage_from_ms, one.value, one.issuer.encode(), one.instrument.encode()


class Matched(NamedTuple):
    """How much of a load what was made in the same hours covers.

    Attributes:
        load_mj: All load.
        matched_mj: What generation of the same hour covers; an excess in one hour gives nothing to another.
        carbon_ug: What the rest emits.
    """

    load_mj: int
    matched_mj: int
    carbon_ug: int


def match_hours(loads: Sequence[int], made: Sequence[int], rest_ug_per_kwh: int) -> Matched:
    """Return the hourly matching of a load: a view, never booked.

    Args:
        loads: Millijoules per hour.
        made: Millijoules that instruments were made of in the same hours.
        rest_ug_per_kwh: What prices an hour's uncovered part.
    """
    matched = sum(min(load, supply) for load, supply in zip(loads, made, strict=True))
    whole = sum(loads)
    return Matched(whole, matched, (whole - matched) * rest_ug_per_kwh // MILLIJOULES_PER_KWH)
