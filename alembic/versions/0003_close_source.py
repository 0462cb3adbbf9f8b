"""Where each source of a closed month stood and how it was priced, as its close saw it."""

from __future__ import annotations

import sqlite3

import sqlalchemy

from alembic import op
from joulebook_ledger.store.laws import laws_of_close_part

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NUMBER = sqlalchemy.BigInteger().with_variant(sqlalchemy.Integer(), "sqlite")
WORDS = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")
STRICT = sqlite3.sqlite_version_info >= (3, 37)


def upgrade() -> None:
    """Add the table, and its laws: append-only, and nothing more once the close has its link."""
    key = ("month", "source", "first_day")
    op.create_table(
        "close_source",
        sqlalchemy.Column("month", NUMBER, nullable=False, autoincrement=False),
        sqlalchemy.Column("source", WORDS, nullable=False),
        sqlalchemy.Column("first_day", NUMBER, nullable=False, autoincrement=False),
        sqlalchemy.Column("last_day", NUMBER, nullable=False),
        *(sqlalchemy.Column(name, WORDS, nullable=False) for name in ("machine", "host", "site", "pricing")),
        sqlalchemy.PrimaryKeyConstraint(*key),
        sqlite_strict=STRICT,
        sqlite_with_rowid=False,
    )
    for law in laws_of_close_part(op.get_bind().dialect.name, "close_source", key):
        op.execute(law)


def downgrade() -> None:
    """Refuse: books are append-only, and so is their schema."""
    message = "a book is never taken back to an older schema: restore the copy that was made before the upgrade"
    raise RuntimeError(message)
