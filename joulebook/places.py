"""Where a machine stands and what prices it there: what is known, what a change adds to it, and both in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from joulebook.tables import GAP, Page, pairs
from joulebook_ledger.catalogue.zones import all_zones
from joulebook_ledger.core.embodied import HOURS_PER_YEAR
from joulebook_ledger.core.factors import FACTOR_OBJECTS, MACHINE, ZONE, Factor, Placement, Site
from joulebook_ledger.core.facts import Fact
from joulebook_ledger.core.periods import hour_of, time_text
from joulebook_ledger.core.resolution import KINDS, FactorBook
from joulebook_ledger.core.units import MICRO, MICROGRAMS_PER_KILOGRAM, decimal_text
from joulebook_ledger.core.wire import DESK, list_of, to_wire
from joulebook_ledger.desk.entering import NO_PUE_SOURCE, Place

SETTERS = {
    "grid_location": "--zone CODE", "grid_market": "--market G_PER_KWH", "pue": "--pue NUMBER", "water_site": "--water L_PER_KWH",
    "water_source": "--water-source L_PER_KWH", "tariff": "--price PER_KWH --currency CODE",
    "instance_price": "--price-per-hour PER_HOUR --currency CODE", "embodied": "--embodied KG_PER_YEAR",
}  # fmt: skip
WORDS = {
    "grid_location": "grid, location-based", "grid_market": "grid, market-based", "pue": "PUE of the site",
    "water_site": "water of the site", "water_source": "water of the grid", "tariff": "price of electricity",
    "instance_price": "price of an hour", "embodied": "making of the hardware",
    "residual_mix": "residual mix of the market", "grid_marginal": "grid, marginal (a view, never booked)",
    "upstream": "making and bringing of the fuel", "transmission_loss": "lost on the way to the site",
}  # fmt: skip


class Known(NamedTuple):
    """What a ledger knows of a machine's place.

    Attributes:
        site: Where it stands, or None.
        factors: Kind -> the factor that holds now.
    """

    site: Site | None
    factors: dict[str, Factor]


def known_place(book: FactorBook, machine: str, now_ms: int) -> Known:
    """Return the site of a machine and the factors that hold there now."""
    factors = {}
    for component in ("cpu", "time"):
        for origin in book.explain(machine, component, "device", hour_of(now_ms)):
            for piece in origin.pieces:
                if piece.factor is not None and piece.start_ms <= now_ms < piece.end_ms:
                    factors[origin.kind] = piece.factor
    return Known(book.place(machine, now_ms), {kind: factors[kind] for kind in KINDS if kind in factors})


def merged(given: Place, known: Known, *, site: str) -> Place:
    """Return the place that was given, with what it does not say taken from what is known.

    Args:
        given: What a person said; an empty text is not said.
        known: What holds now.
        site: Name of a site that stands nowhere yet.
    """
    now = known.site
    return replace(
        given,
        site=given.site or (now.site if now else site),
        zone=given.zone or (now.zone if now else ""),
        ownership=given.ownership or (now.ownership if now else "owned"),
        currency=given.currency or next((f.currency for f in known.factors.values() if f.currency), ""),
        price_per_kwh=given.price_per_kwh or _declared(known, "tariff"),
        price_per_hour=given.price_per_hour or _declared(known, "instance_price"),
    )


def news(facts: Sequence[Fact], known: Known, *, zone_is_given: bool) -> list[Fact]:
    """Return the facts that change something: what holds already, and a default where something was declared, is left out.

    Args:
        facts: What would be entered.
        known: What holds now.
        zone_is_given: Whether the zone was named; else a newer edition of the bundled table does not replace what holds.
    """
    return [fact for fact in facts if not _holds(fact, known, zone_is_given=zone_is_given)]


def object_of(kind: str, machine: str, site: Site | None) -> str:
    """Return what a factor of this kind is of, for this machine; empty where its site or zone is not known."""
    if FACTOR_OBJECTS[kind] == MACHINE:
        return machine
    if site is None:
        return ""
    return site.zone if FACTOR_OBJECTS[kind] == ZONE else site.site


def in_words(fact: Fact) -> tuple[str, str]:
    """Return what a fact is, and what it says, for people."""
    if isinstance(fact, Site):
        zone = all_zones().get(fact.zone)
        named = f"{fact.zone} ({zone.name})" if zone else fact.zone or "zone not known"
        whose = "".join(f" {word}" for word in (fact.provider, fact.region) if word)
        return "site", f"{fact.site}: {named}, {fact.ownership}{whose}"
    if isinstance(fact, Placement):
        since = f" from {time_text(fact.valid_from_ms)} on" if fact.valid_from_ms else ""
        return "machine", f"{fact.machine} stands at {fact.site}{since}"
    assert isinstance(fact, Factor)
    spread = f" ± {fact.sigma_ppm / 5_000:.0f} %" if fact.sigma_ppm else ""
    return WORDS[fact.kind], f"{value_in_words(fact)}{spread}, {fact.source}"


def value_in_words(factor: Factor) -> str:
    """Return a factor's value with the unit that people use.

    >>> value_in_words(Factor(kind="pue", object="s", provider="desk", version="1", value=1_200_000, unit="ppm", source="declared"))
    '1.2'
    """
    units = {
        "grid_location": " g CO2e/kWh", "grid_market": " g CO2e/kWh", "water_site": " l/kWh", "water_source": " l/kWh",
        "residual_mix": " g CO2e/kWh", "grid_marginal": " g CO2e/kWh", "upstream": " g CO2e/kWh",
        "tariff": f" {factor.currency}/kWh", "instance_price": f" {factor.currency}/h",
    }  # fmt: skip
    if factor.kind == "embodied":
        return f"{factor.value * HOURS_PER_YEAR / MICROGRAMS_PER_KILOGRAM:.4g} kg CO2e/year"
    return f"{decimal_text(factor.value, MICRO)}{units.get(factor.kind, '')}"


def unset(known: Known) -> list[str]:
    """Return each kind of factor that nothing holds for; of the two ways to price a machine only its owner's."""
    is_cloud = known.site is not None and known.site.ownership == "cloud"
    left_out = "tariff" if is_cloud else "instance_price"
    return [kind for kind in KINDS if kind not in known.factors and kind != left_out]


