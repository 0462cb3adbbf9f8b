"""`joulebook import` and `export` of factors, prices, sites and placements: files in and out, and a bar on a terminal while it takes."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulebook.tables import Page, sentence
from joulebook_ledger.core.factors import PRICE_KINDS
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.desk.sheet import LARGEST_BYTES, read_sheet, written
from joulebook_ledger.queries import FactorsQuery
from joulebook_ledger.register import codecarbon, rows
from joulebook_ledger.register.taking import Taken, stored_factors, take_factors, take_placements, take_sites

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from joulebook.wiring import Door
    from joulebook_ledger.desk.sheet import Line
    from joulebook_ledger.ledger import Ledger
    from joulebook_ledger.register.taking import Step

KINDS = ("factors", "prices", "sites", "placements")
STANDARD_INPUT = "-"
_COLUMNS = {
    "factors": rows.FACTOR_COLUMNS, "prices": rows.FACTOR_COLUMNS, "sites": rows.SITE_COLUMNS, "placements": rows.PLACEMENT_COLUMNS,
}  # fmt: skip
_NEEDED = {
    "factors": rows.NEEDED_OF_FACTORS, "prices": rows.NEEDED_OF_FACTORS, "sites": rows.NEEDED_OF_SITES,
    "placements": rows.NEEDED_OF_PLACEMENTS,
}  # fmt: skip
_OF_FACTORS = {"factors": rows.FACTOR_KINDS, "prices": PRICE_KINDS}
_BAR = 30


def take_in(kind: str, source: str, door: Door) -> dict[str, Any]:
    """Take a file into the book, whole or not at all, and book what it changes.

    Raises:
        BadInput: It cannot be read, or a row of it cannot be taken; the text names file, row and column.
    """
    if kind == "factors" and source == codecarbon.SOURCE:
        data = json.dumps(codecarbon.rows_of_tables(*codecarbon.installed())).encode()
    else:
        data = read(source)
    reading = rows.Reading(
        "standard input" if source == STANDARD_INPUT else Path(source).name, hashlib.sha256(data).hexdigest()
    )
    try:
        lines = read_sheet(data, _NEEDED[kind], [name for name in _COLUMNS[kind] if name not in _NEEDED[kind]])
        _refuse_none(lines)
        del data
        with door.ledger() as ledger:
            taken = _taken(kind, ledger, lines, reading, door)
            entries = ledger.book()
            name = ledger.name
    except BadInput as refusal:
        raise BadInput(f"{reading.file}: {refusal}; nothing was taken in") from None
    return {
        "ledger": name, "kind": kind, "file": reading.file, "rows": taken.rows, "stored": taken.stored,
        "already_stored": taken.rows - taken.stored, "entries_booked": entries, "notes": list(taken.notes),
    }  # fmt: skip


def page(body: dict[str, Any], paper: Page) -> str:
    """Return what was taken in for people."""
    already = body["already_stored"]
    was = f"; {already:,} of them it had already" if already else ""
    booked = f"; {body['entries_booked']:,} entries booked" if body["entries_booked"] else ""
    told = [f"{body['rows']:,} {body['kind']} of {body['file']} are in {body['ledger']}{was}{booked}.", *body["notes"]]
    return "\n".join(sentence(line, paper) for line in told)


def exported(ledger: Ledger, kind: str) -> dict[str, Any]:
    """Return all rows of a kind."""
    if kind in _OF_FACTORS:
        return {"items": [_only(item, kind) for item in stored_factors(ledger, FactorsQuery(kinds=_OF_FACTORS[kind]))]}
    body: Any = ledger.sites()
    return {"items": [_only(item, kind) for item in body["items" if kind == "sites" else "placements"]]}


def as_csv(body: dict[str, Any], kind: str) -> str:
    """Return rows as CSV."""
    return written(body["items"], _COLUMNS[kind])


def write(body: dict[str, Any], kind: str, out: str, *, is_json: bool) -> None:
    """Write rows into a file.

    Raises:
        OSError: It cannot be written.
    """
    text = json.dumps(body, indent=1, ensure_ascii=False) + "\n" if is_json else as_csv(body, kind)
    Path(out).write_text(text, encoding="utf-8")


def _refuse_none(lines: Sequence[Line]) -> None:
    if not lines:
        raise BadInput("it has a header and no row below it")


def read(source: str) -> bytes:
    """Return the bytes of a file, or of the standard input.

    Raises:
        BadInput: It cannot be read, or is far too large.
    """
    try:
        if source == STANDARD_INPUT:
            return sys.stdin.buffer.read(LARGEST_BYTES + 1)
        if Path(source).stat().st_size > LARGEST_BYTES:
            raise BadInput(f"{source} has more than {LARGEST_BYTES} bytes: bring it in parts")
        return Path(source).read_bytes()
    except OSError as error:
        raise BadInput(f"{source} cannot be read: {error.strerror or error}") from None


def _taken(kind: str, ledger: Ledger, lines: Sequence[Line], reading: rows.Reading, door: Door) -> Taken:
    entry = door.entry()
    if kind == "sites":
        return take_sites(ledger, entry, lines, reading)
    if kind == "placements":
        return take_placements(ledger, entry, lines, reading)
    return take_factors(ledger, entry, lines, reading, _OF_FACTORS[kind], _bar(door.err))


def _bar(stream: TextIO) -> Step | None:
    """Return what draws a bar on a terminal; nothing else hears of it."""
    if not stream.isatty():
        return None

    def draw(done: int, of: int) -> None:
        full = _BAR * done // of
        stream.write(f"\r{'#' * full}{'.' * (_BAR - full)} {done:,} of {of:,}{'' if done < of else chr(10)}")
        stream.flush()

    return draw


def _only(item: Any, kind: str) -> dict[str, str]:
    return {name: item[name] for name in _COLUMNS[kind]}
