"""A real service on a real socket, in a thread of the test or in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping

from fastapi import FastAPI

from joulebook_api.serve import listening, server_of, url_of

WAIT_SECONDS = 60


@contextlib.contextmanager
def running(app: FastAPI, port: int = 0) -> Iterator[str]:
    """Yield the URL of an application on a socket of this machine."""
    with listening("127.0.0.1", port) as listener:
        url = url_of(listener)
        server = server_of(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join(WAIT_SECONDS)
    assert not thread.is_alive()


class Process:
    """A service in a process of its own.

    Attributes:
        url: Where it answers.
        lines: What it has written so far.
    """

    def __init__(self, environment: Mapping[str, str], *arguments: str) -> None:
        """Start it and wait until it says where it is."""
        program = (
            "import sys; from joulebook_api.serve import serve; from joulebook_ledger.settings import load_settings; "
            "serve(load_settings(), host=sys.argv[1], port=0)"
        )
        host = arguments[0] if arguments else "127.0.0.1"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, host], env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self.url = ""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line)
            if "event=serving url=" in line:
                self.url = line.partition("url=")[2].split()[0]
                break

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code once it has ended."""
        self._process.send_signal(number)
        _, rest = self._process.communicate(timeout=WAIT_SECONDS)
        self.lines.extend(rest.splitlines())
        return self._process.returncode
