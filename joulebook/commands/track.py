"""Track: init, run, log, label, doctor, quickstart. What changes something is a batch of facts, entered at the desk."""

from __future__ import annotations

from typing import Annotated

import typer

from joulebook import pages
from joulebook.commands.options import (
    TRACK,
    Author,
    Json,
    Model,
    Name,
    Project,
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
from joulebook_ledger.bodies import RunsBody
from joulebook_ledger.catalogue.hardware import PRODUCTS
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import LARGEST_INTEGER

app = typer.Typer()


@app.command(
    "init", cls=PlainCommand, rich_help_panel=TRACK,
    epilog=examples(
        "joulebook init", "joulebook init --zone FR --price 0.25 --currency EUR --yes",
        "joulebook init --zone US --ownership cloud --price-per-hour 3.20 --currency USD --yes", "joulebook init --pue 1.2 --water 1.8 --yes",
        "joulebook init --hardware dell-r740,h100-sxm:8 --lifetime-years 5 --in-service 2025-03-01 --yes",
    ),
)  # fmt: skip
def init(
    context: typer.Context, *,
    zone: Annotated[str, typer.Option(metavar="CODE", help="Grid zone: country code or name, or WORLD.", show_default=False)] = "",
    price: Annotated[str, typer.Option(metavar="PER_KWH", help="Price of electricity per kWh.", show_default=False)] = "",
    price_per_hour: Annotated[str, typer.Option(metavar="PER_HOUR", help="Price of an hour of the machine.", show_default=False)] = "",
    currency: Annotated[str, typer.Option(metavar="CODE", help="Currency of the book, such as EUR.", show_default=False)] = "",
    ownership: Annotated[str, typer.Option(help="owned, colocated or cloud.", show_default="owned")] = "",
    pue: Annotated[str, typer.Option(metavar="NUMBER", help="Facility energy per IT energy.", show_default="1, said to be declared")] = "",
    grid: Annotated[str, typer.Option(metavar="G_PER_KWH", help="The zone's intensity, if known better.", show_default=False)] = "",
    market: Annotated[str, typer.Option(metavar="G_PER_KWH", help="Market-based intensity, or `grid`.", show_default=False)] = "",
    embodied: Annotated[str, typer.Option(metavar="KG_PER_YEAR", help="CO2e of making the machine, per year.", show_default=False)] = "",
    embodied_kg: Annotated[str, typer.Option(metavar="KG", help="CO2e of making the machine, in all.", show_default=False)] = "",
    hardware: Annotated[str, typer.Option(metavar="NAME:N,…", help=f"The same by published figures: {', '.join(PRODUCTS)}.", show_default=False)] = "",
    lifetime_years: Annotated[str, typer.Option(metavar="YEARS", help="For how long the machine serves.", show_default="4")] = "",
    in_service: Annotated[str, typer.Option(metavar="DATE", help="Since when it serves; after its life it bears 0, marked.", show_default=False)] = "",
    water: Annotated[str, typer.Option(metavar="L_PER_KWH", help="Water the site evaporates per kWh.", show_default=False)] = "",
    water_source: Annotated[str, typer.Option(metavar="L_PER_KWH", help="Water behind the electricity.", show_default=False)] = "",
    site: Annotated[str, typer.Option(metavar="NAME", help="Site, if several machines share one.", show_default="the host's name")] = "",
    machine: Annotated[str, typer.Option(metavar="ID", help="Another machine than this one.", show_default=False)] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Apply without asking.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Say where this machine stands and what its energy costs; prices the whole open past.

    Asks for what no option says, with offers from time zone and locale; applies nothing before it is confirmed.

    May be run again: what is not said then stays as it is.
    """
    from joulebook import places
    from joulebook.placing import place_machine
    from joulebook_ledger.core.vocabulary import OWNERSHIPS
    from joulebook_ledger.desk.entering import Place

    refuse_unknown(ownership, "ownership", OWNERSHIPS)
    given = Place(
        machine=machine, site=site, zone=zone, grid_g_per_kwh=grid, market_g_per_kwh=market, price_per_kwh=price,
        price_per_hour=price_per_hour, currency=currency, pue=pue, water_l_per_kwh=water, water_source_l_per_kwh=water_source,
        embodied_kg_per_year=embodied, embodied_kg=embodied_kg, hardware=hardware, lifetime_years=lifetime_years, in_service=in_service,
        ownership=ownership,
    )  # fmt: skip
    door = door_of(context)
    placed = place_machine(given, door, yes=yes)
    door.answer(places.body(*placed), None if json else places.page(*placed, door.page))


@app.command(
    "run", cls=PlainCommand, rich_help_panel=TRACK, context_settings={"allow_interspersed_args": False}, options_metavar="[OPTIONS] --",
    epilog=examples(
        "joulebook run -- python train.py", "joulebook run --model resnet50 --task imagenet --stage training -- torchrun train.py --epochs 3",
        "joulebook run --team vision --tag grid=b -- ./job.sh",
    ),
)  # fmt: skip
def run(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="CMD", help="The command to run, and its own words.")],
    *, model: Model = "", version: Version = "", task: Task = "", stage: Stage = "", project: Project = "", team: Team = "",
    name: Name = "", tag: Tags = None,
) -> None:  # fmt: skip
    """Run a command and measure it; the exit code is the command's.

    Loses nothing when it is ended by SIGTERM. What the command itself tracks joins the same run.
    """
    from joulebook.closing import say_command_end
    from joulebook_collectors.tracking.supervise import run_command

    labels = labels_of(tag, model=model, version=version, task=task, stage=stage, project=project, team=team, name=name)
    door = door_of(context)
    settings = door.loaded
    for problem in settings.problems:  # what is set badly does not keep a job from running
        door.tell(f"joulebook: {problem}")
    raise typer.Exit(run_command(command, labels, settings, say_command_end(settings)))


@app.command(
    "log", cls=PlainCommand, rich_help_panel=TRACK, options_metavar="[OPTIONS] [RUN]",
    epilog=examples("joulebook log accuracy=0.761", "joulebook log 3f9c accuracy=0.761 loss=0.92 --split test --step 100"),
)  # fmt: skip
def log(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="SCORE=VALUE", help="A run, the last one if left out, and its scores.")],
    *,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Such as test.", show_default=False)] = "",
    step: Annotated[str, typer.Option("--step", metavar="N", help="Training step; the last one ranks.", show_default=False)] = "",
    unit: Annotated[str, typer.Option("--unit", metavar="TEXT", help="Unit of the values.", show_default=False)] = "",
    lower: Annotated[bool, typer.Option("--lower-is-better", help="The least value is the best.")] = False,
    higher: Annotated[bool, typer.Option("--higher-is-better", help="The greatest value is the best.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Log scores of a run, after the fact."""
    from joulebook_ledger.desk.entering import score_batch

    if lower and higher:
        raise BadInput("--lower-is-better and --higher-is-better exclude each other: give one of them")
    named = "" if "=" in words[0] else words[0]
    values = dict(pair_of(word, "score") for word in words[1 if named else 0 :])
    at_step = whole(step, "--step", 0, LARGEST_INTEGER) if step else None
    better = lower if lower or higher else None
    door = door_of(context)
    with door.ledger() as ledger:
        body = ledger.run(named)
        batch = score_batch(
            door.entry(), body["run"], values, split=split, unit=unit, step=at_step, lower_is_better=better
        )
        door.enter(ledger, batch)
        body = ledger.run(body["run"])
    door.answer(body, None if json else pages.run(body, door.page))


@app.command(
    "label", cls=PlainCommand, rich_help_panel=TRACK,
    epilog=examples(
        "joulebook label 3f9c --team vision", "joulebook label 3f9c 81aa --exclude 'wrong data'", "joulebook label 3f9c --include",
    ),
)  # fmt: skip
def label(
    context: typer.Context,
    runs: Annotated[list[str] | None, typer.Argument(metavar="RUN", help="Runs; the last one if left out.", show_default=False)] = None,
    *, model: Model = "", version: Version = "", task: Task = "", stage: Stage = "", project: Project = "", team: Team = "",
    name: Name = "", tag: Tags = None,
    exclude: Annotated[str, typer.Option("--exclude", metavar="REASON", help="Leave them out of rankings.", show_default=False)] = "",
    include: Annotated[bool, typer.Option("--include", help="Take them back into rankings.")] = False,
    author: Author = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why they are labelled anew.", show_default=False)] = "",
    json: Json = False,
) -> None:  # fmt: skip
    """Change labels of runs; the newest label holds, and nothing is overwritten."""
    from joulebook_ledger.desk.entering import label_batch

    labels = labels_of(
        tag,
        model=model,
        version=version,
        task=task,
        stage=stage,
        project=project,
        team=team,
        name=name,
        exclude=exclude,
    )
    if include and exclude:
        raise BadInput("--include and --exclude exclude each other: give one of them")
    if include:
        labels["exclude"] = ""
    door = door_of(context)
    with door.ledger() as ledger:
        found = [ledger.run(run)["run"] for run in runs or [""]]
        door.enter(ledger, label_batch(door.entry(author), found, labels, reason))
        bodies = [ledger.run(run) for run in found]
    body: RunsBody = {"items": bodies, "next_cursor": None}
    door.answer(body, None if json else pages.runs(body, door.page))


@app.command(
    "doctor", cls=PlainCommand, rich_help_panel=TRACK, epilog=examples("joulebook doctor", "joulebook doctor --json"),
)  # fmt: skip
def doctor(context: typer.Context, *, json: Json = False) -> None:
    """Say which meters this machine has, and for each absent one why and what to do; look at settings, spool and ledger."""
    from joulebook import checkup

    door = door_of(context)
    body = checkup.examine(door)
    door.answer(body, None if json else checkup.page(body, door.page))
    if not checkup.is_sound(body):
        raise typer.Exit(1)


@app.command(
    "quickstart", cls=PlainCommand, rich_help_panel=TRACK, epilog=examples("joulebook quickstart", "joulebook quickstart --zone FR"),
)  # fmt: skip
def quickstart(
    context: typer.Context, *,
    zone: Annotated[str, typer.Option("--zone", metavar="CODE", help="Grid zone, or WORLD for a world average.", show_default=False)] = "",
    price: Annotated[str, typer.Option("--price", metavar="PER_KWH", help="Price of electricity per kWh.", show_default=False)] = "",
    currency: Annotated[str, typer.Option("--currency", metavar="CODE", help="Currency of the price.", show_default=False)] = "",
) -> None:  # fmt: skip
    """Train eight real models and show footprints, report and ranking; writes to a book of its own."""
    from joulebook import quickstart as first_steps

    first_steps.run(door_of(context), zone=zone, price=price, currency=currency)
