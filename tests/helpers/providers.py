"""A provider on a socket of this machine, which answers what a test tells it to: well, badly, slowly, or too much."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Play = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Asked:
    """One question as it came over the wire."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Station:
    """What is played next, and what was asked so far.

    Attributes:
        url: Where it answers.
        plays: Answers in order; the last one is repeated.
        asked: Questions in order.
    """

    url: str = ""
    plays: list[Play] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def play(self, *plays: Play) -> None:
        """Answer with these from now on."""
        self.plays = list(plays)


def says(content: Any, status: int = 200, **headers: str) -> Play:
    """Answer with a body: a JSON value, a text or bytes."""
    body = (
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )

    def play(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return play


def says_much(megabytes: int) -> Play:
    """Answer with so much of nothing, until nobody listens any more."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(megabytes):
                handler.wfile.write(b" " * (1 << 20))

    return play


def says_nothing(until: threading.Event) -> Play:
    """Take the question and stay silent until the test is over."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        until.wait(30)

    return play


def drips(until: threading.Event) -> Play:
    """Answer a byte now and then, for ever."""

    def play(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while not until.wait(0.02):
                handler.wfile.write(b" ")

    return play


@contextlib.contextmanager
def station(*plays: Play) -> Iterator[Station]:
    """Yield a provider that answers with these."""
    found = Station(plays=list(plays))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            found.asked.append(Asked(parts.path, dict(parse_qsl(parts.query)), dict(self.headers.items())))
            play = found.plays.pop(0) if len(found.plays) > 1 else found.plays[0]
            with contextlib.suppress(ConnectionError):
                play(self)

        def log_message(self, *_words: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
