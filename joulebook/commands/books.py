"""Books: import, factors, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from joulebook import pages
from joulebook.commands.options import BOOKS, Author, Json, door_of, examples, whole
from joulebook.commands.plain import PlainCommand
from joulebook.wiring import Door, refuse_unknown
from joulebook_ledger.core.periods import month_of, parse_month
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.resolution import KINDS
from joulebook_ledger.queries import CloseQuery

app = typer.Typer()
SLURM, MAP, INSTRUMENTS, FOCUS = "slurm", "map", "instruments", "focus"
TABLES = ("factors", "prices", "sites", "placements")
IMPORTS = ("spool", FOCUS, SLURM, MAP, INSTRUMENTS, *TABLES)


@app.command(
    "import", cls=PlainCommand, rich_help_panel=BOOKS,
    epilog=examples(
        "joulebook import spool /shared/joulebook", "joulebook import spool node-17-spool.tar.gz",
        "joulebook import spool /media/stick/spool --final --json", "sacct … | joulebook import slurm -", "joulebook import map teams.csv",
        "joulebook import factors grid-2026.csv", "joulebook import prices tariff.json",
        "joulebook import instruments certificates.csv", "joulebook import focus 2026-11.csv.gz", "joulebook import focus export-folder/",
    ),
)  # fmt: skip
def take_in(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"What is taken in: {', '.join(IMPORTS)}.")],
    source: Annotated[str, typer.Argument(metavar="PATH", help="spool: a drop-box, a copied spool folder, one .batch file, or a tar of them. focus: a bill as CSV, gzip or Parquet, or a folder of its files. slurm: what sacct printed, or -. map: a CSV file. factors, prices, sites, placements, instruments: CSV or JSON, or -; factors also @codecarbon.")],
    *,
    delivery: Annotated[str, typer.Option("--delivery", metavar="NAME", help="focus: what this delivery is called.", show_default="digest of its files")] = "",
    final: Annotated[bool, typer.Option("--final", help="The machine of a copied spool is gone for good: close what it left open.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Take in what readers left in a drop-box, a spool that was carried here, a bill, past jobs of Slurm, or a table of factors or prices; what was taken before changes nothing.

    Nothing is changed or removed where it lies. Of Slurm: `SLURM_TIME_FORMAT=%s sacct --parsable2
    --format=JobID,JobName,Account,Cluster,State,Start,End,ConsumedEnergyRaw`, or `sacct --json`. A map has the columns kind (account,
    namespace, label, team, cost_centre, resource), name, value and, where it is not always, valid_from. A table of factors or prices has the
    columns kind, of, value and unit, and may have those that `joulebook export` writes. Instruments have issuer, instrument, kind
    (certificate, contract, supplier_rate), market, vintage, energy_mwh, g_per_kwh, retired_for, retired_at, attributes and sole.
    A bill has the columns of FOCUS 1.0 to 1.3; per provider, billing account and billing period the newest delivery is the bill.
    """
    if delivery and kind != FOCUS:
        raise BadInput("--delivery names a delivery of a bill: joulebook import focus FILE --delivery NAME")
    if kind == FOCUS:
        from joulebook.bills import take_in as take_in_bill

        take_in_bill(door_of(context), source, delivery, json=json)
        return
    if kind in TABLES:
        take_in_table(door_of(context), kind, source, json=json)
        return
    if kind == MAP:
        take_in_map(door_of(context), source, json=json)
        return
    if kind == INSTRUMENTS:
        from joulebook.instruments import take_in as take_in_instruments

        take_in_instruments(door_of(context), source, json=json)
        return
    if kind == SLURM:
        take_in_jobs(door_of(context), source, json=json)
        return
    from joulebook.carried import body_of, page
    from joulebook_collectors.delivery.carried import take_in as take_carried
    from joulebook_collectors.delivery.dropbox import folder_of

    refuse_unknown(kind, "kind", IMPORTS)
    path = str(Path(folder_of(source)).absolute())
    door = door_of(context)
    with door.ledger() as ledger:
        carried = take_carried(path, ledger, lambda folder: door.memory_of(f"drop-box {folder}"), is_final=final)
        body = body_of(carried, ledger.name, entries=ledger.book())
    door.answer(body, None if json else page(body, path, door.page))


