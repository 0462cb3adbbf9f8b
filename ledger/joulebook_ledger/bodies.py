"""The JSON bodies of all answers: what REST sends, what `--json` prints, what tables are made from.

Floats appear here and nowhere below, never rounded, with the unit in the name; money is a decimal text beside its currency; an
unknown figure is null and `reasons` says why, with the command that would supply it. Times are RFC 3339 in UTC.
"""

from __future__ import annotations

from typing import Any, NotRequired

# The schema of the service is made from these, which before Python 3.12 takes the newer TypedDict.
from typing_extensions import TypedDict

from joulebook_ledger.measures.bodies import Implausible, NotCovered

Json = dict[str, Any]


class FootprintRow(TypedDict, total=False):
    """One row of figures, everywhere the same; its key columns (model, team, day, tag:KEY, ...) stand beside these."""

    account: str
    figure: str
    energy_kwh: float | None
    facility_energy_kwh: float | None
    unmetered_estimate_kwh: float | None
    held_unused_kwh: float | None
    cost: str | None
    currency: str | None
    cost_energy: str | None
    cost_instance: str | None
    co2e_location_kg: float | None
    co2e_market_kg: float | None
    co2e_embodied_kg: float | None
    water_l: float | None
    duration_s: float | None
    device_hours: float | None
    coverage: float | None
    measured_share: float | None
    known_share: dict[str, float | None]
    uncertainty: dict[str, float | None]
    grades: dict[str, str]
    runs: int
    reasons: dict[str, str]
    grade: str
    sentence: str


class ScoreBody(TypedDict):
    """One score of a run: the last value by (step, time), the best beside it where the direction is known."""

    name: str
    split: str
    value: float
    best: float | None
    unit: str
    step: int | None
    lower_is_better: bool | None


class RunBody(TypedDict):
    """One run with its labels, scores and footprint."""

    run: str
    status: str
    started_at: str | None
    ended_at: str | None
    labels: dict[str, str]
    facts: dict[str, int | str]
    hosts: list[str]
    scores: list[ScoreBody]
    footprint: FootprintRow
    provisional: bool


class RunsBody(TypedDict):
    """A page of runs."""

    items: list[RunBody]
    next_cursor: str | None


class ReportBody(TypedDict):
    """A report of one month or several; `charged` is the money of the total with its adjustments, where there are any."""

    from_month: str
    to_month: str
    by: list[str]
    basis: str
    idle: str
    link: int
    head: str
    as_of: str | None
    booked_until: str | None
    rows: list[FootprintRow]
    total: FootprintRow
    adjustments: list[Json]
    charged: NotRequired[Json]
    machines: list[Json]
    implausible: list[Implausible]
    not_covered: list[NotCovered]
    notes: list[str]


class RankRow(TypedDict):
    """One model version in a ranking."""

    model: str
    version: str
    score: str
    value: float
    per_unit: float | None
    unit: str
    ratio: float | None
    runs: int
    total_runs: int
    total_per_unit: float | None
    on_frontier: bool
    dominated_by: str | None
    robust: bool | None
    uncertainty: float | None
    why: str


class RankBody(TypedDict):
    """A ranking: frontier first, then by ratio."""

    task: str
    score: str
    per: str
    stage: str
    split: str
    lower_is_better: bool
    rows: list[RankRow]
    excluded: list[Json]
    notes: list[str]


class WhyNode(TypedDict):
    """One node of the tree that answers "why?": what, how much, from which source, and what it is made of."""

    text: str
    value: NotRequired[str]
    source: NotRequired[str]
    children: NotRequired[list[WhyNode]]


class WhyBody(TypedDict):
    """The derivation of one figure."""

    figure: str
    value: str | None
    unit: str
    tree: WhyNode


class ReaderBody(TypedDict):
    """Who reads, or read, on a machine: state is active, lost (silent for seven days) or retired; `owing` are months."""

    reader: str
    rank: str
    boot: str
    state: str
    complete_until: str | None
    last_heard: str
    owing: list[str]
    retired_because: str | None
    retired_by: str | None


class MachineBody(TypedDict):
    """A machine: lost where one of its readers is, complete until what the last of them has told."""

    machine: str
    host: str
    state: str
    complete_until: str | None
    last_heard: str
    owing: list[str]
    readers: list[ReaderBody]
    warning: NotRequired[str]


