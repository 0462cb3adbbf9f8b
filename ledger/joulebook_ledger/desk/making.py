"""What making a machine emitted, as rates that the books can price its hours by: to the end of its life, and 0 from then on. Pure."""

from __future__ import annotations

from typing import NamedTuple

from joulebook_ledger.catalogue.hardware import hardware_of
from joulebook_ledger.core.embodied import HOURS_PER_YEAR, MILLISECONDS_PER_YEAR, Making
from joulebook_ledger.core.periods import day_of, day_text, parse_time
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MICRO, MICROGRAMS_PER_KILOGRAM, div_floor, scale_decimal

EMBODIED_SIGMA_PPM = 600_000
USUAL_LIFE_YEARS = "4"
LONGEST_LIFE_YEARS = 50
PAST_LIFE = "past its life"
"""How the source of a rate of 0 begins, after the life of a machine: its hours are not free by being old, their making is borne."""


class EmbodiedRate(NamedTuple):
    """A rate and when it holds.

    Attributes:
        ug_per_hour: Micrograms CO2e per hour of the machine.
        from_ms: First instant, or None where nobody said.
        to_ms: First instant it no longer holds, or None.
        sigma_ppm: One relative standard deviation.
        source: Where it comes from; empty where a person gave it per year.
    """

    ug_per_hour: int
    from_ms: int | None
    to_ms: int | None
    sigma_ppm: int
    source: str


def making_of(
    *, per_year_kg: str = "", kilograms: str = "", hardware: str = "", lifetime_years: str = "", in_service: str = ""
) -> list[EmbodiedRate]:
    """Return the rates of a machine, none where nothing is said.

    Args:
        per_year_kg: Decimal text: kg CO2e per year of service, for good.
        kilograms: Decimal text: kg CO2e in all.
        hardware: Names of the catalogue, such as "dell-r740,h100-sxm:8".
        lifetime_years: Decimal text, of kilograms or hardware.
        in_service: Date from which it serves; without one nobody knows when its life ends.

    Raises:
        BadInput: Two ways to say it were mixed, or a figure cannot be taken.
    """
    if sum(map(bool, (per_year_kg, kilograms, hardware))) > 1:
        raise BadInput("--embodied, --embodied-kg and --hardware are three ways to say one thing: give one of them")
    if not (kilograms or hardware):
        if lifetime_years or in_service:
            raise BadInput(
                "a lifetime is that of something: add --embodied-kg 1500, or --hardware dell-r740,h100-sxm:8"
            )
        if not per_year_kg:
            return []
        per_year = scale_decimal(per_year_kg, MICROGRAMS_PER_KILOGRAM, "embodied_kg_per_year")
        return [EmbodiedRate(div_floor(per_year, HOURS_PER_YEAR), None, None, EMBODIED_SIGMA_PPM, "")]
    total_ug, sigma_ppm, source = _total(kilograms, hardware)
    years = scale_decimal(lifetime_years or USUAL_LIFE_YEARS, MICRO, "lifetime_years")
    if not 0 < years <= LONGEST_LIFE_YEARS * MICRO:
        raise BadInput(f"lifetime_years is above 0 and at most {LONGEST_LIFE_YEARS}, not {lifetime_years[:20]!r}")
    life_ms = div_floor(years * MILLISECONDS_PER_YEAR, MICRO)
    making = Making(total_ug=total_ug, life_ms=life_ms)
    told = f"{source} over {lifetime_years or USUAL_LIFE_YEARS} years of 8760 h"
    if not in_service:
        return [EmbodiedRate(making.rate_ug_per_hour, None, None, sigma_ppm, told)]
    began = parse_time(in_service)
    over = began + life_ms
    past = f"{PAST_LIFE} since {day_text(day_of(over))}: its making is borne, nothing more is added; {told}"
    return [
        EmbodiedRate(making.rate_ug_per_hour, began, over, sigma_ppm, told),
        EmbodiedRate(0, over, None, sigma_ppm, past),
    ]


def _total(kilograms: str, hardware: str) -> tuple[int, int, str]:
    if hardware:
        return hardware_of(hardware)
    return scale_decimal(kilograms, MICROGRAMS_PER_KILOGRAM, "embodied_kg"), EMBODIED_SIGMA_PPM, f"{kilograms} kg CO2e"
