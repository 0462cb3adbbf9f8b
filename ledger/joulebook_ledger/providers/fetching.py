"""Fetching factors: what the book lacks is asked for, provider by provider in their order, and stored as facts.

The book is the cache: a final value in it is never asked for again; a provisional one is, until it is final. Where the first provider
has no value for an hour, the next one is asked for that hour alone. Nobody is asked who is not switched on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from joulebook_ledger.core.periods import time_text
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY, MILLISECONDS_PER_HOUR
from joulebook_ledger.desk.entering import Entry
from joulebook_ledger.ingest import deliver
from joulebook_ledger.providers import electricitymaps, entsoe, great_britain, watttime
from joulebook_ledger.providers.answers import FINAL, RESTING, Nothing
from joulebook_ledger.providers.settings import SWITCH
from joulebook_ledger.providers.spans import Span, questions, touches, without
from joulebook_ledger.store import reads_zones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from joulebook_ledger.core.factors import Factor
    from joulebook_ledger.providers.answers import Provider
    from joulebook_ledger.providers.bodies import FetchBody, FetchedBody, HoleBody
    from joulebook_ledger.providers.settings import ProviderSettings
    from joulebook_ledger.providers.web import Web
    from joulebook_ledger.queries import FetchQuery
    from joulebook_ledger.store.engine import Book

LONGEST_AGO_MS = 35 * MILLISECONDS_PER_DAY
AUTHOR = "joulebook factors fetch"


def fetch_factors(book: Book, query: FetchQuery, settings: ProviderSettings, web: Web, now_ms: int) -> FetchBody:
    """Ask for what the book lacks and store it; say what each provider gave, and what nobody has.

    Args:
        book: The book.
        query: Zone, time and provider, each of which may be left open.
        settings: Who is switched on.
        web: The way to them.
        now_ms: The ledger's time.

    Raises:
        BadInput: Nobody is switched on, the provider is not, or the time ends before it begins.
    """
    providers = _asked_of(providers_of(settings, web, now_ms), query.provider)
    with book.read() as rows:
        zones = [query.zone] if query.zone else reads_zones.zones_in_use(rows)
        window = _window(query, reads_zones.first_metered_ms(rows), now_ms)
    if not zones:
        raise BadInput("no machine stands in a zone yet: `joulebook init --zone CODE`, or name one with --zone")
    fetching = _Fetching(book, now_ms)
    for kind in dict.fromkeys(provider.kind for provider in providers):
        for zone in zones:
            fetching.fetch(kind, zone, window, [provider for provider in providers if provider.kind == kind])
    return {
        "at": time_text(now_ms),
        "from": time_text(window[0]),
        "to": time_text(window[1]),
        "stored": fetching.stored,
        "items": fetching.items,
        "holes": fetching.holes,
    }


def providers_of(settings: ProviderSettings, web: Web, now_ms: int) -> list[Provider]:
    """Return the providers that are switched on, in their order."""
    basis = settings.basis
    made: list[Provider] = []
    for access in settings.accesses:
        if access.name == electricitymaps.NAME:
            made.append(electricitymaps.ElectricityMaps(web, access, basis, now_ms))
        elif access.name == entsoe.NAME:
            made.append(entsoe.Entsoe(web, access, basis, now_ms))
        elif access.name == great_britain.NAME:
            made.append(great_britain.GreatBritain(web, access, basis))
        else:
            made.append(watttime.WattTime(web, access))
    return made


@dataclass(slots=True)
class _Fetching:
    """One round of questions; a provider that fails is left alone for the rest of it."""

    book: Book
    now_ms: int
    stored: int = 0
    items: list[FetchedBody] = field(default_factory=list)
    holes: list[HoleBody] = field(default_factory=list)
    resting: dict[str, Nothing] = field(default_factory=dict)

    def fetch(self, kind: str, zone: str, window: Span, providers: Sequence[Provider]) -> None:
        """Fill what is missing of one kind and zone."""
        names = [provider.name for provider in providers]
        with self.book.read() as rows:
            told = reads_zones.told(rows, kind, zone, names, *window)
        missing = without([window], [(one.start_ms, one.end_ms) for one in told.values() if one.state == FINAL])
        answered: list[Span] = []
        for provider in providers:
            wanted = without(missing, answered)
            for start_ms, end_ms in questions(wanted, provider.longest_ms):
                answer = self.resting.get(provider.name) or provider.fetch(zone, start_ms, end_ms)
                if isinstance(answer, Nothing):
                    self._note(provider, zone, (start_ms, end_ms), 0, answer)
                    if answer.reason in RESTING:
                        self.resting[provider.name] = answer
                        break
                    continue
                useful = [one for one in answer if touches(wanted, one.valid_from_ms, one.valid_to_ms or end_ms)]
                answered += [(one.valid_from_ms, one.valid_to_ms or end_ms) for one in useful]
                new = [one for one in useful if _is_new(one, told)]
                self._note(provider, zone, (start_ms, end_ms), self._store(new), None)
        known = [*answered, *((one.start_ms, one.end_ms) for one in told.values())]
        self.holes += [
            {"kind": kind, "zone": zone, "from": time_text(start), "to": time_text(end)}
            for start, end in without([window], known)
        ]

    def _store(self, factors: list[Factor]) -> int:
        """Store facts; return how many were new. The name of the act is what it says, so that a repetition changes nothing."""
        if not factors:
            return 0
        said = "\n".join(f"{one.kind} {one.object} {one.provider} {one.valid_from_ms} {one.version}" for one in factors)
        name = f"fetched-{hashlib.sha256(said.encode()).hexdigest()[:32]}"
        answer = deliver(self.book, Entry(name=name, at_ms=self.now_ms, author=AUTHOR).batch(factors), self.now_ms)
        stored = answer.counts.get("stored", 0) + answer.counts.get("stored_after_close", 0)
        self.stored += stored
        return stored

    def _note(self, provider: Provider, zone: str, span: Span, stored: int, nothing: Nothing | None) -> None:
        self.items.append(
            {
                "provider": provider.name, "kind": provider.kind, "zone": zone, "from": time_text(span[0]), "to": time_text(span[1]),
                "stored": stored, "reason": nothing.reason if nothing else None, "detail": nothing.text if nothing else None,
            }
        )  # fmt: skip


def _is_new(factor: Factor, told: dict[tuple[str, int], reads_zones.Told]) -> bool:
    """Say whether a factor says something else than the book has from its provider."""
    before = told.get((factor.provider, factor.valid_from_ms))
    after = (factor.provider, factor.valid_from_ms, factor.valid_to_ms, factor.value, factor.state, factor.basis)
    return before is None or tuple(before) != after


def _asked_of(providers: list[Provider], name: str) -> list[Provider]:
    if not providers:
        raise BadInput(
            f"no provider is switched on, and nothing is asked unasked: set {SWITCH}, such as {SWITCH}=electricitymaps,entsoe"
        )
    chosen = [provider for provider in providers if name in {"", provider.name}]
    if not chosen:
        raise BadInput(
            f"provider {name[:60]!r} is not switched on: {SWITCH} names {', '.join(p.name for p in providers)}"
        )
    return chosen


def _window(query: FetchQuery, first_metered_ms: int | None, now_ms: int) -> Span:
    """Return the whole hours that are wanted: as asked for, else since the first reading, at most so long ago, to the hour that runs."""
    end_ms = query.to_ms if query.to_ms is not None else now_ms
    lately = max(
        end_ms - LONGEST_AGO_MS, first_metered_ms if first_metered_ms is not None else end_ms - MILLISECONDS_PER_DAY
    )
    start_ms = query.from_ms if query.from_ms is not None else min(lately, end_ms - MILLISECONDS_PER_HOUR)
    end_ms = min(end_ms, now_ms)
    if not 0 <= start_ms < end_ms:
        raise BadInput(f"there is nothing to ask between {time_text(max(0, start_ms))} and {time_text(max(0, end_ms))}")
    return start_ms // MILLISECONDS_PER_HOUR * MILLISECONDS_PER_HOUR, -(
        -end_ms // MILLISECONDS_PER_HOUR
    ) * MILLISECONDS_PER_HOUR
