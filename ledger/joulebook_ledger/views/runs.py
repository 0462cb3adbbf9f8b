"""Runs: found by a unique beginning of their id, listed page by page, each with its footprint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from joulebook_ledger.core.periods import time_text
from joulebook_ledger.core.refusals import BadInput, NotFound
from joulebook_ledger.core.vocabulary import LABELS, RESERVED_ACCOUNTS, STATUSES
from joulebook_ledger.figures.footprints import PARTS_OF, sums_of
from joulebook_ledger.figures.lens import Lens
from joulebook_ledger.figures.runfacts import RUNNING, UNKNOWN_STATUS, RunFacts, run_facts, unknown_run
from joulebook_ledger.figures.scores import run_scores
from joulebook_ledger.figures.stand import stand_of
from joulebook_ledger.store import reads, reads_amounts, reads_runs
from joulebook_ledger.views.pending import pending_cells

if TYPE_CHECKING:
    from joulebook_ledger.bodies import FootprintRow, RunBody, RunsBody, ScoreBody
    from joulebook_ledger.queries import RunsQuery
    from joulebook_ledger.store.reads_amounts import Cell
    from joulebook_ledger.store.rows import Rows

STARTED = "started"
FIGURES = (
    "energy_kwh", "facility_energy_kwh", "unmetered_estimate_kwh", "held_unused_kwh", "cost", "cost_energy", "cost_instance",
    "co2e_location_kg", "co2e_market_kg", "co2e_embodied_kg", "water_l", "duration_s", "device_hours", "coverage", "measured_share",
)  # fmt: skip
STATUS_WORDS = (RUNNING, *STATUSES, UNKNOWN_STATUS)
MOST_RUNS = 1_000
_NEAREST = 3
_SHOWN = 5
_COMPARED = 2_000


def list_runs(rows: Rows, query: RunsQuery) -> RunsBody:
    """Return a page of runs, newest first or by a figure, greatest first.

    Raises:
        BadInput: A label, status, figure, limit or cursor that is none; the message lists what there is.
    """
    _check(query)
    known = dict(reads_runs.started(rows))
    order = list(known) + [run for run in _booked_runs(rows) if run not in known]
    facts: Mapping[str, RunFacts] = {}
    if query.labels:
        facts = run_facts(reads_runs.events(rows), reads.names(rows))
        order = [run for run in order if _matches(facts.get(run) or unknown_run(run), query.labels)]
    teller = _Teller(rows)
    if query.sort != STARTED:
        figures = teller.figures(order, query.sort)
        order.sort(key=lambda run: -figures[run])
    start = _place_after(order, query.cursor)
    page = order[start : start + query.limit]
    more = start + query.limit < len(order)
    return {"items": teller.bodies(page), "next_cursor": page[-1] if more else None}


def show_run(rows: Rows, run: str) -> RunBody:
    """Return one run by its id, a unique beginning of it, or "" for the last one.

    Raises:
        NotFound: There is no such run.
        BadInput: There are several.
    """
    return _Teller(rows).bodies([find_run(rows, run)], with_pending=True)[0]


def find_run(rows: Rows, text: str) -> str:
    """Return the id of the one run that a text means.

    Raises:
        NotFound: There is none; the nearest are named.
        BadInput: There are several; they are named.
    """
    if text in {"", "last"}:
        newest = reads_runs.started(rows)
        if not newest:
            raise NotFound(
                "there is no run yet: start one with `joulebook run -- python train.py`, or track() in a script"
            )
        return newest[0][0]
    found = sorted({*reads_runs.runs_like(rows, text), *_runs_only(reads_amounts.accounts_like(rows, text))})
    if text in found or len(found) == 1:
        return text if text in found else found[0]
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise BadInput(f"{len(found)} runs begin with {text!r}: {', '.join(found[:_SHOWN])}{more}; give more letters")
    near = _nearest(text, [run for run, _ in reads_runs.started(rows)[:_COMPARED]])
    out = f"the nearest are {', '.join(near)}" if near else "there is no run yet"
    raise NotFound(f"no run begins with {text[:60]!r}: {out}")


class _Teller:
    """Tells runs of one snapshot, all that are asked for with a fixed number of queries."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._lens = Lens(rows)
        self._until_ms = stand_of(rows).booked_until_ms or 0

    def bodies(self, runs: Sequence[str], *, with_pending: bool = False) -> list[RunBody]:
        """Return these runs as bodies, with what is due and not booked yet where asked."""
        facts = run_facts(reads_runs.events(self._rows, runs), reads.names(self._rows))
        cells = self._cells(runs)
        machines = reads_runs.machines_of(self._rows, runs)
        scores: defaultdict[str, list[ScoreBody]] = defaultdict(list)
        for score in run_scores(reads_runs.scores(self._rows, runs)):
            scores[score.run].append(score.body())
        bodies = []
        for run in runs:
            its = facts.get(run) or unknown_run(run)
            waiting = pending_cells(self._rows, self._lens, run) if with_pending else []
            names = dict.fromkeys([*machines[run], *(self._lens.machine(cell) for cell in waiting)])
            hosts = [self._lens.hosts.get(machine, machine) for machine in names]
            body = self._body(its, self.footprint(its, [*cells[run], *waiting]), hosts, scores[run])
            body["provisional"] = body["provisional"] or bool(waiting)
            bodies.append(body)
        return bodies

    def figures(self, runs: Sequence[str], name: str) -> dict[str, float]:
        """Return one figure of every run, to sort by; what is unknown sorts last."""
        if name == "duration_s":
            facts = run_facts(reads_runs.events(self._rows), reads.names(self._rows))
            return {run: facts[run].duration_ms(self._until_ms) if run in facts else -1.0 for run in runs}
        cells = self._cells(None)
        found: dict[str, float] = {}
        for run in runs:
            if name in PARTS_OF:
                its = sums_of(self._lens.portions(cells.get(run, [])), only=name)[name]
                found[run] = float(its.amount) if its.is_known else float("-inf")
            else:
                value = self._lens.footprint(cells.get(run, []))[name]  # type: ignore[literal-required]
                found[run] = float("-inf") if value is None else float(value)
        return found

    def footprint(self, run: RunFacts, cells: Sequence[Cell]) -> FootprintRow:
        """Return the footprint of a run, over all its months."""
        duration = run.duration_ms(self._until_ms) if run.attempts else None
        return self._lens.footprint(cells, account=run.run, figure=f"run:{run.run}", duration_ms=duration, runs=1)

    def _cells(self, runs: Sequence[str] | None) -> defaultdict[str, list[Cell]]:
        cells: defaultdict[str, list[Cell]] = defaultdict(list)
        for cell in reads_amounts.of_accounts(self._rows, runs):
            cells[cell.account].append(cell)
        return cells

    def _body(self, run: RunFacts, footprint: FootprintRow, hosts: list[str], scores: list[ScoreBody]) -> RunBody:
        labels = {**run.labels, "exclude": run.excluded} if run.excluded else run.labels
        return {
            "run": run.run,
            "status": run.status,
            "started_at": None if run.started_ms is None else time_text(run.started_ms),
            "ended_at": None if run.ended_ms is None else time_text(run.ended_ms),
            "labels": dict(sorted(labels.items(), key=_label_order)),
            "facts": run.facts,
            "hosts": hosts,
            "scores": scores,
            "footprint": footprint,
            "provisional": run.status == RUNNING,
        }


