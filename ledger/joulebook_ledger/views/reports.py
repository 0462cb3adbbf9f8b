"""Reports of one month or several: rows by any key, idle and untracked of their own, a total, and what all of it stands on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from joulebook_ledger.closing.adjustments import Adjusted, Adjustments
from joulebook_ledger.closing.basis import RunsThen, cells_of, stand_on
from joulebook_ledger.closing.seal import Seal
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
from joulebook_ledger.core.vocabulary import RESERVED_ACCOUNTS
from joulebook_ledger.desk.making import PAST_LIFE
from joulebook_ledger.figures.footprints import PLACE, sums_of
from joulebook_ledger.figures.groups import RUNS, Group, group, spread_idle
from joulebook_ledger.figures.lens import Lens, merged
from joulebook_ledger.figures.stand import Stand
from joulebook_ledger.measures.not_covered import NOT_COVERED
from joulebook_ledger.measures.plausibility import implausible, past_life
from joulebook_ledger.queries import BASES, GROUPINGS, IDLE_RULES
from joulebook_ledger.store import reads, reads_amounts
from joulebook_ledger.store.reads_amounts import Cell
from joulebook_ledger.views.figure_names import ACCOUNT, EXPLAINED, name_of_row

if TYPE_CHECKING:
    from joulebook_ledger.bodies import FootprintRow, ReportBody
    from joulebook_ledger.queries import ReportQuery
    from joulebook_ledger.store.rows import Rows

_TIME = PLACE["time_ms"]
_UNMETERED = PLACE["unmetered_mj"]
_ADJUSTED = frozenset({*EXPLAINED, "currency"})
_CHARGED = frozenset({"cost", "cost_energy", "cost_instance", "currency"})
LONGEST_RANGE_YEARS = 50
ADJUSTED = "adjustments for earlier months are below and in none of the rows above; `charged` is the money with them"
NOTHING_BOOKED = "nothing is booked in this period: measure something with `joulebook run -- python train.py`, or track() in a script"


class Laid(NamedTuple):
    """A report before it is told: its rows as groups of amounts, and all that tells them.

    Attributes:
        query: What was asked.
        lens: What the amounts are of.
        stand: What the report stands on.
        seals: Of its closed months.
        runs: Every run's facts, as they were then.
        groups: The rows, in order.
        cells: All amounts of the period.
        span: First instant and end of the period, milliseconds.
    """

    query: ReportQuery
    lens: Lens
    stand: Stand
    seals: Mapping[int, Seal]
    runs: RunsThen
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

    def stretch(self, closed: int, span: tuple[int, int]) -> tuple[int, int, int]:
        """Return from when to when a span counts cells of a closed month (0: of all open ones), and until when runs are known there."""
        start_ms, end_ms = span
        if closed:
            interval = month_interval(closed)
            until = self.seals[closed].complete_until_ms
            return max(start_ms, interval.start_ms), min(end_ms, interval.end_ms), until or interval.end_ms
        if self.seals:
            start_ms = max(start_ms, month_interval(max(self.seals)).end_ms)
        return start_ms, end_ms, self.stand.booked_until_ms or end_ms


def make_report(rows: Rows, query: ReportQuery) -> ReportBody:
    """Return a report.

    Raises:
        BadInput: A key, basis, rule or link that is none; the message lists what there is.
    """
    laid = lay_report(rows, query)
    stand = laid.stand
    whole = merged(laid.cells)
    total = _row(laid, laid.cells, merged_cells=whole)
    total["figure"] = name_of_row(query, {})
    months = reads_amounts.months_between(query.from_month, query.to_month) if query.basis == "closed" else []
    late = Adjustments(rows, months, query.by, stand)
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
        "adjustments": [_adjustment(laid, late, line) for line in late.lines],
        "machines": _machines(rows, laid, whole),
        "implausible": implausible(laid.lens, whole, laid.span[1] - laid.span[0]),
        "not_covered": list(NOT_COVERED),
        "notes": _notes(rows, laid, whole, late.lines),
    }
    if late.lines:
        charged = late.lens.footprint([*laid.cells, *late.cells()])
        body["charged"] = {name: value for name, value in charged.items() if name in _CHARGED}
    return body


def lay_report(rows: Rows, query: ReportQuery, *, by_day: bool = False) -> Laid:
    """Return a report's rows as groups of amounts, day by day where asked: what `make_report` tells and `why` takes apart."""
    _check(query)
    stand, seals = stand_on(rows, query)
    days = days_of_month(query.from_month).start, days_of_month(query.to_month).stop - 1
    lens = Lens(rows, stand.limit, seals, days)
    cells = cells_of(rows, query, stand, seals, lens, by_day=by_day)
    runs = RunsThen(rows, stand.limit, seals)
    runs.add(cells)
    groups = group(cells, query.by, runs.of, lens)
    if query.idle != "separate":
        groups = spread_idle(groups, query.by, query.idle, lens)
    span = (month_interval(query.from_month).start_ms, month_interval(query.to_month).end_ms)
    return Laid(query, lens, stand, seals, runs, groups, cells, span)


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


