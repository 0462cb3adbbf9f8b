"""Tables that people bring as CSV or JSON: read whole or refused, with the row and the column of what cannot be taken. Pure.

Cells stay the texts that were written, numbers too: what they mean is said by whoever takes them.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar

from joulebook_ledger.core.refusals import BadInput

T = TypeVar("T")
MOST_LINES = 250_000
LARGEST_BYTES = 1 << 27
_MOST_NAMED = 60
_MARKS = ((codecs.BOM_UTF8, "UTF-8"), (codecs.BOM_UTF16_LE, "UTF-16-LE"), (codecs.BOM_UTF16_BE, "UTF-16-BE"))
_DELIMITERS = ",;\t"


class Line(NamedTuple):
    """One row of a sheet.

    Attributes:
        number: Its line in the file, from 1; the header is the first. Of JSON, its place in the list.
        places: Column -> place among the texts, for all columns that the sheet may have; one mapping for all lines.
        texts: Without spaces around them; the last is empty and stands for every column that the sheet has not.
        what: What is counted: line or item.
    """

    number: int
    places: Mapping[str, int]
    texts: Sequence[str]
    what: str = "line"

    def get(self, column: str, default: str = "") -> str:
        """Return the text of a cell, or the default where it is empty."""
        return self.texts[self.places[column]] or default

    def refuse(self, column: str, why: str) -> BadInput:
        """Return the refusal of one cell."""
        place = f", column {column!r}" if column else ""
        return BadInput(f"{self.what} {self.number}{place}: {why}")

    def taken(self, column: str, take: Callable[[str], T]) -> T:
        """Return what a cell means.

        Raises:
            BadInput: It cannot be taken; the message names line and column.
        """
        try:
            return take(self.get(column))
        except BadInput as error:
            raise self.refuse(column, str(error)) from None


def read_sheet(data: bytes, needed: Sequence[str], others: Sequence[str] = ()) -> list[Line]:
    """Return the rows of a CSV file with a header (parted by commas, semicolons or tabs), or of JSON; rows without any text are passed over.

    Args:
        data: The file, in UTF-8, or in UTF-16 with its mark.
        needed: Columns that have to be there.
        others: Columns that may be.

    Raises:
        BadInput: The file is empty, in another encoding, cut off, too long, or its header is not what is needed; nothing of it is taken.
    """
    if len(data) > LARGEST_BYTES:
        raise BadInput(f"the file has more than {LARGEST_BYTES} bytes: bring it in parts")
    text = _text(data)
    if text.lstrip()[:1] in {"[", "{"}:
        return lines_of(_json(text), needed, others)
    return _csv_lines(text, needed, others)


def lines_of(body: object, needed: Sequence[str], others: Sequence[str] = ()) -> list[Line]:
    """Return the rows of JSON: a list of objects, or an object that has it as `items`.

    Raises:
        BadInput: It is none, or an item has a field that no row has, or lacks one.
    """
    items = body.get("items") if isinstance(body, dict) else body
    if not isinstance(items, list):
        raise BadInput('JSON is a list of objects, or {"items": [...]}')
    _refuse_many(items)
    return [_line_of(number, item, needed, others) for number, item in enumerate(items, start=1)]


def written(rows: Iterable[Mapping[str, str]], columns: Sequence[str]) -> str:
    """Return rows as CSV with all columns, so that the form is always one; `read_sheet` reads it back."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _csv_lines(text: str, needed: Sequence[str], others: Sequence[str]) -> list[Line]:
    delimiter = max(_DELIMITERS, key=text.lstrip("\r\n").partition("\n")[0].count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[Line] = []
    header: list[str] = []
    places: dict[str, int] = {}
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not header:
                header = _header(cells, needed, others)
                places = _places(header, needed, others)
                continue
            if len(cells) != len(header):
                raise BadInput(
                    f"line {rows.line_num} has {len(cells)} cells where the header has {len(header)}: is the file cut off, or a comma "
                    "inside a text or a number without quotes around it?"
                )
            lines.append(Line(rows.line_num, places, (*cells, "")))
            _refuse_many(lines)
    except csv.Error as error:
        raise BadInput(f"line {rows.line_num} is no CSV ({error}): is the file cut off?") from None
    if not header:
        raise BadInput(f"the file is empty: it needs a header with the columns {', '.join(needed)}")
    return lines


def _refuse_many(lines: Sequence[object]) -> None:
    if len(lines) > MOST_LINES:
        raise BadInput(f"there are more than {MOST_LINES} rows: bring them in parts")


def _text(data: bytes) -> str:
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "UTF-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: len(mark) + error.start]
        line, byte = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
        raise BadInput(
            f"line {line}, byte {byte} is not {encoding}: save the file as CSV in UTF-8, or run `iconv -t utf-8`"
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise BadInput(f"line {line} holds a zero byte, as UTF-16 without its mark does: save the file in UTF-8")
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise BadInput(f"line {error.lineno}, column {error.colno}: {error.msg}: is the file cut off?") from None
    except RecursionError:
        raise BadInput("the JSON is nested too deeply to be a table") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"an object names {twice[:_MOST_NAMED]!r} twice")
    return dict(pairs)


def _line_of(number: int, item: object, needed: Sequence[str], others: Sequence[str]) -> Line:
    if not isinstance(item, dict):
        raise BadInput(f"item {number} is no object: a row is an object of columns and texts")
    _header([str(name) for name in item], needed, others)
    for name, value in item.items():
        if isinstance(value, (dict, list, bool)):
            raise BadInput(
                f"item {number}, column {str(name)!r}: {str(value)[:_MOST_NAMED]!r} is neither a text nor a number"
            )
    texts = ["" if value is None else str(value).strip() for value in item.values()]
    return Line(number, _places(list(item), needed, others), (*texts, ""), "item")


def _places(header: Sequence[str], needed: Sequence[str], others: Sequence[str]) -> dict[str, int]:
    return {name: header.index(name) if name in header else len(header) for name in (*needed, *others)}


def _header(cells: Sequence[str], needed: Sequence[str], others: Sequence[str]) -> list[str]:
    names = [cell.lower().replace(" ", "_") for cell in cells]
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
        near = get_close_matches(unknown[0], (*needed, *others), n=1)
        meant = f", perhaps {near[0]!r}" if near else ""
        raise BadInput(
            f"the header has an unknown column {unknown[0][:_MOST_NAMED]!r}{meant}: known are {', '.join((*needed, *others))}"
        )
    return names
