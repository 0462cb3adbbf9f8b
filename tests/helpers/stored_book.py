"""A book in a database, for tests: batches in, balances out, and plain SQL for those who try to break it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from helpers.closes import close_month
from sqlalchemy import text
from strategies import Life

from joulebook_ledger.bills.bodies import BillsBody
from joulebook_ledger.bills.importing import take_bill, taking_of
from joulebook_ledger.bills.reading import rows_of
from joulebook_ledger.core.factors import Factor
from joulebook_ledger.core.facts import Fact
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.core.records import Reader
from joulebook_ledger.core.wire import Answer, Batch, decode_batch, encode_batch, list_of, to_wire
from joulebook_ledger.store.engine import Book, open_book
from joulebook_ledger.store.facts import store_batch
from joulebook_ledger.store.journal import Booked, book

ACTS = itertools.count(1)
NOW_MS = 1_800_000_000_000
# Children first, so that nothing is left behind that another row names.
EMPTIED = (
    "due", "usage", "placed", "booked", "balance", "posting", "entry", "sealed_receipt", "link", "close_total", "close_figure",
    "close_label", "close_source", "month_close", "meter_window", "meter_use", "run_event", "score", "work_count", "factor", "site", "placement",
    "correction", "retirement", "restatement", "instrument", "allocation", "bill_row", "bill_delivery", "meter", "reader", "receipt", "refused_fact", "archive_manifest",
)  # fmt: skip


class StoredBook:
    """A book that tests fill, look into, and attack."""

    def __init__(self, url: str) -> None:
        self.book: Book = open_book(url)

    def deliver(self, *batches: Batch | bytes, now_ms: int = NOW_MS) -> list[Answer]:
        """Store batches, each in a transaction of its own."""
        answers = []
        for batch in batches:
            with self.book.write() as connection:
                answers.append(
                    store_batch(connection, decode_batch(batch) if isinstance(batch, bytes) else batch, now_ms)
                )
        return answers

    def bill(self, *files: Path, delivery: str = "", name: str = "", now_ms: int = NOW_MS) -> BillsBody:
        """Take the files of a delivery of a bill in."""
        act = taking_of(files, name=name or f"bill-{next(ACTS)}", author="ada", delivery=delivery)
        return take_bill(self.book, act, rows_of(files), now_ms)

    def bring_up_to_date(self, *, by_rule: bool = False, now_ms: int = NOW_MS) -> Booked:
        """Book all that is due."""
        return book(self.book.engine, now_ms, by_rule=by_rule)

    def close_month(
        self, month: int, *, by_rule: bool = False, now_ms: int = NOW_MS, parts: Sequence[str] = ()
    ) -> Booked:
        """Book all that is due and seal a month, whatever is missing in it."""
        return close_month(self.book.engine, month, now_ms, by_rule=by_rule, parts=parts)

    def live(self, life: Life, *, by_rule: bool = False) -> None:
        """Do what happened in a life, in order."""
        for act, what in life.acts:
            if act == "tell":
                self.deliver(what)
            elif act == "close":
                self.close_month(what, by_rule=by_rule)
            else:
                self.bring_up_to_date(by_rule=by_rule)

    def ask(self, sql: str, **parameters: int | str) -> list[tuple]:
        """Return the rows of a SELECT."""
        with self.book.read() as rows:
            return rows.rows(sql, **parameters)

    def run(self, *statements: str, **parameters: int | str) -> None:
        """Run plain SQL in one transaction."""
        with self.book.write() as connection:
            for statement in statements:
                connection.execute(text(statement), {k: v for k, v in parameters.items() if f":{k}" in statement})

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        return self.ask(f"SELECT COUNT(*) FROM {table}")[0][0]

    def booked(self) -> dict[tuple[int, str, str, str], dict[str, int]]:
        """Return (day, source, account, method) -> figures by column, without rows that are 0 throughout."""
        return self._amounts("booked", "day, source, account, method")

    def balances(self) -> dict[tuple, dict[str, int]]:
        """Return (period, month, source, account, method) -> figures by column, without rows that are 0 throughout."""
        return self._amounts("balance", "period, month, source, account, method")

    def journal(self) -> list[tuple]:
        """Return all entries and postings, as rows."""
        entries = self.ask("SELECT source, day, revision, period, digest FROM entry ORDER BY source, day, revision")
        return entries + self.ask("SELECT * FROM posting ORDER BY entry, account, method")

    def _amounts(self, table: str, key: str) -> dict[tuple, dict[str, int]]:
        rows = self.ask(f"SELECT {key}, {', '.join(COLUMNS)} FROM {table}")
        width = len(key.split(","))
        return {row[:width]: dict(zip(COLUMNS, row[width:], strict=True)) for row in rows if any(row[width:])}

    @contextmanager
    def without_laws(self) -> Iterator[None]:
        """Let tests do what nobody may: lift the triggers, then put them back."""
        if self.book.engine.dialect.name == "sqlite":
            found = self.ask("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            self.run(*(f"DROP TRIGGER {name}" for name, _ in found))
            yield
            with self.book.write() as connection:
                for _, sql in found:
                    connection.exec_driver_sql(sql)
            return
        tables = [row[0] for row in self.ask("SELECT DISTINCT event_object_table FROM information_schema.triggers")]
        laws = self.ask(
            "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE NOT t.tgisinternal AND t.tgparentid = 0"
        )
        assert tables
        self.run(*(f'ALTER TABLE "{table}" DISABLE TRIGGER "{law}"' for table, law in laws))
        yield
        self.run(*(f'ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER "{law}"' for table, law in laws))

    def empty(self) -> None:
        """Make the book as new, which is much faster than a new one."""
        with self.without_laws():
            self.run(
                *(f"DELETE FROM {table}" for table in EMPTIED), "DELETE FROM book_setting WHERE name NOT LIKE 'schema%'"
            )

    def close(self) -> None:
        """Let go of connections."""
        self.book.close()


def shuffled(batches: Iterable[bytes], random) -> list[bytes]:
    """Return batches of readers in any order, some of them twice."""
    delivered = list(batches)
    delivered += random.sample(delivered, random.randint(0, len(delivered)))
    random.shuffle(delivered)
    return delivered


DESK = Reader(reader="desk", rank=2, author="ada")


def entered(sequence: int, *facts: Fact) -> bytes:
    """Return the batch of what a person enters."""
    return batch_of(DESK, sequence, facts)


def batch_of(reader: Reader, sequence: int, facts: Iterable[Fact], **envelope: int | str) -> bytes:
    """Return the batch of a reader."""
    lists: dict[str, list[dict[str, object]]] = {}
    for fact in facts:
        lists.setdefault(list_of(fact), []).append(to_wire(fact))
    return encode_batch(reader=reader, sequence=sequence, lists=lists, **envelope)


def tariff(site: str = "site-1", value: int = 200_000, **more: object) -> Factor:
    """Return a price of energy, in micro-units per kWh."""
    said = {"provider": "desk", "version": "v1", "unit": "micro/kWh", "source": "a test", "currency": "EUR"} | more
    return Factor(kind="tariff", object=site, value=value, **said)


def grid(zone: str = "FR", value: int = 50_000_000, **more: object) -> Factor:
    """Return a grid intensity, in micrograms per kWh."""
    said = {"provider": "desk", "version": "v1", "unit": "ug/kWh", "source": "a test"} | more
    return Factor(kind="grid_location", object=zone, value=value, **said)


def pue(site: str = "site-1", value: int = 1_000_000, **more: object) -> Factor:
    """Return a PUE, in parts per million."""
    said = {"provider": "desk", "version": "v1", "unit": "ppm", "source": "a test"} | more
    return Factor(kind="pue", object=site, value=value, **said)
