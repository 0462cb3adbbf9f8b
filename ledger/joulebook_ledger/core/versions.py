"""Which version of a factor an hour knows (CORE §6): in an open month the newest, in a closed one that of its close.

A closed month goes by the link of its close, or by what the newest restatement names that covers month and series. Of what was known
then the one holds that an open month would have taken. Where that one is provisional, a later version of its series takes its place if
an open month would prefer it: the first final one, for good, and until there is one the newest provisional one. This is the true-up.

A factor that a correction voided after the close still holds there, as does one that was revised: only a restatement changes a closed
month. Sites and placements have no version of this kind: where a machine stood is a fact, and a correction of it reaches closed months
by itself, priced there by the factors that those months know.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from joulebook_ledger.core.factors import FALLBACKS, Factor, Placement, Site
from joulebook_ledger.core.wire import DESK

NEVER = 2**62
"""As a link: later than every other. Of what nothing voids."""
UNSEALED = NEVER - 1
"""As a link: that of what no link seals yet, which is later than every link there is."""

FINAL = "final"

T = TypeVar("T", Factor, Site, Placement)


class Known(NamedTuple, Generic[T]):
    """A fact and when it was learnt.

    Attributes:
        fact: The factor, site or placement.
        known: Order of learning within a link: the greater, the later (the receipt's number).
        link: The link that seals its receipt.
        voided: The link that seals the correction which voids it.
    """

    fact: T
    known: int
    link: int = 0
    voided: int = NEVER


class Restated(NamedTuple):
    """A restatement that is not voided: the months from_month to to_month know what was sealed up to the link factors_known.

    An empty kind, object or provider means every one.
    """

    from_month: int
    to_month: int
    kind: str
    object: str
    provider: str
    factors_known: int

    def covers(self, month: int, kind: str, thing: str, provider: str) -> bool:
        """Say whether it is about a series in a month."""
        said = ((self.kind, kind), (self.object, thing), (self.provider, provider))
        return self.from_month <= month <= self.to_month and all(ours in ("", theirs) for ours, theirs in said)


class History(NamedTuple):
    """What closed months were priced by.

    Attributes:
        closes: (month, link of its close), in order. Every month up to the last is closed: one without a row by the close after it.
        restatements: In the order in which they were learnt.
        voided: Factors that were voided after the first close.
    """

    closes: Sequence[tuple[int, int]] = ()
    restatements: Sequence[Restated] = ()
    voided: Sequence[Known[Factor]] = ()

    @property
    def closed_through(self) -> int:
        """The last closed month, or 0."""
        return self.closes[-1][0] if self.closes else 0

    def known(self, month: int, kind: str, thing: str, provider: str) -> int:
        """Return the link up to which a closed month knows a series."""
        for restated in reversed(self.restatements):
            if restated.covers(month, kind, thing, provider):
                return restated.factors_known
        return self.closes[bisect_left(self.closes, (month, 0))][1]


ALL_OPEN = History()
"""Of a book without a closed month."""


def newest(holding: Sequence[Known[T]]) -> Known[T] | None:
    """Return which of the facts that hold together an open month takes: the nearest, then the last begun, then the last learnt."""
    if not holding:
        return None
    nearest = min(_distance(known.fact) for known in holding)
    rivals = [known for known in holding if _distance(known.fact) == nearest]
    return max(rivals, key=lambda known: (known.fact.valid_from_ms, known.link, known.known, known.fact.version))


def as_closed(holding: Sequence[Known[Factor]], known: Mapping[str, int]) -> Known[Factor] | None:
    """Return which of the factors that hold together a closed month takes.

    Args:
        holding: Of one kind and object, those among them that a correction voids.
        known: Provider -> the link up to which the month knows its series.
    """
    found = newest([one for one in holding if one.link <= known[one.fact.provider] < one.voided])
    if found is None or found.fact.state == FINAL:
        return found
    later = [
        one
        for one in holding
        if one.fact.provider == found.fact.provider
        and one.link > known[one.fact.provider]
        and one.voided == NEVER
        and newest([found, one]) is one
    ]
    finals = [one for one in later if one.fact.state == FINAL]
    if finals:
        first = min((one.link, one.known) for one in finals)
        return newest([one for one in finals if (one.link, one.known) == first])
    return newest([found, *later])


def _distance(fact: Factor | Site | Placement) -> tuple[bool, int, str]:
    """Return how far a factor's provider is from what was asked for; the least is nearest. Places have no provider."""
    if not isinstance(fact, Factor):
        return False, 0, ""
    return fact.provider != DESK, FALLBACKS.index(fact.fallback), fact.provider
