"""What views ask of a book as a whole: meters, machines, factors, the chain, what is still due.

Plain SELECTs, one text for both engines, rows turned into small tuples; what they mean is decided by the use cases.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import NamedTuple

from joulebook_ledger.core.factors import PRICE_KINDS, Factor, Placement, Site
from joulebook_ledger.core.facts import Restatement
from joulebook_ledger.core.names import Learnt, NameMap, Names
from joulebook_ledger.core.refusals import Refused
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.core.versions import NEVER, UNSEALED, History, Known, Restated
from joulebook_ledger.store.marks import CHAIN, SOURCE
from joulebook_ledger.store.rows import Rows, listed, one

_FACTOR = (
    "kind", "object", "provider", "valid_from_ms", "version", "valid_to_ms", "value", "unit", "state", "fallback", "sigma_ppm",
    "source", "licence", "currency", "basis", "evidence_name", "evidence_digest",
)  # fmt: skip
_SITE = ("site", "valid_from_ms", "version", "zone", "ownership", "provider", "region", "control")
NO_LIMIT = 2**62
"""As a link: no bound. Every link and receipt number is smaller."""


class MeterInfo(NamedTuple):
    """What a source is, where it is a meter."""

    meter: str
    device: str
    domain: str
    component: str
    boundary: str
    role: str
    label: str
    max_power_mw: int = 0


class LinkInfo(NamedTuple):
    """A link of the chain; all empty before the first."""

    sequence: int
    digest: str
    at_ms: int


class MachineDays(NamedTuple):
    """A stretch of days on which a source stood in one machine; days in between may belong to no machine."""

    source: str
    machine: str
    first_day: int
    last_day: int


def sealed_by(link: int) -> tuple[str, dict[str, int]]:
    """Return the condition that a fact's receipt is sealed up to a link, and its parameters; no condition without a limit."""
    if link == NO_LIMIT:
        return "", {}
    return "AND receipt IN (SELECT receipt FROM sealed_receipt WHERE link <= :link)", {"link": link}


def meters(rows: Rows) -> dict[str, MeterInfo]:
    """Return every meter by its id."""
    found = rows.rows("SELECT meter, device, domain, component, boundary, role, label, max_power_mw FROM meter")
    return {row[0]: MeterInfo(*row) for row in found}


def hosts(rows: Rows, link: int = NO_LIMIT) -> dict[str, str]:
    """Return the name for people of every machine: the one its newest reader gave, of the readers sealed up to a link."""
    sealed, bound = sealed_by(link)
    found = rows.rows(f"SELECT machine, host FROM reader WHERE machine <> '' {sealed} ORDER BY receipt", **bound)
    return {machine: host for machine, host in found if host}


def machine_days(rows: Rows, link: int = NO_LIMIT, days: tuple[int, int] | None = None) -> list[MachineDays]:
    """Return where every source stood, by source and machine; before a link, on the days of which something was booked by then.

    Args:
        rows: A snapshot of the book.
        link: The link.
        days: First and last day that are asked for; None for all there are.
    """
    conditions, bound = ["1 = 1"], dict[str, int]()
    if days is not None:
        # By the sources: days lie together within each, and all of a book's are many more than those of a month.
        conditions = ["p.source IN (SELECT meter FROM meter)", "p.day BETWEEN :first_day AND :last_day"]
        bound |= {"first_day": days[0], "last_day": days[1]}
    if link != NO_LIMIT:
        conditions.append(
            "EXISTS (SELECT 1 FROM entry e WHERE e.source = p.source AND e.day = p.day AND e.link <= :link)"
        )
        bound["link"] = link
    sql = (
        f"SELECT source, machine, MIN(day), MAX(day) FROM placed p WHERE {' AND '.join(conditions)} "
        "GROUP BY source, machine ORDER BY source, machine"
    )
    return [MachineDays(*row) for row in rows.rows(sql, **bound)]


def placed_days(rows: Rows, first_day: int, last_day: int) -> dict[tuple[str, int], str]:
    """Return the machine of every (source, day)."""
    sql = "SELECT source, day, machine FROM placed WHERE day BETWEEN :first_day AND :last_day"
    found = rows.rows(sql, first_day=first_day, last_day=last_day)
    return {(source, day): machine for source, day, machine in found}


def last_link(rows: Rows) -> LinkInfo:
    """Return the newest link."""
    row = one(rows, "SELECT sequence, digest, at_ms FROM link ORDER BY sequence DESC LIMIT 1")
    return LinkInfo(*row) if row else LinkInfo(0, "", 0)


