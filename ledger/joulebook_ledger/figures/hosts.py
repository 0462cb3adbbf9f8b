"""Which machines there are, who reads them, until when all was told, and who still owes a month (CORE §6)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from joulebook_ledger.core.periods import month_of, month_text, next_month, time_text
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.core.vocabulary import RANKS
from joulebook_ledger.store import reads
from joulebook_ledger.store.reads_hosts import readers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from joulebook_ledger.bodies import HostsBody, MachineBody, ReaderBody
    from joulebook_ledger.store.reads_hosts import ReaderInfo
    from joulebook_ledger.store.rows import Rows

ACTIVE, LOST, RETIRED = "active", "lost", "retired"
LOST_AFTER_MS = 7 * MILLISECONDS_PER_DAY
# Two boots of one machine follow each other, but for what their clocks may differ: what overlaps by more is two machines.
CLOCKS_DIFFER_MS = 300_000
CLONED = (
    "{number} boots were up at one time under this one machine: a cloned image, or one name given twice. Their energy is counted apart, each "
    "by its own boot, but they share one place and one name. Give each its own: `rm /etc/machine-id && systemd-machine-id-setup`, or set "
    "JOULEBOOK_MACHINE."
)
_RANK_NAMES = {rank: name for name, rank in RANKS.items()}


def list_hosts(rows: Rows, now_ms: int) -> HostsBody:
    """Return every machine that a reader was heard of, with its readers.

    Args:
        rows: A snapshot of the book.
        now_ms: The ledger's time, milliseconds since the epoch.
    """
    closed = max(reads.closed_months(rows), default=0)
    found = itertools.groupby(readers(rows), key=lambda info: info.machine)
    machines = [_machine(machine, list(infos), now_ms, closed) for machine, infos in found]
    return {"at": time_text(now_ms), "machines": machines}


def clones(rows: Rows) -> list[str]:
    """Return a sentence, with the way out, for each machine whose boots were up at one time."""
    found = itertools.groupby(readers(rows), key=lambda info: info.machine)
    told = [(machine, list(infos)) for machine, infos in found]
    return [
        f"{_host_of(infos) or machine}: {CLONED.format(number=boots_at_once(infos))}"
        for machine, infos in told
        if boots_at_once(infos) > 1
    ]


def state_of(info: ReaderInfo, now_ms: int) -> str:
    """Return whether a reader is active, retired (by its own word or by hand), or lost: silent for seven days."""
    if info.reason or info.state == RETIRED:
        return RETIRED
    return LOST if now_ms - info.last_heard_ms > LOST_AFTER_MS else ACTIVE


def months_owed(info: ReaderInfo, now_ms: int, closed: int) -> list[int]:
    """Return the months that are over and not closed of which a reader has not told everything, yyyymm.

    Args:
        info: The reader.
        now_ms: The ledger's time.
        closed: The last closed month, or 0.
    """
    if state_of(info, now_ms) == RETIRED:
        return []
    month = month_of(info.complete_until_ms or info.first_heard_ms)
    owed = []
    while month < month_of(now_ms):
        if month > closed:
            owed.append(month)
        month = next_month(month)
    return owed


def _machine(machine: str, infos: list[ReaderInfo], now_ms: int, closed: int) -> MachineBody:
    told = [_reader(info, now_ms, closed) for info in infos]
    states = {reader["state"] for reader in told}
    waiting = [info for info in infos if state_of(info, now_ms) != RETIRED]
    least = min(info.complete_until_ms for info in waiting) if waiting else max(i.complete_until_ms for i in infos)
    body: MachineBody = {
        "machine": machine,
        "host": _host_of(infos),
        "state": next(state for state in (LOST, ACTIVE, RETIRED) if state in states),
        "complete_until": _instant(least),
        "last_heard": time_text(max(info.last_heard_ms for info in infos)),
        "owing": sorted({month for reader in told for month in reader["owing"]}),
        "readers": told,
    }
    number = boots_at_once(infos)
    if number > 1:
        body["warning"] = CLONED.format(number=number)
    return body


def _host_of(infos: Sequence[ReaderInfo]) -> str:
    return next((info.host for info in reversed(infos) if info.host), "")


def boots_at_once(infos: Sequence[ReaderInfo]) -> int:
    """Return how many boots of one machine were up at one time: of each what its readers told, from when they were first heard of."""
    spans: dict[str, tuple[int, int]] = {}
    for info in infos:
        if info.boot:
            first, last = spans.get(info.boot, (info.first_heard_ms, 0))
            spans[info.boot] = (
                min(first, info.first_heard_ms),
                max(last, min(info.complete_until_ms, info.last_heard_ms)),
            )
    return max(
        (
            sum(began <= first < last - CLOCKS_DIFFER_MS for began, last in spans.values())
            for first, _ in spans.values()
        ),
        default=0,
    )


def _reader(info: ReaderInfo, now_ms: int, closed: int) -> ReaderBody:
    return {
        "reader": info.reader, "rank": _RANK_NAMES.get(info.rank, str(info.rank)), "boot": info.boot,
        "state": state_of(info, now_ms), "complete_until": _instant(info.complete_until_ms),
        "last_heard": time_text(info.last_heard_ms), "owing": [month_text(m) for m in months_owed(info, now_ms, closed)],
        "retired_because": info.reason or None, "retired_by": info.author or None,
    }  # fmt: skip


def _instant(time_ms: int) -> str | None:
    return time_text(time_ms) if time_ms else None
