"""What a book knows of grids: the zones that its machines stand in, and which stretches of time a provider has told of."""

from __future__ import annotations

from typing import NamedTuple

from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.store.rows import Rows, listed, one


class Told(NamedTuple):
    """The newest that a provider said of one stretch of time."""

    provider: str
    start_ms: int
    end_ms: int
    value: int
    state: str
    basis: str


def zones_in_use(rows: Rows) -> list[str]:
    """Return the zones of all sites at which a machine was ever placed, in order."""
    sql = "SELECT DISTINCT s.zone FROM site s JOIN placement p ON p.site = s.site WHERE s.zone <> '' ORDER BY s.zone"
    return [zone for (zone,) in rows.rows(sql)]


def first_metered_ms(rows: Rows) -> int | None:
    """Return the start of the first day of which there are readings in the books, or None."""
    row = one(rows, "SELECT MIN(day) FROM placed")
    return None if row is None or row[0] is None else row[0] * MILLISECONDS_PER_DAY


def told(
    rows: Rows, kind: str, zone: str, providers: list[str], start_ms: int, end_ms: int
) -> dict[tuple[str, int], Told]:
    """Return by provider and start what these providers said of a zone, of what touches a stretch of time.

    What a person voided is among it: it is not to be asked for again.
    """
    names, bound = listed("provider", providers)
    sql = (
        "SELECT provider, valid_from_ms, valid_to_ms, value, state, basis FROM factor WHERE kind = :kind AND object = :zone"
        f" AND provider IN {names} AND valid_from_ms < :end_ms AND valid_to_ms > :start_ms ORDER BY receipt, version"
    )
    found = rows.rows(sql, kind=kind, zone=zone, start_ms=start_ms, end_ms=end_ms, **bound)
    return {(row[0], row[1]): Told(*row) for row in found}
