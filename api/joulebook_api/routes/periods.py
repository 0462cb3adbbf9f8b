"""Closing months."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, problems
from joulebook_ledger.bodies import CloseBody
from joulebook_ledger.core.periods import parse_month
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.queries import DEFAULT_TOLERANCE_PPM, EARLIEST, CloseQuery

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["periods"])
_PAGE = "/v1/periods/{month}/close"
_Tolerance = Annotated[
    str, Query(description="How much of a month's energy may be missing, in millionths of it.", pattern=r"^\d{1,7}$")
]


async def _close_query(month: str, tolerance_ppm: _Tolerance = str(DEFAULT_TOLERANCE_PPM)) -> CloseQuery:
    if not (tolerance_ppm.isascii() and tolerance_ppm.isdigit()):
        raise BadInput(f"tolerance_ppm {tolerance_ppm[:60]!r} is no whole number")
    return CloseQuery(month=0 if month == EARLIEST else parse_month(month), tolerance_ppm=int(tolerance_ppm))


Asked = Annotated[CloseQuery, Depends(_close_query)]


@router.get(
    _PAGE,
    operation_id="checkClose",
    summary="What a close would find",
    responses={200: {"model": CloseBody}, **problems(401, 422, 503)},
)
def check_close(book: Book, asked: Asked) -> Response:
    """Return the checklist of a close of this month and of every open one before it; `earliest` names the earliest open month."""
    return JSONResponse(book.check_close(asked))


@router.post(
    _PAGE,
    operation_id="closeMonths",
    summary="Close a month, and every open one before it",
    responses={200: {"model": CloseBody}, **problems(401, 422, 503)},
)
def close_months(
    book: Book,
    asked: Asked,
    author: Annotated[str, Query(description="Who closes.")] = "",
    reason: Annotated[str, Query(description="Why, such as why something is missing.")] = "",
) -> Response:
    """Book what is due and seal the months, all of them or none; the answer carries the head of the chain, to be kept elsewhere."""
    query = CloseQuery(month=asked.month, tolerance_ppm=asked.tolerance_ppm, author=author, reason=reason)
    return JSONResponse(book.close_months(query))
