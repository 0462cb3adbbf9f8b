"""Taking deliveries of bills in: streamed, in one transaction, so that a file is in the book whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.bills.reading import FileRow, digest_of
from joulebook_ledger.core.bills import Totals
from joulebook_ledger.core.focus import FocusRows, amount_text, period_text
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import LONGEST_NAME, require_text
from joulebook_ledger.core.wire import DESK

if TYPE_CHECKING:
    from joulebook_ledger.bills.bodies import BillBody, BillsBody
    from joulebook_ledger.store.bill_facts import BillWriter, Stored
    from joulebook_ledger.store.engine import Book

ROWS_TOLD = 100_000
DIGITS_OF_A_NAME = 16
_DIGEST = re.compile("[0-9a-f]{64}")


class TakingBill(NamedTuple):
    """What is to be taken in.

    Attributes:
        name: Random text that no other act has.
        author: Who takes it in.
        file: Name of the file, or names of the files, that it is read from.
        digest: sha256 of that, hex.
        delivery: What the delivery is called; empty to call it by the digest.
    """

    name: str
    author: str
    file: str
    digest: str
    delivery: str = ""


def taking_of(paths: Sequence[Path], *, name: str, author: str, delivery: str = "") -> TakingBill:
    """Return the act that takes the files of one delivery in.

    Raises:
        BadInput: One of them cannot be read.
    """
    names = ", ".join(path.name for path in paths)[:LONGEST_NAME]
    return TakingBill(name, author, names, digest_of(paths), delivery)


def take_bill(
    book: Book, act: TakingBill, rows: Iterable[FileRow], now_ms: int, told: Callable[[str], None] = lambda _: None
) -> BillsBody:
    """Take all rows of a delivery in, or nothing of them.

    Args:
        book: The book.
        act: Who takes in what.
        rows: Of its files, one after the other.
        now_ms: The ledger's time.
        told: Called now and then with how far it is.

    Raises:
        BadInput: A row cannot be taken; the message names file, row and column, and nothing was stored.
    """
    from joulebook_ledger.store.bill_facts import Act, BillWriter

    require_text(act.delivery, "delivery", longest=LONGEST_NAME, empty=True)
    require_text(act.file, "file")
    if not _DIGEST.fullmatch(act.digest):
        raise BadInput(f"digest {act.digest[:80]!r} is none: it is the sha256 of the file, 64 hexadecimal digits")
    delivery = act.delivery or act.digest[:DIGITS_OF_A_NAME]
    storing = Act(f"{DESK}-{act.name}", act.author, now_ms, delivery, act.file, act.digest)
    reading = _Reading(told)
    with book.write() as connection:
        writer = BillWriter(connection, storing)
        reading.fill(writer, rows)
        stored = writer.finish(json.dumps(reading.header, ensure_ascii=False, separators=(",", ":")))
    return _body(delivery, stored, writer.totals, reading.warnings(writer.totals))


class _Reading:
    """Reads rows below their headers, one file after the other."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._parts: list[FocusRows] = []
        self.header: tuple[str, ...] = ()
        self._place = 0

    def fill(self, writer: BillWriter, rows: Iterable[FileRow]) -> None:
        """Give every line to the writer, with its place."""
        name = ""
        for file, number, cells in rows:
            try:
                if file != name or number == 1:
                    name = file
                    self._begin(cells)
                    continue
                line = self._parts[-1].line(number, cells)
                self._place += 1
                writer.add(self._place, line)
            except BadInput as refusal:
                where = "" if str(refusal).startswith("row ") else f"row {number}, "
                raise BadInput(f"{file}: {where}{refusal}; nothing was taken in") from None
            if self._place % ROWS_TOLD == 0:
                self._told(f"{self._place} rows")
        if not self._place:
            raise BadInput(f"{name or 'the file'}: there is no row below the header; nothing was taken in")

    def warnings(self, totals: Totals) -> list[str]:
        """Return what was read against the letter of the standard, counted."""
        nulls, naive = sum(its.nulls for its in self._parts), sum(its.naive for its in self._parts)
        found = [f"{nulls} cells said NULL and were taken as null"] if nulls else []
        found += [f"in {naive} rows the times name no zone and were taken as UTC"] if naive else []
        found += [
            f"EffectiveCost of {provider} is in whole units of money where its BilledCost is not: it was rounded before it was exported, "
            "and what is charged on by it is not what was billed"
            for provider in totals.rounded()
        ]
        return found

    def _begin(self, cells: list[str]) -> None:
        part = FocusRows(cells)
        if self.header and part.header != self.header:
            raise BadInput(
                "row 1: the columns are not those of the file before it: take files of two forms in one by one"
            )
        self.header = part.header
        self._parts.append(part)


def _body(delivery: str, stored: Sequence[Stored], totals: Totals, warnings: list[str]) -> BillsBody:
    sums = dict(totals.bills())
    items: list[BillBody] = [
        {
            "provider": its.bill.provider, "billing_account": its.bill.account, "billing_period": period_text(its.bill.period),
            "delivery": delivery, "rows": its.rows, "currency": its.bill.currency,
            "billed_cost": amount_text(sum(total.billed for total in sums[its.bill].values())),
            "effective_cost": amount_text(sum(total.effective for total in sums[its.bill].values())),
            "outcome": "stored" if its.is_new else "already_stored",
        }
        for its in stored
    ]  # fmt: skip
    return {"items": items, "warnings": warnings}
