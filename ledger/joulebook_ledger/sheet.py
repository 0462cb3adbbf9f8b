"""Tables that people bring as CSV: read whole or refused, with the row and the column of what cannot be taken. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from joulebook_ledger.core.refusals import BadInput

T = TypeVar("T")
_MOST_NAMED = 60


class Line(NamedTuple):
    """One row of a sheet.

    Attributes:
        number: Its line in the file, from 1; the header is the first.
        cells: Column -> text, without spaces around it; empty where the file has no such column.
    """

    number: int
    cells: dict[str, str]

    def refuse(self, column: str, why: str) -> BadInput:
        """Return the refusal of one cell."""
        return BadInput(f"line {self.number}, column {column!r}: {why}")

    def taken(self, column: str, take: Callable[[str], T]) -> T:
        """Return what a cell means.

        Raises:
            BadInput: It cannot be taken; the message names line and column.
        """
        try:
            return take(self.cells[column])
        except BadInput as error:
            raise self.refuse(column, str(error)) from None


def read_sheet(data: bytes, needed: Sequence[str], others: Sequence[str] = ()) -> list[Line]:
    """Return the rows of a CSV file in UTF-8 with a header; rows without any text are passed over.

    Args:
        data: The file.
        needed: Columns that have to be there.
        others: Columns that may be.

    Raises:
        BadInput: The file is empty, in another encoding, cut off, or its header is not what is needed; nothing of it is taken.
    """
    rows = csv.reader(io.StringIO(_text(data), newline=""), strict=True)
    lines: list[Line] = []
    header: list[str] = []
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not header:
                header = _header(cells, needed, others)
                continue
            if len(cells) != len(header):
                raise BadInput(
                    f"line {rows.line_num} has {len(cells)} cells where the header has {len(header)}: is the file cut off, or a comma "
                    "inside a text without quotes around it?"
                )
            named = dict(zip(header, cells, strict=True))
            lines.append(Line(rows.line_num, {name: named.get(name, "") for name in (*needed, *others)}))
    except csv.Error as error:
        raise BadInput(f"line {rows.line_num} is no CSV ({error}): is the file cut off?") from None
    if not header:
        raise BadInput(f"the file is empty: it needs a header with the columns {', '.join(needed)}")
    return lines


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadInput(f"line {line} is not UTF-8: save the file as CSV in UTF-8, or run `iconv -t utf-8`") from None


def _header(cells: Sequence[str], needed: Sequence[str], others: Sequence[str]) -> list[str]:
    names = [cell.lower().replace(" ", "_") for cell in cells]
    if len(names) == 1 and ";" in names[0]:
        raise BadInput("the columns are parted by semicolons: write commas, and a point in decimal numbers")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"the header names the column {twice[:_MOST_NAMED]!r} twice")
    missing = [name for name in needed if name not in names]
    unknown = [name for name in names if name not in {*needed, *others}]
    if missing:
        raise BadInput(
            f"the header lacks the column {missing[0]!r}: it needs {', '.join(needed)}; it may have {', '.join(others)}"
        )
    if unknown:
        raise BadInput(
            f"the header has an unknown column {unknown[0][:_MOST_NAMED]!r}: known are {', '.join((*needed, *others))}"
        )
    return names
