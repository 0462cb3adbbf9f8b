"""Carbon per functional unit (SCI, ISO/IEC 21031) of models over a period, from the books and from what their runs counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core import sci
from joulebook_ledger.core.embodied import at_utilisation
from joulebook_ledger.core.periods import month_text
from joulebook_ledger.core.quality import relative_sigma
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MICROGRAMS_PER_KILOGRAM, MILLISECONDS_PER_HOUR, PPM, scale_decimal
from joulebook_ledger.core.vocabulary import IDLE, LONGEST_NAME
from joulebook_ledger.figures.footprints import PLACE, Sum, sums_of
from joulebook_ledger.figures.groups import RUNS
from joulebook_ledger.figures.scores import run_scores
from joulebook_ledger.measures.not_covered import NOT_COVERED
from joulebook_ledger.queries import ReportQuery
from joulebook_ledger.store import reads_runs
from joulebook_ledger.views.reports import lay_report

if TYPE_CHECKING:
    from joulebook_ledger.measures.bodies import SciBody, SciRow
    from joulebook_ledger.queries import SciQuery
    from joulebook_ledger.store.reads_amounts import Cell
    from joulebook_ledger.store.rows import Rows
    from joulebook_ledger.views.reports import Laid

STANDARD = "ISO/IEC 21031:2024"
COUNTED, STATED = "counted", "stated"
_COUNTS = {"request": (0,), "token": (1, 2), "token_in": (1,), "token_out": (2,)}
_SCORES = {"sample": "samples", "parameter": "params"}
_HOW_TO_COUNT = {
    "request": "run.count(requests=1)",
    "token": "run.count(tokens_in=20, tokens_out=180)",
    "token_in": "run.count(tokens_in=20)",
    "token_out": "run.count(tokens_out=180)",
    "sample": "run.log(samples=1281167)",
    "parameter": "run.log(params=25557032)",
}
_MICROGRAMS_PER_GRAM = 1_000_000
MOST_UNITS = Decimal("1e36")
LEAST_EXPONENT = -9


class Member(NamedTuple):
    """What is put together for one model.

    Attributes:
        cells: Its amounts, and those of idle spread to it.
        runs: Its runs.
    """

    cells: list[Cell]
    runs: set[str]


class Units(NamedTuple):
    """How many functional units there were.

    Attributes:
        number: How many; None where nothing counted them.
        source: `counted` or `stated`.
        reason: Why there are none, and what counts them.
    """

    number: Fraction | None
    source: str
    reason: str


def make_sci(rows: Rows, query: SciQuery) -> SciBody:
    """Return the intensities of models in a period, as known today; one model where it is named.

    Raises:
        BadInput: A unit, boundary, number or rule that is none; the message lists what there is.
    """
    boundary, stated, utilisation_ppm = _checked(query)
    laid = lay_report(
        rows,
        ReportQuery(
            from_month=query.from_month,
            to_month=query.to_month,
            by=("model", "stage"),
            basis="current",
            idle=query.idle,
        ),
    )
    members, left_out = _members(laid, query.model, boundary)
    counters = _Counters(rows, laid, query.per, stated)
    told = [_row(laid, model, its, counters.of(its), utilisation_ppm) for model, its in members.items()]
    return {
        "from_month": month_text(query.from_month),
        "to_month": month_text(query.to_month),
        "standard": STANDARD,
        "per": query.per,
        "boundary": boundary,
        "intensity": "location-based",
        "idle": query.idle,
        "link": laid.stand.link,
        "head": laid.stand.head,
        "rows": told,
        "not_covered": list(NOT_COVERED),
        "notes": _notes(laid, query, boundary, left_out),
    }


def _checked(query: SciQuery) -> tuple[str, Fraction | None, int]:
    for name, value, choices in (
        ("per", query.per, tuple(sci.BOUNDARY_OF)),
        ("boundary", query.boundary or sci.ALL, sci.BOUNDARIES),
    ):
        if value not in choices:
            raise BadInput(f"{name} {value[:60]!r} is none of: {', '.join(choices)}")
    stated = _stated(query.units) if query.units else None
    if stated is None and query.per in sci.STATED_ONLY:
        raise BadInput(f"nothing counts a {query.per}: state how many with units, such as --units 1000000")
    utilisation_ppm = scale_decimal(query.utilisation, PPM, "utilisation") if query.utilisation else PPM
    at_utilisation(0, utilisation_ppm)
    if utilisation_ppm != PPM and query.idle != "separate":
        raise BadInput("idle that is spread over the runs is in their figures: a utilisation would count it twice")
    return query.boundary or sci.BOUNDARY_OF[query.per], stated, utilisation_ppm


def _stated(text: str) -> Fraction:
    """Return a stated number of units; of FLOP there are more than 64 bits hold."""
    try:
        number = Decimal(text[:LONGEST_NAME])
    except InvalidOperation:
        number = Decimal(0)
    if not (number.is_finite() and 0 < number <= MOST_UNITS and number.adjusted() >= LEAST_EXPONENT):
        raise BadInput(f"units are a number above 0 and at most {MOST_UNITS}, such as 5e22, not {text[:20]!r}")
    return Fraction(number)


def _members(laid: Laid, model: str, boundary: str) -> tuple[dict[str | None, Member], int]:
    """Return amounts and runs by model, within the boundary; and how many runs are outside of any for want of a stage."""
    found: dict[str | None, Member] = {}
    without_stage = 0
    for its in laid.groups:
        name, stage = its.keys
        if its.account != RUNS or (model and name != model):
            continue
        if boundary != sci.ALL and stage not in sci.STAGES_OF[boundary]:
            without_stage += len(its.runs) if stage is None else 0
            continue
        member = found.setdefault(name, Member([], set()))
        member.cells.extend(its.cells)
        member.runs.update(its.runs)
    return found, without_stage


class _Counters:
    """How many functional units runs had in the period: asked once for all of them."""

    def __init__(self, rows: Rows, laid: Laid, per: str, stated: Fraction | None) -> None:
        self._laid = laid
        self._runs = laid.runs.newest()
        self._per = per
        self._stated = stated
        self._counts: Mapping[str, Sequence[int]] = {}
        self._scores: defaultdict[str, Fraction] = defaultdict(Fraction)
        link = laid.stand.limit
        if stated is not None:
            return
        runs = sorted(self._runs)
        if per in _COUNTS and runs:
            self._counts = reads_runs.counts(rows, runs, *laid.span, link)
        if per in _SCORES and runs:
            for score in run_scores(reads_runs.scores(rows, runs, link)):
                if score.name == _SCORES[per]:
                    self._scores[score.run] = max(self._scores[score.run], Fraction(score.last))

    def of(self, its: Member) -> Units:
        """Return how many units the runs of a model had."""
        if self._stated is not None:
            return Units(self._stated, STATED, "")
        number = self._number(its)
        if number > 0:
            return Units(number, COUNTED, "")
        how = _HOW_TO_COUNT.get(self._per)
        counted = f"count them with {how}, or state" if how else "state"
        return Units(None, COUNTED, f"no {self._per} was counted in the period: {counted} how many with --units")

    def _number(self, its: Member) -> Fraction:
        runs = [self._runs[run] for run in sorted(its.runs) if run in self._runs]
        start_ms, end_ms = self._laid.span
        if self._per == "run":
            return Fraction(len(its.runs))
        if self._per == "hour":
            until = self._laid.stand.booked_until_ms or end_ms
            return Fraction(sum(run.duration_ms(until, start_ms, end_ms) for run in runs), MILLISECONDS_PER_HOUR)
        if self._per == "device_hour":
            return Fraction(_device_ms(self._laid, its.cells), MILLISECONDS_PER_HOUR)
        if self._per == "parameter":  # a property of the model: the largest of its runs, not their sum
            return max((self._scores[run.run] for run in runs), default=Fraction(0))
        if self._per == "sample":
            ended = [run for run in runs if run.ended_ms is not None and start_ms <= run.ended_ms < end_ms]
            return sum((self._scores[run.run] for run in ended), Fraction(0))
        return Fraction(
            sum(self._counts[run.run][at] for run in runs if run.run in self._counts for at in _COUNTS[self._per])
        )


def _device_ms(laid: Laid, cells: Iterable[Cell]) -> int:
    own = [cell for cell in cells if cell.account != IDLE]
    return sum(portion.amounts[PLACE["time_ms"]] for portion in laid.lens.portions(own) if portion.is_device)


def _row(laid: Laid, model: str | None, its: Member, units: Units, utilisation_ppm: int) -> SciRow:
    sums = sums_of(laid.lens.portions(its.cells))
    operational, embodied = sums["co2e_location_kg"], sums["co2e_embodied_kg"]
    borne = at_utilisation(embodied.amount, utilisation_ppm)
    reasons = {
        name: reason
        for name, reason in (
            ("operational_kg", "" if operational.is_known else operational.reason),
            ("embodied_kg", "" if embodied.is_known else embodied.reason),
            ("units", units.reason),
        )
        if reason
    }
    is_whole = operational.is_known and embodied.is_known and units.number is not None
    if not is_whole:
        reasons["sci_g"] = "it is the sum of both parts per unit, and not all of them are known"
    return {
        "model": model,
        "units": _plain(units.number),
        "units_from": units.source,
        "operational_kg": _kg(operational, operational.amount),
        "embodied_kg": _kg(embodied, borne),
        "operational_g": _per_unit(operational, operational.amount, units),
        "embodied_g": _per_unit(embodied, borne, units),
        "sci_g": float(sci.carbon_per_unit(operational.amount, borne, units.number)) / _MICROGRAMS_PER_GRAM
        if is_whole and units.number is not None
        else None,
        "known_share": {"operational_kg": operational.share, "embodied_kg": embodied.share},
        "uncertainty": _sigma(operational, embodied) if is_whole else None,
        "runs": len(its.runs),
        "reasons": reasons,
    }


def _sigma(operational: Sum, embodied: Sum) -> float | None:
    both = [*operational.contributions, *embodied.contributions]
    return relative_sigma(operational.amount + embodied.amount, both)


def _kg(part: Sum, amount: int | Fraction) -> float | None:
    return float(Fraction(amount, MICROGRAMS_PER_KILOGRAM)) if part.is_known else None


def _per_unit(part: Sum, amount: int | Fraction, units: Units) -> float | None:
    if not part.is_known or units.number is None:
        return None
    return float(Fraction(amount) / units.number) / _MICROGRAMS_PER_GRAM


def _plain(number: Fraction | None) -> float | int | None:
    if number is None:
        return None
    return int(number) if number.denominator == 1 else float(number)


def _notes(laid: Laid, query: SciQuery, boundary: str, without_stage: int) -> list[str]:
    notes = []
    if not any(its.account == RUNS for its in laid.groups):
        notes.append("no run is booked in this period")
    if boundary != sci.ALL:
        notes.append(f"the {boundary}'s boundary: runs of stage {', '.join(sci.STAGES_OF[boundary])}")
    if without_stage:
        notes.append(
            f"{without_stage} runs say no stage and are in neither boundary: joulebook label RUN --stage training"
        )
    idle = sum(
        cell.amounts[PLACE["co2e_location"]] + cell.amounts[PLACE["co2e_embodied"]]
        for cell in laid.cells
        if cell.account == IDLE
    )
    if idle and query.idle == "separate":
        whole = sum(cell.amounts[PLACE["co2e_location"]] + cell.amounts[PLACE["co2e_embodied"]] for cell in laid.cells)
        notes.append(
            f"idle hardware, {idle / whole:.1%} of what was emitted, is in no row: --idle proportional spreads it"
        )
    if query.utilisation:
        notes.append(
            f"embodied carbon at a utilisation of {query.utilisation}: a view, the books bear idle hours by themselves"
        )
    return notes
