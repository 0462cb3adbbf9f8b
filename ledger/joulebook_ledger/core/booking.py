"""Booking: the difference between what should stand in the journal and what does, per source and UTC day (CORE §5).

Nothing else ever posts. A late reading, a revised factor, a correction and a restatement change the target; the booker posts the
delta. Booked twice, the second delta is empty; restated back, the deltas sum to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from joulebook_ledger.core.pricing import NOTHING, Amounts, Rates, price_hour, source_leg
from joulebook_ledger.core.timeline import UsageRow
from joulebook_ledger.core.vocabulary import account_order

PostingKey = tuple[str, str]
"""(account, method)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The source leg of one (source, day) and who bears it; also the difference of two such.

    Attributes:
        postings: (account, method) -> amounts in `pricing.COLUMNS` order; in account order, then by method.
        leg: What the source says; the postings sum to it in every column.
    """

    postings: Mapping[PostingKey, Amounts] = field(default_factory=dict)
    leg: Amounts = NOTHING

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to post."""
        return not self.postings


def target_of_day(hours: Mapping[int, Sequence[UsageRow]], rates: Callable[[int], Rates]) -> Target:
    """Return what should stand in the journal for one source and day.

    Args:
        hours: Hour since the epoch -> its usage rows in account order, then method.
        rates: What prices an hour.
    """
    postings: dict[PostingKey, Amounts] = {}
    leg = NOTHING
    for hour, rows in hours.items():
        hour_rates = rates(hour)
        for row, amounts in zip(rows, price_hour(rows, hour_rates), strict=True):
            key = (row.account, row.method)
            postings[key] = add(postings.get(key, NOTHING), amounts)
        leg = add(leg, source_leg(rows, hour_rates))
    return Target(postings=_in_order(postings), leg=leg)


def delta(target: Target, booked: Target) -> Target:
    """Return what is to be posted so that `booked` becomes `target`: the rows that differ."""
    keys = target.postings.keys() | booked.postings.keys()
    postings = {key: subtract(target.postings.get(key, NOTHING), booked.postings.get(key, NOTHING)) for key in keys}
    return Target(postings=_in_order(postings), leg=subtract(target.leg, booked.leg))


def plus(booked: Target, posted: Target) -> Target:
    """Return what stands in the journal after posting one more delta."""
    keys = booked.postings.keys() | posted.postings.keys()
    postings = {key: add(booked.postings.get(key, NOTHING), posted.postings.get(key, NOTHING)) for key in keys}
    return Target(postings=_in_order(postings), leg=add(booked.leg, posted.leg))


def add(left: Amounts, right: Amounts) -> Amounts:
    """Return the sum of two rows of amounts, column by column."""
    return tuple(a + b for a, b in zip(left, right, strict=True))


def subtract(left: Amounts, right: Amounts) -> Amounts:
    """Return the difference of two rows of amounts, column by column."""
    return tuple(a - b for a, b in zip(left, right, strict=True))


def _in_order(postings: Mapping[PostingKey, Amounts]) -> dict[PostingKey, Amounts]:
    """Return the rows that are not 0 throughout, in account order, then by method."""
    keys = sorted(postings, key=lambda key: (account_order(key[0]), key[1]))
    return {key: postings[key] for key in keys if any(postings[key])}
