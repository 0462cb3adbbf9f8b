"""What a service manager is told: ready, still alive, stopping (sd_notify(3)), by one datagram each and without a library."""

from __future__ import annotations

import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# A sign of life is sent this many times within the time after which the manager holds us dead.
SIGNS = 3


class Notifier:
    """Speaks to the service manager that started us; where none did, it says nothing."""

    __slots__ = ("_address", "_next_us", "_period_us")

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Take the address and the watchdog's time from the environment."""
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._period_us = _watchdog_us(environment) // SIGNS
        self._next_us = 0

    def ready(self, status: str) -> None:
        """Tell that we do our work from now on."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Tell how we are, for `systemctl status`."""
        self._send(f"STATUS={status}")

    def stopping(self) -> None:
        """Tell that we end."""
        self._send("STOPPING=1")

    def alive(self, now_us: int) -> None:
        """Give the watchdog a sign of life, where one is due."""
        if self._period_us and now_us >= self._next_us:
            self._next_us = now_us + self._period_us
            self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self._address.startswith(("/", "\0")):
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
                speaker.connect(self._address)
                speaker.send(state.encode())
        except OSError:
            return  # the manager is gone or deaf: that is its own affair


def _watchdog_us(environment: Mapping[str, str]) -> int:
    """Return within which time a sign of life is awaited, microseconds; 0 where none is."""
    text, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not text.isascii() or not text.isdigit() or (pid and pid != str(os.getpid())):
        return 0
    return int(text)
