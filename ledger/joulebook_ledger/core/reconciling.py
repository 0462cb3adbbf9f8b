"""Why a machine's bill is another sum than what was metered of it by price: the difference by causes, which add up to it exactly. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from joulebook_ledger.core.billing import QUANTA_PER_MICRO
from joulebook_ledger.core.units import muldiv

HOURS, PRICE, NO_PRICE, UNSEEN, UNBILLED = "hours", "price", "hours_without_a_price", "not_metered", "not_billed"


class Metered(NamedTuple):
    """Hours that a machine was there.

    Attributes:
        time_ms: How long.
        cost: By its price, micro-units.
        unpriced_ms: Time of them without a price.
    """

    time_ms: int = 0
    cost: int = 0
    unpriced_ms: int = 0

    def plus(self, other: Metered) -> Metered:
        """Return both together."""
        return Metered(self.time_ms + other.time_ms, self.cost + other.cost, self.unpriced_ms + other.unpriced_ms)


class Charged(NamedTuple):
    """What a bill charges for a machine, EffectiveCost in 10^-30 of the currency.

    Attributes:
        usage: Of hours in which it was there.
        usage_ms: How much time the lines say was used; None where they do not say it in hours.
        unseen: Usage of hours in which nobody saw it.
        beside: Category -> what is no usage: credits, fees, taxes.
    """

    usage: int
    usage_ms: int | None
    unseen: int
    beside: Mapping[str, int]

    @property
    def whole(self) -> int:
        """All of it."""
        return self.usage + self.unseen + sum(self.beside.values())


def estimate_of(billed: Metered, unbilled: Metered) -> int | None:
    """Return what the metered hours come to by price, in 10^-30; None where none of them has one.

    Args:
        billed: Hours that the bill charges for.
        unbilled: All others of the month.
    """
    both = billed.plus(unbilled)
    return None if both.time_ms == both.unpriced_ms else both.cost * QUANTA_PER_MICRO


def causes_of(charged: Charged, billed: Metered, unbilled: Metered) -> dict[str, int]:
    """Return cause -> its part of (bill - estimate), in 10^-30; without those that are 0.

    Args:
        charged: What the bill says.
        billed: Hours that it charges for.
        unbilled: All others of the month.
    """
    by_price = billed.cost * QUANTA_PER_MICRO
    over = charged.usage - by_price
    found: dict[str, int] = {}
    if billed.unpriced_ms:
        found[NO_PRICE] = over
    else:
        by_hours = 0
        if charged.usage_ms is not None and billed.time_ms:
            by_hours = muldiv(charged.usage_ms - billed.time_ms, billed.cost, billed.time_ms) * QUANTA_PER_MICRO
        found[HOURS], found[PRICE] = by_hours, over - by_hours
    found[UNSEEN] = charged.unseen
    found[UNBILLED] = -unbilled.cost * QUANTA_PER_MICRO
    for category, amount in sorted(charged.beside.items()):
        found[category.casefold()] = amount
    return {cause: amount for cause, amount in found.items() if amount}
