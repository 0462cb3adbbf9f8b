"""Who may ask, before anything is read: Host, Origin, token, content type and size, in this order.

The checks of Host and Origin keep a web page that the user merely looks at away from a service on the user's own machine (DNS
rebinding, requests across sites); the token keeps other users of the machine away. A body is collected here up to a bound, so that
no route ever sees half of one or one without an end; a compressed one is unpacked here, up to the same bound, whatever it claims to be.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import secrets
import time
import uuid
import zlib

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from joulebook_api.problems import LONGEST_ECHO, Problem
from joulebook_ledger.core.wire import LARGEST_BATCH_BYTES

# These say nothing about the book.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
BODY_METHODS = frozenset({"PATCH", "POST", "PUT"})  # nothing reads a body of any other
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_LOG = logging.getLogger("joulebook.access")
_PLAIN, _GZIP = "identity", "gzip"
_GZIP_BITS = 16 + zlib.MAX_WBITS
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def is_loopback(name: str) -> bool:
    """Say whether a host name or address can only mean this machine.

    >>> [is_loopback(name) for name in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """Pure ASGI: admits a request, or answers it with the problem; marks and logs every answer."""

    def __init__(self, app: ASGIApp, *, token: str, largest_body_bytes: int = LARGEST_BATCH_BYTES) -> None:
        self.app = app
        self._token = token.encode()
        self._largest = largest_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit the request of this scope, or answer it."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        marked_send = _marked(send, scope, request_id)
        objection = self._objection(scope, headers)
        if objection is None and scope["method"] in BODY_METHODS:
            body = await self._collect(headers, receive)
            if isinstance(body, bytes) and _encoding_of(headers) == _GZIP:
                body = await run_in_threadpool(self._unpacked, body)
            if body is None:
                return  # whoever asked is gone
            if isinstance(body, Problem):
                objection = body
            else:
                receive = _replayed(body, receive)
        if objection is not None:
            await objection.response(scope)(scope, receive, marked_send)
        else:
            await self.app(scope, receive, marked_send)

    def _objection(self, scope: Scope, headers: Headers) -> Problem | None:
        return (
            _host_objection(headers)
            or _origin_objection(headers)
            or self._token_objection(scope, headers)
            or _content_objection(scope, headers)
        )

    def _token_objection(self, scope: Scope, headers: Headers) -> Problem | None:
        if scope["path"] in OPEN_PATHS:
            return None
        given = headers.getlist("authorization")
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        # Both are compared in full whatever they are, so that the time taken tells nothing.
        if secrets.compare_digest(token.strip().encode(), self._token) and scheme.lower() == "bearer":
            return None
        return Problem(
            status=401,
            name="unauthorized",
            detail="send `Authorization: Bearer TOKEN` with the token in the file `token` of the service's JOULEBOOK_HOME",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def _collect(self, headers: Headers, receive: Receive) -> bytes | Problem | None:
        declared = headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > self._largest:
            return self._too_large()
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._largest:
                return self._too_large()
        return bytes(body)

    def _unpacked(self, packed: bytes) -> bytes | Problem:
        """Return what was compressed; no more of it is ever unpacked than a body may have, whatever it would grow to."""
        unpacker = zlib.decompressobj(wbits=_GZIP_BITS)
        try:
            body = unpacker.decompress(packed, self._largest + 1)
        except zlib.error as error:
            return _no_gzip(str(error))
        if len(body) > self._largest:
            return self._too_large()
        if not unpacker.eof:
            return _no_gzip("it ends in the middle")
        return _no_gzip("something follows its end") if unpacker.unused_data else body

    def _too_large(self) -> Problem:
        return Problem(
            status=413, name="too-large", detail=f"a body has at most {self._largest} bytes, unpacked: send the batch in parts"
        )  # fmt: skip


def _host_objection(headers: Headers) -> Problem | None:
    hosts = headers.getlist("host")
    match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if match and is_loopback(match["name"].strip("[]")):
        return None
    return Problem(
        status=421,
        name="host-not-allowed",
        detail=f"this service answers as localhost, 127.0.0.1 or [::1], not as {', '.join(hosts)[:LONGEST_ECHO]!r}",
    )


def _origin_objection(headers: Headers) -> Problem | None:
    origins = headers.getlist("origin")
    host = headers.get("host", "").lower()
    if all(origin.lower() in {f"http://{host}", f"https://{host}"} for origin in origins):
        return None
    return Problem(
        status=403,
        name="origin-not-allowed",
        detail=f"a page of {', '.join(origins)[:LONGEST_ECHO]!r} may not ask this service: only its own pages may",
    )


def _content_objection(scope: Scope, headers: Headers) -> Problem | None:
    if scope["method"] not in BODY_METHODS:
        return None
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = _encoding_of(headers)
    if content_type == "application/json" and encoding in {_PLAIN, _GZIP}:
        return None
    given = content_type if content_type != "application/json" else f"{content_type} encoded as {encoding}"
    return Problem(
        status=415,
        name="wrong-content-type",
        detail=f"send the body as application/json, plain or as one gzip; this one is {given[:LONGEST_ECHO]!r}",
    )


def _encoding_of(headers: Headers) -> str:
    return ", ".join(headers.getlist("content-encoding")).strip().lower() or _PLAIN


def _no_gzip(why: str) -> Problem:
    return Problem(
        status=400, name="malformed-request", detail=f"the body is said to be gzip and is none: {why[:LONGEST_ECHO]}"
    )


def _replayed(body: bytes, receive: Receive) -> Receive:
    left = [body]

    async def replay() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return replay


def _marked(send: Send, scope: Scope, request_id: str) -> Send:
    began = time.perf_counter()

    async def marked_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            # The query is left out: it names models and teams.
            _LOG.info(
                "event=request method=%s path=%s status=%d ms=%.1f request_id=%s",
                ascii(scope["method"])[1:-1], ascii(scope["path"])[1:-1], message["status"], (time.perf_counter() - began) * 1000,
                request_id,
            )  # fmt: skip
        await send(message)

    return marked_send
