"""What a close sealed is read once by a process, and never taken for what another close sealed."""

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from books import HOUR, KWH, NOVEMBER, Story, run_id

from joulebook_ledger.closing.seal import Shelf
from joulebook_ledger.core.periods import parse_month
from joulebook_ledger.queries import CloseQuery
from joulebook_ledger.store import reads
from joulebook_ledger.store.engine import open_book
from joulebook_ledger.store.rows import Row, Rows

OCTOBER = parse_month("2026-10")


@dataclass
class Watched:
    """A snapshot that notes what it is asked."""

    of: Rows
    asked: list[str] = field(default_factory=list)

    @property
    def dialect(self) -> str:
        """The engine's name."""
        return self.of.dialect

    def rows(self, sql: str, **parameters: Any) -> list[Row]:
        """Return the rows of a statement, and note it."""
        self.asked.append(sql)
        return self.of.rows(sql, **parameters)

    def stream(self, sql: str) -> Any:
        """Yield the rows of a statement, and note it."""
        self.asked.append(sql)
        return self.of.stream(sql)

    @property
    def tables_read(self) -> set[str]:
        """Which of the sealed tables were read."""
        return {table for table in ("close_total", "close_source") if any(table in sql for sql in self.asked)}


def close_with(keeper, energy_mj):
    """Close October with so much energy of one run in it."""
    start = NOVEMBER - 24 * HOUR
    keeper.place()
    story = Story().meter("cpu").run(run_id("r"), start, start + HOUR, model="m")
    story.reading("cpu", start, start + HOUR, energy_mj, {run_id("r"): energy_mj})
    keeper.tell(story.batch(complete_until_ms=NOVEMBER))
    keeper.ledger.close_months(CloseQuery(month=OCTOBER, author="ann"))


def content(shelf, keeper):
    """Return what a shelf says October's close sealed, and which sealed tables it read for that."""
    with closing(open_book(keeper.url)) as book, book.read() as rows:
        watched = Watched(rows)
        link = reads.closed_months(rows)[OCTOBER]
        return shelf.content(watched, OCTOBER, link), watched.tables_read


def test_sealed_contents_are_read_once(keeper):
    """The second question reads neither table and has the same content."""
    close_with(keeper, 2 * KWH)
    shelf = Shelf(most_cells=100)
    first, read = content(shelf, keeper)
    again, read_again = content(shelf, keeper)
    assert first.totals
    assert read == {"close_total", "close_source"}
    assert (again is first, read_again) == (True, set())


def test_another_book_has_another_content(keeper, tmp_path):
    """Two books closed the same month: each has its own amounts, whoever was asked first."""
    other = type(keeper)(f"sqlite:///{tmp_path / 'other.sqlite'}")
    close_with(keeper, 2 * KWH)
    close_with(other, 3 * KWH)
    shelf = Shelf(most_cells=100)
    sums = [sum(cell.amounts[0] for cell in content(shelf, its)[0].totals) for its in (keeper, other) * 2]
    other.ledger.close()
    assert sums[:2] == sums[2:]
    assert sums[0] != sums[1]


@pytest.mark.parametrize(("most_cells", "kept"), [(0, False), (100, True)])
def test_a_shelf_is_bounded(keeper, most_cells, kept):
    """What does not fit is read anew, and is the same."""
    close_with(keeper, 2 * KWH)
    shelf = Shelf(most_cells=most_cells)
    first, _ = content(shelf, keeper)
    again, read_again = content(shelf, keeper)
    assert again.totals == first.totals
    assert (not read_again) == kept
