"""The agent's way to the ledger: in the background, every minute, and for a bounded time when it stops.

A ledger that is away is asked less and less often, never more seldom than every ten minutes; what waits lies in the spool. A book on
this machine or a database is no ledger that an agent delivers to, for it loads neither: commands with the same spool do.
"""

from __future__ import annotations

import os
import random
import threading

from joulebook_collectors.delivery.deliver import sources, stand_of
from joulebook_collectors.delivery.pauses import pause_seconds
from joulebook_collectors.delivery.recovery import recover_and_deliver
from joulebook_collectors.delivery.uploader import door_of
from joulebook_collectors.host.clock import monotonic_ms, wall_ms
from joulebook_collectors.spool.folders import boot_folders, ledger_folder
from joulebook_collectors.tracking.session import AWAY
from joulebook_ledger.core.refusals import JoulebookError, Unavailable
from joulebook_ledger.settings import without_secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from joulebook_collectors.agent.log import Log
    from joulebook_collectors.agent.metrics import Metrics
    from joulebook_collectors.delivery.deliver import Door
    from joulebook_ledger.core.wire import Answer
    from joulebook_ledger.settings import Settings

CAUSE = "delivery"


class Deliverer:
    """Delivers from a thread of its own."""

    def __init__(
        self, settings: Settings, seconds: float, metrics: Metrics, log: Log, door: Door | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        """Make the door; nothing is sent before `start`.

        Raises:
            JoulebookError: The address of the ledger or its token is none.
        """
        self._settings = settings
        self._seconds = seconds
        self._metrics = metrics
        self._log = log
        self._jitter = jitter
        self._failures = 0
        self._asked_seconds = 0.0
        self._all_sent_ms = monotonic_ms()
        self._stop = threading.Event()
        is_away = settings.ledger.startswith(AWAY)
        self._door: Door | None = door if door is not None else (door_of(settings) if is_away else None)
        self._thread = threading.Thread(target=self._work, name="joulebook delivery", daemon=True)

    @property
    def delivers(self) -> bool:
        """Whether the ledger is one that the agent can reach."""
        return self._door is not None

    def start(self) -> None:
        """Deliver from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no other delivery by itself."""
        self._stop.set()

    def flush(self, wait_seconds: float) -> bool:
        """Deliver what is left, for at most this time; tell whether all of it was taken."""
        self.stop()
        if self._door is None or wait_seconds <= 0:
            return False
        last = threading.Thread(target=self._last, name="joulebook last delivery", daemon=True)
        last.start()
        last.join(wait_seconds)
        return not last.is_alive() and not self._failures

    def deliver(self) -> bool:
        """Deliver once; tell whether the ledger answered."""
        assert self._door is not None
        name = without_secret(self._settings.ledger)
        try:
            recovered = recover_and_deliver(self._settings, _Counting(self._door, self._metrics))
        except (JoulebookError, OSError) as error:
            self._failures += 1
            self._asked_seconds = error.wait_seconds if isinstance(error, Unavailable) else 0.0
            self._metrics.failed()
            self._log.trouble(CAUSE, "ledger_out_of_reach", ledger=name, reason=error)
            return False
        self._failures = 0
        self._log.over(CAUSE, "ledger_reached_again", ledger=name)
        self._log.debug("delivered", items=recovered.sent)
        self._all_sent_ms = monotonic_ms()
        self._metrics.set("joulebook_delivery_last_success_timestamp_seconds", wall_ms() / 1000)
        return True

    def weigh(self) -> None:
        """Say how much lies in the spool, and for how long it has been waiting."""
        taken, unsent = weight_of(self._settings)
        waiting_ms = monotonic_ms() - self._all_sent_ms if unsent else 0
        self._metrics.set("joulebook_spool_bytes", taken)
        self._metrics.set("joulebook_spool_oldest_unsent_seconds", waiting_ms / 1000)

    def wait_seconds(self) -> float:
        """Return how long to wait: longer after each failure, and never the same for two agents."""
        return pause_seconds(self._seconds, self._failures, asked_seconds=self._asked_seconds, chance=self._jitter())

    def _work(self) -> None:
        while not self._stop.wait(self.wait_seconds()):
            if self._door is not None:
                self.deliver()
            self.weigh()

    def _last(self) -> None:
        if self._thread.is_alive():
            self._thread.join()
        self.deliver()


class _Counting:
    """The door, with the answers counted."""

    __slots__ = ("_door", "_metrics")

    def __init__(self, door: Door, metrics: Metrics) -> None:
        self._door = door
        self._metrics = metrics

    def deliver(self, batch: bytes) -> Answer:
        """Deliver a batch."""
        answer = self._door.deliver(batch)
        self._metrics.delivered(answer.counts)
        return answer


def weight_of(settings: Settings) -> tuple[int, int]:
    """Return how many bytes the spools for a ledger take, and how many of them were not sent yet."""
    taken = unsent = 0
    for folder in boot_folders(settings):
        offsets = stand_of(folder)["offsets"]
        for name, path in sources(folder):
            size = _size_of(path)
            unsent += max(0, size - offsets.get(name, 0))
    for place, _, names in os.walk(ledger_folder(settings)):
        taken += sum(_size_of(os.path.join(place, name)) for name in names)
    return taken, unsent


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
