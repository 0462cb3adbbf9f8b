"""One thread that serves every connection of the agent: nobody waits for anybody, and nobody takes more than his share.

Each connection is read a bounded piece at a time, in turn; what it may have sent ahead and what may wait for it are bounded, and one
that sends too fast is not read for a while, so that the kernel makes its sender wait and not us.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from joulebook_collectors.agent.log import Log

PIECE_BYTES = 1 << 16
MOST_WAITING_BYTES = 1 << 18
MOST_LAST_PIECES = 16
LOOK_SECONDS = 1.0
SHORTEST_PAUSE_SECONDS = 0.05


class Channel:
    """One connection. What it means is up to those who derive from it; all of this happens in the loop's thread."""

    def __init__(self, sock: socket.socket) -> None:
        """Take a connection that does not block."""
        self.sock = sock
        self.is_over = False
        self.pause_until = 0.0
        self.until: float | None = None
        self._waiting = bytearray()
        self._ends_when_sent = False

    def on_bytes(self, data: bytes) -> None:
        """Take what came."""

    def on_end(self) -> None:
        """The connection is over."""

    def on_look(self) -> None:
        """A moment has passed."""

    def send(self, data: bytes) -> bool:
        """Send when the other side takes it; False where too much waits for it already, and nothing is added."""
        if len(self._waiting) + len(data) > MOST_WAITING_BYTES or self.is_over:
            return False
        self._waiting += data
        self.flush()
        return True

    def end(self, last: bytes = b"") -> None:
        """End the connection once what waits was taken, and at any rate after a moment."""
        self._ends_when_sent = True
        self.until = time.monotonic() + LOOK_SECONDS
        if last:
            self.send(last)
        self.flush()

    def flush(self) -> None:
        """Send what the other side takes now."""
        try:
            while self._waiting:
                del self._waiting[: self.sock.send(self._waiting)]
        except BlockingIOError:
            return
        except OSError:
            self.is_over = True
            return
        self.is_over = self.is_over or self._ends_when_sent

    @property
    def wants(self) -> int:
        """What to wait for, as events of `selectors`."""
        is_read = not self._ends_when_sent and self.pause_until <= time.monotonic()
        return (selectors.EVENT_READ if is_read else 0) | (selectors.EVENT_WRITE if self._waiting else 0)


class Loop:
    """The thread and its connections."""

    def __init__(self, log: Log) -> None:
        """Wait for nothing yet."""
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._channels: set[Channel] = set()
        self._errands: list[Callable[[], None]] = []
        self._bell, self._rope = socket.socketpair()
        self._rope.setblocking(False)
        self._bell.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ, None)
        self._is_ending = False
        self._next_look = 0.0
        self._thread = threading.Thread(target=self._run, name="joulebook sockets", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread does its work."""
        return self._thread.is_alive()

    def listen(self, listener: socket.socket, make: Callable[[socket.socket], Channel | None]) -> None:
        """Accept connections, each as the channel that `make` returns; None where it is not wanted. Before `start` only."""
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, (listener, make))

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def call(self, errand: Callable[[], None]) -> None:
        """Have something done in the loop's thread, soon."""
        self._errands.append(errand)
        try:
            self._rope.send(b"!")
        except OSError:
            return  # it has been rung so often that nothing more fits: it will come

    def stop(self, wait_seconds: float) -> None:
        """End every connection and the thread."""
        self._is_ending = True
        self.call(lambda: None)
        if self._thread.is_alive():
            self._thread.join(wait_seconds)

    def _run(self) -> None:
        while not self._is_ending:
            for key, events in self._selector.select(LOOK_SECONDS if not self._is_pausing else SHORTEST_PAUSE_SECONDS):
                if isinstance(key.data, Channel):
                    self._serve(key.data, events)
                elif key.data is None:
                    self._drain()
                else:
                    self._accept(*key.data)
            while self._errands:
                self._errands.pop(0)()
            self._look()
        for channel in list(self._channels):
            self._hear_out(channel)
            self._drop(channel)
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    @property
    def _is_pausing(self) -> bool:
        now = time.monotonic()
        return any(channel.pause_until > now for channel in self._channels)

    def _look(self) -> None:
        """Wait for what each connection wants now; end those that are over or took too long."""
        now = time.monotonic()
        is_due = now >= self._next_look
        self._next_look = now + LOOK_SECONDS if is_due else self._next_look
        for channel in list(self._channels):
            if is_due:
                channel.on_look()
            if channel.is_over:
                self._hear_out(channel)  # a process that is gone may have said its last words since it was read
                self._drop(channel)
            elif channel.until is not None and now >= channel.until:
                self._drop(channel)
            else:
                self._watch(channel)

    def _watch(self, channel: Channel) -> None:
        wants = channel.wants
        known = self._selector.get_map().get(channel.sock)
        if known is None and wants:
            self._selector.register(channel.sock, wants, channel)
        elif known is not None and not wants:
            self._selector.unregister(channel.sock)
        elif known is not None and known.events != wants:
            self._selector.modify(channel.sock, wants, channel)

    def _serve(self, channel: Channel, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            channel.flush()
        if not events & selectors.EVENT_READ:
            return
        try:
            data = channel.sock.recv(PIECE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            channel.on_bytes(data)
        else:
            channel.is_over = True

    def _hear_out(self, channel: Channel) -> None:
        """Take what was sent before the end, within bounds."""
        for _ in range(MOST_LAST_PIECES):
            try:
                data = channel.sock.recv(PIECE_BYTES)
            except OSError:
                return
            if not data:
                return
            channel.on_bytes(data)

    def _accept(self, listener: socket.socket, make: Callable[[socket.socket], Channel | None]) -> None:
        try:
            sock, _ = listener.accept()
        except OSError as error:  # such as too many open files: it waits in the backlog until some are closed
            self._log.trouble("accept", "not_accepted", reason=error.strerror or error)
            time.sleep(SHORTEST_PAUSE_SECONDS)
            return
        self._log.over("accept", "accepted_again")
        sock.setblocking(False)
        channel = make(sock)
        if channel is None:
            sock.close()
            return
        self._channels.add(channel)

    def _drop(self, channel: Channel) -> None:
        self._channels.discard(channel)
        if channel.sock in self._selector.get_map():
            self._selector.unregister(channel.sock)
        channel.sock.close()
        channel.on_end()

    def _drain(self) -> None:
        try:
            self._bell.recv(PIECE_BYTES)
        except OSError:
            return