def body(facts: Sequence[Fact], ledger: str, entries: int, known: Known) -> dict[str, object]:
    """Return what `init` did as JSON: the facts in wire form, and what is still not set."""
    return {
        "ledger": ledger,
        "facts": [{"kind": list_of(fact), **to_wire(fact)} for fact in facts],
        "entries_booked": entries,
        "not_set": {kind: f"joulebook init {SETTERS[kind]} --yes" for kind in unset(known)},
    }


def page(facts: Sequence[Fact], ledger: str, entries: int, known: Known, paper: Page) -> str:
    """Return the same for people."""
    if facts:
        done = f"Written into {ledger}{f'; {entries} entries booked, for the open past is priced with it' if entries else ''}."
        told = f"{done}\n{pairs(map(in_words, facts), paper, indent=GAP)}"
    else:
        told = f"{ledger} holds all of it already; nothing was changed."
    left = unset(known)
    further = pairs([(WORDS[kind], f"joulebook init {SETTERS[kind]}") for kind in left], paper, indent=GAP)
    return f"{told}\n\nNot set, and null in every report until you do:\n{further}" if left else told


def _declared(known: Known, kind: str) -> str:
    factor = known.factors.get(kind)
    return decimal_text(factor.value, MICRO) if factor else ""


def _holds(fact: Fact, known: Known, *, zone_is_given: bool) -> bool:
    if isinstance(fact, Site):
        now = known.site
        return now is not None and replace(fact, version=now.version, valid_from_ms=now.valid_from_ms) == now
    if isinstance(fact, Placement):
        return known.site is not None and known.site.site == fact.site
    if (
        not isinstance(fact, Factor)
        or (holding := known.factors.get(fact.kind)) is None
        or holding.object != fact.object
    ):
        return False
    is_default = fact.source == NO_PUE_SOURCE or (fact.provider != DESK and not zone_is_given)
    same = (holding.value, holding.currency, holding.provider) == (fact.value, fact.currency, fact.provider)
    return is_default or (same and holding.valid_from_ms <= fact.valid_from_ms and holding.valid_to_ms is None)
