"""Pricing closed months by other factors."""

from __future__ import annotations

import json
import uuid
from dataclasses import fields
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import TypeAdapter
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, problems
from joulebook_ledger.bodies import RestateBody
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import require_text
from joulebook_ledger.queries import Restating

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["restatements"])


async def _act_of(request: Request) -> Restating:
    """Return what is asked. A mistyped field is refused: passed over, a `dry_run` would write."""
    try:
        given = json.loads(await request.body())
    except ValueError as error:
        raise BadInput(f"not JSON: {str(error)[:200]}") from None
    if not isinstance(given, dict):
        raise BadInput("a restatement is one JSON object")
    known = {field.name: bool if field.name == "dry_run" else str for field in fields(Restating)}
    for name, value in given.items():
        if name not in known:
            raise BadInput(f"field {name[:60]!r} is not known here: a restatement has {', '.join(known)}")
        if type(value) is not known[name]:
            wanted = "true or false" if known[name] is bool else "a text"
            raise BadInput(f"{name} must be {wanted}, not {str(value)[:60]!r}")
        if isinstance(value, str):
            require_text(value, name, empty=True)
    return Restating(**{"name": uuid.uuid4().hex, "author": "desk", **given})


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
