"""A bill on its way to a service: its files as texts in one JSON body. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeGuard

from joulebook_ledger.bills.importing import TakingBill
from joulebook_ledger.bills.reading import rows_of_text
from joulebook_ledger.core.refusals import BadInput, Malformed
from joulebook_ledger.core.wire import LARGEST_BATCH_BYTES

if TYPE_CHECKING:
    from joulebook_ledger.bills.reading import FileRow

_TEXTS = ("author", "file", "digest", "delivery")
FIELDS = (*_TEXTS, "files")


def body_of_bill(act: TakingBill, rows: Iterable[FileRow]) -> bytes:
    """Return the body that `act_of_body` reads.

    Raises:
        BadInput: It would be larger than a service takes.
    """
    files: list[tuple[str, io.StringIO]] = []
    size = 0
    for file, number, cells in rows:
        if number == 1 or not files:
            files.append((file, io.StringIO(newline="")))
        before = files[-1][1].tell()
        csv.writer(files[-1][1], lineterminator="\n").writerow(cells)
        size += files[-1][1].tell() - before
        if size > LARGEST_BATCH_BYTES:
            raise _too_large()
    listed = [{"name": name, "text": text.getvalue()} for name, text in files]
    body = {name: getattr(act, name) for name in _TEXTS} | {"files": listed}
    content = json.dumps(body, ensure_ascii=False).encode()
    if len(content) > LARGEST_BATCH_BYTES:
        raise _too_large()
    return content


def act_of_body(data: bytes, name: str) -> tuple[TakingBill, Iterator[FileRow]]:
    """Return the act and the rows of a body.

    Args:
        data: The body.
        name: Of the act; no other has it.

    Raises:
        Malformed: It is none.
    """
    try:
        body = json.loads(data)
    except ValueError as error:
        raise Malformed(f"the body is no JSON: {str(error)[:200]}") from None
    if not isinstance(body, dict) or (unknown := sorted(set(body) - set(FIELDS))):
        raise Malformed(
            f"the body is an object with the fields {', '.join(FIELDS)}"
            + (f", not {unknown[0][:60]!r}" if isinstance(body, dict) else "")
        )
    said = {field: body.get(field, "") for field in _TEXTS}
    files = body.get("files")
    if not all(isinstance(text, str) for text in said.values()) or not _are_files(files):
        raise Malformed('author, file, digest and delivery are texts, and files a list of {"name": text, "text": CSV}')
    rows = (row for file in files for row in rows_of_text(file["name"], file["text"]))
    return TakingBill(name=name, **said), rows


def _are_files(files: object) -> TypeGuard[list[dict[str, str]]]:
    return (
        isinstance(files, list)
        and bool(files)
        and all(
            isinstance(its, dict) and {*map(type, its.values())} == {str} and its.keys() == {"name", "text"}
            for its in files
        )
    )


def _too_large() -> BadInput:
    return BadInput(
        f"a service takes a bill of at most {LARGEST_BATCH_BYTES} bytes: import this one where the book itself can be reached, with "
        "JOULEBOOK_LEDGER=postgresql+psycopg://... or on the machine that keeps it"
    )
