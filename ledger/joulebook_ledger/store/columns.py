"""The column types of all tables: 64-bit integers and texts that sort by their bytes, alike on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKeyConstraint, Integer, Text
from sqlmodel import Field, SQLModel

# SQLite knows one integer of up to 64 bits, and only a column declared INTEGER can be its rowid. PostgreSQL sorts texts by the
# language of the database unless told otherwise; accounts and ids must sort by their bytes on every engine (CORE §3).
NUMBER = BigInteger().with_variant(Integer(), "sqlite")
WORDS = Text().with_variant(Text(collation="C"), "postgresql")

STRICT = {"sqlite_strict": True}
# Without a rowid of its own: nobody can replace a row through it, unseen by the trigger that looks for the key.
KEYED = {"sqlite_strict": True, "sqlite_with_rowid": False}


def whole(**options: Any) -> Any:
    """Return a column of 64-bit integers."""
    return Field(sa_type=NUMBER, **options)


def words(**options: Any) -> Any:
    """Return a column of texts, sorted by their bytes."""
    return Field(sa_type=WORDS, **options)


def sealed_by_a_link() -> ForeignKeyConstraint:
    """Return the deferred key that lets no commit go without its link."""
    return ForeignKeyConstraint(["link"], ["link.sequence"], deferrable=True, initially="DEFERRED")


class Amounts(SQLModel):
    """The columns of `core.pricing.COLUMNS`: what a source leg says, what a posting bears."""

    energy_it_mj: int = whole()
    energy_facility_mj: int = whole()
    held_mj: int = whole()
    unmetered_mj: int = whole()
    time_ms: int = whole()
    metered_ms: int = whole()
    cost_energy: int = whole()
    cost_instance: int = whole()
    co2e_location: int = whole()
    co2e_market: int = whole()
    co2e_embodied: int = whole()
    water_site: int = whole()
    water_source: int = whole()
    unc_facility_mj: int = whole()
    unc_cost_energy_mj: int = whole()
    unc_cost_instance_ms: int = whole()
    unc_co2e_location_mj: int = whole()
    unc_co2e_market_mj: int = whole()
    unc_co2e_embodied_ms: int = whole()
    unc_water_site_mj: int = whole()
    unc_water_source_mj: int = whole()
