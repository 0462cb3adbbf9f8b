"""Which schema a book has, told by one row, and the refusal of one that is newer than this version knows."""

from __future__ import annotations

from collections.abc import Sequence

from joulebook_ledger.core.refusals import Unavailable
from joulebook_ledger.store.rows import SQLITE, Rows, one

# All revisions in alembic/versions, oldest first. A test compares them with alembic's own reading of that folder.
SCHEMAS = ("0001", "0002", "0003", "0004", "0005")
NEWEST = SCHEMAS[-1]
EMPTY = ""
_MADE_BY = "schema "


def schema_of(rows: Rows, known: Sequence[str] = SCHEMAS) -> str:
    """Return the schema of a book, or EMPTY for a database that holds none.

    Args:
        rows: Where to look.
        known: The schemas that this version knows, oldest first.

    Raises:
        Unavailable: The book was made by a newer version; the text says which. Nothing was changed.
    """
    if not _has_table(rows, "alembic_version"):
        return EMPTY
    found = one(rows, "SELECT version_num FROM alembic_version")
    schema = str(found[0]) if found else EMPTY
    if schema and schema not in known:
        maker = one(rows, "SELECT value FROM book_setting WHERE name = :name", name=_MADE_BY + schema)
        version = f"joulebook {maker[0]} or newer" if maker else "a newer joulebook"
        raise Unavailable(
            f"this book has schema {schema}, which this version ({known[-1]}) does not know: run {version}; nothing was changed"
        )
    return schema


def setting_of(schema: str) -> str:
    """Return the name of the book setting that says which version made a schema."""
    return _MADE_BY + schema


def _has_table(rows: Rows, table: str) -> bool:
    sql = (
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name"
        if rows.dialect == SQLITE
        else "SELECT 1 FROM (SELECT to_regclass(:name) AS found) AS t WHERE found IS NOT NULL"
    )
    return one(rows, sql, name=table) is not None
