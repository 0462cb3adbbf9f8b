"""GB Carbon Intensity (carbonintensity.org.uk, NESO): what Great Britain's grid burns, half-hour by half-hour, without a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.providers.answers import (
    FINAL,
    LOCATION,
    MICROGRAMS_PER_GRAM,
    NOT_UNDERSTOOD,
    OTHER_BASIS,
    PROVISIONAL,
    Nothing,
    NotUnderstoodError,
    Reply,
    Series,
    chosen,
    instant,
    json_of,
    listed,
    micrograms,
)
from joulebook_ledger.providers.mix import DIRECT
from joulebook_ledger.providers.words import minute_text

if TYPE_CHECKING:
    from joulebook_ledger.core.factors import Factor
    from joulebook_ledger.providers.settings import Access
    from joulebook_ledger.providers.web import Web

NAME = "gb"
URL = "https://api.carbonintensity.org.uk"
LICENCE = "CC BY 4.0"
SOURCE = "GB Carbon Intensity API (NESO)"
ZONES = {"GB": "GB"}


class GreatBritain:
    """The grid of Great Britain, as its operator tells it."""

    name = NAME
    kind = LOCATION
    longest_ms = 14 * MILLISECONDS_PER_DAY

    def __init__(self, web: Web, access: Access, basis: str) -> None:
        self._web = web
        self._access = access
        self._basis = basis

    def fetch(self, zone: str, start_ms: int, end_ms: int) -> tuple[Factor, ...] | Nothing:
        """Return the half-hours of GB."""
        theirs = self._access.zone(zone)
        if isinstance(theirs, Nothing):
            return theirs
        if self._basis not in {"", DIRECT}:
            return Nothing(
                reason=OTHER_BASIS,
                text="gb gives direct emissions only: unset JOULEBOOK_GRID_BASIS, or set it to direct",
            )
        answer = self._web.get(f"{self._access.url}/intensity/{minute_text(start_ms)}/{minute_text(end_ms)}")
        if isinstance(answer, Nothing):
            return answer
        try:
            return chosen(read(answer, zone), start_ms, end_ms, SOURCE)
        except NotUnderstoodError as error:
            return Nothing(reason=NOT_UNDERSTOOD, text=f"{NAME}: {error}")


def read(reply: Reply, zone: str) -> list[Factor]:
    """Return the half-hours of a reply. Where there is no actual value yet the forecast stands in, provisional.

    Raises:
        NotUnderstoodError: It has another shape.
    """
    found = (_half_hour(item, reply, zone) for item in listed(json_of(reply), "data"))
    return [factor for factor in found if factor is not None]


def _half_hour(item: dict[str, Any], reply: Reply, zone: str) -> Factor | None:
    said = item.get("intensity")
    if not isinstance(said, dict):
        raise NotUnderstoodError("a half-hour of the reply has no intensity")
    actual = micrograms(said.get("actual"), MICROGRAMS_PER_GRAM)
    value = micrograms(said.get("forecast"), MICROGRAMS_PER_GRAM) if actual is None else actual
    start_ms, end_ms = instant(item.get("from")), instant(item.get("to"))
    if end_ms <= start_ms:
        raise NotUnderstoodError("a half-hour of the reply ends before it starts")
    if value is None:
        return None
    series = Series(provider=NAME, zone=zone, source=SOURCE, licence=LICENCE, basis=DIRECT, reply=reply)
    return series.factor(start_ms, end_ms, value, state=PROVISIONAL if actual is None else FINAL)
