"""An independent auditor: works out from raw facts what usage and balances must be, by a deliberately different method.

The code under test lays intervals on a line, rounds as it goes and prices cumulative sums. The auditor knows none of that: it cuts an
hour at every bound anybody named, asks for each elementary stretch who is first in line for it, keeps exact fractions, and rounds only
where the rule says so. It shares the records and the wire with the code under test, and nothing else. It is slow and simple.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise

from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.facts import Correction, Restatement
from joulebook_ledger.core.records import Meter, Reader, Use, Window
from joulebook_ledger.core.wire import Batch

HOUR_MS = 3_600_000
HOURS_PER_DAY = 24
LEVELS = ["exact", "region", "country", "world", "declared"]
LAST_ACCOUNTS = ["untracked", "unallocated", "idle"]
Said = tuple[str, Window]
"""A reader and a window of its."""


@dataclass(frozen=True)
class Share:
    """What one account must have of one meter, hour and method."""

    energy_mj: int = 0
    held_mj: int = 0
    time_ms: int = 0
    unmetered_mj: int = 0


class Auditor:
    """The truth about a set of deliveries.

    Deliveries may repeat; a fact counts once; one that a correction voids does not count. The order of the batches is the order in
    which factors were learnt, and matters for nothing else. Of a month that was closed, the auditor goes back to what stood in the book
    when it was closed, and walks on from there.
    """

    def __init__(
        self, batches: Iterable[Batch], links: Sequence[int] = (), closes: Iterable[tuple[int, int]] = ()
    ) -> None:
        self.closes = dict(closes)
        self.link_of: list[int] = list(links)
        self.restated: list[tuple[int, Restatement]] = []
        self.voided_when: dict[tuple[object, ...], int] = {}
        self.readers: dict[str, Reader] = {}
        self.meters: dict[str, Meter] = {}
        self.windows: dict[tuple[str, str, int], Window] = {}
        self.uses: dict[tuple[str, str, int, str], Use] = {}
        self.factors: list[tuple[int, Factor]] = []
        self.sites: list[tuple[int, Site]] = []
        self.placements: list[tuple[int, Placement]] = []
        self.voided: set[tuple[object, ...]] = set()
        for learnt, batch in enumerate(batches):
            self.readers.setdefault(batch.reader.reader, batch.reader)
            for fact in batch.facts():
                self._take(batch.reader.reader, learnt, fact)
        self._leave_out_what_is_voided()

    def _take(self, reader: str, learnt: int, fact: object) -> None:
        if isinstance(fact, Meter):
            self.meters.setdefault(fact.key, fact)
        elif isinstance(fact, Window):
            self.windows.setdefault((fact.meter, reader, fact.start_ms), fact)
        elif isinstance(fact, Use):
            self.uses.setdefault((fact.meter, reader, fact.start_ms, fact.run), fact)
        elif isinstance(fact, Factor):
            self.factors.append((learnt, fact))
        elif isinstance(fact, Site):
            self.sites.append((learnt, fact))
        elif isinstance(fact, Placement):
            self.placements.append((learnt, fact))
        elif isinstance(fact, Correction):
            self.voided.add((fact.table, *json.loads(fact.key)))
            self.voided_when.setdefault((fact.table, *json.loads(fact.key)), learnt)
        elif isinstance(fact, Restatement):
            self.restated.append((learnt, fact))

    def _leave_out_what_is_voided(self) -> None:
        def good(table: str, *key: object) -> bool:
            return (table, *key) not in self.voided

        self.windows = {key: window for key, window in self.windows.items() if good("meter_window", *key)}
        self.uses = {key: use for key, use in self.uses.items() if good("meter_use", *key)}
        self.restated = [(n, r) for n, r in self.restated if good("restatement", r.restatement)]
        self.sites = [(n, s) for n, s in self.sites if good("site", s.site, s.valid_from_ms, s.version)]
        self.placements = [
            (n, p) for n, p in self.placements if good("placement", p.machine, p.valid_from_ms, p.version)
        ]

    # --- usage ---

    def hours(self) -> list[tuple[str, int]]:
        """Return every (meter, hour) of which anything was said."""
        return sorted({(meter, start // HOUR_MS) for meter, _, start in self.windows})

    def usage(self, meter: str, hour: int) -> dict[tuple[str, str], Share]:
        """Return what each (account, method) must have; what is 0 throughout is left out."""
        in_line = self._in_line({meter}, hour)
        beside = self._in_line(self._beside(meter), hour)
        bounds = sorted({b for _, window in [*in_line, *beside] for b in (window.start_ms, window.end_ms)})
        stretches = list(pairwise(bounds))
        energy, time, estimate = self._supply(in_line, beside, stretches)
        asked = self._asked(meter, in_line, beside, stretches)
        out: dict[tuple[str, str], Share] = {}
        for method in time:
            out.update(_settle(method, energy[method], time[method], estimate[method], asked))
        return {key: share for key, share in out.items() if share != Share()}

    def _beside(self, meter: str) -> set[str]:
        """Return the other meters of the same component of the same device."""
        its = self.meters.get(meter)
        if its is None or its.component not in {"cpu", "gpu", "dram"}:
            return set()
        alike = {
            key
            for key, m in self.meters.items()
            if (m.device, m.component, m.role) == (its.device, its.component, "counted")
        }
        return alike - {meter} if meter in alike else set()

    def _in_line(self, meters: set[str], hour: int) -> list[Said]:
        """Return (reader, window) in the order in which they may claim time: readings by reader, unwatched ones, then gaps by reader."""
        mine = [
            (reader, window)
            for (of, reader, start), window in self.windows.items()
            if of in meters and start // HOUR_MS == hour
        ]
        return sorted(
            mine,
            key=lambda rw: (
                rw[1].energy_mj is None,
                self._is_unwatched(*rw),
                self.readers[rw[0]].rank,
                rw[0].encode(),
                rw[1].start_ms,
                rw[1].meter,
            ),
        )

    def _is_unwatched(self, reader: str, window: Window) -> bool:
        """Say whether all that a reader claims of a window is that it was away."""
        key = (window.meter, reader, window.start_ms)
        methods = {use.method for (*of, _), use in self.uses.items() if tuple(of) == key}
        return methods == {"unwatched"}

    @staticmethod
    def _counts(in_line: list[Said], beside: list[Said], a: int, b: int) -> Said | None:
        """Return who is first to say something of a stretch, models left out of what somebody else says better."""
        said = [window for _, window in beside if window.start_ms <= a and b <= window.end_ms]
        mine = [rw for rw in in_line if rw[1].start_ms <= a and b <= rw[1].end_ms]
        return next((rw for rw in mine if not any(_yields(rw[1], other) for other in said)), None)

    def _supply(self, in_line: list[Said], beside: list[Said], stretches: list[tuple[int, int]]):
        energy: defaultdict[str, int] = defaultdict(int)
        time: defaultdict[str, int] = defaultdict(int)
        estimate: defaultdict[str, int] = defaultdict(int)
        for a, b in stretches:
            counts = self._counts(in_line, beside, a, b)
            if counts is None:
                continue
            first = counts[1]
            method = first.method or "none"
            time[method] += b - a
            energy[method] += _between(first.energy_mj or 0, first, a, b)
            estimate[method] += _between(first.estimate_mj or 0, first, a, b)
        return energy, time, estimate

    def _asked(self, meter: str, in_line: list[Said], beside: list[Said], stretches: list[tuple[int, int]]):
        """Return (account, method) -> [energy, static, time] claimed, each millisecond of an account counted once."""
        asked: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        lent: defaultdict[tuple[str, Said, Said], list[int]] = defaultdict(lambda: [0, 0])
        for account in {run for of, _, _, run in self.uses if of in {meter, *(w.meter for _, w in beside)}}:
            for a, b in stretches:
                counts = self._counts(in_line, beside, a, b)
                lenders = [rw for rw in beside if self._lends(rw, counts, a, b)]
                own = self._own_use(account, in_line, beside, counts if not lenders else None, a, b)
                if own is not None:
                    use, window = own
                    mine = asked[account, window.method or "none"]
                    mine[0] += _between(use.energy_mj, window, a, b)
                    mine[1] += _between(use.static_mj, window, a, b)
                    mine[2] += _between(use.time_ms, window, a, b)
                    continue
                lender = next((rw for rw in lenders if self._use(rw, account)), None)
                if lender is not None and counts is not None:
                    passed = lent[account, counts, lender]
                    passed[0] += _between(counts[1].energy_mj or 0, counts[1], a, b)
                    passed[1] += _between(self._use(lender, account).time_ms, lender[1], a, b)
        for (account, (_, window), lender), (energy, time) in lent.items():
            use, whole = self._use(lender, account), lender[1].energy_mj
            mine = asked[account, window.method]
            mine[0] += math.floor(Fraction(energy * use.energy_mj, whole)) if whole else 0
            mine[1] += math.floor(Fraction(energy * use.static_mj, whole)) if whole else 0
            mine[2] += time
        return asked

    def _use(self, said: Said, account: str) -> Use | None:
        return self.uses.get((said[1].meter, said[0], said[1].start_ms, account))

    def _lends(self, said: Said, counts: Said | None, a: int, b: int) -> bool:
        """Say whether of a stretch a model of another meter yields to what counts, by a reader that was there."""
        window = said[1]
        is_there = window.start_ms <= a and b <= window.end_ms and not self._is_unwatched(*said)
        return is_there and counts is not None and _yields(window, counts[1])

    def _own_use(self, account: str, in_line: list[Said], beside: list[Said], lone: Said | None, a: int, b: int):
        """Return the first use of an account in a stretch, with its window; whoever was away claims only what nobody else saw."""
        for reader, window in in_line:
            use = self._use((reader, window), account)
            if not (use and window.start_ms <= a and b <= window.end_ms):
                continue
            if any(_yields(window, other) and other.start_ms <= a and b <= other.end_ms for _, other in beside):
                continue
            if self._is_unwatched(reader, window) and lone != (reader, window):
                continue
            return use, window
        return None

    # --- balances ---

    def balances(self) -> dict[tuple[int, str, str, str], dict[str, int]]:
        """Return (day, meter, account, method) -> figures by column; what is 0 throughout is left out. Check meters never appear."""
        books: defaultdict[tuple[int, str, str, str], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for meter, hour in self.hours():
            if meter not in self.meters or self.meters[meter].role == "check":
                continue
            for (account, method), figures in self.priced_hour(meter, hour).items():
                row = books[hour // HOURS_PER_DAY, meter, account, method]
                for column, value in figures.items():
                    row[column] += value
        return {key: dict(row) for key, row in books.items() if any(row.values())}

    def priced_hour(self, meter: str, hour: int) -> dict[tuple[str, str], dict[str, int]]:
        """Return (account, method) -> figures by column of one hour."""
        usage = self.usage(meter, hour)
        rates = self.rates(meter, hour)
        at_facility = self.meters[meter].boundary == "facility"
        out = {}
        energy = time = 0
        before = _worth(0, 0, rates, at_facility=at_facility)
        for account, method in sorted(usage, key=lambda key: (*_place_in_line(key[0]), key[1])):
            share = usage[account, method]
            energy, time = energy + share.energy_mj, time + share.time_ms
            now = _worth(energy, time, rates, at_facility=at_facility)
            figures = {column: now[column] - before[column] for column in now}
            figures["held_mj"] = share.held_mj
            figures["unmetered_mj"] = share.unmetered_mj
            figures["time_ms"] = share.time_ms
            figures["metered_ms"] = 0 if method == "none" else share.time_ms
            out[account, method] = figures
            before = now
        return out

    def machine(self, meter: str, day: int) -> str:
        """Return the machine that the first reader in order with windows of this meter and day named."""
        first = min(
            (self.readers[reader].rank, reader.encode(), reader)
            for of, reader, start in self.windows
            if of == meter and start // HOUR_MS // HOURS_PER_DAY == day
        )
        return self.readers[first[2]].machine

    def rates(self, meter: str, hour: int) -> dict[str, tuple[int, int] | str | None]:
        """Return kind -> (value, covered ms), None where unknown, "void" where the column has no meaning."""
        machine = self.machine(meter, hour // HOURS_PER_DAY)
        is_time = self.meters[meter].component == "time"
        start, end = hour * HOUR_MS, (hour + 1) * HOUR_MS
        bounds = {start, end}
        for _, fact in (*self.factors, *self.sites, *self.placements):
            bounds |= {t for t in (fact.valid_from_ms, getattr(fact, "valid_to_ms", None)) if t and start < t < end}
        ordered = sorted(bounds)
        rates: dict[str, tuple[int, int] | str | None] = {}
        for kind in (
            "pue",
            "water_site",
            "tariff",
            "grid_location",
            "grid_market",
            "water_source",
            "instance_price",
            "embodied",
        ):
            found = [(b - a, self._value(kind, machine, a, is_time=is_time)) for a, b in pairwise(ordered)]
            if all(value == "void" for _, value in found):
                rates[kind] = "void"
                continue
            known = [(length, 0 if value == "void" else value) for length, value in found if value is not None]
            covered = sum(length for length, _ in known)
            rates[kind] = (math.floor(Fraction(sum(n * v for n, v in known), covered)), covered) if covered else None
        return rates

    def _value(self, kind: str, machine: str, at_ms: int, *, is_time: bool) -> int | str | None:
        of_machine = kind in {"instance_price", "embodied"}
        if of_machine and not is_time:
            return "void"
        places = [p for p in self.placements if p[1].machine == machine and p[1].valid_from_ms <= at_ms]
        name = max(places, key=lambda p: (p[1].valid_from_ms, p[0], p[1].version))[1].site if places else None
        sites = [s for s in self.sites if s[1].site == name and s[1].valid_from_ms <= at_ms]
        site = max(sites, key=lambda s: (s[1].valid_from_ms, s[0], s[1].version))[1] if sites else None
        if kind == "tariff" and site and site.ownership == "cloud":
            return "void"
        if of_machine:
            wanted = machine
        elif site is None:
            return None
        else:
            wanted = site.zone if kind in {"grid_location", "grid_market", "water_source"} else site.site
        taken = self._factor(kind, wanted, at_ms)
        if taken is None:
            unpriced = kind == "instance_price" and site is not None and site.ownership != "cloud"
            return "void" if unpriced else None
        return taken.value

    # --- which version ---

    def _factor(self, kind: str, wanted: str, at_ms: int) -> Factor | None:
        """Return the factor of a kind and object at an instant, as the month of the instant knows it."""
        covering = [
            (learnt, f)
            for learnt, f in self.factors
            if (f.kind, f.object) == (kind, wanted)
            and f.valid_from_ms <= at_ms
            and (f.valid_to_ms is None or at_ms < f.valid_to_ms)
        ]
        today = [(n, f) for n, f in covering if self._voided_at(f) is None]
        moment = datetime.fromtimestamp(at_ms / 1000, UTC)
        month = moment.year * 100 + moment.month
        later_closes = [closed for closed in self.closes if closed >= month]
        if not later_closes:
            return _first(today)
        close = self.closes[min(later_closes)]
        then = [
            (n, f)
            for n, f in covering
            if self.link_of[n] <= self._knows(month, close, f) and not self._was_voided(f, self._knows(month, close, f))
        ]
        stood = _first(then)
        if stood is None or stood.state == "final":
            return stood
        return self._walk_on(stood, self._knows(month, close, stood), today)

    def _walk_on(self, stood: Factor, knew: int, today: list[tuple[int, Factor]]) -> Factor:
        """Go through what came after a provisional factor, batch by batch, until a final one ends the walk."""
        taken = [(-1, stood)]
        batches = sorted({n for n, f in today if self.link_of[n] > knew and f.provider == stood.provider})
        for batch in batches:
            came = [(n, f) for n, f in today if n == batch and f.provider == stood.provider]
            better = [(n, f) for n, f in came if _first([(-1, stood), (n, f)]) is f]
            final = _first([(n, f) for n, f in better if f.state == "final"])
            if final is not None:
                return final
            taken += better
        found = _first(taken)
        assert found is not None
        return found

    def _knows(self, month: int, close: int, factor: Factor) -> int:
        """Return the link up to which a closed month knows a factor's series: the last word that was said about it."""
        word = close
        for _, r in self.restated:
            about = all(
                mine in ("", its)
                for mine, its in ((r.kind, factor.kind), (r.object, factor.object), (r.provider, factor.provider))
            )
            if about and r.from_month <= month <= r.to_month:
                word = r.factors_known
        return word

    def _voided_at(self, f: Factor) -> int | None:
        return self.voided_when.get(("factor", f.kind, f.object, f.provider, f.valid_from_ms, f.version))

    def _was_voided(self, factor: Factor, link: int) -> bool:
        learnt = self._voided_at(factor)
        return learnt is not None and self.link_of[learnt] <= link


