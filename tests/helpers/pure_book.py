"""A book held in memory: batches in, targets out, by the functions of core alone. No database; the shortest way through the rule."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from joulebook_ledger.core.booking import Target, target_of_day
from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.facts import Correction, Restatement
from joulebook_ledger.core.pricing import COLUMNS, Rates
from joulebook_ledger.core.records import Meter, Reader, Use, Window
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.core.timeline import HourUsage, ReaderWindows, WindowUses, lay_hour
from joulebook_ledger.core.versions import ALL_OPEN, History, Known, Restated
from joulebook_ledger.core.vocabulary import ONE_PER_DEVICE
from joulebook_ledger.core.wire import Batch

HOURS_PER_DAY = 24
WindowKey = tuple[str, str, int]


class PureBook:
    """What the books must hold after these batches; what a correction voids is left out."""

    def __init__(
        self, batches: Iterable[Batch], links: Sequence[int] = (), closes: Sequence[tuple[int, int]] = ()
    ) -> None:
        """Take batches in the order in which they came, the link that seals each, and (month, link) of every close."""
        self.readers: dict[str, Reader] = {}
        self.meters: dict[str, Meter] = {}
        self.windows: dict[WindowKey, Window] = {}
        self.uses: dict[WindowKey, dict[str, Use]] = defaultdict(dict)
        self.learnt: dict[str, dict[tuple[object, ...], Known[Any]]] = {"factor": {}, "site": {}, "placement": {}}
        self.restated: dict[tuple[object, ...], Restatement] = {}
        voided: list[tuple[int, Correction]] = []
        for known, batch in enumerate(batches):
            self.readers.setdefault(batch.reader.reader, batch.reader)
            link = links[known] if links else 0
            for fact in batch.facts():
                if isinstance(fact, Correction):
                    voided.append((link, fact))
                else:
                    self._take(batch.reader.reader, known, link, fact)
        gone = [self._void(link, correction.table, tuple(json.loads(correction.key))) for link, correction in voided]
        restated = tuple(
            Restated(r.from_month, r.to_month, r.kind, r.object, r.provider, r.factors_known)
            for r in self.restated.values()
        )
        history = History(tuple(closes), restated, tuple(known for known in gone if known)) if closes else ALL_OPEN
        known = (list(self.learnt[table].values()) for table in ("factor", "site", "placement"))
        self.factors = FactorBook(*known, history)

    def _take(self, reader: str, known: int, link: int, fact: object) -> None:
        match fact:
            case Meter():
                self.meters.setdefault(fact.key, fact)
            case Window():
                self.windows.setdefault((fact.meter, reader, fact.start_ms), fact)
            case Use():
                self.uses[fact.meter, reader, fact.start_ms].setdefault(fact.run, fact)
            case Factor(kind=kind, object=of, provider=provider, valid_from_ms=start, version=version):
                self.learnt["factor"].setdefault((kind, of, provider, start, version), Known(fact, known, link))
            case Restatement(restatement=name):
                self.restated.setdefault((name,), fact)
            case Site(site=site, valid_from_ms=start, version=version):
                self.learnt["site"].setdefault((site, start, version), Known(fact, known, link))
            case Placement(machine=machine, valid_from_ms=start, version=version):
                self.learnt["placement"].setdefault((machine, start, version), Known(fact, known, link))

    def _void(self, link: int, table: str, key: tuple[Any, ...]) -> Known[Factor] | None:
        """Leave a fact out; return it where it is a factor, which months closed before still know."""
        if table == "restatement":
            self.restated.pop(key, None)
        elif table == "meter_window":
            self.windows.pop(key, None)
        elif table == "meter_use":
            self.uses[key[:3]].pop(key[3], None)
        else:
            known = self.learnt[table].pop(key, None)
            return known._replace(voided=link) if known and table == "factor" else None
        return None

    def hours(self) -> dict[tuple[str, int], list[ReaderWindows]]:
        """Return what each reader sent, by (meter, hour)."""
        by_reader: dict[tuple[str, int], dict[str, list[WindowUses]]] = defaultdict(lambda: defaultdict(list))
        for (meter, reader, start), window in self.windows.items():
            uses = tuple(self.uses.get((meter, reader, start), {}).values())
            by_reader[meter, start // 3_600_000][reader].append(WindowUses(window=window, uses=uses))
        return {
            key: [ReaderWindows(rank=self.readers[r].rank, reader=r, windows=tuple(w)) for r, w in readers.items()]
            for key, readers in by_reader.items()
        }

    def usage(self) -> dict[tuple[str, int], HourUsage]:
        """Return the usage of every (meter, hour)."""
        hours = self.hours()
        return {
            (meter, hour): lay_hour(hour, readers, self._beside(meter, hour, hours))
            for (meter, hour), readers in hours.items()
        }

    def _beside(self, meter: str, hour: int, hours: dict[tuple[str, int], list[ReaderWindows]]) -> list[ReaderWindows]:
        """Return what was said of the other meters of the same component of the same device."""
        what = self.meters.get(meter)
        if what is None or what.component not in ONE_PER_DEVICE or what.role != "counted":
            return []
        others = [
            key
            for key, other in self.meters.items()
            if key != meter and (other.device, other.component, other.role) == (what.device, what.component, what.role)
        ]
        return [reader for other in others for reader in hours.get((other, hour), ())]

    def rates(self, meter: str, hour: int) -> Rates:
        """Return what prices a meter in an hour."""
        what = self.meters[meter]
        return self.factors.rates(self.machine(meter, hour // HOURS_PER_DAY), what.component, what.boundary, hour)

    def machine(self, meter: str, day: int) -> str:
        """Return the machine that the first reader in order with windows of this meter and day named."""
        readers = {r for m, r, start in self.windows if m == meter and start // 3_600_000 // HOURS_PER_DAY == day}
        return self.readers[min(readers, key=lambda r: (self.readers[r].rank, r.encode()))].machine

    def targets(self) -> dict[tuple[str, int], Target]:
        """Return what should stand in the journal, by (meter, day); check meters are left out."""
        days: dict[tuple[str, int], dict[int, HourUsage]] = defaultdict(dict)
        for (meter, hour), usage in self.usage().items():
            if meter in self.meters and self.meters[meter].role == "counted":
                days[meter, hour // HOURS_PER_DAY][hour] = usage
        return {
            (meter, day): target_of_day({h: u.rows for h, u in hours.items()}, lambda h, m=meter: self.rates(m, h))
            for (meter, day), hours in days.items()
        }

    def balances(self) -> dict[tuple[int, str, str, str], dict[str, int]]:
        """Return (day, meter, account, method) -> figures by column: the auditor's form."""
        return {
            (day, meter, account, method): dict(zip(COLUMNS, amounts, strict=True))
            for (meter, day), target in self.targets().items()
            for (account, method), amounts in target.postings.items()
        }
