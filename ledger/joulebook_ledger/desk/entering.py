"""What people enter is a fact like any other: a batch of the reader `desk`, with an author.

Pure builders: the instant and the batch's name are arguments, bytes come out, and `Ledger.deliver` takes them. Everything is checked
here, so that a person reads the refusal before anything is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from joulebook_ledger.catalogue.zones import Zone, find_zone
from joulebook_ledger.core.events import RunEvent, Score
from joulebook_ledger.core.factors import FACTOR_UNITS, Factor, Placement, Site, is_currency
from joulebook_ledger.core.facts import Retirement
from joulebook_ledger.core.records import Reader
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MICRO, PPM, scale_decimal
from joulebook_ledger.core.vocabulary import LONGEST_TEXT, RANKS
from joulebook_ledger.core.wire import DESK, encode_batch, list_of, to_wire
from joulebook_ledger.desk.making import making_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from joulebook_ledger.core.facts import Correction, Fact
    from joulebook_ledger.core.resolution import FactorBook

MICROGRAMS_PER_GRAM = 1_000_000
DECLARED_SIGMA_PPM = 150_000
PUE_SIGMA_PPM = 80_000
NO_PUE_SIGMA_PPM = 200_000
WATER_SIGMA_PPM = 500_000
NO_PUE_SOURCE = "declared: no PUE was given, so 1.0 is used: nothing is added for cooling and power supply"
GRID_AVERAGE_SOURCE = (
    "no contract and no residual mix is known: the grid average stands in, as the GHG Protocol asks to disclose; "
)
# Further away than any allocation (`core.versions`), so that it stands in only while nothing better is known.
STAND_IN = "grid-average"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One act at the desk: who, when, and a name that no other act has.

    Attributes:
        name: Random text; makes the receipt and the ids of what is entered unique.
        at_ms: When.
        author: Who; empty where nobody is named.
    """

    name: str
    at_ms: int
    author: str = ""

    def batch(self, facts: Sequence[Fact], sequence: int = 1) -> bytes:
        """Return facts as one batch of this act; an act of many facts has several, numbered from 1."""
        lists: dict[str, list[dict[str, object]]] = {}
        for fact in facts:
            lists.setdefault(list_of(fact), []).append(to_wire(fact))
        reader = Reader(reader=f"{DESK}-{self.name}", rank=RANKS["import"], author=self.author)
        return encode_batch(
            reader=reader, sequence=sequence, state="retired", complete_until_ms=self.at_ms, lists=lists
        )

    @property
    def version(self) -> str:
        """The version of what is entered: the latest entry of a validity holds."""
        return f"{self.at_ms}-{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What `joulebook init` knows of a machine's place; an empty text is not known and stays unknown.

    Attributes:
        machine: The machine's id.
        site: The site's id; empty for one of the machine's own.
        zone: Grid zone: a code, a country's name, or WORLD.
        grid_g_per_kwh: Decimal text: the grid's intensity where it is known better than by the zone's yearly average.
        market_g_per_kwh: Decimal text: market-based intensity, or "grid" to let the grid average stand in, disclosed.
        price_per_kwh: Decimal text: tariff of electricity.
        price_per_hour: Decimal text: price of an hour of the machine (cloud, rate card).
        currency: ISO 4217 code of the prices.
        pue: Decimal text, at least 1.
        water_l_per_kwh: Decimal text: water that the site evaporates per kWh of IT energy.
        water_source_l_per_kwh: Decimal text: water behind the electricity, per kWh of the facility.
        embodied_kg_per_year: Decimal text: manufacture of the machine, spread over its years of service.
        embodied_kg: Decimal text: what making the machine emitted, in place of a figure per year.
        hardware: The same by names of the catalogue, such as "dell-r740,h100-sxm:8".
        lifetime_years: Decimal text: for how long either serves; 4 where it is empty.
        in_service: Date from which it serves; empty where nobody said, and then it has no end.
        ownership: owned, colocated or cloud; empty keeps what is known, else owned.
        provider: Whose cloud or data centre it is; empty keeps what is known.
        region: Its name there; empty keeps what is known.
        control: Who decides on the energy of a colocated site; empty keeps what is known.
        valid_from_ms: From when on it holds; 0 means always.
    """

    machine: str
    site: str = ""
    zone: str = ""
    grid_g_per_kwh: str = ""
    market_g_per_kwh: str = ""
    price_per_kwh: str = ""
    price_per_hour: str = ""
    currency: str = ""
    pue: str = ""
    water_l_per_kwh: str = ""
    water_source_l_per_kwh: str = ""
    embodied_kg_per_year: str = ""
    embodied_kg: str = ""
    hardware: str = ""
    lifetime_years: str = ""
    in_service: str = ""
    ownership: str = ""
    provider: str = ""
    region: str = ""
    control: str = ""
    valid_from_ms: int = 0


def init_batch(entry: Entry, place: Place, known: FactorBook | None = None) -> bytes:
    """Return the batch that places a machine and says what prices it there.

    Args:
        entry: The act.
        place: What is given; what is left empty stays as it is known.
        known: What the book knows of the machine (`Ledger.snapshot`), or None for nothing yet.

    Raises:
        BadInput: A zone, price, currency or figure cannot be taken; the message says what would be.
    """
    return entry.batch(place_facts(entry, place, known))


def place_facts(entry: Entry, place: Place, known: FactorBook | None = None) -> list[Fact]:
    """Return the facts of a place: its site, the machine's placement there, and a factor for each figure that was given."""
    before = known.place(place.machine, entry.at_ms) if known else None
    if before is not None:
        place = replace(
            place,
            site=place.site or before.site,
            zone=place.zone or before.zone,
            ownership=place.ownership or before.ownership,
            provider=place.provider or before.provider,
            region=place.region or before.region,
            control=place.control or before.control,
        )
    place = replace(place, site=place.site or place.machine, ownership=place.ownership or "owned")
    zone = _zone_of(place, is_known=before is not None and place.zone == before.zone)
    name = zone.zone if zone else place.zone
    facts: list[Fact] = [
        Site(
            site=place.site,
            zone=name,
            ownership=place.ownership,
            provider=place.provider,
            region=place.region,
            control=place.control,
            valid_from_ms=place.valid_from_ms,
            version=entry.version,
        ),
        Placement(machine=place.machine, site=place.site, valid_from_ms=place.valid_from_ms, version=entry.version),
    ]
    has_pue = known is not None and any(f.fact.kind == "pue" and f.fact.object == place.site for f in known.factors)
    maker = _Maker(entry, place)
    return [*facts, *maker.grid(zone, name), *maker.site(has_pue=has_pue), *maker.machine()]


