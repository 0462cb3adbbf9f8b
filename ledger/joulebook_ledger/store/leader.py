"""Who leads: of all workers on one book at most one, for as long as its process and its connection live.

On PostgreSQL it is a session advisory lock: the server lets go of it when the session ends, however it ends. On SQLite it is the
exclusive lock of a small file beside the book, held by SQLite itself: the kernel lets go of it with the process.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from joulebook_ledger.store import places, rows
from joulebook_ledger.store.trouble import told_as_unavailable

if TYPE_CHECKING:
    import sqlite3

    import psycopg

LEADER_LOCK = 0x6A6F756C_6C656164
"""Key of the advisory lock of the worker that leads."""
# A leader whose machine vanished without a word is noticed by its server after about a minute, not after two hours.
_NOTICE_SILENCE = ("SET tcp_keepalives_idle = 30", "SET tcp_keepalives_interval = 10", "SET tcp_keepalives_count = 3")
_BUSY = frozenset({5, 6})  # sqlite.org/rescode.html: BUSY, LOCKED


class Leader(Protocol):
    """The lock of the worker that leads. Used by one thread at a time."""

    def is_ours(self) -> bool:
        """Take the lock if it is free; say whether it is ours.

        Raises:
            Unavailable: The database cannot be reached; then it is not ours any more.
        """
        ...

    def give(self) -> None:
        """Let go of it."""
        ...


def leader_of(url: str) -> Leader:
    """Return the lock of a book; it is not asked for yet."""
    if url.startswith(rows.SQLITE):
        path = Path(rows.sqlite_path(url))
        return SqliteLeader(path.with_name(f"{path.name}.worker"))
    return PostgresLeader(rows.postgresql_address(url))


class SqliteLeader:
    """The lock of a file beside the book."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def is_ours(self) -> bool:
        """Take the lock if it is free."""
        import sqlite3

        if self._connection is not None:
            return True
        with told_as_unavailable(f"the lock {self._path}", sqlite3.DatabaseError):
            places.prepare(self._path)
            connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                connection.close()
                if error.sqlite_errorcode & 0xFF in _BUSY:
                    return False
                raise
        self._connection = connection
        return True

    def give(self) -> None:
        """Let go of it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class PostgresLeader:
    """The lock of a session of its own."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: psycopg.Connection | None = None
        self._is_held = False

    def is_ours(self) -> bool:
        """Take the lock if it is free; while it is ours, ask whether the session still lives."""
        import psycopg

        with told_as_unavailable(rows.POSTGRESQL_BOOK, psycopg.OperationalError):
            try:
                if self._connection is None:
                    self._connection = psycopg.connect(
                        self._address, connect_timeout=rows.WAIT_SECONDS, autocommit=True
                    )
                    for setting in _NOTICE_SILENCE:
                        self._connection.execute(setting.encode())
                if self._is_held:
                    self._connection.execute(b"SELECT 1")
                else:
                    found = self._connection.execute(b"SELECT pg_try_advisory_lock(%s)", (LEADER_LOCK,)).fetchone()
                    self._is_held = found is not None and bool(found[0])
            except psycopg.OperationalError:
                self.give()
                raise
        return self._is_held

    def give(self) -> None:
        """Let go of it."""
        import psycopg

        connection, self._connection, self._is_held = self._connection, None, False
        if connection is not None:
            with suppress(psycopg.OperationalError):
                connection.close()
