"""The units in which people write factors and prices, and their exact conversion into the units of the books. Pure.

A pound is 0.45359237 kg exactly (international avoirdupois pound). A year of service has 8,760 hours.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import NamedTuple

from joulebook_ledger.core.embodied import HOURS_PER_YEAR
from joulebook_ledger.core.factors import FACTOR_LIMITS, FACTOR_UNITS, PRICE_KINDS, is_currency
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MICRO, MICROGRAMS_PER_KILOGRAM, decimal_text

_OF_CARBON = {
    "ug": Fraction(1),
    "mg": Fraction(1_000),
    "g": Fraction(1_000_000),
    "kg": Fraction(1_000_000_000),
    "t": Fraction(1_000_000_000_000),
    "lb": Fraction("453592370"),
}
_OF_WATER = {"ul": Fraction(1), "ml": Fraction(1_000), "l": Fraction(1_000_000), "m3": Fraction(1_000_000_000)}
_OF_SHARES = {"": Fraction(MICRO), "1": Fraction(MICRO), "%": Fraction(MICRO, 100), "ppm": Fraction(1)}
_PER_ENERGY = {"wh": Fraction(1_000), "kwh": Fraction(1), "mwh": Fraction(1, 1_000), "gwh": Fraction(1, 1_000_000)}
_PER_TIME = {"h": Fraction(1), "hour": Fraction(1), "day": Fraction(1, 24), "year": Fraction(1, HOURS_PER_YEAR)}
_HUNDREDTHS = {"ct": "", "cent": "", "eurct": "EUR", "ct.eur": "EUR", "p": "GBP", "pence": "GBP"}
_SPELLED = (
    ("₂", "2"),
    ("µ", "u"),
    ("μ", "u"),
    ("³", "3"),
    (" per ", "/"),
    ("litres", "l"),
    ("litre", "l"),
    ("hours", "hour"),
)
_GAS = re.compile(r"(?<=[a-z])-?co2-?(?:eq|e)?(?=/|$)")
# Above these no grid, site or market is: the highest published average of a country is 1.306 kg CO2e/kWh (Turkmenistan, lifecycle);
# water behind hydropower in hot valleys stays below 100 l.
_MOST_PLAUSIBLE = {
    "grid_location": 1_500_000_000,
    "grid_market": 1_500_000_000,
    "residual_mix": 1_500_000_000,
    "upstream": 500_000_000,
    "water_site": 20_000_000,
    "water_source": 100_000_000,
}
# A kWh costs less than this where people pay in these.
_DEAREST_KWH = 5 * MICRO
_DEAR_CURRENCIES = ("EUR", "USD", "GBP", "CHF", "CAD", "AUD")
_FINEST = Fraction(1, 1_000_000)


class Measure(NamedTuple):
    """A value as the books keep it.

    Attributes:
        value: Integer in the kind's unit (`core.factors.FACTOR_UNITS`).
        currency: Of a price; empty else.
    """

    value: int
    currency: str = ""


def measure(kind: str, text: str, unit: str, currency: str = "") -> Measure:
    """Return a decimal text with its unit in the unit of the books.

    What the books cannot hold to the sixth digit is refused; a finer rest is rounded half to even.

    Args:
        kind: Key of `core.factors.FACTOR_UNITS`.
        text: A plain decimal such as "381.5".
        unit: As people write it, such as "gCO2e/kWh", "lb/MWh", "EUR/MWh", "ct/kWh", "%".
        currency: Of a price, where its unit does not say it.

    Raises:
        BadInput: No number, no unit of this kind, or a number that cannot be of this unit; the message offers what it may be of.

    >>> measure("grid_location", "816.8", "lb CO2/MWh").value
    370494248
    """
    number = _number(text)
    scale, of_unit = _scale(kind, unit, currency)
    if of_unit and currency and of_unit != currency.upper():
        raise BadInput(f"the unit {unit!r} is in {of_unit}, the currency says {currency!r}")
    exact = number * scale
    if exact < 0:
        raise BadInput(f"{text} is negative: a {kind} is at least 0")
    value = round(exact)
    if abs(exact - value) > abs(exact) * _FINEST:
        raise BadInput(f"{text} {unit} is finer than the book keeps: the smallest unit is 1 {FACTOR_UNITS[kind]}")
    money = of_unit or currency.upper()
    _refuse_implausible(kind, value, f"{text} {unit}".strip(), money)
    return Measure(value, money if kind in PRICE_KINDS else "")


def in_units(kind: str, value: int, currency: str = "") -> tuple[str, str]:
    """Return a value as a decimal text without loss, and its unit; `measure` reads it back.

    >>> in_units("tariff", 251_600, "EUR")
    ('0.2516', 'EUR/kWh')
    """
    unit = FACTOR_UNITS[kind]
    if kind in PRICE_KINDS:
        return decimal_text(value, MICRO), f"{currency}/{unit.rpartition('/')[2]}"
    if unit == "ppm":
        return decimal_text(value, MICRO), "1"
    if unit == "ug/h":
        return decimal_text(value, MICROGRAMS_PER_KILOGRAM), "kgCO2e/h"
    return decimal_text(value, MICRO), "L/kWh" if unit == "ul/kWh" else "gCO2e/kWh"


def _number(text: str) -> Fraction:
    said = text.strip()
    if not said:
        raise BadInput("the value is empty")
    if "," in said:
        raise BadInput(f"{said[:40]!r} has a comma: write a point for the decimals, and nothing between the thousands")
    try:
        number = Decimal(said)
    except InvalidOperation:
        raise BadInput(f"{said[:40]!r} is no decimal number such as 0.25") from None
    if not number.is_finite() or abs(number.adjusted()) > 30:
        raise BadInput(f"{said[:40]!r} is no number that the books can hold")
    return Fraction(number)


def _scale(kind: str, unit: str, currency: str) -> tuple[Fraction, str]:
    """Return how many units of the books one of this unit is, and the currency that it names."""
    written = unit.casefold()
    for spelled, short in _SPELLED:
        written = written.replace(spelled, short)
    upper, _, lower = _GAS.sub("", "".join(written.split())).partition("/")
    per = {"kWh": _PER_ENERGY, "h": _PER_TIME}.get(FACTOR_UNITS[kind].rpartition("/")[2])
    of_unit = ""
    if per is None:
        scale, below = _OF_SHARES.get(upper), Fraction(1) if not lower else None
    else:
        scale, of_unit = _numerator(kind, upper, currency)
        below = per.get(lower)
    if scale is None or below is None or (kind == "pue" and upper == "%"):
        known = _examples(kind)
        said = f"unit {unit[:40]!r} is none of a {kind}" if unit.strip() else "the unit is empty"
        raise BadInput(f"{said}: write it as {known}")
    return scale * below, of_unit


def _numerator(kind: str, word: str, currency: str) -> tuple[Fraction | None, str]:
    if kind not in PRICE_KINDS:
        return (_OF_WATER if FACTOR_UNITS[kind].startswith("ul") else _OF_CARBON).get(word), ""
    if word in _HUNDREDTHS:
        money = _HUNDREDTHS[word] or currency.upper()
        return (Fraction(MICRO, 100), money) if is_currency(money) else (None, "")
    money = {"€": "EUR", "£": "GBP", "¢": "", "": currency}.get(word, word).upper()
    return (Fraction(MICRO), money) if is_currency(money) else (None, "")


def _examples(kind: str) -> str:
    unit = FACTOR_UNITS[kind]
    return {
        "micro/kWh": "EUR/kWh, EUR/MWh, or ct/kWh with the currency in its own column",
        "micro/h": "EUR/h",
        "ul/kWh": "L/kWh",
        "ug/h": "kgCO2e/h or kgCO2e/year",
        "ug/kWh": "gCO2e/kWh, kgCO2e/kWh, kgCO2e/MWh or lb/MWh",
        "ppm": "1 (a plain number)" if kind == "pue" else "1 (a plain number) or %",
    }[unit]


def _refuse_implausible(kind: str, value: int, said: str, currency: str) -> None:
    most = _MOST_PLAUSIBLE.get(kind, FACTOR_LIMITS[kind])
    if kind == "tariff" and currency in _DEAR_CURRENCIES:
        most = _DEAREST_KWH
    if kind == "pue" and value < MICRO:
        raise BadInput(f"a PUE of {said} is below 1: it is the energy of the facility for each kWh of IT, such as 1.2")
    if value <= most:
        return
    greatest = " ".join(in_units(kind, most, currency))
    is_of_mwh = FACTOR_UNITS[kind].endswith("/kWh") and value // 1_000 <= most
    hint = ": per MWh? Then say so in the unit" if is_of_mwh else ""
    raise BadInput(f"{said} is implausible for a {kind}, which is at most {greatest}{hint}")
