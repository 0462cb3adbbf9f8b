"""Where no command runs on this machine: the reader delivers by itself, to a service or into a drop-box.

From a daemon thread, once a minute, less and less often while the ledger is away, and when the last run ends for at most
`JOULEBOOK_FLUSH_SECONDS`. What it needs is loaded when it is
made, on the job's own thread: a fork in the middle of an import would leave the child waiting for a lock that nobody holds.
"""

from __future__ import annotations

import os
import threading

from joulebook_collectors.delivery.dropbox import SCHEME, DropBox, folder_of
from joulebook_collectors.delivery.pauses import pause_seconds
from joulebook_collectors.delivery.recovery import recover_and_deliver
from joulebook_collectors.host.guard import harmless, say_once
from joulebook_ledger.core.refusals import JoulebookError, Unavailable
from joulebook_ledger.settings import read_api_key, without_secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from joulebook_collectors.delivery.deliver import Door
    from joulebook_ledger.settings import Settings

INTERVAL_SECONDS = 60.0


class Uploader:
    """Delivers this machine's spools for one ledger while this process reads for the host."""

    __slots__ = ("_asked_seconds", "_door", "_failures", "_is_reading", "_now", "_settings", "_thread", "_waiting")

    def __init__(self, settings: Settings, is_reading: Callable[[], bool]) -> None:
        """Load what is needed; nothing is sent before `begin`.

        Raises:
            JoulebookError: The address of the ledger or its token is none.
        """
        self._settings = settings
        self._is_reading = is_reading
        self._now = threading.Event()
        self._waiting: list[threading.Event] = []
        self._failures = 0
        self._asked_seconds = 0.0
        self._thread: threading.Thread | None = None
        self._door = door_of(settings)

    def begin(self) -> None:
        """Deliver from now on, once a minute."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="joulebook delivery", daemon=True)
            self._thread.start()

    def flush(self, wait_seconds: float) -> None:
        """Deliver now, and wait for it, for at most this time; what is not sent then stays in the spool.

        A ledger that was out of reach the last time is not waited for once more.
        """
        if wait_seconds <= 0 or self._thread is None or self._failures:
            return
        done = threading.Event()
        self._waiting.append(done)
        self._now.set()
        done.wait(wait_seconds)

    def pause_seconds(self) -> float:
        """Return how long to wait before the next delivery."""
        chance = int.from_bytes(os.urandom(2), "little") / 65_535
        return pause_seconds(INTERVAL_SECONDS, self._failures, asked_seconds=self._asked_seconds, chance=chance)

    def _work(self) -> None:
        while True:
            self._now.wait(self.pause_seconds())
            self._now.clear()
            waiting, self._waiting = self._waiting, []
            if waiting or self._is_reading():
                self._deliver()
            for done in waiting:
                done.set()

    @harmless(None)
    def _deliver(self) -> None:
        try:
            recover_and_deliver(self._settings, self._door)
        except JoulebookError as error:
            self._failures += 1
            self._asked_seconds = error.wait_seconds if isinstance(error, Unavailable) else 0.0
            say_once(f"{without_secret(self._settings.ledger)} cannot be reached ({error}); the spool keeps everything")
        else:
            self._failures = 0


def door_of(settings: Settings) -> Door:
    """Return the way to a ledger that is a service or a drop-box.

    Raises:
        JoulebookError: The address of the ledger or its token is none.
    """
    if settings.ledger.startswith(SCHEME):
        return DropBox(folder_of(settings.ledger))
    from joulebook_ledger.client import HttpLedger

    return HttpLedger(settings.ledger, read_api_key(settings), patience_seconds=0.0)
