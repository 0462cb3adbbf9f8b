"""The one form of facts, for spool, drop-box and HTTP: plain bytes <-> records.

A batch is one JSON object: `{"wire": 1, "sequence": n, "reader": {...}, "state": "active", "complete_until_ms": ms, "runs": [...],
"meters": [...], "readings": [...], "gaps": [...], "uses": [...], "counts": [...], "scores": [...]}`; of the desk also
`"factors"`, `"sites"`, `"placements"`, `"maps"`, `"corrections"`, `"retirements"`, `"restatements"`, `"instruments"`,
`"allocations"`. An item is an object of its record's field names.

Bytes that are no batch are `Malformed` and refused whole. In a batch each item is decided by itself: it becomes a record, or a
`Rejected` that names the rule it breaks.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from joulebook_ledger.core.events import Count, RunEvent, Score
from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.facts import Correction, Restatement, Retirement
from joulebook_ledger.core.instruments import Allocation, Instrument
from joulebook_ledger.core.names import NameMap
from joulebook_ledger.core.records import Meter, Reader, Use, Window
from joulebook_ledger.core.refusals import BadInput, Malformed, Refused, Unavailable
from joulebook_ledger.core.vocabulary import (
    READER_STATES,
    require_choice,
    require_whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from joulebook_ledger.core.facts import Fact

WIRE_VERSION = 1
READER_LISTS = ("runs", "meters", "readings", "gaps", "uses", "counts", "scores")
DESK_LISTS = (
    "factors",
    "sites",
    "placements",
    "maps",
    "corrections",
    "retirements",
    "restatements",
    "instruments",
    "allocations",
)
DESK = "desk"
LARGEST_BATCH_BYTES = 16 * 1024 * 1024
LARGEST_BATCH_ITEMS = 100_000
_RECORDS: dict[str, type[Any]] = {
    "runs": RunEvent, "meters": Meter, "readings": Window, "gaps": Window, "uses": Use, "counts": Count, "scores": Score,
    "factors": Factor, "sites": Site, "placements": Placement, "maps": NameMap, "corrections": Correction,
    "retirements": Retirement, "restatements": Restatement, "instruments": Instrument, "allocations": Allocation,
}  # fmt: skip
_ENVELOPE = {
    "wire",
    "sequence",
    "reader",
    "state",
    "complete_until_ms",
    *READER_LISTS,
    *DESK_LISTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An item that is no fact.

    Attributes:
        reason: Machine-readable rule.
        detail: The value and the way out.
    """

    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a batch, at its place.

    Attributes:
        kind: Name of the list it stood in.
        index: Place in that list.
        fact: The record, or why it is none.
    """

    kind: str
    index: int
    fact: Fact | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A well-formed delivery.

    Attributes:
        reader: Who sends.
        sequence: Its number within the reader; (reader, sequence) is the receipt's key.
        state: active, or retired with this batch.
        complete_until_ms: All windows that end before it have been sent.
        items: In the order of the lists, then of their places.
        digest: sha256 of the canonical bytes, hex.
    """

    reader: Reader
    sequence: int
    state: str = "active"
    complete_until_ms: int = 0
    items: tuple[Item, ...] = ()
    digest: str = ""

    def facts(self) -> Iterator[Fact]:
        """Yield the items that are facts."""
        for item in self.items:
            if not isinstance(item.fact, Rejected):
                yield item.fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one item: stored, stored_after_close, already_stored, conflicts_with_stored, refused, retry_later.

    Attributes:
        kind: Name of the list.
        index: Place in the list.
        outcome: One of the words above.
        reason: Machine-readable, where there is one.
        detail: For a person, where there is one.
    """

    kind: str
    index: int
    outcome: str
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the ledger says to a batch: counts per outcome, and every item that was not simply stored.

    Attributes:
        counts: Outcome -> number of items.
        exceptions: Items neither stored nor already stored.
    """

    counts: Mapping[str, int]
    exceptions: tuple[Outcome, ...] = field(default=())


