"""What the market-based method asks of a book: its instruments, its allocations, and the loads of machines by day and hour."""

from __future__ import annotations

import json
from typing import NamedTuple

from joulebook_ledger.core.instruments import Allocation, Instrument
from joulebook_ledger.store import reads
from joulebook_ledger.store.reads import NO_LIMIT, sealed_by
from joulebook_ledger.store.rows import Rows, one

_INSTRUMENT = (
    "issuer", "instrument", "version", "kind", "market", "vintage_from_ms", "vintage_to_ms", "energy_mj", "value", "retired_for",
    "retired_at_ms", "quality", "evidence_name", "evidence_digest",
)  # fmt: skip
_ALLOCATION = ("market", "year", "version", "state", "content", "author")


class MachineDay(NamedTuple):
    """What one machine drew on a day.

    Attributes:
        machine: Its id.
        day: Days since the epoch.
        facility_mj: Energy of the facility.
        location_ug: Location-based CO2e.
        unknown_mj: Energy whose location-based CO2e is not known.
    """

    machine: str
    day: int
    facility_mj: int
    location_ug: int
    unknown_mj: int


def instruments(rows: Rows) -> list[Instrument]:
    """Return of every instrument the version learnt last that no correction voids, in order of their keys."""
    gone = reads.voided(rows, "instrument")
    sql = f"SELECT {', '.join(_INSTRUMENT)} FROM instrument ORDER BY receipt, issuer, instrument, version"
    held: dict[tuple[str, str], Instrument] = {}
    for row in rows.rows(sql):
        if row[:3] not in gone:
            named = dict(zip(_INSTRUMENT, row, strict=True))
            held[row[0], row[1]] = Instrument(**{**named, "quality": json.loads(named["quality"])})
    return [held[key] for key in sorted(held)]


def is_any_to_assign(rows: Rows) -> bool:
    """Tell whether the book has instruments or a residual mix; without either what stands in for them is said by a person."""
    sql = (
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM instrument) OR EXISTS (SELECT 1 FROM factor WHERE kind = 'residual_mix')"
    )
    return one(rows, sql) is not None


def newest_allocation(rows: Rows, market: str, year: int, link: int = NO_LIMIT) -> Allocation | None:
    """Return what was last assigned to a market's year, or None; before a link, of what was sealed up to it."""
    sealed, bound = sealed_by(link)
    sql = (
        f"SELECT {', '.join(_ALLOCATION)} FROM allocation WHERE market = :market AND year = :year {sealed} "
        "ORDER BY receipt DESC, version DESC LIMIT 1"
    )
    row = one(rows, sql, market=market, year=year, **bound)
    return Allocation(**dict(zip(_ALLOCATION, row, strict=True))) if row else None


def machine_days(rows: Rows, first_day: int, last_day: int) -> list[MachineDay]:
    """Return what every machine drew on each day, as known today, idle and untracked included."""
    sql = (
        "SELECT p.machine, b.day, CAST(SUM(b.energy_facility_mj) AS BIGINT), CAST(SUM(b.co2e_location) AS BIGINT),"
        " CAST(SUM(b.unc_co2e_location_mj) AS BIGINT) FROM booked AS b"
        " JOIN placed AS p ON p.source = b.source AND p.day = b.day"
        " WHERE b.day BETWEEN :first AND :last GROUP BY p.machine, b.day ORDER BY p.machine, b.day"
    )
    return [MachineDay(*row) for row in rows.rows(sql, first=first_day, last=last_day)]


def booked_days(rows: Rows) -> tuple[int, int] | None:
    """Return the first and the last day of which anything is booked, or None."""
    row = one(rows, "SELECT MIN(day), MAX(day) FROM booked")
    return (row[0], row[1]) if row and row[0] is not None else None
