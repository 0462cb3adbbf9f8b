"""What the service tells Prometheus of itself: few series, base units, nothing of the book.

Requests are counted by the page as it is written in the schema, never by what was asked for: names of runs and models make no series.
"""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OTHER = "other"
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


class Metrics:
    """Counts what one service did; each service has a registry of its own."""

    def __init__(self) -> None:
        """Count from 0."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "joulebook_http_requests_total",
            "Requests that were answered, refused ones among them.",
            ("method", "page", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "joulebook_http_request_duration_seconds",
            "Time until an answer began.",
            ("page",),
            registry=self._registry,
            buckets=SECONDS,
        )

    def count(self, method: str, page: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(method if method in METHODS else OTHER, page, str(status)).inc()
        self._seconds.labels(page).observe(seconds)

    def page(self) -> bytes:
        """Return the page."""
        return generate_latest(self._registry)


class Counting:
    """Pure ASGI, around all others: counts every answer, whoever gave it."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count its answer as it begins."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()

        async def counted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                # The route is known once it is found: what the guard refused, and what is no page, has none.
                page = getattr(scope.get("route"), "path_format", OTHER)
                self._metrics.count(scope["method"], page, message["status"], time.perf_counter() - began)
            await send(message)

        await self.app(scope, receive, counted_send)
