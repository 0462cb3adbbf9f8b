"""The book proven against itself, in one snapshot: every check with the first thing that differs, and the head to keep elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook_ledger.figures.hosts import clones
from joulebook_ledger.store import reads
from joulebook_ledger.store.checks import run_checks

if TYPE_CHECKING:
    from joulebook_ledger.bodies import VerifyBody
    from joulebook_ledger.store.rows import Rows

CANNOT_PROVE = (
    "Whoever owns the database can rewrite all of it, chain and all, so that it proves itself again: only a head kept elsewhere shows "
    "that. Nor can a book prove that what a meter or a person said was true."
)

CANNOT_PROVE_SINCE = (
    "What was sealed up to the head that was kept is proven. What came after it whoever owns the database can have rewritten: keep the "
    "head above for the next time. Nor can a book prove that what a meter or a person said was true."
)


def verify_book(rows: Rows, head: str = "") -> VerifyBody:
    """Return what every check of the book found; `ok` only where all of them hold. A warning is of what facts say, and breaks nothing.

    Args:
        rows: The book.
        head: Digest of a link that was kept elsewhere, against which the chain is proven; empty for none.

    Raises:
        BadInput: The head is none.
    """
    checks = run_checks(rows, head)
    newest = reads.last_link(rows)
    return {
        "ok": all(check.ok for check in checks),
        "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks],
        "link": newest.sequence,
        "head": newest.digest,
        "warnings": clones(rows),
        "cannot_prove": CANNOT_PROVE_SINCE if head and all(check.ok for check in checks) else CANNOT_PROVE,
    }