def link_at(rows: Rows, at_ms: int) -> LinkInfo | None:
    """Return the last link that was made at an instant or before it."""
    sql = "SELECT sequence, digest, at_ms FROM link WHERE at_ms <= :at_ms ORDER BY sequence DESC LIMIT 1"
    row = one(rows, sql, at_ms=at_ms)
    return LinkInfo(*row) if row else None


def link_of(rows: Rows, sequence: int) -> LinkInfo | None:
    """Return a link by its number."""
    row = one(rows, "SELECT sequence, digest, at_ms FROM link WHERE sequence = :sequence", sequence=sequence)
    return LinkInfo(*row) if row else None


def is_anything_due(rows: Rows) -> bool:
    """Say whether anything waits for the booker: facts to be booked or priced anew, or receipts for their link."""
    return one(rows, "SELECT 1 FROM due LIMIT 1") is not None


def is_booking_due(rows: Rows) -> bool:
    """Say whether facts wait to be booked, or amounts to be priced anew."""
    return one(rows, "SELECT 1 FROM due WHERE scope <> :chain LIMIT 1", chain=CHAIN) is not None


def is_sealing_due(rows: Rows) -> bool:
    """Say whether receipts wait for their link."""
    return one(rows, "SELECT 1 FROM due WHERE scope = :chain LIMIT 1", chain=CHAIN) is not None


def first_unbooked_day(rows: Rows) -> int | None:
    """Return the earliest day of which new readings wait to be booked, or None."""
    row = one(rows, "SELECT MIN(first_day) FROM due WHERE scope = :source", source=SOURCE)
    return row[0] if row else None


def complete_until_ms(rows: Rows, link: int = NO_LIMIT) -> int | None:
    """Return the newest instant up to which some reader has sent all it has, of the receipts sealed up to a link."""
    sql = (
        "SELECT MAX(r.complete_until_ms) FROM receipt r JOIN reader d ON d.reader = r.reader "
        "JOIN sealed_receipt s ON s.receipt = r.number WHERE d.machine <> '' AND s.link <= :link"
    )
    row = one(rows, sql, link=link)
    return row[0] if row else None


def closed_months(rows: Rows, link: int = NO_LIMIT) -> dict[int, int]:
    """Return the sealed months, each with the link of its close, of those closed up to a link."""
    return dict(rows.rows("SELECT month, link FROM month_close WHERE link <= :link ORDER BY month", link=link))


def voided(rows: Rows, table: str, link: int = NO_LIMIT) -> set[tuple[str | int, ...]]:
    """Return the keys of a table's facts that a correction voids, of the corrections sealed up to a link."""
    return set(_voided_at(rows, table, link))


def _voided_at(rows: Rows, table: str, link: int) -> dict[tuple[str | int, ...], int]:
    """Return the keys of a table's facts that a correction sealed up to a link voids, with the link that seals it."""
    sql = f"SELECT f.voided_key, {_LINK} FROM correction f {_SEALED} WHERE f.voided_table = :name AND {_LINK} <= :link"
    return {_key_of(key): sealed for key, sealed in rows.rows(sql, name=table, link=link)}


def _key_of(text: str) -> tuple[str | int, ...]:
    try:
        return tuple(json.loads(text))
    except ValueError:  # no correction was ever taken so: it was changed since
        raise Refused("no_key", f"a correction voids {text[:200]}, which is no key") from None


def factor_book(rows: Rows, link: int = NO_LIMIT) -> FactorBook:
    """Return all factors, prices, sites and placements; before a link, those that were sealed up to it."""
    closes = tuple(closed_months(rows, link).items())
    factors = _factors(rows, link)
    valid = [known for known in factors if known.voided == NEVER]
    voided_later = tuple(known for known in factors if known.voided != NEVER) if closes else ()
    history = History(closes, _restatements(rows, link) if closes else (), voided_later)
    return FactorBook(valid, _sites(rows, link), _placements(rows, link), history)


def currency(rows: Rows, link: int = NO_LIMIT) -> str:
    """Return what `factor_book(rows, link).currency` says, without reading the book: all prices that hold are in one currency."""
    gone = _voided_at(rows, "factor", link)
    sql = (
        f"SELECT f.kind, f.object, f.provider, f.valid_from_ms, f.version, f.currency {_within('factor')}"
        " AND f.kind IN (:energy, :instance) LIMIT :most"
    )
    energy, instance = PRICE_KINDS
    some = rows.rows(sql, link=link, energy=energy, instance=instance, most=len(gone) + 1)
    return next((row[-1] for row in some if row[:-1] not in gone), "")


def is_any_factor_from(rows: Rows, kind: str, prefix: str) -> bool:
    """Say whether any factor of a kind has a source that begins so, voided or not."""
    sql = "SELECT 1 FROM factor WHERE kind = :kind AND source >= :low AND source < :high LIMIT 1"
    return one(rows, sql, kind=kind, low=prefix, high=prefix + "\U0010ffff") is not None


