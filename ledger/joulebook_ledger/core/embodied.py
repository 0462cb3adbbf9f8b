"""What making hardware emitted, spread over its life (ISO/IEC 21031: M = TE · TiR/EL · RR/ToR; CORE §4, §10).

A footprint is of the making alone (cradle to gate): the use phase of a manufacturer's figure is the books' own business and is never
taken over. A year has 8,760 hours; 12 x 30 x 24, which some tools divide by, is 1.4 % too high. Fractions are exact until a rate is
booked; that is floored to whole micrograms per hour, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import (
    MICROGRAMS_PER_KILOGRAM,
    MILLISECONDS_PER_HOUR,
    PPM,
    div_floor,
    require_integer,
)

HOURS_PER_YEAR = 8_760
MILLISECONDS_PER_YEAR = HOURS_PER_YEAR * MILLISECONDS_PER_HOUR
# Cloud Carbon Footprint's formula for a server it knows no product of (constants.py of ccf-coefficients), kg CO2e: one of 1000 kg holds
# one processor and 16 GB. The Impact Framework has the same formula with the two kinds of disks the other way round.
SERVER_KG, SERVER_MEMORY_GB = 1_000, 16
KG_PER_GB = Fraction(533, 384)
KG_PER_PROCESSOR, KG_PER_GPU, KG_PER_HDD, KG_PER_SSD = 100, 150, 50, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What making a thing emitted, and for how long it serves.

    Attributes:
        total_ug: Micrograms CO2e, cradle to gate.
        life_ms: Milliseconds of service over which they are spread.
    """

    total_ug: int
    life_ms: int

    def __post_init__(self) -> None:
        """Check that there is a life to spread over."""
        require_integer(self.total_ug, "total_ug", least=0)
        require_integer(self.life_ms, "life_ms", least=1)

    def over(self, time_ms: int, *, reserved: int = 1, available: int = 1) -> Fraction:
        """Return the micrograms of so much time of `reserved` out of `available` parts of the thing.

        >>> making = Making(total_ug=10**12, life_ms=4 * MILLISECONDS_PER_YEAR)
        >>> int(making.over(MILLISECONDS_PER_HOUR))
        28538812
        """
        if not 0 <= reserved <= available:
            raise BadInput(f"{reserved} of {available} parts cannot be reserved")
        return Fraction(self.total_ug * time_ms * reserved, self.life_ms * available)

    @property
    def rate_ug_per_hour(self) -> int:
        """The rate of the books: of every owned hour, so that idle ones bear their own; no utilisation has a part in it."""
        return div_floor(self.total_ug * MILLISECONDS_PER_HOUR, self.life_ms)


def at_utilisation(embodied_ug: int, utilisation_ppm: int) -> Fraction:
    """Return what hours in use bear where the idle ones bear nothing: the booked amount ÷ utilisation. A view, never booked."""
    if not 0 < utilisation_ppm <= PPM:
        raise BadInput(f"a utilisation is above 0 and at most 1, not {utilisation_ppm} ppm")
    return Fraction(embodied_ug * PPM, utilisation_ppm)


def server_ug(*, memory_gb: int, processors: int = 1, gpus: int = 0, hdds: int = 0, ssds: int = 0) -> int:
    """Return what making a server of so many parts emitted, micrograms CO2e, by Cloud Carbon Footprint's formula."""
    kilograms = (
        SERVER_KG
        + max(0, memory_gb - SERVER_MEMORY_GB) * KG_PER_GB
        + KG_PER_PROCESSOR * max(0, processors - 1)
        + KG_PER_GPU * gpus
        + KG_PER_HDD * hdds
        + KG_PER_SSD * ssds
    )
    micrograms = kilograms * MICROGRAMS_PER_KILOGRAM
    return div_floor(micrograms.numerator, micrograms.denominator)