def _first(holding: list[tuple[int, Factor]]) -> Factor | None:
    """Return who is first in line of the factors that hold together, each with when it was learnt."""
    if not holding:
        return None
    line = sorted(holding, key=lambda lf: (lf[1].valid_from_ms, lf[0], lf[1].version), reverse=True)
    line.sort(key=lambda lf: (lf[1].provider != "desk", LEVELS.index(lf[1].fallback), lf[1].provider))
    return line[0][1]


def _yields(window: Window, other: Window) -> bool:
    """Say whether a window is a model of what a window of another meter measures, or models for a meter that comes first."""
    if window.method != "model":
        return False
    return other.method in {"counter", "sensor"} or (
        other.method == "model" and other.meter.encode() < window.meter.encode()
    )


def _place_in_line(account: str) -> tuple[int, bytes]:
    return (LAST_ACCOUNTS.index(account) + 1, b"") if account in LAST_ACCOUNTS else (0, account.encode())


def _between(whole: int, window: Window, a: int, b: int) -> int:
    """Return what of `whole` passed between two instants of a window, each position of the counter rounded down."""
    length = window.end_ms - window.start_ms
    return math.floor(Fraction(whole * (b - window.start_ms), length)) - math.floor(
        Fraction(whole * (a - window.start_ms), length)
    )


