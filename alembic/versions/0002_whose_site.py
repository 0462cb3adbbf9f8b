"""Whose cloud or data centre a site is, where there, and who decides on its energy."""

from __future__ import annotations

import sqlalchemy

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WORDS = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns; a site of before says none of it."""
    for name in ("provider", "region", "control"):
        op.add_column("site", sqlalchemy.Column(name, WORDS, nullable=False, server_default=""))


def downgrade() -> None:
    """Refuse: books are append-only, and so is their schema."""
    message = "a book is never taken back to an older schema: restore the copy that was made before the upgrade"
    raise RuntimeError(message)
