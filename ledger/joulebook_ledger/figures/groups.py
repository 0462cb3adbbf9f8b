"""Rows of a report: amounts put together by labels, runs, places and times; idle apart, or spread over the runs exactly. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from joulebook_ledger.core.names import COST_CENTRE, ENTITY
from joulebook_ledger.core.periods import day_text, month_of_day, month_text
from joulebook_ledger.core.resolution import TIME
from joulebook_ledger.core.units import split_by_largest_remainder
from joulebook_ledger.core.vocabulary import IDLE, LABELS, RESERVED_ACCOUNTS
from joulebook_ledger.figures.footprints import PLACE
from joulebook_ledger.settings import SCOPES
from joulebook_ledger.store.reads_amounts import Cell

if TYPE_CHECKING:
    from joulebook_ledger.figures.lens import Lens
    from joulebook_ledger.figures.runfacts import RunFacts

RUNS = "runs"
UNIFORM = "uniform"
TIME_KEYS = ("day", "month")
PLACE_KEYS = ("host", "device", "site")
_SOURCE_KEYS = (*PLACE_KEYS, *TIME_KEYS)
_ENERGY, _TIME = PLACE["energy_it_mj"], PLACE["time_ms"]

Keys = tuple[str | None, ...]


@dataclass(slots=True, kw_only=True)
class Group:
    """One row of a report.

    Attributes:
        account: A reserved account, or RUNS.
        keys: Values of the report's keys; None where a run has no such label.
        cells: Its amounts.
        runs: The runs in it.
    """

    account: str
    keys: Keys
    cells: list[Cell] = field(default_factory=list)
    runs: set[str] = field(default_factory=set)


RunOf = Callable[[Cell], "RunFacts | None"]
"""What is known of the run that a cell is of, as of when the cell is of."""


def group(cells: Iterable[Cell], by: Sequence[str], run_of: RunOf, lens: Lens) -> list[Group]:
    """Return cells in groups: those of runs by their keys, those of reserved accounts each for itself."""
    groups: dict[tuple[str, Keys], Group] = {}
    for cell in cells:
        account = cell.account if cell.account in RESERVED_ACCOUNTS else RUNS
        keys = tuple(_key(name, cell, run_of, lens) for name in by)
        its = groups.get((account, keys))
        if its is None:
            its = groups[account, keys] = Group(account=account, keys=keys)
        its.cells.append(cell)
        if account == RUNS:
            its.runs.add(cell.account)
    return sorted(groups.values(), key=lambda its: _order(its, by))


def spread_idle(groups: Sequence[Group], by: Sequence[str], rule: str, lens: Lens) -> list[Group]:
    """Return the groups with idle spread over those of runs, column by column, so that every total stays what it was.

    Idle of a meter goes to who used that meter (where nobody did, to all): `proportional` by their energy on it (by their time, where
    it has none), `uniform` alike to every run. It stays within the host, site, day or month where rows are by those. Where no run is
    there to bear it, it stays a row of its own.

    Args:
        groups: Rows with idle apart.
        by: Keys of the rows.
        rule: proportional or uniform.
        lens: What the meters are.
    """
    bearers: defaultdict[Keys, list[Group]] = defaultdict(list)
    for its in groups:
        if its.account == RUNS:
            bearers[_source_keys(its, by)].append(its)
    kept: list[Group] = []
    for its in groups:
        if its.account != IDLE or not bearers[_source_keys(its, by)]:
            kept.append(its)
            continue
        candidates = bearers[_source_keys(its, by)]
        shares = [_shares(cell, candidates, rule, lens) for cell in its.cells]
        for parts in shares:
            for bearer, part in zip(candidates, parts, strict=True):
                if any(part.amounts):
                    bearer.cells.append(part)
    return kept


def _shares(cell: Cell, candidates: Sequence[Group], rule: str, lens: Lens) -> list[Cell]:
    column = _TIME if lens.meter(cell.source).component == TIME else _ENERGY
    weights = [_weight(its, cell.source, column, rule) for its in candidates]
    if not any(weights):
        weights = [_weight(its, "", column, rule) for its in candidates]
    if not any(weights):
        weights = [len(its.runs) for its in candidates]
    columns = [split_by_largest_remainder(amount, weights) for amount in cell.amounts]
    return [cell._replace(amounts=amounts) for amounts in zip(*columns, strict=True)]


def _weight(its: Group, source: str, column: int, rule: str) -> int:
    """Return a group's weight for a share of what one source left idle; of all sources, where none is named."""
    own = [cell for cell in its.cells if cell.account != IDLE and source in {"", cell.source}]
    if rule == UNIFORM:
        return len({cell.account for cell in own})
    return max(0, sum(cell.amounts[column] for cell in own))


def _key(name: str, cell: Cell, run_of: RunOf, lens: Lens) -> str | None:
    if name == "month":
        return month_text(month_of_day(cell.first_day))
    if name == "day":
        return day_text(cell.first_day) if cell.first_day == cell.last_day else None
    if name == "host":
        return lens.host(cell)
    if name == "device":
        return lens.meter(cell.source).device
    if name == "site":
        return lens.site(cell) or None
    if cell.account in RESERVED_ACCOUNTS or name == "run":
        return cell.account
    assert name in {*LABELS, COST_CENTRE, ENTITY, "scope"} or name.startswith("tag:"), name
    run = run_of(cell)
    if name == "scope":
        return str(run.facts.get("scope", SCOPES[0])) if run else None
    return run.labels.get(name) or None if run else None


def _source_keys(its: Group, by: Sequence[str]) -> Keys:
    return tuple(value for name, value in zip(by, its.keys, strict=True) if name in _SOURCE_KEYS)


def _order(its: Group, by: Sequence[str]) -> tuple[object, ...]:
    """Return the order of rows: times first where rows are by time, runs before reserved accounts, then the greatest energy."""
    times = tuple(value or "" for name, value in zip(by, its.keys, strict=True) if name in TIME_KEYS)
    rank = 0 if its.account == RUNS else 1 + RESERVED_ACCOUNTS.index(its.account)
    energy = sum(cell.amounts[_ENERGY] for cell in its.cells)
    return (times, rank, -energy, tuple(key or "" for key in its.keys))
