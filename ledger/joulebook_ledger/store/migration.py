"""Making a book, and bringing an older one up to date: under a lock, in one transaction, with a copy of the old one beside it."""

from __future__ import annotations

import importlib.metadata
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from alembic.config import Config
from sqlalchemy import insert

from alembic import command
from joulebook_ledger.core.refusals import Unavailable
from joulebook_ledger.store import rows
from joulebook_ledger.store.engine import alone, open_engine
from joulebook_ledger.store.schema import EMPTY, SCHEMAS, schema_of, setting_of
from joulebook_ledger.store.tables import BookSetting

if TYPE_CHECKING:
    from sqlalchemy import Connection

MIGRATION_LOCK = 0x6A6F756C_6D696772
"""Key of the advisory lock under which a PostgreSQL book is brought up to date."""


def migrate(url: str, folder: Path | None = None, known: Sequence[str] = SCHEMAS) -> Path | None:
    """Bring a book to the newest schema; return the copy that was made of an older SQLite book first, or None.

    Several processes may do so at once: one works, the others find it done.

    Args:
        url: The book.
        folder: The migrations; those of this version unless said otherwise.
        known: Their names, oldest first.

    Raises:
        Unavailable: The book was made by a newer version, or is held by another process for too long; nothing was changed.
    """
    engine = open_engine(url)
    is_file = engine.dialect.name == rows.SQLITE
    copy = None
    try:
        if is_file:
            _set_write_ahead(rows.sqlite_path(url))
        with alone(engine, MIGRATION_LOCK) as connection:
            schema = schema_of(rows.SqlRows(connection), known)
            if schema != known[-1]:
                copy = _copy_of(url, schema) if is_file and schema != EMPTY else None
                _upgrade(connection, folder or migrations_folder(), known[-1])
    finally:
        engine.dispose()
    if copy is not None:
        sys.stderr.write(
            f"joulebook: the book was brought from schema {schema} to {known[-1]}; the old one is kept in {copy}\n"
        )
    return copy


def _upgrade(connection: Connection, folder: Path, schema: str) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    command.upgrade(config, schema)
    connection.execute(insert(BookSetting), {"name": setting_of(schema), "value": _version()})


def migrations_folder() -> Path:
    """Return the folder of the migrations: within the installed package, or at the top of a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent.parent / "alembic"


def _version() -> str:
    try:
        return importlib.metadata.version("joulebook")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _set_write_ahead(path: str) -> None:
    """Switch a SQLite file to write-ahead logging, once; while another process does the same, SQLite is busy and does not wait."""
    deadline = time.monotonic() + rows.WAIT_SECONDS
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=rows.WAIT_SECONDS)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if time.monotonic() > deadline:
                raise Unavailable(f"the book {path} is held by another process: {error}") from None
            time.sleep(0.01)
        else:
            return


def _copy_of(url: str, schema: str) -> Path:
    """Copy a SQLite book beside itself, through SQLite, so that what lies in its write-ahead log is in the copy too."""
    path = Path(rows.sqlite_path(url))
    copy = path.with_name(f"{path.name}.schema-{schema}")
    number = 1
    while copy.exists():
        number += 1
        copy = path.with_name(f"{path.name}.schema-{schema}.{number}")
    copy.touch(mode=0o600)
    with closing(sqlite3.connect(path, timeout=rows.WAIT_SECONDS)) as book, closing(sqlite3.connect(copy)) as target:
        book.backup(target)
    return copy
