"""What views ask about runs: their events and scores, without those that a correction voids."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from joulebook_ledger.store.reads import NO_LIMIT, sealed_by, voided
from joulebook_ledger.store.rows import Rows, listed

_MOST_LISTED = 500


class Event(NamedTuple):
    """One event of a run, with its labels and facts read."""

    run: str
    event: str
    kind: str
    at_ms: int
    labels: dict[str, str]
    status: str
    facts: dict[str, int | str]


class ScoreValue(NamedTuple):
    """One score of a run."""

    run: str
    score: str
    name: str
    value: str
    at_ms: int
    step: int | None
    split: str
    unit: str
    lower_is_better: bool | None


def events(rows: Rows, runs: Sequence[str] | None = None, link: int = NO_LIMIT) -> list[Event]:
    """Return the events of runs (of all where none are named), by run, then (time, id); up to a link those sealed by then."""
    sql = (
        "SELECT run, event, kind, at_ms, labels, status, facts FROM run_event WHERE 1 = 1 {} ORDER BY run, at_ms, event"
    )
    gone = voided(rows, "run_event", link)
    found = []
    for only, bound in _chunks("run", runs, link):
        found += [row for row in rows.rows(sql.format(only), **bound) if (row[0], row[1]) not in gone]
    return [
        Event(
            run,
            event,
            kind,
            at_ms,
            json.loads(labels) if labels != "{}" else {},
            status,
            json.loads(facts) if facts != "{}" else {},
        )
        for run, event, kind, at_ms, labels, status, facts in found
    ]


def scores(rows: Rows, runs: Sequence[str] | None = None, link: int = NO_LIMIT) -> list[ScoreValue]:
    """Return the scores of runs, by run and name, then (step, time, id), the last one last."""
    sql = (
        "SELECT run, score, name, value, at_ms, step, split, unit, lower_is_better FROM score WHERE 1 = 1 {} "
        "ORDER BY run, name, split, COALESCE(step, -1), at_ms, score"
    )
    gone = voided(rows, "score", link)
    found: list[ScoreValue] = []
    for only, bound in _chunks("run", runs, link):
        for row in rows.rows(sql.format(only), **bound):
            if (row[0], row[1]) not in gone:
                better = None if row[8] is None else bool(row[8])
                found.append(ScoreValue(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], better))
    return found


def counts(
    rows: Rows, runs: Sequence[str], start_ms: int, end_ms: int, link: int = NO_LIMIT
) -> dict[str, tuple[int, int, int]]:
    """Return the requests, tokens read and tokens written of runs, of counts that began within [start_ms, end_ms)."""
    sql = (
        "SELECT run, count, requests, tokens_in, tokens_out FROM work_count "
        "WHERE start_ms >= :start_ms AND start_ms < :end_ms {}"
    )
    gone = voided(rows, "work_count")
    found: dict[str, tuple[int, int, int]] = {}
    for only, bound in _chunks("run", runs, link):
        for run, count, *numbers in rows.rows(sql.format(only), start_ms=start_ms, end_ms=end_ms, **bound):
            if (run, count) not in gone:
                before = found.get(run, (0, 0, 0))
                found[run] = (before[0] + numbers[0], before[1] + numbers[1], before[2] + numbers[2])
    return found


def started(rows: Rows) -> list[tuple[str, int]]:
    """Return every run that has an event, with the time of its first, newest first; runs that began together by their ids."""
    sql = "SELECT run, MIN(at_ms) AS began FROM run_event GROUP BY run ORDER BY began DESC, run"
    return [(run, began) for run, began in rows.rows(sql)]


def runs_like(rows: Rows, prefix: str) -> list[str]:
    """Return the runs whose id begins with a text."""
    sql = "SELECT DISTINCT run FROM run_event WHERE run >= :low AND run < :high ORDER BY run"
    return [row[0] for row in rows.rows(sql, low=prefix, high=prefix + "\U0010ffff")]


def machines_of(rows: Rows, runs: Sequence[str]) -> dict[str, list[str]]:
    """Return the machines on which each run drew anything."""
    sql = (
        "SELECT DISTINCT b.account, p.machine FROM booked b JOIN placed p ON p.source = b.source AND p.day = b.day "
        "WHERE 1 = 1 {} ORDER BY b.account, p.machine"
    )
    machines: dict[str, list[str]] = {run: [] for run in runs}
    for only, bound in _chunks("b.account", runs, NO_LIMIT):
        for run, machine in rows.rows(sql.format(only), **bound):
            machines[run].append(machine)
    return machines


def _chunks(column: str, runs: Sequence[str] | None, link: int) -> Iterator[tuple[str, dict[str, int | str | None]]]:
    """Yield conditions that together ask for all runs named, and their parameters."""
    sealed, sealed_bound = sealed_by(link)
    bound: dict[str, int | str | None] = {**sealed_bound}
    if runs is None:
        yield sealed, bound
        return
    for start in range(0, len(runs), _MOST_LISTED):
        names, named = listed("run", runs[start : start + _MOST_LISTED])
        yield f"{sealed} AND {column} IN {names}", {**bound, **named}
