"""Reports of one month or several: rows by any key, idle and untracked of their own, a total, and what all of it stands on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from joulebook_ledger.core.periods import (
    day_of,
    day_text,
    days_of_month,
    hour_of,
    month_interval,
    month_text,
    parse_month,
    parse_time,
)
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.resolution import TIME
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY, MILLISECONDS_PER_HOUR
from joulebook_ledger.core.vocabulary import IDLE, RESERVED_ACCOUNTS
from joulebook_ledger.figures import ACCOUNT, EXPLAINED, name_of_row
from joulebook_ledger.footprints import PLACE, sums_of
from joulebook_ledger.groups import PLACE_KEYS, RUNS, Group, group, spread_idle
from joulebook_ledger.lens import Lens
from joulebook_ledger.making import PAST_LIFE
from joulebook_ledger.measures.not_covered import NOT_COVERED
from joulebook_ledger.measures.plausibility import implausible, past_life
from joulebook_ledger.queries import BASES, GROUPINGS, IDLE_RULES
from joulebook_ledger.runfacts import RunFacts, run_facts
from joulebook_ledger.stand import Stand, stand_of
from joulebook_ledger.store import reads, reads_amounts, reads_runs
from joulebook_ledger.store.reads_amounts import Cell

if TYPE_CHECKING:
    from joulebook_ledger.bodies import FootprintRow, ReportBody
    from joulebook_ledger.queries import ReportQuery
    from joulebook_ledger.store.rows import Rows

_TIME = PLACE["time_ms"]
_UNMETERED = PLACE["unmetered_mj"]
_ADJUSTED = frozenset({*EXPLAINED, "currency"})
_CHARGED = frozenset({"cost", "cost_energy", "cost_instance", "currency"})
_Origin = tuple[int, int, str]
"""(period, month, cause) of an adjustment"""
LONGEST_RANGE_YEARS = 50
ADJUSTED = "adjustments for earlier months are below and in none of the rows above; `charged` is the money with them"
NOTHING_BOOKED = "nothing is booked in this period: measure something with `joulebook run -- python train.py`, or track() in a script"


class Laid(NamedTuple):
    """A report before it is told: its rows as groups of amounts, and all that tells them.

    Attributes:
        query: What was asked.
        lens: What the amounts are of.
        stand: What the report stands on.
        runs: Every run's facts, as they were then.
        groups: The rows, in order.
        cells: All amounts of the period.
        span: First instant and end of the period, milliseconds.
    """

    query: ReportQuery
    lens: Lens
    stand: Stand
    runs: Mapping[str, RunFacts]
    groups: list[Group]
    cells: list[Cell]
    span: tuple[int, int]

    def name(self, its: Group) -> str:
        """Return the name of a row, by which `why` finds it again."""
        return name_of_row(self.query, self.keys(its))

    def keys(self, its: Group) -> dict[str, str | None]:
        """Return what tells a row from the others: its account where that is reserved, and its keys."""
        keys = dict(zip(self.query.by, its.keys, strict=True))
        if its.account == RUNS:
            return keys
        return {ACCOUNT: its.account, **keys}


def make_report(rows: Rows, query: ReportQuery) -> ReportBody:
    """Return a report.

    Raises:
        BadInput: A key, basis, rule or link that is none; the message lists what there is.
    """
    laid = lay_report(rows, query)
    stand = laid.stand
    total = _row(laid, laid.cells, {run for cell in laid.cells if (run := cell.account) not in RESERVED_ACCOUNTS})
    total["figure"] = name_of_row(query, {})
    late = _late_cells(rows, laid)
    adjustments = _adjustments(laid, late)
    body: ReportBody = {
        "from_month": month_text(query.from_month),
        "to_month": month_text(query.to_month),
        "by": list(query.by),
        "basis": query.basis,
        "idle": query.idle,
        "link": stand.link,
        "head": stand.head,
        "as_of": stand.as_of,
        "booked_until": stand.booked_until,
        "rows": [_told(laid, its) for its in laid.groups],
        "total": total,
        "adjustments": adjustments,
        "machines": _machines(rows, laid),
        "implausible": implausible(laid.lens, laid.cells, laid.span[1] - laid.span[0]),
        "not_covered": list(NOT_COVERED),
        "notes": _notes(rows, laid, adjustments),
    }
    if adjustments:
        whole = laid.lens.footprint([*laid.cells, *(cell for cells in late.values() for cell in cells)])
        body["charged"] = {name: value for name, value in whole.items() if name in _CHARGED}
    return body


def lay_report(rows: Rows, query: ReportQuery, *, by_day: bool = False) -> Laid:
    """Return a report's rows as groups of amounts, day by day where asked: what `make_report` tells and `why` takes apart."""
    _check(query)
    stand = stand_of(rows, query.as_of)
    lens = Lens(rows, stand.limit)
    cells = _cells(rows, query, stand, by_day=by_day or _is_by_day(query, lens))
    accounts = {cell.account for cell in cells}.difference(RESERVED_ACCOUNTS)
    events = reads_runs.events(rows, sorted(accounts), stand.limit) if accounts else []
    runs = run_facts(events, reads.names(rows, stand.limit)) if events else {}
    groups = group(cells, query.by, runs, lens)
    if query.idle != "separate":
        groups = spread_idle(groups, query.by, query.idle, lens)
    span = (month_interval(query.from_month).start_ms, month_interval(query.to_month).end_ms)
    return Laid(query, lens, stand, runs, groups, cells, span)