def take_in_jobs(door: Door, source: str, *, json: bool) -> None:
    """Take in past jobs of Slurm."""
    from joulebook import past_jobs

    text = past_jobs.read(source)
    with door.ledger() as ledger:
        body = past_jobs.take_in(text, ledger)
    door.answer(body, None if json else past_jobs.page(body, door.page))


def take_in_table(door: Door, kind: str, source: str, *, json: bool) -> None:
    """Take in a table of factors, prices, sites or placements."""
    from joulebook import tabled

    body = tabled.take_in(kind, source, door)
    door.answer(body, None if json else tabled.page(body, door.page))


def take_in_map(door: Door, source: str, *, json: bool) -> None:
    """Take in which team, cost centre and entity names stand for."""
    from joulebook import maps

    data = maps.read(source)
    with door.ledger() as ledger:
        door.enter(ledger, maps.map_batch(door.entry(), data))
        body = ledger.maps()
    door.answer(body, None if json else maps.page(body, door.page))


@app.command(
    "maps", cls=PlainCommand, rich_help_panel=BOOKS, epilog=examples("joulebook maps", "joulebook maps --json", "joulebook import map teams.csv"),
)  # fmt: skip
def maps(context: typer.Context, *, json: Json = False) -> None:
    """List which team an account, namespace or label stands for, and the cost centre and entity of a team, each from when on."""
    from joulebook.maps import page

    door = door_of(context)
    with door.ledger() as ledger:
        body = ledger.maps()
    door.answer(body, None if json else page(body, door.page))


@app.command(
    "audit", cls=PlainCommand, rich_help_panel=BOOKS, epilog=examples("joulebook audit 2026", "joulebook audit 2026 --out audit.zip --json"),
)  # fmt: skip
def audit(
    context: typer.Context,
    year: Annotated[str, typer.Argument(metavar="YEAR", help="A calendar year in UTC.")],
    *,
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Where to.", show_default="joulebook-audit-YEAR.zip")] = "",
    json: Json = False,
) -> None:  # fmt: skip
    """Write what a reviewer needs of a year into one file: statements, journal, usage, factors, closes, a sample of figures with their trees.

    It holds a script that checks chain, balance and sums with Python's standard library alone: `python3 check.py`.
    """
    from joulebook.auditing import page, write

    door = door_of(context)
    number = whole(year, "year", 1970, 9999)
    with door.ledger() as ledger:
        body = write(ledger, number, out or f"joulebook-audit-{number}.zip", door.tell)
    door.answer(body, None if json else page(body, door.page))