def _told(laid: Laid, its: Group) -> FootprintRow:
    keys = dict(zip(laid.query.by, its.keys, strict=True))
    account = its.account if its.account != RUNS else keys.get("run") or RUNS
    row = _row(laid, its.cells, _span_of(laid, its))
    row["account"], row["figure"] = account, laid.name(its)
    return cast("FootprintRow", {**keys, **row})


def _row(
    laid: Laid,
    cells: Sequence[Cell],
    span: tuple[int, int] | None = None,
    *,
    merged_cells: Sequence[Cell] | None = None,
) -> FootprintRow:
    runs = {(cell.closed, cell.account): cell for cell in cells if cell.account not in RESERVED_ACCOUNTS}
    known = {closed_run: facts for closed_run, cell in runs.items() if (facts := laid.runs.of(cell)) is not None}
    duration = 0
    for (closed, _), facts in known.items():
        start_ms, end_ms, until_ms = laid.stretch(closed, span or laid.span)
        duration += facts.duration_ms(until_ms, start_ms, end_ms)
    amounts = cells if merged_cells is None else merged_cells
    return laid.lens.footprint(amounts, duration_ms=duration if known else None, runs=len({run for _, run in runs}))


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


def _adjustment(laid: Laid, late: Adjustments, line: Adjusted) -> dict[str, Any]:
    """Return a line beneath the report as figures: money, energy, CO2e and water that no row above includes."""
    keys = dict(zip(laid.query.by, line.group.keys, strict=True))
    account = line.group.account if line.group.account != RUNS else keys.get("run") or RUNS
    return {
        "period": month_text(line.period),
        "month": month_text(line.month),
        "cause": line.cause,
        **({ACCOUNT: account} if account != RUNS else {}),
        **keys,
        **{name: value for name, value in late.lens.footprint(line.group.cells).items() if name in _ADJUSTED},
    }


def _machines(rows: Rows, laid: Laid, whole: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return which hours of each machine the report covers: as long as one of its meters was there, by reading or gap."""
    times: defaultdict[tuple[str, str], int] = defaultdict(int)
    sources: defaultdict[str, set[str]] = defaultdict(set)
    hosts: dict[str, str] = {}
    for cell in whole:
        machine = laid.lens.machine(cell)
        if not machine:
            continue  # lines of a bill stand in no machine
        hosts[machine] = laid.lens.host(cell)
        times[machine, cell.source] += cell.amounts[_TIME]
        sources[machine].add(cell.source)
    # The machine's own time where it has that meter, else that of the meter that was there longest.
    best = {
        machine: max(
            its, key=lambda source: (laid.lens.meter(source).component == TIME, times[machine, source], source)
        )
        for machine, its in sources.items()
    }
    first, last = day_of(laid.span[0]), day_of(laid.span[1] - 1)
    spans = reads_amounts.spans_of_days(rows, sorted({*best.values()}), first, last, laid.stand.link)
    told = []
    for machine in sorted(sources, key=lambda name: (hosts[name], name)):
        days = spans.get(best[machine])
        told.append(
            {
                "machine": machine,
                "host": hosts[machine],
                "covered_hours": times[machine, best[machine]] / MILLISECONDS_PER_HOUR,
                "first_day": day_text(days[0]) if days else None,
                "last_day": day_text(days[1]) if days else None,
            }
        )
    return told


def _notes(rows: Rows, laid: Laid, whole: Sequence[Cell], late: Sequence[object]) -> list[str]:
    """Return what a reader has to know: what is only partly known and the command that completes it, what waits, what was cut."""
    notes = [ADJUSTED] if late else []
    if not laid.cells:
        return [*notes, NOTHING_BOOKED]
    notes += [
        f"{name} is known for {value.share:.1%} of what it is of: {value.reason}"
        for name, value in sums_of(laid.lens.portions(whole)).items()
        if value.is_known and value.share is not None and value.share < 1
    ]
    notes += [f"{host} is {said}" for host, said in past_life(laid.lens, whole, PAST_LIFE).items()]
    runs = {(cell.closed, cell.account): cell for cell in laid.cells if cell.account not in RESERVED_ACCOUNTS}
    unlabelled = {run for (_, run), cell in runs.items() if laid.runs.of(cell) is None}
    if unlabelled:
        notes.append(f"of {len(unlabelled)} runs only their energy is known so far, not their labels")
    # What closed months or an earlier link stand on is told by those alone; what usage says is of now.
    is_of_now = laid.stand.as_of is None and laid.query.to_month not in laid.seals
    if any(cell.amounts[_UNMETERED] for cell in whole):
        notes.append("what meters did not read is estimated in unmetered_estimate_kwh, and is in no other figure")
    if not is_of_now:
        return notes
    if reads.is_booking_due(rows):
        notes.append("more has arrived than is booked: any joulebook command with access to the book books it")
    sources = sorted({cell.source for cell in whole})
    cut = reads_amounts.overclaimed_hours(rows, sources, hour_of(laid.span[0]), hour_of(laid.span[1] - 1))
    if cut:
        notes.append(f"in {cut} hours runs claimed more than the meter read; their claims were cut to it in proportion")
    return notes
