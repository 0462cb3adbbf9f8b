"""Trouble with a database that says nothing about the input: held, full, read-only, gone. It becomes `Unavailable`, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from joulebook_ledger.core.refusals import Unavailable

# sqlite.org/rescode.html: PERM, BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB.
_SQLITE_TROUBLES = {3, 5, 6, 8, 10, 11, 13, 14, 26}


@contextmanager
def told_as_unavailable(book: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn trouble with the database into `Unavailable`; a fault of a statement stays what it is.

    Args:
        book: What a person calls the book, without secrets.
        kinds: What the driver, or SQLAlchemy above it, raises.
    """
    try:
        yield
    except kinds as error:
        said = _said(error)
        if said is None:
            raise
        raise Unavailable(f"{book} cannot be used now ({said}); nothing was lost") from None


def _said(error: Exception) -> str | None:
    """Return in one line what the database said, if it is trouble, and None if it is a fault of ours."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorcode", None)
    if code is None:
        is_trouble = any(kind.__name__ == "OperationalError" for kind in type(cause).__mro__)
    else:
        is_trouble = code & 0xFF in _SQLITE_TROUBLES
    return str(cause).strip().partition("\n")[0] if is_trouble else None
