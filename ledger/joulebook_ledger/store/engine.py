"""Opening a book: its engine, its schema, its transactions.

A book that is up to date is told by one row, without alembic and without SQLAlchemy. Writers on SQLite begin with BEGIN IMMEDIATE, so
that whoever reads before it writes never finds its snapshot stale.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.store import places, rows
from joulebook_ledger.store.schema import NEWEST, schema_of
from joulebook_ledger.store.trouble import told_as_unavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

BEGIN = "joulebook_begin"
"""Execution option of a connection: how its SQLite transactions begin, DEFERRED or IMMEDIATE."""


class Book:
    """A book that is there and up to date: a light way to read it, and an engine made when first asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine: Engine | None = None
        self._making = threading.Lock()

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine for what writes."""
        with self._making:
            if self._engine is None:
                self._engine = open_engine(self.url)
            return self._engine

    def read(self) -> AbstractContextManager[rows.Rows]:
        """Yield one snapshot to read from, without SQLAlchemy."""
        return rows.read(self.url)

    def write(self) -> AbstractContextManager[Connection]:
        """Yield a connection in a transaction that writes; it is committed at the end, or rolled back."""
        return writing(self.engine)

    def close(self) -> None:
        """Let go of connections."""
        if self._engine is not None:
            self._engine.dispose()


def open_book(url: str) -> Book:
    """Return the book at a URL; what is not there yet is made, what is older is copied and brought up to date.

    Raises:
        BadInput: The URL names no place for a book.
        Unavailable: It cannot be reached, or was made by a newer version.
    """
    check_url(url)
    if not _is_up_to_date(url):
        from joulebook_ledger.store.migration import migrate

        migrate(url)
    return Book(url)


def check_url(url: str) -> None:
    """Refuse what is neither `sqlite:///PATH` on a local disk nor `postgresql+psycopg://...`."""
    if url.startswith("sqlite:///") and rows.sqlite_path(url) not in {"", ":memory:"}:
        places.refuse_network(Path(rows.sqlite_path(url)))
    elif not url.startswith("postgresql+psycopg://"):
        raise BadInput(
            f"{url.partition('@')[2] or url!r} is no book: give sqlite:///PATH or postgresql+psycopg://HOST/DATABASE"
        )


def _is_up_to_date(url: str) -> bool:
    if url.startswith(rows.SQLITE) and not Path(rows.sqlite_path(url)).exists():
        return False
    with rows.read(url) as snapshot:
        return schema_of(snapshot) == NEWEST


def open_engine(url: str, wait_seconds: int = rows.WAIT_SECONDS) -> Engine:
    """Return a SQLAlchemy engine for a book's URL; of SQLite the file and its folder are made, closed to others.

    Args:
        url: `sqlite:///PATH` or `postgresql+psycopg://...`.
        wait_seconds: How long to wait for another writer of a SQLite book, or for a PostgreSQL server.

    Raises:
        BadInput: The URL names no place for a book, such as a network file system.
    """
    from sqlalchemy import create_engine, event

    check_url(url)
    if not url.startswith(rows.SQLITE):
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": wait_seconds})
    places.prepare(Path(rows.sqlite_path(url)))
    engine = create_engine(url, connect_args={"timeout": wait_seconds, "isolation_level": None})
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: Any, _record: object) -> None:
    # WAL itself is set once, when the book is made: it stays with the file.
    for pragma in ("foreign_keys = ON", "synchronous = NORMAL", "temp_store = MEMORY", "cache_size = -65536"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # The driver begins nothing by itself (isolation_level None), so that reads stand in the transaction too.
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get(BEGIN, 'DEFERRED')}")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction that writes, committed at the end (SQLite: IMMEDIATE; PostgreSQL: READ COMMITTED).

    Raises:
        Unavailable: The database is held by another for too long, full, read-only or gone.
    """
    with _usable(engine), engine.connect().execution_options(**{BEGIN: "IMMEDIATE"}) as connection, connection.begin():
        yield connection


@contextmanager
def alone(engine: Engine, lock: int) -> Iterator[Connection]:
    """Yield a connection in a transaction that writes, alone of its kind, in one snapshot.

    On PostgreSQL the lock is taken for the session before the transaction begins, so that the snapshot holds all that the holder
    before us committed.

    Raises:
        Unavailable: As of `writing`.
    """
    if engine.dialect.name == rows.SQLITE:
        with writing(engine) as connection:
            yield connection
        return
    with _usable(engine), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SELECT pg_advisory_lock(%s)", (lock,))
        try:
            connection.rollback()
            connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection
        finally:
            _unlock(connection, lock)


def _unlock(connection: Connection, lock: int) -> None:
    from sqlalchemy.exc import OperationalError

    # Of a connection that is gone the server has let go of the lock by itself.
    with suppress(OperationalError):
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("SELECT pg_advisory_unlock(%s)", (lock,))
        connection.rollback()


def _usable(engine: Engine) -> AbstractContextManager[None]:
    from sqlalchemy.exc import DBAPIError

    is_file = engine.dialect.name == rows.SQLITE
    return told_as_unavailable(f"the book {engine.url.database}" if is_file else rows.POSTGRESQL_BOOK, DBAPIError)
