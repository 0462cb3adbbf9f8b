"""Which scope and category of an inventory an amount belongs to (GHG Protocol Scope 2 Guidance and Scope 3 Standard). Pure.

Electricity of what one owns, or hosts elsewhere under one's own control, is scope 2; of other colocation scope 3 category 8 (leased
assets); of the cloud category 1 (purchased services), and so is what making the cloud's hardware emitted. Making one's own hardware is
category 2, in the month of purchase. Losses on the way and fuel supply are category 3, unless the factor of the electricity is of the
whole life cycle and so has them already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook_ledger.core.units import MILLIJOULES_PER_KWH, PPM

if TYPE_CHECKING:
    from joulebook_ledger.core.factors import Site

SCOPE_2 = "scope 2"
CATEGORY_1, CATEGORY_2, CATEGORY_3, CATEGORY_8 = (
    "scope 3 category 1",
    "scope 3 category 2",
    "scope 3 category 3",
    "scope 3 category 8",
)
UNKNOWN = "unknown"
LIFECYCLE = "lifecycle"


def scope_of_electricity(site: Site | None) -> str:
    """Return where the electricity of a machine at a site belongs; unknown where nobody said where it stands."""
    if site is None:
        return UNKNOWN
    if site.ownership == "cloud":
        return CATEGORY_1
    if site.ownership == "colocated" and site.control != "own":
        return CATEGORY_8
    return SCOPE_2


def scope_of_making(site: Site | None) -> str:
    """Return where the making of a machine at a site belongs: a rented one is a part of the service, any other was bought."""
    if site is None:
        return UNKNOWN
    return CATEGORY_1 if site.ownership == "cloud" else CATEGORY_2


def has_upstream_within(basis: str) -> bool:
    """Say whether a factor of electricity has fuel supply and losses within, so that no category 3 line may stand beside it."""
    return basis == LIFECYCLE


def lost_mj(facility_mj: int, loss_ppm: int) -> int:
    """Return what was lost on the way of so much energy; a loss is a share of what was generated, so one divides by 1 - loss."""
    return facility_mj * loss_ppm // (PPM - loss_ppm)


def lost_ug(facility_mj: int, loss_ppm: int, generation_ug_per_kwh: int) -> int:
    """Return what the generation of the losses emitted.

    >>> lost_ug(1_000 * MILLIJOULES_PER_KWH, 50_000, 400_000_000)
    21052631578
    """
    return facility_mj * loss_ppm * generation_ug_per_kwh // ((PPM - loss_ppm) * MILLIJOULES_PER_KWH)
