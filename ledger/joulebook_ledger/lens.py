"""What turns amounts of the journal into rows of figures: which meter, machine and site they are of, and how they were priced.

Loaded once per question from one snapshot of the book; pure from then on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.footprints import Portion, Pricer, footprint
from joulebook_ledger.store import reads
from joulebook_ledger.store.reads import NO_LIMIT, MeterInfo
from joulebook_ledger.store.reads_amounts import Cell

if TYPE_CHECKING:
    from joulebook_ledger.bodies import FootprintRow
    from joulebook_ledger.core.pricing import Amounts
    from joulebook_ledger.footprints import Pricing
    from joulebook_ledger.store.rows import Rows

HOURS_PER_DAY = 24
_DEVICES = ("gpu", "cpu")


def total(amounts: Sequence[Amounts]) -> Amounts:
    """Return the sum of rows of amounts, column by column."""
    return amounts[0] if len(amounts) == 1 else tuple(map(sum, zip(*amounts, strict=True)))


class Lens:
    """One snapshot's meters, machines, sites and factors."""

    def __init__(self, rows: Rows, link: int = NO_LIMIT) -> None:
        self._rows = rows
        self._link = link
        self.meters = reads.meters(rows)
        self.hosts = reads.hosts(rows, link)
        self._stays: defaultdict[str, list[reads.MachineDays]] = defaultdict(list)
        for stay in reads.machine_days(rows):
            self._stays[stay.source].append(stay)
        self._places: dict[tuple[str, int], str] = {}

    @cached_property
    def book(self) -> FactorBook:
        """All factors, prices, sites and placements."""
        return reads.factor_book(self._rows, self._link)

    @cached_property
    def pricer(self) -> Pricer:
        """How meters were priced."""
        return Pricer(self.book)

    @property
    def currency(self) -> str:
        """The book's currency; empty while it has none."""
        return self.book.currency

    @property
    def has_moved(self) -> bool:
        """Whether any source stood in more than one machine."""
        return any(len(stays) > 1 for stays in self._stays.values())

    def meter(self, source: str) -> MeterInfo:
        """Return what a source is; what is no meter is described by its name alone."""
        found = self.meters.get(source)
        return found or MeterInfo(source, source, source, "other", "it", "counted", "")

    def machine(self, cell: Cell) -> str:
        """Return the machine that a cell's source stood in: on its day, or for most of its stretch; empty where none is known."""
        stays = self._stays.get(cell.source, ())
        if len(stays) <= 1:
            return stays[0].machine if stays else ""
        if cell.first_day == cell.last_day:
            return self._machine_on(cell.source, cell.first_day)
        overlap = [min(s.last_day, cell.last_day) - max(s.first_day, cell.first_day) for s in stays]
        return stays[overlap.index(max(overlap))].machine

    def site(self, cell: Cell) -> str:
        """Return the site that a cell's machine stood at, on its last day; empty where nobody said."""
        site = self.book.place(self.machine(cell), (cell.last_day + 1) * MILLISECONDS_PER_DAY - 1)
        return site.site if site else ""

    def host(self, cell: Cell) -> str:
        """Return the name for people of a cell's machine, or else its id."""
        machine = self.machine(cell)
        return self.hosts.get(machine, machine)

    def pricing(self, cell: Cell) -> Pricing:
        """Return how a cell was priced."""
        first, last = cell.first_day * HOURS_PER_DAY, (cell.last_day + 1) * HOURS_PER_DAY - 1
        return self.pricer.of(self.machine(cell), self.meter(cell.source).component, first, last)

    def portions(self, cells: Iterable[Cell]) -> list[Portion]:
        """Return cells as portions, those alike in all but their amounts added together."""
        alike: defaultdict[tuple[str, str, int, int], list[Amounts]] = defaultdict(list)
        for _, source, method, first_day, last_day, amounts in cells:
            alike[source, method, first_day, last_day].append(amounts)
        merged: defaultdict[tuple[str, str, str, str, int, bool], list[Amounts]] = defaultdict(list)
        pricings: dict[int, Pricing] = {}
        # In a fixed order, so that sums of floats are the same however the amounts were read.
        for (source, method, first_day, last_day), some in sorted(alike.items()):
            sample = Cell("", source, method, first_day, last_day, ())
            meter, pricing = self.meter(source), self.pricing(sample)
            pricings[id(pricing)] = pricing
            is_device = meter.component == self._device_component.get(self.machine(sample), "cpu")
            key = (meter.component, meter.boundary, meter.label, method, id(pricing), is_device)
            merged[key] += some
        return [
            Portion(component, boundary, label, method, total(amounts), pricings[pricing], is_device)
            for (component, boundary, label, method, pricing, is_device), amounts in merged.items()
        ]

    def footprint(
        self,
        cells: Iterable[Cell],
        *,
        account: str = "",
        figure: str = "",
        duration_ms: int | None = None,
        runs: int = 0,
    ) -> FootprintRow:
        """Return the row of figures of these cells."""
        return footprint(
            self.portions(cells),
            currency=self.currency,
            account=account,
            figure=figure,
            duration_ms=duration_ms,
            runs=runs,
        )

    @cached_property
    def _device_component(self) -> dict[str, str]:
        """Which component of a machine counts as its devices: accelerators where it has any."""
        found: dict[str, str] = {}
        for source, stays in self._stays.items():
            component = self.meter(source).component
            for stay in stays:
                if component in _DEVICES and found.get(stay.machine) != _DEVICES[0]:
                    found[stay.machine] = component
        return found

    def stand_in(self, source: str, day: int, machine: str) -> None:
        """Take note that a source stood in a machine on a day that is not booked yet."""
        if not self._stays.get(source) and machine:
            self._stays[source].append(reads.MachineDays(source, machine, day, day))
            self.__dict__.pop("_device_component", None)

    def _machine_on(self, source: str, day: int) -> str:
        if (source, day) not in self._places:
            self._places.update(reads.placed_days(self._rows, day, day))
        return self._places.get((source, day), "")
