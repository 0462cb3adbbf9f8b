"""What a close seals beside its totals, and how it is read again: sources, labels and figures as they were.

A closed report is made from these and from nothing that can still change: not from where a machine is said to have stood today, nor
from factors, names or labels of today. As it can never change, a process reads it once and keeps it for the next report: under the digest
of the link that seals it, so that no other book, and no other content, is ever taken for it.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict, defaultdict
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from joulebook_ledger.core.vocabulary import RESERVED_ACCOUNTS
from joulebook_ledger.figures.footprints import Sourcing
from joulebook_ledger.figures.lens import CellKey, Lens, Nature, Stay
from joulebook_ledger.store import reads, reads_closed
from joulebook_ledger.store.reads_amounts import Cell
from joulebook_ledger.store.reads_closed import SealedSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from joulebook_ledger.core.resolution import FactorBook
    from joulebook_ledger.figures.footprints import Pricing
    from joulebook_ledger.figures.runfacts import RunFacts
    from joulebook_ledger.store.rows import Rows


def canonical(value: object) -> str:
    """Return a value as JSON, the same text for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Content:
    """What one close sealed of amounts and of their sources.

    Attributes:
        totals: The amounts.
        stays: Source -> where it stood.
        sources_in: Machine -> the sources that stood in it.
        natures: What a lens has found its cells to be.
    """

    def __init__(self, totals: list[Cell], sources: Iterable[SealedSource]) -> None:
        """Take what was read."""
        self.totals = totals
        self.stays: defaultdict[str, list[Stay]] = defaultdict(list)
        self.sources_in: defaultdict[str, set[str]] = defaultdict(set)
        self.natures: dict[CellKey, Nature] = {}
        self._pricing: dict[tuple[str, int], str] = {}
        self._parsed: dict[str, Pricing] = {}
        for its in sources:
            self.stays[its.source].append(Stay(*its[:6]))
            self.sources_in[its.machine].add(its.source)
            self._pricing[its.source, its.first_day] = its.pricing

    def pricing(self, stay: Stay) -> Pricing:
        """Return how a source was priced in a stay; equal ones are one object."""
        text = self._pricing[stay.source, stay.first_day]
        if text not in self._parsed:
            self._parsed[text] = {kind: Sourcing(*said) for kind, said in json.loads(text).items()}
        return self._parsed[text]


class Shelf:
    """The contents read last, each under what it is sealed by, up to so many cells in all."""

    def __init__(self, most_cells: int) -> None:
        """Keep nothing yet."""
        self._most_cells = most_cells
        self._kept: OrderedDict[tuple[str, int], Content] = OrderedDict()
        self._guard = threading.Lock()

    def content(self, rows: Rows, month: int, link: int) -> Content:
        """Return what a close sealed of a month, read from a snapshot where it is not kept; by its link it is known."""
        sealed_by = reads.link_of(rows, link)
        key = (sealed_by.digest if sealed_by else "", month)
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = Content(reads_closed.totals(rows, month), reads_closed.sources(rows, month))
        if sealed_by:
            self._keep(key, found)
        return found

    def _keep(self, key: tuple[str, int], content: Content) -> None:
        with self._guard:
            self._kept[key] = content
            while sum(len(its.totals) for its in self._kept.values()) > self._most_cells:
                self._kept.popitem(last=False)


# A year of a hundred meters, some 40 MB.
SHELF = Shelf(most_cells=40_000)


class Seal:
    """What one close sealed, in a snapshot of its book.

    Attributes:
        month: The closed month.
        link: The link of its close.
    """

    def __init__(self, rows: Rows, month: int, link: int) -> None:
        """Take the snapshot."""
        self._rows = rows
        self.month = month
        self.link = link

    @cached_property
    def _content(self) -> Content:
        return SHELF.content(self._rows, self.month, self.link)

    @property
    def totals(self) -> list[Cell]:
        """The sealed amounts."""
        return self._content.totals

    @cached_property
    def book(self) -> FactorBook:
        """The factors that were known at the close."""
        return reads.factor_book(self._rows, self.link)

    @property
    def natures(self) -> dict[CellKey, Nature]:
        """What a lens has found cells of this month to be."""
        return self._content.natures

    def stay(self, cell: Cell) -> Stay | None:
        """Return where a cell's source stood for most of its stretch, or None where the seal does not say."""
        stays = self._content.stays.get(cell.source)
        if not stays:
            return None
        if len(stays) == 1:
            return stays[0]
        return max(stays, key=lambda s: min(s.last_day, cell.last_day) - max(s.first_day, cell.first_day))

    def pricing(self, stay: Stay) -> Pricing:
        """Return how a source was priced in a stay; equal ones are one object."""
        return self._content.pricing(stay)

    @property
    def sources_in(self) -> Mapping[str, set[str]]:
        """The sources that stood in each machine."""
        return self._content.sources_in

    @cached_property
    def complete_until_ms(self) -> int | None:
        """Until when the readers had told everything at the close."""
        return reads.complete_until_ms(self._rows, self.link)

    @property
    def has_moved(self) -> bool:
        """Whether any source stood in more than one place within the month."""
        return any(len(stays) > 1 for stays in self._content.stays.values())


def sources_of(rows: Rows, lens: Lens, cells: Iterable[Cell]) -> Iterator[SealedSource]:
    """Yield where the sources of cells stood, machine by machine, and how they were priced there.

    Args:
        rows: The booker's transaction.
        lens: What is known as the month is closed.
        cells: All that is booked in the month, of itself and of months before.
    """
    stretches = sorted({(cell.source, cell.first_day, cell.last_day) for cell in cells})
    placed: dict[tuple[int, int], dict[tuple[str, int], str]] = {}
    for source, first, last in stretches:
        if (first, last) not in placed:
            placed[first, last] = reads.placed_days(rows, first, last)
        days = [(day, placed[first, last].get((source, day), "")) for day in range(first, last + 1)]
        stays = _stays_of([its for its in days if its[1]]) or [(first, last, "")]
        for began, ended, machine in stays:
            cell = Cell("", source, "", began, ended, ())
            pricing = canonical({kind: list(said) for kind, said in lens.pricing_in(machine, cell).items()})
            host, site = lens.hosts.get(machine, machine), lens.site_of(machine, ended)
            yield SealedSource(source, began, ended, machine, host, site, pricing)


def _stays_of(days: Sequence[tuple[int, str]]) -> list[tuple[int, int, str]]:
    stays = []
    for machine, its in groupby(days, key=lambda day: day[1]):
        listed = [day for day, _ in its]
        stays.append((listed[0], listed[-1], machine))
    return stays


def labels_of(rows: Rows, month: int, runs: Mapping[str, RunFacts], accounts: Iterable[str]) -> dict[str, str]:
    """Return the labels to seal: of every run that anything was booked of, and of those that carry others than their newest seal says.

    Args:
        rows: The booker's transaction.
        month: The month.
        runs: What is known of runs: those with energy, and those that may have been relabelled.
        accounts: All to which anything was booked in the month.
    """
    own = set(accounts).difference(RESERVED_ACCOUNTS)
    told = {run: canonical(runs[run].labels if run in runs else {}) for run in sorted(own | runs.keys())}
    sealed = {run: canonical(its) for run, its in reads_closed.labels(rows, month, sorted(told)).items()}
    return {run: text for run, text in told.items() if run in own or sealed.get(run, text) != text}
