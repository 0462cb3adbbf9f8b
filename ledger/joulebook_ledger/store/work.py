"""The booker's work tables: temporary, seen by one transaction, gone after it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.store import bulk
from joulebook_ledger.store.rows import SQLITE, Row

if TYPE_CHECKING:
    from sqlalchemy import Connection

RATES = ("tariff", "location", "market", "water_site", "water_source", "instance", "embodied")
_AMOUNTS = " ".join(f"{column}#" for column in COLUMNS)
_RATES = " ".join(f"{rate}# {rate}_ms# {rate}_on#" for rate in RATES)
# As in the migration: the key, a bar, the other columns; `#` marks an integer.
_WRITTEN = {
    "work_mark": "number# |",
    "work_day": "source day# | cause rebuild# month# period#",
    "work_beside": "meter day# | kin#",
    "work_void_window": "meter start_ms# reader |",
    "work_void_use": "meter start_ms# reader run |",
    "work_supply": "meter hour# method reader | energy_mj# time_ms# estimate_mj#",
    "work_claim": "meter hour# method account | energy_mj# held_mj# time_ms#",
    "work_mixed_hour": "meter hour# |",
    "work_rule_hour": "meter hour# |",
    "work_class": "component boundary machine | class#",
    "work_source": "source day# | class# part#",
    "work_rate": f"class# from_hour# | to_hour# facility# pue# pue_ms# {_RATES}",
    "work_reach": f"source day# account method next_account next_method | {_AMOUNTS}",
    "work_target": f"source day# account method | {_AMOUNTS}",
    "work_leg": f"source day# | {_AMOUNTS}",
    "work_billed": f"source day# account method | {_AMOUNTS}",
    "work_delta": f"source day# account method | {_AMOUNTS}",
    "work_entry": f"source day# | {_AMOUNTS}",
}


def run(connection: Connection, sql: str, **parameters: int | str) -> None:
    """Run a statement for what it does."""
    from sqlalchemy import text

    connection.execute(text(sql), parameters)


def make(connection: Connection) -> None:
    """Make all work tables, empty."""
    if connection.dialect.name != SQLITE:
        # Compiling a statement with some hundred divisions takes longer than running it on a day.
        run(connection, "SET LOCAL jit = off")
    for table, written in _WRITTEN.items():
        key, _, others = written.partition("|")
        if connection.dialect.name == SQLITE:
            run(connection, f"DROP TABLE IF EXISTS temp.{table}")
        columns = ", ".join(_column(connection, name) for name in chain(key.split(), others.split()))
        keys = ", ".join(name.rstrip("#") for name in key.split())
        after = "WITHOUT ROWID" if connection.dialect.name == SQLITE else "ON COMMIT DROP"
        run(connection, f"CREATE TEMPORARY TABLE {table} ({columns}, PRIMARY KEY ({keys})) {after}")


def fill(connection: Connection, table: str, rows: Sequence[Row]) -> None:
    """Insert rows into a work table, in the order of its columns."""
    names = _WRITTEN[table].replace("|", " ").split()
    columns = tuple(name.rstrip("#") for name in names)
    bulk.insert(connection, table, columns, frozenset(name.rstrip("#") for name in names if name.endswith("#")), rows)
    weigh(connection, table)


def weigh(connection: Connection, *tables: str) -> None:
    """Tell PostgreSQL how much is in them: it has no statistics of a table made a moment ago, and plans badly without."""
    if connection.dialect.name != SQLITE:
        for table in tables:
            run(connection, f"ANALYZE {table}")


def _column(connection: Connection, written: str) -> str:
    name = written.rstrip("#")
    if written != name:
        return f"{name} BIGINT NOT NULL"
    collation = "" if connection.dialect.name == SQLITE else 'COLLATE "C"'
    return f"{name} TEXT {collation} NOT NULL"


def place_of(account: str) -> str:
    """Return SQL for the place of an account in account order: runs, then untracked, unallocated, idle."""
    return f"CASE {account} WHEN 'untracked' THEN 1 WHEN 'unallocated' THEN 2 WHEN 'idle' THEN 3 ELSE 0 END"


def muldiv(a: str, b: str, c: str | int) -> str:
    """Return SQL for `core.units.muldiv`, for a and b of at least 0: integer division truncates alike on both engines."""
    return f"(({a}) / {c}) * {b} + ((({a}) % {c}) * {b}) / {c}"


def listed_amounts(of: str = "", sign: str = "") -> str:
    """Return the amount columns, as `of.column`, separated by commas."""
    return ", ".join(f"{sign}{of}{'.' if of else ''}{column}" for column in COLUMNS)


def summed_amounts(of: str = "") -> str:
    """Return the sums of the amount columns, as 64-bit integers."""
    return ", ".join(f"CAST(SUM({of}{'.' if of else ''}{column}) AS BIGINT) AS {column}" for column in COLUMNS)
