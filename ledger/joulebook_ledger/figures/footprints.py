"""From amounts in the smallest unit to the row of figures that is the same everywhere (DESIGN §6, CORE §10).

Pure, and knows no database: reports use it on balances, a tracked process on what its own spool holds. A figure is the sum of what is
known, says which share of it that is, and is null where nothing is known, with the reason and the command that supplies it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.periods import hour_of
from joulebook_ledger.core.pricing import COLUMNS, FACILITY, NOT_APPLICABLE, Amounts
from joulebook_ledger.core.quality import (
    Contribution,
    grade_of_figure,
    quality,
    relative_sigma,
    sigma_of_factor,
    sigma_of_method,
)
from joulebook_ledger.core.resolution import KINDS, TIME, FactorBook
from joulebook_ledger.core.units import (
    MICRO,
    MICROGRAMS_PER_KILOGRAM,
    MICROLITRES_PER_LITRE,
    MILLIJOULES_PER_KWH,
    MILLISECONDS_PER_HOUR,
    decimal_text,
)
from joulebook_ledger.core.vocabulary import MEASURED_METHODS
from joulebook_ledger.figures.remedies import NO_ENERGY, NO_TIME, ONLY_RUNS, UNKNOWN, remedy

if TYPE_CHECKING:
    from joulebook_ledger.bodies import FootprintRow

PLACE = {name: index for index, name in enumerate(COLUMNS)}
_ENERGY_IT, _FACILITY_ENERGY, _TIME, _METERED = (
    PLACE[name] for name in ("energy_it_mj", "energy_facility_mj", "time_ms", "metered_ms")
)
_UNC_FACILITY = PLACE["unc_facility_mj"]
MILLISECONDS_PER_SECOND = 1_000
MOST_SAMPLES = 32


class Sourcing(NamedTuple):
    """What one kind of factor says of a meter over a stretch of time.

    Attributes:
        source: Name of its source of error, the widest where there are several; empty where nothing prices it.
        sigma: Its relative standard deviation.
        reason: Why (a part of) it is not priced; empty where all of it is.
        applicable: Whether the column has a meaning for the meter.
    """

    source: str
    sigma: float
    reason: str
    applicable: bool


Pricing = dict[str, Sourcing]
"""Kind of factor -> what it says."""


class Portion(NamedTuple):
    """Amounts that share a meter and a method.

    Attributes:
        component: Of the meter.
        boundary: Of the meter.
        label: Hardware model; empty where it is not known.
        method: Of the readings, or `none`.
        amounts: In `COLUMNS` order.
        pricing: How they were priced.
        is_device: Whether its time counts as device hours: an accelerator, or a processor of a machine without one.
    """

    component: str
    boundary: str
    label: str
    method: str
    amounts: Amounts
    pricing: Pricing
    is_device: bool = False


class Pricer:
    """Says how meters were priced over stretches of time; remembers what it found."""

    def __init__(self, book: FactorBook) -> None:
        self._book = book
        self._changes = sorted({hour_of(at_ms) for at_ms in book.changes})
        self._found: dict[tuple[str, bool, int, int, bool], Pricing] = {}

    def of(self, machine: str, component: str, first_hour: int, last_hour: int) -> Pricing:
        """Return how a meter was priced from one hour to another, both included.

        Asked are the first hour and those in which anything changes, of many only some, evenly.
        """
        low, high = bisect_right(self._changes, first_hour), bisect_right(self._changes, last_hour)
        changes_at_once = low > 0 and self._changes[low - 1] == first_hour
        key = (machine, component == TIME, low, high, changes_at_once)
        if key not in self._found:
            inner = self._changes[low:high]
            step = max(1, len(inner) // MOST_SAMPLES)
            self._found[key] = self._ask(machine, component, [first_hour, *inner[::step]])
        return self._found[key]

    def _ask(self, machine: str, component: str, hours: Sequence[int]) -> Pricing:
        asked = [self._book.explain(machine, component, "", hour) for hour in hours]
        pricing: Pricing = {}
        for place, kind in enumerate(KINDS):
            origins = [origins[place] for origins in asked]
            factors = [piece.factor for origin in origins for piece in origin.pieces if piece.factor is not None]
            reasons = [piece.reason for origin in origins for piece in origin.pieces if piece.reason]
            widest = max(
                ((sigma_of_factor(kind, f.fallback, f.sigma_ppm), f"{kind}:{f.object}/{f.provider}") for f in factors),
                default=(0.0, ""),
            )
            applicable = any(origin.rate is not NOT_APPLICABLE for origin in origins)
            pricing[kind] = Sourcing(widest[1], widest[0], reasons[0] if reasons else "", applicable)
        return pricing


class _Figure(NamedTuple):
    """One priced column: its name in the row, where its amount and what it leaves uncovered stand, and what prices it."""

    name: str
    amount: int
    uncovered: int
    kind: str
    by_time: bool
    uses_pue: bool


_FIGURES = {
    name: _Figure(name, PLACE[column], PLACE[uncovered], kind, uncovered.endswith("_ms"), uses_pue)
    for name, column, uncovered, kind, uses_pue in (
        ("facility_energy", "energy_facility_mj", "unc_facility_mj", "pue", True),
        ("cost_energy", "cost_energy", "unc_cost_energy_mj", "tariff", True),
        ("cost_instance", "cost_instance", "unc_cost_instance_ms", "instance_price", False),
        ("co2e_location", "co2e_location", "unc_co2e_location_mj", "grid_location", True),
        ("co2e_market", "co2e_market", "unc_co2e_market_mj", "grid_market", True),
        ("co2e_embodied", "co2e_embodied", "unc_co2e_embodied_ms", "embodied", False),
        ("water_site", "water_site", "unc_water_site_mj", "water_site", False),
        ("water_source", "water_source", "unc_water_source_mj", "water_source", True),
    )
}
PARTS_OF = {
    "energy_kwh": ("energy_it",),
    "facility_energy_kwh": ("facility_energy",),
    "cost": ("cost_energy", "cost_instance"),
    "cost_energy": ("cost_energy",),
    "cost_instance": ("cost_instance",),
    "co2e_location_kg": ("co2e_location",),
    "co2e_market_kg": ("co2e_market",),
    "co2e_embodied_kg": ("co2e_embodied",),
    "water_l": ("water_site", "water_source"),
}
"""Figure of a row that can be unknown -> the columns of the journal that it is the sum of (but for their endings)."""


class Sum(NamedTuple):
    """One figure of a row, still in the smallest unit.

    Attributes:
        amount: The sum of what is known.
        share: Which share of the figure that is, from 0 to 1; None where the figure has no meaning for any portion.
        reason: Why it is not all known; empty where it is.
        contributions: Its parts by source of error.
    """

    amount: int
    share: float | None
    reason: str
    contributions: list[Contribution]

    @property
    def is_known(self) -> bool:
        """Whether anything is known of it; of a difference also what was known and is taken back."""
        return bool(self.share) or self.amount != 0


def footprint(
    portions: Iterable[Portion],
    *,
    currency: str,
    account: str = "",
    figure: str = "",
    duration_ms: int | None = None,
    runs: int = 0,
) -> FootprintRow:
    """Return the row of figures of these portions.

    Args:
        portions: What they are made of.
        currency: Of the book; empty while it has none.
        account: The account, for rows of one.
        figure: What `why` is asked by, without the column: `run:R`, or `report:2026-11/team=vision`.
        duration_ms: Wall-clock time of the runs, or None where there is none.
        runs: How many runs it is of.
    """
    rows = list(portions)
    sums = sums_of(rows)
    metered = [row for row in rows if row.component != TIME]
    time_ms = sum(row.amounts[_TIME] for row in metered)
    coverage = sum(row.amounts[_METERED] for row in metered) / time_ms if time_ms else None
    measured_share = _measured_share(metered)
    uncertainty = {name: _sigma(value) for name, value in sums.items()}
    body: FootprintRow = {
        "account": account,
        "figure": figure,
        "energy_kwh": _over(sums["energy_kwh"], MILLIJOULES_PER_KWH),
        "facility_energy_kwh": _over(sums["facility_energy_kwh"], MILLIJOULES_PER_KWH),
        "unmetered_estimate_kwh": _column(metered, "unmetered_mj") / MILLIJOULES_PER_KWH,
        "held_unused_kwh": _column(metered, "held_mj") / MILLIJOULES_PER_KWH,
        "cost": _money(sums["cost"]),
        "currency": currency or None,
        "cost_energy": _money(sums["cost_energy"]),
        "cost_instance": _money(sums["cost_instance"]),
        "co2e_location_kg": _over(sums["co2e_location_kg"], MICROGRAMS_PER_KILOGRAM),
        "co2e_market_kg": _over(sums["co2e_market_kg"], MICROGRAMS_PER_KILOGRAM),
        "co2e_embodied_kg": _over(sums["co2e_embodied_kg"], MICROGRAMS_PER_KILOGRAM),
        "water_l": _over(sums["water_l"], MICROLITRES_PER_LITRE),
        "duration_s": None if duration_ms is None else duration_ms / MILLISECONDS_PER_SECOND,
        "device_hours": sum(row.amounts[_TIME] for row in rows if row.is_device) / MILLISECONDS_PER_HOUR,
        "coverage": coverage,
        "measured_share": measured_share,
        "known_share": {name: value.share for name, value in sums.items()},
        "uncertainty": uncertainty,
        "grades": {
            name: grade
            for name, value in sums.items()
            if (grade := _graded(name, value.share, uncertainty[name], coverage, measured_share))
        },
        "runs": runs,
        "reasons": {name: value.reason or UNKNOWN for name, value in sums.items() if not value.is_known},
    }
    if duration_ms is None:
        body["reasons"]["duration_s"] = ONLY_RUNS
    said = quality(coverage=coverage, measured_share=measured_share, uncertainty=uncertainty["energy_kwh"])
    body["grade"], body["sentence"] = said.grade, said.sentence
    return body


def sums_of(portions: Sequence[Portion], only: str = "") -> dict[str, Sum]:
    """Return every figure that can be unknown, by its name in the row, in the smallest unit; or only one of them."""
    wanted = (only,) if only else PARTS_OF
    return {name: _figure_of(portions, name) for name in wanted}


def _figure_of(portions: Sequence[Portion], name: str) -> Sum:
    if name == "energy_kwh":
        return _energy(portions)
    parts = [_sum_of(portions, _FIGURES[part]) for part in PARTS_OF[name]]
    return parts[0] if len(parts) == 1 else _together(parts)


def raw_energy_mj(portion: Portion) -> int:
    """Return the energy as its meter said it, at the meter's own boundary."""
    return portion.amounts[_FACILITY_ENERGY if portion.boundary == FACILITY else _ENERGY_IT]