def label_batch(entry: Entry, runs: Sequence[str], labels: Mapping[str, str], reason: str = "") -> bytes:
    """Return the batch that gives runs new labels, and why; `exclude` takes them out of rankings, and empty brings them back."""
    if not runs:
        raise BadInput("no run to label: name at least one, such as the id that `joulebook runs` shows")
    if not labels:
        raise BadInput("no label to give: write at least one, such as --team vision or --tag key=value")
    return entry.batch(
        [
            RunEvent(
                run=run,
                event=f"{DESK}-{entry.name}",
                kind="labelled",
                at_ms=entry.at_ms,
                labels=dict(labels),
                facts={"label_reason": reason} if reason else {},
            )
            for run in runs
        ]
    )


def score_batch(
    entry: Entry,
    run: str,
    values: Mapping[str, str],
    *,
    split: str = "",
    unit: str = "",
    step: int | None = None,
    lower_is_better: bool | None = None,
) -> bytes:
    """Return the batch that logs scores of a run: name -> value as decimal text."""
    if not values:
        raise BadInput("no score to log: write at least one, such as accuracy=0.93")
    return entry.batch(
        [
            Score(
                run=run,
                score=f"{DESK}-{entry.name}-{name}",
                name=name,
                value=value,
                at_ms=entry.at_ms,
                step=step,
                split=split,
                unit=unit,
                lower_is_better=lower_is_better,
            )
            for name, value in values.items()
        ]
    )


def factor_batch(entry: Entry, factors: Sequence[Factor]) -> bytes:
    """Return the batch of factors or prices; one without a version gets this act's."""
    return entry.batch([replace(factor, version=factor.version or entry.version) for factor in factors])


def correction_batch(entry: Entry, corrections: Sequence[Correction]) -> bytes:
    """Return the batch of corrections: each voids one fact, with its reason and author."""
    return entry.batch(list(corrections))


def retirement_batch(entry: Entry, readers: Sequence[str], reason: str) -> bytes:
    """Return the batch that retires readers which are gone for good: nobody waits for what they owe."""
    if not reason:
        raise BadInput("a reader is retired for a reason: add --reason, such as --reason 'the node was scrapped'")
    author = entry.author or DESK
    return entry.batch([Retirement(reader=reader, reason=reason, author=author) for reader in readers])


