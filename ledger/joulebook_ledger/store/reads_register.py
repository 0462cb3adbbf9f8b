"""What a book knows of factors, prices, sites and placements, as they were learnt: in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.store.reads import voided
from joulebook_ledger.store.rows import Row, Rows, listed, one
from joulebook_ledger.store.shapes import SHAPES


class Since(NamedTuple):
    """A fact and when the book received it, milliseconds since the epoch."""

    fact: Any
    received_ms: int


class Wanted(NamedTuple):
    """Which factors.

    Attributes:
        kinds: Of one of these.
        object: Of this zone, site or machine; empty for any.
        provider: Said by this one; empty for any.
        at_ms: Holding at this instant; None for any.
        after: Key of the last one of the page before; empty for the first page.
        limit: At most so many.
    """

    kinds: Sequence[str]
    object: str
    provider: str
    at_ms: int | None
    after: Sequence[str | int]
    limit: int


def factors(rows: Rows, wanted: Wanted) -> list[Since]:
    """Return the factors that are wanted, in the order of their keys."""
    key = SHAPES["factor"].key
    kinds, bound = listed("kind", wanted.kinds)
    where = [f"f.kind IN {kinds}"]
    for name, value in (("object", wanted.object), ("provider", wanted.provider)):
        if value:
            where.append(f"f.{name} = :{name}")
            bound[name] = value
    if wanted.at_ms is not None:
        where.append("f.valid_from_ms <= :at_ms AND (f.valid_to_ms IS NULL OR f.valid_to_ms > :at_ms)")
        bound["at_ms"] = wanted.at_ms
    if wanted.after:
        where.append(f"({', '.join(f'f.{name}' for name in key)}) > ({', '.join(f':after_{name}' for name in key)})")
        bound |= {f"after_{name}": value for name, value in zip(key, wanted.after, strict=True)}
    gone = voided(rows, "factor")
    bound["many"] = wanted.limit + len(gone)
    found = _rows(rows, "factor", f"WHERE {' AND '.join(where)}", "LIMIT :many", bound)
    return _facts("factor", Factor, [row for row in found if row[: len(key)] not in gone][: wanted.limit])


def sites(rows: Rows) -> list[Since]:
    """Return every site that no correction voids."""
    return _all(rows, "site", Site)


def placements(rows: Rows) -> list[Since]:
    """Return every placement that no correction voids."""
    return _all(rows, "placement", Placement)


def currency(rows: Rows) -> str:
    """Return the currency of the book, or "" where it has none yet."""
    found = one(rows, "SELECT value FROM book_setting WHERE name = 'currency'")
    return found[0] if found else ""


def _all(rows: Rows, table: str, record: Callable[..., Any]) -> list[Since]:
    gone = voided(rows, table)
    key = len(SHAPES[table].key)
    return _facts(table, record, [row for row in _rows(rows, table, "", "", {}) if row[:key] not in gone])


def _rows(rows: Rows, table: str, where: str, limit: str, bound: dict[str, int | str | None]) -> list[Row]:
    shape = SHAPES[table]
    columns = ", ".join(f"f.{name}" for name in shape.columns)
    order = ", ".join(f"f.{name}" for name in shape.key)
    sql = f"SELECT {columns}, r.received_ms FROM {table} AS f JOIN receipt AS r ON r.number = f.receipt {where} ORDER BY {order} {limit}"
    return rows.rows(sql, **bound)


def _facts(table: str, record: Callable[..., Any], found: Sequence[Row]) -> list[Since]:
    columns = SHAPES[table].columns
    return [Since(record(**dict(zip(columns, row, strict=False))), row[-1]) for row in found]
