"""Correcting facts that were wrong."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import TypeAdapter
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.acts import act_of
from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, problems
from joulebook_ledger.correcting.bodies import CorrectBody
from joulebook_ledger.queries import Correcting

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["corrections"])


async def _act_of(request: Request) -> Correcting:
    return act_of(await request.body(), Correcting, "a correction")


@router.post(
    "/v1/corrections",
    operation_id="correctFacts",
    summary="Void facts that were wrong, and tell them again",
    responses={200: {"model": CorrectBody}, **problems(401, 404, 413, 415, 422, 503)},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": TypeAdapter(Correcting).json_schema()}},
        }
    },
)
def correct_facts(book: Book, act: Annotated[Correcting, Depends(_act_of)]) -> Response:
    """Return which facts it voids and what is said instead; with `dry_run` nothing is written."""
    return JSONResponse(book.correct(act))
