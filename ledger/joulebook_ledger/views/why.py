"""Why a figure is what it is: from its total down to meters, days, hours, readings, uses, and factors with source and version.

The parts of every node sum to it exactly, in the smallest unit: hours are priced anew by the same pure rule that booked them, and what
is booked otherwise is shown as a part of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from joulebook_ledger.core.billing import account_of_source
from joulebook_ledger.core.periods import day_text
from joulebook_ledger.core.refusals import NotFound
from joulebook_ledger.core.vocabulary import IDLE, RESERVED_ACCOUNTS
from joulebook_ledger.figures.footprints import PARTS_OF, PLACE
from joulebook_ledger.figures.groups import RUNS, Group
from joulebook_ledger.figures.lens import Lens
from joulebook_ledger.figures.units_of import Unit, bounded, node, unit_of
from joulebook_ledger.store import reads_amounts
from joulebook_ledger.store.reads_amounts import Cell
from joulebook_ledger.views.evidence import hours_of_day
from joulebook_ledger.views.factor_words import factor_nodes, is_priced_by_time
from joulebook_ledger.views.figure_names import Asked, name_of_row, parse_figure
from joulebook_ledger.views.pending import pending_cells
from joulebook_ledger.views.reports import Laid, lay_report
from joulebook_ledger.views.runs import find_run

if TYPE_CHECKING:
    from joulebook_ledger.bodies import FootprintRow, WhyBody, WhyNode
    from joulebook_ledger.store.rows import Rows

_LAST_DAY = 10_000_000
_BY_TIME = frozenset({"cost_instance", "co2e_embodied"})
_COLUMNS = {"energy_it": "energy_it_mj", "facility_energy": "energy_facility_mj"}
_WORDS = {
    "energy_it": "energy", "facility_energy": "energy of the facility", "cost_energy": "cost of energy",
    "cost_instance": "cost of the machine's hours", "co2e_location": "CO2e, location-based", "co2e_market": "CO2e, market-based",
    "co2e_embodied": "CO2e, embodied", "water_site": "water of the site", "water_source": "water behind the electricity",
}  # fmt: skip
_UNITS = {"energy_kwh": "kWh", "facility_energy_kwh": "kWh", "water_l": "l"}
_Parts = Callable[[str, Sequence[Cell]], list[tuple[int, "WhyNode"]]]


def explain(rows: Rows, figure: str) -> WhyBody:
    """Return the derivation of a figure.

    Args:
        rows: A snapshot of the book.
        figure: `run:R#cost`, `report:2026-11/team=vision#co2e_location_kg`, or `last cost`.

    Raises:
        BadInput: It names no figure, or one of a run or row that does not exist.
    """
    asked = parse_figure(figure)
    return _of_run(rows, asked) if asked.report is None else _of_report(rows, asked)


def _of_run(rows: Rows, asked: Asked) -> WhyBody:
    run = find_run(rows, asked.run or "")
    lens = Lens(rows)
    waiting = pending_cells(rows, lens, run)
    cells = [*reads_amounts.of_days(rows, 0, _LAST_DAY, account=run), *waiting]
    row = lens.footprint([*reads_amounts.of_accounts(rows, [run]), *waiting])
    teller = _Teller(lens, asked.column, lambda column, day: _hours_of(rows, lens, column, day))
    return teller.body(f"run:{run}", row, cells, [])


def _of_report(rows: Rows, asked: Asked) -> WhyBody:
    assert asked.report is not None
    laid = lay_report(rows, asked.report)
    name = name_of_row(asked.report, asked.keys)
    if not asked.keys:
        row, cells, spread = laid.lens.footprint(laid.cells), _daily(rows, laid, None), list[Cell]()
    else:
        its = _row_of(laid, name)
        row, cells = laid.lens.footprint(its.cells), _daily(rows, laid, its)
        spread = [cell for cell in its.cells if its.account == RUNS and cell.account == IDLE]
    teller = _Teller(laid.lens, asked.column, lambda column, day: _accounts_of(laid.lens, column, day))
    return teller.body(name, row, cells, spread)


def _row_of(laid: Laid, name: str) -> Group:
    found = next((its for its in laid.groups if laid.name(its) == name), None)
    if found is None:
        there = ", ".join(laid.name(its) for its in laid.groups[:5]) or "no row at all"
        raise NotFound(f"{name} is no row of that report: it has {there}{', …' if len(laid.groups) > 5 else ''}")
    return found


def _daily(rows: Rows, laid: Laid, its: Group | None) -> list[Cell]:
    """Return the amounts of a row, or of the whole report, by day; idle that was spread over rows stays apart."""
    by_day = lay_report(rows, replace(laid.query, idle="separate"), by_day=True)
    if its is None:
        return by_day.cells
    return next((same.cells for same in by_day.groups if (same.account, same.keys) == (its.account, its.keys)), [])


class _Teller:
    """Takes one figure apart.

    Args:
        lens: What the amounts are of.
        figure: Its name in a row.
        parts_of_day: Takes the amount of one source and day further apart: by hours, or by accounts.
    """

    def __init__(self, lens: Lens, figure: str, parts_of_day: _Parts) -> None:
        self._lens = lens
        self._figure = figure
        self._parts_of_day = parts_of_day

    def body(self, name: str, row: FootprintRow, cells: Sequence[Cell], spread: Sequence[Cell]) -> WhyBody:
        """Return the figure's explanation."""
        value = row[self._figure]  # type: ignore[literal-required]
        unit = unit_of(self._figure, self._lens.currency)
        full = f"{name}#{self._figure}"
        shown = _UNITS.get(self._figure, unit.name)
        if value is None:
            tree = node(f"{self._figure} is not known", children=[node(row["reasons"][self._figure])])
            return {"figure": full, "value": None, "unit": shown, "tree": tree}
        parts = PARTS_OF[self._figure]
        shares = row["known_share"]
        told = [self._column(part, cells, spread) for part in parts if shares.get(part, 1.0) is not None]
        whole = sum(amount for amount, _ in told)
        tree = told[0][1] if len(told) == 1 else node(self._figure, unit.text(whole), children=[its for _, its in told])
        text = value if isinstance(value, str) else repr(value)
        return {"figure": full, "value": text, "unit": shown, "tree": tree}

    def _column(self, part: str, cells: Sequence[Cell], spread: Sequence[Cell]) -> tuple[int, WhyNode]:
        """Return one column's amount, by meters."""
        unit = unit_of(part, self._lens.currency)
        everything = [*cells, *spread]
        sources: defaultdict[str, tuple[list[Cell], list[Cell]]] = defaultdict(lambda: ([], []))
        for place, its in enumerate((cells, spread)):
            for cell in its:
                if is_priced_by_time(self._lens.meter(cell.source).component) == (part in _BY_TIME):
                    sources[cell.source][place].append(cell)
        nodes = [self._source(source, *its, part, unit) for source, its in sorted(sources.items())]
        nodes.sort(key=lambda its: -abs(its[0]))
        whole = _sum(everything, part)
        return whole, node(_WORDS[part], unit.text(whole), children=bounded(nodes, unit))

    def _source(
        self, source: str, cells: Sequence[Cell], spread: Sequence[Cell], part: str, unit: Unit
    ) -> tuple[int, WhyNode]:
        by_day: defaultdict[int, list[Cell]] = defaultdict(list)
        for cell in cells:
            by_day[cell.first_day].append(cell)
        nodes = []
        for day, its in sorted(by_day.items()):
            booked = _sum(its, part)
            parts = self._parts_of_day(part, its)
            if missing := booked - sum(amount for amount, _ in parts):
                parts.append((missing, node(_OTHERWISE, unit.text(missing))))
            nodes.append((booked, node(day_text(day), unit.text(booked), children=bounded(parts, unit))))
        if spread:
            nodes.append(
                (_sum(spread, part), node("share of what this meter left idle", unit.text(_sum(spread, part))))
            )
        whole = _sum([*cells, *spread], part)
        meter = self._lens.meter(source)
        hosts = ", ".join(sorted({self._lens.host(cell) for cell in cells or spread} - {""})) or "no machine"
        text = f"meter {meter.domain}{f' ({meter.label})' if meter.label else ''} on {hosts}"
        if account_of_source(source):
            text = "lines of bills that match no machine"
        factors = factor_nodes(self._lens, cells or spread, part)
        return whole, node(text, unit.text(whole), source=source, children=[*factors, *bounded(nodes, unit)])


_OTHERWISE = "not of the hours above: it waits to be booked, or the month was closed before they changed"


def _hours_of(rows: Rows, lens: Lens, part: str, cells: Sequence[Cell]) -> list[tuple[int, WhyNode]]:
    """Return one run's hours of one meter and day."""
    return hours_of_day(rows, lens, cells[0], PLACE[_COLUMNS.get(part, part)], unit_of(part, lens.currency))


def _accounts_of(lens: Lens, part: str, cells: Sequence[Cell]) -> list[tuple[int, WhyNode]]:
    """Return one meter's day by who bore it; `why run:R#…` goes on from there."""
    by_account: defaultdict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_account[cell.account].append(cell)
    unit = unit_of(part, lens.currency)
    found = [
        (
            _sum(its, part),
            node(account if account in RESERVED_ACCOUNTS else f"run:{account}", unit.text(_sum(its, part))),
        )
        for account, its in sorted(by_account.items())
    ]
    return sorted(found, key=lambda item: -abs(item[0]))


def _sum(cells: Iterable[Cell], part: str) -> int:
    column = PLACE[_COLUMNS.get(part, part)]
    return sum(cell.amounts[column] for cell in cells)
