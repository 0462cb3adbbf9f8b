"""Facts with a key of their own: meters, run events, scores, counts, places, factors, corrections."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.facts import Correction, Fact, Restatement, Retirement
from joulebook_ledger.core.names import NameMap
from joulebook_ledger.core.periods import month_text
from joulebook_ledger.core.records import Meter, Use, Window
from joulebook_ledger.core.units import MICRO, MILLISECONDS_PER_DAY
from joulebook_ledger.core.wire import Batch
from joulebook_ledger.store import bulk
from joulebook_ledger.store.marks import SOURCE, Mark, of_fact
from joulebook_ledger.store.neighbours import GREATEST_POWER_MW, closed_through
from joulebook_ledger.store.rows import SQLITE, Row, SqlRows, one
from joulebook_ledger.store.shapes import SHAPES, Key, Shape, key_text, row_of
from joulebook_ledger.store.verdicts import ALREADY_STORED, STORED, Verdict, conflict, refused

if TYPE_CHECKING:
    from sqlalchemy import Connection

CURRENCY = "currency"
MONEY_SCALE = "money_scale"
VOIDABLE = (
    "meter_window",
    "meter_use",
    "run_event",
    "score",
    "work_count",
    "site",
    "placement",
    "name_map",
    "factor",
    "restatement",
    "instrument",
)
MARKING: dict[str, type[Any]] = {
    "site": Site, "placement": Placement, "factor": Factor, "restatement": Restatement, "name_map": NameMap,
}  # fmt: skip
# PostgreSQL's index rows end at 2,704 bytes; a use's key is made of a meter, a reader and a run.
LONGEST_KEY_BYTES = 2_400
LONGEST_METER_BYTES = 800


class PlainFacts:
    """Decides all facts of a batch but windows and uses.

    Attributes:
        meters: Every meter that the batch names, stored or sent with it, by id.
        marks: What becomes due by the facts that were accepted.
    """

    def __init__(self, connection: Connection, batch: Batch, accepted: dict[str, list[Row]]) -> None:
        self._rows = SqlRows(connection)
        self._connection = connection
        self._reader = batch.reader.reader
        self._accepted = accepted
        facts = list(batch.facts())
        plain = [row_of(fact, self._reader) for fact in facts if not isinstance(fact, (Window, Use))]
        self._stored = self._stored_rows(plain)
        if connection.dialect.name != SQLITE and any(
            row[: len(s.key)] not in self._stored[s.table] for s, row in plain
        ):
            # Two readers may send the same new fact at once (the ranks of a run): let them do so one after the other.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('joulebook plain facts'))")
            self._stored = self._stored_rows(plain)
        named = {(fact.meter,) for fact in facts if isinstance(fact, (Window, Use))}
        self.meters: dict[str, Row] = {
            key[0]: row for key, row in bulk.stored(self._rows, SHAPES["meter"], named).items()
        }
        self.marks: list[Mark] = []

    def _stored_rows(self, plain: Iterable[tuple[Shape, Row]]) -> dict[str, dict[Key, Row]]:
        keys: dict[str, set[Key]] = {}
        for shape, row in plain:
            keys.setdefault(shape.table, set()).add(shape.key_of(row))
        return {table: bulk.stored(self._rows, SHAPES[table], wanted) for table, wanted in keys.items()}

    def decide(self, fact: Fact) -> Verdict:
        """Return the verdict on a fact."""
        shape, row = row_of(fact, self._reader)
        key = shape.key_of(row)
        found = self._stored[shape.table].get(key)
        if found is not None:
            if isinstance(fact, Meter):
                self.meters[fact.key] = found
            return (
                ALREADY_STORED
                if found == row
                else conflict("other_content", f"{shape.table} {key_text(key)} is stored with other content")
            )
        refusal = self._refusal(fact, key)
        if refusal is not None:
            return refusal
        self._stored[shape.table][key] = row
        self._accepted.setdefault(shape.table, []).append(row)
        self._accept(fact, row)
        return STORED

    def _refusal(self, fact: Fact, key: Key) -> Verdict | None:
        if sum(len(part.encode()) for part in key if isinstance(part, str)) > LONGEST_KEY_BYTES:
            return refused("key_too_long", f"a key has at most {LONGEST_KEY_BYTES} bytes in UTF-8")
        if isinstance(fact, Meter):
            return _refusal_of_meter(fact)
        if isinstance(fact, Factor) and fact.currency:
            return self._refusal_of_currency(fact.currency)
        if isinstance(fact, Correction):
            return self._refusal_of_correction(fact)
        if isinstance(fact, Retirement):
            return self._refusal_of_retirement(fact)
        if isinstance(fact, Restatement):
            return self._refusal_of_restatement(fact)
        return None

    def _accept(self, fact: Fact, row: Row) -> None:
        if isinstance(fact, Meter):
            self.meters[fact.key] = row
        elif isinstance(fact, Correction):
            self.marks += self._marks_of_correction(fact)
        elif mark := of_fact(fact):
            self.marks.append(mark)

    def _refusal_of_currency(self, currency: str) -> Verdict | None:
        """Let the first price set the book's currency for ever; refuse a price in another."""
        asked = "SELECT value FROM book_setting WHERE name = :name"
        if one(self._rows, asked, name=CURRENCY) is None:
            settings = [(CURRENCY, currency), (MONEY_SCALE, str(MICRO))]
            bulk.insert(self._connection, "book_setting", ("name", "value"), frozenset(), settings, ignore=True)
        (of_book,) = one(self._rows, asked, name=CURRENCY) or ("",)
        if of_book == currency:
            return None
        return refused(
            "other_currency", f"this book is kept in {of_book}, not {currency}: convert the price, or keep another book"
        )

    def _refusal_of_correction(self, fact: Correction) -> Verdict | None:
        if fact.table not in VOIDABLE:
            return refused("cannot_be_voided", f"{fact.table!r} is none of: {', '.join(VOIDABLE)}")
        if self._voided_row(fact) is None:
            return refused(
                "no_such_fact",
                f"{fact.table} has no fact {fact.key}: a key is a JSON list of {', '.join(SHAPES[fact.table].key)}",
            )
        return None

    def _refusal_of_retirement(self, fact: Retirement) -> Verdict | None:
        if one(self._rows, "SELECT 1 FROM reader WHERE reader = :reader AND machine <> ''", reader=fact.reader):
            return None
        return refused(
            "no_such_reader", f"no reader {fact.reader!r} of a machine was ever heard of: `joulebook hosts` lists them"
        )

    def _refusal_of_restatement(self, fact: Restatement) -> Verdict | None:
        """Refuse what would bind an open month to factors of today: it takes the newest ones anyway until it is closed."""
        closed = closed_through(self._rows)
        if fact.to_month > closed:
            last = f"the last closed month is {month_text(closed)}" if closed else "no month is closed"
            return refused(
                "month_is_open", f"{month_text(fact.to_month)} is open and takes the newest factors by itself: {last}"
            )
        if one(self._rows, "SELECT 1 FROM link WHERE sequence = :link", link=fact.factors_known) is None:
            return refused("no_such_link", f"factors_known {fact.factors_known} is no link of this book")
        return None

    def _voided_row(self, fact: Correction) -> Row | None:
        shape = SHAPES[fact.table]
        try:
            parts = json.loads(fact.key)
        except ValueError:
            return None
        if not isinstance(parts, list) or len(parts) != len(shape.key) or key_text(parts) != fact.key:
            return None
        if any(
            type(part) is not (int if column in shape.numbers else str)
            for part, column in zip(parts, shape.key, strict=True)
        ):
            return None
        key = tuple(parts)
        return bulk.stored(self._rows, shape, [key]).get(key) or self._stored.get(fact.table, {}).get(key)

    def _marks_of_correction(self, fact: Correction) -> Iterable[Mark]:
        row = self._voided_row(fact)
        assert row is not None
        named = dict(zip(SHAPES[fact.table].columns, row, strict=True))
        if fact.table in {"meter_window", "meter_use"}:
            day = named["start_ms"] // MILLISECONDS_PER_DAY
            yield Mark(SOURCE, named["meter"], day, day, "correction")
        elif fact.table in MARKING:
            mark = of_fact(MARKING[fact.table](**named), cause="correction")
            if mark is not None:
                yield mark


def _refusal_of_meter(fact: Meter) -> Verdict | None:
    if len(fact.key.encode()) > LONGEST_METER_BYTES:
        return refused("key_too_long", f"a meter's id has at most {LONGEST_METER_BYTES} bytes in UTF-8")
    if fact.max_power_mw > GREATEST_POWER_MW:
        return refused("implausible_power", f"max_power_mw {fact.max_power_mw} is above {GREATEST_POWER_MW} (1 GW)")
    return None
