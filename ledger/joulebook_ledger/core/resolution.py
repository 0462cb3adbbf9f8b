"""Which factor holds: from the versions known to the rates of one source in one hour (CORE §4, §6).

At an instant, of the versions of one (kind, object): those whose validity covers it; of them those of the nearest provider (what
people entered at the desk first, then by level of fallback, then by name); of them the one that begins last; of those that begin
together the one learnt last. So an older price that is entered late never displaces a newer one, and a correction of the same
validity replaces what it corrects. Of a closed month it is `versions` that says which of them count. A factor that changes within the hour is its
time-weighted mean, floored once; a part of the hour without one leaves its share uncovered.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.periods import Interval, month_interval, month_of
from joulebook_ledger.core.pricing import NOT_APPLICABLE, AnyRate, NotApplicable, Rate, Rates
from joulebook_ledger.core.refusals import Malformed
from joulebook_ledger.core.units import MILLISECONDS_PER_HOUR
from joulebook_ledger.core.versions import ALL_OPEN, NEVER, History, Known, as_closed, newest
from joulebook_ledger.core.wire import canonical_bytes, from_wire, to_wire

TIME = "time"
CLOUD = "cloud"
ZONE_KINDS = ("grid_location", "grid_market", "water_source")
SITE_KINDS = ("pue", "water_site", "tariff")
MACHINE_KINDS = ("instance_price", "embodied")
KINDS = (*SITE_KINDS, *ZONE_KINDS, *MACHINE_KINDS)
NO_PLACEMENT = "machine_without_site"
NO_ZONE = "site_without_zone"
NO_FACTOR = "no_factor"
IN_INSTANCE_PRICE = "in_instance_price"
NOT_PRICED_BY_TIME = "priced_by_the_machine"
NO_PRICE_OF_HOURS = "no_price_of_hours"

T = TypeVar("T", Factor, Site, Placement)
K = TypeVar("K", bound=Hashable)


class Piece(NamedTuple):
    """A part of the hour in which one factor holds, or none and why.

    Attributes:
        start_ms: Start.
        end_ms: End.
        object: The zone, site or machine the factor is of; empty where that is not known.
        factor: The factor, or None.
        reason: Why there is none, one of the words of this module; empty where there is one.
    """

    start_ms: int
    end_ms: int
    object: str
    factor: Factor | None
    reason: str


class Origin(NamedTuple):
    """Where one rate of an hour came from.

    Attributes:
        kind: Key of FACTOR_UNITS.
        rate: What prices the hour.
        pieces: What it is made of, in order of time.
    """

    kind: str
    rate: AnyRate
    pieces: tuple[Piece, ...]


class _Steps(Generic[T]):
    """What holds when: resolved once, so that any instant is found by bisection."""

    __slots__ = ("_bounds", "_values")

    def __init__(
        self, candidates: Iterable[Known[T]], choose: Callable[[Sequence[Known[T]]], Known[T] | None] = newest
    ) -> None:
        """Resolve who holds from each instant at which one of them begins or ends."""
        opening = sorted(candidates, key=lambda known: known.fact.valid_from_ms)
        self._bounds = sorted(_instants(opening))
        self._values: list[T | None] = []
        holding: list[Known[T]] = []
        begun = 0
        for bound in self._bounds:
            while begun < len(opening) and opening[begun].fact.valid_from_ms <= bound:
                holding.append(opening[begun])
                begun += 1
            holding = [known for known in holding if (end := _end_of(known.fact)) is None or bound < end]
            chosen = choose(holding)
            self._values.append(chosen.fact if chosen else None)

    def at(self, at_ms: int) -> T | None:
        """Return what holds at an instant, or None."""
        index = bisect_right(self._bounds, at_ms)
        return self._values[index - 1] if index else None


class FactorBook:
    """All factors, prices, sites and placements known at one time. Not to be changed after creation; it remembers what it found.

    Attributes:
        factors: Those that hold in open months.
        sites: All of them.
        placements: All of them.
        history: What closed months were priced by.
        changes: Every instant at which a rate may change, in order.
    """

    __slots__ = (
        "_as_closed", "_factors", "_found", "_placements", "_series", "_sites", "changes", "factors", "history", "placements", "sites",
    )  # fmt: skip

    def __init__(
        self,
        factors: Iterable[Known[Factor]] = (),
        sites: Iterable[Known[Site]] = (),
        placements: Iterable[Known[Placement]] = (),
        history: History = ALL_OPEN,
    ) -> None:
        """Take what is known, in any order."""
        self.factors = tuple(factors)
        self.sites = tuple(sites)
        self.placements = tuple(placements)
        self.history = history
        self._factors = _steps_by(self.factors, _series_of)
        self._sites = _steps_by(self.sites, lambda fact: fact.site)
        self._placements = _steps_by(self.placements, lambda fact: fact.machine)
        self.changes = sorted(
            {
                *_instants((*self.factors, *history.voided)),
                *_instants(self.sites),
                *_instants(self.placements),
                *_instants_of_closes(history),
            }
        )
        self._series = _grouped((*self.factors, *history.voided), _series_of) if history.closes else {}
        self._as_closed: dict[tuple[str, str, int], _Steps[Factor] | None] = {}
        self._found: dict[tuple[str, bool, str, int, int], Rates] = {}

    @property
    def currency(self) -> str:
        """The currency of its prices, or "" where there is none yet."""
        return next((known.fact.currency for known in self.factors if known.fact.currency), "")

    def rates(self, machine: str, component: str, boundary: str, hour: int) -> Rates:
        """Return what prices a meter of this machine, component and boundary in an hour since the epoch."""
        start = hour * MILLISECONDS_PER_HOUR
        # Between two changes every whole hour is priced alike, so that a year of one tariff is resolved once.
        before = bisect_right(self.changes, start)
        within = bisect_right(self.changes, start + MILLISECONDS_PER_HOUR - 1)
        key = (machine, component == TIME, boundary, before, within)
        if key not in self._found:
            self._found[key] = _rates_of(boundary, self.explain(machine, component, boundary, hour))
        return self._found[key]

    def explain(self, machine: str, component: str, boundary: str, hour: int) -> tuple[Origin, ...]:
        """Return, for every kind of factor, the rate of the hour and what it is made of."""
        del boundary  # the same factors hold at every boundary; how they are applied is pricing's business
        start = hour * MILLISECONDS_PER_HOUR
        end = start + MILLISECONDS_PER_HOUR
        inner = self.changes[bisect_right(self.changes, start) : bisect_right(self.changes, end - 1)]
        bounds = [start, *inner, end]
        return tuple(self._origin(kind, machine, component, bounds) for kind in KINDS)

    def place(self, machine: str, at_ms: int) -> Site | None:
        """Return the site at which a machine stands at an instant, or None where nobody said (or described the site)."""
        placements = self._placements.get(machine)
        placement = placements.at(at_ms) if placements else None
        sites = self._sites.get(placement.site) if placement else None
        return sites.at(at_ms) if sites else None

    def mean_over(self, kind: str, name: str, within: Interval) -> tuple[AnyRate, Factor | None]:
        """Return the mean of a kind of factor of one object over a stretch of time as known now, and the one that holds at its end."""
        series = self._factors.get((kind, name))
        if series is None:
            return None, None
        inner = self.changes[
            bisect_right(self.changes, within.start_ms) : bisect_right(self.changes, within.end_ms - 1)
        ]
        bounds = [within.start_ms, *inner, within.end_ms]
        pieces = [Piece(start, end, name, series.at(start), "") for start, end in pairwise(bounds)]
        return _mean(pieces), pieces[-1].factor

    def of_machine(self, machine: str) -> FactorBook:
        """Return only what prices one machine: the snapshot that is left beside its spool."""
        placements = tuple(known for known in self.placements if known.fact.machine == machine)
        names = {known.fact.site for known in placements}
        sites = tuple(known for known in self.sites if known.fact.site in names)
        objects = names | {known.fact.zone for known in sites} | {machine}
        factors = tuple(known for known in self.factors if known.fact.object in objects)
        return FactorBook(factors, sites, placements)

    def to_bytes(self) -> bytes:
        """Return it as canonical JSON; `from_bytes` gives a book with the same rates."""
        # In the order in which they were learnt, whatever order a database gives them in.
        body = {
            name: sorted(
                ({"known": known.known, "fact": to_wire(known.fact)} for known in facts),
                key=lambda item: (item["known"], canonical_bytes(item)),
            )
            for name, facts in (("factors", self.factors), ("sites", self.sites), ("placements", self.placements))
        }
        return canonical_bytes(body)

    @classmethod
    def from_bytes(cls, data: bytes) -> FactorBook:
        """Return the book of these bytes.

        Raises:
            Malformed: They are no snapshot.
        """
        try:
            body = json.loads(data)
            return cls(
                [Known(from_wire("factors", Factor, item["fact"]), item["known"]) for item in body["factors"]],
                [Known(from_wire("sites", Site, item["fact"]), item["known"]) for item in body["sites"]],
                [Known(from_wire("placements", Placement, item["fact"]), item["known"]) for item in body["placements"]],
            )
        except (ValueError, KeyError, TypeError) as error:
            message = f"not a snapshot of factors: {str(error)[:200]}; any joulebook command writes a new one"
            raise Malformed(message) from None

    def _holding(self, kind: str, name: str, at_ms: int) -> _Steps[Factor] | None:
        """Return what holds of a kind and object in the month of an instant."""
        series = self._factors.get((kind, name))
        if not self.history.closes or (month := month_of(at_ms)) > self.history.closed_through:
            return series
        key = (kind, name, month)
        if key not in self._as_closed:
            self._as_closed[key] = self._closed_steps(self._series.get((kind, name), []), month) or series
        return self._as_closed[key]

    def _closed_steps(self, facts: Sequence[Known[Factor]], month: int) -> _Steps[Factor] | None:
        """Return what holds in a closed month; None where that is what would hold if it were open."""
        known = {
            fact.provider: self.history.known(month, fact.kind, fact.object, fact.provider)
            for fact in (one.fact for one in facts)
        }
        if all(one.link <= known[one.fact.provider] and one.voided == NEVER for one in facts):
            return None
        within = month_interval(month)
        touching = [one for one in facts if _touches(one.fact, within)]
        return _Steps(touching, lambda holding: as_closed(holding, known))

    def _origin(self, kind: str, machine: str, component: str, bounds: Sequence[int]) -> Origin:
        if kind in MACHINE_KINDS and component != TIME:
            whole = Piece(bounds[0], bounds[-1], machine, None, NOT_PRICED_BY_TIME)
            return Origin(kind, NOT_APPLICABLE, (whole,))
        pieces = tuple(self._pieces(kind, machine, bounds))
        return Origin(kind, _mean(pieces), pieces)

    def _pieces(self, kind: str, machine: str, bounds: Sequence[int]) -> Iterator[Piece]:
        for start, end in pairwise(bounds):
            yield self._piece(kind, machine, start, end)

    def _piece(self, kind: str, machine: str, start: int, end: int) -> Piece:
        site = self.place(machine, start)
        if kind in MACHINE_KINDS:
            name = machine
        elif site is None:
            return Piece(start, end, "", None, NO_PLACEMENT)
        elif kind == "tariff" and site.ownership == CLOUD:
            return Piece(start, end, site.site, None, IN_INSTANCE_PRICE)
        else:
            name = site.zone if kind in ZONE_KINDS else site.site
        if not name:
            return Piece(start, end, "", None, NO_ZONE)
        series = self._holding(kind, name, start)
        factor = series.at(start) if series else None
        if factor is None and kind == "instance_price" and site is not None and site.ownership != CLOUD:
            return Piece(start, end, name, None, NO_PRICE_OF_HOURS)
        return Piece(start, end, name, factor, "" if factor else NO_FACTOR)


def _series_of(fact: Factor) -> tuple[str, str]:
    return fact.kind, fact.object


def _grouped(facts: Iterable[Known[T]], key: Callable[[T], K]) -> dict[K, list[Known[T]]]:
    grouped: defaultdict[K, list[Known[T]]] = defaultdict(list)
    for known in facts:
        grouped[key(known.fact)].append(known)
    return dict(grouped)


def _steps_by(facts: Iterable[Known[T]], key: Callable[[T], K]) -> dict[K, _Steps[T]]:
    """Return what holds when, by key."""
    return {name: _Steps(group) for name, group in _grouped(facts, key).items()}


def _instants(facts: Iterable[Known[T]]) -> Iterator[int]:
    """Yield every instant at which one of these begins or ends."""
    for known in facts:
        yield known.fact.valid_from_ms
        end = _end_of(known.fact)
        if end is not None:
            yield end


def _instants_of_closes(history: History) -> Iterator[int]:
    """Yield where months that know other factors than the one before them may begin."""
    for month, _ in history.closes:
        yield month_interval(month).start_ms
        yield month_interval(month).end_ms
    for restated in history.restatements:
        yield month_interval(restated.from_month).start_ms
        yield month_interval(restated.to_month).end_ms


def _touches(factor: Factor, within: Interval) -> bool:
    end = factor.valid_to_ms
    return factor.valid_from_ms < within.end_ms and (end is None or end > within.start_ms)


def _end_of(fact: Factor | Site | Placement) -> int | None:
    """Return when a fact no longer holds by its own word; a place holds until the next is named."""
    return fact.valid_to_ms if isinstance(fact, Factor) else None


def _mean(pieces: Sequence[Piece]) -> AnyRate:
    """Return the time-weighted mean of an hour's pieces; what is not applicable counts as known to be 0."""
    void = [piece.reason in {IN_INSTANCE_PRICE, NO_PRICE_OF_HOURS} for piece in pieces]
    if all(void):
        return NOT_APPLICABLE
    covered = weighted = 0
    for piece, is_void in zip(pieces, void, strict=True):
        if piece.factor is None and not is_void:
            continue
        length = piece.end_ms - piece.start_ms
        covered += length
        weighted += length * (piece.factor.value if piece.factor else 0)
    return Rate(weighted // covered, covered) if covered else None


def _rates_of(boundary: str, origins: Iterable[Origin]) -> Rates:
    by_kind = {origin.kind: origin.rate for origin in origins}
    pue = by_kind["pue"]
    assert not isinstance(pue, NotApplicable)
    return Rates(
        boundary=boundary,
        pue=pue,
        location=by_kind["grid_location"],
        market=by_kind["grid_market"],
        tariff=by_kind["tariff"],
        water_site=by_kind["water_site"],
        water_source=by_kind["water_source"],
        instance=by_kind["instance_price"],
        embodied=by_kind["embodied"],
    )
