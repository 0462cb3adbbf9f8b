"""Electricity Maps (api.electricitymaps.com, v3): average intensity of what a zone consumes, hour by hour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joulebook_ledger.core.periods import time_text
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY, MILLISECONDS_PER_HOUR
from joulebook_ledger.providers.answers import (
    FINAL,
    LOCATION,
    MICROGRAMS_PER_GRAM,
    NOT_UNDERSTOOD,
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

if TYPE_CHECKING:
    from joulebook_ledger.core.factors import Factor
    from joulebook_ledger.providers.settings import Access
    from joulebook_ledger.providers.web import Web

NAME = "electricitymaps"
URL = "https://api.electricitymaps.com"
LICENCE = "Electricity Maps API terms"
SOURCE = "Electricity Maps, average of consumption"
HISTORY_MS = MILLISECONDS_PER_DAY
_BASES = {"lifecycle": "lifecycle", "direct": "direct"}


class ElectricityMaps:
    """Electricity Maps behind a token."""

    name = NAME
    kind = LOCATION
    longest_ms = 10 * MILLISECONDS_PER_DAY

    def __init__(self, web: Web, access: Access, basis: str, now_ms: int) -> None:
        self._web = web
        self._access = access
        self._basis = basis
        self._now_ms = now_ms

    def fetch(self, zone: str, start_ms: int, end_ms: int) -> tuple[Factor, ...] | Nothing:
        """Return the hours of a zone. The last day is asked for as every plan may; what is older as a range."""
        theirs = self._access.zone(zone)
        if isinstance(theirs, Nothing):
            return theirs
        parameters = {"zone": theirs, **({"emissionFactorType": self._basis} if self._basis else {})}
        page = "history"
        if start_ms < self._now_ms - HISTORY_MS:
            page, parameters = "past-range", {**parameters, "start": time_text(start_ms), "end": time_text(end_ms)}
        answer = self._web.get(
            f"{self._access.url}/v3/carbon-intensity/{page}", parameters, headers={"auth-token": self._access.token}
        )
        if isinstance(answer, Nothing):
            return answer
        try:
            return chosen(read(answer, zone, theirs), start_ms, end_ms, SOURCE)
        except NotUnderstoodError as error:
            return Nothing(reason=NOT_UNDERSTOOD, text=f"{NAME}: {error}")


def read(reply: Reply, zone: str, theirs: str) -> list[Factor]:
    """Return the hours of a reply: one value, a list of them, or the older form of CO2signal.

    Args:
        reply: What came back.
        zone: Ours, which the factors get.
        theirs: Theirs, which the reply must be of.

    Raises:
        NotUnderstoodError: It is of another zone or shape.
    """
    body = json_of(reply)
    if isinstance(body.get("data"), dict):  # CO2signal
        if (body.get("units") or {}).get("carbonIntensity") != "gCO2eq/kWh":
            raise NotUnderstoodError("the reply does not say gCO2eq/kWh")
        items = [{**body["data"], "zone": body.get("countryCode")}]
    elif "carbonIntensity" in body:
        items = [body]
    else:
        items = listed(body, "history", "data")
    return [factor for item in items if (factor := _hour(item, body, reply, zone, theirs)) is not None]


def _hour(item: dict[str, Any], body: dict[str, Any], reply: Reply, zone: str, theirs: str) -> Factor | None:
    if (told := item.get("zone", body.get("zone"))) != theirs:
        raise NotUnderstoodError(f"the reply is of zone {str(told)[:40]!r}, not {theirs!r}")
    if item.get("temporalGranularity", "hourly") != "hourly":
        raise NotUnderstoodError("the reply is not of hours")
    value = micrograms(item.get("carbonIntensity"), MICROGRAMS_PER_GRAM)
    if value is None:
        return None
    start_ms = instant(item.get("datetime"))
    # Who does not say that a value was measured has not said it: it is asked for again until it is said.
    is_measured = item.get("isEstimated") is False
    series = Series(
        provider=NAME, zone=zone, source=SOURCE, licence=LICENCE, reply=reply,
        basis=_BASES.get(str(item.get("emissionFactorType")), ""),
    )  # fmt: skip
    return series.factor(
        start_ms, start_ms + MILLISECONDS_PER_HOUR, value, state=FINAL if is_measured else PROVISIONAL,
        said=str(item.get("updatedAt") or "")[:40],
    )  # fmt: skip
