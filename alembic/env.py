"""Where alembic starts: on the connection it is handed by `store.engine.migrate`, or on the ledger named on its command line.

alembic -x ledger=sqlite:////path/to/book.sqlite upgrade head
"""

from __future__ import annotations

import os

from sqlalchemy import Connection

from alembic import context
from joulebook_ledger.store.engine import open_engine
from joulebook_ledger.store.tables import METADATA


def run(connection: Connection) -> None:
    """Run the migrations in one transaction; on SQLite, too, the schema changes with it or not at all."""
    context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


handed = context.config.attributes.get("connection")
if handed is not None:
    run(handed)
else:
    ledger = context.get_x_argument(as_dictionary=True).get("ledger") or os.environ["JOULEBOOK_LEDGER"]
    with open_engine(str(ledger)).begin() as own:
        run(own)
