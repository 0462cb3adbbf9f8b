"""What a run cost, by what lies in this machine's spool: the ledger's own rules on the windows that were written so far.

Provisional until it is booked: windows of other machines, later factors and late corrections are only in the book. Loaded when a
footprint is asked for, and never before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from joulebook_collectors.delivery.spools import frames_about, read_snapshot
from joulebook_collectors.spool.folders import READER, read_frame
from joulebook_ledger.core.booking import target_of_day
from joulebook_ledger.core.periods import hour_of
from joulebook_ledger.core.records import Meter, Reader, Use, Window
from joulebook_ledger.core.refusals import JoulebookError
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.core.timeline import ReaderWindows, UsageRow, WindowUses, lay_hour
from joulebook_ledger.core.wire import from_wire
from joulebook_ledger.figures.footprints import Portion, Pricer, footprint

if TYPE_CHECKING:
    from joulebook_collectors.spool.segments import Frame
    from joulebook_ledger.bodies import FootprintRow
    from joulebook_ledger.settings import Settings

GPU, CPU = "gpu", "cpu"


class Footprint:
    """The figures of one run, as attributes; what is unknown is None.

    energy_kwh, cost (decimal text), currency, co2e_location_kg, co2e_market_kg, co2e_embodied_kg, water_l, duration_s, coverage,
    measured_share, known_share and uncertainty (by figure), and whatever else a row of a report has.

    Attributes:
        row: All of them, as a report has them.
        provisional: True until the book says otherwise.
    """

    __slots__ = ("provisional", "row")

    def __init__(self, row: FootprintRow, *, provisional: bool = True) -> None:
        """Take the row."""
        self.row = row
        self.provisional = provisional

    def __getattr__(self, name: str) -> Any:
        """Return a figure by its name; None where it is unknown."""
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in FIGURES:
            message = f"a footprint has no {name!r}: it has {', '.join(FIGURES)}"
            raise AttributeError(message)
        return self.row.get(name)

    def __repr__(self) -> str:
        """Show the figures that are known."""
        known = {name: self.row.get(name) for name in FIGURES if self.row.get(name) is not None}
        return f"Footprint({', '.join(f'{name}={value!r}' for name, value in known.items())})"


FIGURES = (
    "energy_kwh", "facility_energy_kwh", "unmetered_estimate_kwh", "held_unused_kwh", "cost", "currency", "cost_energy",
    "cost_instance", "co2e_location_kg", "co2e_market_kg", "co2e_embodied_kg", "water_l", "duration_s", "device_hours", "coverage",
    "measured_share", "known_share", "uncertainty", "reasons", "grade", "sentence",
)  # fmt: skip


def unknown_footprint(duration_s: float) -> Footprint:
    """Return the footprint of a run of which nothing is recorded."""
    return Footprint(footprint([], currency="", duration_ms=int(duration_s * 1000), runs=1))


def footprint_of(run: str, boot_folder: str, settings: Settings, *, duration_s: float) -> Footprint:
    """Return the footprint of a run by one spool.

    Args:
        run: Its id.
        boot_folder: The spool's folder.
        settings: What is set.
        duration_s: How long it took so far.
    """
    reader = read_frame(f"{boot_folder}/{READER}")
    book = _book(settings)
    portions: list[Portion] = []
    if reader is not None:
        described = from_wire("reader", Reader, dict(reader))
        portions = list(_portions(run, described, frames_about(boot_folder, run), book))
    row = footprint(
        portions, currency=book.currency, account=run, figure=f"run:{run}", duration_ms=int(duration_s * 1000), runs=1
    )
    return Footprint(row)


def _book(settings: Settings) -> FactorBook:
    snapshot = read_snapshot(settings)
    try:
        return FactorBook.from_bytes(snapshot) if snapshot else FactorBook()
    except JoulebookError:
        return FactorBook()


def _portions(run: str, reader: Reader, frames: Iterable[Frame], book: FactorBook) -> Iterator[Portion]:
    meters, windows = _windows(frames)
    pricer = Pricer(book)
    device = GPU if any(meter.component == GPU for meter in meters.values()) else CPU
    for key, its_windows in windows.items():
        meter = meters.get(key)
        if meter is None:
            continue
        hours = _hours(reader, its_windows)
        rates = {hour: book.rates(reader.machine, meter.component, meter.boundary, hour) for hour in hours}
        target = target_of_day(hours, rates.__getitem__)
        pricing = pricer.of(reader.machine, meter.component, min(hours), max(hours))
        for (account, method), amounts in target.postings.items():
            if account == run:
                yield Portion(
                    meter.component, meter.boundary, meter.label, method, amounts, pricing, meter.component == device
                )


def _windows(frames: Iterable[Frame]) -> tuple[dict[str, Meter], dict[str, list[WindowUses]]]:
    """Return meters, and windows with their uses; what a successor wrote once more counts once."""
    meters: dict[str, Meter] = {}
    windows: dict[tuple[str, int], Window] = {}
    uses: dict[tuple[str, int], dict[str, Use]] = defaultdict(dict)
    for frame in frames:
        for item in frame.get("meters", ()):
            meter = from_wire("meters", Meter, item)
            meters[meter.key] = meter
        for kind in ("readings", "gaps"):
            for item in frame.get(kind, ()):
                windows[item["meter"], item["start_ms"]] = from_wire(kind, Window, item)
        for item in frame.get("uses", ()):
            uses[item["meter"], item["start_ms"]][item["run"]] = from_wire("uses", Use, item)
    by_meter: dict[str, list[WindowUses]] = defaultdict(list)
    for (meter_key, start_ms), window in sorted(windows.items()):
        by_meter[meter_key].append(WindowUses(window=window, uses=tuple(uses[meter_key, start_ms].values())))
    return meters, by_meter


def _hours(reader: Reader, windows: list[WindowUses]) -> dict[int, tuple[UsageRow, ...]]:
    by_hour: dict[int, list[WindowUses]] = defaultdict(list)
    for window in windows:
        by_hour[hour_of(window.window.start_ms)].append(window)
    return {
        hour: lay_hour(hour, [ReaderWindows(rank=reader.rank, reader=reader.reader, windows=tuple(its))]).rows
        for hour, its in by_hour.items()
    }