class HostsBody(TypedDict):
    """The machines of a book, at an instant of its clock."""

    at: str
    machines: list[MachineBody]


class OwingBody(TypedDict):
    """A reader that has not told all of a month, and what that may be; null where nothing is known of its past."""

    reader: str
    machine: str
    host: str
    complete_until: str | None
    missing_kwh: float | None


class CloseItemBody(TypedDict):
    """One line of a checklist: what was looked at, whether it is in order, what was found, and the command that fixes it."""

    name: str
    ok: bool
    blocks: bool
    detail: str
    command: str


class MonthCloseBody(TypedDict):
    """A month as its close sees it; `missing_share` is what may be missing of its energy, null where nobody can say."""

    month: str
    energy_kwh: float
    cost: str | None
    currency: str | None
    missing_kwh: float | None
    missing_cost: str | None
    missing_share: float | None
    tolerance: float
    owing: list[OwingBody]
    items: list[CloseItemBody]
    can_close: bool


class CloseBody(TypedDict):
    """What a close found and did; of a check `closed` is false and nothing was written. The head is to be kept elsewhere."""

    closed: bool
    months: list[MonthCloseBody]
    link: int
    head: str


class MapLineBody(TypedDict):
    """One line of the map: what a name stands for from an instant on (null: always), and null where it stands for nothing any more."""

    kind: str
    name: str
    to: str
    value: str | None
    valid_from: str | None
    version: str


class MapsBody(TypedDict):
    """The map of accounts, namespaces, labels, teams and cost centres."""

    items: list[MapLineBody]


class AuditBody(TypedDict):
    """What an audit archive holds."""

    year: int
    files: int
    months: list[str]
    open: list[str]
    figures: int
    verified: bool
    link: int
    head: str


class FactorBody(TypedDict):
    """One factor or price, in words that a table of `import` takes back: value and unit as people write them, "" where nothing is said."""

    kind: str
    of: str
    value: str
    unit: str
    currency: str
    valid_from: str
    valid_to: str
    provider: str
    version: str
    state: str
    fallback: str
    sigma_percent: str
    basis: str
    source: str
    licence: str
    evidence_name: str
    evidence_digest: str
    known_since: str
    grade: str
    pedigree: str


class FactorsBody(TypedDict):
    """A page of factors or prices, and the book's currency."""

    items: list[FactorBody]
    next_cursor: str | None
    currency: str | None


class SiteBody(TypedDict):
    """One site from an instant on."""

    site: str
    zone: str
    ownership: str
    provider: str
    region: str
    control: str
    valid_from: str
    version: str
    known_since: str


class PlacementBody(TypedDict):
    """Where a machine stands from an instant on."""

    machine: str
    site: str
    valid_from: str
    version: str
    known_since: str


class SitesBody(TypedDict):
    """Every site and placement, as they were entered."""

    items: list[SiteBody]
    placements: list[PlacementBody]


class CheckBody(TypedDict):
    """One check of `verify`."""

    name: str
    ok: bool
    detail: str


class EffectBody(TypedDict):
    """What a restatement does to one month ("2026-10") or year ("2026"): figures as known before and after, and by how much they move.

    Of facility_energy_kwh, cost, co2e_location_kg, co2e_market_kg, co2e_embodied_kg, water_l.
    """

    period: str
    before: dict[str, float | str | None]
    after: dict[str, float | str | None]
    change: dict[str, float | str | None]


class RestateBody(TypedDict):
    """A restatement, or its undoing, and what it changes; link and head are null where nothing was written."""

    restatement: str
    undone: bool
    dry_run: bool
    from_month: str
    to_month: str
    kind: str
    object: str
    provider: str
    factors_known: int
    reason: str
    author: str
    currency: str | None
    months: list[EffectBody]
    years: list[EffectBody]
    entries: int
    link: int | None
    head: str | None


class VerifyBody(TypedDict):
    """What `verify` found: the first thing that differs, per check, what facts give cause to doubt, and what it cannot prove."""

    ok: bool
    checks: list[CheckBody]
    link: int
    head: str
    warnings: list[str]
    cannot_prove: str
