"""`joulebook maps` and `joulebook import map`: which team, cost centre and entity names stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from joulebook.tables import Column, Page, clean, grid
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.desk.maps import map_batch

if TYPE_CHECKING:
    from joulebook_ledger.bodies import MapsBody

__all__ = ["map_batch", "page", "read"]
LARGEST_BYTES = 1 << 24
NOTHING = (
    "No name is mapped yet. Write a CSV file with the columns kind, name, value and valid_from, such as the line\n"
    "account,vis01,vision,2026-11-01\nand take it in: joulebook import map FILE"
)


def read(source: str) -> bytes:
    """Return the bytes of a file.

    Raises:
        BadInput: It cannot be read, or is far too large.
    """
    try:
        if Path(source).stat().st_size > LARGEST_BYTES:
            raise BadInput(f"{source} has more than {LARGEST_BYTES} bytes: that is no map of names")
        return Path(source).read_bytes()
    except OSError as error:
        raise BadInput(f"{source} cannot be read: {error.strerror or error}") from None


def page(body: MapsBody, paper: Page) -> str:
    """Return the map for people."""
    if not body["items"]:
        return NOTHING
    columns = [Column("KIND"), Column("NAME", shrinks=True), Column("STANDS FOR", shrinks=True), Column("FROM")]
    rows = [
        [
            item["kind"], clean(item["name"]), f"{item['to']} {clean(item['value'])}" if item["value"] else "nothing any more",
            (item["valid_from"] or "always").removesuffix("T00:00:00.000Z"),
        ]
        for item in body["items"]
    ]  # fmt: skip
    return grid(columns, rows, paper)