def _zone_of(place: Place, *, is_known: bool) -> Zone | None:
    """Return the zone of the catalogue; one that the book knows already, or that comes with a figure, need not be there."""
    if not place.zone:
        if place.grid_g_per_kwh or place.market_g_per_kwh or place.water_source_l_per_kwh:
            raise BadInput("a grid figure needs the zone it is of: add --zone, such as --zone FR")
        return None
    try:
        return find_zone(place.zone)
    except BadInput:
        if place.grid_g_per_kwh or is_known:
            return None
        raise


class _Maker:
    """Makes the factors of one place."""

    def __init__(self, entry: Entry, place: Place) -> None:
        self._entry = entry
        self._place = place

    def grid(self, zone: Zone | None, name: str) -> list[Fact]:
        """Return what the zone's grid emits and drinks."""
        place = self._place
        grams = MICROGRAMS_PER_GRAM
        factors: list[Fact] = []
        average = zone.factor() if zone else None
        if place.grid_g_per_kwh:
            average = self._factor("grid_location", name, place.grid_g_per_kwh, grams, DECLARED_SIGMA_PPM)
        if average is not None:
            factors.append(average)
        if place.market_g_per_kwh == "grid" and average is not None:
            stand_in = replace(
                average,
                kind="grid_market",
                provider=STAND_IN,
                version=self._entry.version,
                source=(GRID_AVERAGE_SOURCE + average.source)[:LONGEST_TEXT],
            )
            factors.append(stand_in)
        elif place.market_g_per_kwh:
            factors.append(self._factor("grid_market", name, place.market_g_per_kwh, grams, DECLARED_SIGMA_PPM))
        if place.water_source_l_per_kwh:
            factors.append(self._factor("water_source", name, place.water_source_l_per_kwh, MICRO, WATER_SIGMA_PPM))
        return factors

    def site(self, *, has_pue: bool) -> list[Fact]:
        """Return what the site adds and charges; without any PUE, 1.0 stands in and says so."""
        place, site = self._place, self._place.site
        factors: list[Fact] = []
        if place.pue:
            factors.append(self._factor("pue", site, place.pue, PPM, PUE_SIGMA_PPM))
        elif not has_pue:
            stand_in = self._factor("pue", site, "1", PPM, NO_PUE_SIGMA_PPM)
            factors.append(replace(stand_in, source=NO_PUE_SOURCE))
        if place.price_per_kwh:
            factors.append(self._price("tariff", site, place.price_per_kwh))
        if place.water_l_per_kwh:
            factors.append(self._factor("water_site", site, place.water_l_per_kwh, MICRO, WATER_SIGMA_PPM))
        return factors

    def machine(self) -> list[Fact]:
        """Return what an hour of the machine costs."""
        place = self._place
        factors: list[Fact] = []
        if place.price_per_hour:
            factors.append(self._price("instance_price", place.machine, place.price_per_hour))
        made = making_of(
            per_year_kg=place.embodied_kg_per_year, kilograms=place.embodied_kg, hardware=place.hardware,
            lifetime_years=place.lifetime_years, in_service=place.in_service,
        )  # fmt: skip
        for rate in made:
            factor = self._made("embodied", place.machine, rate.ug_per_hour, rate.sigma_ppm)
            since = factor.valid_from_ms if rate.from_ms is None else rate.from_ms
            source = f"{rate.source}, {factor.source}" if rate.source else factor.source
            factors.append(replace(factor, valid_from_ms=since, valid_to_ms=rate.to_ms, source=source[:LONGEST_TEXT]))
        return factors

    def _price(self, kind: str, thing: str, text: str) -> Factor:
        currency = self._place.currency.upper()
        if not is_currency(currency):
            raise BadInput(
                f"currency {currency!r} of price {text} is no ISO 4217 code: add one, such as --currency EUR"
            )
        return self._made(kind, thing, scale_decimal(text, MICRO, kind), 0, currency)

    def _factor(self, kind: str, thing: str, text: str, scale: int, sigma_ppm: int) -> Factor:
        return self._made(kind, thing, scale_decimal(text, scale, kind), sigma_ppm)

    def _made(self, kind: str, thing: str, value: int, sigma_ppm: int, currency: str = "") -> Factor:
        return Factor(
            kind=kind,
            object=thing,
            provider=DESK,
            valid_from_ms=self._place.valid_from_ms,
            version=self._entry.version,
            value=value,
            unit=FACTOR_UNITS[kind],
            fallback="declared",
            sigma_ppm=sigma_ppm,
            source="declared" + (f" by {self._entry.author}" if self._entry.author else " at the desk"),
            currency=currency,
        )
