"""Look: runs, show, report, rank, sci, why. Each asks the ledger one question and writes its body, as a page or as JSON."""

from __future__ import annotations

from typing import Annotated

import typer

from joulebook import pages
from joulebook.commands.options import (
    LOOK,
    Json,
    Model,
    Project,
    Run,
    Stage,
    Tags,
    Task,
    Team,
    Version,
    door_of,
    examples,
    labels_of,
    pair_of,
    whole,
)
from joulebook.commands.plain import PlainCommand
from joulebook.wiring import refuse_unknown
from joulebook_ledger.core import sci
from joulebook_ledger.core.periods import month_of, parse_month, parse_quarter
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import scale_decimal
from joulebook_ledger.core.vocabulary import STAGES, STATUSES
from joulebook_ledger.queries import (
    BASES,
    GROUPINGS,
    IDLE_RULES,
    RESOURCES,
    RankQuery,
    ReportQuery,
    RunsQuery,
    SciQuery,
)

app = typer.Typer()
LONGEST_PAGE = 1_000
DEFAULT_PAGE = "30"

_Month = Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="One month.", show_default="this month")]
_Year = Annotated[str, typer.Option("--year", metavar="YYYY", help="The months of one year.", show_default=False)]
_Quarter = Annotated[
    str, typer.Option("--quarter", metavar="YYYY-QN", help="The months of one quarter.", show_default=False)
]
_From = Annotated[str, typer.Option("--from", metavar="YYYY-MM", help="First month of several.", show_default=False)]
_To = Annotated[str, typer.Option("--to", metavar="YYYY-MM", help="Last month of several.", show_default="this month")]
_By = Annotated[
    str, typer.Option("--by", metavar="KEY,…", help=f"Rows by: {', '.join(GROUPINGS)}, tag:KEY; several with commas.")
]
_Basis = Annotated[str, typer.Option("--basis", help="closed: as the month was closed; current: as known today.")]
_Idle = Annotated[str, typer.Option("--idle", help="separate, or spread over the runs: proportional, uniform.")]
_AsOf = Annotated[
    str,
    typer.Option(
        "--as-of", metavar="LINK|TIME", help="As the book stood at a chain link or instant.", show_default=False
    ),
]


@app.command(
    "runs", cls=PlainCommand, rich_help_panel=LOOK,
    epilog=examples(
        "joulebook runs", "joulebook runs --task imagenet --status finished", "joulebook runs --sort energy_kwh --limit 10",
        "joulebook runs --tag grid=b --json",
    ),
)  # fmt: skip
def list_runs(
    context: typer.Context, *, model: Model = "", version: Version = "", task: Task = "", stage: Stage = "", project: Project = "",
    team: Team = "", tag: Tags = None,
    status: Annotated[str, typer.Option("--status", help=f"running, {', '.join(STATUSES)}.", show_default=False)] = "",
    sort: Annotated[str, typer.Option("--sort", metavar="FIGURE", help="started (newest first), or a figure, greatest first.")] = "started",
    limit: Annotated[str, typer.Option("--limit", metavar="N", help="At most so many.")] = DEFAULT_PAGE,
    cursor: Annotated[str, typer.Option("--cursor", metavar="TEXT", help="Where the last page ended.", show_default=False)] = "",
    json: Json = False,
) -> None:  # fmt: skip
    """List runs, newest first, with energy, cost and CO2e."""
    refuse_unknown(status, "status", ("running", *STATUSES))
    labels = labels_of(tag, model=model, version=version, task=task, stage=stage, project=project, team=team)
    if status:
        labels["status"] = status
    door = door_of(context)
    query = RunsQuery(labels=labels, sort=sort, limit=whole(limit, "--limit", 1, LONGEST_PAGE), cursor=cursor)
    with door.ledger() as ledger:
        body = ledger.runs(query)
    door.answer(body, None if json else pages.runs(body, door.page, are_chosen=bool(labels)))


@app.command(
    "show", cls=PlainCommand, rich_help_panel=LOOK, epilog=examples("joulebook show", "joulebook show 3f9c", "joulebook show --json"),
)  # fmt: skip
def show(context: typer.Context, run: Run = "", *, json: Json = False) -> None:
    """Show one run: its footprint, scores and labels."""
    door = door_of(context)
    with door.ledger() as ledger:
        body = ledger.run(run)
    door.answer(body, None if json else pages.run(body, door.page))


@app.command(
    "report", cls=PlainCommand, rich_help_panel=LOOK,
    epilog=examples(
        "joulebook report", "joulebook report --month 2026-11 --by team,model", "joulebook report --year 2026 --by month",
        "joulebook report --quarter 2026-Q3 --by team",
        "joulebook report --by tag:grid --idle proportional --json",
    ),
)  # fmt: skip
def report(
    context: typer.Context, *, month: _Month = "", quarter: _Quarter = "", year: _Year = "", from_month: _From = "", to_month: _To = "", by: _By = "model",
    basis: _Basis = "closed", idle: _Idle = "separate", as_of: _AsOf = "", json: Json = False,
) -> None:  # fmt: skip
    """Report energy, cost and CO2e of a month, with idle and untracked as rows of their own."""
    door = door_of(context)
    refuse_unknown(basis, "basis", BASES)
    refuse_unknown(idle, "idle", IDLE_RULES)
    keys = tuple(key.strip() for key in by.split(",") if key.strip())
    for key in keys:
        if not (key.startswith("tag:") and key != "tag:"):
            refuse_unknown(key, "key", (*GROUPINGS, "tag:KEY"))
    if not keys:
        raise BadInput(f"--by names no key: write one or more of {', '.join(GROUPINGS)}, tag:KEY")
    first, last = months_of(month, quarter, year, from_month, to_month, this_month=month_of(door.now_ms))
    query = ReportQuery(from_month=first, to_month=last, by=keys, basis=basis, idle=idle, as_of=as_of)
    with door.ledger() as ledger:
        body = ledger.report(query)
    door.answer(body, None if json else pages.report(body, door.page))


