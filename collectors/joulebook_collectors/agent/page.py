"""The agent's page on loopback: `/metrics` in Prometheus' text form, `/healthz`, `/readyz`.

Only what a scraper needs of HTTP is spoken: one GET or HEAD, one answer, and the connection ends. It is part of the one thread that
serves all connections; nothing that comes in here has any effect.
"""

from __future__ import annotations

import time

from joulebook_collectors.agent.loop import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

MOST_BYTES = 16_384
LONGEST_SECONDS = 5.0
TEXT = "text/plain; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
_WORDS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Too Large",
    503: "Service Unavailable",
}


class PageChannel(Channel):
    """One request.

    Pages are functions that return whether all is well, and a text.
    """

    def __init__(self, sock: socket.socket, pages: dict[str, Callable[[], tuple[bool, str]]]) -> None:
        """Wait for a request, not for long."""
        super().__init__(sock)
        self.until = time.monotonic() + LONGEST_SECONDS
        self._pages = pages
        self._request = b""

    def on_bytes(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self._request += data
        if b"\r\n\r\n" in self._request or b"\n\n" in self._request:
            self._answer(self._request.split(b"\n", 1)[0])
        elif len(self._request) > MOST_BYTES:
            self._say(431, "too large\n", head=False)

    def _answer(self, line: bytes) -> None:
        words = line.decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            self._say(400, "this is no HTTP/1 request\n", head=False)
            return
        method, path = words[0], words[1].partition("?")[0]
        page = self._pages.get(path)
        if method not in {"GET", "HEAD"}:
            self._say(405, "GET or HEAD\n", head=False)
        elif page is None:
            self._say(404, f"there are {', '.join(self._pages)}\n", head=method == "HEAD")
        else:
            is_well, text = page()
            kind = METRICS if path == "/metrics" else TEXT
            self._say(200 if is_well else 503, text, head=method == "HEAD", kind=kind)

    def _say(self, status: int, text: str, *, head: bool, kind: str = TEXT) -> None:
        body = text.encode()
        lines = (
            f"HTTP/1.1 {status} {_WORDS[status]}", f"Content-Type: {kind}", f"Content-Length: {len(body)}",
            "Cache-Control: no-store", "X-Content-Type-Options: nosniff", "Connection: close", "", "",
        )  # fmt: skip
        self.end("\r\n".join(lines).encode() + (b"" if head else body))
