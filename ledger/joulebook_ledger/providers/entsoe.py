"""ENTSO-E Transparency Platform (A75, actual generation per type): what European grids generate by, and what that emits.

The platform gives megawatts; the factors are those of `mix`. What a zone imports is not in it: the intensity is that of generation
within the zone. Pumped storage is left out on both sides, since what it gives back was generated before.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Tree

from joulebook_ledger.core.periods import hour_of
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY, MILLISECONDS_PER_HOUR
from joulebook_ledger.providers.answers import (
    FINAL,
    LOCATION,
    MICROGRAMS_PER_GRAM,
    NO_VALUES,
    NOT_UNDERSTOOD,
    PROVISIONAL,
    Nothing,
    NotUnderstoodError,
    Reply,
    Series,
    chosen,
    instant,
    micrograms,
)
from joulebook_ledger.providers.mix import EDITION, GRAMS_PER_KWH, LIFECYCLE, intensity
from joulebook_ledger.providers.words import packed_minute_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from joulebook_ledger.core.factors import Factor
    from joulebook_ledger.providers.settings import Access
    from joulebook_ledger.providers.web import Web

NAME = "entsoe"
URL = "https://web-api.tp.entsoe.eu"
LICENCE = "ENTSO-E Transparency Platform terms"
SOURCE = "ENTSO-E actual generation per type (A75), factors of IPCC 2014"
# An hourly mix with general factors of its sources: hourly zone 7 %, factors of sources 10 %, in quadrature. A judgement.
SIGMA_PPM = 122_000
# Generation of the last days is still completed and corrected.
SETTLES_MS = 3 * MILLISECONDS_PER_DAY
ZONES = {
    "AT": "10YAT-APG------L", "BE": "10YBE----------2", "BG": "10YCA-BULGARIA-R", "CH": "10YCH-SWISSGRIDZ", "CZ": "10YCZ-CEPS-----N",
    "DE": "10Y1001A1001A83F", "DK": "10Y1001A1001A65H", "EE": "10Y1001A1001A39I", "ES": "10YES-REE------0", "FI": "10YFI-1--------U",
    "FR": "10YFR-RTE------C", "GR": "10YGR-HTSO-----Y", "HR": "10YHR-HEP------M", "HU": "10YHU-MAVIR----U", "IT": "10YIT-GRTN-----B",
    "LT": "10YLT-1001A0008Q", "LV": "10YLV-1001A00074", "NL": "10YNL----------L", "NO": "10YNO-0--------C", "PL": "10YPL-AREA-----S",
    "PT": "10YPT-REN------W", "RO": "10YRO-TEL------P", "SE": "10YSE-1--------K", "SI": "10YSI-ELES-----O", "SK": "10YSK-SEPS-----K",
}  # fmt: skip
PUMPED = "B10"
# Kinds of plant of the platform's code list (psrType) -> sources of `mix`.
SOURCES = {
    "B01": "biomass", "B02": "coal", "B03": "gas", "B04": "gas", "B05": "coal", "B06": "oil", "B07": "oil", "B08": "coal",
    "B09": "geothermal", "B11": "hydro", "B12": "hydro", "B13": "marine", "B14": "nuclear", "B15": "unknown", "B16": "solar",
    "B17": "biomass", "B18": "wind", "B19": "wind", "B20": "unknown",
}  # fmt: skip
RESOLUTIONS_MS = {
    "PT15M": MILLISECONDS_PER_HOUR // 4,
    "PT30M": MILLISECONDS_PER_HOUR // 2,
    "PT60M": MILLISECONDS_PER_HOUR,
}
NO_DATA = "999"


class Entsoe:
    """The transparency platform behind a token."""

    name = NAME
    kind = LOCATION
    longest_ms = 7 * MILLISECONDS_PER_DAY

    def __init__(self, web: Web, access: Access, basis: str, now_ms: int) -> None:
        self._web = web
        self._access = access
        self._basis = basis or LIFECYCLE
        self._now_ms = now_ms

    def fetch(self, zone: str, start_ms: int, end_ms: int) -> tuple[Factor, ...] | Nothing:
        """Return the hours of a zone."""
        theirs = self._access.zone(zone)
        if isinstance(theirs, Nothing):
            return theirs
        start_ms, end_ms = whole_hours(start_ms, end_ms)
        parameters = {
            "documentType": "A75", "processType": "A16", "in_Domain": theirs, "periodStart": packed_minute_text(start_ms),
            "periodEnd": packed_minute_text(end_ms),
        }  # fmt: skip
        answer = self._web.get(f"{self._access.url}/api", parameters, secret={"securityToken": self._access.token})
        if isinstance(answer, Nothing):
            return answer
        try:
            hours = read(answer, zone, theirs, self._basis, settled_until_ms=self._now_ms - SETTLES_MS)
            return chosen(hours, start_ms, end_ms, SOURCE)
        except NoDataError:
            return Nothing(reason=NO_VALUES, text=f"{NAME} has nothing for {zone} in the time asked for")
        except NotUnderstoodError as error:
            return Nothing(reason=NOT_UNDERSTOOD, text=f"{NAME}: {error}")


class NoDataError(Exception):
    """The platform says that there is nothing."""


class Output:
    """What a zone generated, by instant of a quarter-hour grid: kind of plant -> megawatts."""

    def __init__(self, psr: str, start_ms: int, length_ms: int, megawatts: Decimal) -> None:
        self.psr = psr
        self.start_ms = start_ms
        self.length_ms = length_ms
        self.megawatts = megawatts


def whole_hours(start_ms: int, end_ms: int) -> tuple[int, int]:
    """Return the whole hours that a stretch of time touches."""
    return hour_of(start_ms) * MILLISECONDS_PER_HOUR, -(-end_ms // MILLISECONDS_PER_HOUR) * MILLISECONDS_PER_HOUR


def read(reply: Reply, zone: str, theirs: str, basis: str, *, settled_until_ms: int) -> list[Factor]:
    """Return the hours of a reply; an hour of which some kind of plant says only a part is left out, since its mix is not known.

    Args:
        reply: What came back.
        zone: Ours.
        theirs: The code that the reply must be of.
        basis: lifecycle or direct.
        settled_until_ms: Hours that end later are provisional.

    Raises:
        NotUnderstoodError: It is of another zone or shape.
        NoDataError: It says that there is nothing.
    """
    series = Series(
        provider=NAME, zone=zone, source=SOURCE, licence=LICENCE, basis=basis, reply=reply, sigma_ppm=SIGMA_PPM
    )
    hours: defaultdict[int, defaultdict[str, list[Output]]] = defaultdict(lambda: defaultdict(list))
    outputs = list(read_outputs(reply, theirs))
    for output in outputs:
        hours[hour_of(output.start_ms)][output.psr].append(output)
    everyone = {output.psr for output in outputs}
    factors = []
    for hour, plants in sorted(hours.items()):
        is_whole = set(plants) == everyone and all(
            sum(output.length_ms for output in told) == MILLISECONDS_PER_HOUR for told in plants.values()
        )
        mean = intensity(_energies(plants), GRAMS_PER_KWH[basis]) if is_whole else None
        value = micrograms(mean, MICROGRAMS_PER_GRAM)
        if value is not None:
            end_ms = (hour + 1) * MILLISECONDS_PER_HOUR
            state = FINAL if end_ms <= settled_until_ms else PROVISIONAL
            factors.append(series.factor(hour * MILLISECONDS_PER_HOUR, end_ms, value, state=state, said=EDITION))
    return factors


def read_outputs(reply: Reply, theirs: str) -> Iterator[Output]:
    """Yield what each kind of plant generated, point by point; a point that repeats the one before may be left out (curve A03).

    Raises:
        NotUnderstoodError: It is of another zone or shape.
        NoDataError: It says that there is nothing.
    """
    root = _root(reply)
    if _name(root).startswith("Acknowledgement"):
        if _text(root, "Reason/code") == NO_DATA:
            raise NoDataError
        raise NotUnderstoodError(f"the platform refuses the question with reason {_text(root, 'Reason/code')[:10]!r}")
    for series in root.findall("{*}TimeSeries"):
        psr = _text(series, "MktPSRType/psrType")
        if series.find("{*}outBiddingZone_Domain.mRID") is not None or psr == PUMPED:
            continue  # what plants consume
        if (told := _text(series, "inBiddingZone_Domain.mRID")) != theirs:
            raise NotUnderstoodError(f"the reply is of area {told[:20]!r}, not {theirs!r}")
        if (unit := _text(series, "quantity_Measure_Unit.name")) != "MAW":
            raise NotUnderstoodError(f"the reply is in {unit[:10]!r}, not in megawatts (MAW)")
        if psr not in SOURCES:
            raise NotUnderstoodError(f"the reply has a kind of plant that is not known here: {psr[:10]!r}")
        is_repeated = _text(series, "curveType") == "A03"
        for period in series.findall("{*}Period"):
            yield from _points(period, psr, is_repeated=is_repeated)


def _points(period: Tree.Element, psr: str, *, is_repeated: bool) -> Iterator[Output]:
    length_ms = RESOLUTIONS_MS.get(resolution := _text(period, "resolution"))
    if length_ms is None:
        raise NotUnderstoodError(f"the reply has resolution {resolution[:10]!r}, which is not known here")
    start_ms, end_ms = instant(_text(period, "timeInterval/start")), instant(_text(period, "timeInterval/end"))
    count = (end_ms - start_ms) // length_ms
    told = {
        _whole(_text(point, "position")): _megawatts(_text(point, "quantity")) for point in period.findall("{*}Point")
    }
    if not 0 < count <= 10_000 or any(not 0 < position <= count for position in told):
        raise NotUnderstoodError("the reply has points outside its period")
    last = None
    for position in range(1, count + 1):
        last = told.get(position, last if is_repeated else None)
        if last is not None:
            yield Output(psr, start_ms + (position - 1) * length_ms, length_ms, last)


def _energies(plants: dict[str, list[Output]]) -> dict[str, Decimal]:
    """Return by source of `mix` what was generated in an hour, in MW x ms."""
    energies: defaultdict[str, Decimal] = defaultdict(Decimal)
    for psr, outputs in plants.items():
        energies[SOURCES[psr]] += sum((output.megawatts * output.length_ms for output in outputs), Decimal(0))
    return dict(energies)


def _root(reply: Reply) -> Tree.Element:
    try:
        text = reply.content.decode()
        if "<!DOCTYPE" in text:  # entities can make a small file a large one; the platform uses none
            raise NotUnderstoodError("the reply defines entities")
        return Tree.fromstring(text)  # noqa: S314 - without entities, see above, and of bounded size
    except (UnicodeError, Tree.ParseError, ValueError):
        raise NotUnderstoodError("the reply is no XML") from None


def _name(element: Tree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: Tree.Element, path: str) -> str:
    return (element.findtext("/".join(f"{{*}}{part}" for part in path.split("/"))) or "").strip()


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise NotUnderstoodError(f"the reply has position {text[:20]!r}")
    return int(text)


def _megawatts(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise NotUnderstoodError(f"the reply gives {text[:20]!r} where megawatts should be") from None
    if not found.is_finite() or found < 0:
        raise NotUnderstoodError(f"the reply gives {text[:20]!r} megawatts")
    return found
