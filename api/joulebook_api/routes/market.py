"""Instruments of the market-based method, and their allocation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, problems
from joulebook_api.routes.register import Body, act_of, taking
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.market.bodies import AllocationsBody, InstrumentsBody
from joulebook_ledger.market.sheet import NEEDED, OTHERS, instrument_batch
from joulebook_ledger.queries import AllocateQuery

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["instruments"])


@router.get(
    "/v1/instruments",
    operation_id="listInstruments",
    summary="List certificates, contracts and supplier rates",
    responses={200: {"model": InstrumentsBody}, **problems(401, 422, 503)},
)
def list_instruments(book: Book) -> Response:
    """Return every instrument with what was assigned of it and what is left, or why it is not used."""
    return JSONResponse(book.instruments())


@router.post(
    "/v1/instruments",
    operation_id="enterInstruments",
    summary="Enter certificates, contracts and supplier rates",
    responses={200: {"model": InstrumentsBody}, **problems(400, 401, 413, 415, 422, 503)},
    openapi_extra=taking((*NEEDED, *OTHERS), NEEDED),
)
def enter_instruments(request: Request, book: Book, body: Body) -> Response:
    """Take all items or none; return what is held then. An item has the columns of `joulebook import instruments`."""
    entry, lines = act_of(body, (*NEEDED, *OTHERS), NEEDED)
    for outcome in book.deliver(instrument_batch(entry, lines)).exceptions:
        raise BadInput(outcome.detail or outcome.reason or outcome.outcome)
    request.app.state.book_soon()
    return JSONResponse(book.instruments())


@router.post(
    "/v1/instruments/allocate",
    operation_id="allocateInstruments",
    summary="Assign a year's instruments to its months",
    responses={200: {"model": AllocationsBody}, **problems(401, 415, 422, 503)},
)
def allocate_instruments(
    request: Request,
    book: Book,
    year: Annotated[int, Query(description="Calendar year; this one where left out.", ge=0, le=9999)] = 0,
    market: Annotated[str, Query(description="One market; all where left out.")] = "",
    *,
    final: Annotated[bool, Query(description="Whether it is the year's.")] = False,
    dry_run: Annotated[bool, Query(description="Whether nothing is stored.")] = False,
    author: Annotated[str, Query(description="Who asks.")] = "desk",
) -> Response:
    """Give each month of each market its market-based factor, and say what each is made of."""
    body = book.allocate(AllocateQuery(year=year, market=market, final=final, dry_run=dry_run, author=author))
    if not dry_run:
        request.app.state.book_soon()
    return JSONResponse(body)
