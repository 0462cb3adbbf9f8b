"""What the events of a run add up to: its labels, its status, when it ran (CORE §2). Pure.

A run may have many processes (ranks, nodes) and may be started again after it died. Its processes are counted: `started` and `joined`
open one, `ended` closes one. A stretch in which at least one is open is an attempt; the last attempt says how the run went: failed if
any of its ranks failed, killed if a reader saw one go without an end, running while one is open, else finished. Where the scheduler
has its own word on an attempt that is over (a fact `scheduler_state` of one of its ends), that word holds over what the ranks could see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.periods import Interval, union_ms

if TYPE_CHECKING:
    from joulebook_ledger.core.names import Names
    from joulebook_ledger.store.reads_runs import Event

RUNNING = "running"
FINISHED = "finished"
UNKNOWN_STATUS = "unknown"
_OPENS = frozenset({"started", "joined"})
_WORST_FIRST = ("failed", "killed")
EXCLUDE = "exclude"
SCHEDULER_STATE = "scheduler_state"
# What a scheduler says of a job (Slurm's states, in small letters) -> what became of the run.
SCHEDULER_STATES = {
    "completed": FINISHED, "failed": "failed", "out_of_memory": "failed", "boot_fail": "failed", "node_fail": "killed", "timeout": "killed",
    "deadline": "killed", "preempted": "killed", "cancelled": "killed", "revoked": "killed", "requeued": "killed",
}  # fmt: skip


class RunFacts(NamedTuple):
    """A run as its events tell it.

    Attributes:
        run: Its id.
        labels: The newest of each, an empty value takes a label back; team, cost centre and entity also by the map.
        status: finished, failed, killed, running, or unknown where no event says that it ran.
        started_ms: First sign of it, or None.
        ended_ms: End of the last attempt, or None while it runs.
        attempts: When it ran, without overlaps; an open one has no end.
        facts: What was recorded without being asked: of peaks the greatest, of the rest the last.
        excluded: Why it is left out of rankings; empty where it is not.
    """

    run: str
    labels: dict[str, str]
    status: str
    started_ms: int | None
    ended_ms: int | None
    attempts: tuple[tuple[int, int | None], ...]
    facts: dict[str, int | str]
    excluded: str

    def duration_ms(self, until_ms: int, start_ms: int = 0, end_ms: int | None = None) -> int:
        """Return for how long it ran within [start_ms, end_ms), an open attempt until `until_ms`."""
        pieces = []
        for began, ended in self.attempts:
            first = max(began, start_ms)
            last = max(began, until_ms) if ended is None else ended
            last = last if end_ms is None else min(last, end_ms)
            if last > first:
                pieces.append(Interval(start_ms=first, end_ms=last))
        return union_ms(pieces)


def run_facts(events: Iterable[Event], names: Names) -> dict[str, RunFacts]:
    """Return every run's facts; its events come together, in order of (time, id).

    Args:
        events: What happened to the runs.
        names: Fills team, cost centre and entity where the run's own labels leave them empty.
    """
    return {run: _facts_of(run, list(its), names) for run, its in groupby(events, key=lambda event: event.run)}


def unknown_run(run: str) -> RunFacts:
    """Return the facts of a run of which energy was booked and no event is known."""
    return RunFacts(run, {}, UNKNOWN_STATUS, None, None, (), {}, "")


def _facts_of(run: str, events: Sequence[Event], names: Names) -> RunFacts:
    labels: dict[str, str] = {}
    facts: dict[str, int | str] = {}
    for event in events:
        labels.update(event.labels)
        for name, value in event.facts.items():
            before = facts.get(name)
            if name.startswith("peak_") and isinstance(before, int) and isinstance(value, int):
                facts[name] = max(before, value)
            else:
                facts[name] = value
    labels = {name: value for name, value in labels.items() if value or name == "version"}
    attempts, status = _attempts_of(events)
    started = attempts[0][0] if attempts else None
    labels = names.filled(labels, events[0].at_ms if started is None else started)
    ended = attempts[-1][1] if attempts else None
    return RunFacts(run, labels, status, started, ended, tuple(attempts), facts, labels.pop(EXCLUDE, ""))


def _attempts_of(events: Sequence[Event]) -> tuple[list[tuple[int, int | None]], str]:
    attempts: list[tuple[int, int | None]] = []
    statuses: list[str] = []
    word = ""
    open_now = surplus = 0
    for event in events:
        if event.kind in _OPENS:
            if not open_now:
                attempts.append((event.at_ms, None))
                statuses, surplus, word = [], 0, ""
            open_now += 1
        elif event.kind == "ended":
            statuses.append(event.status)
            word = SCHEDULER_STATES.get(str(event.facts.get(SCHEDULER_STATE, "")), word)
            surplus += not open_now
            open_now = max(0, open_now - 1)
            if not attempts:
                attempts.append((event.at_ms, None))
            if not open_now:
                began, before = attempts[-1]
                attempts[-1] = (began, max(event.at_ms, before or 0))
    if word and not open_now:
        return attempts, word
    return attempts, _status_of(statuses, surplus, is_open=open_now > 0, has_run=bool(attempts))


def _status_of(statuses: Sequence[str], surplus: int, *, is_open: bool, has_run: bool) -> str:
    if not has_run:
        return UNKNOWN_STATUS
    # A process that was held dead and then ended by itself ended twice: its own word counts.
    heard = [status for status in statuses if status != "killed"] if surplus >= statuses.count("killed") else statuses
    for status in _WORST_FIRST:
        if status in heard:
            return status
    return RUNNING if is_open else FINISHED
