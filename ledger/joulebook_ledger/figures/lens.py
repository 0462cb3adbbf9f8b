"""What turns amounts of the journal into rows of figures: which meter, machine and site they are of, and how they were priced.

Loaded once per question from one snapshot of the book; pure from then on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

from joulebook_ledger.core.billing import account_of_source
from joulebook_ledger.core.resolution import KINDS, TIME, FactorBook
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.figures.footprints import Portion, Pricer, Pricing, Sourcing, footprint
from joulebook_ledger.figures.remedies import LINES_OF_A_BILL, NO_EXCHANGE_RATE
from joulebook_ledger.store import reads
from joulebook_ledger.store.bill_reads import Delivery, deliveries, newest
from joulebook_ledger.store.reads import NO_LIMIT, MeterInfo
from joulebook_ledger.store.reads_amounts import Cell

if TYPE_CHECKING:
    from joulebook_ledger.bodies import FootprintRow
    from joulebook_ledger.core.pricing import Amounts
    from joulebook_ledger.store.rows import Rows

HOURS_PER_DAY = 24
DEVICES = ("gpu", "cpu")
OF_A_BILL: Pricing = {
    kind: Sourcing("", 0.0, LINES_OF_A_BILL, applicable=False) for kind in KINDS if kind != "instance_price"
} | {"instance_price": Sourcing("bill", 0.0, NO_EXCHANGE_RATE, applicable=True)}
"""How lines of a bill that stand in no machine are priced: they are money, and nothing else is known or asked of them."""


class Stay(NamedTuple):
    """Where a source stood over a stretch of days, with the name of the machine and its site."""

    source: str
    first_day: int
    last_day: int
    machine: str
    host: str
    site: str


CellKey = tuple[str, int, int, int]
"""Source, first and last day, and closed month of a cell."""


class Nature(NamedTuple):
    """What cells are that differ in nothing but account and method: of what kind of meter, and how it was priced."""

    component: str
    boundary: str
    label: str
    pricing: Pricing
    is_device: bool


class Sealed(Protocol):
    """What a close sealed of its sources (`closing.seal.Seal`)."""

    @property
    def book(self) -> FactorBook:
        """The factors that were known at the close."""
        ...

    def stay(self, cell: Cell) -> Stay | None:
        """Return where a cell's source stood, or None where the seal does not say."""
        ...

    def pricing(self, stay: Stay) -> Pricing:
        """Return how a source was priced in a stay."""
        ...

    @property
    def natures(self) -> dict[CellKey, Nature]:
        """What is known already of cells of this month."""
        ...

    @property
    def sources_in(self) -> Mapping[str, Collection[str]]:
        """The sources that stood in each machine."""
        ...


def total(amounts: Sequence[Amounts]) -> Amounts:
    """Return the sum of rows of amounts, column by column."""
    return amounts[0] if len(amounts) == 1 else tuple(map(sum, zip(*amounts, strict=True)))


def merged(cells: Iterable[Cell]) -> list[Cell]:
    """Return cells with those of one source, method and stretch added up, whoever bore them; in a fixed order."""
    alike: defaultdict[tuple[str, str, int, int, int], list[Amounts]] = defaultdict(list)
    for _, source, method, first_day, last_day, amounts, closed in cells:
        alike[source, method, first_day, last_day, closed].append(amounts)
    return [
        Cell("", source, method, first_day, last_day, total(some), closed)
        for (source, method, first_day, last_day, closed), some in sorted(alike.items())
    ]