def _check(query: RunsQuery) -> None:
    for name, value in query.labels.items():
        if name == "status":
            if value not in STATUS_WORDS:
                raise BadInput(f"status {value[:60]!r} is none of: {', '.join(STATUS_WORDS)}")
        elif name not in LABELS and not name.startswith("tag:"):
            raise BadInput(f"label {name[:60]!r} is none of: {', '.join(LABELS)}, tag:KEY, status")
    if query.sort not in {STARTED, *FIGURES}:
        raise BadInput(f"sort {query.sort[:60]!r} is none of: {STARTED}, {', '.join(FIGURES)}")
    if not 1 <= query.limit <= MOST_RUNS:
        raise BadInput(f"limit must be from 1 to {MOST_RUNS}, not {query.limit}")


def _matches(run: RunFacts, wanted: Mapping[str, str]) -> bool:
    return all((run.status if name == "status" else run.labels.get(name)) == value for name, value in wanted.items())


def _place_after(order: Sequence[str], cursor: str) -> int:
    if not cursor:
        return 0
    if cursor not in order:
        raise BadInput(f"cursor {cursor[:60]!r} is no run of this list: take it from next_cursor of the page before")
    return order.index(cursor) + 1


def _booked_runs(rows: Rows) -> list[str]:
    """Return every run that bears anything: energy whose run's events were lost is shown all the same."""
    return _runs_only(reads_amounts.accounts_like(rows, ""))


def _runs_only(accounts: Sequence[str]) -> list[str]:
    return [account for account in accounts if account not in RESERVED_ACCOUNTS]


def _nearest(text: str, runs: Sequence[str]) -> list[str]:
    from difflib import get_close_matches

    near = get_close_matches(text, runs, n=_NEAREST, cutoff=0.0)
    if len(near) < _NEAREST or not text:
        return near
    # Whoever mistypes the end of a beginning means a run that shares its start.
    return sorted(near, key=lambda run: -_shared(text, run))


def _shared(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _label_order(item: tuple[str, str]) -> tuple[int, str]:
    name = item[0]
    return (LABELS.index(name) if name in LABELS else len(LABELS), name)
