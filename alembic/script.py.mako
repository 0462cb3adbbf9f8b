"""${message}."""

from __future__ import annotations

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """${message}."""


def downgrade() -> None:
    """Refuse: books are append-only, and so is their schema."""
    message = "a book is never taken back to an older schema: restore the copy that was made before the upgrade"
    raise RuntimeError(message)
