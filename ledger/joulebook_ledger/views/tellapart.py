"""Whether two measured amounts differ by more than their errors. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from joulebook_ledger.views.resources import Resource

SIGMAS = 2


def can_tell_apart(one: Resource, other: Resource) -> bool:
    """Say whether two amounts differ by more than two standard deviations of their ratio.

    Errors of one source are one error: where both bear it alike it moves both alike and says nothing about which is greater. So of
    each source only the difference of the two relative errors counts, sources in quadrature.
    """
    if not one.amount or not other.amount:
        return one.amount != other.amount
    sources = {*one.errors, *other.errors}
    sigma = math.hypot(*(one.errors.get(source, 0.0) - other.errors.get(source, 0.0) for source in sources))
    return abs(math.log(one.amount / other.amount)) > SIGMAS * sigma