def _settle(
    method: str, energy: int, time: int, estimate: int, asked: dict[tuple[str, str], list[int]]
) -> Iterator[tuple[tuple[str, str], Share]]:
    """Yield the share of every account of one method: its claim, cut where all claim more than there is; the rest is idle."""
    accounts = sorted((account for account, m in asked if m == method), key=_place_in_line)
    claims = [asked[account, method] for account in accounts]
    energies = _cut(energy, [claim[0] for claim in claims])
    times = _cut(time, [claim[2] for claim in claims])
    held = [
        math.floor(Fraction(claim[1] * mine, claim[0])) if claim[0] else 0
        for claim, mine in zip(claims, energies, strict=True)
    ]
    accounts.append("idle")
    energies.append(energy - sum(energies))
    times.append(time - sum(times))
    held.append(0)
    gone = 0
    for i, account in enumerate(accounts):
        upto = math.floor(Fraction(estimate * sum(times[: i + 1]), time)) if time else 0
        yield (account, method), Share(energies[i], held[i], times[i], upto - gone)
        gone = upto


def _cut(supply: int, claims: list[int]) -> list[int]:
    whole = sum(claims)
    if whole <= supply:
        return claims
    upto = [math.floor(Fraction(supply * sum(claims[: i + 1]), whole)) for i in range(len(claims))]
    return [b - a for a, b in zip([0, *upto], upto, strict=False)]


