"""Fetching factors from live providers, those that are switched on for the service."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, problems
from joulebook_ledger.core.periods import parse_time
from joulebook_ledger.providers.bodies import FetchBody
from joulebook_ledger.queries import FetchQuery

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["factors"])
Instant = Annotated[str, Query(description="An instant such as 2026-11-22T10:00:00Z, or a date.")]


@router.post(
    "/v1/factors/fetch",
    operation_id="fetchFactors",
    summary="Ask live providers for what the book lacks",
    responses={200: {"model": FetchBody}, **problems(401, 415, 422, 503)},
)
def fetch_factors(
    request: Request,
    book: Book,
    zone: Annotated[str, Query(description="A zone; all that machines stand in where left out.")] = "",
    from_: Annotated[Instant, Query(alias="from")] = "",
    to: Instant = "",
    provider: Annotated[str, Query(description="One that is switched on; all where left out.")] = "",
) -> Response:
    """Store what providers give for hours of which the book has no final value; say which hours nobody has."""
    query = FetchQuery(
        zone=zone, from_ms=parse_time(from_) if from_ else None, to_ms=parse_time(to) if to else None, provider=provider
    )
    body = book.fetch_factors(query)
    if body["stored"]:
        request.app.state.book_soon()
    return JSONResponse(body)
