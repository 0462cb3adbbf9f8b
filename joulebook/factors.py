"""`joulebook factors`: what prices a machine, listed with source and validity; and a new value for one kind of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joulebook import figures
from joulebook.places import known_place, object_of, value_in_words
from joulebook.tables import Column, Page, grid
from joulebook.wiring import Door, refuse_unknown
from joulebook_ledger.core.embodied import HOURS_PER_YEAR
from joulebook_ledger.core.factors import FACTOR_UNITS, Factor
from joulebook_ledger.core.periods import parse_time, time_text
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.core.units import MICRO, MICROGRAMS_PER_KILOGRAM, scale_decimal
from joulebook_ledger.core.wire import DESK
from joulebook_ledger.desk import (
    DECLARED_SIGMA_PPM,
    PUE_SIGMA_PPM,
    WATER_SIGMA_PPM,
    factor_batch,
)
from joulebook_ledger.ledger import Ledger
from joulebook_ledger.making import EMBODIED_SIGMA_PPM

PRICES = ("tariff", "instance_price")
_SIGMAS_PPM = {
    "grid_location": DECLARED_SIGMA_PPM, "grid_market": DECLARED_SIGMA_PPM, "pue": PUE_SIGMA_PPM, "water_site": WATER_SIGMA_PPM,
    "water_source": WATER_SIGMA_PPM, "embodied": EMBODIED_SIGMA_PPM,
}  # fmt: skip


def known_factors(ledger: Ledger, machine: str) -> dict[str, Any]:
    """Return every factor known for a machine's place as a body: kind, object, value in words and as it is kept, validity, source."""
    book = FactorBook.from_bytes(ledger.snapshot(machine))
    return {
        "machine": machine,
        "items": [_item(known.fact) for known in sorted(book.factors, key=lambda k: _order(k.fact, k.known))],
    }


def page(body: Mapping[str, Any], paper: Page) -> str:
    """Return the factors and prices of a machine."""
    if not body["items"]:
        return f"Nothing prices {body['machine']} yet: joulebook init --zone CODE --price PER_KWH --currency CODE"
    columns = [
        Column("KIND"), Column("OF", shrinks=True), Column("VALUE", right=True), Column("+-", right=True), Column("FROM", leaves=3),
        Column("UNTIL", leaves=2), Column("BY", leaves=4), Column("SOURCE", shrinks=True),
    ]  # fmt: skip
    rows = [
        [
            item["kind"], item["object"], item["in_words"], figures.spread(item["sigma"]).removeprefix("± ") if item["sigma"] else "",
            (item["valid_from"] or "always")[:10], (item["valid_to"] or "")[:10], item["provider"], item["source"],
        ]
        for item in body["items"]
    ]  # fmt: skip
    return grid(columns, rows, paper)


def change_of(
    *, kind: str, value: str, of: str, source: str, currency: str, since: str, until: str, machine: str, ledger: Ledger, door: Door,
) -> bytes:  # fmt: skip
    """Return the batch that sets one factor.

    Raises:
        BadInput: Kind, value, currency or instant cannot be taken, or nobody has said where the machine stands.
    """
    if not kind:
        raise BadInput(f"kind is empty: it is one of {', '.join(FACTOR_UNITS)}")
    refuse_unknown(kind, "kind", tuple(FACTOR_UNITS))
    book = FactorBook.from_bytes(ledger.snapshot(machine))
    thing = of or object_of(kind, machine, known_place(book, machine, door.now_ms).site)
    if not thing:
        raise BadInput(
            f"nobody has said where {machine} stands: `joulebook init --zone CODE`, or name what it is of with --of"
        )
    entry = door.entry()
    factor = Factor(
        kind=kind, object=thing, provider=DESK, version=entry.version, value=_value(kind, value), unit=FACTOR_UNITS[kind],
        valid_from_ms=parse_time(since) if since else 0, valid_to_ms=parse_time(until) if until else None, fallback="declared",
        sigma_ppm=_SIGMAS_PPM.get(kind, 0), source=source or f"declared by {entry.author}",
        currency=(currency.upper() or book.currency) if kind in PRICES else "",
    )  # fmt: skip
    return factor_batch(entry, [factor])


def _value(kind: str, text: str) -> int:
    if kind == "embodied":
        return scale_decimal(text, MICROGRAMS_PER_KILOGRAM, "kg CO2e per year") // HOURS_PER_YEAR
    return scale_decimal(text, MICRO, kind)


def _item(factor: Factor) -> Mapping[str, object]:
    return {
        "kind": factor.kind, "object": factor.object, "value": factor.value, "unit": factor.unit, "in_words": value_in_words(factor),
        "currency": factor.currency or None, "valid_from": time_text(factor.valid_from_ms) if factor.valid_from_ms else None,
        "valid_to": None if factor.valid_to_ms is None else time_text(factor.valid_to_ms), "provider": factor.provider,
        "fallback": factor.fallback, "sigma": factor.sigma_ppm / 1_000_000, "source": factor.source, "version": factor.version,
    }  # fmt: skip


def _order(factor: Factor, known: int) -> tuple[int, str, int, int]:
    return list(FACTOR_UNITS).index(factor.kind), factor.object, factor.valid_from_ms, known
