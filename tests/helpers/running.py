"""A real service on a real socket, in a thread of the test or in a process of its own."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from fastapi import FastAPI

from joulebook_api.serve import listening, server_of, url_of

WAIT_SECONDS = 60
_END = ""
"""What follows the last line that a service has written."""
_PROGRAM = """
import sys
from joulebook_api.serve import serve
from joulebook_ledger.settings import load_settings
serve(load_settings(), host=sys.argv[1], port=0)
"""


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


class Service:
    """A service in a process of its own, which is ended with the test.

    What it writes is read as it comes: a log that nobody reads fills its pipe, and the service would wait for ever to write a line.

    Attributes:
        url: Where it answers.
        lines: What it has written that was waited for, or all of it once it has ended.
    """

    def __init__(self, environment: Mapping[str, str], host: str = "127.0.0.1", program: str = _PROGRAM) -> None:
        """Start it and wait until it says where it is."""
        command = [sys.executable, "-c", program, host]
        self.process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._written: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self.url = self.wait_for(lambda line: "event=serving url=" in line).partition("url=")[2].split()[0]

    def wait_for(self, is_wanted: Callable[[str], bool]) -> str:
        """Return the next line that it writes and that is wanted."""
        while line := self._written.get():
            self.lines.append(line)
            if is_wanted(line):
                return line
        message = "the service ended:\n" + "".join(self.lines)
        raise AssertionError(message)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code once it has ended."""
        self.process.send_signal(number)
        code = self.process.wait(WAIT_SECONDS)
        self.lines.extend(iter(self._written.get, _END))
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as written:
            for line in written:
                self._written.put(line)
        self._written.put(_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reading.join()
