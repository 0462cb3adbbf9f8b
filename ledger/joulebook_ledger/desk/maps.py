"""The map of accounts, teams and cost centres: from a sheet into the book, and what the book holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook_ledger.core.names import MAP_KINDS, NameMap
from joulebook_ledger.core.periods import parse_time, time_text
from joulebook_ledger.core.refusals import BadInput, Refused
from joulebook_ledger.core.vocabulary import require_choice
from joulebook_ledger.desk.sheet import read_sheet
from joulebook_ledger.store import reads

if TYPE_CHECKING:
    from joulebook_ledger.bodies import MapsBody
    from joulebook_ledger.desk.entering import Entry
    from joulebook_ledger.store.rows import Rows

NEEDED, OTHERS = ("kind", "name", "value"), ("valid_from",)


def map_batch(entry: Entry, data: bytes) -> bytes:
    """Return the batch of all lines of a sheet: kind, name, value, and from when on (empty: always).

    Raises:
        BadInput: A line cannot be taken, or says twice what holds from one instant on; nothing of the sheet is entered.
    """
    facts: dict[tuple[str, str, int], NameMap] = {}
    for line in read_sheet(data, NEEDED, OTHERS):
        kind = line.taken("kind", lambda text: require_choice(text, "kind", tuple(MAP_KINDS)))
        since = line.taken("valid_from", lambda text: parse_time(text) if text else 0)
        name = line.get("name")
        if kind == "label" and "=" not in name:
            raise line.refuse("name", f"a label is named KEY=VALUE, such as group=vis01, not {name[:60]!r}")
        try:
            fact = NameMap(kind=kind, name=name, value=line.get("value"), valid_from_ms=since, version=entry.version)
        except Refused as refusal:
            raise line.refuse("value" if "value" in refusal.detail else "name", refusal.detail) from None
        except BadInput as error:
            raise line.refuse("value" if "value" in str(error) else "name", str(error)) from None
        if facts.setdefault((kind, name, since), fact) is not fact:
            raise line.refuse("name", f"{kind} {name[:60]!r} is mapped twice from one instant on")
    if not facts:
        raise BadInput("the sheet has a header and no line below it: nothing to enter")
    return entry.batch(list(facts.values()))


def list_maps(rows: Rows) -> MapsBody:
    """Return every line of the map that no correction voids, in order of kind, name and validity; the latest of one validity holds."""
    order = list(MAP_KINDS)
    known = sorted(
        reads.name_maps(rows),
        key=lambda line: (order.index(line.fact.kind), line.fact.name, line.fact.valid_from_ms, line.known),
    )
    return {
        "items": [
            {
                "kind": line.fact.kind, "name": line.fact.name, "to": MAP_KINDS[line.fact.kind], "value": line.fact.value or None,
                "valid_from": time_text(line.fact.valid_from_ms) if line.fact.valid_from_ms else None, "version": line.fact.version,
            }
            for line in known
        ]
    }  # fmt: skip
