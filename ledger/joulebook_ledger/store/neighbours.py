"""Windows and uses beside what is stored already: overlaps, plausible energy, the future, uses without their window."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator

from joulebook_ledger.core.periods import month_of_day
from joulebook_ledger.core.records import Use, Window
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY, MILLISECONDS_PER_HOUR
from joulebook_ledger.core.vocabulary import PLAUSIBLE_OVERSHOOT_PERCENT
from joulebook_ledger.core.wire import Batch
from joulebook_ledger.store.marks import SOURCE, Mark
from joulebook_ledger.store.rows import Row, Rows, one
from joulebook_ledger.store.shapes import SHAPES, row_of
from joulebook_ledger.store.verdicts import ALREADY_STORED, STORED, Verdict, conflict, later, refused

FUTURE_TOLERANCE_MS = 5 * 60 * 1000
"""Clocks differ; a window that ends further ahead than this waits in its spool (CORE §2)."""
SHORTEST_JUDGED_MS = 1_000
"""A counter moves in steps of up to about a tenth of a second (NVML), so that a shorter window may hold a step of its neighbour."""
GREATEST_POWER_MW = 10**12
"""1 GW, for a meter that does not know its own: what a month of it adds up to still fits 64 bits."""
COUNTED = "counted"


def closed_through(rows: Rows) -> int:
    """Return the last closed month, yyyymm, or 0."""
    found = one(rows, "SELECT MAX(month) FROM month_close")
    return int(found[0] or 0) if found else 0


class _OfMeter:
    """What one reader has said of one meter in the stretch that a batch touches: stored, and accepted from the batch so far."""

    __slots__ = ("ends", "later", "starts", "uses", "windows")

    def __init__(self, windows: Iterable[Row], uses: Iterable[Row]) -> None:
        self.windows = {row[2]: row for row in windows}
        self.uses = {(row[2], row[3]): row for row in uses}
        self.starts = sorted(self.windows)
        self.ends = [self.windows[start][3] for start in self.starts]
        self.later: set[int] = set()

    def overlapped(self, start_ms: int, end_ms: int) -> tuple[int, int] | None:
        """Return a window that overlaps, as its bounds, or None."""
        at = bisect_left(self.starts, start_ms)
        if at and self.ends[at - 1] > start_ms:
            return self.starts[at - 1], self.ends[at - 1]
        if at < len(self.starts) and self.starts[at] < end_ms:
            return self.starts[at], self.ends[at]
        return None

    def add(self, row: Row) -> None:
        at = bisect_left(self.starts, row[2])
        self.starts.insert(at, row[2])
        self.ends.insert(at, row[3])
        self.windows[row[2]] = row


class Measured:
    """Decides the windows and uses of a batch, in the order in which they stand there."""

    def __init__(
        self, rows: Rows, batch: Batch, meters: dict[str, Row], accepted: dict[str, list[Row]], now_ms: int
    ) -> None:
        self._reader = batch.reader.reader
        self._meters = meters
        self._latest_ms = now_ms + FUTURE_TOLERANCE_MS
        self._windows = accepted.setdefault("meter_window", [])
        self._uses = accepted.setdefault("meter_use", [])
        self._of = _neighbourhoods(rows, batch)

    def window(self, fact: Window) -> Verdict:
        """Return the verdict on a window."""
        meter = self._meters.get(fact.meter)
        if meter is None:
            return refused(
                "unknown_meter", f"no meter {fact.meter!r} was ever sent: send the meter first, or with the window"
            )
        beside = self._of[fact.meter]
        _, row = row_of(fact, self._reader)
        found = beside.windows.get(fact.start_ms)
        if found is not None:
            return _same_or_conflict(found, row, f"a window of {fact.meter!r} at {fact.start_ms}")
        if fact.end_ms > self._latest_ms:
            beside.later.add(fact.start_ms)
            ahead = fact.end_ms - self._latest_ms + FUTURE_TOLERANCE_MS
            return later(
                "window_from_the_future", f"it ends {ahead} ms ahead of the ledger's clock: check the host's clock"
            )
        overlapped = beside.overlapped(fact.start_ms, fact.end_ms)
        if overlapped is not None:
            start, end = overlapped
            return refused(
                "window_overlaps",
                f"[{fact.start_ms}, {fact.end_ms}) overlaps [{start}, {end}) of the same meter and reader",
            )
        amount = fact.estimate_mj if fact.energy_mj is None else fact.energy_mj
        implausible = _implausible(amount or 0, fact.end_ms - fact.start_ms, meter)
        if implausible is not None:
            return implausible
        beside.add(row)
        self._windows.append(row)
        return STORED

    def use(self, fact: Use) -> Verdict:
        """Return the verdict on a use."""
        meter = self._meters.get(fact.meter)
        if meter is None:
            return refused(
                "unknown_meter", f"no meter {fact.meter!r} was ever sent: send the meter first, or with the use"
            )
        beside = self._of[fact.meter]
        _, row = row_of(fact, self._reader)
        found = beside.uses.get((fact.start_ms, fact.run))
        if found is not None:
            return _same_or_conflict(found, row, f"a use of {fact.meter!r} at {fact.start_ms} by {fact.run!r}")
        if fact.start_ms in beside.later:
            return later("window_from_the_future", "its window has to be retried later")
        window = beside.windows.get(fact.start_ms)
        if window is None:
            return refused(
                "use_without_window", f"reader {self._reader!r} has no window of {fact.meter!r} at {fact.start_ms}"
            )
        if fact.time_ms > MILLISECONDS_PER_HOUR:
            return refused("time_above_an_hour", f"time_ms {fact.time_ms}: a window lies within one hour")
        implausible = _implausible(fact.energy_mj, window[3] - window[2], meter)
        if implausible is not None:
            return implausible
        beside.uses[fact.start_ms, fact.run] = row
        self._uses.append(row)
        return STORED

    def marks(self, closed: int) -> Iterator[Mark]:
        """Yield what the stored windows and uses make due; check meters are never booked.

        Args:
            closed: The last closed month, yyyymm, or 0.
        """
        touched = {(row[0], row[2] // MILLISECONDS_PER_DAY) for rows in (self._windows, self._uses) for row in rows}
        for meter, day in sorted(touched):
            if self._meters[meter][5] == COUNTED:
                cause = "late" if month_of_day(day) <= closed else "first"
                yield Mark(SOURCE, meter, day, day, cause)


def _same_or_conflict(found: Row, row: Row, what: str) -> Verdict:
    if found == row:
        return ALREADY_STORED
    return conflict(
        "other_content", f"{what} is stored with other content: what was wrong is corrected, never replaced"
    )


def _implausible(energy_mj: int, length_ms: int, meter: Row) -> Verdict | None:
    """Return the refusal of energy that the meter's device cannot have drawn in the time, or None."""
    component, power_mw = meter[3], meter[6]
    if power_mw == 0 and component != "time":
        power_mw = GREATEST_POWER_MW
    judged_ms = max(length_ms, SHORTEST_JUDGED_MS)
    if energy_mj * 1_000 * 100 <= power_mw * judged_ms * PLAUSIBLE_OVERSHOOT_PERCENT:
        return None
    return refused(
        "implausible_power",
        f"{energy_mj} mJ in {length_ms} ms is above {PLAUSIBLE_OVERSHOOT_PERCENT} % of the meter's greatest power of {power_mw} mW",
    )


