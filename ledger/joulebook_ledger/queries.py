"""What can be asked of a ledger. Plain values, so that a command line and a URL say them in the same words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from joulebook_ledger.core.periods import month_text

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUPINGS = (
    "model",
    "version",
    "team",
    "cost_centre",
    "entity",
    "project",
    "task",
    "stage",
    "run",
    "host",
    "device",
    "site",
    "scope",
    "day",
    "month",
)
RESOURCES = ("cost", "co2e", "energy", "duration", "params")
IDLE_RULES = ("separate", "proportional", "uniform")
BASES = ("closed", "current")
EARLIEST = "earliest"
"""In place of a month to close: the earliest open one."""
DEFAULT_TOLERANCE_PPM = 10_000
"""1 % of a month's energy (CORE §6)."""
PPM_PER_PERCENT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsQuery:
    """Which runs, in which order.

    Attributes:
        labels: Label name (or `status`) -> wanted value.
        sort: `started` (newest first), or a figure's name such as `energy_kwh` (greatest first).
        limit: At most so many.
        cursor: Where the last page ended, as that page said.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    sort: str = "started"
    limit: int = 100
    cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportQuery:
    """Which report.

    Attributes:
        from_month: First month, yyyymm.
        to_month: Last month, yyyymm.
        by: Keys of the rows, of GROUPINGS or `tag:KEY`.
        basis: closed or current.
        idle: separate, or spread over the runs' rows: proportional, uniform.
        as_of: A chain link's number or a past instant; empty for now.
    """

    from_month: int
    to_month: int
    by: tuple[str, ...] = ("model",)
    basis: str = "closed"
    idle: str = "separate"
    as_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorsQuery:
    """Which factors and prices.

    Attributes:
        kinds: Keys of `core.factors.FACTOR_UNITS`; none means all.
        object: The one zone, site or machine they are of.
        provider: Who says so.
        at_ms: An instant at which they hold.
        limit: At most so many.
        cursor: Where the last page ended, as that page said.
    """

    kinds: tuple[str, ...] = ()
    object: str = ""
    provider: str = ""
    at_ms: int | None = None
    limit: int = 1000
    cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankQuery:
    """Which ranking; what is left empty is chosen where the book leaves no choice.

    Attributes:
        task: Only runs of this task.
        score: Name of the score to rank by.
        per: Of RESOURCES.
        stage: Only runs of this stage.
        split: Only scores of this split.
        least: Score name -> least value, as decimal text, that a model must reach.
        best: Take the best value of each run in place of the last.
    """

    task: str = ""
    score: str = ""
    per: str = "energy"
    stage: str = ""
    split: str = ""
    least: Mapping[str, str] = field(default_factory=dict)
    best: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchQuery:
    """Which factors are to be fetched from live providers.

    Attributes:
        zone: Ours; empty for every zone that a machine stands in.
        from_ms: First instant, or None for what is missing lately.
        to_ms: First instant after, or None for now.
        provider: One of those that are switched on; empty for all.
    """

    zone: str = ""
    from_ms: int | None = None
    to_ms: int | None = None
    provider: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restating:
    """Which closed months are to be priced by which factors, or which restatement is to be undone.

    Attributes:
        name: Random text: the id of the restatement, or of the act that undoes one.
        from_month: First month, YYYY-MM; empty for the first closed one.
        to_month: Last month, YYYY-MM; empty for the last closed one.
        kind: Of the factors; empty for every kind.
        object: Of the factors; empty for every zone, site and machine.
        provider: Of the factors; empty for every provider.
        known: A chain link's number or a past instant, up to which factors are then known; empty for now.
        undo: Id of a restatement to undo, or its beginning; empty to make one.
        reason: Why.
        author: Who.
        dry_run: Only say what it would change.
    """

    name: str
    from_month: str = ""
    to_month: str = ""
    kind: str = ""
    object: str = ""
    provider: str = ""
    known: str = ""
    undo: str = ""
    reason: str = ""
    author: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Correcting:
    """Which facts were wrong, and what is said in their place.

    Attributes:
        name: Random text: the id of the act.
        kind: Of the facts: a key of `correcting.kinds.KINDS`.
        where: Column -> what a wrong fact says.
        changes: Column -> what it should have said; none to void it and no more.
        from_time: First instant of what is wrong; empty for any.
        to_time: First instant after it; empty for any.
        reason: Why.
        author: Who.
        dry_run: Only say what it would change.
    """

    name: str
    kind: str
    where: dict[str, str] = field(default_factory=dict)
    changes: dict[str, str] = field(default_factory=dict)
    from_time: str = ""
    to_time: str = ""
    reason: str = ""
    author: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SciQuery:
    """Which carbon intensity (ISO/IEC 21031).

    Attributes:
        from_month: First month, yyyymm.
        to_month: Last month, yyyymm.
        per: Functional unit, of `core.sci.BOUNDARY_OF`.
        model: Only this model; empty for all.
        boundary: all, consumer or provider; empty for the unit's own.
        units: Decimal text: how many units, where that is stated and not counted.
        idle: separate, or spread over the runs: proportional, uniform.
        utilisation: Decimal text: the share of owned hours that runs use and that bears all of the embodied carbon; empty for what is booked.
    """

    from_month: int
    to_month: int
    per: str = "run"
    model: str = ""
    boundary: str = ""
    units: str = ""
    idle: str = "separate"
    utilisation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseQuery:
    """Which months to close.

    Attributes:
        month: The last of them, yyyymm; every open month before it is closed first. 0: the earliest open month.
        tolerance_ppm: How much of a month's energy may be missing, in millionths.
        author: Who closes; empty where nobody is named.
        reason: Why, such as why something is missing; may be empty.
    """

    month: int = 0
    tolerance_ppm: int = DEFAULT_TOLERANCE_PPM
    author: str = ""
    reason: str = ""

    @property
    def page(self) -> str:
        """The month as a page of the service names it."""
        return month_text(self.month) if self.month else EARLIEST

    @property
    def limits(self) -> list[tuple[str, str]]:
        """What may be missing, as a parameter of that page."""
        return [("tolerance_ppm", str(self.tolerance_ppm))]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateQuery:
    """What is to be assigned.

    Attributes:
        year: Calendar year; 0 for this one.
        market: One market; empty for all.
        final: Whether it is the year's, after which closed months take no other by themselves.
        dry_run: Whether nothing is stored.
        author: Who asks.
    """

    year: int = 0
    market: str = ""
    final: bool = False
    dry_run: bool = False
    author: str = ""
