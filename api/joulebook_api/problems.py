"""Every error of the service as RFC 9457 problem+json that names the value and the way out.

A `type` is `urn:joulebook:problem:` and a name that stays: of a fact's rule (`unknown-stage`), or one of

    malformed-batch, malformed-request, bad-input, bad-parameter, unauthorized, host-not-allowed, origin-not-allowed, no-such-page, not-found,
    method-not-allowed, too-large, wrong-content-type, unavailable, internal-error
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NotRequired, cast

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from typing_extensions import TypedDict

from joulebook_ledger.core.refusals import BadInput, JoulebookError, Malformed, NotFound, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:joulebook:problem:"
RETRY_AFTER_SECONDS = 2
LONGEST_ECHO = 200
_LOG = logging.getLogger("joulebook.service")
_NAMES = {
    400: "malformed-request",
    401: "unauthorized",
    403: "forbidden",
    404: "no-such-page",
    405: "method-not-allowed",
    413: "too-large",
    415: "wrong-content-type",
}


class ProblemBody(TypedDict):
    """What went wrong with a request (RFC 9457). `detail` names the value and the way out."""

    type: str
    title: str
    status: int
    detail: str
    request_id: NotRequired[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A refusal, before it is written out.

    Attributes:
        status: HTTP status.
        name: Last part of the type URI; it stays the same for ever.
        detail: One sentence for a person.
        headers: Further header fields.
    """

    status: int
    name: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, scope: Scope) -> Response:
        """Return the answer to the request of this scope."""
        body: ProblemBody = {
            "type": f"{TYPE_PREFIX}{self.name}",
            "title": self.name.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
        }
        if request_id := scope.get("state", {}).get("request_id"):
            body["request_id"] = request_id
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace")
        return Response(content, status_code=self.status, headers=dict(self.headers), media_type=MEDIA_TYPE)


def problem_of(error: JoulebookError) -> Problem:
    """Return the problem that an error of Joulebook is."""
    if isinstance(error, Malformed):
        return Problem(status=400, name="malformed-batch", detail=str(error))
    if isinstance(error, NotFound):
        return Problem(status=404, name="not-found", detail=str(error))
    if isinstance(error, Refused):
        return Problem(status=422, name=error.reason.replace("_", "-"), detail=error.detail)
    if isinstance(error, BadInput):
        return Problem(status=422, name="bad-input", detail=str(error))
    if isinstance(error, Unavailable):
        return Problem(
            status=503, name="unavailable", detail=str(error), headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
        )
    return INTERNAL_ERROR


INTERNAL_ERROR = Problem(
    status=500,
    name="internal-error",
    detail="an error of the service, not of the request; its log names the cause under this request_id. "
    "Facts that were sent may be sent again: nothing counts twice",
)


def handle_problems(app: FastAPI) -> None:
    """Let every error of an application answer as problem+json."""
    app.add_exception_handler(JoulebookError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_bad_parameter)
    app.add_exception_handler(HTTPException, _on_http_error)


async def _on_error(request: Request, error: Exception) -> Response:
    return problem_of(cast("JoulebookError", error)).response(request.scope)


async def _on_bad_parameter(request: Request, error: Exception) -> Response:
    sentences = [_sentence(mistake) for mistake in cast("RequestValidationError", error).errors()]
    return Problem(status=422, name="bad-parameter", detail="; ".join(sentences)).response(request.scope)


def _sentence(mistake: Mapping[str, Any]) -> str:
    parameter = str(mistake["loc"][-1])
    if mistake["type"] == "missing":
        return f"{parameter} is missing: add ?{parameter}=…"
    return f"{parameter}: {str(mistake['msg']).lower()}, not {str(mistake['input'])[:LONGEST_ECHO]!r}"


async def _on_http_error(request: Request, error: Exception) -> Response:
    failure = cast("HTTPException", error)
    path = request.scope["path"][:LONGEST_ECHO]
    details = {
        404: f"there is no {path!r} here: /docs lists what there is",
        405: f"{request.method[:20]} is not for {path!r}: /docs says what is",
    }
    problem = Problem(
        status=failure.status_code,
        name=_NAMES.get(failure.status_code, "http-error"),
        detail=details.get(failure.status_code, HTTPStatus(failure.status_code).phrase),
        headers=failure.headers or {},
    )
    return problem.response(request.scope)


class LastHandler:
    """The last handler: whatever no other one took is logged with its traceback and answered without it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer what goes wrong with it as an internal error."""
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched_send)
        except Exception:
            _LOG.exception("event=internal_error request_id=%s", scope.get("state", {}).get("request_id", ""))
            if started:
                raise
            await INTERNAL_ERROR.response(scope)(scope, receive, send)
