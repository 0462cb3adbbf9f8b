"""Which facts can be corrected, what they are called, and how one is told again with a few of its columns changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from joulebook_ledger.core.events import Count, RunEvent, Score
from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.instruments import Instrument
from joulebook_ledger.core.names import NameMap
from joulebook_ledger.core.records import Use, Window
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.store.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from joulebook_ledger.core.facts import Fact
    from joulebook_ledger.store.shapes import Row, Shape, Value

MACHINE = "machine"
_JSON = frozenset({"labels", "facts", "latency", "quality"})


class Kind(NamedTuple):
    """A kind of fact that can be corrected.

    Attributes:
        table: Where it is.
        record: What it is made again as.
        time: The column that says when it was.
        anew: The column of its key that every telling has for itself.
        fixed: Columns that a correction cannot change, since they say which fact it is.
    """

    table: str
    record: type[Any]
    time: str
    anew: str
    fixed: tuple[str, ...] = ()

    @property
    def shape(self) -> Shape:
        """Its key and columns."""
        return SHAPES[self.table]

    def named(self, row: Row) -> dict[str, Value]:
        """Return a row by column."""
        return dict(zip(self.shape.columns, row, strict=True))

    def values(self, given: Mapping[str, str], more: tuple[str, ...] = ()) -> dict[str, Value]:
        """Return columns as the book holds them, from the texts that a person gave.

        Args:
            given: Column -> text; an empty one of a number means null.
            more: Names that are known here besides the columns.

        Raises:
            BadInput: A column is none of this kind's, or is no whole number where it holds numbers.
        """
        values: dict[str, Value] = {}
        for name, text in given.items():
            if name not in (*self.shape.columns, *more):
                known = ", ".join((*self.shape.columns, *more))
                raise BadInput(f"{name[:60]!r} is no column of a {self.table}: it has {known}")
            values[name] = _number(name, text) if name in self.shape.numbers else text
        return values


KINDS = {
    "reading": Kind("meter_window", Window, "start_ms", "reader", ("meter", "reader", "start_ms", "end_ms")),
    "use": Kind("meter_use", Use, "start_ms", "reader", ("meter", "reader", "start_ms")),
    "event": Kind("run_event", RunEvent, "at_ms", "event", ("run", "event")),
    "score": Kind("score", Score, "at_ms", "score", ("run", "score")),
    "count": Kind("work_count", Count, "start_ms", "count", ("run", "count")),
    "site": Kind("site", Site, "valid_from_ms", "version", ("site", "version")),
    "placement": Kind("placement", Placement, "valid_from_ms", "version", ("machine", "version")),
    "map": Kind("name_map", NameMap, "valid_from_ms", "version", ("kind", "version")),
    "factor": Kind("factor", Factor, "valid_from_ms", "version", ("version",)),
    "instrument": Kind("instrument", Instrument, "vintage_from_ms", "version", ("issuer", "instrument", "version")),
}
"""What a person calls it -> what it is."""


def fact_of(kind: Kind, named: Mapping[str, Value], *, without: tuple[str, ...] = ()) -> Fact:
    """Return the fact that a row says, checked as any fact is.

    Args:
        kind: Of the fact.
        named: Column -> value.
        without: Columns that are no field of the record, such as the reader of a window.
    """
    fields: dict[str, Any] = {name: value for name, value in named.items() if name not in without}
    for name in _JSON.intersection(fields):
        fields[name] = _mapping(name, str(fields[name] or "{}"))
    if fields.get("lower_is_better") is not None:
        fields["lower_is_better"] = bool(fields["lower_is_better"])
    fact: Fact = kind.record(**fields)
    return fact


def _mapping(name: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadInput(f"{name}={text[:60]!r} is no JSON object")
    return found


def _number(name: str, text: str) -> int | None:
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise BadInput(
            f"{name}={text[:60]!r} is no whole number, in the smallest unit as docs/units.md names it"
        ) from None
