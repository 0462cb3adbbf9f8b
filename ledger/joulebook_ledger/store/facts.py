"""Storing a batch: every item decided by itself, everything in one transaction (CORE §2, Ingest).

Rules of one record were checked when it was made. Here are the rules that need the neighbours: what is stored under the same key, which
windows lie beside it, what its meter can draw, which currency the book has, which months are closed.

A batch that comes again finds its items stored. What had to be retried later, and what then was refused for want of a window, is
decided anew and stored under a further part of the receipt.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from joulebook_ledger.core.facts import Fact
from joulebook_ledger.core.periods import day_of, month_of
from joulebook_ledger.core.records import Use, Window
from joulebook_ledger.core.wire import Answer, Batch, Outcome, Rejected, canonical_bytes, to_wire
from joulebook_ledger.store import bulk, marks
from joulebook_ledger.store.neighbours import Measured, closed_through
from joulebook_ledger.store.plain_facts import PlainFacts
from joulebook_ledger.store.rows import SQLITE, SqlRows, one
from joulebook_ledger.store.shapes import SHAPES, Row, facts_digest, row_text
from joulebook_ledger.store.verdicts import ALREADY_STORED, STORED, STORED_AFTER_CLOSE, Verdict, conflict, refused

if TYPE_CHECKING:
    from sqlalchemy import Connection

KEPT_OUTCOMES = ("refused", "conflicts_with_stored")


def store_batch(connection: Connection, batch: Batch, now_ms: int) -> Answer:
    """Store the facts of a batch and say what became of each item.

    Args:
        connection: In a transaction that writes (`store.engine.writing`); the caller commits it.
        batch: A well-formed batch.
        now_ms: The ledger's time, milliseconds since the epoch.
    """
    rows = SqlRows(connection)
    _alone_with_this_reader(connection, batch)
    parts = _parts(rows, batch)
    verdicts, accepted, due = _decide(connection, batch, now_ms)
    if any(digest != batch.digest for _, digest in parts):
        said = f"batch {batch.sequence} of reader {batch.reader.reader!r} was stored with other content"
        verdicts = [
            conflict("sequence_used_before", said) if v in (STORED, STORED_AFTER_CLOSE) else v for v in verdicts
        ]
        accepted = {}
    elif accepted or not parts:
        _store(connection, batch, now_ms, part=len(parts), accepted=accepted, due=due)
    _keep_refused(connection, batch, verdicts, now_ms)
    return _answer(batch, verdicts)


def _alone_with_this_reader(connection: Connection, batch: Batch) -> None:
    """On PostgreSQL, wait for another delivery of this reader, and make the days that its windows fall into."""
    if connection.dialect.name == SQLITE:
        return
    connection.exec_driver_sql(
        "SELECT pg_advisory_xact_lock(hashtext('joulebook reader'), hashtext(%s))", (batch.reader.reader,)
    )
    days = {day_of(fact.start_ms) for fact in batch.facts() if isinstance(fact, (Window, Use))}
    for day in sorted(days):
        connection.exec_driver_sql("SELECT make_window_day(%s)", (day,))


def _parts(rows: SqlRows, batch: Batch) -> list[Row]:
    return rows.rows(
        "SELECT part, batch_digest FROM receipt WHERE reader = :reader AND sequence = :sequence ORDER BY part",
        reader=batch.reader.reader, sequence=batch.sequence,
    )  # fmt: skip


Accepted = dict[str, list[Row]]


def _decide(connection: Connection, batch: Batch, now_ms: int) -> tuple[list[Verdict], Accepted, list[marks.Mark]]:
    """Return a verdict per item, the rows to store by table, and what becomes due by them."""
    rows = SqlRows(connection)
    accepted: Accepted = {}
    changed = _changed_reader(rows, batch)
    plain = PlainFacts(connection, batch, accepted)
    measured = Measured(rows, batch, plain.meters, accepted, now_ms)
    closed = closed_through(rows)
    verdicts: list[Verdict] = []
    for item in batch.items:
        if isinstance(item.fact, Rejected):
            verdicts.append(refused(item.fact.reason, item.fact.detail))
        elif changed is not None:
            verdicts.append(changed)
        else:
            verdicts.append(_verdict(item.fact, plain, measured))
    due = [*plain.marks, *measured.marks(closed)]
    if closed:
        verdicts = [_after_close(v, item.fact, closed) for v, item in zip(verdicts, batch.items, strict=True)]
    return verdicts, {table: rows for table, rows in accepted.items() if rows}, due


def _verdict(fact: Fact, plain: PlainFacts, measured: Measured) -> Verdict:
    if isinstance(fact, Window):
        return measured.window(fact)
    return measured.use(fact) if isinstance(fact, Use) else plain.decide(fact)


def _after_close(verdict: Verdict, fact: Fact | Rejected, closed: int) -> Verdict:
    late = verdict is STORED and isinstance(fact, (Window, Use)) and month_of(fact.start_ms) <= closed
    return STORED_AFTER_CLOSE if late else verdict


def _changed_reader(rows: SqlRows, batch: Batch) -> Verdict | None:
    """Return the refusal of a reader that now names another machine: its windows would be booked at two places."""
    reader = batch.reader
    found = one(rows, "SELECT machine, boot, rank FROM reader WHERE reader = :reader", reader=reader.reader)
    now = (reader.machine, reader.boot, reader.rank)
    if found is None or found == now or not (reader.machine or found[0]):
        return None
    return refused(
        "reader_changed",
        f"reader {reader.reader!r} was (machine, boot, rank) {found} and now says {now}: take a new reader id",
    )


def _store(
    connection: Connection, batch: Batch, now_ms: int, *, part: int, accepted: Accepted, due: list[marks.Mark]
) -> None:
    reader = batch.reader
    known = one(SqlRows(connection), "SELECT 1 FROM reader WHERE reader = :reader", reader=reader.reader)
    if known is None:
        due = [*due, *_marks_of_name(connection, reader.machine, reader.host)]
        accepted["reader"] = [(reader.reader, reader.machine, reader.boot, reader.host, reader.rank)]
    digest = facts_digest(row_text(table, row) for table, rows in accepted.items() for row in rows)
    number = _add_receipt(connection, batch, now_ms, part, digest, sum(map(len, accepted.values())))
    for table, shape in SHAPES.items():
        stored = sorted(accepted.get(table, ()), key=shape.key_of)
        bulk.insert(
            connection,
            table,
            (*shape.columns, "receipt"),
            shape.numbers | {"receipt"},
            [(*row, number) for row in stored],
        )
    marks.add(connection, number, [*due, marks.RECEIPT])


def _marks_of_name(connection: Connection, machine: str, host: str) -> list[marks.Mark]:
    """Let bills be laid anew where a machine goes by a name for the first time: lines may be of it."""
    rows = SqlRows(connection)
    named = "SELECT 1 FROM reader WHERE machine = :machine AND host = :host LIMIT 1"
    if not machine or one(rows, "SELECT 1 FROM bill_delivery LIMIT 1") is None:
        return []
    if one(rows, named, machine=machine, host=host) is not None:
        return []
    return [marks.Mark(marks.BILL, "", 0, marks.LAST_DAY, "bill")]


def _add_receipt(connection: Connection, batch: Batch, now_ms: int, part: int, digest: str, facts: int) -> int:
    columns = {
        "reader": batch.reader.reader, "sequence": batch.sequence, "part": part, "received_ms": now_ms, "batch_digest": batch.digest,
        "digest": digest, "facts": facts, "state": batch.state, "complete_until_ms": batch.complete_until_ms,
        "author": batch.reader.author,
    }  # fmt: skip
    numbers = frozenset({"sequence", "part", "received_ms", "facts", "complete_until_ms"})
    bulk.insert(connection, "receipt", tuple(columns), numbers, [tuple(columns.values())])
    found = one(
        SqlRows(connection),
        "SELECT number FROM receipt WHERE reader = :reader AND sequence = :sequence AND part = :part",
        reader=batch.reader.reader, sequence=batch.sequence, part=part,
    )  # fmt: skip
    assert found is not None
    return int(found[0])


def _keep_refused(connection: Connection, batch: Batch, verdicts: list[Verdict], now_ms: int) -> None:
    """Keep what did not enter the books aside, for a person to see; the same again is kept once."""
    kept = []
    for item, (outcome, reason, detail) in zip(batch.items, verdicts, strict=True):
        if outcome not in KEPT_OUTCOMES:
            continue
        content = "" if isinstance(item.fact, Rejected) else canonical_bytes(to_wire(item.fact)).decode()
        digest = facts_digest([content, reason, detail])
        kept.append(
            (
                batch.reader.reader,
                batch.sequence,
                item.kind,
                item.index,
                digest,
                content,
                outcome,
                reason,
                detail,
                now_ms,
            )
        )
    columns = (
        "reader",
        "sequence",
        "kind",
        "position",
        "digest",
        "content",
        "outcome",
        "reason",
        "detail",
        "received_ms",
    )
    bulk.insert(
        connection, "refused_fact", columns, frozenset({"sequence", "position", "received_ms"}), kept, ignore=True
    )


def _answer(batch: Batch, verdicts: list[Verdict]) -> Answer:
    exceptions = tuple(
        Outcome(kind=item.kind, index=item.index, outcome=outcome, reason=reason, detail=detail)
        for item, (outcome, reason, detail) in zip(batch.items, verdicts, strict=True)
        if outcome not in {STORED.outcome, ALREADY_STORED.outcome}
    )
    return Answer(counts=dict(Counter(verdict.outcome for verdict in verdicts)), exceptions=exceptions)
