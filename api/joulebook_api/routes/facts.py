"""The one door for facts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, problems
from joulebook_ledger.core.wire import DESK_LISTS, LARGEST_BATCH_BYTES, LARGEST_BATCH_ITEMS
from joulebook_ledger.transport.answers import AnswerBody, body_of

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["facts"])
_BATCH = {
    "type": "object",
    "description": f"A batch of core.wire: at most {LARGEST_BATCH_ITEMS} items and {LARGEST_BATCH_BYTES} bytes.",
    "required": ["wire", "sequence", "reader"],
}


# The end of a run, and whatever people enter, are looked for in reports at once.
_WANTS_BOOKING = (b'"ended"', *(f'"{name}"'.encode() for name in DESK_LISTS))


async def _body_of(request: Request) -> bytes:
    return await request.body()


@router.post(
    "/v1/facts",
    operation_id="deliverFacts",
    summary="Deliver a batch of facts",
    responses={200: {"model": AnswerBody}, **problems(400, 401, 413, 415, 422, 503)},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _BATCH}}}},
)
def deliver_facts(request: Request, book: Book, body: Annotated[bytes, Depends(_body_of)]) -> Response:
    """Store the facts of a batch and say what became of each; sent again, the same batch changes nothing.

    Bytes that are no batch are refused whole. In a batch each item is decided by itself; its outcome may be a refusal while the
    answer is 200. Send again only what is `retry_later`.
    """
    answer = book.deliver(body)
    # A word may stand elsewhere in a batch as well: a booking too many changes nothing.
    if any(word in body for word in _WANTS_BOOKING):
        request.app.state.book_soon()
    return JSONResponse(body_of(answer))
