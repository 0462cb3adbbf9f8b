"""Adding up what a report says, in the smallest units, so that two reports can be compared row by row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

KWH, KILOGRAM, MICRO = 3_600_000_000, 10**9, 10**6


def summed(report: Mapping[str, Any], key: str) -> dict[str, tuple[int, int, int]]:
    """Return key -> energy (mJ), location-based CO2e (µg) and cost (micro-units) of its rows and adjustments together, without zeros."""
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in (*report["rows"], *report["adjustments"]):
        its = sums[str(row[key])]
        its[0] += round((row["energy_kwh"] or 0) * KWH)
        its[1] += round((row["co2e_location_kg"] or 0) * KILOGRAM)
        its[2] += int(Decimal(row["cost"] or 0) * MICRO)
    return {name: (its[0], its[1], its[2]) for name, its in sums.items() if any(its)}
