"""Rankings, carbon per functional unit, and the derivation of any figure."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, From, To, chosen, months, pairs, problems
from joulebook_ledger.bodies import RankBody, WhyBody
from joulebook_ledger.core import sci
from joulebook_ledger.core.vocabulary import STAGES
from joulebook_ledger.measures.bodies import SciBody
from joulebook_ledger.queries import IDLE_RULES, RankQuery, SciQuery

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["ranking"])


@router.get(
    "/v1/rank",
    operation_id="rankModels",
    summary="Rank model versions by a score per resource",
    responses={200: {"model": RankBody}, **problems(401, 422, 503)},
)
def rank_models(
    book: Book,
    task: str = "",
    score: str = "",
    per: Annotated[str, Query(description="cost, co2e, energy, duration, params or a figure's name.")] = "energy",
    stage: str = "",
    split: str = "",
    least: Annotated[list[str], Query(alias="min", description="A least score as NAME=VALUE; may be given again.")] = [],  # noqa: B006 - FastAPI copies it
    best: Annotated[bool, Query(description="Take the best value of each run in place of the last.")] = False,  # noqa: FBT002 - a query parameter is named
) -> Response:  # fmt: skip
    """Return the ranking, frontier first, then by ratio; what is left out is chosen where the book leaves no choice."""
    chosen(stage, "stage", STAGES)
    query = RankQuery(task=task, score=score, per=per, stage=stage, split=split, least=pairs(least, "min"), best=best)
    return JSONResponse(book.rank(query))


@router.get(
    "/v1/sci",
    operation_id="getSci",
    summary="Carbon per functional unit (SCI, ISO/IEC 21031)",
    responses={200: {"model": SciBody}, **problems(401, 422, 503)},
)
def get_sci(
    book: Book,
    from_: From,
    to: To = "",
    per: Annotated[str, Query(description=f"Functional unit: {', '.join(sci.BOUNDARY_OF)}.")] = "run",
    model: Annotated[str, Query(description="Only this model.")] = "",
    boundary: Annotated[
        str, Query(description="all, consumer or provider (SCI for AI); the unit's own where left out.")
    ] = "",
    units: Annotated[str, Query(description="How many units, where that is stated and not counted.")] = "",
    idle: Annotated[str, Query(description="separate, or spread over the runs: proportional, uniform.")] = "separate",
    utilisation: Annotated[str, Query(description="Share of owned hours that bears all embodied carbon; a view.")] = "",
) -> Response:
    """Return operational and embodied carbon of each model, and both per functional unit, location-based."""
    chosen(per, "per", tuple(sci.BOUNDARY_OF))
    chosen(boundary, "boundary", sci.BOUNDARIES)
    chosen(idle, "idle", IDLE_RULES)
    first, last = months(from_, to)
    query = SciQuery(
        from_month=first, to_month=last, per=per, model=model, boundary=boundary, units=units, idle=idle, utilisation=utilisation
    )  # fmt: skip
    return JSONResponse(book.sci(query))


@router.get(
    "/v1/why",
    operation_id="explainFigure",
    summary="Why is this figure what it is?",
    responses={200: {"model": WhyBody}, **problems(401, 404, 422, 503)},
)
def explain_figure(
    book: Book,
    figure: Annotated[
        str,
        Query(
            description="A figure's name, such as run:RUN#cost or report:2026-11/team=vision#energy_kwh, or `last cost`."
        ),
    ] = "last cost",
) -> Response:
    """Return what a figure is made of: readings, uses, and factors with source and version."""
    return JSONResponse(book.why(figure))