def _neighbourhoods(rows: Rows, batch: Batch) -> dict[str, _OfMeter]:
    """Return, per meter that the batch names, what its reader has said around the batch's windows."""
    starts: defaultdict[str, list[int]] = defaultdict(list)
    for fact in batch.facts():
        if isinstance(fact, (Window, Use)):
            starts[fact.meter].append(fact.start_ms)
    return {meter: _around(rows, meter, batch.reader.reader, min(at), max(at)) for meter, at in starts.items()}


def _around(rows: Rows, meter: str, reader: str, first_ms: int, last_ms: int) -> _OfMeter:
    # A window is at most an hour long and crosses none: whatever overlaps begins in the hours of the batch's first and last window.
    first_ms -= first_ms % MILLISECONDS_PER_HOUR
    bounds: dict[str, int | str] = {
        "meter": meter, "reader": reader, "first_ms": first_ms, "last_ms": last_ms + MILLISECONDS_PER_HOUR,
    }  # fmt: skip
    within = "WHERE meter = :meter AND start_ms >= :first_ms AND start_ms <= :last_ms AND reader = :reader"
    found = [
        rows.rows(f"SELECT {', '.join(SHAPES[table].columns)} FROM {table} {within}", **bounds)
        for table in ("meter_window", "meter_use")
    ]
    return _OfMeter(*found)
