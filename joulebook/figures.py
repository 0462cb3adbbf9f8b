"""Numbers as people read them: three digits that mean something, an SI prefix, the unit. JSON never passes through here.

What is unknown is never 0: `None` becomes UNKNOWN. Light on purpose, so that a run's closing line can use it.
"""

from __future__ import annotations

UNKNOWN = "?"
SIGNIFICANT_DIGITS = 3
_PREFIXES = ("n", "µ", "m", "", "k", "M", "G", "T", "P")
_NO_PREFIX = 3
_GRAM_NAMES = ("ng", "µg", "mg", "g", "kg", "t", "kt", "Mt", "Gt")
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def energy(kilowatt_hours: float | None) -> str:
    """Return an energy in watt-hours with a prefix.

    >>> energy(0.00123456)
    '1.23 Wh'
    """
    return _prefixed(kilowatt_hours, 1_000, tuple(f"{prefix}Wh" for prefix in _PREFIXES))


def mass(kilograms: float | None) -> str:
    """Return a mass of CO2e in grams with a prefix, from a tonne on in tonnes.

    >>> mass(0.0045), mass(2_500.0)
    ('4.50 g', '2.50 t')
    """
    return _prefixed(kilograms, 1_000, _GRAM_NAMES)


def water(litres: float | None) -> str:
    """Return a volume of water in litres with a prefix.

    >>> water(0.0018)
    '1.80 ml'
    """
    return _prefixed(litres, 1, tuple(f"{prefix}l" for prefix in _PREFIXES))


def money(amount: str | None, currency: str | None) -> str:
    """Return an amount with its currency.

    >>> money("0.000312", "EUR"), money("1234.5", "EUR")
    ('0.000312 EUR', '1,234.50 EUR')
    """
    return UNKNOWN if amount is None else f"{amount_text(amount)} {currency or ''}".rstrip()


def amount_text(amount: str | None) -> str:
    """Return an amount of money without its currency: cents from one unit on, three digits below.

    >>> amount_text("0.0003129"), amount_text("0.000000"), amount_text(None)
    ('0.000313', '0', '?')
    """
    if amount is None:
        return UNKNOWN
    from decimal import Decimal

    number = Decimal(amount)
    if not number:
        return "0"
    if abs(number) >= 1:
        return f"{number:,.2f}"
    places = SIGNIFICANT_DIGITS - 1 - number.adjusted()
    return f"{number:.{places}f}".rstrip("0").rstrip(".")


def plain(value: float | None) -> str:
    """Return a number without a unit, such as a score or a ratio.

    >>> plain(0.97222), plain(25557032), plain(1234.5), plain(0.00001234)
    ('0.9722', '25,557,032', '1,234', '1.23e-05')
    """
    if value is None:
        return UNKNOWN
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 0.001 else f"{value:.3g}"


def duration(seconds: float | None) -> str:
    """Return a duration in its two greatest units.

    >>> duration(0.25), duration(12.34), duration(125), duration(7_500), duration(100_000)
    ('0.25 s', '12.3 s', '2 min 5 s', '2 h 5 min', '1 d 3 h')
    """
    if seconds is None:
        return UNKNOWN
    if seconds < _MINUTE:
        return f"{_three_digits(seconds)} s"
    whole = int(seconds)
    if whole < _HOUR:
        return _two_units(whole // _MINUTE, "min", whole % _MINUTE, "s")
    if whole < _DAY:
        return _two_units(whole // _HOUR, "h", whole % _HOUR // _MINUTE, "min")
    return _two_units(whole // _DAY, "d", whole % _DAY // _HOUR, "h")


def share(part: float | None) -> str:
    """Return a share in per cent; what is nearly all or nearly nothing never reads as all or nothing.

    >>> share(0.984), share(0.9999), share(0.0001), share(1.0)
    ('98 %', '>99 %', '<1 %', '100 %')
    """
    if part is None:
        return UNKNOWN
    if 0.995 <= part < 1:
        return ">99 %"
    if 0 < part < 0.005:
        return "<1 %"
    return f"{part * 100:.0f} %"


def spread(sigma: float | None) -> str:
    """Return an uncertainty as ± two relative standard deviations, or nothing where it is not known.

    >>> spread(0.03)
    '± 6 %'
    """
    if sigma is None:
        return ""
    percent = 200 * sigma
    return f"± {percent:.0f} %" if percent >= 1 or not percent else "± <1 %"


def moment(rfc3339: str | None) -> str:
    """Return an instant in UTC to the second, as people write it.

    >>> moment("2026-11-22T19:07:12.345Z")
    '2026-11-22 19:07:12'
    """
    return UNKNOWN if not rfc3339 else rfc3339[:19].replace("T", " ")


def _prefixed(value: float | None, per_base: float, names: tuple[str, ...]) -> str:
    if value is None:
        return UNKNOWN
    base = value * per_base
    if not base:
        return f"0 {names[_NO_PREFIX]}"
    step = 0
    number = float(f"{base:.{SIGNIFICANT_DIGITS}g}")
    while abs(number) >= 1_000 and step < len(names) - _NO_PREFIX - 1:
        step, number = step + 1, number / 1_000
    while abs(number) < 1 and step > -_NO_PREFIX:
        step, number = step - 1, number * 1_000
    return f"{_three_digits(number)} {names[_NO_PREFIX + step]}"


def _three_digits(number: float) -> str:
    rounded = abs(float(f"{number:.{SIGNIFICANT_DIGITS}g}"))
    places = 2 if rounded < 10 else 1 if rounded < 100 else 0
    return f"{number:,.{places}f}"


def _two_units(greater: int, greater_unit: str, lesser: int, lesser_unit: str) -> str:
    return f"{greater} {greater_unit} {lesser} {lesser_unit}" if lesser else f"{greater} {greater_unit}"
