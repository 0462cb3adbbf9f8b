"""Correcting facts: what was wrong is voided by another fact, and told again as it should have been (CORE §2, §7).

Nothing is updated and nothing deleted. All of it happens in one transaction under the book's lock, which also books the difference: in
the month itself while it is open, else as an adjustment of the earliest open one. Where only the effect was asked for it is rolled back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.facts import Correction, Fact
from joulebook_ledger.core.periods import parse_time
from joulebook_ledger.core.records import Reader
from joulebook_ledger.core.refusals import BadInput, NotFound
from joulebook_ledger.core.vocabulary import RANKS
from joulebook_ledger.core.wire import DESK, decode_batch, encode_batch, list_of, to_wire
from joulebook_ledger.correcting.kinds import KINDS, MACHINE, Kind, fact_of
from joulebook_ledger.store import reads, reads_facts
from joulebook_ledger.store.engine import alone
from joulebook_ledger.store.facts import store_batch
from joulebook_ledger.store.journal import BOOK_LOCK, book_within
from joulebook_ledger.store.rows import SqlRows
from joulebook_ledger.store.shapes import key_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from joulebook_ledger.correcting.bodies import CorrectBody, CorrectedBody
    from joulebook_ledger.queries import Correcting
    from joulebook_ledger.store.engine import Book
    from joulebook_ledger.store.rows import Rows
    from joulebook_ledger.store.shapes import Row, Value

MOST = 10_000
_FACTS_PER_BATCH = 2_000
_END_OF_TIME = 1 << 62
_WINDOWS = ("reading", "use")


class Told(NamedTuple):
    """What one reader tells: corrections, and the facts that stand in for what they void.

    Attributes:
        machine: Machine, boot and host that it tells of; empty for what belongs to no machine.
        facts: All of it.
    """

    machine: tuple[str, str, str]
    facts: list[Fact]


def correct(book: Book, act: Correcting, now_ms: int) -> CorrectBody:
    """Void facts and tell them again, or only say which that would be.

    Args:
        book: The book.
        act: What is asked.
        now_ms: The ledger's time, milliseconds since the epoch.

    Raises:
        BadInput: No reason is given, a column is none, too many facts are meant, or what is told instead breaks a rule.
        NotFound: No fact that stands says so.
    """
    if not act.reason:
        raise BadInput(
            "a fact is corrected for a reason: add --reason, such as --reason 'the probe was on another node'"
        )
    if act.kind not in KINDS:
        raise BadInput(f"{act.kind[:60]!r} is no kind of fact that can be corrected: {', '.join(KINDS)}")
    kind = KINDS[act.kind]
    changes = _changes(act, kind)
    with alone(book.engine, BOOK_LOCK) as connection:
        rows = SqlRows(connection)
        book_within(connection, now_ms)
        done_before = reads_facts.voided_by(rows, kind.table, _reader(act))
        found = _found(rows, act, kind, done_before)
        told = [] if done_before else _told(rows, act, kind, found, changes, now_ms)
        for batch in (batch for number, its in enumerate(told) for batch in _batches(act, number, its, now_ms)):
            for outcome in store_batch(connection, decode_batch(batch), now_ms).exceptions:
                if outcome.outcome != "stored_after_close":
                    raise BadInput(f"nothing was corrected: {outcome.detail or outcome.reason or outcome.outcome}")
        done = book_within(connection, now_ms)
        newest = reads.last_link(rows)
        if act.dry_run:
            connection.rollback()
    return {
        "kind": act.kind, "reason": act.reason, "author": act.author, "dry_run": act.dry_run,
        "facts": [_body(kind, row, changes) for row in found], "entries": done.entries,
        "link": None if act.dry_run else newest.sequence, "head": None if act.dry_run else newest.digest,
    }  # fmt: skip


def _changes(act: Correcting, kind: Kind) -> dict[str, Value]:
    """Return what is to be said instead, by column; of windows also the machine that they were of."""
    changes = kind.values(act.changes, (MACHINE,) if act.kind in _WINDOWS else ())
    for name in changes:
        if name in kind.fixed:
            raise BadInput(
                f"{name} says which {act.kind} it is and cannot be changed: void it, and enter the right one"
            )
    return changes


def _found(rows: Rows, act: Correcting, kind: Kind, done_before: frozenset[str]) -> list[Row]:
    """Return the facts that are meant: those that stand, or those that this act voided when it was asked for before."""
    if not act.where:
        raise BadInput(f"say which {act.kind}s are wrong, such as {kind.shape.key[0]}=NAME")
    from_ms = parse_time(act.from_time) if act.from_time else 0
    to_ms = parse_time(act.to_time) if act.to_time else _END_OF_TIME
    time = kind.time if act.from_time or act.to_time else ""
    said = kind.values(act.where)
    gone = reads_facts.voided(rows, kind.table) - done_before
    found = reads_facts.standing(rows, kind.table, said, gone, time=time, from_ms=from_ms, to_ms=to_ms, most=MOST + 1)
    if len(found) > MOST:
        raise BadInput(f"more than {MOST} {act.kind}s say so: correct them in parts, by --from and --to")
    if not found:
        what = ", ".join(f"{name}={value}" for name, value in act.where.items())
        raise NotFound(f"no {act.kind} that stands says {what[:200]}" + (" in that time" if time else ""))
    return [row for row in found if not done_before or key_text(kind.shape.key_of(row)) in done_before]


def _told(
    rows: Rows, act: Correcting, kind: Kind, found: Sequence[Row], changes: Mapping[str, Value], now_ms: int
) -> list[Told]:
    if act.kind in _WINDOWS:
        return _retold(rows, act, kind, found, changes)
    return _anew(act, kind, found, changes, now_ms)


def _void(act: Correcting, kind: Kind, row: Row) -> Correction:
    return Correction(table=kind.table, key=key_text(kind.shape.key_of(row)), reason=act.reason, author=act.author)


def _anew(act: Correcting, kind: Kind, found: Sequence[Row], changes: Mapping[str, Value], now_ms: int) -> list[Told]:
    """Return the corrections of facts with a key of their own, and each fact again under a new one."""
    facts: list[Fact] = [_void(act, kind, row) for row in found]
    for number, row in enumerate(found if changes else ()):
        facts.append(fact_of(kind, {**kind.named(row), **changes, kind.anew: f"{now_ms}-{act.name}-{number}"}))
    return [Told(("", "", ""), facts)]


def _retold(rows: Rows, act: Correcting, kind: Kind, found: Sequence[Row], changes: Mapping[str, Value]) -> list[Told]:
    """Return the corrections of windows or uses, and the windows again with all their uses, as their readers should have told them.

    A use stands in its window: where one is told again, its window and the other uses of it are too.
    """
    if not changes:
        return [Told(("", "", ""), [_void(act, kind, row) for row in found])]
    windows, uses = KINDS["reading"], KINDS["use"]
    meant = {kind.shape.key_of(row) for row in found}
    gone = {kind.table: reads_facts.voided(rows, kind.table) for kind in (windows, uses)}
    by_machine: dict[tuple[str, str, str], list[Fact]] = {}
    for meter, reader, start_ms in dict.fromkeys(key[:3] for key in sorted(meant)):
        at = {"meter": meter, "reader": reader, "start_ms": start_ms}
        machine, boot, host = reads_facts.reader_of(rows, reader) or ("", "", "")
        named = str(changes.get(MACHINE, machine))
        facts = by_machine.setdefault((named, boot, host) if named == machine else (named, "", ""), [])
        for of, record in ((windows, "reading"), (uses, "use")):
            for row in reads_facts.standing(rows, of.table, at, gone[of.table], most=MOST):
                own = changes if record == act.kind and of.shape.key_of(row) in meant else {}
                said = {name: value for name, value in {**of.named(row), **own}.items() if name != MACHINE}
                facts += [_void(act, of, row), fact_of(of, said, without=("reader",))]
    return [Told(machine, facts) for machine, facts in by_machine.items()]


def _reader(act: Correcting) -> str:
    return f"{DESK}-correction-{act.name}-"


def _batches(act: Correcting, number: int, told: Told, now_ms: int) -> Iterator[bytes]:
    machine, boot, host = told.machine
    reader = Reader(
        reader=f"{_reader(act)}{number}", machine=machine, boot=boot, host=host, rank=RANKS["import"], author=act.author
    )
    for sequence, first in enumerate(range(0, len(told.facts), _FACTS_PER_BATCH), start=1):
        lists: dict[str, list[dict[str, object]]] = {}
        for fact in told.facts[first : first + _FACTS_PER_BATCH]:
            lists.setdefault(list_of(fact), []).append(to_wire(fact))
        yield encode_batch(reader=reader, sequence=sequence, state="retired", complete_until_ms=now_ms, lists=lists)


def _body(kind: Kind, row: Row, changes: Mapping[str, Value]) -> CorrectedBody:
    was = kind.named(row)
    return {"was": was, "now": {**was, **changes} if changes else None}
