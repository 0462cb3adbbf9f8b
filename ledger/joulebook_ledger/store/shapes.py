"""The fact tables in short: key and columns by name, and how a fact becomes a row.

SQLModel's tables say the same at length; loading them takes longer than storing a batch does, so ingest works from this. A test keeps
the two equal. A row's text, of which receipts are digests, is made from these columns in this order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from joulebook_ledger.core.events import Count, RunEvent, Score
from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.facts import Correction, Fact, Restatement, Retirement
from joulebook_ledger.core.instruments import Allocation, Instrument
from joulebook_ledger.core.names import NameMap
from joulebook_ledger.core.records import Meter, Use, Window
from joulebook_ledger.core.wire import canonical_bytes

Value = int | str | None
Key = tuple[Any, ...]
Row = tuple[Any, ...]


class Shape(NamedTuple):
    """A fact table.

    Attributes:
        table: Its name.
        key: Its key columns, in the order of CORE §2.
        columns: All columns but the receipt, key first.
        numbers: Those of them that hold integers.
        later: The last of the columns, which older books do not have.
    """

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    numbers: frozenset[str]
    later: tuple[str, ...] = ()

    def key_of(self, row: Row) -> Key:
        """Return the key of a row."""
        return row[: len(self.key)]


# `#` marks an integer. What stands before the first bar is the key, behind a second one what was added after books existed without it:
# a row's text names those columns only where they are not empty, so that the receipts of older books keep their digests.
_WRITTEN = {
    "reader": "reader | machine boot host rank#",
    "meter": "meter | device domain component boundary role max_power_mw# label",
    "meter_window": "meter reader start_ms# | end_ms# energy_mj# method reason estimate_mj#",
    "meter_use": "meter reader start_ms# run | energy_mj# static_mj# time_ms# active_ms# method",
    "run_event": "run event | kind at_ms# labels status facts",
    "score": "run score | name value at_ms# step# split unit lower_is_better#",
    "work_count": "run count | start_ms# end_ms# requests# tokens_in# tokens_out# latency",
    "site": "site valid_from_ms# version | zone ownership | provider region control",
    "placement": "machine valid_from_ms# version | site",
    "name_map": "kind name valid_from_ms# version | value",
    "factor": "kind object provider valid_from_ms# version | valid_to_ms# value# unit state fallback sigma_ppm# source licence currency"
    " | basis evidence_name evidence_digest",
    "correction": "voided_table voided_key | reason author",
    "retirement": "reader | reason author",
    "restatement": "restatement | from_month# to_month# kind object provider factors_known# reason author",
    "instrument": "issuer instrument version | kind market vintage_from_ms# vintage_to_ms# energy_mj# value# retired_for retired_at_ms#"
    " quality evidence_name evidence_digest",
    "allocation": "market year# version | state content author",
    "bill_delivery": "provider billing_account billing_period# delivery | complete# rows# currency evidence_name evidence_digest"
    " | header totals first_ms# last_ms#",
    "bill_row": "provider billing_account billing_period# delivery position# | resource charge_start_ms# charge_end_ms# charge_category"
    " effective_cost billed_cost content | invoice",
}


def _shape(table: str, written: str) -> Shape:
    key, *others = (part.split() for part in written.split("|"))
    every = [*key, *(name for part in others for name in part)]
    columns = tuple(name.rstrip("#") for name in every)
    numbers = frozenset(name.rstrip("#") for name in every if name.endswith("#"))
    later = tuple(name.rstrip("#") for part in others[1:] for name in part)
    return Shape(table, columns[: len(key)], columns, numbers, later)


SHAPES = {table: _shape(table, written) for table, written in _WRITTEN.items()}
_LATER = {table: shape.later for table, shape in SHAPES.items() if shape.later}


def _json(values: Mapping[str, object]) -> str:
    return canonical_bytes(dict(values)).decode()


def _meter(fact: Meter, _reader: str) -> Row:
    return (fact.key, fact.device, fact.domain, fact.component, fact.boundary, fact.role, fact.max_power_mw, fact.label)


def _window(fact: Window, reader: str) -> Row:
    return (fact.meter, reader, fact.start_ms, fact.end_ms, fact.energy_mj, fact.method, fact.reason, fact.estimate_mj)


def _use(fact: Use, reader: str) -> Row:
    return (
        fact.meter,
        reader,
        fact.start_ms,
        fact.run,
        fact.energy_mj,
        fact.static_mj,
        fact.time_ms,
        fact.active_ms,
        fact.method,
    )


def _run_event(fact: RunEvent, _reader: str) -> Row:
    return (fact.run, fact.event, fact.kind, fact.at_ms, _json(fact.labels), fact.status, _json(fact.facts))


def _score(fact: Score, _reader: str) -> Row:
    direction = None if fact.lower_is_better is None else int(fact.lower_is_better)
    return (fact.run, fact.score, fact.name, fact.value, fact.at_ms, fact.step, fact.split, fact.unit, direction)


def _count(fact: Count, _reader: str) -> Row:
    return (
        fact.run, fact.count, fact.start_ms, fact.end_ms, fact.requests, fact.tokens_in, fact.tokens_out, _json(fact.latency),
    )  # fmt: skip


def _site(fact: Site, _reader: str) -> Row:
    return (
        fact.site,
        fact.valid_from_ms,
        fact.version,
        fact.zone,
        fact.ownership,
        fact.provider,
        fact.region,
        fact.control,
    )


def _placement(fact: Placement, _reader: str) -> Row:
    return (fact.machine, fact.valid_from_ms, fact.version, fact.site)


def _name_map(fact: NameMap, _reader: str) -> Row:
    return (fact.kind, fact.name, fact.valid_from_ms, fact.version, fact.value)


def _factor(fact: Factor, _reader: str) -> Row:
    return (
        fact.kind, fact.object, fact.provider, fact.valid_from_ms, fact.version, fact.valid_to_ms, fact.value, fact.unit, fact.state,
        fact.fallback, fact.sigma_ppm, fact.source, fact.licence, fact.currency, fact.basis, fact.evidence_name, fact.evidence_digest,
    )  # fmt: skip


def _correction(fact: Correction, _reader: str) -> Row:
    return (fact.table, fact.key, fact.reason, fact.author)


def _retirement(fact: Retirement, _reader: str) -> Row:
    return (fact.reader, fact.reason, fact.author)


def _restatement(fact: Restatement, _reader: str) -> Row:
    return (
        fact.restatement, fact.from_month, fact.to_month, fact.kind, fact.object, fact.provider, fact.factors_known, fact.reason,
        fact.author,
    )  # fmt: skip


def _instrument(fact: Instrument, _reader: str) -> Row:
    return (
        fact.issuer, fact.instrument, fact.version, fact.kind, fact.market, fact.vintage_from_ms, fact.vintage_to_ms, fact.energy_mj,
        fact.value, fact.retired_for, fact.retired_at_ms, _json(fact.quality), fact.evidence_name, fact.evidence_digest,
    )  # fmt: skip


def _allocation(fact: Allocation, _reader: str) -> Row:
    return (fact.market, fact.year, fact.version, fact.state, fact.content, fact.author)


_ROWS: dict[type[Any], tuple[str, Callable[[Any, str], Row]]] = {
    Meter: ("meter", _meter), Window: ("meter_window", _window), Use: ("meter_use", _use), RunEvent: ("run_event", _run_event),
    Score: ("score", _score), Count: ("work_count", _count), Site: ("site", _site), Placement: ("placement", _placement),
    NameMap: ("name_map", _name_map),
    Factor: ("factor", _factor), Correction: ("correction", _correction),
    Retirement: ("retirement", _retirement), Restatement: ("restatement", _restatement),
    Instrument: ("instrument", _instrument), Allocation: ("allocation", _allocation),
}  # fmt: skip


def row_of(fact: Fact, reader: str) -> tuple[Shape, Row]:
    """Return the table of a fact and its row there, without the receipt.

    Args:
        fact: The fact.
        reader: Who sent it; part of the key of windows and uses.
    """
    table, make = _ROWS[type(fact)]
    return SHAPES[table], make(fact, reader)


def key_text(key: Iterable[Value]) -> str:
    """Return a key as corrections name it: a JSON list without spaces.

    >>> key_text(["run-1", "e1"])
    '["run-1","e1"]'
    """
    return json.dumps(list(key), separators=(",", ":"), ensure_ascii=False)


def row_text(table: str, row: Row) -> str:
    """Return a row as one canonical text: integers in decimal, null as nothing, strings as length:value (CORE §9).

    Columns that came later follow as `name=value`, where they are not empty.
    """
    later = _LATER.get(table, ())
    first = len(row) - len(later)
    text = table + "," + ",".join([_text(value) for value in row[:first]])
    return text + "".join(
        [f",{name}={_text(v)}" for name, v in zip(later, row[first:], strict=True) if v not in {None, ""}]
    )


def _text(value: Value) -> str:
    return "" if value is None else f"{len(value)}:{value}" if value.__class__ is str else str(value)


def facts_digest(texts: Iterable[str]) -> str:
    """Return the digest of the facts stored under one receipt, whatever order their texts are given in."""
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()
