"""What cannot be so: rates that booked amounts imply, held against what grids, buildings, devices and tariffs are. Pure.

A figure may be exact and wrong: a PUE applied twice, kilograms read as grams, a price per MWh taken for one per kWh. None of it stops
the books. It is named in the report, by machine or device, with the value and the bounds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.embodied import HOURS_PER_YEAR
from joulebook_ledger.core.pricing import FACILITY, Amounts
from joulebook_ledger.core.resolution import TIME
from joulebook_ledger.core.units import (
    MICRO,
    MICROGRAMS_PER_KILOGRAM,
    MICROLITRES_PER_LITRE,
    MILLIJOULES_PER_KWH,
    MILLISECONDS_PER_HOUR,
)
from joulebook_ledger.figures.footprints import MILLISECONDS_PER_SECOND, PLACE
from joulebook_ledger.figures.lens import HOURS_PER_DAY, total

if TYPE_CHECKING:
    from joulebook_ledger.figures.lens import Lens
    from joulebook_ledger.measures.bodies import Implausible
    from joulebook_ledger.store.reads import MeterInfo
    from joulebook_ledger.store.reads_amounts import Cell


class Bound(NamedTuple):
    """Between what a rate lies, wherever it is of.

    Attributes:
        name: Of the rate.
        least: Smallest value that can be.
        most: Greatest value that can be.
        unit: Of both.
        hint: What was most often behind it where it did not.
    """

    name: str
    least: float
    most: float
    unit: str
    hint: str


# Hydro alone is at some 5 g; coal at its worst stays below 1.3 kg (standards.md §0.7).
GRID = Bound("grid intensity", 0.001, 1.3, "kg CO2e/kWh", "a factor in another unit, or a PUE within it")
# The best sites are at 1.03 to 1.1, averages at 1.6; a server room without economy reaches 3.
PUE = Bound("PUE", 1.0, 3.0, "kWh per kWh", "a PUE that is applied twice, or per cent taken for a ratio")
# Server, eight accelerators and their share of the rack: 4 to 6 t over 4 years.
EMBODIED = Bound(
    "embodied carbon", 0.0, 5_000.0, "kg CO2e per year of a machine", "kilograms in all taken for kilograms per year"
)
# Evaporation is at most 2 l/kWh; reservoirs behind hydro lose up to some 20.
WATER = Bound("water", 0.0, 30.0, "l/kWh", "gallons, or a figure per MWh")
# Of currencies whose unit is of like worth; of others nothing is said.
PRICE = Bound("price of electricity", 0.005, 1.5, "per kWh", "a price per MWh, or cents taken for units of money")
PRICED_ALIKE = ("EUR", "USD", "GBP", "CHF", "CAD", "AUD")
# A window of a fifth above a device's greatest power is refused at the door; a mean over all of its time is not above it at all,
# but for what counters err by.
POWER = Bound(
    "mean power", 0.0, 1.05, "of its greatest power", "two devices counted as one, or a counter in another unit"
)
TIME_THERE = Bound("time there", 0.0, 1.0, "of the period", "one device under two ids")
# Each booking rounds down: of less than 1 kJ ratios say nothing.
LEAST_ENERGY_MJ = 1_000_000


def judged(bound: Bound, value: float, of: str, unit: str = "") -> Implausible | None:
    """Return what is wrong with a value, or None where it can be so."""
    if bound.least <= value <= bound.most:
        return None
    said = unit or bound.unit
    side = "above" if value > bound.most else "below"
    limit = bound.most if value > bound.most else bound.least
    return {
        "check": bound.name,
        "of": of,
        "value": value,
        "least": bound.least,
        "most": bound.most,
        "unit": said,
        "text": f"{of}: {bound.name} {value:.4g} {said} is {side} {limit:g}: {bound.hint}?",
    }


def implied(
    *, energy_kwh: float, it_kwh: float | None = None, co2e_kg: float | None = None, cost: float | None = None, currency: str = "",
    water_l: float | None = None, of: str = "",
) -> list[Implausible]:  # fmt: skip
    """Return what is implausible of amounts of one whole: of a machine's, or of a figure that somebody published.

    Args:
        energy_kwh: At the facility's boundary, what the others are of.
        it_kwh: Of it at the IT boundary.
        co2e_kg: Location-based, or of one grid.
        cost: Of the energy, in the currency.
        currency: ISO 4217 code.
        water_l: On site and at the source.
        of: What it is of, for people.
    """
    if energy_kwh <= 0:
        return []
    found: list[Implausible | None] = []
    if co2e_kg is not None:
        found.append(judged(GRID, co2e_kg / energy_kwh, of))
    if it_kwh:
        found.append(judged(PUE, energy_kwh / it_kwh, of))
    if cost is not None and currency in PRICED_ALIKE:
        found.append(judged(PRICE, cost / energy_kwh, of, f"{currency}/kWh"))
    if water_l is not None:
        found.append(judged(WATER, water_l / energy_kwh, of))
    return [finding for finding in found if finding is not None]


class _Metered(NamedTuple):
    """All amounts of one source.

    Attributes:
        sample: One of its cells, which says where it stood.
        amounts: Their sum, in `COLUMNS` order.
    """

    sample: Cell
    amounts: Amounts

    def of(self, column: str) -> int:
        """Return the amount of a column."""
        return self.amounts[PLACE[column]]


def implausible(lens: Lens, cells: Iterable[Cell], period_ms: int) -> list[Implausible]:
    """Return what is implausible of booked amounts, by machine, then by device.

    Args:
        lens: What the amounts are of.
        cells: The amounts.
        period_ms: Length of the period they are of.
    """
    by_source: defaultdict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_source[cell.source].append(cell)
    machines: defaultdict[tuple[str, str], list[_Metered]] = defaultdict(list)
    devices: list[Implausible] = []
    for source, its in sorted(by_source.items()):
        metered = _Metered(its[0], total([cell.amounts for cell in its]))
        machines[lens.host(its[0]), lens.machine(its[0])].append(metered)
        devices += _of_meter(lens.meter(source), metered, period_ms)
    return [*(f for (host, _), its in sorted(machines.items()) for f in _of_machine(lens, host, its)), *devices]


def _of_machine(lens: Lens, host: str, sources: Sequence[_Metered]) -> list[Implausible]:
    metered = [source for source in sources if lens.meter(source.sample.source).component != TIME]
    timed = [source for source in sources if lens.meter(source.sample.source).component == TIME]
    found: list[Implausible] = []
    for column, name, scale in (
        ("co2e_location", "co2e_kg", MICROGRAMS_PER_KILOGRAM),
        ("cost_energy", "cost", MICRO),
        ("water_source", "water_l", MICROLITRES_PER_LITRE),
    ):
        whole = [source for source in metered if _is_priced(source, column)]
        amount, energy_mj = _sum(whole, column), _sum(whole, "energy_facility_mj")
        if energy_mj > LEAST_ENERGY_MJ:
            energy_kwh = energy_mj / MILLIJOULES_PER_KWH
            found += implied(energy_kwh=energy_kwh, currency=lens.currency, of=host, **{name: amount / scale})
    bridged = [source for source in metered if not source.of("unc_facility_mj")]
    it_mj, facility_mj = _sum(bridged, "energy_it_mj"), _sum(bridged, "energy_facility_mj")
    if it_mj > LEAST_ENERGY_MJ:
        found += implied(energy_kwh=facility_mj / MILLIJOULES_PER_KWH, it_kwh=it_mj / MILLIJOULES_PER_KWH, of=host)
    hours = (_sum(timed, "time_ms") - _sum(timed, "unc_co2e_embodied_ms")) / MILLISECONDS_PER_HOUR
    if hours > 0:
        per_year = _sum(timed, "co2e_embodied") / MICROGRAMS_PER_KILOGRAM / hours * HOURS_PER_YEAR
        found += _some(judged(EMBODIED, per_year, host))
    return found


def _is_priced(source: _Metered, column: str) -> bool:
    """Say whether all of a source is priced; electricity in the cloud costs nothing by itself, and that is no price of 0."""
    return not source.of(f"unc_{column}_mj") and (column != "cost_energy" or bool(source.of(column)))


def _of_meter(meter: MeterInfo, its: _Metered, period_ms: int) -> list[Implausible]:
    of = f"{meter.label or meter.component} {meter.device} ({meter.domain})"
    found = _some(judged(TIME_THERE, its.of("time_ms") / period_ms, of))
    if meter.max_power_mw and its.of("metered_ms"):
        drawn_mj = its.of("energy_facility_mj" if meter.boundary == FACILITY else "energy_it_mj")
        mean_mw = drawn_mj * MILLISECONDS_PER_SECOND / its.of("metered_ms")
        found += _some(judged(POWER, mean_mw / meter.max_power_mw, of, f"of {meter.max_power_mw / 1_000:g} W"))
    return found


def _some(finding: Implausible | None) -> list[Implausible]:
    return [finding] if finding else []


def _sum(sources: Iterable[_Metered], column: str) -> int:
    return sum(source.of(column) for source in sources)


def past_life(lens: Lens, cells: Iterable[Cell], mark: str) -> Mapping[str, str]:
    """Return, of machines whose last hours were priced past their life, what their rate of 0 says: host -> source."""
    if not lens.is_any_factor_from("embodied", mark):
        return {}
    last: dict[str, Cell] = {}
    for cell in cells:
        known = last.get(cell.source)
        if known is None or cell.last_day > known.last_day:
            last[cell.source] = cell
    found = {}
    for cell in last.values():
        if lens.meter(cell.source).component != TIME:
            continue
        for origin in lens.book_of(cell).explain(lens.machine(cell), TIME, "", (cell.last_day + 1) * HOURS_PER_DAY - 1):
            for piece in origin.pieces:
                if piece.factor is not None and piece.factor.source.startswith(mark):
                    found[lens.host(cell)] = piece.factor.source
    return dict(sorted(found.items()))
