"""Is the service alive, is the book in reach, does it prove itself?"""

from __future__ import annotations

import logging
import tempfile
from typing import Annotated

from fastapi import APIRouter, Query, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from typing_extensions import TypedDict

from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, problems
from joulebook_ledger.bodies import VerifyBody
from joulebook_ledger.core.refusals import BadInput, JoulebookError, Unavailable

router = APIRouter(tags=["checks"])
PART_BYTES = 1 << 18
_LOG = logging.getLogger("joulebook.service")


class ZipResponse(StreamingResponse):
    """An archive, in parts."""

    media_type = "application/zip"


class StateBody(TypedDict):
    """One word: alive or ready."""

    status: str


@router.get("/healthz", operation_id="isAlive", summary="Is the service alive?", responses={200: {"model": StateBody}})
async def is_alive() -> Response:
    """Say that the service answers; the book is not touched."""
    return JSONResponse({"status": "alive"})


@router.get(
    "/readyz",
    operation_id="isReady",
    summary="Is the book in reach?",
    responses={200: {"model": StateBody}, **problems(503)},
)
def is_ready(request: Request) -> Response:
    """Say whether the database answers and has the schema of this version; why not is said in the log only."""
    try:
        request.app.state.check_ready()
    except JoulebookError as error:
        _LOG.warning("event=not_ready reason=%s", error)
        raise Unavailable("the book is not in reach: the log of the service says why") from None
    return JSONResponse({"status": "ready"})


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="What the service tells Prometheus of itself",
    response_class=PlainTextResponse,
    responses=problems(401),
)
async def get_metrics(request: Request) -> Response:
    """Return how many requests were answered and how fast, and what the process takes; the book is not touched."""
    return Response(request.app.state.metrics.page(), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/v1/verify",
    operation_id="verifyBook",
    summary="Prove the book against itself",
    responses={200: {"model": VerifyBody}, **problems(401, 422, 503)},
    dependencies=PAGE_DEPENDENCIES,
)
def verify_book(
    book: Book, head: Annotated[str, Query(description="Digest of a link that was kept elsewhere.")] = ""
) -> Response:
    """Return each check with what it found first, and what no check can prove."""
    return JSONResponse(book.verify(head))


@router.get(
    "/v1/audit/{year}",
    operation_id="getAudit",
    summary="What a reviewer needs of a year, as a zip that checks itself",
    response_class=ZipResponse,
    responses=problems(401, 422, 503),
    dependencies=PAGE_DEPENDENCIES,
)
def get_audit(book: Book, year: str) -> Response:
    """Return statements, journal, usage, factors and a sample of figures with their trees; on a large book that takes minutes."""
    if not (year.isascii() and year.isdigit() and len(year) == len("2026")):
        raise BadInput(f"year {year[:60]!r} is none: write it with four digits, such as 2026")
    # Held on disk and not in memory; gone from there when it is sent.
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the answer
    book.audit(int(year), file, lambda _: None)
    file.seek(0)
    named = {"content-disposition": f'attachment; filename="joulebook-audit-{year}.zip"'}
    parts = iter(lambda: file.read(PART_BYTES), b"")
    return ZipResponse(parts, headers=named, background=BackgroundTask(file.close))


@router.get(
    "/v1/snapshot",
    operation_id="getSnapshot",
    summary="What a machine needs to price its own runs",
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}, **problems(401, 422, 503)},
    dependencies=PAGE_DEPENDENCIES,
)
def get_snapshot(
    book: Book, machine: Annotated[str, Query(description="Id of the machine, as its reader names it.")]
) -> Response:
    """Return the factors, prices and placement of a machine, for footprints away from the book."""
    return Response(book.snapshot(machine), media_type="application/json")
