"""Runs and footprints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, cast

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.parameters import (
    PAGE_DEPENDENCIES,
    Book,
    Options,
    Tags,
    filters,
    problems,
    report_query,
)
from joulebook_ledger.bodies import FootprintRow, RunBody, RunsBody
from joulebook_ledger.core.refusals import BadInput, NotFound
from joulebook_ledger.ledger import Ledger
from joulebook_ledger.queries import ReportQuery, RunsQuery

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["runs"])
LAST = "last"
LARGEST_PAGE = 1000


@router.get(
    "/v1/runs",
    operation_id="listRuns",
    summary="List runs with their footprints",
    responses={200: {"model": RunsBody}, **problems(401, 422, 503)},
)
def list_runs(
    book: Book,
    tags: Tags,
    model: str = "", version: str = "", task: str = "", stage: str = "", project: str = "", team: str = "", base_model: str = "",
    sweep: str = "", name: str = "", status: str = "",
    sort: Annotated[str, Query(description="started (newest first), or a figure such as energy_kwh.")] = "started",
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 100,
    cursor: Annotated[str, Query(description="next_cursor of the page before.")] = "",
) -> Response:  # fmt: skip
    """Return a page of runs; a label given as a parameter leaves only the runs that have it."""
    wanted = filters(
        {
            "model": model, "version": version, "task": task, "stage": stage, "project": project, "team": team,
            "base_model": base_model, "sweep": sweep, "name": name, "status": status,
        },
        tags,
    )  # fmt: skip
    return JSONResponse(book.runs(RunsQuery(labels=wanted, sort=sort, limit=limit, cursor=cursor)))


@router.get(
    "/v1/runs/{run:path}",
    operation_id="getRun",
    summary="Show one run",
    responses={200: {"model": RunBody}, **problems(401, 404, 422, 503)},
)
def get_run(book: Book, run: str) -> Response:
    """Return one run by its id, a prefix that only one run has, or `last` for the last one."""
    return JSONResponse(_run(book, run))


@router.get(
    "/v1/footprint",
    operation_id="getFootprint",
    summary="The footprint of a run, or of a period",
    responses={200: {"model": FootprintRow}, **problems(401, 404, 422, 503)},
)
def get_footprint(
    book: Book,
    tags: Tags,
    options: Options,
    run: Annotated[str, Query(description="A run's id or prefix; the last run where neither it nor a period is given.")] = "",
    from_: Annotated[str, Query(alias="from", description="First month, YYYY-MM.")] = "",
    to: Annotated[str, Query(description="Last month, YYYY-MM; the first where left out.")] = "",
    model: str = "", version: str = "", task: str = "", stage: str = "", project: str = "", team: str = "", host: str = "",
    device: str = "", site: str = "",
) -> Response:  # fmt: skip
    """Return one row: of a run, of all that a period holds, or of what has the given labels in it."""
    keys = filters(
        {
            "model": model, "version": version, "task": task, "stage": stage, "project": project, "team": team, "host": host,
            "device": device, "site": site,
        },
        tags,
    )  # fmt: skip
    if from_:
        if run:
            raise BadInput("give either run or from: a run's footprint has no period")
        query = report_query(from_, to, tuple(keys) or ReportQuery(from_month=0, to_month=0).by, options)
        return JSONResponse(_row(book, query, keys))
    if keys or to:
        raise BadInput(f"the period is missing: add from=YYYY-MM to {', '.join(keys) or 'to'}")
    return JSONResponse(_run(book, run or LAST)["footprint"])


def _run(book: Ledger, run: str) -> RunBody:
    return book.run("" if run == LAST else run)


def _row(book: Ledger, query: ReportQuery, keys: Mapping[str, str]) -> FootprintRow:
    body = book.report(query)
    if not keys:
        return body["total"]
    for row in body["rows"]:
        values = cast("Mapping[str, object]", row)
        if all(values.get(key) == value for key, value in keys.items()):
            return row
    wanted = ", ".join(f"{key}={value}" for key, value in keys.items())
    raise NotFound(
        f"nothing from {body['from_month']} to {body['to_month']} has {wanted}: /v1/reports lists what there is"
    )
