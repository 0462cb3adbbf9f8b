"""The little language of tests/closings: that of tests/months (`helpers.months`), told to a real book, and what closing adds.

    now TIME                            the book's clock
    run NAME TEAM DATE FROM-TO          a run of a team          label NAME TEAM        it belongs to another
    away READER until DATE              all that the reader told of is complete until then
    gone READER                         the reader is retired
    close YYYY-MM [tolerance PERCENT]   a month is closed, with all open ones before it
    correct KIND COLUMN=VALUE… [set COLUMN=VALUE…]     facts that say so are voided, and told again with other columns
    refused YYYY-MM                     it is not: something is missing
    bill YYYY-MM NAME                   a delivery of a bill: rows `DATE FROM-TO RESOURCE CATEGORY COST [INVOICE]`, - where there is none
    report YYYY[-MM] [current]          what the report by team says: rows `TEAM ENERGY COST`
    beneath YYYY[-MM]                   what stands beneath it: rows `PERIOD MONTH CAUSE TEAM ENERGY COST`

Energy is in joules, money in the book's currency, ? what is unknown. Who is nobody's is called by its account.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from helpers.focus import focus_csv
from helpers.months import FACTS, Month
from helpers.stored_book import StoredBook

from joulebook_ledger.bills.importing import TakingBill
from joulebook_ledger.bills.reading import rows_of_text
from joulebook_ledger.core.events import RunEvent
from joulebook_ledger.core.facts import Retirement
from joulebook_ledger.core.periods import month_interval, parse_month, parse_time, time_text
from joulebook_ledger.core.records import Reader
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.core.wire import Batch, Item
from joulebook_ledger.local import LocalLedger
from joulebook_ledger.queries import CloseQuery, Correcting, ReportQuery

PPM_PER_PERCENT = 10_000
JOULES_PER_KWH = 3_600_000
DESK = Reader(reader="desk", rank=2, author="ann")


@dataclass
class Told(Month):
    """A real book being told."""

    book: StoredBook | None = None
    ledger: LocalLedger | None = None
    now_ms: int = 0
    events: int = 0
    reports: list[Any] = field(default_factory=list)

    def deliver(self, reader: Reader, *facts: object, complete_until_ms: int = 0) -> None:
        """Store facts in a batch of their own."""
        assert self.book is not None
        items = tuple(Item(kind="", index=i, fact=fact) for i, fact in enumerate(facts))
        self.batches.append(
            Batch(reader=reader, sequence=len(self.batches) + 1, items=items, complete_until_ms=complete_until_ms)
        )
        (answer,) = self.book.deliver(self.batches[-1], now_ms=self.now_ms)
        assert {outcome.outcome for outcome in answer.exceptions} <= {"stored_after_close"}, answer.exceptions

    def event(self, run: str, kind: str, at_ms: int, **more: Any) -> None:
        """Store an event of a run."""
        self.events += 1
        self.deliver(DESK, RunEvent(run=run, event=f"e{self.events}", kind=kind, at_ms=at_ms, **more))

    def report(self, period: str, *basis: str) -> Any:
        """Return the report of a month or a year by team, with all booked that is due."""
        assert self.ledger is not None
        self.ledger.book()
        first, last = (parse_month(period),) * 2 if "-" in period else (int(f"{period}01"), int(f"{period}12"))
        return self.ledger.report(
            ReportQuery(from_month=first, to_month=last, by=("team",), basis=basis[0] if basis else "closed")
        )


def tell(text: str, url: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """Act out a file on a fresh book and yield, for every table, (line, rows expected, rows found)."""
    with closing(StoredBook(url)) as stored, closing(LocalLedger(url, clock=lambda: book.now_ms)) as ledger:
        book = Told(book=stored, ledger=ledger)
        yield from _act_out(text, book)


def _act_out(text: str, book: Told) -> Iterator[tuple[int, list[str], list[str]]]:
    lines = [(n, line.partition("#")[0].rstrip()) for n, line in enumerate(text.splitlines(), 1)][1:]
    acts = [(n, line) for n, line in lines if line]
    heads = [i for i, (_, line) in enumerate(acts) if not line[0].isspace()]
    for head, following in zip(heads, [*heads[1:], len(acts)], strict=True):
        number, line = acts[head]
        rows = [" ".join(row.split()) for _, row in acts[head + 1 : following]]
        word, *words = line.split()
        if word in TABLES:
            yield number, rows, TABLES[word](book, words)
        elif word == "bill":
            _bill(book, words, rows)
        else:
            assert not rows, f"line {number}: {word} has no rows"
            (ACTS.get(word) or FACTS[word])(book, words)


def _now(book: Told, words: list[str]) -> None:
    book.now_ms = parse_time(words[0])


def _run(book: Told, words: list[str]) -> None:
    name, team, date, span = words
    start, _, end = span.partition("-")
    book.event(name, "started", parse_time(f"{date}T{start}Z"), labels={"model": name, "team": team})
    book.event(name, "ended", parse_time(end if "T" in end else f"{date}T{end}Z"), status="finished")


def _label(book: Told, words: list[str]) -> None:
    book.event(words[0], "labelled", book.now_ms, labels={"team": words[1]})


def _away(book: Told, words: list[str]) -> None:
    reader, _, until = words
    book.deliver(book.readers[reader], complete_until_ms=parse_time(until))


def _gone(book: Told, words: list[str]) -> None:
    book.deliver(DESK, Retirement(reader=words[0], reason="told", author="ann"))


def _close(book: Told, words: list[str]) -> None:
    assert book.ledger is not None
    month, *options = words
    tolerance = int(options[1]) * PPM_PER_PERCENT if options else CloseQuery().tolerance_ppm
    book.ledger.close_months(CloseQuery(month=parse_month(month), tolerance_ppm=tolerance, author="ann"))


def _bill(book: Told, words: list[str], rows: list[str]) -> None:
    month, name = words
    period = month_interval(parse_month(month))
    lines = [
        _line(row) | {"BillingPeriodStart": time_text(period.start_ms), "BillingPeriodEnd": time_text(period.end_ms)}
        for row in rows
    ]
    text = focus_csv(lines).decode()
    act = TakingBill(
        name=f"bill-{len(book.batches)}-{name}",
        author="ann",
        file=f"{name}.csv",
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )
    assert book.ledger is not None
    book.ledger.take_bill(act, rows_of_text(act.file, text), lambda _: None)


def _line(row: str) -> dict[str, str]:
    date, span, thing, category, cost, *invoice = row.split()
    start, end = span.split("-")
    start_ms = parse_time(f"{date}T{start}Z")
    end_ms = parse_time(f"{date}T00:00Z") + MILLISECONDS_PER_DAY if end == "24:00" else parse_time(f"{date}T{end}Z")
    return {
        "ChargePeriodStart": time_text(start_ms), "ChargePeriodEnd": time_text(end_ms), "ResourceId": thing.strip("-"), "BilledCost": cost,
        "EffectiveCost": cost, "ChargeCategory": category, "InvoiceId": "".join(invoice), "BillingCurrency": "EUR",
    }  # fmt: skip


def _refused(book: Told, words: list[str]) -> None:
    try:
        _close(book, words)
    except BadInput:
        return
    raise AssertionError(f"{words[0]} was closed")


def _correct(book: Told, words: list[str]) -> None:
    assert book.ledger is not None
    kind, *pairs = words
    said = [pair.split("=", 1) for pair in pairs if pair != "set"]
    cut = pairs.index("set") if "set" in pairs else len(pairs)
    book.events += 1
    act = Correcting(
        name=f"c{book.events}", kind=kind, where=dict(said[:cut]), changes=dict(said[cut:]), reason="told", author="ann"
    )
    assert book.ledger.correct(act)["facts"]


def _report(book: Told, words: list[str]) -> list[str]:
    return [" ".join((str(row["team"]), *_amounts(row))) for row in book.report(*words)["rows"]]


def _beneath(book: Told, words: list[str]) -> list[str]:
    return [
        " ".join((row["period"], row["month"], row["cause"], str(row["team"]), *_amounts(row)))
        for row in book.report(*words)["adjustments"]
    ]


def _amounts(row: Any) -> tuple[str, str]:
    energy_kwh = row["energy_kwh"]
    return "?" if energy_kwh is None else str(round(energy_kwh * JOULES_PER_KWH)), str(row["cost"])


ACTS: dict[str, Callable[[Any, list[str]], None]] = {
    "now": _now, "run": _run, "label": _label, "away": _away, "gone": _gone, "close": _close, "refused": _refused,
    "correct": _correct,
}  # fmt: skip
TABLES: dict[str, Callable[[Told, list[str]], list[str]]] = {"report": _report, "beneath": _beneath}
