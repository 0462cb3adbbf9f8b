"""The way from the spools to the books, on which batches are lost, come twice, come late, or are answered to nobody."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from helpers.tracked import key_of
from simulation.disk import Killed

from joulebook_ledger.core.facts import content_text
from joulebook_ledger.core.records import Meter, Use, Window
from joulebook_ledger.core.refusals import Unavailable
from joulebook_ledger.core.wire import Answer, Batch, Outcome, Rejected, decode_batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

FUTURE_MS = 5 * 60 * 1_000
FATES = ("lost", "no reply", "dies", "late", "twice")


class PlainBooks:
    """Books that hold facts by their keys and mind that none is contradicted; what is from the future waits (CORE §2)."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """Begin with nothing."""
        self.trouble: list[str] = []
        self._now_ms = now_ms
        self._meters: set[str] = set()
        self._known: dict[tuple[str, ...], str] = {}

    def take(self, data: bytes) -> Answer:
        """Take a batch."""
        batch = decode_batch(data)
        counts: Counter[str] = Counter()
        exceptions = []
        waiting: set[tuple[str, int]] = set()
        for item in batch.items:
            fact = item.fact
            outcome = "stored"
            if isinstance(fact, Rejected):
                self.trouble.append(f"{item.kind} refused: {fact}")
                continue
            if isinstance(fact, Meter):
                self._meters.add(fact.key)
            elif isinstance(fact, Window | Use) and fact.meter not in self._meters:
                self.trouble.append(f"of a meter that was never told of: {fact}")
            key = (batch.reader.reader, *key_of(fact))
            if isinstance(fact, Window) and fact.end_ms > self._now_ms() + FUTURE_MS and key not in self._known:
                waiting.add((fact.meter, fact.start_ms))
                outcome = "retry_later"
            elif isinstance(fact, Use) and (fact.meter, fact.start_ms) in waiting:
                outcome = "retry_later"
            elif self._known.setdefault(key, content_text(fact)) != content_text(fact):
                self.trouble.append(f"contradicted: {self._known[key]} by {content_text(fact)}")
                outcome = "conflicts_with_stored"
            counts[outcome] += 1
            if outcome != "stored":
                exceptions.append(Outcome(kind=item.kind, index=item.index, outcome=outcome))
        return Answer(counts=counts, exceptions=tuple(exceptions))


class Post:
    """Takes batches to the books, as far as they come.

    Attributes:
        percent: How many batches meet a fate other than to arrive.
        arrived: What came into the books, in that order, repetitions included.
    """

    def __init__(self, random: Random, take: Callable[[bytes], Answer], percent: int) -> None:
        """Take batches to these books."""
        self.percent = percent
        self.arrived: list[Batch] = []
        self.fates: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self._random = random
        self._take = take
        self._held: list[bytes] = []

    def deliver(self, batch: bytes) -> Answer:
        """Take a batch, or lose it."""
        fate = self._random.choice(FATES) if self._random.randrange(100) < self.percent else "arrives"
        self.fates[fate] += 1
        if fate == "late":
            self._held.append(batch)
        if fate in {"lost", "late"}:
            message = "nobody answers"
            raise Unavailable(message)
        answer = self._arrive(batch)
        if fate == "no reply":
            message = "the reply was lost"
            raise Unavailable(message)
        if fate == "dies":
            raise Killed
        return self._arrive(batch) if fate == "twice" else answer

    def bring_late(self) -> None:
        """Let what was held up on the way come now."""
        self._random.shuffle(self._held)
        while self._held:
            self._arrive(self._held.pop())

    def _arrive(self, batch: bytes) -> Answer:
        self.arrived.append(decode_batch(batch))
        answer = self._take(batch)
        self.outcomes.update(answer.counts)
        return answer


def broken_promises(arrived: list[Batch]) -> list[str]:
    """Return each window that came after its reader had said that all before it were sent."""
    found = []
    by_reader: dict[str, dict[int, Batch]] = defaultdict(dict)
    for batch in arrived:
        by_reader[batch.reader.reader].setdefault(batch.sequence, batch)
    for reader, batches in by_reader.items():
        told: set[tuple[str, int]] = set()
        complete_ms = 0
        for sequence in sorted(batches):
            batch = batches[sequence]
            for fact in batch.facts():
                if isinstance(fact, Window):
                    if fact.end_ms <= complete_ms and (fact.meter, fact.start_ms) not in told:
                        found.append(f"{reader}: complete until {complete_ms}, but batch {sequence} has {fact}")
                    told.add((fact.meter, fact.start_ms))
            complete_ms = max(complete_ms, batch.complete_until_ms)
    return found