def _energy(portions: Sequence[Portion]) -> Sum:
    """Return the IT energy: unknown where no reading covers any time, or where a facility meter has no PUE."""
    metered = [portion for portion in portions if portion.component != TIME]
    amount = sum(portion.amounts[_ENERGY_IT] for portion in metered)
    if not any(portion.amounts[_METERED] or raw_energy_mj(portion) for portion in metered):
        return Sum(amount, 0.0 if metered else None, NO_ENERGY, [])
    uncovered = sum(portion.amounts[_UNC_FACILITY] for portion in metered if portion.boundary == FACILITY)
    parts: list[Contribution] = []
    for portion in metered:
        parts += _sources(portion, portion.amounts[_ENERGY_IT], "", uses_pue=portion.boundary == FACILITY)
    reason = next((remedy("pue", p.pricing["pue"].reason) for p in metered if p.pricing["pue"].reason), "")
    return Sum(amount, _share(sum(map(raw_energy_mj, metered)), uncovered), reason if uncovered else "", parts)


def _sum_of(portions: Sequence[Portion], figure: _Figure) -> Sum:
    amount = base = uncovered = 0
    reasons: list[str] = []
    applies = all_priced = False
    parts: list[Contribution] = []
    for portion in portions:
        if (portion.component == TIME) != figure.by_time:
            continue
        sourcing = portion.pricing[figure.kind]
        value, missing = portion.amounts[figure.amount], _missing(portion, figure)
        if not (sourcing.applicable or value or missing):
            reasons.append(sourcing.reason)
            continue
        all_priced = (all_priced or not applies) and bool(sourcing.source)
        applies = True
        amount += value
        uncovered += missing
        base += portion.amounts[_TIME] if figure.by_time else raw_energy_mj(portion)
        if missing or not sourcing.source:
            reasons.insert(0, _why_missing(portion, figure))
        parts += _sources(portion, value, figure.kind, uses_pue=figure.uses_pue and portion.boundary != FACILITY)
    if not applies:
        return Sum(0, None, _said(figure, reasons), [])
    share = _share(base, uncovered) if base else float(all_priced)
    return Sum(amount, share, _said(figure, reasons) if uncovered or not share else "", parts)


