"""Served work, added up for a few seconds before it is written: requests, tokens, and latency as a histogram.

Histograms of several processes are merged bucket by bucket; percentiles are read from them and never averaged.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Ten buckets in each power of ten, so that a percentile is off by at most an eighth; microseconds.
_STEPS = (100, 125, 160, 200, 250, 315, 400, 500, 630, 800)
_MOST_US = 10**12


def bucket_us(latency_s: float) -> int:
    """Return the upper bound of the bucket of a latency, in whole microseconds.

    >>> bucket_us(0.42)
    500000
    """
    microseconds = min(max(latency_s, 0.0) * 1_000_000, _MOST_US)
    scale = 1
    while True:
        for step in _STEPS:
            bound = max(1, step * scale // 100)
            if microseconds <= bound:
                return bound
        scale *= 10


def add(
    counts: dict[str, Any], now_ms: int, *, requests: int, tokens_in: int, tokens_out: int, latency_s: float | None
) -> None:
    """Add work to what is not yet written."""
    counts.setdefault("start_ms", now_ms)
    for name, number in (("requests", requests), ("tokens_in", tokens_in), ("tokens_out", tokens_out)):
        counts[name] = counts.get(name, 0) + max(0, int(number))
    if latency_s is not None and latency_s == latency_s:  # noqa: PLR0124 - not a NaN
        bound = str(bucket_us(float(latency_s)))
        latency = counts.setdefault("latency", {})
        latency[bound] = latency.get(bound, 0) + 1


def take(counts: dict[str, Any], now_ms: int) -> dict[str, Any]:
    """Return what was added, as a fact without run and id, and begin anew."""
    item = {**counts, "end_ms": max(now_ms, counts["start_ms"])}
    counts.clear()
    return item
