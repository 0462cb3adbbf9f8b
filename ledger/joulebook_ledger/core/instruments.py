"""Instruments of the market-based method, and what was assigned of them to the months of a market's year (CORE §2, §8).

What makes an instrument usable are the quality criteria of the GHG Protocol Scope 2 Guidance (2015, table 7.1). What a record can say by
itself is asked of its fields: tracked and retired for the reporter, vintage, market. What only people know is said in `quality`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from joulebook_ledger.core.periods import month_of
from joulebook_ledger.core.refusals import Refused
from joulebook_ledger.core.vocabulary import LONGEST_NAME, LONGEST_TEXT, require_choice, require_text, require_whole

CERTIFICATE, CONTRACT, SUPPLIER_RATE = "certificate", "contract", "supplier_rate"
INSTRUMENT_KINDS = (CERTIFICATE, CONTRACT, SUPPLIER_RATE)
"""In the order of the hierarchy: what is more precise is assigned first."""
ATTRIBUTES, SOLE = "attributes", "sole"
CRITERIA = (ATTRIBUTES, SOLE)
"""attributes: they come with the electricity, none was sold apart (contract), or the rate is of what was delivered, certificates included
(supplier). sole: nobody else claims the same energy."""
YES, NO = "yes", "no"
# An instrument above 2 kg/kWh would be dirtier than any grid there is.
DIRTIEST = 2_000_000_000
LONGEST_CONTENT = 1 << 24
ALLOCATION_STATES = ("provisional", "final")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A certificate, a contract or a supplier's rate.

    Attributes:
        issuer: Registry or supplier that gave it.
        instrument: Its id there; with issuer and version its key. The version learnt last is the instrument.
        version: Given by the client.
        kind: Of INSTRUMENT_KINDS.
        market: Grid zone it is of.
        vintage_from_ms: First instant of the time its energy was made in; within one calendar year.
        vintage_to_ms: First instant after it.
        energy_mj: How much; 0 of a supplier's rate means whatever is left to be supplied.
        value: Micrograms CO2e per kWh.
        retired_for: For whom it was retired; empty while it is not.
        retired_at_ms: When, or None.
        quality: Criterion -> yes or no, of those that only people know (CRITERIA).
        evidence_name: Document that shows it.
        evidence_digest: sha256 of that document, hex.
    """

    issuer: str
    instrument: str
    version: str
    kind: str
    market: str
    vintage_from_ms: int
    vintage_to_ms: int
    energy_mj: int = 0
    value: int = 0
    retired_for: str = ""
    retired_at_ms: int | None = None
    quality: Mapping[str, str] = field(default_factory=dict)
    evidence_name: str = ""
    evidence_digest: str = ""

    def __post_init__(self) -> None:
        """Check names, kind, vintage and range."""
        for name in ("issuer", "instrument", "version", "market"):
            require_text(getattr(self, name), name, longest=LONGEST_NAME)
        for name in ("retired_for", "evidence_name", "evidence_digest"):
            require_text(getattr(self, name), name, longest=LONGEST_TEXT, empty=True)
        require_choice(self.kind, "kind", INSTRUMENT_KINDS)
        require_whole(self.vintage_from_ms, "vintage_from_ms")
        if require_whole(self.vintage_to_ms, "vintage_to_ms") <= self.vintage_from_ms:
            raise Refused("validity_ends_before_it_starts", f"vintage [{self.vintage_from_ms}, {self.vintage_to_ms})")
        if month_of(self.vintage_from_ms) // 100 != month_of(self.vintage_to_ms - 1) // 100:
            raise Refused("vintage_of_two_years", "a vintage lies within one calendar year: enter a part for each year")
        require_whole(self.energy_mj, "energy_mj")
        if not self.energy_mj and self.kind != SUPPLIER_RATE:
            raise Refused(
                "no_energy", f"a {self.kind} is of so much energy; only a supplier_rate may be of all that is left"
            )
        if require_whole(self.value, "value") > DIRTIEST:
            raise Refused("factor_out_of_range", f"value {self.value} ug/kWh is above {DIRTIEST}")
        if self.retired_at_ms is not None:
            require_whole(self.retired_at_ms, "retired_at_ms")
        if (self.retired_at_ms is None) != (not self.retired_for):
            raise Refused("half_retired", "who it was retired for and when are said together, or neither")
        for criterion, answer in self.quality.items():
            require_choice(criterion, "criterion", CRITERIA)
            require_choice(answer, criterion, (YES, NO))

    @property
    def key(self) -> tuple[str, str]:
        """Issuer and id: what its versions have in common."""
        return self.issuer, self.instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What was assigned to the months of a market's year.

    Attributes:
        market: Grid zone.
        year: Calendar year.
        version: Given by whoever assigned.
        state: provisional, or final for the year's.
        content: The assignment as canonical JSON (`core.allocation`).
        author: Who had it made.
    """

    market: str
    year: int
    version: str
    state: str
    content: str
    author: str

    def __post_init__(self) -> None:
        """Check names and state."""
        for name in ("market", "version"):
            require_text(getattr(self, name), name, longest=LONGEST_NAME)
        require_whole(self.year, "year", least=1970)
        require_choice(self.state, "state", ALLOCATION_STATES)
        require_text(self.content, "content", longest=LONGEST_CONTENT)
        require_text(self.author, "author", empty=True)
