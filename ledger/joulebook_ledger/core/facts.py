"""All facts together, and their one canonical text, by which "the same again" is told from "in conflict"."""

from __future__ import annotations

from dataclasses import dataclass, fields

from joulebook_ledger.core.events import Count, RunEvent, Score
from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.records import Meter, Use, Window
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import LONGEST_NAME, require_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Voids one fact. What replaces it is an ordinary fact of another reader.

    Attributes:
        table: Kind of the fact, such as "meter_window".
        key: Its key, as the store prints it.
        reason: Why.
        author: Who.
    """

    table: str
    key: str
    reason: str
    author: str

    def __post_init__(self) -> None:
        """Check that it says why and who."""
        for name in ("table", "key", "reason", "author"):
            require_text(getattr(self, name), name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """Says of a reader that is gone for good that it owes nothing any more. What still comes of it is stored all the same.

    Attributes:
        reader: Its id.
        reason: Why nobody waits for it.
        author: Who says so.
    """

    reader: str
    reason: str
    author: str

    def __post_init__(self) -> None:
        """Check that it says why and who."""
        require_text(self.reader, "reader", longest=LONGEST_NAME)
        for name in ("reason", "author"):
            require_text(getattr(self, name), name)


Fact = Meter | Window | Use | RunEvent | Score | Count | Factor | Site | Placement | Correction | Retirement


def content_text(fact: Fact) -> str:
    """Return a fact as one canonical text: two facts are the same if and only if their texts are.

    Integers in decimal, null as nothing, strings as length:value, mappings sorted by key (CORE §9).
    """
    return f"{type(fact).__name__}({','.join(_canonical(getattr(fact, item.name)) for item in fields(fact))})"


def _canonical(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"{len(value)}:{value}"
    if isinstance(value, int):
        return str(int(value))
    if hasattr(value, "items"):
        return "{" + ",".join(f"{_canonical(k)}={_canonical(v)}" for k, v in sorted(value.items())) + "}"
    message = f"a fact holds texts, integers and mappings of them, not {value!r}"
    raise BadInput(message)