def encode_batch(
    *, reader: Reader, sequence: int, state: str = "active", complete_until_ms: int = 0, lists: Mapping[str, list[dict[str, Any]]],
) -> bytes:  # fmt: skip
    """Return a batch as canonical bytes: the same content gives the same bytes.

    Args:
        reader: Who sends.
        sequence: Its number within the reader, from 1.
        state: active or retired.
        complete_until_ms: All windows that end before it have been sent.
        lists: Name of a list -> items in wire form (see `to_wire`).
    """
    body: dict[str, Any] = {
        "wire": WIRE_VERSION, "sequence": sequence, "reader": to_wire(reader), "state": state, "complete_until_ms": complete_until_ms,
    }  # fmt: skip
    body.update({name: items for name, items in lists.items() if items})
    return canonical_bytes(body)


def canonical_bytes(body: object) -> bytes:
    """Return JSON with sorted keys and no spaces, UTF-8; floats that are no numbers are refused.

    Half a surrogate pair (a file name that is no text) passes, so that the one item that holds it is refused and not its batch.
    """
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def to_wire(record: Fact | Reader) -> dict[str, Any]:
    """Return a record as a wire item; fields that hold their default are left out."""
    item: dict[str, Any] = {}
    for slot in fields(record):
        value = getattr(record, slot.name)
        default = slot.default_factory() if slot.default_factory is not MISSING else slot.default
        if (slot.default is MISSING and slot.default_factory is MISSING) or value != default:
            item[slot.name] = dict(value) if hasattr(value, "items") else value
    return item


def list_of(fact: Fact) -> str:
    """Return the name of the list a fact travels in."""
    if isinstance(fact, Window):
        return "gaps" if fact.is_gap else "readings"
    return next(name for name, record in _RECORDS.items() if isinstance(fact, record))


def decode_batch(data: bytes) -> Batch:
    """Return the batch of these bytes.

    Raises:
        Malformed: The bytes are no well-formed batch; nothing of it may be stored.
        Unavailable: A newer version wrote it, so that this one cannot judge it: the sender keeps it.
    """
    if len(data) > LARGEST_BATCH_BYTES:
        message = f"a batch has at most {LARGEST_BATCH_BYTES} bytes, not {len(data)}: send it in parts"
        raise Malformed(message)
    try:
        body = json.loads(
            data,
            parse_float=_refuse_float,
            parse_constant=_refuse_float,
            object_pairs_hook=_object_without_twins,
        )
    except (ValueError, RecursionError) as error:
        message = f"not a JSON batch: {str(error)[:200]}"
        raise Malformed(message) from None
    if not isinstance(body, dict):
        message = "a batch is one JSON object"
        raise Malformed(message)
    return _batch_of(body)


def _batch_of(body: dict[str, Any]) -> Batch:
    version = body.get("wire")
    if isinstance(version, int) and version > WIRE_VERSION:
        message = (
            f"the batch was written by a newer Joulebook (wire version {str(version)[:20]}, this ledger reads {WIRE_VERSION}): "
            "update the ledger with `pip install -U joulebook`; the sender keeps the batch"
        )
        raise Unavailable(message)
    if version != WIRE_VERSION or isinstance(version, bool):
        message = f"wire version {str(version)[:20]!r} is not known here: this ledger reads version {WIRE_VERSION}"
        raise Malformed(message)
    unknown = sorted(set(body) - _ENVELOPE)
    if unknown:
        message = f"unknown part {unknown[0][:60]!r}: a batch has {', '.join(sorted(_ENVELOPE))}"
        raise Malformed(message)
    reader_item = body.get("reader")
    if not isinstance(reader_item, dict):
        message = "a batch names its reader"
        raise Malformed(message)
    try:
        reader = from_wire("reader", Reader, reader_item)
        sequence = require_whole(body.get("sequence"), "sequence", least=1)
        state = require_choice(body.get("state", "active"), "state", READER_STATES)
        complete_until_ms = require_whole(body.get("complete_until_ms", 0), "complete_until_ms")
    except BadInput as error:
        raise Malformed(str(error)) from None
    lists = _lists_of(body)
    return Batch(
        reader=reader, sequence=sequence, state=state, complete_until_ms=complete_until_ms,
        items=tuple(_items_of(lists, desk=reader.reader.startswith(DESK))), digest=hashlib.sha256(canonical_bytes(body)).hexdigest(),
    )  # fmt: skip


