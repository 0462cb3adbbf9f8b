"""Reports of a month or several."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from joulebook_api.routes.parameters import (
    PAGE_DEPENDENCIES,
    Book,
    By,
    From,
    Options,
    To,
    grouping,
    problems,
    report_query,
)
from joulebook_ledger.bodies import ReportBody

router = APIRouter(dependencies=PAGE_DEPENDENCIES, tags=["reports"])


@router.get(
    "/v1/reports/{month}",
    operation_id="getMonthReport",
    summary="The report of one month",
    responses={200: {"model": ReportBody}, **problems(401, 422, 503)},
)
def get_month_report(book: Book, month: str, options: Options, by: By = "model") -> Response:
    """Return the report of a month, YYYY-MM in UTC; it shows what is booked and names `booked_until`."""
    return JSONResponse(book.report(report_query(month, month, grouping(by), options)))


@router.get(
    "/v1/reports",
    operation_id="getReport",
    summary="The report of a period",
    responses={200: {"model": ReportBody}, **problems(401, 422, 503)},
)
def get_report(book: Book, from_: From, options: Options, to: To = "", by: By = "model") -> Response:
    """Return the report of the months `from` to `to`, both included."""
    return JSONResponse(book.report(report_query(from_, to, grouping(by), options)))
