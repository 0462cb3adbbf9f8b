"""What a provider answers: factors, or nothing and why. A failed question is never an empty list and never a zero.

The integers are made here from the decimals of the reply, so that a figure in the book is the one that the provider printed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from typing import Any, Protocol

from joulebook_ledger.core.factors import FACTOR_LIMITS, FACTOR_UNITS, Factor
from joulebook_ledger.core.periods import parse_time
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import LONGEST_TEXT

MICROGRAMS_PER_GRAM = 1_000_000
# 1 lb is 0.45359237 kg exactly (international pound, 1959), so 1 lb/MWh is 0.45359237 g/kWh.
MICROGRAMS_PER_KWH_OF_POUND_PER_MWH = Decimal("453592.37")
# One standard deviation of a zone's hourly intensity, standards.md §9.
HOURLY_SIGMA_PPM = 70_000
PROVISIONAL, FINAL = "provisional", "final"
LOCATION, MARGINAL = "grid_location", "grid_marginal"

UNKNOWN_ZONE = "unknown_zone"
OTHER_BASIS = "other_basis"
NO_TOKEN = "no_token"  # noqa: S105 - a reason
REFUSED = "refused"
OVER_QUOTA = "over_quota"
UNREACHABLE = "unreachable"
TOO_SLOW = "too_slow"
FAILING = "failing"
REDIRECTED = "redirected"
TOO_LARGE = "too_large"
NOT_UNDERSTOOD = "not_understood"
NO_VALUES = "no_values"
RESTING = frozenset({NO_TOKEN, REFUSED, OVER_QUOTA, UNREACHABLE, TOO_SLOW, FAILING, REDIRECTED})
"""Reasons that hold for whatever else one might ask of that provider just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """No factors, and why.

    Attributes:
        reason: One of the words of this module.
        text: For people, with the way out; it never holds a token.
    """

    reason: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back of one question.

    Attributes:
        content: Its bytes.
        asked: The address that was asked, without secrets.
    """

    content: bytes
    asked: str

    @property
    def digest(self) -> str:
        """The sha256 of the raw bytes, hex: evidence of what was said."""
        return hashlib.sha256(self.content).hexdigest()


class Provider(Protocol):
    """One source of grid intensities.

    Attributes:
        name: The provider of its factors, and its name in JOULEBOOK_PROVIDERS.
        kind: Which kind of factor it gives.
        longest_ms: What one question may span at most.
    """

    name: str
    kind: str
    longest_ms: int

    def fetch(self, zone: str, start_ms: int, end_ms: int) -> tuple[Factor, ...] | Nothing:
        """Return the factors of our zone that begin within a stretch of time; hours that it has no value for are left out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What all factors of one reply have in common.

    Attributes:
        kind: Of the factors.
        provider: Its name.
        zone: Ours.
        source: Provider and method, for people.
        licence: Under which it may be used.
        basis: direct or lifecycle; empty where it is not said.
        reply: What they were read from.
        sigma_ppm: One standard deviation.
    """

    kind: str = LOCATION
    provider: str
    zone: str
    source: str
    licence: str
    basis: str = ""
    reply: Reply
    sigma_ppm: int = HOURLY_SIGMA_PPM

    def factor(self, start_ms: int, end_ms: int, micrograms: int, *, state: str, said: str = "") -> Factor:
        """Return one factor of the series; its version names the reply, so that another reply is another version.

        Args:
            start_ms: First instant.
            end_ms: First instant after.
            micrograms: Per kWh.
            state: provisional or final.
            said: The provider's own word on the version, such as when it was updated.
        """
        return Factor(
            kind=self.kind, object=self.zone, provider=self.provider, valid_from_ms=start_ms, valid_to_ms=end_ms,
            version=f"{said}{'.' if said else ''}{self.reply.digest[:16]}", value=micrograms, unit=FACTOR_UNITS[self.kind], state=state,
            fallback="exact", sigma_ppm=self.sigma_ppm, source=f"{self.source}; {self.reply.asked}"[:LONGEST_TEXT], licence=self.licence,
            basis=self.basis, evidence_name=f"reply of {self.reply.asked}"[:LONGEST_TEXT], evidence_digest=self.reply.digest,
        )  # fmt: skip


class NotUnderstoodError(Exception):
    """A reply has another shape than its provider documents."""


def json_of(reply: Reply) -> dict[str, Any]:
    """Return the object of a JSON reply, its decimals as they were written.

    Raises:
        NotUnderstoodError: It is none.
    """
    try:
        body = json.loads(reply.content, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise NotUnderstoodError("the reply is no JSON") from None
    if not isinstance(body, dict):
        raise NotUnderstoodError("the reply is no JSON object")
    return body


def listed(body: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    """Return the list of objects under the first of these names that is there.

    Raises:
        NotUnderstoodError: There is none.
    """
    for name in names:
        found = body.get(name)
        if isinstance(found, list) and all(isinstance(item, dict) for item in found):
            return found
    raise NotUnderstoodError(f"the reply holds no list {' or '.join(names)}")


def instant(value: object) -> int:
    """Return the milliseconds of an instant that a reply names.

    Raises:
        NotUnderstoodError: It is none, or has no time zone.
    """
    try:
        return parse_time(str(value))
    except BadInput:
        raise NotUnderstoodError(f"the reply names {str(value)[:40]!r} where an instant should be") from None


def micrograms(value: object, scale: Decimal | int, kind: str = LOCATION) -> int | None:
    """Return an intensity in micrograms per kWh, rounded half to even; None where there is no value.

    Args:
        value: As the reply has it: a number or null.
        scale: Micrograms per kWh of one unit of it.
        kind: Whose limit holds.

    Raises:
        NotUnderstoodError: It is no number, negative, or above any grid there is: in another unit, perhaps.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise NotUnderstoodError(f"the reply gives {str(value)[:40]!r} where a number should be")
    found = int((Decimal(value) * scale).to_integral_value(ROUND_HALF_EVEN))
    if not 0 <= found <= FACTOR_LIMITS[kind]:
        raise NotUnderstoodError(f"the reply gives {str(value)[:40]} for an intensity, which no grid has")
    return found


def chosen(factors: list[Factor], start_ms: int, end_ms: int, who: str) -> tuple[Factor, ...] | Nothing:
    """Return the factors that begin within what was asked for, in order of time.

    Raises:
        NotUnderstoodError: Two of them hold at one instant.
    """
    found = sorted(
        (one for one in factors if start_ms <= one.valid_from_ms < end_ms), key=lambda one: one.valid_from_ms
    )
    for one, after in pairwise(found):
        if one.valid_to_ms is None or one.valid_to_ms > after.valid_from_ms:
            raise NotUnderstoodError("the reply gives two values for one instant")
    if not found:
        return Nothing(reason=NO_VALUES, text=f"{who} has no value yet for any of the time asked for")
    return tuple(found)


def _no_number(text: str) -> object:
    raise ValueError(text)
