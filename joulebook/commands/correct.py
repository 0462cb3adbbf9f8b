"""Books: correct. Facts that were wrong are voided, and told again as they should have been."""

from __future__ import annotations

from typing import Annotated

import typer

from joulebook.commands.options import BOOKS, Author, Json, door_of, examples
from joulebook.commands.plain import PlainCommand
from joulebook_ledger.core.refusals import BadInput

app = typer.Typer()
KINDS = "reading, use, event, score, count, site, placement, map, factor, instrument"


@app.command(
    "correct", cls=PlainCommand, rich_help_panel=BOOKS,
    epilog=examples(
        "joulebook correct score run=3f9c… name=accuracy --set value=0.93 --reason 'of the wrong split'",
        "joulebook correct reading reader=8c1f… --set machine=node-2 --reason 'node-2 was told as node-1'",
        "joulebook correct reading meter=boot-1/package-0/5b2e --from 2026-11-05T10:00Z --to 2026-11-05T11:00Z --reason 'a test load' --dry-run",
        "joulebook correct factor kind=tariff object=paris value=360000 --set value=306000 --reason 'digits swapped'",
    ),
)  # fmt: skip
def correct(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"What was wrong: {KINDS}.")],
    where: Annotated[list[str], typer.Argument(metavar="COLUMN=VALUE", help="What the wrong facts say; all of it must be so.")],
    *,
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="COLUMN=VALUE", help="What they should have said.", show_default="they are voided")] = None,
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="Only facts of then or later.", show_default=False)] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Only facts of before then.", show_default=False)] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the books.", show_default=False)] = "",
    author: Author = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show which facts it voids, and write nothing.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Correct facts that were wrong: void them, with reason and author, and tell them again as they should have been.

    Nothing is overwritten: both stand in the book, and the difference is booked, of a closed month as an adjustment of the open one.
    Columns are named and counted as the book holds them (docs/correcting.md). Of a reading, --set machine=NAME says where it was.
    """
    from joulebook.correcting import page
    from joulebook_ledger.queries import Correcting

    door = door_of(context)
    act = Correcting(
        name=door.entry().name, kind=kind, where=_pairs(where), changes=_pairs(changes or []), from_time=since, to_time=until,
        reason=reason, author=door.author(author), dry_run=dry_run,
    )  # fmt: skip
    with door.ledger() as ledger:
        body = ledger.correct(act)
    door.answer(body, None if json else page(body, door.page))


def _pairs(words: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise BadInput(f"{word[:60]!r} is no COLUMN=VALUE")
        if name in pairs:
            raise BadInput(f"{name[:60]} is given twice: give it once")
        pairs[name] = value
    return pairs
