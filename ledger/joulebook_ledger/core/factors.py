"""Factors and prices as one record, and the places they hold at (CORE §2, §4)."""

from __future__ import annotations

from dataclasses import dataclass

from joulebook_ledger.core.refusals import Refused
from joulebook_ledger.core.vocabulary import (
    LONGEST_NAME,
    LONGEST_TEXT,
    OWNERSHIPS,
    require_choice,
    require_text,
    require_whole,
)

FACTOR_UNITS = {
    "grid_location": "ug/kWh",
    "grid_market": "ug/kWh",
    "pue": "ppm",
    "water_site": "ul/kWh",
    "water_source": "ul/kWh",
    "tariff": "micro/kWh",
    "instance_price": "micro/h",
    "embodied": "ug/h",
    "residual_mix": "ug/kWh",
    "grid_marginal": "ug/kWh",
    "upstream": "ug/kWh",
    "transmission_loss": "ppm",
}
ZONE, SITE, MACHINE = "zone", "site", "machine"
FACTOR_OBJECTS = {
    "grid_location": ZONE,
    "grid_market": ZONE,
    "pue": SITE,
    "water_site": SITE,
    "water_source": ZONE,
    "tariff": SITE,
    "instance_price": MACHINE,
    "embodied": MACHINE,
    "residual_mix": ZONE,
    "grid_marginal": ZONE,
    "upstream": ZONE,
    "transmission_loss": ZONE,
}
"""Kind -> what a factor of it is of."""
# Greatest value per kind: what a 64-bit muldiv can price (CORE §4: divisor x value < 2^63), and for the grid 2 kg/kWh, above any
# grid there is (standards.md §0.7).
FACTOR_LIMITS = {
    "grid_location": 2_000_000_000,
    "grid_market": 2_000_000_000,
    "pue": 5_000_000,
    "water_site": 1_000_000_000,
    "water_source": 1_000_000_000,
    "tariff": 1_000_000_000,
    "instance_price": 1_000_000_000_000,
    "embodied": 1_000_000_000_000,
    "residual_mix": 2_000_000_000,
    "grid_marginal": 2_000_000_000,
    "upstream": 2_000_000_000,
    "transmission_loss": 999_999,
}
PRICE_KINDS = ("tariff", "instance_price")
CONTROLS = ("", "own", "other")
BASES = ("", "direct", "lifecycle")
FACTOR_STATES = ("provisional", "final")
FALLBACKS = ("exact", "region", "country", "world", "declared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """What turns joules and hours into grams, litres and money. Factors and prices are one record.

    Attributes:
        kind: Key of FACTOR_UNITS.
        object: What it is of: a zone, a site, a machine.
        provider: Who says so, such as "desk" or "owid".
        valid_from_ms: First instant it holds; with series and version its key.
        valid_to_ms: First instant it no longer holds, or None.
        version: Given by the client; distinguishes revisions of one validity.
        value: Integer in the kind's unit.
        unit: The kind's unit, said again so that nothing is mistaken.
        state: provisional or final.
        fallback: How near it is to what was asked for: exact, region, country, world, declared.
        sigma_ppm: One relative standard deviation, parts per million.
        source: Where the figure comes from, for people.
        licence: Under which it may be used.
        currency: ISO 4217 code of a price; empty else.
        basis: direct (what is burnt to make the electricity) or lifecycle (with fuel supply and plants); empty where nobody said.
        evidence_name: Document that shows it, such as the file it was imported from.
        evidence_digest: sha256 of that document, hex.
    """

    kind: str
    object: str
    provider: str
    valid_from_ms: int = 0
    valid_to_ms: int | None = None
    version: str
    value: int
    unit: str
    state: str = "final"
    fallback: str = "exact"
    sigma_ppm: int = 0
    source: str
    licence: str = ""
    currency: str = ""
    basis: str = ""
    evidence_name: str = ""
    evidence_digest: str = ""

    def __post_init__(self) -> None:
        """Check kind, unit, range and validity."""
        require_choice(self.kind, "kind", tuple(FACTOR_UNITS))
        for name in ("object", "provider", "version", "source"):
            require_text(getattr(self, name), name, longest=LONGEST_TEXT)
        require_text(self.licence, "licence", empty=True)
        if self.unit != FACTOR_UNITS[self.kind]:
            raise Refused(
                "wrong_unit",
                f"a {self.kind} is in {FACTOR_UNITS[self.kind]}, not {self.unit!r}",
            )
        require_whole(self.value, "value")
        if self.value > FACTOR_LIMITS[self.kind]:
            raise Refused(
                "factor_out_of_range",
                f"{self.kind} {self.value} {self.unit} is above {FACTOR_LIMITS[self.kind]}",
            )
        if self.kind == "pue" and self.value < 1_000_000:
            raise Refused(
                "factor_out_of_range",
                f"a PUE is at least 1 (1000000 ppm), not {self.value} ppm",
            )
        require_whole(self.valid_from_ms, "valid_from_ms")
        if self.valid_to_ms is not None and require_whole(self.valid_to_ms, "valid_to_ms") <= self.valid_from_ms:
            raise Refused(
                "validity_ends_before_it_starts",
                f"[{self.valid_from_ms}, {self.valid_to_ms})",
            )
        require_choice(self.state, "state", FACTOR_STATES)
        require_choice(self.fallback, "fallback", FALLBACKS)
        require_whole(self.sigma_ppm, "sigma_ppm")
        require_choice(self.basis, "basis", BASES)
        for name in ("evidence_name", "evidence_digest"):
            require_text(getattr(self, name), name, empty=True)
        priced = self.kind in PRICE_KINDS
        if priced != bool(self.currency) or (priced and not is_currency(self.currency)):
            raise Refused(
                "bad_currency",
                f"{self.currency!r}: a price has an ISO 4217 code such as EUR, anything else none",
            )


def is_currency(code: str) -> bool:
    """Say whether a text has the form of an ISO 4217 code."""
    return len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place with a grid zone and an owner.

    Attributes:
        site: Its id.
        zone: Grid zone, such as "FR"; empty while it is not known (nothing is then priced in CO2e).
        ownership: owned, colocated or cloud.
        valid_from_ms: First instant it holds.
        version: Given by the client.
        provider: Whose cloud or data centre it is, such as "aws"; empty for one's own.
        region: Its name there, such as "eu-west-3".
        control: own or other: who decides on the energy of a colocated site; empty where nobody said, which counts as other.
    """

    site: str
    zone: str = ""
    ownership: str = "owned"
    valid_from_ms: int = 0
    version: str
    provider: str = ""
    region: str = ""
    control: str = ""

    def __post_init__(self) -> None:
        """Check ids, ownership and control."""
        require_text(self.site, "site", longest=LONGEST_NAME)
        for name in ("zone", "provider", "region"):
            require_text(getattr(self, name), name, longest=LONGEST_NAME, empty=True)
        require_text(self.version, "version", longest=LONGEST_NAME)
        require_choice(self.ownership, "ownership", OWNERSHIPS)
        require_choice(self.control, "control", CONTROLS)
        require_whole(self.valid_from_ms, "valid_from_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a machine stands from an instant on.

    Attributes:
        machine: The machine's id.
        site: The site's id.
        valid_from_ms: First instant; 0 means from the machine's first window on.
        version: Given by the client.
    """

    machine: str
    site: str
    valid_from_ms: int = 0
    version: str

    def __post_init__(self) -> None:
        """Check ids."""
        for name in ("machine", "site", "version"):
            require_text(getattr(self, name), name, longest=LONGEST_NAME)
        require_whole(self.valid_from_ms, "valid_from_ms")