def _missing(portion: Portion, figure: _Figure) -> int:
    """Return what the figure leaves uncovered; a facility meter needs no PUE to say its own energy."""
    if figure.name == "facility_energy" and portion.boundary == FACILITY:
        return 0
    return portion.amounts[figure.uncovered]


def _why_missing(portion: Portion, figure: _Figure) -> str:
    """Return the word for what is missing: the factor itself, or else the PUE that leads to it."""
    own = portion.pricing[figure.kind].reason
    if own or not figure.uses_pue:
        return own
    return "pue:" + portion.pricing["pue"].reason if portion.pricing["pue"].reason else ""


def _said(figure: _Figure, reasons: Sequence[str]) -> str:
    reason = next((reason for reason in reasons if reason), "")
    if not reason:
        return NO_TIME if figure.by_time else NO_ENERGY
    if reason.startswith("pue:"):
        return remedy("pue", reason.removeprefix("pue:"))
    return remedy(figure.kind, reason)


def _sources(portion: Portion, amount: int, kind: str, *, uses_pue: bool) -> list[Contribution]:
    """Return an amount under each of its sources of error: the meter's, the factor's, the PUE's."""
    if not amount:
        return []
    parts = []
    if portion.component != TIME:
        meter = f"meter:{portion.label or portion.component}/{portion.method}"
        parts.append(Contribution(meter, amount, sigma_of_method(portion.method)))
    names = (kind,) if kind and kind != "pue" else ()
    for name in (*names, "pue") if uses_pue or kind == "pue" else names:
        sourcing = portion.pricing[name]
        if sourcing.source:
            parts.append(Contribution(sourcing.source, amount, sourcing.sigma))
    return parts


