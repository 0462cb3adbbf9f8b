"""Many rows at once: one statement per table and batch, in the form that each engine takes fastest."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from joulebook_ledger.store.rows import SQLITE, Row, Rows, SqlRows
from joulebook_ledger.store.shapes import Key, Shape

if TYPE_CHECKING:
    from sqlalchemy import Connection

KEYS_AT_ONCE = 500


def insert(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    numbers: frozenset[str],
    rows: Sequence[Row],
    *,
    ignore: bool = False,
) -> None:
    """Insert rows; with `ignore` those whose key is there already are left out.

    Args:
        connection: In a transaction that writes.
        table: Table name.
        columns: Names of the columns, in the order of the rows.
        numbers: Those of them that hold integers.
        rows: What to insert.
        ignore: Leave out what is there.
    """
    if not rows:
        return
    statement = _statement(connection.dialect.name, table, tuple(columns), numbers, ignore)
    if connection.dialect.name == SQLITE:
        connection.exec_driver_sql(statement, list(rows))
    else:
        # One array per column: several times faster than a row at a time (prototypes.md §5).
        connection.exec_driver_sql(statement, tuple(list(column) for column in zip(*rows, strict=True)))


def load(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert rows none of which is there; of tens of thousands several times faster than `insert` on PostgreSQL."""
    if connection.dialect.name == SQLITE:
        insert(connection, table, columns, frozenset(), rows)
        return
    # SQLAlchemy knows the driver's cursor by the methods that all drivers have.
    cursor = cast("Any", connection.connection.cursor())
    with cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


@functools.lru_cache(maxsize=256)
def _statement(dialect: str, table: str, columns: tuple[str, ...], numbers: frozenset[str], ignore: bool) -> str:  # noqa: FBT001
    names = ", ".join(columns)
    if dialect == SQLITE:
        values = f"VALUES ({', '.join('?' for _ in columns)})"
    else:
        arrays = ", ".join(f"%s::{'bigint' if column in numbers else 'text'}[]" for column in columns)
        values = f"SELECT * FROM unnest({arrays})"
    return f"INSERT INTO {table} ({names}) {values}{' ON CONFLICT DO NOTHING' if ignore else ''}"


def stored(rows: SqlRows, shape: Shape, keys: Iterable[Key]) -> dict[Key, Row]:
    """Return the rows of a fact table that have one of the keys, by key."""
    found: dict[Key, Row] = {}
    for some in _chunks(keys, KEYS_AT_ONCE):
        wanted, parameters = _key_list(shape, some)
        sql = f"SELECT {', '.join(shape.columns)} FROM {shape.table} WHERE ({', '.join(shape.key)}) IN ({wanted})"
        found.update((shape.key_of(row), row) for row in rows.rows(sql, **parameters))
    return found


def _key_list(shape: Shape, keys: Sequence[Key]) -> tuple[str, dict[str, Any]]:
    tuples, parameters = [], {}
    for index, key in enumerate(keys):
        names = []
        for column, value in zip(shape.key, key, strict=True):
            parameters[f"{column}_{index}"] = value
            kind = "BIGINT" if column in shape.numbers else "TEXT"
            names.append(f"CAST(:{column}_{index} AS {kind})")
        tuples.append(f"({', '.join(names)})")
    return f"VALUES {', '.join(tuples)}", parameters


def _chunks(keys: Iterable[Key], size: int) -> Iterator[list[Key]]:
    remaining = iter(keys)
    while some := list(islice(remaining, size)):
        yield some


def voided(rows: Rows, table: str) -> set[str]:
    """Return the keys, as texts, of a table's facts that a correction voids."""
    found = rows.rows("SELECT voided_key FROM correction WHERE voided_table = :name", name=table)
    return {row[0] for row in found}
