"""The factors behind amounts, each once, with value, source, version and level of fallback; and what was missing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from joulebook_ledger.core.focus import period_text
from joulebook_ledger.core.periods import day_text
from joulebook_ledger.core.resolution import TIME
from joulebook_ledger.core.units import (
    MICRO,
    MICROGRAMS_PER_KILOGRAM,
    MILLISECONDS_PER_DAY,
    decimal_text,
)
from joulebook_ledger.figures.lens import HOURS_PER_DAY
from joulebook_ledger.figures.remedies import remedy
from joulebook_ledger.figures.units_of import node

if TYPE_CHECKING:
    from joulebook_ledger.bodies import WhyNode
    from joulebook_ledger.core.factors import Factor
    from joulebook_ledger.figures.lens import Lens
    from joulebook_ledger.store.bill_reads import Delivery
    from joulebook_ledger.store.reads_amounts import Cell

MOST_HOURS = 400
KINDS_OF = {
    "energy_it": (),
    "facility_energy": ("pue",),
    "cost_energy": ("pue", "tariff"),
    "cost_instance": ("instance_price",),
    "co2e_location": ("pue", "grid_location"),
    "co2e_market": ("pue", "grid_market"),
    "co2e_embodied": ("embodied",),
    "water_site": ("water_site",),
    "water_source": ("pue", "water_source"),
}
"""Column (but for its ending) -> the kinds of factors that price it, in the order in which they are applied."""
_UNITS = {
    "grid_location": ("g CO2e/kWh", MICRO),
    "grid_market": ("g CO2e/kWh", MICRO),
    "pue": ("kWh of the facility per kWh of IT", MICRO),
    "water_site": ("l/kWh", MICRO),
    "water_source": ("l/kWh", MICRO),
    "tariff": ("{currency}/kWh", MICRO),
    "instance_price": ("{currency}/h", MICRO),
    "embodied": ("kg CO2e/h", MICROGRAMS_PER_KILOGRAM),
    "residual_mix": ("g CO2e/kWh", MICRO),
    "grid_marginal": ("g CO2e/kWh", MICRO),
    "upstream": ("g CO2e/kWh", MICRO),
    "transmission_loss": ("of the electricity sent", MICRO),
}


def factor_nodes(lens: Lens, cells: Sequence[Cell], part: str) -> list[WhyNode]:
    """Return a node for each factor that priced these cells of one source, and for each reason why some of it was not priced."""
    bills = {its.key: its for cell in cells for its in lens.bills(cell)}
    if bills:
        return [bill_node(its) for its in bills.values()]
    factors: dict[tuple[str, str, str, int, str], Factor] = {}
    reasons: dict[tuple[str, str], None] = {}
    for cell, hour in _hours(cells):
        meter = lens.meter(cell.source)
        for origin in lens.book_of(cell).explain(lens.machine(cell), meter.component, meter.boundary, hour):
            if origin.kind not in KINDS_OF[part]:
                continue
            for piece in origin.pieces:
                if piece.factor is None:
                    reasons[origin.kind, piece.reason] = None
                else:
                    its = piece.factor
                    factors[its.kind, its.object, its.provider, its.valid_from_ms, its.version] = its
    told = [node(_value(factor), source=_source(factor)) for factor in factors.values()]
    return [*told, *(node(f"not priced: {remedy(kind, reason)}") for kind, reason in reasons)]


def bill_node(bill: Delivery) -> WhyNode:
    """Return the node of a bill."""
    said = f"bill of {bill.provider}, account {bill.account}, of {period_text(bill.period)}"
    return node(
        said,
        source=f"delivery {bill.delivery}: {bill.rows} rows of {bill.evidence_name}, sha256 {bill.evidence_digest}",
    )


def is_priced_by_time(component: str) -> bool:
    """Say whether a meter's time is what is priced."""
    return component == TIME


def _hours(cells: Sequence[Cell]) -> list[tuple[Cell, int]]:
    """Return hours that tell all that priced the cells: every hour of a few days, of many the first of each."""
    days = sorted({(cell.source, day): cell for cell in cells for day in {cell.first_day, cell.last_day}}.items())
    step = 1 if len(days) * HOURS_PER_DAY <= MOST_HOURS else HOURS_PER_DAY
    return [(cell, day * HOURS_PER_DAY + hour) for (_, day), cell in days for hour in range(0, HOURS_PER_DAY, step)]


def _value(factor: Factor) -> str:
    unit, scale = _UNITS[factor.kind]
    value = decimal_text(factor.value, scale)
    return f"{factor.kind} of {factor.object}: {value} {unit.format(currency=factor.currency)}"


def _source(factor: Factor) -> str:
    since = f"from {day_text(factor.valid_from_ms // MILLISECONDS_PER_DAY)}" if factor.valid_from_ms else "at any time"
    said = [
        factor.source,
        f"by {factor.provider}, {factor.fallback}, {factor.state}, {since}, version {factor.version}",
    ]
    if factor.licence:
        said.append(factor.licence)
    return "; ".join(said)
