"""What an hour of usage costs, in money, CO2e and water: the same integers in every engine (CORE §4).

```
it(x)       = x, or muldiv(x, 10^6, pue_ppm) where the meter's boundary is facility
facility(x) = muldiv(x, pue_ppm, 10^6), or x where the boundary is facility
co2e_location(x) = muldiv(facility(x), ug per kWh, 3.6·10^9)        cost_energy, co2e_market, water_source: alike
water_site(x)    = muldiv(it(x), ul per kWh, 3.6·10^9)
co2e_embodied(t) = muldiv(t, ug per hour, 3.6·10^6)                 cost_instance: alike
```
A rate that holds for only a part of the hour prices that share of energy or time: x·covered/hour, floored. What no rate covers is
counted, per priced column, in its `unc_` column. With A_i the energy (T_i the time) of accounts 1..i added up, account i gets
f(A_i) − f(A_{i−1}): the parts sum to f(A_n) by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from joulebook_ledger.core.timeline import UsageRow
from joulebook_ledger.core.units import MILLIJOULES_PER_KWH, MILLISECONDS_PER_HOUR, PPM, muldiv

COLUMNS = (
    "energy_it_mj",
    "energy_facility_mj",
    "held_mj",
    "unmetered_mj",
    "time_ms",
    "metered_ms",
    "cost_energy",
    "cost_instance",
    "co2e_location",
    "co2e_market",
    "co2e_embodied",
    "water_site",
    "water_source",
    "unc_facility_mj",
    "unc_cost_energy_mj",
    "unc_cost_instance_ms",
    "unc_co2e_location_mj",
    "unc_co2e_market_mj",
    "unc_co2e_embodied_ms",
    "unc_water_site_mj",
    "unc_water_source_mj",
)
"""The columns of a posting and of a source leg, all 64-bit integers. `unc_facility_mj` is what no PUE covers: of a device meter it
is missing in energy_facility_mj, of a facility meter in energy_it_mj."""

IT = "it"
FACILITY = "facility"
Amounts = tuple[int, ...]
NOTHING: Amounts = (0,) * len(COLUMNS)


class NotApplicable(Enum):
    """Why a column is 0 with nothing left uncovered: it has no meaning for this meter (cost_energy in the cloud)."""

    NOT_APPLICABLE = "not_applicable"


NOT_APPLICABLE = NotApplicable.NOT_APPLICABLE


class Rate(NamedTuple):
    """One factor or price in one hour.

    Attributes:
        value: Integer in the unit of its kind; the time-weighted mean where it changes within the hour.
        covered_ms: How much of the hour it is known for.
    """

    value: int
    covered_ms: int = MILLISECONDS_PER_HOUR


AnyRate = Rate | None | NotApplicable


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """All that prices one source in one hour. None is unknown: nothing is priced and everything counted as uncovered.

    Attributes:
        boundary: Boundary of the meter: device, it or facility.
        pue: Parts per million.
        location: Location-based grid intensity, ug per kWh.
        market: Market-based intensity, ug per kWh.
        tariff: Micro-units of money per kWh.
        water_site: ul per kWh of IT energy.
        water_source: ul per kWh of facility energy.
        instance: Micro-units of money per hour.
        embodied: ug per hour.
    """

    boundary: str = "device"
    pue: Rate | None = None
    location: AnyRate = None
    market: AnyRate = None
    tariff: AnyRate = None
    water_site: AnyRate = None
    water_source: AnyRate = None
    instance: AnyRate = None
    embodied: AnyRate = None


def price_hour(rows: Sequence[UsageRow], rates: Rates) -> list[Amounts]:
    """Return the amounts of each usage row of one hour, in COLUMNS order; rows are in account order, then method.

    The amounts of all rows sum to `source_leg` in every column.
    """
    priced: list[Amounts] = []
    energy = time = 0
    before = _price(0, 0, rates)
    for row in rows:
        energy += row.energy_mj
        time += row.time_ms
        now = _price(energy, time, rates)
        parts = tuple(b - a for a, b in zip(before, now, strict=True))
        carried = (row.held_mj, row.unmetered_mj, row.time_ms, row.metered_ms)
        priced.append((*parts[:2], *carried, *parts[2:]))
        before = now
    return priced


def source_leg(rows: Sequence[UsageRow], rates: Rates) -> Amounts:
    """Return what the source itself says of the hour: the price of its totals, made without its parts."""
    parts = _price(sum(row.energy_mj for row in rows), sum(row.time_ms for row in rows), rates)
    carried = (
        sum(row.held_mj for row in rows),
        sum(row.unmetered_mj for row in rows),
        sum(row.time_ms for row in rows),
        sum(row.metered_ms for row in rows),
    )
    return (*parts[:2], *carried, *parts[2:])


def _price(energy_mj: int, time_ms: int, rates: Rates) -> Amounts:
    """Return all columns but the four carried ones of so much energy and time."""
    it_mj = _bridge(_bridgeable(energy_mj, rates, IT), rates, IT)
    facility_mj = _bridge(_bridgeable(energy_mj, rates, FACILITY), rates, FACILITY)
    cost_energy, unc_cost_energy = _by_energy(energy_mj, rates.tariff, rates, FACILITY)
    location, unc_location = _by_energy(energy_mj, rates.location, rates, FACILITY)
    market, unc_market = _by_energy(energy_mj, rates.market, rates, FACILITY)
    water_site, unc_water_site = _by_energy(energy_mj, rates.water_site, rates, IT)
    water_source, unc_water_source = _by_energy(energy_mj, rates.water_source, rates, FACILITY)
    cost_instance, unc_cost_instance = _by_time(time_ms, rates.instance)
    embodied, unc_embodied = _by_time(time_ms, rates.embodied)
    amounts = (it_mj, facility_mj, cost_energy, cost_instance, location, market, embodied, water_site, water_source)
    return (
        *amounts,
        energy_mj - _covered(energy_mj, rates.pue),
        unc_cost_energy,
        unc_cost_instance,
        unc_location,
        unc_market,
        unc_embodied,
        unc_water_site,
        unc_water_source,
    )


def _by_energy(energy_mj: int, rate: AnyRate, rates: Rates, wanted: str) -> tuple[int, int]:
    """Return the amount and the energy it does not cover, of a rate per kWh at the wanted boundary."""
    if isinstance(rate, NotApplicable):
        return 0, 0
    if rate is None:
        return 0, energy_mj
    covered_mj = _covered(_bridgeable(energy_mj, rates, wanted), rate)
    return muldiv(_bridge(covered_mj, rates, wanted), rate.value, MILLIJOULES_PER_KWH), energy_mj - covered_mj


def _by_time(time_ms: int, rate: AnyRate) -> tuple[int, int]:
    """Return the amount and the time it does not cover, of a rate per hour."""
    if isinstance(rate, NotApplicable):
        return 0, 0
    if rate is None:
        return 0, time_ms
    covered_ms = _covered(time_ms, rate)
    return muldiv(covered_ms, rate.value, MILLISECONDS_PER_HOUR), time_ms - covered_ms


def _covered(whole: int, rate: Rate | None) -> int:
    """Return the share of `whole` for which the rate is known."""
    return muldiv(whole, rate.covered_ms, MILLISECONDS_PER_HOUR) if rate else 0


def _is_there(rates: Rates, wanted: str) -> bool:
    """Say whether the meter's own boundary is the wanted one; a device lies within IT."""
    return (rates.boundary == FACILITY) == (wanted == FACILITY)


def _bridgeable(energy_mj: int, rates: Rates, wanted: str) -> int:
    """Return the share of the energy that can be brought to the wanted boundary."""
    return energy_mj if _is_there(rates, wanted) else _covered(energy_mj, rates.pue)


def _bridge(energy_mj: int, rates: Rates, wanted: str) -> int:
    """Return energy of the meter's boundary at the wanted one: PUE once, or not at all."""
    if _is_there(rates, wanted) or rates.pue is None:
        return energy_mj
    if wanted == FACILITY:
        return muldiv(energy_mj, rates.pue.value, PPM)
    return muldiv(energy_mj, PPM, rates.pue.value)
