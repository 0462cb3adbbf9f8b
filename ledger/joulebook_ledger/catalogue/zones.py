"""Yearly grid intensities of countries, for books that have nothing nearer.

`zones.tsv` holds, per country, the latest figure that Our World in Data gives for the lifecycle carbon intensity of electricity
generation (data of Ember and the Energy Institute, CC BY 4.0), as found in codecarbon 3.3.2. A country whose figure was rounded down
to zero there is left out: that is no figure. The world's average is the one the International Energy Agency published for 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

from joulebook_ledger.core.factors import FACTOR_UNITS, Factor
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import scale_decimal

WORLD = "WORLD"
EDITION = "2"
# One standard deviation, standards.md §9: a national annual average differs from the hour's grid; the world differs from anywhere.
COUNTRY_SIGMA_PPM = 250_000
WORLD_SIGMA_PPM = 600_000
WORLD_UG_PER_KWH = 475_000_000
WORLD_YEAR = 2018
WORLD_SOURCE = (
    "International Energy Agency, Global Energy & CO2 Status Report 2019: world average of electricity generation, 2018"
)
COUNTRY_SOURCE = (
    "Ember; Energy Institute, with major processing by Our World in Data: lifecycle carbon intensity of electricity generation, {name}, "
    "{year} (ourworldindata.org/grapher/carbon-intensity-electricity)"
)
LICENCE = "CC BY 4.0"
MICROGRAMS_PER_GRAM = 1_000_000
_ALIASES = {"UK": "GB", "EL": "GR"}
_OFFERED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A grid zone with its yearly average.

    Attributes:
        zone: ISO 3166-1 alpha-2 code, or WORLD.
        alpha3: ISO 3166-1 alpha-3 code; empty for WORLD.
        name: For people.
        intensity_ug_per_kwh: Micrograms CO2e per kWh, lifecycle.
        year: Of the figure.
    """

    zone: str
    alpha3: str
    name: str
    intensity_ug_per_kwh: int
    year: int

    def factor(self, version: str = "") -> Factor:
        """Return the figure as a factor of kind `grid_location`, valid at any time until something nearer is known."""
        world = self.zone == WORLD
        return Factor(
            kind="grid_location",
            object=self.zone,
            provider="iea" if world else "owid",
            version=version or f"{self.year}.{EDITION}",
            value=self.intensity_ug_per_kwh,
            unit=FACTOR_UNITS["grid_location"],
            fallback="world" if world else "country",
            sigma_ppm=WORLD_SIGMA_PPM if world else COUNTRY_SIGMA_PPM,
            source=WORLD_SOURCE if world else COUNTRY_SOURCE.format(name=self.name, year=self.year),
            licence="" if world else LICENCE,
            basis="direct" if world else "lifecycle",
        )


@cache
def all_zones() -> dict[str, Zone]:
    """Return every zone by its code, WORLD last."""
    text = resources.files(__package__).joinpath("zones.tsv").read_text(encoding="utf-8")
    zones = [_zone_of(line) for line in text.splitlines()[1:]]
    world = Zone(zone=WORLD, alpha3="", name="world average", intensity_ug_per_kwh=WORLD_UG_PER_KWH, year=WORLD_YEAR)
    return {zone.zone: zone for zone in [*zones, world]}


def find_zone(text: str) -> Zone:
    """Return the zone of a code (two or three letters) or a country's name, whatever its case.

    Raises:
        BadInput: There is none; the message offers the nearest three.

    >>> find_zone("fra").zone
    'FR'
    """
    wanted = text.strip().upper()
    zones = all_zones()
    if (zone := zones.get(_ALIASES.get(wanted, wanted))) is not None:
        return zone
    for zone in zones.values():
        if wanted in {zone.alpha3, zone.name.upper()} - {""}:
            return zone
    offered = ", ".join(f"{zone.zone} ({zone.name})" for zone in nearest_zones(text))
    raise BadInput(f"zone {text[:60]!r} does not exist; the nearest are {offered}")


def nearest_zones(text: str) -> list[Zone]:
    """Return the three zones whose code or name is most like the text."""
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(b=text.strip().upper()[:60], autojunk=False)

    def likeness(zone: Zone) -> float:
        best = 0.0
        for name in (zone.zone, zone.alpha3, zone.name.upper()):
            matcher.set_seq1(name)
            best = max(best, matcher.ratio())
        return best

    return sorted(all_zones().values(), key=lambda zone: (-likeness(zone), zone.zone))[:_OFFERED]


def _zone_of(line: str) -> Zone:
    zone, alpha3, name, grams, year = line.split("\t")
    return Zone(
        zone=zone,
        alpha3=alpha3,
        name=name,
        intensity_ug_per_kwh=scale_decimal(grams, MICROGRAMS_PER_GRAM, f"intensity of {zone}"),
        year=int(year),
    )
