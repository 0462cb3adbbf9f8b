"""A book on each engine, opened as commands open it, and a short way to fill it."""

from collections.abc import Iterator

import pytest
from books import DAY, NOVEMBER

from joulebook_ledger.desk.entering import Entry, Place, init_batch
from joulebook_ledger.local import LocalLedger


class Bookkeeper:
    """A ledger with a clock that only tests move."""

    def __init__(self, url: str) -> None:
        self.now_ms = NOVEMBER + 40 * DAY
        self.url = url
        self.ledger = LocalLedger(url, clock=lambda: self.now_ms)
        self.acts = 0

    def entry(self, at_ms: int | None = None) -> Entry:
        """Return a new act at the desk, each a second after the one before."""
        self.acts += 1
        return Entry(
            name=f"act{self.acts}", at_ms=self.now_ms + self.acts * 1_000 if at_ms is None else at_ms, author="ann"
        )

    def tell(self, *batches: bytes) -> int:
        """Deliver batches of which every item must be stored, book, and return how many entries that added."""
        self.deliver(*batches)
        return self.ledger.book()

    def deliver(self, *batches: bytes) -> None:
        """Deliver batches of which every item must be stored; book nothing."""
        for batch in batches:
            answer = self.ledger.deliver(batch)
            refused = [its for its in answer.exceptions if its.outcome != "stored_after_close"]
            assert not refused, refused

    def place(self, machine: str = "m1", **place: str) -> int:
        """Say where a machine stands: in France, for 0.25 EUR per kWh, unless told otherwise."""
        if not place:
            place = {"zone": "FR", "price_per_kwh": "0.25", "currency": "EUR"}
        return self.tell(init_batch(self.entry(), Place(machine=machine, **place)))


@pytest.fixture
def sqlite_keeper(sqlite_url: str) -> Iterator[Bookkeeper]:
    """Return a fresh book on SQLite alone, for what no engine has a say in: refusals of questions."""
    keeper = Bookkeeper(sqlite_url)
    yield keeper
    keeper.ledger.close()


@pytest.fixture
def keeper(book_url: str) -> Iterator[Bookkeeper]:
    """Return a fresh book with its keeper, once for each engine."""
    keeper = Bookkeeper(book_url)
    yield keeper
    keeper.ledger.close()
