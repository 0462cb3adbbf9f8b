"""The one place that wires the service; nothing is built before `create_app` is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from joulebook_api.guard import Guard
from joulebook_api.metrics import Counting, Metrics
from joulebook_api.problems import LastHandler, ProblemBody, handle_problems
from joulebook_api.routes import (
    bills,
    checks,
    corrections,
    documents,
    facts,
    fetching,
    hosts,
    market,
    periods,
    ranking,
    register,
    reports,
    restatements,
    runs,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from joulebook_ledger.ledger import Ledger

TITLE = "Joulebook"
API_VERSION = "1"


def create_app(
    ledger: Ledger,
    token: str,
    *,
    check_ready: Callable[[], None] = lambda: None,
    book_soon: Callable[[], None] = lambda: None,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
) -> FastAPI:
    """Return the service in front of a ledger.

    Args:
        ledger: The book that is asked.
        token: Secret that every request about the book must carry.
        check_ready: Raises an error of Joulebook while the book is not in reach or of another version.
        book_soon: Called after a batch that may hold the end of a run, or what a person entered; must return at once.
        lifespan: What runs while the service does.
    """
    app = FastAPI(
        title=TITLE, version=API_VERSION, summary="Facts in, booked figures out.", docs_url=None, redoc_url=None,
        redirect_slashes=False, lifespan=lifespan,
        # Nothing leaves the machine unasked.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )  # fmt: skip
    app.state.ledger = ledger
    app.state.check_ready = check_ready
    app.state.book_soon = book_soon
    app.state.metrics = Metrics()
    for routes in (
        facts,
        runs,
        reports,
        ranking,
        periods,
        register,
        hosts,
        checks,
        documents,
        fetching,
        restatements,
        corrections,
        market,
        bills,
    ):
        app.include_router(routes.router)
    handle_problems(app)
    app.add_middleware(LastHandler)
    app.add_middleware(Guard, token=token)  # comes before all that answer
    app.add_middleware(Counting, metrics=app.state.metrics)  # added last, so that it comes first
    app.openapi = lambda: _schema(app)  # type: ignore[method-assign]
    return app


def _schema(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schema["components"]["schemas"]["ProblemBody"] = TypeAdapter(ProblemBody).json_schema()
        app.openapi_schema = schema
    return app.openapi_schema
