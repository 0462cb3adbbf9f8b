"""Allocating: the instruments of a market's year are assigned to its months, and each month gets one factor (CORE §8).

What comes out are facts like any other, delivered by the one door: the assignment as it was made, and a factor version for each month
that it changes. Booking consumes them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joulebook_ledger.core.allocation import ALLOCATION, Assignment, Month, assign
from joulebook_ledger.core.factors import FACTOR_UNITS, Factor
from joulebook_ledger.core.instruments import Allocation
from joulebook_ledger.core.periods import month_interval, month_of, month_text, parse_month
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MILLIJOULES_PER_KWH
from joulebook_ledger.core.vocabulary import LONGEST_TEXT
from joulebook_ledger.core.wire import DESK
from joulebook_ledger.desk.entering import Entry
from joulebook_ledger.market.listing import allocation_body
from joulebook_ledger.market.loads import loads_of, rest_of
from joulebook_ledger.queries import AllocateQuery
from joulebook_ledger.store import reads, reads_market

if TYPE_CHECKING:
    from joulebook_ledger.core.facts import Fact
    from joulebook_ledger.core.resolution import FactorBook
    from joulebook_ledger.market.bodies import AllocationsBody
    from joulebook_ledger.queries import CloseQuery
    from joulebook_ledger.store.engine import Book
    from joulebook_ledger.store.rows import Rows

PROVISIONAL, FINAL = "provisional", "final"
THE_CLOCK = "the worker"
_MOST_NAMED = 3
DESK_STANDS = (
    "a market-based figure that was declared at the desk stands before this in the books: enter it as an instrument of kind "
    "supplier_rate, or void it, to let the allocation price this market"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocated:
    """One market's year, assigned.

    Attributes:
        market: Grid zone.
        year: Calendar year.
        state: provisional or final.
        assignment: What goes where.
        facts: What is to be stored: nothing where the book has it already.
        notes: What a person should know.
    """

    market: str
    year: int
    state: str
    assignment: Assignment
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]


def allocate(book: Book, query: AllocateQuery, now_ms: int) -> AllocationsBody:
    """Assign a year's instruments and store what changed; with `dry_run` nothing is stored.

    Raises:
        BadInput: The year is not over and shall be final.
    """
    with book.read() as rows:
        made = allocations_of(rows, query, now_ms)
    if not query.dry_run:
        _store(book, made, query.author, now_ms)
    return {"dry_run": query.dry_run, "items": [allocation_body(one) for one in made]}


def allocate_by_the_clock(book: Book, now_ms: int) -> list[str]:
    """Assign this year's instruments, and in January those of the year before too; return the markets and years that changed.

    What a person called final is left alone: late readings of such a year wait until somebody asks.
    """
    month = month_of(now_ms)
    changed = []
    for year in [month // 100 - 1, month // 100] if month % 100 == 1 else [month // 100]:
        with book.read() as rows:
            made = allocations_of(rows, AllocateQuery(year=year, author=THE_CLOCK), now_ms)
        fresh = [one for one in made if one.facts and one.state != FINAL]
        _store(book, fresh, THE_CLOCK, now_ms)
        changed += [f"{one.market} {year}" for one in fresh]
    return changed


def _store(book: Book, made: list[Allocated], author: str, now_ms: int) -> None:
    facts = [fact for one in made for fact in one.facts]
    if not facts:
        return
    from joulebook_ledger.ingest import deliver

    name = hashlib.sha256("".join(map(repr, facts)).encode()).hexdigest()[:16]
    entry = Entry(name=f"{ALLOCATION}-{now_ms}-{name}", at_ms=now_ms, author=author)
    for outcome in deliver(book, entry.batch(facts), now_ms).exceptions:
        raise BadInput(f"the allocation was not stored: {outcome.detail or outcome.reason}")


def allocate_for_close(book: Book, query: CloseQuery, now_ms: int) -> None:
    """Assign the years of the months that are about to be closed, where there is anything to assign.

    A book without instruments and residual mix is left as it is: what stands in for them is said by a person. A close that will be
    refused assigns nothing.

    Raises:
        BadInput: The month cannot be closed.
    """
    from joulebook_ledger.closing.close import check_close

    with book.read() as rows:
        if not reads_market.is_any_to_assign(rows):
            return
        judged = check_close(rows, query, now_ms)["months"]
    if all(its["can_close"] for its in judged):
        for year in sorted({parse_month(its["month"]) // 100 for its in judged}):
            allocate(book, AllocateQuery(year=year, author=query.author), now_ms)


def allocations_of(rows: Rows, query: AllocateQuery, now_ms: int) -> list[Allocated]:
    """Return what would be assigned, market by market, from a snapshot of the book.

    Raises:
        BadInput: As of `allocate`.
    """
    year = query.year or month_of(now_ms) // 100
    if query.final and now_ms < month_interval(year * 100 + 12).end_ms:
        raise BadInput(f"the year {year} is not over: leave out --final")
    book = reads.factor_book(rows)
    loads = loads_of(rows, book, year * 100 + 1, year * 100 + 12)
    instruments = [one for one in reads_market.instruments(rows) if month_of(one.vintage_from_ms) // 100 == year]
    markets = sorted({*loads, *(one.market for one in instruments)})
    if query.market and query.market not in markets:
        raise BadInput(
            f"market {query.market[:60]!r} has neither load nor instruments in {year}: known are {', '.join(markets) or 'none'}"
        )
    made = []
    for market in [query.market] if query.market else markets:
        drawn = loads.get(market, {})
        rests = {month: rest for month, its in drawn.items() if (rest := rest_of(book, market, month, its)) is not None}
        own = [one for one in instruments if one.market == market]
        assignment = assign({month: its.load_mj for month, its in drawn.items()}, own, rests)
        made.append(_allocated(rows, book, query, market, year, assignment, now_ms))
    return made


def _allocated(
    rows: Rows, book: FactorBook, query: AllocateQuery, market: str, year: int, assignment: Assignment, now_ms: int
) -> Allocated:
    before = reads_market.newest_allocation(rows, market, year)
    state = FINAL if query.final or (before is not None and before.state == FINAL) else PROVISIONAL
    content = content_of(assignment)
    declared = any(
        known.fact.kind == "grid_market" and known.fact.object == market and known.fact.provider == DESK
        for known in book.factors
    )
    notes = (DESK_STANDS,) if declared and assignment.months else ()
    facts: tuple[Fact, ...] = ()
    if assignment.months and (before is None or (before.content, before.state) != (content, state)):
        version = f"{now_ms}-{state}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
        fact = Allocation(market=market, year=year, version=version, state=state, content=content, author=query.author)
        told = _told(before) if before is not None and before.state == state else {}
        changed = [month for month in assignment.months if told.get(month.month) != _telling(month)]
        facts = (fact, *(_factor(fact, month) for month in changed if month.value is not None))
    return Allocated(market=market, year=year, state=state, assignment=assignment, facts=facts, notes=notes)


def content_of(assignment: Assignment) -> str:
    """Return an assignment as canonical JSON: what the fact `allocation` keeps."""
    body = {
        "months": [_month(month) for month in assignment.months],
        "unused": [{**_named(one), "reason": reason} for one, reason in assignment.unused],
        "left": [
            {"issuer": issuer, "instrument": name, "energy_mj": left}
            for (issuer, name), left in sorted(assignment.left_mj.items())
        ],
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _month(month: Month) -> dict[str, object]:
    rest = (
        None
        if month.rest is None
        else {"value": month.rest.value, "kind": month.rest.kind, "source": month.rest.source}
    )
    return {
        "month": month.month, "load_mj": month.load_mj, "value": month.value, "rest_mj": month.rest_mj, "rest": rest,
        "parts": [
            {**_named(part.instrument), "energy_mj": part.energy_mj, "value": part.instrument.value} for part in month.parts
        ],
    }  # fmt: skip


def _named(one: object) -> dict[str, object]:
    return {name: getattr(one, name) for name in ("issuer", "instrument", "version", "kind")}


def _telling(month: Month) -> str:
    return json.dumps(_month(month), sort_keys=True)


def _told(before: Allocation) -> dict[int, str]:
    return {month["month"]: json.dumps(month, sort_keys=True) for month in json.loads(before.content)["months"]}


def _factor(fact: Allocation, month: Month) -> Factor:
    within = month_interval(month.month)
    assert month.value is not None
    return Factor(
        kind="grid_market", object=fact.market, provider=ALLOCATION, valid_from_ms=within.start_ms, valid_to_ms=within.end_ms,
        version=fact.version, value=month.value, unit=FACTOR_UNITS["grid_market"], state=fact.state, sigma_ppm=month.sigma_ppm,
        source=source_of(month), evidence_name=f"allocation {fact.market} {fact.year}",
        evidence_digest=hashlib.sha256(fact.content.encode()).hexdigest(),
    )  # fmt: skip


def source_of(month: Month) -> str:
    """Return what a month's factor is made of, for people."""
    named = [
        f"{_kwh(part.energy_mj)} {part.instrument.kind} {part.instrument.instrument} of {part.instrument.issuer} "
        f"at {part.instrument.value / 1e6:g} g/kWh"
        for part in month.parts[:_MOST_NAMED]
    ]
    more = len(month.parts) - _MOST_NAMED
    named += [f"{more} instruments more"] if more > 0 else []
    if month.rest_mj and month.rest is not None:
        kind = month.rest.kind.replace("_", " ")
        named.append(f"{_kwh(month.rest_mj)} {kind} at {month.rest.value / 1e6:g} g/kWh ({month.rest.source})")
    return f"allocation of {month_text(month.month)}: {', '.join(named)}"[:LONGEST_TEXT]


def _kwh(energy_mj: int) -> str:
    return f"{energy_mj / MILLIJOULES_PER_KWH:g} kWh"
