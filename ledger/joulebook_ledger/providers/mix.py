"""From what a grid generates by to what a kWh of it emits, by published factors of each source.

Lifecycle: medians of IPCC AR5 (2014), Working Group III, Annex III, table A.III.2; oil and what is of unknown source after the common
defaults that complete that table (650 and 700 g/kWh). Direct: the same table's column of direct emissions, where it has one; what is
burnt but not in it (oil, unknown) stands in with its lifecycle figure, nearly all of which is burning; biogenic CO2 counts 0, as the
GHG Protocol reports it apart.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LIFECYCLE, DIRECT = "lifecycle", "direct"
EDITION = "ipcc2014.1"
GRAMS_PER_KWH: dict[str, dict[str, int]] = {
    LIFECYCLE: {
        "coal": 820, "gas": 490, "oil": 650, "biomass": 230, "geothermal": 38, "hydro": 24, "nuclear": 12, "wind": 11, "solar": 45,
        "marine": 17, "unknown": 700,
    },
    DIRECT: {
        "coal": 760, "gas": 370, "oil": 650, "biomass": 0, "geothermal": 0, "hydro": 0, "nuclear": 0, "wind": 0, "solar": 0,
        "marine": 0, "unknown": 700,
    },
}  # fmt: skip


def intensity(amounts: Mapping[str, Decimal], factors: Mapping[str, int | Decimal]) -> Decimal | None:
    """Return the mean of the sources' factors, weighted by what each generates; None where nothing is generated.

    The unit is that of the factors. A source without a factor is an error of the caller, never a zero.
    """
    total = sum(amounts.values(), Decimal(0))
    if total <= 0:
        return None
    return sum((amount * factors[source] for source, amount in amounts.items()), Decimal(0)) / total
