"""Facts by what they say, for whoever corrects them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook_ledger.store.shapes import SHAPES, Row, Value, key_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from joulebook_ledger.store.rows import Rows


def voided(rows: Rows, table: str) -> frozenset[str]:
    """Return the keys of a table's facts that a correction voids, as corrections name them."""
    found = rows.rows("SELECT voided_key FROM correction WHERE voided_table = :name", name=table)
    return frozenset(key for (key,) in found)


def voided_by(rows: Rows, table: str, readers: str) -> frozenset[str]:
    """Return the keys of a table's facts that readers whose ids begin so voided."""
    found = rows.rows(
        "SELECT c.voided_key FROM correction AS c JOIN receipt AS r ON r.number = c.receipt"
        " WHERE c.voided_table = :name AND SUBSTR(r.reader, 1, :length) = :readers",
        name=table, length=len(readers), readers=readers,
    )  # fmt: skip
    return frozenset(key for (key,) in found)


def standing(
    rows: Rows, table: str, said: Mapping[str, Value], gone: frozenset[str], *,
    time: str = "", from_ms: int = 0, to_ms: int = 0, most: int,
) -> list[Row]:  # fmt: skip
    """Return the facts of a table that stand: those that no correction voids, in order of their key.

    Args:
        rows: The book.
        table: Of `shapes.SHAPES`.
        said: Column -> what it says.
        gone: What `voided` says of the table.
        time: The column that says when; empty to ask for any time.
        from_ms: First instant of that column.
        to_ms: First instant after.
        most: At most so many facts are read, voided ones among them.
    """
    shape = SHAPES[table]
    assert {*said, time} <= {*shape.columns, ""}
    wanted = [f"{column} IS NULL" if value is None else f"{column} = :{column}" for column, value in said.items()]
    bound: dict[str, int | str] = {column: value for column, value in said.items() if value is not None}
    if time:
        wanted.append(f"{time} >= :from_ms AND {time} < :to_ms")
        bound |= {"from_ms": from_ms, "to_ms": to_ms}
    where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
    sql = f"SELECT {', '.join(shape.columns)} FROM {table}{where} ORDER BY {', '.join(shape.key)} LIMIT {most}"
    return [row for row in rows.rows(sql, **bound) if key_text(shape.key_of(row)) not in gone]


def reader_of(rows: Rows, reader: str) -> Row | None:
    """Return machine, boot and host of a reader, or None where it was never heard of."""
    found = rows.rows("SELECT machine, boot, host FROM reader WHERE reader = :reader", reader=reader)
    return found[0] if found else None
