"""Marks of what is due: added by whoever stores facts, expanded and deleted by the booker, who deletes exactly those it saw (CORE §5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.allocation import ALLOCATION
from joulebook_ledger.core.factors import FACTOR_OBJECTS, MACHINE, SITE, ZONE, Factor, Placement, Site
from joulebook_ledger.core.facts import Restatement
from joulebook_ledger.core.names import RESOURCE, NameMap
from joulebook_ledger.core.periods import day_of, days_of_month
from joulebook_ledger.core.resolution import KINDS
from joulebook_ledger.store import bulk
from joulebook_ledger.store.rows import Rows

if TYPE_CHECKING:
    from sqlalchemy import Connection

CAUSES = ("first", "late", "correction", "factor", "bill", "allocation", "restatement")
"""Of several causes the last in this order is named."""
OF_READINGS = ("first", "late", "correction")
"""Causes for which the hours are made again from the windows; for any other the hours stand and only their price changes."""
SOURCE, EVERYTHING, CHAIN, BILL = "source", "all", "chain", "bill"
LAST_DAY = 1_000_000
"""A day far beyond any book: a mark without an end."""


class Mark(NamedTuple):
    """All sources of a scope are due on the days first_day to last_day."""

    scope: str
    object: str
    first_day: int
    last_day: int
    cause: str


RECEIPT = Mark(CHAIN, "", 0, 0, "")
"""The mark of a receipt that waits for its link."""
_COLUMNS = (*Mark._fields, "receipt")


def add(connection: Connection, receipt: int, marks: Sequence[Mark]) -> None:
    """Add the marks of a receipt, in the transaction that stores its facts."""
    numbers = frozenset({"first_day", "last_day", "receipt"})
    bulk.insert(connection, "due", _COLUMNS, numbers, [(*mark, receipt) for mark in dict.fromkeys(marks)])


def of_fact(fact: object, cause: str = "factor") -> Mark | None:
    """Return what a factor, a place, a restatement or the name of a machine makes due; None for any other fact and for factors that views alone use."""
    if isinstance(fact, Restatement):
        first, last = days_of_month(fact.from_month).start, days_of_month(fact.to_month).stop - 1
        scope = FACTOR_OBJECTS[fact.kind] if fact.kind and fact.object else EVERYTHING
        # Also where it is voided: what undoes a restatement stands beside it, and the two sum to nothing.
        return Mark(scope, "" if scope == EVERYTHING else fact.object, first, last, "restatement")
    if isinstance(fact, Factor) and fact.kind not in KINDS:
        return None
    if isinstance(fact, Factor):
        last = LAST_DAY if fact.valid_to_ms is None else day_of(fact.valid_to_ms - 1)
        why = ALLOCATION if fact.provider == ALLOCATION and cause == "factor" else cause
        return Mark(FACTOR_OBJECTS[fact.kind], fact.object, day_of(fact.valid_from_ms), last, why)
    if isinstance(fact, Site):
        return Mark(SITE, fact.site, day_of(fact.valid_from_ms), LAST_DAY, cause)
    if isinstance(fact, NameMap) and fact.kind == RESOURCE:
        return Mark(BILL, "", 0, LAST_DAY, "bill")
    if isinstance(fact, Placement):
        return Mark(MACHINE, fact.machine, day_of(fact.valid_from_ms), LAST_DAY, cause)
    return None


def expand(rows: Rows, scope: str, name: str, first_day: int, last_day: int) -> Iterator[tuple[str, int]]:
    """Yield every (source, day) of a mark. A site or zone means the machines that ever stood there: at worst they are looked at in vain."""
    if scope == SOURCE and first_day == last_day:
        yield name, first_day
        return
    if scope == BILL:
        from joulebook_ledger.store.bill_reads import Bills

        yield from Bills(rows).due(name, first_day, last_day)
        return
    of = {
        SOURCE: "source = :name",
        EVERYTHING: "'' = :name",
        MACHINE: "machine = :name",
        SITE: "machine IN (SELECT machine FROM placement WHERE site = :name)",
        ZONE: "machine IN (SELECT p.machine FROM placement AS p JOIN site AS s ON s.site = p.site WHERE s.zone = :name)",
    }[scope]
    sql = f"SELECT source, day FROM placed WHERE {of} AND day BETWEEN :first AND :last"
    yield from ((source, day) for source, day in rows.rows(sql, name=name, first=first_day, last=last_day))
