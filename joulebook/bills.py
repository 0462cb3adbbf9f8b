"""`joulebook import focus`, for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from joulebook.tables import Column, Page, clean, grid, sentence
from joulebook_ledger.bills.importing import taking_of
from joulebook_ledger.bills.reading import rows_of
from joulebook_ledger.core.refusals import BadInput

if TYPE_CHECKING:
    from joulebook.wiring import Door
    from joulebook_ledger.bills.bodies import BillsBody


def take_in(door: Door, source: str, delivery: str, *, json: bool) -> None:
    """Take a file, or all files of a folder, in as one delivery, and book what it changes."""
    entry = door.entry()
    paths = files_of(source)
    act = taking_of(paths, name=entry.name, author=entry.author, delivery=delivery)
    with door.ledger() as ledger:
        body = ledger.take_bill(act, rows_of(paths), door.tell)
        ledger.book()
    door.answer(body, None if json else page(body, door.page))


def files_of(source: str) -> list[Path]:
    """Return a file, or the files of a folder in order of their names; hidden ones are passed over.

    Raises:
        BadInput: There is none.
    """
    path = Path(source)
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith((".", "_")))
    if not found:
        raise BadInput(f"the folder {source} holds no file: nothing was taken in")
    return found


def page(body: BillsBody, paper: Page) -> str:
    """Return what was taken in, bill by bill."""
    columns = [
        Column("PROVIDER", shrinks=True), Column("ACCOUNT", shrinks=True), Column("PERIOD"), Column("DELIVERY", leaves=1),
        Column("ROWS", right=True), Column("BILLED", right=True), Column("EFFECTIVE", right=True), Column(""), Column("IS", leaves=2),
    ]  # fmt: skip
    rows = [
        [
            clean(its["provider"]), clean(its["billing_account"]), its["billing_period"], clean(its["delivery"]), f"{its['rows']:,}",
            its["billed_cost"], its["effective_cost"], its["currency"], its["outcome"].replace("_", " "),
        ]
        for its in body["items"]
    ]  # fmt: skip
    return "\n".join([grid(columns, rows, paper), *(sentence(note, paper, "yellow") for note in body["warnings"])])
