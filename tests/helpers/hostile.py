"""A network that does what networks do, between a client and a real service: seeded, so that it does it again."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

MOODS = {
    "good": 3, "away": 2, "error": 2, "busy": 1, "stored_and_error": 2, "stored_and_late": 1, "stored_and_dead": 3, "half_a_request": 2,
    "half_an_answer": 2, "twice": 2, "another_page": 1,
}  # fmt: skip
"""What becomes of a request, and how often."""
LATE_SECONDS = 0.3
"""Longer than the clients of these tests wait."""


class Network:
    """What lies between; `moods` counts what it did."""

    def __init__(self, url: str, seed: int) -> None:
        """Lead to the service at a URL."""
        address = urlsplit(url)
        self.upstream = (address.hostname or "", address.port or 0)
        self.dice = random.Random(seed)
        self.lock = threading.Lock()
        self.moods: Counter[str] = Counter()

    def mood(self) -> str:
        """Throw the dice."""
        with self.lock:
            mood = self.dice.choices(list(MOODS), list(MOODS.values()))[0]
            self.moods[mood] += 1
            return mood


class _Handler(BaseHTTPRequestHandler):
    network: ClassVar[Network]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Let a request through, more or less."""
        body = self.rfile.read(int(self.headers["content-length"]))
        mood = self.network.mood()
        passes: dict[str, Callable[[bytes], None]] = {
            "away": lambda _: self._die(), "error": lambda _: self._say(500, b"it broke"), "half_a_request": self._pass_half,
            "busy": lambda _: self._say(503, b"", {"Retry-After": "0"}), "another_page": lambda _: self._say(200, b"<html>log in</html>"),
        }  # fmt: skip
        if mood in passes:
            passes[mood](body)
            return
        if mood == "twice":
            self._forward(body)
        status, answer = self._forward(body)
        if mood == "stored_and_error":
            self._say(500, b"it broke")
        elif mood == "stored_and_dead":
            self._die()
        elif mood == "half_an_answer":
            self._say(status, answer, cut=len(answer) // 2)
        else:
            if mood == "stored_and_late":
                time.sleep(LATE_SECONDS)
            self._say(status, answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _forward(self, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self.network.upstream, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", self.path, body, self._headers())
            response = connection.getresponse()
            return response.status, response.read()

    def _headers(self) -> dict[str, str]:
        names = ("authorization", "content-type", "content-encoding")
        return {name: self.headers[name] for name in names if self.headers[name]}

    def _pass_half(self, body: bytes) -> None:
        """Begin to pass it on, and die in the middle."""
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self._headers().items())
        with socket.create_connection(self.network.upstream, 60) as upstream:
            upstream.sendall(head.encode() + b"\r\n" + body[: len(body) // 2])
        self._die()

    def _say(self, status: int, answer: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer if cut is None else answer[:cut])
        if cut is not None:
            self._die()

    def _die(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: whoever asked may be gone."""


@contextlib.contextmanager
def hostile(url: str, seed: int) -> Iterator[tuple[str, Network]]:
    """Yield an address behind which a service lies, and what lies between."""
    network = Network(url, seed)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"network": network}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", network
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
