"""Which machines there are, who still owes what it measured, and to whom names belong."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, problems
from joulebook_ledger.bodies import HostsBody, MapsBody
from joulebook_ledger.duties.bodies import DutiesBody

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


@router.get(
    "/v1/maps",
    operation_id="listMaps",
    summary="List which team, cost centre and entity names stand for",
    responses={200: {"model": MapsBody}, **problems(401, 422, 503)},
)
def list_maps(book: Book) -> Response:
    """Return the map of accounts, namespaces, labels, teams and cost centres, each line with the instant from which on it holds."""
    return JSONResponse(book.maps())


@router.get(
    "/v1/duties",
    operation_id="listDuties",
    summary="List what the clock brings, and what of it failed",
    responses={200: {"model": DutiesBody}, **problems(401, 422, 503)},
)
def list_duties(book: Book) -> Response:
    """Return the newest task of each job, every other that is not done, and the months that are over and not closed."""
    return JSONResponse(book.duties())
