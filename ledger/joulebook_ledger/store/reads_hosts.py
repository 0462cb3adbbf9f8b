"""What views ask about readers: who they are, what they said last of themselves, and who was retired by hand."""

from __future__ import annotations

from typing import NamedTuple

from joulebook_ledger.store.rows import Rows


class ReaderInfo(NamedTuple):
    """A reader of a machine.

    Attributes:
        reader: Its id.
        machine: Whose boot it watched.
        host: Name for people.
        boot: The kernel's boot id.
        rank: 0 agent, 1 job, 2 import.
        state: active or retired, as its newest batch says.
        first_heard_ms: When its first batch came, by the ledger's clock.
        last_heard_ms: When its newest one did.
        complete_until_ms: All its windows that end before it have been sent.
        reason: Why it was retired by hand; empty where it was not.
        author: Who did.
    """

    reader: str
    machine: str
    host: str
    boot: str
    rank: int
    state: str
    first_heard_ms: int
    last_heard_ms: int
    complete_until_ms: int
    reason: str
    author: str


def readers(rows: Rows) -> list[ReaderInfo]:
    """Return every reader of a machine, by machine and then by when it was first heard of."""
    heard = (
        "SELECT reader, MIN(received_ms) AS first_ms, MAX(received_ms) AS last_ms, MAX(complete_until_ms) AS complete_ms, "
        "MAX(number) AS newest FROM receipt GROUP BY reader"
    )
    sql = (
        "SELECT d.reader, d.machine, d.host, d.boot, d.rank, r.state, h.first_ms, h.last_ms, h.complete_ms, "
        f"COALESCE(t.reason, ''), COALESCE(t.author, '') FROM reader d JOIN ({heard}) h ON h.reader = d.reader "
        "JOIN receipt r ON r.number = h.newest LEFT JOIN retirement t ON t.reader = d.reader WHERE d.machine <> ''"
    )
    found = [ReaderInfo(*row) for row in rows.rows(sql)]
    return sorted(found, key=lambda info: (info.machine.encode(), info.first_heard_ms, info.reader.encode()))
