"""The register of the books: factors, prices, sites, and what is written out of it."""

from __future__ import annotations

from typing import Annotated

import typer

from joulebook.commands.options import BOOKS, Json, door_of, examples
from joulebook.commands.plain import PlainCommand
from joulebook.wiring import Door, machine_of, refuse_unknown
from joulebook_ledger.core.factors import CONTROLS, FACTOR_UNITS, PRICE_KINDS
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import OWNERSHIPS

app = typer.Typer()
_LIST, _SET, _FETCH = "list", "set", "fetch"
EXPORTS = ("factors", "prices", "sites", "placements")
_FACTORS = tuple(kind for kind in FACTOR_UNITS if kind not in PRICE_KINDS)
_OTHER = {"factors": "prices", "prices": "factors"}

Words = typer.Argument(metavar="list | set KIND VALUE", show_default=False)
Of = Annotated[
    str,
    typer.Option(
        "--of",
        metavar="OBJECT",
        help="Zone, site or machine; of `set` this machine's where left out.",
        show_default="all",
    ),
]
Kind = Annotated[
    list[str] | None,
    typer.Option("--kind", metavar="KIND", help="Only this kind; may be given several times.", show_default=False),
]
Provider = Annotated[
    str, typer.Option("--provider", metavar="NAME", help="Only what this provider says.", show_default=False)
]
At = Annotated[str, typer.Option("--at", metavar="TIME", help="Only what holds at an instant.", show_default=False)]
Every = Annotated[bool, typer.Option("--every", help="A line for every value, also of long series.")]
Source = Annotated[
    str, typer.Option("--source", metavar="TEXT", help="Where the value comes from.", show_default="declared")
]
Since = Annotated[str, typer.Option("--from", metavar="TIME", help="First instant it holds.", show_default="always")]
Until = Annotated[
    str, typer.Option("--until", metavar="TIME", help="First instant it no longer holds.", show_default="open")
]
Machine = Annotated[
    str,
    typer.Option(
        "--machine",
        metavar="ID",
        help="Only what prices this machine, or the machine that `set` is of.",
        show_default=False,
    ),
]
Currency = Annotated[str, typer.Option("--currency", metavar="CODE", help="Of a price.", show_default="the book's")]


@app.command(
    "factors", cls=PlainCommand, rich_help_panel=BOOKS,
    epilog=examples(
        "joulebook factors", "joulebook factors --of FR --at 2026-11-01T12:00Z --json",
        "joulebook factors set pue 1.15 --source 'operator, 2026'", "joulebook factors set grid_location 32 --of FR",
        "JOULEBOOK_PROVIDERS=gb joulebook factors fetch --of GB --from 2026-11-20 --until 2026-11-21",
    ),
)  # fmt: skip
def factors(
    context: typer.Context,
    words: Annotated[list[str] | None, Words] = None,
    *,
    kind: Kind = None,
    of: Of = "",
    provider: Provider = "",
    at: At = "",
    machine: Machine = "",
    every: Every = False,
    source: Source = "",
    currency: Currency = "",
    since: Since = "",
    until: Until = "",
    json: Json = False,
) -> None:  # fmt: skip
    """List the factors and prices that the book holds, each with unit, validity, source and version; or set one.

    Values that are set are decimal numbers in g CO2e per kWh, litres per kWh, money per kWh or hour, kg CO2e per year, a PUE, a share.
    A table is taken in by `joulebook import factors FILE`. `fetch` asks the live providers that JOULEBOOK_PROVIDERS switches on for the
    hours of which the book has no final value.
    """
    from joulebook import factors as front

    door = door_of(context)
    if words == [_FETCH]:
        _fetch(door, zone=of, since=since, until=until, provider=provider, json=json)
        return
    asked = front.Asked(tuple(kind or ()), of, provider, at, machine)
    value = _words(words, "factors", "pue 1.15")
    if value:
        _set(door, value, of=of, source=source, currency=currency, since=since, until=until, machine=machine)
        asked = front.Asked(of=of, machine=machine or machine_of(door.settings))
    with door.ledger() as ledger:
        body = front.listed(ledger, asked)
    door.answer(body, None if json else front.page(body, door.page, every=every))


@app.command(
    "prices", cls=PlainCommand, rich_help_panel=BOOKS,
    epilog=examples(
        "joulebook prices", "joulebook prices set tariff 0.31 --currency EUR --from 2026-12-01",
        "joulebook prices set instance_price 2.10 --of gpu-node-3", "joulebook import prices spot.csv",
    ),
)  # fmt: skip
def prices(
    context: typer.Context,
    words: Annotated[list[str] | None, Words] = None,
    *,
    of: Of = "",
    provider: Provider = "",
    at: At = "",
    machine: Machine = "",
    every: Every = False,
    source: Source = "",
    currency: Currency = "",
    since: Since = "",
    until: Until = "",
    json: Json = False,
) -> None:  # fmt: skip
    """List the prices of electricity and of machines' hours; or set one: KIND is tariff (per kWh) or instance_price (per hour)."""
    from joulebook import factors as front

    door = door_of(context)
    value = _words(words, "prices", "tariff 0.31")
    if value:
        refuse_unknown(value[0], "kind", PRICE_KINDS)
        _set(door, value, of=of, source=source, currency=currency, since=since, until=until, machine=machine)
    with door.ledger() as ledger:
        body = front.listed(ledger, front.Asked(PRICE_KINDS, of, provider, at, machine))
    door.answer(body, None if json else front.page(body, door.page, every=every))