@app.command(
    "restate", cls=PlainCommand, rich_help_panel=BOOKS,
    epilog=examples(
        "joulebook restate --dry-run --reason 'the grid factor of 2025 was revised'",
        "joulebook restate --from 2026-01 --to 2026-06 --kind grid_location --object FR --reason 'revised by RTE'",
        "joulebook restate --undo 3f2a --reason 'the revision was withdrawn'",
    ),
)  # fmt: skip
def restate(
    context: typer.Context,
    *,
    since: Annotated[str, typer.Option("--from", metavar="MONTH", help="First month, YYYY-MM.", show_default="the first closed")] = "",
    until: Annotated[str, typer.Option("--to", metavar="MONTH", help="Last month, YYYY-MM.", show_default="the last closed")] = "",
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help=f"Of factors: {', '.join(KINDS)}.", show_default="every")] = "",
    thing: Annotated[str, typer.Option("--object", metavar="NAME", help="Zone, site or machine of the factors.", show_default="every")] = "",
    provider: Annotated[str, typer.Option("--provider", metavar="NAME", help="Provider of the factors.", show_default="every")] = "",
    known: Annotated[str, typer.Option("--known", metavar="LINK|TIME", help="Factors as known then.", show_default="now")] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the books.", show_default=False)] = "",
    author: Annotated[str, typer.Option("--author", metavar="NAME", help="Who.", show_default="the desk of this host")] = "",
    undo: Annotated[str, typer.Option("--undo", metavar="ID", help="Undo this restatement.", show_default=False)] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it changes per month and year, and write nothing.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Price closed months by the factors known now, as adjustments of the open month; what was closed stays as it was reported.

    Only this changes a closed month once its factors were final. Undone, every figure is again what it was.
    """
    from joulebook.restating import page
    from joulebook_ledger.queries import Restating

    refuse_unknown(kind, "kind", KINDS)
    door = door_of(context)
    entry = door.entry()
    act = Restating(
        name=entry.name, from_month=since, to_month=until, kind=kind, object=thing, provider=provider, known=known, undo=undo,
        reason=reason, author=author or entry.author, dry_run=dry_run,
    )  # fmt: skip
    with door.ledger() as ledger:
        body = ledger.restate(act)
    door.answer(body, None if json else page(body, door.page))


@app.command(
    "reconcile", cls=PlainCommand, rich_help_panel=BOOKS,
    epilog=examples("joulebook reconcile", "joulebook reconcile --month 2026-11", "joulebook reconcile --month 2026-11 --json"),
)  # fmt: skip
def reconcile(
    context: typer.Context,
    *,
    month: Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="Billing periods that begin in it.", show_default="this month")] = "",
    json: Json = False,
) -> None:  # fmt: skip
    """Hold a month's bills against what was metered: estimate by price, bill, difference and its causes, invoices to the cent, commitments.

    Causes: hours (more or fewer than metered), price (other than the price list), not_metered (nobody saw the machine), not_billed (it keeps
    its price), hours_without_a_price, and credits, taxes, fees and adjustments beside usage.
    """
    from joulebook.reconciling import page

    door = door_of(context)
    with door.ledger() as ledger:
        body = ledger.reconcile(parse_month(month) if month else month_of(door.now_ms))
    door.answer(body, None if json else page(body, door.page))


@app.command(
    "close", cls=PlainCommand, rich_help_panel=BOOKS,
    epilog=examples(
        "joulebook close --check", "joulebook close 2026-11 --author 'Ann Example'", "joulebook close --through 2026-12 --tolerance 0.5",
        "joulebook close 2026-11 --check --json",
    ),
)  # fmt: skip
def close(
    context: typer.Context,
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Month, YYYY-MM in UTC.", show_default="the earliest open one")] = "",
    *,
    check: Annotated[bool, typer.Option("--check", help="Write the checklist and close nothing. Exit code 1 where something is missing.")] = False,
    through: Annotated[str, typer.Option("--through", metavar="MONTH", help="Close every open month up to this one, in order.", show_default=False)] = "",
    tolerance: Annotated[str, typer.Option("--tolerance", metavar="PERCENT", help="How much of a month's energy may be missing.")] = "1",
    author: Author = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, such as why something is missing.", show_default=False)] = "",
    json: Json = False,
) -> None:  # fmt: skip
    """Seal a month: its report never changes again, and what arrives later is booked as an adjustment of an open month.

    Every open month before it is closed first. What is missing is estimated from each owing reader's own past; where it is more than
    the tolerance nothing is closed.
    """
    from joulebook.periods import page, tolerance_of

    if month and through:
        raise BadInput("MONTH and --through say the same: give one of them")
    door = door_of(context)
    wanted = month or through
    query = CloseQuery(
        month=parse_month(wanted) if wanted else 0, tolerance_ppm=tolerance_of(tolerance), author=door.author(author), reason=reason
    )  # fmt: skip
    with door.ledger() as ledger:
        body = ledger.check_close(query) if check else ledger.close_months(query)
    door.answer(body, None if json else page(body, door.page))
    if not all(its["can_close"] for its in body["months"]):
        raise typer.Exit(1)


@app.command(
    "verify", cls=PlainCommand, rich_help_panel=BOOKS,
    epilog=examples("joulebook verify", "joulebook verify --head 5f0c2a8e91d3", "joulebook verify --json"),
)  # fmt: skip
def verify(
    context: typer.Context,
    *,
    head: Annotated[str, typer.Option("--head", metavar="DIGEST", help="A head kept elsewhere, as a close printed it.", show_default=False)] = "",
    json: Json = False,
) -> None:  # fmt: skip
    """Prove the book against itself: chain, balance, readings, and every figure derived again. Exit code 1 where it fails.

    Against a head kept elsewhere it proves that nothing sealed by then was rewritten.
    """
    door = door_of(context)
    with door.ledger() as ledger:
        body = ledger.verify(head)
    door.answer(body, None if json else pages.verify(body, door.page))
    if not body["ok"]:
        raise typer.Exit(1)
