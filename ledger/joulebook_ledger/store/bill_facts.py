"""Storing deliveries of bills: all of a file in one transaction, a receipt for every ten thousand rows, so that nothing holds all of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.billing import source_of_bill
from joulebook_ledger.core.bills import Totals, totals_text
from joulebook_ledger.core.focus import BillOf, Line, machine_name
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MICRO, MILLISECONDS_PER_DAY
from joulebook_ledger.core.vocabulary import RANKS
from joulebook_ledger.store import bulk, marks
from joulebook_ledger.store.rows import SQLITE, Row, SqlRows, one
from joulebook_ledger.store.shapes import SHAPES, facts_digest, row_text

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROWS_PER_RECEIPT = 10_000
_CANONICAL = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ROW, _DELIVERY = SHAPES["bill_row"], SHAPES["bill_delivery"]


class Act(NamedTuple):
    """Who stores a delivery, when, and what it is called.

    Attributes:
        reader: Id of the act at the desk; no other act has it.
        author: Who.
        now_ms: The ledger's time.
        delivery: Name of the delivery.
        file_name: Of the file that it was read from.
        file_digest: sha256 of that, hex.
    """

    reader: str
    author: str
    now_ms: int
    delivery: str
    file_name: str
    file_digest: str


class Stored(NamedTuple):
    """A delivery as it stands in the book now: `is_new` where this act put it there."""

    bill: BillOf
    rows: int
    is_new: bool


class BillWriter:
    """Takes the lines of a delivery in, in the order of their places.

    Attributes:
        totals: The sums of what was taken in so far.
    """

    def __init__(self, connection: Connection, act: Act) -> None:
        """Begin.

        Args:
            connection: In a transaction that writes; the caller commits it.
            act: Who stores what.
        """
        self._connection = connection
        self._rows = SqlRows(connection)
        self._act = act
        self._waiting: list[Row] = []
        self._known: dict[BillOf, bool] = {}
        self._sequence = 0
        self.totals = Totals()
        if connection.dialect.name != SQLITE:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('joulebook bills'))")

    def add(self, position: int, line: Line) -> None:
        """Take a line in.

        Args:
            position: Its place in the delivery, from 1.
            line: What it says.

        Raises:
            BadInput: The delivery is there with other content, or the bill has two currencies.
        """
        bill = line.bill
        is_new = self._known.get(bill)
        if is_new is None:
            is_new = self._known[bill] = self._is_new(bill)
        self.totals.add(line)
        if not is_new:
            return
        self._waiting.append(
            (
                bill.provider, bill.account, bill.period, self._act.delivery, position, machine_name(line.resource), line.start_ms,
                line.end_ms, line.category, line.effective_text, line.billed_text, _CANONICAL(line.cells), line.invoice,
            )
        )  # fmt: skip
        if len(self._waiting) >= ROWS_PER_RECEIPT:
            self._flush()

    def finish(self, header: str) -> list[Stored]:
        """Put the deliveries themselves under all their rows, which makes them the bills; return what stands in the book now."""
        self._flush()
        found: list[Stored] = []
        deliveries: list[Row] = []
        due: list[marks.Mark] = []
        for bill, totals in self.totals.bills():
            count = sum(total.rows for total in totals.values())
            found.append(Stored(bill, count, self._known[bill]))
            if self._known[bill]:
                first, last = min(kind.start_ms for kind in totals), max(kind.end_ms for kind in totals)
                deliveries.append(
                    (
                        bill.provider, bill.account, bill.period, self._act.delivery, 1, count, bill.currency, self._act.file_name,
                        self._act.file_digest, header, totals_text(totals), first, last,
                    )
                )  # fmt: skip
                due += self._due(bill, first, last)
                self._keep_currency(bill.currency)
        if deliveries:
            self._store(_DELIVERY.table, deliveries, due)
        return found

    def _is_new(self, bill: BillOf) -> bool:
        other = next((its.currency for its in self._known if its[:3] == bill[:3]), "")
        if other:
            raise BadInput(
                f"column 'BillingCurrency': {bill.currency} where rows above have {other}: a bill has one currency"
            )
        sql = (
            "SELECT evidence_digest FROM bill_delivery WHERE provider = :provider AND billing_account = :account"
            " AND billing_period = :period AND delivery = :delivery"
        )
        found = one(
            self._rows, sql, provider=bill.provider, account=bill.account, period=bill.period, delivery=self._act.delivery
        )  # fmt: skip
        if found is not None and found[0] != self._act.file_digest:
            raise BadInput(
                f"delivery {self._act.delivery!r} of {bill.provider}, account {bill.account}, period {bill.period} is in the book with "
                "other content: give this one another name"
            )
        return found is None

    def _due(self, bill: BillOf, first_ms: int, last_ms: int) -> Iterator[marks.Mark]:
        """Yield the mark of the days that this delivery and the one that it replaces charge for."""
        sql = (
            "SELECT MIN(first_ms), MAX(last_ms) FROM bill_delivery WHERE provider = :provider AND billing_account = :account"
            " AND billing_period = :period"
        )
        before = one(self._rows, sql, provider=bill.provider, account=bill.account, period=bill.period)
        if before is not None and before[0] is not None:
            first_ms, last_ms = min(first_ms, before[0]), max(last_ms, before[1])
        source = source_of_bill(bill.provider, bill.account)
        first, last = first_ms // MILLISECONDS_PER_DAY, (last_ms - 1) // MILLISECONDS_PER_DAY
        yield marks.Mark(marks.BILL, source, first, last, "bill")

    def _keep_currency(self, currency: str) -> None:
        """Let the first bill set the currency of a book that has none."""
        if one(self._rows, "SELECT 1 FROM book_setting WHERE name = 'currency'") is None:
            settings = [("currency", currency), ("money_scale", str(MICRO))]
            bulk.insert(self._connection, "book_setting", ("name", "value"), frozenset(), settings, ignore=True)

    def _flush(self) -> None:
        if self._waiting:
            self._store(_ROW.table, self._waiting, [])
            self._waiting = []

    def _store(self, table: str, rows: list[Row], due: list[marks.Mark]) -> None:
        act = self._act
        self._sequence += 1
        reader = []
        if self._sequence == 1:
            reader = [(act.reader, "", "", "", RANKS["import"])]
        texts = [text_of_row(row) for row in rows] if table == _ROW.table else [row_text(table, row) for row in rows]
        texts += [row_text("reader", row) for row in reader]
        columns = {
            "reader": act.reader, "sequence": self._sequence, "part": 0, "received_ms": act.now_ms, "batch_digest": act.file_digest,
            "digest": facts_digest(texts), "facts": len(texts), "state": "retired", "complete_until_ms": act.now_ms, "author": act.author,
        }  # fmt: skip
        numbers = frozenset({"sequence", "part", "received_ms", "facts", "complete_until_ms"})
        bulk.insert(self._connection, "receipt", tuple(columns), numbers, [tuple(columns.values())])
        found = one(
            self._rows, "SELECT number FROM receipt WHERE reader = :reader AND sequence = :sequence AND part = 0",
            reader=act.reader, sequence=self._sequence,
        )  # fmt: skip
        assert found is not None
        for name, stored in (("reader", reader), (table, rows)):
            shape = SHAPES[name]
            with_receipt = [(*row, found[0]) for row in stored]
            bulk.load(self._connection, name, (*shape.columns, "receipt"), with_receipt)
        marks.add(self._connection, int(found[0]), [*due, marks.RECEIPT])


def text_of_row(row: Row) -> str:
    """Return what `row_text` says of a row of a bill; said at once, since there are millions of them."""
    (
        provider, account, period, delivery, position, resource, start, end, category, effective, billed, content, invoice,
    ) = row  # fmt: skip
    text = (
        f"bill_row,{len(provider)}:{provider},{len(account)}:{account},{period},{len(delivery)}:{delivery},{position},"
        f"{len(resource)}:{resource},{start},{end},{len(category)}:{category},{len(effective)}:{effective},{len(billed)}:{billed},"
        f"{len(content)}:{content}"
    )
    return f"{text},invoice={len(invoice)}:{invoice}" if invoice else text