def names(rows: Rows, link: int = NO_LIMIT) -> Names:
    """Return the map of accounts, teams and cost centres; before a link, what was sealed up to it."""
    return Names(name_maps(rows, link))


def name_maps(rows: Rows, link: int = NO_LIMIT) -> list[Learnt]:
    """Return its lines, in no order."""
    sealed, bound = sealed_by(link)
    sql = f"SELECT kind, name, valid_from_ms, version, value, receipt FROM name_map WHERE 1 = 1 {sealed}"
    gone = _voided_at(rows, "name_map", link)
    return [
        Learnt(NameMap(kind=kind, name=name, valid_from_ms=start, version=version, value=value), receipt)
        for kind, name, start, version, value, receipt in rows.rows(sql, **bound)
        if (kind, name, start, version) not in gone
    ]


_LINK = f"COALESCE(s.link, {UNSEALED})"
_SEALED = "LEFT JOIN sealed_receipt AS s ON s.receipt = f.receipt"
_KNOWN = f"f.receipt, {_LINK}"


def _within(table: str) -> str:
    """Return SQL for the facts of a table that are sealed up to the link :link."""
    return f"FROM {table} AS f {_SEALED} WHERE {_LINK} <= :link"


def machine_book(rows: Rows, machine: str, from_ms: int, to_ms: int) -> FactorBook:
    """Return what prices one machine between two instants: of a year by the hour only the hours that are asked for."""
    placements, sites = _placements(rows, NO_LIMIT), _sites(rows, NO_LIMIT)
    names = {known.fact.site for known in placements if known.fact.machine == machine}
    objects, bound = listed(
        "object", sorted({machine, *names, *(known.fact.zone for known in sites if known.fact.site in names)})
    )
    within = f"AND f.object IN {objects} AND f.valid_from_ms < :to_ms AND (f.valid_to_ms IS NULL OR f.valid_to_ms > :from_ms)"
    factors = _factors(rows, NO_LIMIT, within, bound | {"from_ms": from_ms, "to_ms": to_ms})
    return FactorBook([known for known in factors if known.voided == NEVER], sites, placements).of_machine(machine)


def _factors(
    rows: Rows, link: int, also: str = "", bound: Mapping[str, int | str | None] | None = None
) -> list[Known[Factor]]:
    gone = _voided_at(rows, "factor", link)
    sql = f"SELECT {', '.join(f'f.{column}' for column in _FACTOR)}, {_KNOWN} {_within('factor')} {also}"
    return [
        Known(Factor(**dict(zip(_FACTOR, row, strict=False))), row[-2], row[-1], gone.get(row[:5], NEVER))
        for row in rows.rows(sql, link=link, **(bound or {}))
    ]


def _sites(rows: Rows, link: int) -> list[Known[Site]]:
    gone = _voided_at(rows, "site", link)
    sql = f"SELECT {', '.join(f'f.{column}' for column in _SITE)}, {_KNOWN} {_within('site')}"
    return [
        Known(Site(**dict(zip(_SITE, row, strict=False))), row[-2], row[-1])
        for row in rows.rows(sql, link=link)
        if row[:3] not in gone
    ]


def _placements(rows: Rows, link: int) -> list[Known[Placement]]:
    gone = _voided_at(rows, "placement", link)
    sql = f"SELECT f.machine, f.valid_from_ms, f.version, f.site, {_KNOWN} {_within('placement')}"
    return [
        Known(Placement(machine=machine, valid_from_ms=valid_from_ms, version=version, site=site), *known)
        for machine, valid_from_ms, version, site, *known in rows.rows(sql, link=link)
        if (machine, valid_from_ms, version) not in gone
    ]


def _restatements(rows: Rows, link: int) -> tuple[Restated, ...]:
    return tuple(
        Restated(r.from_month, r.to_month, r.kind, r.object, r.provider, r.factors_known)
        for r in restatements(rows, link)
    )


def restatements(rows: Rows, link: int = NO_LIMIT) -> list[Restatement]:
    """Return the restatements that stand, in the order in which they were learnt."""
    gone = _voided_at(rows, "restatement", link)
    names = [field.name for field in fields(Restatement)]
    sql = (
        f"SELECT {', '.join(f'f.{name}' for name in names)} {_within('restatement')}"
        f" ORDER BY {_LINK}, f.receipt, f.restatement"
    )
    return [
        Restatement(**dict(zip(names, row, strict=True))) for row in rows.rows(sql, link=link) if row[:1] not in gone
    ]
