"""`joulebook factors`: what prices a machine, listed with source and validity; and a new value for one kind of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

from joulebook import figures
from joulebook.places import known_place, object_of
from joulebook.tables import Column, Page, grid
from joulebook.wiring import Door, refuse_unknown
from joulebook_ledger.core.embodied import HOURS_PER_YEAR
from joulebook_ledger.core.factors import FACTOR_UNITS, Factor
from joulebook_ledger.core.periods import parse_time
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.core.units import MICRO, MICROGRAMS_PER_KILOGRAM, scale_decimal
from joulebook_ledger.core.wire import DESK
from joulebook_ledger.desk.entering import (
    DECLARED_SIGMA_PPM,
    PUE_SIGMA_PPM,
    WATER_SIGMA_PPM,
    factor_batch,
)
from joulebook_ledger.desk.making import EMBODIED_SIGMA_PPM
from joulebook_ledger.ledger import Ledger
from joulebook_ledger.queries import FactorsQuery
from joulebook_ledger.register.taking import stored_factors

MOST_LINES = 5
"""Of a series of more values than this, one line tells all."""
PRICES = ("tariff", "instance_price")
_SIGMAS_PPM = {
    "grid_location": DECLARED_SIGMA_PPM, "grid_market": DECLARED_SIGMA_PPM, "pue": PUE_SIGMA_PPM, "water_site": WATER_SIGMA_PPM,
    "water_source": WATER_SIGMA_PPM, "embodied": EMBODIED_SIGMA_PPM,
}  # fmt: skip


class Asked(NamedTuple):
    """Which factors a person asks for; what is empty asks for all.

    Attributes:
        kinds: Keys of FACTOR_UNITS.
        of: A zone, site or machine.
        provider: Who says so.
        at: An instant at which they hold.
        machine: A machine that they price.
    """

    kinds: tuple[str, ...] = ()
    of: str = ""
    provider: str = ""
    at: str = ""
    machine: str = ""


def listed(ledger: Ledger, asked: Asked) -> dict[str, Any]:
    """Return the factors and prices that were asked for, in the words in which a table of them is taken in.

    Raises:
        BadInput: A kind or instant is none.
    """
    at_ms = parse_time(asked.at) if asked.at else None
    query = FactorsQuery(kinds=asked.kinds, object=asked.of, provider=asked.provider, at_ms=at_ms)
    items: Iterable[Mapping[str, str]] = stored_factors(ledger, query)
    if asked.machine:
        book = FactorBook.from_bytes(ledger.snapshot(asked.machine))
        objects = {known.fact.object for known in book.factors}
        items = (item for item in items if item["of"] in objects)
    return {"items": list(items)}


def page(body: Mapping[str, Any], paper: Page, *, every: bool = False) -> str:
    """Return factors and prices for people: a long series as one line, unless every value is asked for."""
    if not body["items"]:
        return "Nothing of it is in the book yet: joulebook init --zone CODE --price PER_KWH --currency CODE, or joulebook import factors FILE"
    columns = [
        Column("KIND"), Column("OF", shrinks=True), Column("VALUE", right=True), Column("UNIT"), Column("+-", right=True),
        Column("FROM", leaves=3), Column("UNTIL", leaves=2), Column("BY", leaves=4), Column("STATE", leaves=5), Column("GRADE", leaves=1), Column("SOURCE", shrinks=True),
    ]  # fmt: skip
    rows = []
    for _, group in groupby(body["items"], key=lambda item: (item["kind"], item["of"], item["provider"])):
        series = list(group)
        rows += [_cells([item]) for item in series] if every or len(series) <= MOST_LINES else [_cells(series)]
    return grid(columns, rows, paper)


def _cells(series: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the line of one value, or of a series of them."""
    first = series[0]
    value = first["value"]
    if len(series) > 1:
        values = sorted({item["value"] for item in series}, key=Decimal)
        value = f"{values[0]} to {values[-1]}, {len(series):,} times"
    begins = min(item["valid_from"] for item in series)
    ends = "" if any(not item["valid_to"] for item in series) else max(item["valid_to"] for item in series)
    sigma = first["sigma_percent"]
    state = f"{first['state']}, {first['fallback']}" + (f", {first['basis']}" if first["basis"] else "")
    return [
        first["kind"], first["of"], value, first["unit"],
        figures.spread(float(sigma) / 100).removeprefix("± ") if sigma else "", begins[:10] or "always", ends[:10],
        first["provider"], state, max(item["grade"] for item in series), first["source"] + (f"; {first['licence']}" if first["licence"] else ""),
    ]  # fmt: skip


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
