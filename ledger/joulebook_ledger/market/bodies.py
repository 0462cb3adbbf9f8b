"""The JSON bodies of the market-based method; as all bodies, unrounded and with the unit in the name."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

Json = dict[str, Any]


class AssignedBody(TypedDict):
    """What of an instrument was assigned to a month."""

    month: str
    energy_kwh: float


class InstrumentBody(TypedDict):
    """A certificate, contract or supplier's rate: what was assigned of it, what is left, or why it is not used."""

    kind: str
    issuer: str
    instrument: str
    version: str
    market: str
    vintage_from: str
    vintage_to: str
    energy_kwh: float | None
    g_per_kwh: float
    retired_for: str | None
    retired_at: str | None
    quality: dict[str, str]
    evidence_name: str
    evidence_digest: str
    assigned: list[AssignedBody]
    assigned_kwh: float
    left_kwh: float | None
    reason: str | None
    detail: str | None


class InstrumentsBody(TypedDict):
    """All instruments, and the markets that electricity was drawn from."""

    items: list[InstrumentBody]
    markets: list[str]


class AllocationMonthBody(TypedDict):
    """What covers one month's load in a market, and the factor it makes; null where the rest has no price."""

    month: str
    load_kwh: float
    g_per_kwh: float | None
    parts: list[Json]
    rest_kwh: float
    rest_kind: str | None
    rest_g_per_kwh: float | None
    rest_source: str | None


class AllocationBody(TypedDict):
    """A market's year: what was assigned, what is not used and why, what is left."""

    market: str
    year: int
    state: str
    changed: bool
    months: list[AllocationMonthBody]
    unused: list[Json]
    left: list[Json]
    notes: list[str]


class AllocationsBody(TypedDict):
    """What an allocation did, or would do."""

    dry_run: bool
    items: list[AllocationBody]