def _together(sums: Sequence[Sum]) -> Sum:
    """Return the sum of figures: known as far as the least known of those that apply."""
    applying = [value for value in sums if value.share is not None]
    if not applying:
        return Sum(0, None, next((value.reason for value in sums if value.reason), ""), [])
    least = min(applying, key=lambda value: value.share or 0.0)
    parts = [part for value in applying for part in value.contributions]
    return Sum(sum(value.amount for value in applying), least.share, least.reason, parts)


def _share(base: int, uncovered: int) -> float | None:
    return (base - uncovered) / base if base else 1.0


def _sigma(value: Sum) -> float | None:
    return relative_sigma(value.amount, value.contributions) if value.is_known else None


def _graded(
    name: str, known_share: float | None, sigma: float | None, coverage: float | None, measured_share: float | None
) -> str:
    """Return the grade of a figure; what is of time alone is of no meter's energy, and of no gap in it."""
    is_of_energy = name == "energy_kwh" or any(not _FIGURES[part].by_time for part in PARTS_OF[name])
    return grade_of_figure(
        known_share=known_share, uncertainty=sigma,
        coverage=coverage if is_of_energy else None, measured_share=measured_share if is_of_energy else None,
    )  # fmt: skip


def _measured_share(metered: Sequence[Portion]) -> float | None:
    by_method: defaultdict[bool, int] = defaultdict(int)
    for portion in metered:
        by_method[portion.method in MEASURED_METHODS] += raw_energy_mj(portion)
    whole = by_method[True] + by_method[False]
    return by_method[True] / whole if whole else None


def _column(portions: Iterable[Portion], name: str) -> int:
    return sum(portion.amounts[PLACE[name]] for portion in portions)


def _over(value: Sum, scale: int) -> float | None:
    return value.amount / scale if value.is_known else None


def _money(value: Sum) -> str | None:
    return decimal_text(value.amount, MICRO) if value.is_known else None
