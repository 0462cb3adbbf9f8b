"""What a delivery of a bill says of itself: its columns, its sums, and from when to when it charges; and the invoice of a row."""

from __future__ import annotations

import sqlalchemy

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NUMBER = sqlalchemy.BigInteger().with_variant(sqlalchemy.Integer(), "sqlite")
WORDS = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns; no book of before holds a bill."""
    for name in ("header", "totals"):
        op.add_column("bill_delivery", sqlalchemy.Column(name, WORDS, nullable=False, server_default=""))
    for name in ("first_ms", "last_ms"):
        op.add_column("bill_delivery", sqlalchemy.Column(name, NUMBER, nullable=False, server_default="0"))
    op.add_column("bill_row", sqlalchemy.Column("invoice", WORDS, nullable=False, server_default=""))


def downgrade() -> None:
    """Refuse: books are append-only, and so is their schema."""
    message = "a book is never taken back to an older schema: restore the copy that was made before the upgrade"
    raise RuntimeError(message)
