"""What the clock brings is a row: who does which job of which period, and how it went."""

from __future__ import annotations

import sqlite3

import sqlalchemy

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NUMBER = sqlalchemy.BigInteger().with_variant(sqlalchemy.Integer(), "sqlite")
WORDS = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")
STRICT = sqlite3.sqlite_version_info >= (3, 37)


def upgrade() -> None:
    """Add the table, empty."""
    words = {
        name: sqlalchemy.Column(name, WORDS, nullable=False) for name in ("job", "state", "who", "last_error", "result")
    }
    numbers = {
        name: sqlalchemy.Column(name, NUMBER, nullable=False, autoincrement=False)
        for name in ("period_ms", "since_ms", "next_try_ms", "failures", "again")
    }
    columns = {**words, **numbers}
    order = ("job", "period_ms", "state", "who", "since_ms", "next_try_ms", "failures", "last_error", "result", "again")
    op.create_table(
        "task", *(columns[name] for name in order), sqlalchemy.PrimaryKeyConstraint("job", "period_ms"), sqlite_strict=STRICT,
        sqlite_with_rowid=False,
    )  # fmt: skip


def downgrade() -> None:
    """Refuse: books are append-only, and so is their schema."""
    message = "a book is never taken back to an older schema: restore the copy that was made before the upgrade"
    raise RuntimeError(message)
