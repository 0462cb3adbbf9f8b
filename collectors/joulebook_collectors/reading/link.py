"""A job's line to the host's agent: announced there, a job need read no meter and hold no lock.

It is opened without waiting for anybody for long, written without waiting at all, and when it breaks the job reads by itself, as it
does where no agent runs. What the agent tells of the job's runs is kept in a file without a name, for `run.footprint`.

On the measured path: `socket` would load ten times what it wraps.
"""

from __future__ import annotations

import os
import select
import threading
import time

from joulebook_collectors.host.guard import say_once
from joulebook_collectors.reading.link_words import FORM, ledger_digest
from joulebook_collectors.spool.segments import decode_line, encode_frame, remove_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from joulebook_collectors.spool.segments import Frame
    from joulebook_ledger.settings import Settings

HELLO_SECONDS = 1.0  # it takes less than a thousandth, but on a host whose cores are all taken
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
MOST_WAITING_BYTES = 1 << 22
PIECE_BYTES = 1 << 16
_BOTH_WAYS = 2
TOLD = ("process", "runs", "scores", "counts")
_echoes: dict[str, int] = {}


class Link:
    """The line of one session. Nothing here raises into the job.

    Attributes:
        telling: To be held by whoever writes a frame and says it, so that none is lost while the line is opened.
        windows_us: When the agent ended windows last, on the host's monotonic clock.
        reads: Whether an agent reads for us: it is there, and writes for our ledger.
    """

    __slots__ = (
        "_came",
        "_folder",
        "_guard",
        "_kept_bytes",
        "_next_try",
        "_opening",
        "_path",
        "_pause_seconds",
        "_replay",
        "_sent_bytes",
        "_settings",
        "_sock",
        "_waiting",
        "is_same_ledger",
        "reads",
        "telling",
        "windows_us",
    )  # fmt: skip

    def __init__(self, settings: Settings, folder: str, replay: Callable[[], list[Frame]]) -> None:
        """Open nothing yet.

        Args:
            settings: What is set.
            folder: The spool folder of this boot.
            replay: Returns all that an agent has to know of this process.
        """
        self.windows_us = 0
        self.reads = False
        self.is_same_ledger = False
        self._settings = settings
        self._folder = folder
        self._path = settings.agent_socket
        self._replay = replay
        self._sock: Any = None
        self.telling = threading.Lock()
        self._guard = threading.Lock()
        self._opening = threading.Lock()
        self._waiting = b""
        self._came = b""
        self._sent_bytes = self._kept_bytes = 0
        self._next_try = 0.0
        self._pause_seconds = FIRST_PAUSE_SECONDS

    @property
    def is_open(self) -> bool:
        """Whether an agent hears us."""
        return self._sock is not None

    @property
    def is_kept(self) -> bool:
        """Whether all that was said lies in the agent's spool."""
        return self.is_open and not self._waiting and self._kept_bytes >= self._sent_bytes

    def open(self) -> bool:
        """Open the line, if there is an agent and it was not tried just now; tell whether an agent reads for us."""
        if self._sock is not None or time.monotonic() < self._next_try or not self._opening.acquire(blocking=False):
            return self.reads
        try:
            return self._try_to_open()
        finally:
            self._opening.release()

    def _try_to_open(self) -> bool:
        self._next_try = time.monotonic() + self._pause_seconds
        try:
            os.stat(self._path)
        except OSError:
            return False
        try:
            self._connect()
        except (ConnectionRefusedError, FileNotFoundError):
            self._pause_seconds = FIRST_PAUSE_SECONDS  # an agent that died left it: another one will come
        except (OSError, ImportError, KeyError, TypeError, ValueError) as error:
            self._give_up(f"the agent at {self._path} cannot be spoken to ({error}): this job reads the meters itself")
        return self.reads

    def say(self, frame: Frame) -> None:
        """Tell the agent what was just written into our own segment."""
        if self._sock is not None:
            self._send(encode_frame({kind: frame[kind] for kind in (*TOLD, "mark") if kind in frame}))

    def attend(self) -> None:
        """Hear what the agent says until the line breaks; for the thread that would else read the meters."""
        while self._sock is not None:
            self._hear_for(None)

    def hear(self, seconds: float) -> None:
        """Hear what the agent says for at most this time; for an agent that does not read for us."""
        if self._sock is not None:
            self._hear_for(seconds)

    def drop(self) -> None:
        """Close the line; in a forked child only our copy of it. No lock is taken, and nothing is said."""
        sock, self._sock, self.reads = self._sock, None, False
        if sock is not None:
            sock.close()

    def _connect(self) -> None:
        import _socket

        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
        hello = encode_frame({"hello": {"form": FORM, "pid_namespace": _pid_namespace()}})
        answer: dict[str, Any] = {}
        try:
            sock.connect(self._path)
            sock.send(hello)
            answer = self._answer(sock)
        finally:
            if not answer:
                sock.close()
        status = os.stat(self._folder)
        if "refused" in answer or [status.st_dev, status.st_ino] == answer["agent"]["folder"]:
            sock.close()
            self._next_try = time.monotonic() + LONGEST_PAUSE_SECONDS
            if "refused" in answer:
                self._give_up(_refusal(answer))
            return  # else our spool is the agent's own, and its lock keeps the order
        self.is_same_ledger = answer["agent"]["ledger"] == ledger_digest(self._settings.ledger)
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._waiting, self._sent_bytes, self._kept_bytes = b"", len(hello), 0
        with self.telling:
            lines = b"".join(encode_frame(frame) for frame in self._replay())
            self._sock = sock
            self.reads = self.is_same_ledger or self._settings.is_default_ledger
            self._send(lines)

    def _answer(self, sock: Any) -> dict[str, Any]:
        """Return the first line that an agent says; it says it at once or not at all."""
        until, came = time.monotonic() + HELLO_SECONDS, b""
        while b"\n" not in came:
            ready, _, _ = select.select([sock], [], [], max(0.0, until - time.monotonic()))
            data = sock.recv(PIECE_BYTES) if ready else b""
            if not data:
                raise OSError(110, "it does not answer")
            came += data
        line, _, self._came = came.partition(b"\n")
        answer = decode_line(line)
        if answer is None or not ("refused" in answer or "agent" in answer):
            raise ValueError("it speaks as no agent does")
        return answer

    def _send(self, data: bytes) -> None:
        with self._guard:
            self._waiting += data
            self._sent_bytes += len(data)
            self._flush()
            if len(self._waiting) > MOST_WAITING_BYTES:
                self._break()

    def _flush(self) -> None:
        try:
            while self._waiting and self._sock is not None:
                self._waiting = self._waiting[self._sock.send(self._waiting) :]
        except BlockingIOError:
            return
        except OSError:
            self._break()

    def _hear_for(self, seconds: float | None) -> None:
        sock = self._sock
        try:
            ready, writable, _ = select.select([sock], [sock] if self._waiting else [], [], seconds)
            data = sock.recv(PIECE_BYTES) if ready else None
        except BlockingIOError:
            return
        except (OSError, ValueError, AttributeError):  # closed meanwhile
            data = b""
            writable = []
        if writable:
            with self._guard:
                self._flush()
        if data == b"":
            with self._guard:
                self._break()
        elif data:
            *lines, self._came = (self._came + data).split(b"\n")
            for line in lines:
                self._take(line)

    def _take(self, line: bytes) -> None:
        told = decode_line(line) or {}
        if "refused" in told:
            self._give_up(_refusal(told))
        elif "kept" in told:
            self._kept_bytes = told["kept"]
        elif "windows_us" in told:
            self._keep(line)
            self.windows_us = told["windows_us"]

    def _keep(self, line: bytes) -> None:
        descriptor = _echoes.get(self._folder)
        try:
            if descriptor is None:
                descriptor = _echoes[self._folder] = _nameless_file(self._folder)
            os.write(descriptor, line + b"\n")
        except OSError:
            return  # a footprint that is computed here then lacks what the books will have

    def _give_up(self, sentence: str) -> None:
        """Say why, and try again later and later."""
        say_once(sentence)
        self._next_try = time.monotonic() + self._pause_seconds
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * self._pause_seconds)
        with self._guard:
            self._break()

    def _break(self) -> None:
        """Close the line; the next run tries again, and whoever reads meanwhile, too."""
        sock, self._sock, self.reads = self._sock, None, False
        self._waiting = b""
        if sock is not None:
            try:
                sock.shutdown(_BOTH_WAYS)  # it wakes the thread that listens
            except OSError:
                pass
            sock.close()


def echo_of(folder: str) -> bytes:
    """Return what the agent said of this process's runs, as lines of a segment."""
    descriptor = _echoes.get(folder)
    if descriptor is None:
        return b""
    try:
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    except OSError:
        return b""


def _nameless_file(folder: str) -> int:
    path = os.path.join(folder, f".echo-{os.getpid()}-{os.urandom(4).hex()}")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    remove_file(path)
    return descriptor


def _refusal(answer: dict[str, Any]) -> str:
    return f"the agent refuses this job: {answer['refused']}; the job goes on and reads the meters itself"


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
