"""Rows of people's tables to factors, sites and placements, and back, without loss. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from joulebook_ledger.catalogue.regions import zone_of_region
from joulebook_ledger.catalogue.zones import all_zones, find_zone
from joulebook_ledger.core.factors import FACTOR_OBJECTS, FACTOR_UNITS, PRICE_KINDS, ZONE, Factor, Placement, Site
from joulebook_ledger.core.periods import month_interval, parse_month, parse_time, time_text
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY, PPM, decimal_text, scale_decimal
from joulebook_ledger.core.wire import DESK
from joulebook_ledger.desk.sheet import Line
from joulebook_ledger.register.units import in_units, measure

GRID_KINDS = tuple(kind for kind, thing in FACTOR_OBJECTS.items() if thing == ZONE)
FACTOR_KINDS = tuple(kind for kind in FACTOR_UNITS if kind not in PRICE_KINDS)
FACTOR_COLUMNS = (
    "kind", "of", "value", "unit", "currency", "valid_from", "valid_to", "provider", "version", "state", "fallback", "sigma_percent", "basis", "source", "licence",
    "evidence_name", "evidence_digest",
)  # fmt: skip
NEEDED_OF_FACTORS, NEEDED_OF_SITES, NEEDED_OF_PLACEMENTS = FACTOR_COLUMNS[:4], ("site",), ("machine", "site")
SITE_COLUMNS = ("site", "zone", "ownership", "provider", "region", "control", "valid_from", "version")
PLACEMENT_COLUMNS = ("machine", "site", "valid_from", "version")
NEW = "new"
"""The version of a row that names none, until it is known whether the book has it already."""
_FIELDS = {"object": "of", "valid_from_ms": "valid_from", "valid_to_ms": "valid_to", "sigma_ppm": "sigma_percent"}
_YEAR, _MONTH, _DAY = len("2026"), len("2026-11"), len("2026-11-22")
T = TypeVar("T", Factor, Site, Placement)
_SIGMA_SCALE = PPM // 100
# A figure of at most a month is of the hours it is laid on; one of a year, or without an end, is what somebody declares of them.
_EXACT_UP_TO_MS = 31 * MILLISECONDS_PER_DAY


@dataclass(slots=True)
class Reading:
    """What is known while the rows of one file are read, and what a person should hear of them.

    Attributes:
        file: Its name; the source of what names none.
        digest: sha256 of its bytes, hex: the evidence of what names none.
        zones: Zones that the book knows besides the catalogue's.
        currency: The book's, or empty where it has none yet.
        naive: How many times had no zone and were taken as UTC.
    """

    file: str
    digest: str = ""
    zones: Collection[str] = ()
    currency: str = ""
    naive: int = 0
    _zones_found: dict[str, str] = field(default_factory=dict)

    def factor(self, row: Line, kinds: Collection[str]) -> Factor:
        """Return the factor of a row; a version that it does not name is left empty.

        Raises:
            BadInput: A cell cannot be taken; the text names row and column.
        """
        kind = row.get("kind")
        if kind not in kinds:
            raise row.refuse("kind", _wrong_kind(kind, kinds))
        thing = row.get("of")
        if FACTOR_OBJECTS[kind] == ZONE:
            thing = self._zone(row, "of", thing)
        try:
            value, currency = measure(kind, row.get("value"), row.get("unit"), row.get("currency"))
        except BadInput as refusal:
            raise row.refuse(
                "unit" if str(refusal).startswith(("unit", "the unit")) else "value", str(refusal)
            ) from None
        if self.currency and currency and currency != self.currency:
            raise row.refuse(
                "currency",
                f"this book is kept in {self.currency}, not {currency}: convert the price, or keep another book",
            )
        start, end = self._instant(row, "valid_from") or 0, self._instant(row, "valid_to")
        # A row that names its version was written by an export, and is taken as it stands.
        is_own = bool(row.get("version"))
        return _made(row, Factor, _FIELDS, {
            "kind": kind, "object": thing, "value": value, "unit": FACTOR_UNITS[kind], "currency": currency,
            "valid_from_ms": start, "valid_to_ms": end, "provider": row.get("provider", DESK), "version": row.get("version", NEW),
            "state": row.get("state", "final"), "fallback": row.get("fallback") or fallback_of(start, end),
            "sigma_ppm": _sigma(row), "source": row.get("source", f"file {self.file}"),
            "licence": row.get("licence"), "basis": row.get("basis"),
            "evidence_name": row.get("evidence_name", "" if is_own else self.file),
            "evidence_digest": row.get("evidence_digest", "" if is_own else self.digest),
        })  # fmt: skip

    def site(self, row: Line) -> Site:
        """Return the site of a row; of a cloud region that is known, the zone need not be said.

        Raises:
            BadInput: A cell cannot be taken.
        """
        provider, region = row.get("provider").casefold(), row.get("region").casefold()
        zone = self._zone(row, "zone", row.get("zone")) if row.get("zone") else zone_of_region(provider, region)
        return _made(row, Site, {}, {
            "site": row.get("site"), "zone": zone, "provider": provider, "region": region, "control": row.get("control"),
            "ownership": row.get("ownership", "cloud" if region else "owned"),
            "valid_from_ms": self._instant(row, "valid_from") or 0, "version": row.get("version", NEW),
        })  # fmt: skip

    def placement(self, row: Line) -> Placement:
        """Return the placement of a row.

        Raises:
            BadInput: A cell cannot be taken.
        """
        return _made(row, Placement, {}, {
            "machine": row.get("machine"), "site": row.get("site"), "valid_from_ms": self._instant(row, "valid_from") or 0,
            "version": row.get("version", NEW),
        })  # fmt: skip

    def _zone(self, row: Line, column: str, word: str) -> str:
        """Return the code of a zone: of the catalogue, one that the book knows, or a part of a country, such as US-CAL-CISO."""
        found = self._zones_found.get(word)
        if found is None:
            try:
                found = known_zone(word, self.zones)
            except BadInput as refusal:
                raise row.refuse(column, str(refusal)) from None
            self._zones_found[word] = found
        return found

    def _instant(self, row: Line, column: str) -> int | None:
        text = row.get(column)
        if not text:
            return None
        try:
            if len(text) == _YEAR or (len(text) == _MONTH and text[_YEAR] == "-"):
                return month_interval(parse_month(text if len(text) == _MONTH else f"{text}-01")).start_ms
            moment = datetime.datetime.fromisoformat(text)
            if moment.tzinfo is None and len(text) > _DAY:
                self.naive += 1
                text += "Z"
            return parse_time(text)
        except (BadInput, ValueError):
            said = f"{text[:40]!r} is no instant: write it as 2026-11-22T10:00:00Z, 2026-11-22, 2026-11 or 2026"
            raise row.refuse(column, said) from None


def known_zone(word: str, zones: Collection[str] = ()) -> str:
    """Return the code of a zone: of the catalogue, one that the book knows, or a part of a country, such as US-CAL-CISO.

    Raises:
        BadInput: It is none of these; the text offers the nearest.
    """
    if word in zones:
        return word
    country, dash, part = word.partition("-")
    if dash and part and country in all_zones():
        return word
    try:
        return find_zone(word).zone
    except BadInput as refusal:
        raise BadInput(f"{refusal}; a part of a country begins with its code, such as US-CAL-CISO") from None


def row_of_factor(factor: Factor) -> dict[str, str]:
    """Return a factor as a row of FACTOR_COLUMNS, without loss."""
    value, unit = in_units(factor.kind, factor.value, factor.currency)
    return {
        "kind": factor.kind, "of": factor.object, "value": value, "unit": unit, "currency": factor.currency,
        "valid_from": _instant_text(factor.valid_from_ms or None), "valid_to": _instant_text(factor.valid_to_ms),
        "provider": factor.provider, "version": factor.version, "state": factor.state, "fallback": factor.fallback,
        "sigma_percent": decimal_text(factor.sigma_ppm * 100, PPM) if factor.sigma_ppm else "", "basis": factor.basis,
        "source": factor.source, "licence": factor.licence, "evidence_name": factor.evidence_name,
        "evidence_digest": factor.evidence_digest,
    }  # fmt: skip


def row_of_site(site: Site) -> dict[str, str]:
    """Return a site as a row of SITE_COLUMNS, without loss."""
    return {
        "site": site.site, "zone": site.zone, "ownership": site.ownership, "provider": site.provider, "region": site.region,
        "control": site.control, "valid_from": _instant_text(site.valid_from_ms or None), "version": site.version,
    }  # fmt: skip


def row_of_placement(placement: Placement) -> dict[str, str]:
    """Return a placement as a row of PLACEMENT_COLUMNS, without loss."""
    return {
        "machine": placement.machine, "site": placement.site, "valid_from": _instant_text(placement.valid_from_ms or None),
        "version": placement.version,
    }  # fmt: skip


def _made(row: Line, record: Callable[..., T], columns: Mapping[str, str], values: dict[str, object]) -> T:
    """Return a record, or the refusal of the row with the column whose rule it breaks."""
    try:
        return record(**values)
    except BadInput as refusal:
        word = next((name for name in values if re.search(rf"\b{name}\b", str(refusal))), "")
        raise row.refuse(columns.get(word, word), str(refusal)) from None


def _sigma(row: Line) -> int:
    try:
        return scale_decimal(row.get("sigma_percent", "0"), _SIGMA_SCALE, "one standard deviation in percent")
    except BadInput as refusal:
        raise row.refuse("sigma_percent", str(refusal)) from None


def fallback_of(start_ms: int, end_ms: int | None) -> str:
    """Return how near a figure is to the hours it holds in, where nobody says."""
    return "exact" if end_ms is not None and end_ms - start_ms <= _EXACT_UP_TO_MS else "declared"


def _wrong_kind(kind: str, kinds: Collection[str]) -> str:
    if kind in PRICE_KINDS:
        return f"{kind} is a price: `joulebook import prices`"
    if kind in FACTOR_UNITS:
        return f"{kind} is a factor: `joulebook import factors`"
    return f"{kind[:40]!r} is none of {', '.join(kinds)}"


def _instant_text(time_ms: int | None) -> str:
    if time_ms is None:
        return ""
    return time_text(time_ms).replace(":00.000Z", "Z") if time_ms % 60_000 == 0 else time_text(time_ms)