def _worth(
    energy: int, time: int, rates: dict[str, tuple[int, int] | str | None], *, at_facility: bool
) -> dict[str, int]:
    """Return the figures of so much energy and time; every step is an exact fraction rounded down."""
    pue = rates["pue"]
    assert pue != "void"

    def part(whole: int, rate: tuple[int, int] | str | None) -> int:
        return math.floor(Fraction(whole * rate[1], HOUR_MS)) if isinstance(rate, tuple) else 0

    def known(wanted_facility: bool) -> int:  # noqa: FBT001
        return energy if wanted_facility == at_facility else part(energy, pue)

    def bring(whole: int, wanted_facility: bool) -> int:  # noqa: FBT001
        if wanted_facility == at_facility or not isinstance(pue, tuple):
            return whole
        factor = Fraction(pue[0], 1_000_000)
        return math.floor(whole * factor if wanted_facility else whole / factor)

    out = {
        "energy_it_mj": bring(known(False), False),
        "energy_facility_mj": bring(known(True), True),
        "unc_facility_mj": energy - part(energy, pue),
    }
    columns = [
        ("cost_energy", "tariff", True),
        ("co2e_location", "grid_location", True),
        ("co2e_market", "grid_market", True),
        ("water_site", "water_site", False),
        ("water_source", "water_source", True),
    ]
    for column, kind, wanted in columns:
        rate = rates[kind]
        covered = part(known(wanted), rate)
        value = rate[0] if isinstance(rate, tuple) else 0
        out[column] = math.floor(Fraction(bring(covered, wanted) * value, 3_600_000_000))
        out[f"unc_{column}_mj"] = 0 if rate == "void" else energy - covered
    for column, kind in (("cost_instance", "instance_price"), ("co2e_embodied", "embodied")):
        rate = rates[kind]
        covered = part(time, rate)
        value = rate[0] if isinstance(rate, tuple) else 0
        out[column] = math.floor(Fraction(covered * value, HOUR_MS))
        out[f"unc_{column}_ms"] = 0 if rate == "void" else time - covered
    return out
