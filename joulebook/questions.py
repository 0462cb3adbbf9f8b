"""Asking a person where a machine stands, with offers; and taking the same answers from options alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import typer

from joulebook.offers import Offer, currency_offer, zone_offer
from joulebook.wiring import Door
from joulebook_ledger.catalogue.zones import find_zone
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MICRO, scale_decimal
from joulebook_ledger.core.vocabulary import OWNERSHIPS, require_choice
from joulebook_ledger.desk.entering import Place

_Take = Callable[[str], str]
NOTHING = "-"
CLOUD = "cloud"
_INTRODUCTION = f"""\
Where does this machine stand, and what does its electricity cost? Nothing is guessed and nothing is applied before you confirm.
Enter takes what stands in [brackets]; {NOTHING} leaves it unknown, and you can set it later: the whole open past is priced then."""


def asked(place: Place, door: Door) -> Place:
    """Return the place with answers to what it does not say yet.

    Raises:
        typer.Abort: The person ended the questions.
    """
    door.tell(_INTRODUCTION)
    if not place.zone:
        zone = _ask("Grid zone: country code or name, or WORLD", zone_offer(door.environment), door, _known_zone)
        place = replace(place, zone=zone)
    ownership = _ask("Machine: owned, colocated or cloud", Offer(place.ownership), door, _known_ownership)
    place = replace(place, ownership=ownership)
    is_cloud = ownership == CLOUD
    if is_cloud and not place.price_per_hour:
        place = replace(place, price_per_hour=_ask("Price of the machine per hour", Offer(), door, _price))
    if not is_cloud and not place.price_per_kwh:
        place = replace(
            place, price_per_kwh=_ask("Price of electricity per kWh, as on your bill", Offer(), door, _price)
        )
    if (place.price_per_kwh or place.price_per_hour) and not place.currency:
        place = replace(place, currency=_ask("Currency", currency_offer(place.zone), door, _currency))
    return place


def confirmed(question: str, door: Door) -> bool:
    """Ask for a yes; anything else is a no."""
    return _line(f"{question} [y/N]: ", door).lower() in {"y", "yes"}


def unconfirmed(place: Place, door: Door) -> BadInput:
    """Return the refusal of a command that nobody can confirm: what to write, with what could be offered."""
    zone = place.zone or zone_offer(door.environment).value
    currency = place.currency or currency_offer(zone).value
    reason = "" if place.zone or not zone else f" (zone offered {zone_offer(door.environment).reason})"
    return BadInput(
        f"nothing was applied, for nobody is here to confirm it: joulebook init --zone {zone or 'CODE'} "
        f"--price {place.price_per_kwh or 'PER_KWH'} --currency {currency or 'CODE'} --yes{reason}"
    )


def _ask(question: str, offer: Offer, door: Door, take: _Take) -> str:
    """Ask until the answer can be taken."""
    reason = f" ({offer.reason})" if offer.reason else ""
    while True:
        answer = _line(f"{question}{reason} [{offer.value or NOTHING}]: ", door) or offer.value or NOTHING
        if answer == NOTHING:
            return ""
        try:
            return take(answer)
        except BadInput as problem:
            door.tell(f"  {problem}")


def _line(prompt: str, door: Door) -> str:
    door.err.write(prompt)
    door.err.flush()
    line = door.keys.readline()
    if not line:
        raise typer.Abort
    return line.strip()


def _known_zone(text: str) -> str:
    return find_zone(text).zone


def _known_ownership(text: str) -> str:
    return require_choice(text, "ownership", OWNERSHIPS)


def _price(text: str) -> str:
    scale_decimal(text, MICRO, "price")
    return text


def _currency(text: str) -> str:
    return text.upper()
