"""Instruments and allocations as bodies: integers become figures with their unit in the name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from joulebook_ledger.core.allocation import MEANINGS, reasons_against
from joulebook_ledger.core.periods import month_of, month_of_day, month_text, time_text
from joulebook_ledger.core.units import MILLIJOULES_PER_KWH
from joulebook_ledger.market.loads import loads_of
from joulebook_ledger.store import reads, reads_market

if TYPE_CHECKING:
    from collections.abc import Mapping

    from joulebook_ledger.core.allocation import Month
    from joulebook_ledger.core.instruments import Instrument
    from joulebook_ledger.market.allocating import Allocated
    from joulebook_ledger.market.bodies import AllocationBody, AllocationMonthBody, InstrumentBody, InstrumentsBody
    from joulebook_ledger.store.rows import Rows

WAITS = "not_assigned_yet"
WAITS_MEANS = "nothing was assigned since it was entered: joulebook instruments allocate"
_GRAM_UG = 1_000_000


def allocation_body(made: Allocated) -> AllocationBody:
    """Return what was assigned in a market's year."""
    return {
        "market": made.market,
        "year": made.year,
        "state": made.state,
        "changed": bool(made.facts),
        "months": [_month(month) for month in made.assignment.months],
        "unused": [
            {"issuer": one.issuer, "instrument": one.instrument, "reason": reason, "detail": MEANINGS[reason]}
            for one, reason in made.assignment.unused
        ],
        "left": [
            {"issuer": issuer, "instrument": name, "energy_kwh": left / MILLIJOULES_PER_KWH}
            for (issuer, name), left in sorted(made.assignment.left_mj.items())
            if left
        ],
        "notes": list(made.notes),
    }


def _month(month: Month) -> AllocationMonthBody:
    value = month.value
    return {
        "month": month_text(month.month),
        "load_kwh": month.load_mj / MILLIJOULES_PER_KWH,
        "g_per_kwh": None if value is None else value / _GRAM_UG,
        "parts": [
            {
                "kind": part.instrument.kind,
                "issuer": part.instrument.issuer,
                "instrument": part.instrument.instrument,
                "energy_kwh": part.energy_mj / MILLIJOULES_PER_KWH,
                "g_per_kwh": part.instrument.value / _GRAM_UG,
            }
            for part in month.parts
        ],
        "rest_kwh": month.rest_mj / MILLIJOULES_PER_KWH,
        "rest_kind": month.rest.kind if month.rest else None,
        "rest_g_per_kwh": month.rest.value / _GRAM_UG if month.rest else None,
        "rest_source": month.rest.source if month.rest else None,
    }


def list_instruments(rows: Rows) -> InstrumentsBody:
    """Return every instrument: what the newest allocation assigned of it and left, or why it is not used."""
    held = reads_market.instruments(rows)
    years = sorted({month_of(one.vintage_from_ms) // 100 for one in held})
    drawn = _months_drawn(rows)
    contents = {
        (one.market, year): reads_market.newest_allocation(rows, one.market, year) for one in held for year in years
    }
    told = {key: json.loads(its.content) for key, its in contents.items() if its is not None}
    reasons: dict[tuple[str, str], str] = {}
    for market in {one.market for one in held}:
        reasons |= reasons_against([one for one in held if one.market == market], drawn.get(market, []))
    return {"items": [_instrument(one, told, reasons.get(one.key, "")) for one in held], "markets": sorted(drawn)}


def _months_drawn(rows: Rows) -> dict[str, list[int]]:
    days = reads_market.booked_days(rows)
    if days is None:
        return {}
    loads = loads_of(rows, reads.factor_book(rows), *(month_of_day(day) for day in days))
    return {market: sorted(months) for market, months in loads.items()}


def _instrument(one: Instrument, told: Mapping[tuple[str, int], dict[str, Any]], reason: str) -> InstrumentBody:
    content = told.get((one.market, month_of(one.vintage_from_ms) // 100), {})
    assigned = [
        (month["month"], part["energy_mj"])
        for month in content.get("months", [])
        for part in month["parts"]
        if (part["issuer"], part["instrument"], part["version"]) == (*one.key, one.version)
    ]
    is_told = bool(assigned) or any((left["issuer"], left["instrument"]) == one.key for left in content.get("left", []))
    used = sum(energy for _, energy in assigned)
    reason = reason or ("" if is_told else WAITS)
    return {
        "kind": one.kind,
        "issuer": one.issuer,
        "instrument": one.instrument,
        "version": one.version,
        "market": one.market,
        "vintage_from": time_text(one.vintage_from_ms),
        "vintage_to": time_text(one.vintage_to_ms),
        "energy_kwh": one.energy_mj / MILLIJOULES_PER_KWH if one.energy_mj else None,
        "g_per_kwh": one.value / _GRAM_UG,
        "retired_for": one.retired_for or None,
        "retired_at": None if one.retired_at_ms is None else time_text(one.retired_at_ms),
        "quality": dict(one.quality),
        "evidence_name": one.evidence_name,
        "evidence_digest": one.evidence_digest,
        "assigned": [
            {"month": month_text(month), "energy_kwh": energy / MILLIJOULES_PER_KWH} for month, energy in assigned
        ],
        "assigned_kwh": used / MILLIJOULES_PER_KWH,
        "left_kwh": (one.energy_mj - used) / MILLIJOULES_PER_KWH if one.energy_mj else None,
        "reason": reason or None,
        "detail": (WAITS_MEANS if reason == WAITS else MEANINGS[reason]) if reason else None,
    }
