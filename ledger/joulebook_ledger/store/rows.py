"""Reading a book with the least that must be loaded: the database's own driver, one snapshot, rows as tuples.

Loading SQLAlchemy takes longer than most answers; commands that only read do without. SQL here is one text for both engines:
parameters are `:name`, sums are cast (`CAST(SUM(x) AS BIGINT)`), order is by columns that sort by their bytes.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from joulebook_ledger.store.trouble import told_as_unavailable

if TYPE_CHECKING:
    import sqlite3

    import psycopg
    from sqlalchemy import Connection

Row = tuple[Any, ...]
SQLITE = "sqlite"
POSTGRESQL = "postgresql"
POSTGRESQL_BOOK = "the book's PostgreSQL"
WAIT_SECONDS = 30
ROWS_AT_ONCE = 5_000
_CURSORS = itertools.count(1)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


class Rows(Protocol):
    """Where rows can be asked for: one snapshot of a book, or a transaction that writes it."""

    @property
    def dialect(self) -> str:
        """SQLITE or POSTGRESQL."""
        ...

    def rows(self, sql: str, **parameters: int | str | None) -> list[Row]:
        """Return the rows of a statement with parameters written as `:name`."""
        ...

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield the rows of a statement without holding all of them; several may be open at once."""
        ...


class SqliteRows:
    """Rows of a plain sqlite3 connection."""

    dialect = SQLITE

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def rows(self, sql: str, **parameters: int | str | None) -> list[Row]:
        """Return the rows of a statement."""
        return self.connection.execute(sql, parameters).fetchall()

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield the rows of a statement."""
        yield from self.connection.execute(sql)


class PostgresRows:
    """Rows of a plain psycopg connection."""

    dialect = POSTGRESQL

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self.connection = connection

    def rows(self, sql: str, **parameters: int | str | None) -> list[Row]:
        """Return the rows of a statement."""
        return self.connection.execute(_for_psycopg(sql), parameters).fetchall()

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield the rows of a statement, by a cursor of the server's."""
        with self.connection.cursor(name=f"joulebook_{next(_CURSORS)}") as cursor:
            cursor.itersize = ROWS_AT_ONCE
            yield from cursor.execute(sql.encode())


class SqlRows:
    """Rows of a SQLAlchemy connection, within the transaction that it has begun."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.dialect = connection.dialect.name

    def rows(self, sql: str, **parameters: int | str | None) -> list[Row]:
        """Return the rows of a statement."""
        from sqlalchemy import text

        return [tuple(row) for row in self.connection.execute(text(sql), parameters)]

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield the rows of a statement."""
        from sqlalchemy import text

        yield from map(tuple, self.connection.execute(text(sql), execution_options={"yield_per": ROWS_AT_ONCE}))


def one(rows: Rows, sql: str, **parameters: int | str | None) -> Row | None:
    """Return the first row of a statement, or None."""
    found = rows.rows(sql, **parameters)
    return found[0] if found else None


def listed(name: str, values: Iterable[int | str]) -> tuple[str, dict[str, int | str | None]]:
    """Return `(:name_0, :name_1, ...)` for `IN`, and its parameters; an empty list matches nothing.

    >>> listed("run", ["a", "b"])
    ('(:run_0, :run_1)', {'run_0': 'a', 'run_1': 'b'})
    """
    parameters: dict[str, int | str | None] = {f"{name}_{index}": value for index, value in enumerate(values)}
    return (f"({', '.join(f':{key}' for key in parameters)})" if parameters else "(NULL)"), parameters


@contextmanager
def read(url: str) -> Iterator[Rows]:
    """Yield one snapshot of an existing, up-to-date book; see `store.engine.open_book`, which makes sure that it is.

    Args:
        url: `sqlite:///PATH` or `postgresql+psycopg://...`.

    Raises:
        Unavailable: The database cannot be reached.
    """
    if url.startswith(SQLITE):
        with _read_sqlite(url) as rows:
            yield rows
    else:
        with _read_postgresql(url) as rows:
            yield rows


@contextmanager
def _read_sqlite(url: str) -> Iterator[Rows]:
    import sqlite3
    from urllib.parse import quote

    path = sqlite_path(url)
    with told_as_unavailable(f"the book {path}", sqlite3.DatabaseError):
        connection = sqlite3.connect(
            f"file:{quote(path)}?mode=rw", uri=True, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM sqlite_master")  # the snapshot is of now, not of the first question
            yield SqliteRows(connection)
        finally:
            connection.close()


@contextmanager
def _read_postgresql(url: str) -> Iterator[Rows]:
    import psycopg

    with told_as_unavailable(POSTGRESQL_BOOK, psycopg.OperationalError):
        connection = psycopg.connect(postgresql_address(url), connect_timeout=WAIT_SECONDS)
        with connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            yield PostgresRows(connection)


def sqlite_path(url: str) -> str:
    """Return the file of `sqlite:///relative` or `sqlite:////absolute`."""
    return url.partition(":///")[2].partition("?")[0]


def postgresql_address(url: str) -> str:
    """Return a URL as psycopg itself takes it: without the name of the driver."""
    return "postgresql" + url[url.index("://") :]


@functools.lru_cache(maxsize=512)
def _for_psycopg(sql: str) -> bytes:
    return _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%")).encode()
