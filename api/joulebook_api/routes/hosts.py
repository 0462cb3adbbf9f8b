"""Which machines there are, and who still owes what it measured."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, problems
from joulebook_ledger.bodies import HostsBody

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["hosts"])


@router.get(
    "/v1/hosts",
    operation_id="listHosts",
    summary="List machines, their readers, and who owes which month",
    responses={200: {"model": HostsBody}, **problems(401, 422, 503)},
)
def list_hosts(book: Book) -> Response:
    """Return every machine with its readers: their state, until when they told everything, and when they were heard of last."""
    return JSONResponse(book.hosts())
