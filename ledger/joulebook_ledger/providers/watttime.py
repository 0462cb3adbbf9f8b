"""WattTime (api.watttime.org, v3): the marginal emissions of a region, five minutes by five minutes. A view, never in the books."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from joulebook_ledger.core.periods import time_text
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.providers.answers import (
    FINAL,
    MARGINAL,
    MICROGRAMS_PER_KWH_OF_POUND_PER_MWH,
    NO_TOKEN,
    NOT_UNDERSTOOD,
    PROVISIONAL,
    REFUSED,
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

NAME = "watttime"
URL = "https://api.watttime.org"
LICENCE = "WattTime API terms"
SOURCE = "WattTime, marginal operating emissions rate"
SIGNAL = "co2_moer"
UNITS = "lbs_co2_per_mwh"
# The region that every account may ask; others are named in JOULEBOOK_WATTTIME_ZONES, since their regions are no zones of ours.
ZONES = {"CAISO_NORTH": "CAISO_NORTH"}
# Three times that of an hourly average: a marginal rate is a model's answer and nobody meters it. A judgement.
SIGMA_PPM = 210_000


class WattTime:
    """WattTime behind a user and a password, which are shown for a bearer token that lives for half an hour."""

    name = NAME
    kind = MARGINAL
    longest_ms = 30 * MILLISECONDS_PER_DAY

    def __init__(self, web: Web, access: Access) -> None:
        self._web = web
        self._access = access
        self._bearer = ""

    def fetch(self, zone: str, start_ms: int, end_ms: int) -> tuple[Factor, ...] | Nothing:
        """Return the marginal rates of a region."""
        theirs = self._access.zone(zone)
        if isinstance(theirs, Nothing):
            return theirs
        parameters = {
            "region": theirs, "start": time_text(start_ms), "end": time_text(end_ms), "signal_type": SIGNAL,
        }  # fmt: skip
        answer = self._asked(parameters)
        if isinstance(answer, Nothing):
            return answer
        try:
            return chosen(read(answer, zone, theirs), start_ms, end_ms, SOURCE)
        except NotUnderstoodError as error:
            return Nothing(reason=NOT_UNDERSTOOD, text=f"{NAME}: {error}")

    def _asked(self, parameters: dict[str, str]) -> Reply | Nothing:
        """Ask, with a new bearer token where the old one is no longer known."""
        for is_new in (not self._bearer, True):
            if is_new and (trouble := self._log_in()) is not None:
                return trouble
            answer = self._web.get(
                f"{self._access.url}/v3/historical", parameters, headers={"Authorization": f"Bearer {self._bearer}"}
            )
            if is_new or not (isinstance(answer, Nothing) and answer.reason == REFUSED):
                return answer
        return answer

    def _log_in(self) -> Nothing | None:
        if ":" not in self._access.token:
            return Nothing(reason=NO_TOKEN, text="JOULEBOOK_WATTTIME_TOKEN is written as USER:PASSWORD")
        shown = base64.b64encode(self._access.token.encode()).decode()
        answer = self._web.get(f"{self._access.url}/login", headers={"Authorization": f"Basic {shown}"})
        if isinstance(answer, Nothing):
            return answer
        try:
            bearer = json_of(answer).get("token")
        except NotUnderstoodError as error:
            return Nothing(reason=NOT_UNDERSTOOD, text=f"{NAME}: {error}")
        if not isinstance(bearer, str) or not bearer or not all("!" <= character <= "~" for character in bearer):
            return Nothing(reason=NOT_UNDERSTOOD, text=f"{NAME}: the login gives no token")
        self._bearer = bearer
        return None


def read(reply: Reply, zone: str, theirs: str) -> list[Factor]:
    """Return the rates of a reply, brought from pounds per MWh to micrograms per kWh exactly.

    Raises:
        NotUnderstoodError: It is of another region, signal, unit or shape.
    """
    body = json_of(reply)
    meta = body.get("meta")
    if not isinstance(meta, dict):
        raise NotUnderstoodError("the reply does not say of which region and unit it is")
    for name, wanted in (("region", theirs), ("signal_type", SIGNAL), ("units", UNITS)):
        if meta.get(name) != wanted:
            raise NotUnderstoodError(f"the reply has {name} {str(meta.get(name))[:40]!r}, not {wanted!r}")
    period_ms = _period_ms(meta.get("data_point_period_seconds"))
    model = meta.get("model")
    said = str(model.get("date") or "")[:40] if isinstance(model, dict) else ""
    series = Series(
        kind=MARGINAL, provider=NAME, zone=zone, source=SOURCE, licence=LICENCE, reply=reply, sigma_ppm=SIGMA_PPM
    )
    factors = []
    for item in listed(body, "data"):
        value = micrograms(item.get("value"), MICROGRAMS_PER_KWH_OF_POUND_PER_MWH, MARGINAL)
        if value is not None:
            start_ms = instant(item.get("point_time"))
            state = PROVISIONAL if item.get("imputed_data_used") else FINAL
            factors.append(series.factor(start_ms, start_ms + period_ms, value, state=state, said=said))
    return factors


def _period_ms(seconds: object) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds <= 3_600:
        raise NotUnderstoodError("the reply does not say how long a value holds")
    return seconds * 1_000
