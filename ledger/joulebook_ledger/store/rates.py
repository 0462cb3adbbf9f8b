"""The rates of all sources that are booked, as a work table: one row per class of sources and stretch of hours priced alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from joulebook_ledger.core.periods import hour_of
from joulebook_ledger.core.pricing import FACILITY, AnyRate, NotApplicable, Rate, Rates
from joulebook_ledger.core.resolution import MACHINE_KINDS, TIME, FactorBook
from joulebook_ledger.core.units import PPM
from joulebook_ledger.store import work
from joulebook_ledger.store.rows import Row, SqlRows, one

if TYPE_CHECKING:
    from sqlalchemy import Connection

DAYS_PER_PART = 10_000
"""Of so many (source, day) the hours are priced at once: more of them at a time take memory and no less time."""
Stretch = tuple[int, int, Rates]


def fill(connection: Connection, factors: FactorBook) -> None:
    """Fill `work_class`, `work_source` and `work_rate` for what stands in `work_day`.

    Meters of one component and boundary on machines that nothing tells apart are one class; so are hours between two changes.
    """
    days = one(SqlRows(connection), "SELECT MIN(day), MAX(day) FROM work_day")
    if days is None or days[0] is None:
        return
    starts = _starts(factors, days[0] * 24, days[1] * 24 + 24)
    classes: dict[tuple[Stretch, ...], int] = {}
    of_profile: dict[tuple[object, ...], int] = {}
    profiles = _profiles(factors)
    chosen: list[Row] = []
    for component, boundary, machine in _kinds_of_sources(connection):
        profile = (component == TIME, boundary, profiles.get(machine))
        if profile not in of_profile:
            stretches = tuple(_stretches(factors, machine, component, boundary, starts))
            of_profile[profile] = classes.setdefault(stretches, len(classes))
        chosen.append((component, boundary, machine, of_profile[profile]))
    work.fill(connection, "work_class", chosen)
    work.run(
        connection,
        "INSERT INTO work_source"
        f" SELECT d.source, d.day, c.class, (ROW_NUMBER() OVER (ORDER BY d.source, d.day) - 1) / {DAYS_PER_PART} FROM work_day AS d JOIN meter AS m ON m.meter = d.source"
        " JOIN placed AS p ON p.source = d.source AND p.day = d.day"
        " JOIN work_class AS c ON c.component = m.component AND c.boundary = m.boundary AND c.machine = p.machine",
    )
    work.weigh(connection, "work_source")
    work.fill(connection, "work_rate", [(number, *_row(s)) for stretches, number in classes.items() for s in stretches])


def _kinds_of_sources(connection: Connection) -> list[Row]:
    return SqlRows(connection).rows(
        "SELECT DISTINCT m.component, m.boundary, p.machine FROM work_day AS d"
        " JOIN meter AS m ON m.meter = d.source JOIN placed AS p ON p.source = d.source AND p.day = d.day"
    )


def _starts(factors: FactorBook, first: int, end: int) -> list[int]:
    """Return the hours at which the rates may change, from the first hour to one past the last."""
    # The hour within which something changes has rates of its own; from the next one on the new ones hold.
    hours = {hour_of(instant) + after for instant in factors.changes for after in (0, 1)}
    return sorted({first, end} | {hour for hour in hours if first < hour < end})


def _profiles(factors: FactorBook) -> dict[str, tuple[object, ...]]:
    """Return what tells machines apart: where they stand since when, and factors of their own."""
    said: dict[str, list[tuple[object, ...]]] = {}
    for known in sorted(factors.placements, key=lambda k: (k.fact.valid_from_ms, k.known, k.fact.version)):
        said.setdefault(known.fact.machine, []).append((known.fact.valid_from_ms, known.fact.site))
    for index, factor in enumerate((*factors.factors, *factors.history.voided)):
        if factor.fact.kind in MACHINE_KINDS:
            said.setdefault(factor.fact.object, []).append(("factor", index))
    return {machine: tuple(things) for machine, things in said.items()}


def _stretches(
    factors: FactorBook, machine: str, component: str, boundary: str, starts: Sequence[int]
) -> Iterable[Stretch]:
    """Yield stretches of hours with equal rates, in order, without a hole."""
    begun, held = starts[0], factors.rates(machine, component, boundary, starts[0])
    for hour in starts[1:-1]:
        rates = factors.rates(machine, component, boundary, hour)
        if rates != held:
            yield begun, hour, held
            begun, held = hour, rates
    yield begun, starts[-1], held


def _row(stretch: Stretch) -> Row:
    start, end, rates = stretch
    pue = rates.pue or Rate(PPM, 0)
    of_rates = (getattr(rates, name) for name in work.RATES)
    return (
        start,
        end,
        int(rates.boundary == FACILITY),
        *pue,
        *(value for rate in of_rates for value in _columns(rate)),
    )


def _columns(rate: AnyRate) -> tuple[int, int, int]:
    """Return value, covered milliseconds, and whether what is not covered counts as unknown."""
    if rate is None:
        return 0, 0, 1
    if isinstance(rate, NotApplicable):
        return 0, 0, 0
    return rate.value, rate.covered_ms, 1
