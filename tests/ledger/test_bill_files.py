"""Files of bills: the same rows from CSV, gzip and Parquet, and what is wrong with a file said with file and row."""

from __future__ import annotations

import datetime
import gzip
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from books import NOVEMBER
from helpers.focus import focus_csv, focus_table
from helpers.front_door import said

from joulebook_ledger.bills.importing import taking_of
from joulebook_ledger.bills.reading import FileRow, read_rows, rows_of
from joulebook_ledger.core.focus import FocusRows
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.local import LocalLedger

ROWS = [
    {"EffectiveCost": "1.624", "ResourceId": 'a, "b" c', "Tags": ""},
    {"EffectiveCost": "-0.000000001", "ResourceId": "Köln", "Tags": '{"team": "vision"}'},
]


def written(folder: Path, content: bytes) -> Path:
    """Write a file whose name says nothing of its form."""
    path = folder / "bill.dat"
    path.write_bytes(content)
    return path


def test_gzip_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    """A file is told by its first bytes."""
    plain = list(read_rows(written(tmp_path, focus_csv(ROWS))))
    assert list(read_rows(written(tmp_path, gzip.compress(focus_csv(ROWS))))) == plain
    assert list(read_rows(written(tmp_path, b"\xef\xbb\xbf" + focus_csv(ROWS)))) == plain
    assert [row.number for row in plain] == [1, 2, 3]


def test_parquet_says_the_same_lines(tmp_path: Path) -> None:
    """Decimals, instants and maps as their types, in place of texts."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    header, table = focus_table(ROWS)
    typed: dict[str, Callable[[str], object]] = {
        "EffectiveCost": Decimal, "BilledCost": Decimal, "ChargePeriodStart": datetime.datetime.fromisoformat,
        "ChargePeriodEnd": datetime.datetime.fromisoformat,
    }  # fmt: skip
    columns = {
        name: [typed[name](text) if name in typed else text or None for text in texts]
        for name, texts in zip(header, zip(*table, strict=True), strict=True)
    }
    other = tmp_path / "bill.csv"
    other.write_bytes(focus_csv(ROWS))
    path = tmp_path / "bill.dat"
    parquet.write_table(pyarrow.table(columns), path)

    def lines(rows: Iterator[FileRow]) -> list[tuple[object, ...]]:
        first = next(rows)
        reader = FocusRows(first.cells)
        return [reader.line(row.number, row.cells)[:12] for row in rows]

    assert lines(read_rows(path)) == lines(read_rows(other))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadInput, match=r"bill\.dat is no whole Parquet file"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (focus_csv(ROWS).replace("ö".encode(), b"\xf6"), r"bill\.dat: row \d or soon after it is not in UTF-8 \(byte 0xf6\)"),
        (gzip.compress(focus_csv(ROWS * 500))[:-200], r"bill\.dat: after row \d+ the packed file is cut off"),
        (focus_csv(ROWS)[:-40], r"bill\.dat: row 3 has \d+ cells where the header has \d+: the file is cut off"),
        (focus_csv(ROWS).replace(b'"a, ""b"" c"', b'"a, b'), r"bill\.dat: row 2 is no CSV"),
        (b"", r"no row below the header"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_whole_leaves_nothing(tmp_path: Path, content: bytes, told: str) -> None:
    """The command says where; nothing is in the book."""
    with closing(LocalLedger(f"sqlite:///{tmp_path}/book.sqlite", clock=lambda: NOVEMBER)) as ledger:
        code, out, err = said(["import", "focus", str(written(tmp_path, content))], ledger)
        assert (code, out) == (2, "")
        assert re.search(told, err), err
        assert ledger.reconcile(202409)["accounts"] == []


def test_an_import_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    """And is taken in whole when it is begun again."""
    paths = [written(tmp_path, focus_csv(ROWS * 20_000))]

    def interrupted() -> Iterator[FileRow]:
        for row in rows_of(paths):
            if row.number == 30_000:
                raise KeyboardInterrupt
            yield row

    with closing(LocalLedger(f"sqlite:///{tmp_path}/book.sqlite", clock=lambda: NOVEMBER)) as ledger:
        with pytest.raises(KeyboardInterrupt):
            ledger.take_bill(taking_of(paths, name="a", author="ann"), interrupted(), lambda _: None)
        assert ledger.reconcile(202409)["accounts"] == []
        body = ledger.take_bill(taking_of(paths, name="b", author="ann"), rows_of(paths), lambda _: None)
        assert [(its["rows"], its["outcome"]) for its in body["items"]] == [(40_000, "stored")]


def test_the_commands_take_a_bill_in_and_reconcile_it(tmp_path: Path) -> None:
    """As JSON, and for people."""
    with closing(LocalLedger(f"sqlite:///{tmp_path}/book.sqlite", clock=lambda: NOVEMBER)) as ledger:
        path = str(written(tmp_path, focus_csv(ROWS)))
        code, out, _ = said(["import", "focus", path, "--delivery", "final"], ledger)
        assert (code, "1.623999999" in out, "final" in out) == (0, True, True)
        code, out, _ = said(["reconcile", "--month", "2024-09"], ledger)
        assert (code, "Amazon Elastic Compute Cloud" in out, "(none named)" in out) == (0, True, True)
        assert '"effective_cost": "1.623999999"' in said(["reconcile", "--month", "2024-09", "--json"], ledger)[1]
        assert "no bill of this month" in said(["reconcile", "--month", "2024-08"], ledger)[1]
        assert said(["import", "map", path, "--delivery", "x"], ledger)[0] == 2
