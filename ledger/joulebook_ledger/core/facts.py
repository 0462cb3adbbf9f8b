"""All facts together, and their one canonical text, by which "the same again" is told from "in conflict"."""

from __future__ import annotations

from dataclasses import dataclass, fields

from joulebook_ledger.core.events import Count, RunEvent, Score
from joulebook_ledger.core.factors import FACTOR_UNITS, Factor, Placement, Site
from joulebook_ledger.core.instruments import Allocation, Instrument
from joulebook_ledger.core.names import NameMap
from joulebook_ledger.core.periods import MONTHS_PER_YEAR
from joulebook_ledger.core.records import Meter, Use, Window
from joulebook_ledger.core.refusals import BadInput, Refused
from joulebook_ledger.core.vocabulary import LONGEST_NAME, require_choice, require_text, require_whole

EARLIEST_MONTH, LATEST_MONTH = 197001, 999912


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Restatement:
    """Prices closed months as known at a later link. Undone by a correction that voids it.

    Attributes:
        restatement: Its id.
        from_month: First month, yyyymm.
        to_month: Last month, yyyymm.
        kind: Of the factors that it is about; empty for every kind.
        object: Of the factors; empty for every zone, site and machine.
        provider: Of the factors; empty for every provider.
        factors_known: The link up to which factors are then known.
        reason: Why.
        author: Who.
    """

    restatement: str
    from_month: int
    to_month: int
    kind: str = ""
    object: str = ""
    provider: str = ""
    factors_known: int
    reason: str
    author: str

    def __post_init__(self) -> None:
        """Check months, series, and that it says why and who."""
        require_text(self.restatement, "restatement", longest=LONGEST_NAME)
        for name in ("from_month", "to_month"):
            month = require_whole(getattr(self, name), name)
            if not EARLIEST_MONTH <= month <= LATEST_MONTH or not 1 <= month % 100 <= MONTHS_PER_YEAR:
                raise Refused("no_month", f"{name} {month} is no month: write yyyymm, such as 202611")
        if self.to_month < self.from_month:
            raise Refused("months_in_reverse", f"from {self.from_month} to {self.to_month}")
        if self.kind:
            require_choice(self.kind, "kind", tuple(FACTOR_UNITS))
        for name in ("object", "provider"):
            require_text(getattr(self, name), name, empty=True)
        require_whole(self.factors_known, "factors_known", least=1)
        for name in ("reason", "author"):
            require_text(getattr(self, name), name)


Fact = (
    Meter
    | Window
    | Use
    | RunEvent
    | Score
    | Count
    | Factor
    | Site
    | Placement
    | NameMap
    | Correction
    | Retirement
    | Restatement
    | Instrument
    | Allocation
)


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
