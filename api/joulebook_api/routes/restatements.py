"""Pricing closed months by other factors."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import TypeAdapter
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.acts import act_of
from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, problems
from joulebook_ledger.bodies import RestateBody
from joulebook_ledger.queries import Restating

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["restatements"])


async def _act_of(request: Request) -> Restating:
    return act_of(await request.body(), Restating, "a restatement")


@router.post(
    "/v1/restatements",
    operation_id="restateMonths",
    summary="Price closed months by other factors, or undo that",
    responses={200: {"model": RestateBody}, **problems(401, 404, 413, 415, 422, 503)},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": TypeAdapter(Restating).json_schema()}},
        }
    },
)
def restate_months(book: Book, act: Annotated[Restating, Depends(_act_of)]) -> Response:
    """Return what it changes per month and year; with `dry_run` nothing is written."""
    return JSONResponse(book.restate(act))