def _check(query: ReportQuery) -> None:
    for key in query.by:
        if key not in GROUPINGS and not (key.startswith("tag:") and len(key) > len("tag:")):
            raise BadInput(f"key {key[:60]!r} is none of: {', '.join(GROUPINGS)}, tag:KEY")
    if not query.by or len(set(query.by)) != len(query.by):
        raise BadInput(f"a report has rows by one or more different keys of: {', '.join(GROUPINGS)}, tag:KEY")
    for name, value, choices in (("basis", query.basis, BASES), ("idle", query.idle, IDLE_RULES)):
        if value not in choices:
            raise BadInput(f"{name} {value[:60]!r} is none of: {', '.join(choices)}")
    for month in (query.from_month, query.to_month):
        parse_month(month_text(month))
    if query.to_month < query.from_month:
        raise BadInput(f"{month_text(query.to_month)} is before {month_text(query.from_month)}: turn them round")
    if query.to_month // 100 - query.from_month // 100 > LONGEST_RANGE_YEARS:
        raise BadInput(f"a report is of at most {LONGEST_RANGE_YEARS} years")


def _is_by_day(query: ReportQuery, lens: Lens) -> bool:
    return "day" in query.by or (lens.has_moved and any(key in PLACE_KEYS for key in query.by))


def _cells(rows: Rows, query: ReportQuery, stand: Stand, *, by_day: bool) -> list[Cell]:
    """Return the amounts of the period, from the least table that holds them."""
    first, last = query.from_month, query.to_month
    as_closed = query.basis == "closed"
    if stand.as_of is not None or (by_day and as_closed and reads.closed_months(rows)):
        return reads_amounts.of_entries(rows, first, last, as_closed=as_closed, link=stand.link, by_day=by_day)
    if by_day:
        return reads_amounts.of_days(rows, days_of_month(first).start, days_of_month(last).stop - 1)
    return reads_amounts.of_months(rows, first, last, as_closed=as_closed)


def _told(laid: Laid, its: Group) -> FootprintRow:
    keys = dict(zip(laid.query.by, its.keys, strict=True))
    account = its.account if its.account != RUNS else keys.get("run") or RUNS
    row = _row(laid, its.cells, its.runs, _span_of(laid, its))
    row["account"], row["figure"] = account, laid.name(its)
    return cast("FootprintRow", {**keys, **row})


def _row(laid: Laid, cells: Sequence[Cell], runs: Iterable[str], span: tuple[int, int] | None = None) -> FootprintRow:
    accounts = set(runs)
    start_ms, end_ms = span or laid.span
    until = laid.stand.booked_until_ms or end_ms
    known = [laid.runs[run] for run in accounts if run in laid.runs]
    duration = sum(run.duration_ms(until, start_ms, end_ms) for run in known) if known else None
    return laid.lens.footprint(cells, duration_ms=duration, runs=len(accounts))


