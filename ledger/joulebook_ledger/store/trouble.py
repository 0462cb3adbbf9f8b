"""A database that cannot be reached, written or read is no fault of what was asked: its errors become `Unavailable`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from joulebook_ledger.core.refusals import Unavailable

# By name, so that no driver is loaded for the sake of its errors. Errors of integrity are not among them: those are refusals of a law.
_ERRORS = (
    ("sqlalchemy.exc", "OperationalError"),
    ("sqlalchemy.exc", "InterfaceError"),
    ("sqlite3", "OperationalError"),
    ("sqlite3", "NotSupportedError"),
    ("psycopg", "OperationalError"),
    ("psycopg", "InterfaceError"),
)
_DAMAGED = "file is not a database", "malformed"


@contextmanager
def as_unavailable(name: str) -> Iterator[None]:
    """Raise `Unavailable` for what the database could not do.

    Args:
        name: The book, as a person would call it.
    """
    try:
        yield
    except _database_errors() as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()
        raise Unavailable(
            f"the book {name} cannot be used just now: {said[0] if said else type(error).__name__}"
        ) from error
    except _damage() as error:
        if not any(word in str(error) for word in _DAMAGED):
            raise
        raise Unavailable(f"{name} is no book, or is damaged ({error}): put its last copy in its place") from error


def _database_errors() -> tuple[type[Exception], ...]:
    """Return the classes of such errors, of the drivers that are loaded: no other can have been raised."""
    found = [getattr(sys.modules[module], error) for module, error in _ERRORS if module in sys.modules]
    return tuple(found)


def _damage() -> tuple[type[Exception], ...]:
    names = ("sqlite3", "DatabaseError"), ("sqlalchemy.exc", "DatabaseError")
    return tuple(getattr(sys.modules[module], error) for module, error in names if module in sys.modules)
