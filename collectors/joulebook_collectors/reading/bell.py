"""A bell at the reader's door: whoever starts or ends a run rings it, so that the window ends there and then.

It is a named pipe in the spool folder. Where there is none (Windows, some file systems) only this process can ring, and others are
heard at the next sample.
"""

from __future__ import annotations

import os
import select
import threading

NAME = "bell"
_MOST_BYTES = 4096


class Bell:
    """The reader's end."""

    __slots__ = ("_descriptor", "_event", "_poll")

    def __init__(self, folder: str) -> None:
        self._event = threading.Event()
        self._descriptor = _open_pipe(os.path.join(folder, NAME))
        self._poll = None
        if self._descriptor is not None:
            self._poll = select.poll()
            self._poll.register(self._descriptor, select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Wait until somebody rings, or the time is over; tell whether somebody may have rung."""
        if self._descriptor is None or self._poll is None:
            self._event.wait(seconds)
            self._event.clear()
            return True
        is_rung = bool(self._poll.poll(seconds * 1000))
        if is_rung:
            os.read(self._descriptor, _MOST_BYTES)
        return is_rung

    def ring(self) -> None:
        """Ring from within this process."""
        if self._descriptor is None:
            self._event.set()
            return
        try:
            os.write(self._descriptor, b"!")
        except OSError:
            return  # it has been rung so often that the pipe is full

    def close(self) -> None:
        """Close the pipe; it stays for the next reader."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def ring(folder: str) -> None:
    """Ring from another process; where nobody reads, nothing happens."""
    if not hasattr(os, "mkfifo"):
        return
    try:
        descriptor = os.open(os.path.join(folder, NAME), os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        os.write(descriptor, b"!")
    except OSError:
        return
    finally:
        os.close(descriptor)


def _open_pipe(path: str) -> int | None:
    """Open the pipe for reading and writing, so that it never looks closed; made where it is missing."""
    if not hasattr(os, "mkfifo"):
        return None
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        pass
    except OSError:
        return None
    try:
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