class Lens:
    """One snapshot's meters, machines, sites and factors; of cells of closed months what their seals say.

    All of it is read when it is first asked for: of a book by the hour the factors alone are more than a month's amounts.
    """

    def __init__(
        self,
        rows: Rows,
        link: int = NO_LIMIT,
        seals: Mapping[int, Sealed] | None = None,
        days: tuple[int, int] | None = None,
    ) -> None:
        """Look at a snapshot.

        Args:
            rows: The snapshot.
            link: Up to which link it is looked at.
            seals: Of the closed months.
            days: First and last day that any cell can be of; None where it may be any.
        """
        self._rows = rows
        self._link = link
        self._seals = seals or {}
        self._days = days
        self._places: dict[tuple[str, int], str] = {}
        self._natures: dict[CellKey, Nature] = {}

    @cached_property
    def meters(self) -> dict[str, MeterInfo]:
        """Every meter by its id."""
        return reads.meters(self._rows)

    @cached_property
    def hosts(self) -> dict[str, str]:
        """The name for people of every machine."""
        return reads.hosts(self._rows, self._link)

    @cached_property
    def _stays(self) -> defaultdict[str, list[reads.MachineDays]]:
        stays: defaultdict[str, list[reads.MachineDays]] = defaultdict(list)
        for stay in reads.machine_days(self._rows, self._link, self._days):
            stays[stay.source].append(stay)
        return stays

    @cached_property
    def book(self) -> FactorBook:
        """All factors, prices, sites and placements."""
        return reads.factor_book(self._rows, self._link)

    @cached_property
    def pricer(self) -> Pricer:
        """How meters were priced."""
        return Pricer(self.book)

    def book_of(self, cell: Cell) -> FactorBook:
        """Return the factors that priced a cell."""
        return self._seals[cell.closed].book if cell.closed in self._seals else self.book

    @cached_property
    def currency(self) -> str:
        """The book's currency; empty while it has none."""
        return reads.currency(self._rows, self._link) or next((its.currency for its in self._deliveries), "")

    def is_any_factor_from(self, kind: str, prefix: str) -> bool:
        """Say whether any factor of a kind has a source that begins so."""
        return reads.is_any_factor_from(self._rows, kind, prefix)

    @cached_property
    def _deliveries(self) -> list[Delivery]:
        return deliveries(self._rows, self._link)

    def bills(self, cell: Cell) -> list[Delivery]:
        """Return the bills that a cell of an account's bills is made of."""
        return [
            its
            for its in newest(self._deliveries).values()
            if (its.provider, its.account) == account_of_source(cell.source)
            and cell.first_day < its.days.stop
            and its.days.start <= cell.last_day
        ]

    @property
    def has_moved(self) -> bool:
        """Whether any source stood in more than one machine."""
        return any(len(stays) > 1 for stays in self._stays.values())

    def meter(self, source: str) -> MeterInfo:
        """Return what a source is; what is no meter is described by its name alone."""
        found = self.meters.get(source)
        if found is None and account_of_source(source):
            return MeterInfo(source, source, source, TIME, "it", "counted", "")
        return found or MeterInfo(source, source, source, "other", "it", "counted", "")

    def machine(self, cell: Cell) -> str:
        """Return the machine that a cell's source stood in: on its day, or for most of its stretch; empty where none is known."""
        if sealed := self._sealed(cell):
            return sealed.machine
        stays = self._stays.get(cell.source, ())
        if len(stays) <= 1:
            return stays[0].machine if stays else ""
        if cell.first_day == cell.last_day:
            return self._machine_on(cell.source, cell.first_day)
        overlap = [min(s.last_day, cell.last_day) - max(s.first_day, cell.first_day) for s in stays]
        return stays[overlap.index(max(overlap))].machine

    def site(self, cell: Cell) -> str:
        """Return the site that a cell's machine stood at, on its last day; empty where nobody said."""
        sealed = self._sealed(cell)
        return sealed.site if sealed else self.site_of(self.machine(cell), cell.last_day)

    def site_of(self, machine: str, day: int) -> str:
        """Return the site of a machine at the end of a day; empty where nobody said."""
        site = self.book.place(machine, (day + 1) * MILLISECONDS_PER_DAY - 1)
        return site.site if site else ""

    def host(self, cell: Cell) -> str:
        """Return the name for people of a cell's machine, or else its id."""
        if sealed := self._sealed(cell):
            return sealed.host
        machine = self.machine(cell)
        return self.hosts.get(machine, machine)

    def pricing(self, cell: Cell) -> Pricing:
        """Return how a cell was priced."""
        if sealed := self._sealed(cell):
            return self._seals[cell.closed].pricing(sealed)
        if account_of_source(cell.source):
            return OF_A_BILL
        return self.pricing_in(self.machine(cell), cell)

    def pricing_in(self, machine: str, cell: Cell) -> Pricing:
        """Return how a cell is priced if its source stands in a machine."""
        first, last = cell.first_day * HOURS_PER_DAY, (cell.last_day + 1) * HOURS_PER_DAY - 1
        return self.pricer.of(machine, self.meter(cell.source).component, first, last)

    def _is_device(self, cell: Cell, component: str) -> bool:
        """Say whether a cell's time counts as device hours."""
        if sealed := self._sealed(cell):
            return component == self._sealed_devices(cell.closed, sealed.machine)
        return component == self._device_component.get(self.machine(cell), DEVICES[1])

    def _sealed(self, cell: Cell) -> Stay | None:
        seal = self._seals.get(cell.closed)
        return seal.stay(cell) if seal else None

    def _sealed_devices(self, month: int, machine: str) -> str:
        key = (month, machine)
        if key not in self._devices_then:
            there = {self.meter(source).component for source in self._seals[month].sources_in[machine]}
            self._devices_then[key] = DEVICES[0] if DEVICES[0] in there else DEVICES[1]
        return self._devices_then[key]

    @cached_property
    def _devices_then(self) -> dict[tuple[int, str], str]:
        return {}

    def portions(self, cells: Iterable[Cell]) -> list[Portion]:
        """Return cells as portions, those alike in all but their amounts added together."""
        alike: defaultdict[tuple[str, str, str, str, int, bool], list[Amounts]] = defaultdict(list)
        pricings: dict[int, Pricing] = {}
        # In a fixed order, so that sums of floats are the same however the amounts were read.
        for cell in merged(cells):
            its = self._nature(cell)
            pricings[id(its.pricing)] = its.pricing
            alike[its.component, its.boundary, its.label, cell.method, id(its.pricing), its.is_device].append(
                cell.amounts
            )
        return [
            Portion(component, boundary, label, method, total(amounts), pricings[pricing], is_device)
            for (component, boundary, label, method, pricing, is_device), amounts in alike.items()
        ]

    def _nature(self, cell: Cell) -> Nature:
        key = (cell.source, cell.first_day, cell.last_day, cell.closed)
        known = self._seals[cell.closed].natures if cell.closed in self._seals else self._natures
        its = known.get(key)
        if its is None:
            meter = self.meter(cell.source)
            is_device = self._is_device(cell, meter.component)
            its = Nature(meter.component, meter.boundary, meter.label, self.pricing(cell), is_device)
            known[key] = its
        return its

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
                if component in DEVICES and found.get(stay.machine) != DEVICES[0]:
                    found[stay.machine] = component
        return found

    def stand_in(self, source: str, day: int, machine: str) -> None:
        """Take note that a source stood in a machine on a day that is not booked yet."""
        if not self._stays.get(source) and machine:
            self._stays[source].append(reads.MachineDays(source, machine, day, day))
            self.__dict__.pop("_device_component", None)
            self._natures.clear()

    def _machine_on(self, source: str, day: int) -> str:
        if (source, day) not in self._places:
            self._places.update(reads.placed_days(self._rows, day, day))
        return self._places.get((source, day), "")