@app.command(
    "sites", cls=PlainCommand, rich_help_panel=BOOKS,
    epilog=examples(
        "joulebook sites", "joulebook sites set paris --zone FR --pue 1.25 --machine gpu-node-3",
        "joulebook sites set aws-paris --provider aws --region eu-west-3", "joulebook sites set hall-2 --ownership colocated --control own",
    ),
)  # fmt: skip
def sites(
    context: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(metavar="list | set SITE", show_default=False)] = None,
    *,
    zone: Annotated[str, typer.Option("--zone", metavar="CODE", help="Grid zone.", show_default="that of the cloud's region")] = "",
    ownership: Annotated[str, typer.Option("--ownership", metavar="WORD", help=f"{', '.join(OWNERSHIPS)}.", show_default="what it is, else owned")] = "",
    provider: Annotated[str, typer.Option("--provider", metavar="NAME", help="Whose cloud or data centre: aws, gcp, azure, ...", show_default=False)] = "",
    region: Annotated[str, typer.Option("--region", metavar="NAME", help="The cloud's region.", show_default=False)] = "",
    control: Annotated[str, typer.Option("--control", metavar="WORD", help=f"{' or '.join(CONTROLS[1:])}: who decides on a colocated site's energy.", show_default=False)] = "",
    pue: Annotated[str, typer.Option("--pue", metavar="NUMBER", help="Energy of the facility per energy of IT.", show_default=False)] = "",
    water: Annotated[str, typer.Option("--water", metavar="L_PER_KWH", help="Water that the site evaporates (WUE).", show_default=False)] = "",
    since: Since = "",
    machine: Annotated[list[str] | None, typer.Option("--machine", metavar="ID", help="A machine that stands there; may be given several times.", show_default=False)] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """List the sites with their zone, owner, PUE, water and machines; or describe one, and say which machines stand there."""
    from joulebook import sites as front

    door = door_of(context)
    verb, *rest = words or [_LIST]
    refuse_unknown(verb, "verb", (_LIST, _SET))
    if len(rest) != (1 if verb == _SET else 0):
        raise BadInput(
            "write `joulebook sites`, or `joulebook sites set SITE` such as `joulebook sites set paris --zone FR`"
        )
    with door.ledger() as ledger:
        if verb == _SET:
            said = {
                "zone": zone,
                "ownership": ownership,
                "provider": provider,
                "region": region,
                "control": control,
                "valid_from": since,
            }
            front.set_site(ledger, door, {"site": rest[0], **said}, pue=pue, water=water, machines=machine or ())
        body = front.listed(ledger, door.now_ms)
    door.answer(body, None if json else front.page(body, door.page))


@app.command(
    "export", cls=PlainCommand, rich_help_panel=BOOKS,
    epilog=examples("joulebook export factors --out factors.csv", "joulebook export sites", "joulebook export prices --json"),
)  # fmt: skip
def export(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"What is written out: {', '.join(EXPORTS)}.")],
    *,
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Where to; a name that ends in .json gets JSON.", show_default="the terminal, as CSV")] = "",
    json: Json = False,
) -> None:  # fmt: skip
    """Write out factors, prices, sites or placements as a table that `joulebook import` takes back as it is."""
    from joulebook import tabled

    if kind not in EXPORTS:
        raise BadInput(f"kind {kind[:60]!r} is none of: {', '.join(EXPORTS)}")
    door = door_of(context)
    with door.ledger() as ledger:
        body = tabled.exported(ledger, kind)
    if out:
        tabled.write(body, kind, out, is_json=json or out.endswith(".json"))
        door.tell(f"{len(body['items'])} rows are written into {out}")
        return
    door.answer(body, None if json else tabled.as_csv(body, kind).rstrip("\n"))


def _fetch(door: Door, *, zone: str, since: str, until: str, provider: str, json: bool) -> None:
    from joulebook.fetched import page, query_of

    query = query_of(zone=zone, since=since, until=until, provider=provider)
    with door.ledger() as ledger:
        body = ledger.fetch_factors(query)
        ledger.book()
    door.answer(body, None if json else page(body, door.page))


def _words(words: list[str] | None, command: str, example: str) -> list[str]:
    """Return kind and value where one is to be set; nothing where the list is asked for."""
    verb, *rest = words or [_LIST]
    refuse_unknown(verb, "verb", (_LIST, _SET))
    if len(rest) != (2 if verb == _SET else 0):
        raise BadInput(
            f"write `joulebook {command}`, or `joulebook {command} set KIND VALUE` such as `joulebook {command} set {example}`"
        )
    return rest


def _set(
    door: Door, value: list[str], *, of: str, source: str, currency: str, since: str, until: str, machine: str
) -> None:
    from joulebook.factors import change_of

    with door.ledger() as ledger:
        change = change_of(
            kind=value[0], value=value[1], of=of, source=source, currency=currency, since=since, until=until,
            machine=machine or machine_of(door.settings), ledger=ledger, door=door,
        )  # fmt: skip
        door.enter(ledger, change)