@app.command(
    "rank", cls=PlainCommand, rich_help_panel=LOOK,
    epilog=examples(
        "joulebook rank", "joulebook rank --task imagenet --score accuracy --per co2e", "joulebook rank --min accuracy=0.75 --per cost --json",
    ),
)  # fmt: skip
def rank(
    context: typer.Context, *, task: Task = "",
    score: Annotated[str, typer.Option("--score", metavar="NAME", help="Score to rank by.", show_default="the only one")] = "",
    per: Annotated[str, typer.Option("--per", help=f"Resource: {', '.join(RESOURCES)}.")] = "energy",
    stage: Stage = "",
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Only scores of this split.", show_default=False)] = "",
    least: Annotated[
        list[str] | None, typer.Option("--min", metavar="SCORE=VALUE", help="Leave out models below; several times.", show_default=False)
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Take each run's best value in place of its last.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Rank models by a score per energy, cost or CO2e, their Pareto front first."""
    refuse_unknown(per, "--per", RESOURCES)
    refuse_unknown(stage, "stage", STAGES)
    floors = dict(pair_of(word, "least score") for word in least or ())
    for name, value in floors.items():
        scale_decimal(value, 10**15, f"least {name}")
    door = door_of(context)
    query = RankQuery(task=task, score=score, per=per, stage=stage, split=split, least=floors, best=best)
    with door.ledger() as ledger:
        body = ledger.rank(query)
    door.answer(body, None if json else pages.rank(body, door.page))


@app.command(
    "sci", cls=PlainCommand, rich_help_panel=LOOK,
    epilog=examples(
        "joulebook sci --per token --month 2026-11", "joulebook sci llama-8b --per request --idle proportional",
        "joulebook sci resnet50 --per parameter --year 2026", "joulebook sci llama-8b --boundary provider --per use --units 1000000000 --json",
    ),
)  # fmt: skip
def carbon_intensity(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="One model; all where left out.", show_default=False)] = "",
    *, per: Annotated[str, typer.Option("--per", metavar="UNIT", help=f"Functional unit: {', '.join(sci.BOUNDARY_OF)}.")] = "run",
    boundary: Annotated[
        str, typer.Option("--boundary", help="consumer (serving), provider (training, failed runs too) or all.", show_default="the unit's own")
    ] = "",
    units: Annotated[str, typer.Option("--units", metavar="NUMBER", help="How many units, stated and not counted.", show_default=False)] = "",
    month: _Month = "", quarter: _Quarter = "", year: _Year = "", from_month: _From = "", to_month: _To = "", idle: _Idle = "separate",
    utilisation: Annotated[
        str, typer.Option("--utilisation", metavar="SHARE", help="Share of owned hours that bears all embodied carbon; a view.", show_default=False)
    ] = "",
    json: Json = False,
) -> None:  # fmt: skip
    """Show carbon per functional unit: (energy x intensity + embodied) per request, token, run… (SCI, ISO/IEC 21031).

    Location-based: certificates and contracts never lower it.
    """
    from joulebook.intensity import page

    door = door_of(context)
    refuse_unknown(per, "--per", tuple(sci.BOUNDARY_OF))
    refuse_unknown(boundary, "boundary", sci.BOUNDARIES)
    refuse_unknown(idle, "idle", IDLE_RULES)
    first, last = months_of(month, quarter, year, from_month, to_month, this_month=month_of(door.now_ms))
    query = SciQuery(
        from_month=first, to_month=last, per=per, model=model, boundary=boundary, units=units, idle=idle, utilisation=utilisation
    )  # fmt: skip
    with door.ledger() as ledger:
        body = ledger.sci(query)
    door.answer(body, None if json else page(body, door.page))


@app.command(
    "why", cls=PlainCommand, rich_help_panel=LOOK,
    epilog=examples(
        "joulebook why last cost", "joulebook why run:3f9c#co2e_location_kg", "joulebook why 'report:2026-11/team=vision#cost' --json",
    ),
)  # fmt: skip
def why(
    context: typer.Context,
    figure: Annotated[
        list[str] | None, typer.Argument(metavar="FIGURE", help="run:R#FIGURE, report:M/KEY=VALUE#FIGURE, or `last FIGURE`.", show_default="last cost")
    ] = None,
    *, json: Json = False,
) -> None:  # fmt: skip
    """Show where a figure comes from: readings, shares, factors with source and version."""
    door = door_of(context)
    with door.ledger() as ledger:
        body = ledger.why(" ".join(figure or ()) or "last cost")
    door.answer(body, None if json else pages.why(body, door.page))


def months_of(
    month: str, quarter: str, year: str, from_month: str, to_month: str, *, this_month: int
) -> tuple[int, int]:
    """Return first and last month of what was asked for, yyyymm.

    Raises:
        BadInput: Two ways to say it were mixed, one is no month, or the last is before the first.
    """
    if sum(map(bool, (month, quarter, year, from_month or to_month))) > 1:
        raise BadInput("--month, --quarter, --year and --from/--to are four ways to say one thing: give one of them")
    if month:
        return parse_month(month), parse_month(month)
    if quarter:
        return parse_quarter(quarter)
    if year:
        first = parse_month(f"{year}-01")
        return first, first + 11
    first, last = (parse_month(text) if text else this_month for text in (from_month, to_month))
    if to_month and not from_month:
        first = last
    if last < first:
        raise BadInput(f"--to {to_month or this_month} is before --from {from_month}: turn them round")
    return first, last
