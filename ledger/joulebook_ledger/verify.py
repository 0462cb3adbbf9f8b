"""The book proven against itself, in one snapshot: every check with the first thing that differs, and the head to keep elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook_ledger.hosts import clones
from joulebook_ledger.store import reads
from joulebook_ledger.store.checks import run_checks

if TYPE_CHECKING:
    from joulebook_ledger.bodies import VerifyBody
    from joulebook_ledger.store.rows import Rows

CANNOT_PROVE = (
    "Whoever owns the database can rewrite all of it, chain and all, so that it proves itself again: only a head kept elsewhere shows "
    "that. Nor can a book prove that what a meter or a person said was true."
)


def verify_book(rows: Rows) -> VerifyBody:
    """Return what every check of the book found; `ok` only where all of them hold. A warning is of what facts say, and breaks nothing."""
    checks = run_checks(rows)
    newest = reads.last_link(rows)
    return {
        "ok": all(check.ok for check in checks),
        "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks],
        "link": newest.sequence,
        "head": newest.digest,
        "warnings": clones(rows),
        "cannot_prove": CANNOT_PROVE,
    }
