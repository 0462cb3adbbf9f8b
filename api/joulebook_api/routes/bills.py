"""Bills: taking deliveries in, and holding them against what was metered."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.parameters import PAGE_DEPENDENCIES, Book, problems
from joulebook_api.routes.register import Body
from joulebook_ledger.bills.bodies import BillsBody, ReconciliationBody
from joulebook_ledger.bills.sending import act_of_body
from joulebook_ledger.core.periods import parse_month

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["bills"])
_TEXT = {"type": "string"}
_BILL: dict[str, Any] = {
    "type": "object",
    "required": ["file", "digest", "files"],
    "properties": {
        "author": _TEXT, "file": _TEXT, "digest": _TEXT, "delivery": _TEXT,
        "files": {
            "type": "array",
            "items": {"type": "object", "required": ["name", "text"], "properties": {"name": _TEXT, "text": _TEXT}},
        },
    },
}  # fmt: skip


@router.post(
    "/v1/bills",
    operation_id="takeBill",
    summary="Take a delivery of a bill in",
    responses={200: {"model": BillsBody}, **problems(400, 401, 413, 415, 422, 503)},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _BILL}}}},
)
def take_bill(request: Request, book: Book, body: Body) -> Response:
    """Take the FOCUS files of one delivery in as CSV texts, all or none; the same delivery again changes nothing."""
    act, rows = act_of_body(body, uuid.uuid4().hex)
    answer = book.take_bill(act, rows, lambda _: None)
    request.app.state.book_soon()
    return JSONResponse(answer)


@router.get(
    "/v1/reconciliation/{month}",
    operation_id="getReconciliation",
    summary="A month's bills beside what was metered",
    responses={200: {"model": ReconciliationBody}, **problems(401, 422, 503)},
)
def get_reconciliation(book: Book, month: str) -> Response:
    """Return the bills whose period begins in a month, YYYY-MM: estimate by price, bill, difference and its causes, invoices, commitments."""
    return JSONResponse(book.reconcile(parse_month(month)))
