"""A table of factors, prices, sites or placements into the book: all of it or nothing, and what the book has already only once.

Everything that could be refused is looked at before the first fact is sent. Rows go in batches of one act; where the way to the book
breaks between two of them, the same table taken in again sends what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.periods import time_text
from joulebook_ledger.core.refusals import BadInput, Unavailable
from joulebook_ledger.queries import FactorsQuery
from joulebook_ledger.register.rows import (
    FACTOR_COLUMNS,
    NEW,
    Reading,
    fallback_of,
    row_of_factor,
    row_of_placement,
    row_of_site,
)

if TYPE_CHECKING:
    from joulebook_ledger.core.facts import Fact
    from joulebook_ledger.desk.entering import Entry
    from joulebook_ledger.desk.sheet import Line
    from joulebook_ledger.ledger import Ledger

PAGE = 5_000
ROWS_AT_ONCE = 5_000
_MOST_NAMED = 3
_EVIDENCE = ("evidence_name", "evidence_digest")
F = TypeVar("F", Factor, Site, Placement)
Stored = dict[str, str]
Step = Callable[[int, int], None]


class Taken(NamedTuple):
    """What became of a table.

    Attributes:
        rows: How many it has.
        stored: How many were new.
        notes: What a person should know of it, whole sentences.
    """

    rows: int
    stored: int
    notes: Sequence[str]


def take_factors(
    ledger: Ledger, entry: Entry, lines: Sequence[Line], reading: Reading, kinds: Collection[str], step: Step | None = None
) -> Taken:  # fmt: skip
    """Take a table of factors or prices into the book.

    Args:
        ledger: The book.
        entry: The act.
        lines: Its rows (`FACTOR_COLUMNS`).
        reading: The table's name and digest; what the book knows is added to it.
        kinds: Kinds that it may hold.
        step: Told how many rows of how many are in the book.

    Raises:
        BadInput: A row cannot be taken; nothing was.
        Unavailable: The way to the book broke; taking it in again goes on.
    """
    _prepare(ledger, reading)
    told = [(line, reading.factor(line, kinds)) for line in lines]
    closed, notes = _closed(told)
    new = _new_factors(ledger, entry, closed)
    _send(ledger, entry, new, step)
    return Taken(len(lines), len(new), [*notes, *_said_of(reading, closed)])


def take_sites(ledger: Ledger, entry: Entry, lines: Sequence[Line], reading: Reading) -> Taken:
    """Take a table of sites (`SITE_COLUMNS`) into the book; arguments and errors as of `take_factors`."""
    _prepare(ledger, reading)
    told = [(line, reading.site(line)) for line in lines]
    known = {(item["site"], item["valid_from"], item["version"]): _texts(item) for item in ledger.sites()["items"]}
    new = _new_places(entry, told, known, row_of_site)
    _send(ledger, entry, new)
    unknown = [site.site for _, site in told if not site.zone]
    says = f"the zone of {_named(unknown)} is not known, so nothing is priced in CO2e there: `joulebook sites set SITE --zone CODE`"
    return Taken(len(lines), len(new), [*_naive(reading), *([says] if unknown else [])])


def take_placements(ledger: Ledger, entry: Entry, lines: Sequence[Line], reading: Reading) -> Taken:
    """Take a table of placements (`PLACEMENT_COLUMNS`) into the book; arguments and errors as of `take_factors`."""
    told = [(line, reading.placement(line)) for line in lines]
    body = ledger.sites()
    known = {(item["machine"], item["valid_from"], item["version"]): _texts(item) for item in body["placements"]}
    new = _new_places(entry, told, known, row_of_placement)
    _send(ledger, entry, new)
    described = {item["site"] for item in body["items"]}
    unknown = list(dict.fromkeys(p.site for _, p in told if p.site not in described))
    says = f"nobody has described {_named(unknown)} yet: `joulebook sites set SITE --zone CODE`"
    return Taken(len(lines), len(new), [*_naive(reading), *([says] if unknown else [])])


def _prepare(ledger: Ledger, reading: Reading) -> None:
    reading.currency = ledger.factors(FactorsQuery(limit=1))["currency"] or ""
    reading.zones = frozenset(item["zone"] for item in ledger.sites()["items"])


def _closed(told: Sequence[tuple[Line, Factor]]) -> tuple[list[tuple[Line, Factor]], list[str]]:
    """Return the rows with what has no end ended where the next of its series begins.

    Raises:
        BadInput: Two rows of one series hold at one instant.
    """
    order = sorted(range(len(told)), key=lambda index: (*_series(told[index][1]), told[index][1].valid_from_ms))
    ended = list(told)
    holes = 0
    for index, after in pairwise(order):
        (line, factor), (next_line, following) = told[index], told[after]
        if _series(factor) != _series(following):
            continue
        end = factor.valid_to_ms
        if factor.valid_from_ms == following.valid_from_ms or (end is not None and end > following.valid_from_ms):
            until = time_text(end) if end is not None else "no end"
            raise next_line.refuse(
                "valid_from",
                f"it overlaps {line.what} {line.number}, a {factor.kind} of {factor.object} from {time_text(factor.valid_from_ms)} to {until}",
            )
        if end is None and factor.version == NEW:
            until_ms = following.valid_from_ms
            near = line.get("fallback") or fallback_of(factor.valid_from_ms, until_ms)
            ended[index] = (line, replace(factor, valid_to_ms=until_ms, fallback=near))
        holes += end is not None and end < following.valid_from_ms
    return ended, [f"between its rows {holes} times no value holds: what was drawn then stays unknown"] if holes else []


def _series(factor: Factor) -> tuple[str, str, str, str]:
    return factor.kind, factor.object, factor.provider, factor.version


def _new_factors(ledger: Ledger, entry: Entry, told: Sequence[tuple[Line, Factor]]) -> list[Factor]:
    """Return the factors that the book has not, each with its version.

    Raises:
        BadInput: The book holds another content under a version that a row names.
    """
    wanted = sorted({_series(factor)[:3] for _, factor in told})
    known: dict[tuple[str, ...], dict[str, Stored]] = {}
    for kind, thing, provider in wanted:
        for item in stored_factors(ledger, FactorsQuery(kinds=(kind,), object=thing, provider=provider)):
            known.setdefault(_key(item), {})[item["version"]] = item
    new = []
    for line, factor in told:
        row = row_of_factor(factor)
        before = known.get(_key(row), {})
        left_out = _EVIDENCE if line.get("source") else (*_EVIDENCE, "source")
        if factor.version != NEW:
            same = before.get(factor.version)
            if same is not None and any(same[name] != row[name] for name in FACTOR_COLUMNS):
                raise line.refuse(
                    "version",
                    f"the book holds {factor.version!r} of {factor.kind} of {factor.object} with another content",
                )
            new += [] if same else [factor]
            continue
        newest = max(before.values(), key=lambda item: (item["known_since"], item["version"]), default=None)
        compared = [name for name in FACTOR_COLUMNS if name not in (*left_out, "version")]
        if newest is None or any(newest[name] != row[name] for name in compared):
            new.append(replace(factor, version=entry.version))
    return new


def stored_factors(ledger: Ledger, query: FactorsQuery) -> Iterator[Stored]:
    """Yield every factor that a query asks for, page by page."""
    cursor = ""
    while True:
        body = ledger.factors(replace(query, limit=PAGE, cursor=cursor))
        for item in body["items"]:
            yield _texts(item)
        cursor = body["next_cursor"] or ""
        if not cursor:
            return


def _texts(item: Mapping[str, object]) -> Stored:
    return {name: str(value) for name, value in item.items()}


def _key(row: Stored) -> tuple[str, ...]:
    return row["kind"], row["of"], row["provider"], row["valid_from"]


def _new_places(
    entry: Entry, told: Sequence[tuple[Line, F]], known: dict[tuple[str, str, str], Stored], row_of: Callable[[F], Stored]
) -> list[F]:  # fmt: skip
    """Return the sites or placements that the book has not, each with its version; of one instant the latest version holds."""
    new: list[F] = []
    seen: dict[tuple[str, ...], Line] = {}
    for line, place in told:
        row = row_of(place)
        first = next(iter(row))
        key = (row[first], row["valid_from"], row["version"])
        if key in seen:
            raise line.refuse(
                first, f"{row[first]!r} stands in {seen[key].what} {seen[key].number} already, from the same instant on"
            )
        seen[key] = line
        before = [item for its, item in known.items() if its[:2] == key[:2]]
        if place.version != NEW:
            same = known.get(key)
            if same is not None and any(same[name] != row[name] for name in row):
                raise line.refuse("version", f"the book holds {place.version!r} of {row[first]!r} with another content")
            new += [] if same else [place]
            continue
        newest = max(before, key=lambda item: (item["known_since"], item["version"]), default=None)
        if newest is None or any(newest[name] != row[name] for name in row if name != "version"):
            new.append(replace(place, version=entry.version))
    return new


def _send(ledger: Ledger, entry: Entry, facts: Sequence[Fact], step: Step | None = None) -> None:
    """Deliver facts in batches; a revision of what goes in the same act follows in a later batch, so that it is learnt later."""
    done = sequence = 0
    for layer in _layers(facts):
        for start in range(0, len(layer), ROWS_AT_ONCE):
            sequence += 1
            part = layer[start : start + ROWS_AT_ONCE]
            for outcome in ledger.deliver(entry.batch(part, sequence)).exceptions:
                told = outcome.detail or outcome.reason or outcome.outcome
                raise Unavailable(told) if outcome.outcome == "retry_later" else BadInput(told)
            done += len(part)
            if step is not None:
                step(done, len(facts))


def _layers(facts: Sequence[Fact]) -> list[list[Fact]]:
    layers: list[list[Fact]] = []
    times: dict[tuple[object, ...], int] = {}
    for fact in facts:
        key = (*_series(fact)[:3], fact.valid_from_ms) if isinstance(fact, Factor) else (id(fact),)
        number = times[key] = times.get(key, -1) + 1
        if number == len(layers):
            layers.append([])
        layers[number].append(fact)
    return layers


def _said_of(reading: Reading, told: Sequence[tuple[Line, Factor]]) -> Iterator[str]:
    yield from _naive(reading)
    endless = [f for _, f in told if f.valid_to_ms is None and f.valid_from_ms and f.fallback == "declared"]
    stepped = {_series(f)[:3] for _, f in told if f.valid_to_ms is not None}
    last = [f"{f.kind} of {f.object}" for f in endless if _series(f)[:3] in stepped]
    if last:
        yield f"the last value of {_named(last)} has no end and holds until another is known: give it a valid_to where that is not meant"


def _naive(reading: Reading) -> list[str]:
    return [f"{reading.naive} times without a time zone were taken as UTC"] if reading.naive else []


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
