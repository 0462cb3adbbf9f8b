"""Can this version work with the book just now?"""

from __future__ import annotations

from joulebook_ledger.core.refusals import Unavailable
from joulebook_ledger.store.rows import read
from joulebook_ledger.store.schema import NEWEST, schema_of


def check_ready(url: str) -> None:
    """Return if the database of a book answers and has the schema of this version.

    Raises:
        Unavailable: It does not answer, or has another schema; the text says what to run.
    """
    with read(url) as snapshot:
        found = schema_of(snapshot)
    if found != NEWEST:
        raise Unavailable(
            f"the book has {f'schema {found}' if found else 'no schema'}, this version needs {NEWEST}: restart the service"
        )
