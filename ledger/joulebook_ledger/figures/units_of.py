"""How amounts of the journal's columns are written without loss, and the nodes of an explanation that hold them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.units import (
    MICRO,
    MICROGRAMS_PER_KILOGRAM,
    MICROLITRES_PER_LITRE,
    MILLIJOULES_PER_JOULE,
    decimal_text,
)

if TYPE_CHECKING:
    from joulebook_ledger.bodies import WhyNode

MOST_PARTS = 40
MILLISECONDS_PER_SECOND = 1_000


class Unit(NamedTuple):
    """How amounts of a column are written.

    Attributes:
        name: Of the unit.
        scale: Smallest units per unit, a power of ten.
    """

    name: str
    scale: int

    def text(self, amount: int) -> str:
        """Return an amount with its unit, without loss."""
        return f"{decimal_text(amount, self.scale)} {self.name}".rstrip()


def unit_of(column: str, currency: str) -> Unit:
    """Return the unit of a column of the journal.

    >>> unit_of("co2e_location", "EUR").text(1_500_000_000)
    '1.5 kg CO2e'
    """
    if column.startswith("cost"):
        return Unit(currency, MICRO)
    if column.startswith("co2e"):
        return Unit("kg CO2e", MICROGRAMS_PER_KILOGRAM)
    if column.startswith("water"):
        return Unit("l", MICROLITRES_PER_LITRE)
    return Unit("J", MILLIJOULES_PER_JOULE)


def time_words(milliseconds: int) -> str:
    """Return a time in seconds, without loss."""
    return f"{decimal_text(milliseconds, MILLISECONDS_PER_SECOND)} s"


def node(text: str, value: str = "", *, source: str = "", children: Sequence[WhyNode] = ()) -> WhyNode:
    """Return a node of an explanation, with only the fields that say something."""
    told: WhyNode = {"text": text}
    if value:
        told["value"] = value
    if source:
        told["source"] = source
    if children:
        told["children"] = list(children)
    return told


def bounded(parts: Sequence[tuple[int, WhyNode]], unit: Unit) -> list[WhyNode]:
    """Return nodes with their amounts, of many only the first and then one for all the others: their sum stays what it is."""
    if len(parts) <= MOST_PARTS:
        return [told for _, told in parts]
    others = parts[MOST_PARTS - 1 :]
    rest = node(f"{len(others)} more", unit.text(sum(amount for amount, _ in others)))
    return [*(told for _, told in parts[: MOST_PARTS - 1]), rest]