def _span_of(laid: Laid, its: Group) -> tuple[int, int]:
    """Return the stretch of time that a row is of: its day or month, or all of the report's."""
    keys = dict(zip(laid.query.by, its.keys, strict=True))
    if day := keys.get("day"):
        start = parse_time(day)
        return start, start + MILLISECONDS_PER_DAY
    if month := keys.get("month"):
        interval = month_interval(parse_month(month))
        return interval.start_ms, interval.end_ms
    return laid.span


def _late_cells(rows: Rows, laid: Laid) -> dict[_Origin, list[Cell]]:
    """Return what was booked in the period for earlier months, by period, month of origin and cause."""
    groups: defaultdict[_Origin, list[Cell]] = defaultdict(list)
    if laid.query.basis == "closed":
        for late in reads_amounts.adjustments(rows, laid.query.from_month, laid.query.to_month, laid.stand.link):
            days = days_of_month(late.month)
            cell = Cell(IDLE, late.source, late.method, days.start, days.stop - 1, late.amounts)
            groups[late.period, late.month, late.cause].append(cell)
    return groups


def _adjustments(laid: Laid, late: Mapping[_Origin, Sequence[Cell]]) -> list[dict[str, Any]]:
    """Return the same as figures: money, energy, CO2e and water that no row above includes."""
    return [
        {
            "period": month_text(period),
            "month": month_text(month),
            "cause": cause,
            **{name: value for name, value in laid.lens.footprint(cells).items() if name in _ADJUSTED},
        }
        for (period, month, cause), cells in late.items()
    ]


def _machines(rows: Rows, laid: Laid) -> list[dict[str, Any]]:
    """Return which hours of each machine the report covers: as long as one of its meters was there, by reading or gap."""
    times: defaultdict[tuple[str, str], int] = defaultdict(int)
    sources: defaultdict[str, set[str]] = defaultdict(set)
    for cell in laid.cells:
        machine = laid.lens.machine(cell)
        if not machine:
            continue  # lines of a bill stand in no machine
        times[machine, cell.source] += cell.amounts[_TIME]
        sources[machine].add(cell.source)
    told = []
    first, last = day_of(laid.span[0]), day_of(laid.span[1] - 1)
    for machine in sorted(sources, key=lambda name: (laid.lens.hosts.get(name, name), name)):
        # The machine's own time where it has that meter, else that of the meter that was there longest.
        best = max(
            sources[machine],
            key=lambda source: (laid.lens.meter(source).component == TIME, times[machine, source], source),
        )
        days = reads_amounts.span_of_days(rows, best, first, last, laid.stand.link)
        told.append(
            {
                "machine": machine,
                "host": laid.lens.hosts.get(machine, machine),
                "covered_hours": times[machine, best] / MILLISECONDS_PER_HOUR,
                "first_day": day_text(days[0]) if days else None,
                "last_day": day_text(days[1]) if days else None,
            }
        )
    return told


def _notes(rows: Rows, laid: Laid, late: Sequence[object]) -> list[str]:
    """Return what a reader has to know: what is only partly known and the command that completes it, what waits, what was cut."""
    notes = [ADJUSTED] if late else []
    if not laid.cells:
        return [*notes, NOTHING_BOOKED]
    notes += [
        f"{name} is known for {value.share:.1%} of what it is of: {value.reason}"
        for name, value in sums_of(laid.lens.portions(laid.cells)).items()
        if value.is_known and value.share is not None and value.share < 1
    ]
    notes += [f"{host} is {said}" for host, said in past_life(laid.lens, laid.cells, PAST_LIFE).items()]
    unlabelled = {run for cell in laid.cells if (run := cell.account) not in RESERVED_ACCOUNTS}.difference(laid.runs)
    if unlabelled:
        notes.append(f"of {len(unlabelled)} runs only their energy is known so far, not their labels")
    if sum(cell.amounts[_UNMETERED] for cell in laid.cells):
        notes.append("what meters did not read is estimated in unmetered_estimate_kwh, and is in no other figure")
    if laid.stand.as_of is None and reads.is_booking_due(rows):
        notes.append("more has arrived than is booked: any joulebook command with access to the book books it")
    sources = sorted({cell.source for cell in laid.cells})
    cut = reads_amounts.overclaimed_hours(rows, sources, hour_of(laid.span[0]), hour_of(laid.span[1] - 1))
    if cut and laid.stand.as_of is None:
        notes.append(f"in {cut} hours runs claimed more than the meter read; their claims were cut to it in proportion")
    return notes