def _lists_of(body: dict[str, Any]) -> dict[str, list[Any]]:
    lists = {name: body.get(name, []) for name in _RECORDS}
    for name, items in lists.items():
        if not isinstance(items, list):
            message = f"{name} must be a list"
            raise Malformed(message)
    number = sum(len(items) for items in lists.values())
    if number > LARGEST_BATCH_ITEMS:
        message = f"a batch has at most {LARGEST_BATCH_ITEMS} items, not {number}: send it in parts"
        raise Malformed(message)
    return lists


def _items_of(lists: dict[str, list[Any]], *, desk: bool) -> Iterator[Item]:
    for kind, items in lists.items():
        for index, item in enumerate(items):
            yield Item(kind=kind, index=index, fact=_fact_of(kind, item, desk=desk))


def _fact_of(kind: str, item: object, *, desk: bool) -> Fact | Rejected:
    if kind in DESK_LISTS and not desk:
        return Rejected(
            reason="only_the_desk",
            detail=f"{kind} are entered by people, as reader {DESK!r}, not by a reader of meters",
        )
    if not isinstance(item, dict):
        return Rejected(reason="not_an_object", detail=f"an item of {kind} is a JSON object")
    try:
        fact: Fact = from_wire(kind, _RECORDS[kind], item)
    except Refused as refusal:
        return Rejected(reason=refusal.reason, detail=refusal.detail)
    except BadInput as error:
        return Rejected(reason="bad_value", detail=str(error))
    if isinstance(fact, Window) and fact.is_gap != (kind == "gaps"):
        return Rejected(
            reason="reading_or_gap",
            detail="a reading has energy_mj and stands in `readings`; a gap has a reason, in `gaps`",
        )
    return fact


def from_wire(kind: str, record: type[Any], item: dict[str, Any]) -> Any:
    """Return the record of an item; unknown, missing or ill-typed fields are refused."""
    known = {slot.name: slot for slot in fields(record)}
    unknown = sorted(set(item) - set(known))
    if unknown:
        raise Refused(
            "unknown_field",
            f"{kind} have no field {unknown[0][:60]!r}: they have {', '.join(known)}",
        )
    missing = [n for n, s in known.items() if s.default is MISSING and s.default_factory is MISSING and n not in item]
    if missing:
        raise Refused("missing_field", f"an item of {kind} needs {missing[0]!r}")
    for name, value in item.items():
        if isinstance(value, _Float) and known[name].type == "str":
            raise Refused(
                "not_a_text",
                f'{name} must be a text, so that it stays exactly as it was written: "{value}" with quotes around it',
            )
        if isinstance(value, _Float) or (
            isinstance(value, dict) and any(isinstance(v, _Float) for v in value.values())
        ):
            raise Refused(
                "not_an_integer",
                f"{name} must be an integer in the smallest unit, not {value}",
            )
        if isinstance(value, list) or (isinstance(value, dict) != ("Mapping" in str(known[name].type))):
            raise Refused(
                "ill_typed_field",
                f"{name} of {kind} is {known[name].type!s}, not {str(value)[:60]!r}",
            )
    return record(**item)


class _Float(str):
    """A number with a point, kept as its text so that the item that holds it can be refused by name."""

    __slots__ = ()


def _refuse_float(text: str) -> _Float:
    return _Float(text)


def _object_without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        message = "an object names a field twice"
        raise ValueError(message)
    return body
