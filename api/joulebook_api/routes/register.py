"""Factors, prices and sites: what is in the book, and tables that people bring."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, problems
from joulebook_ledger.bodies import FactorsBody, SitesBody
from joulebook_ledger.core.factors import PRICE_KINDS
from joulebook_ledger.core.periods import parse_time
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import LONGEST_NAME, require_text
from joulebook_ledger.desk.entering import Entry
from joulebook_ledger.desk.sheet import lines_of
from joulebook_ledger.local import now_ms
from joulebook_ledger.queries import FactorsQuery
from joulebook_ledger.register.rows import (
    FACTOR_COLUMNS,
    FACTOR_KINDS,
    NEEDED_OF_FACTORS,
    NEEDED_OF_SITES,
    SITE_COLUMNS,
    Reading,
)
from joulebook_ledger.register.taking import Taken, take_factors, take_sites

if TYPE_CHECKING:
    from collections.abc import Sequence

    from joulebook_ledger.desk.sheet import Line

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["factors"])
LARGEST_PAGE = 5_000
THIS_REQUEST = "this request"


class TakenBody(TypedDict):
    """What became of a table: its rows, those that were new, and what a person should know."""

    rows: int
    stored: int
    already_stored: int
    notes: list[str]


async def _body_of(request: Request) -> bytes:
    return await request.body()


Body = Annotated[bytes, Depends(_body_of)]
Kinds = Annotated[list[str], Query(description="A kind; may be given several times.")]
Of = Annotated[str, Query(description="The zone, site or machine it is of.")]
At = Annotated[str, Query(description="An instant at which it holds.")]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Cursor = Annotated[str, Query(description="next_cursor of the page before.")]


def taking(columns: Sequence[str], needed: Sequence[str]) -> dict[str, Any]:
    """Return how a page is declared that takes a table."""
    item = {"type": "object", "properties": {name: {"type": "string"} for name in columns}, "required": list(needed)}
    schema = {
        "type": "object", "required": ["items"],
        "properties": {"items": {"type": "array", "items": item}, "author": {"type": "string"}},
    }  # fmt: skip
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


_TAKES_FACTORS = taking(FACTOR_COLUMNS, NEEDED_OF_FACTORS)
_TAKES_SITES = taking(SITE_COLUMNS, NEEDED_OF_SITES)


@router.get(
    "/v1/factors", operation_id="listFactors", summary="List factors and prices",
    responses={200: {"model": FactorsBody}, **problems(401, 422, 503)},
)  # fmt: skip
def list_factors(
    book: Book, kind: Kinds = [], of: Of = "", provider: str = "", at: At = "", limit: Limit = 1000, cursor: Cursor = ""  # noqa: B006 - FastAPI copies it
) -> Response:  # fmt: skip
    """Return a page of factors and prices, each with value, unit, validity, source and version."""
    return _page(book, tuple(kind), of, provider, at, limit, cursor)


@router.get(
    "/v1/prices", operation_id="listPrices", summary="List prices",
    responses={200: {"model": FactorsBody}, **problems(401, 422, 503)},
)  # fmt: skip
def list_prices(
    book: Book, of: Of = "", provider: str = "", at: At = "", limit: Limit = 1000, cursor: Cursor = ""
) -> Response:
    """Return a page of prices of electricity and of machines' hours."""
    return _page(book, PRICE_KINDS, of, provider, at, limit, cursor)


@router.get(
    "/v1/sites", operation_id="listSites", summary="List sites and which machine stands where",
    responses={200: {"model": SitesBody}, **problems(401, 422, 503)},
)  # fmt: skip
def list_sites(book: Book) -> Response:
    """Return every site and placement as they were entered."""
    return JSONResponse(book.sites())


@router.post(
    "/v1/factors", operation_id="enterFactors", summary="Enter factors", openapi_extra=_TAKES_FACTORS,
    responses={200: {"model": TakenBody}, **problems(400, 401, 413, 415, 422, 503)},
)  # fmt: skip
def enter_factors(request: Request, book: Book, body: Body) -> Response:
    """Take in all items or none; what the book has already stays once."""
    return _factors(request, book, body, FACTOR_KINDS)


@router.post(
    "/v1/prices", operation_id="enterPrices", summary="Enter prices", openapi_extra=_TAKES_FACTORS,
    responses={200: {"model": TakenBody}, **problems(400, 401, 413, 415, 422, 503)},
)  # fmt: skip
def enter_prices(request: Request, book: Book, body: Body) -> Response:
    """Take in all items or none; what the book has already stays once."""
    return _factors(request, book, body, PRICE_KINDS)


@router.post(
    "/v1/sites", operation_id="enterSites", summary="Enter sites", openapi_extra=_TAKES_SITES,
    responses={200: {"model": TakenBody}, **problems(400, 401, 413, 415, 422, 503)},
)  # fmt: skip
def enter_sites(request: Request, book: Book, body: Body) -> Response:
    """Take in all items or none; what the book has already stays once."""
    entry, lines = act_of(body, SITE_COLUMNS, NEEDED_OF_SITES)
    return _taken(request, take_sites(book, entry, lines, Reading(THIS_REQUEST)))


def _page(book: Book, kinds: tuple[str, ...], of: str, provider: str, at: str, limit: int, cursor: str) -> Response:
    at_ms = parse_time(at) if at else None
    query = FactorsQuery(kinds=kinds, object=of, provider=provider, at_ms=at_ms, limit=limit, cursor=cursor)
    return JSONResponse(book.factors(query))


def _factors(request: Request, book: Book, body: bytes, kinds: tuple[str, ...]) -> Response:
    entry, lines = act_of(body, FACTOR_COLUMNS, NEEDED_OF_FACTORS)
    return _taken(request, take_factors(book, entry, lines, Reading(THIS_REQUEST), kinds))


def act_of(body: bytes, columns: Sequence[str], needed: Sequence[str]) -> tuple[Entry, list[Line]]:
    """Return who enters what, and the rows of a body that is a table."""
    try:
        items = json.loads(body, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the body is no JSON: {str(error)[:200]}") from None
    author = items.get("author", "") if isinstance(items, dict) else ""
    require_text(author, "author", longest=LONGEST_NAME, empty=True)
    entry = Entry(name=uuid.uuid4().hex, at_ms=now_ms(), author=author)
    return entry, lines_of(items, needed, [name for name in columns if name not in needed])


def _taken(request: Request, taken: Taken) -> Response:
    request.app.state.book_soon()
    body = {
        "rows": taken.rows,
        "stored": taken.stored,
        "already_stored": taken.rows - taken.stored,
        "notes": list(taken.notes),
    }
    return JSONResponse(body)
