"""Instruments of the market-based method: listing and allocating them."""

from __future__ import annotations

from typing import Annotated

import typer

from joulebook.commands.options import BOOKS, Json, door_of, examples, whole
from joulebook.commands.plain import PlainCommand
from joulebook.wiring import refuse_unknown
from joulebook_ledger.core.refusals import BadInput

app = typer.Typer()
_LIST, _ALLOCATE = "list", "allocate"


@app.command(
    "instruments", cls=PlainCommand, rich_help_panel=BOOKS,
    epilog=examples(
        "joulebook instruments", "joulebook instruments --json", "joulebook instruments allocate --dry-run",
        "joulebook instruments allocate --year 2026 --final", "joulebook import instruments certificates.csv",
    ),
)  # fmt: skip
def instruments(
    context: typer.Context,
    verb: Annotated[str, typer.Argument(metavar="list | allocate", show_default=False, help="What is done.")] = _LIST,
    *,
    year: Annotated[str, typer.Option("--year", metavar="YEAR", help="Which year is allocated.", show_default="this one")] = "",
    market: Annotated[str, typer.Option("--market", metavar="ZONE", help="One market alone.", show_default="all")] = "",
    final: Annotated[bool, typer.Option("--final", help="The year's: what was provisional is booked by it, in the open month too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be assigned and store nothing.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """List certificates, contracts and supplier rates: what was assigned where, what is left, what is not used and why; or assign them.

    Allocating gives each month of a market one market-based factor: what instruments cover, and the residual mix for the rest.
    """
    from joulebook.instruments import allocation_page, listing_page
    from joulebook_ledger.queries import AllocateQuery

    door = door_of(context)
    refuse_unknown(verb, "verb", (_LIST, _ALLOCATE))
    if verb == _LIST:
        if year or market or final or dry_run:
            raise BadInput("--year, --market, --final and --dry-run are of `joulebook instruments allocate`")
        with door.ledger() as ledger:
            listing = ledger.instruments()
        door.answer(listing, None if json else listing_page(listing, door.page))
        return
    number = whole(year, "year", 1970, 9999) if year else 0
    query = AllocateQuery(year=number, market=market, final=final, dry_run=dry_run, author=door.entry().author)
    with door.ledger() as ledger:
        body = ledger.allocate(query)
        ledger.book()
    door.answer(body, None if json else allocation_page(body, door.page))
