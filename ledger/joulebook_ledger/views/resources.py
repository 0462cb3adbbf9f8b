"""What each run took of one resource, with its errors by source, for rankings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.quality import relative_sigma
from joulebook_ledger.core.units import MICRO, MICROGRAMS_PER_KILOGRAM, MILLIJOULES_PER_KWH
from joulebook_ledger.figures.footprints import MILLISECONDS_PER_SECOND, sums_of
from joulebook_ledger.figures.lens import Lens
from joulebook_ledger.figures.stand import stand_of
from joulebook_ledger.store import reads_amounts

if TYPE_CHECKING:
    from joulebook_ledger.figures.runfacts import RunFacts
    from joulebook_ledger.figures.scores import RunScore
    from joulebook_ledger.store.reads_amounts import Cell
    from joulebook_ledger.store.rows import Rows

_BOOKED = {
    "energy": ("energy_kwh", MILLIJOULES_PER_KWH, "kWh"),
    "co2e": ("co2e_location_kg", MICROGRAMS_PER_KILOGRAM, "kg CO2e"),
    "cost": ("cost", MICRO, ""),
}


class Resource(NamedTuple):
    """How much of a resource was taken.

    Attributes:
        amount: In the smallest unit; None where it is not known.
        scale: Smallest units per unit.
        unit: For people.
        sigma: Relative standard deviation; None where it is not known.
        errors: Source of error -> relative standard deviation that it alone gives.
        column: Name of the figure that `why` explains; empty where there is none.
        reason: Why it is not known.
    """

    amount: float | None
    scale: int
    unit: str
    sigma: float | None
    errors: Mapping[str, float]
    column: str
    reason: str

    @property
    def in_unit(self) -> float:
        """The amount in its unit."""
        assert self.amount is not None
        return self.amount / self.scale

    def with_amount(self, amount: float) -> Resource:
        """Return the same errors of another amount."""
        return self._replace(amount=amount)


def resources_of(rows: Rows, runs: Mapping[str, RunFacts], per: str, scores: Sequence[RunScore]) -> dict[str, Resource]:
    """Return what each run took of energy, cost, co2e, duration or params."""
    if per == "params":
        return {
            score.run: Resource(float(score.last), 1, "parameters", 0.0, {}, "", "")
            for score in scores
            if score.name == "params" and score.run in runs
        }
    if per == "duration":
        until = stand_of(rows).booked_until_ms or 0
        return {
            run: Resource(facts.duration_ms(until), MILLISECONDS_PER_SECOND, "s", 0.0, {}, "", "")
            for run, facts in runs.items()
        }
    return _booked(rows, runs, per)


def _booked(rows: Rows, runs: Mapping[str, RunFacts], per: str) -> dict[str, Resource]:
    lens = Lens(rows)
    column, scale, unit = _BOOKED[per]
    cells: defaultdict[str, list[Cell]] = defaultdict(list)
    for cell in reads_amounts.of_accounts(rows):
        if cell.account in runs:
            cells[cell.account].append(cell)
    found = {}
    for run, its in cells.items():
        value = sums_of(lens.portions(its), only=column)[column]
        amount = value.amount if value.is_known else None
        errors: defaultdict[str, float] = defaultdict(float)
        for part in value.contributions:
            errors[part.source] += part.amount * part.sigma / value.amount if value.amount else 0.0
        sigma = relative_sigma(value.amount, value.contributions) if amount else None
        found[run] = Resource(amount, scale, unit or lens.currency, sigma, errors, column, value.reason)
    return found
