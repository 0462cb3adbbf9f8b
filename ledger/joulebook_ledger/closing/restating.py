"""Restating closed months: what it changes per month and year, and, unless that is all that was asked, doing so (CORE §7).

Everything happens in one transaction under the book's lock: what is due is booked first, so that the effect is that of the restatement
alone; then the fact is stored and booked. Where only the effect was asked for, all of it is rolled back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from joulebook_ledger.core.facts import Correction, Restatement
from joulebook_ledger.core.periods import month_of_day, month_text, parse_month
from joulebook_ledger.core.refusals import BadInput, NotFound
from joulebook_ledger.core.units import (
    MICRO,
    MICROGRAMS_PER_KILOGRAM,
    MICROLITRES_PER_LITRE,
    MILLIJOULES_PER_KWH,
    decimal_text,
)
from joulebook_ledger.core.wire import decode_batch
from joulebook_ledger.desk.entering import Entry
from joulebook_ledger.figures.footprints import Portion, Sum, sums_of
from joulebook_ledger.figures.lens import Lens
from joulebook_ledger.figures.stand import stand_of
from joulebook_ledger.store import reads, reads_amounts
from joulebook_ledger.store.engine import alone
from joulebook_ledger.store.facts import store_batch
from joulebook_ledger.store.journal import BOOK_LOCK, book_within
from joulebook_ledger.store.rows import SqlRows
from joulebook_ledger.store.shapes import key_text

if TYPE_CHECKING:
    from joulebook_ledger.bodies import EffectBody, RestateBody
    from joulebook_ledger.core.facts import Fact
    from joulebook_ledger.queries import Restating
    from joulebook_ledger.store.engine import Book
    from joulebook_ledger.store.rows import Rows

_PER_UNIT = {
    "facility_energy_kwh": MILLIJOULES_PER_KWH,
    "cost": MICRO,
    "co2e_location_kg": MICROGRAMS_PER_KILOGRAM,
    "co2e_market_kg": MICROGRAMS_PER_KILOGRAM,
    "co2e_embodied_kg": MICROGRAMS_PER_KILOGRAM,
    "water_l": MICROLITRES_PER_LITRE,
}
"""What a restatement can change -> smallest units per unit."""
_MONEY = ("cost",)
Sums = dict[str, Sum]


def restate(book: Book, act: Restating, now_ms: int) -> RestateBody:
    """Restate closed months, or undo that, and return what it changes.

    Args:
        book: The book.
        act: What is asked.
        now_ms: The ledger's time, milliseconds since the epoch.

    Raises:
        BadInput: The months are not closed, nothing is known by that name, or no reason is given.
        NotFound: There is no such restatement to undo.
    """
    if not act.reason:
        raise BadInput(
            "figures that were closed change for a reason: add --reason, such as --reason 'ADEME revised 2025'"
        )
    with alone(book.engine, BOOK_LOCK) as connection:
        rows = SqlRows(connection)
        book_within(connection, now_ms)
        restatement = _undone(rows, act.undo) if act.undo else _asked(rows, act)
        months = [
            month for month in reads.closed_months(rows) if restatement.from_month <= month <= restatement.to_month
        ]
        before = _monthly(rows, months)
        fact: Fact = restatement
        if act.undo:
            key = key_text([restatement.restatement])
            fact = Correction(table="restatement", key=key, reason=act.reason, author=act.author)
        entry = Entry(name=act.name, at_ms=now_ms, author=act.author)
        for outcome in store_batch(connection, decode_batch(entry.batch([fact])), now_ms).exceptions:
            raise BadInput(outcome.detail or outcome.reason or f"the restatement was {outcome.outcome}")
        done = book_within(connection, now_ms)
        after = _monthly(rows, months)
        newest = reads.last_link(rows)
        body: RestateBody = {
            "restatement": restatement.restatement,
            "undone": bool(act.undo),
            "dry_run": act.dry_run,
            "from_month": month_text(restatement.from_month),
            "to_month": month_text(restatement.to_month),
            "kind": restatement.kind,
            "object": restatement.object,
            "provider": restatement.provider,
            "factors_known": restatement.factors_known,
            "reason": act.reason,
            "author": act.author,
            "currency": Lens(rows).currency or None,
            "months": [_effect(month_text(month), [before[month]], [after[month]]) for month in months],
            "years": _years(before, after),
            "entries": done.entries,
            "link": None if act.dry_run else newest.sequence,
            "head": None if act.dry_run else newest.digest,
        }
        if act.dry_run:
            connection.rollback()
    return body


def _asked(rows: Rows, act: Restating) -> Restatement:
    for stored in reads.restatements(rows):
        if stored.restatement == act.name:
            return stored  # asked again by somebody who did not hear the answer
    closed = list(reads.closed_months(rows))
    if not closed:
        raise BadInput("no month is closed: open months take the newest factors by themselves, with nothing to restate")
    return Restatement(
        restatement=act.name,
        from_month=parse_month(act.from_month) if act.from_month else closed[0],
        to_month=parse_month(act.to_month) if act.to_month else closed[-1],
        kind=act.kind,
        object=act.object,
        provider=act.provider,
        factors_known=stand_of(rows, act.known).link,
        reason=act.reason,
        author=act.author,
    )


def _undone(rows: Rows, name: str) -> Restatement:
    """Return the restatement of an id or of its beginning that only one has."""
    standing = reads.restatements(rows)
    found = [restatement for restatement in standing if restatement.restatement.startswith(name)]
    exact = [restatement for restatement in found if restatement.restatement == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        raise BadInput(f"{len(found)} restatements begin with {name[:60]!r}: write more of the id")
    ids = ", ".join(restatement.restatement for restatement in standing[-3:])
    raise NotFound(
        f"no restatement {name[:60]!r} stands: {f'the last ones are {ids}' if ids else 'none was made, or all are undone'}"
    )


def _monthly(rows: Rows, months: Sequence[int]) -> dict[int, list[Portion]]:
    """Return what is known today of each month."""
    if not months:
        return {}
    lens = Lens(rows)
    cells = defaultdict(list)
    for cell in reads_amounts.of_months(rows, months[0], months[-1], as_closed=False):
        cells[month_of_day(cell.first_day)].append(cell)
    return {month: lens.portions(cells[month]) for month in months}


def _years(before: Mapping[int, list[Portion]], after: Mapping[int, list[Portion]]) -> list[EffectBody]:
    years: defaultdict[int, list[int]] = defaultdict(list)
    for month in before:
        years[month // 100].append(month)
    return [
        _effect(str(year), [before[month] for month in months], [after[month] for month in months])
        for year, months in years.items()
    ]


def _effect(period: str, before: Sequence[list[Portion]], after: Sequence[list[Portion]]) -> EffectBody:
    """Return the figures of a period before and after, and by how much they move."""
    was, will = (sums_of([portion for portions in some for portion in portions]) for some in (before, after))
    moves = {
        name: _figure(name, will[name].amount - was[name].amount) if was[name].is_known or will[name].is_known else None
        for name in _PER_UNIT
    }
    return {"period": period, "before": _figures(was), "after": _figures(will), "change": moves}


def _figures(sums: Sums) -> dict[str, float | str | None]:
    return {name: _figure(name, sums[name].amount) if sums[name].is_known else None for name in _PER_UNIT}


def _figure(name: str, amount: int) -> float | str:
    scale = _PER_UNIT[name]
    return decimal_text(amount, scale) if name in _MONEY else amount / scale
