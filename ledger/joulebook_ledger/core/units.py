"""Integers in the smallest unit, the three divisions that Joulebook knows, and amounts that refuse to mix.

Energy is counted in millijoules, money in micro-units of the book's currency, CO2e in micrograms, water in microlitres, time in
milliseconds. 1 kWh is 3,600,000 J exactly (SI). Nothing here takes or returns a float but the `*_for_people` edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation, localcontext
from typing import TYPE_CHECKING

from joulebook_ledger.core.refusals import BadInput, UnitMismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

MILLIJOULES_PER_JOULE = 1_000
MILLIJOULES_PER_KWH = 3_600_000_000
MILLISECONDS_PER_HOUR = 3_600_000
MILLISECONDS_PER_DAY = 86_400_000
MICROGRAMS_PER_KILOGRAM = 1_000_000_000
MICROLITRES_PER_LITRE = 1_000_000
MICRO = 1_000_000
PPM = 1_000_000
LARGEST_INTEGER = 2**63 - 1


def require_integer(value: object, name: str, *, least: int | None = None, most: int = LARGEST_INTEGER) -> int:
    """Return `value` if it is an integer within bounds; a bool or a float is refused, whatever its value.

    >>> require_integer(5, "energy_mj", least=0)
    5
    """
    if not isinstance(value, int) or isinstance(value, bool):
        message = f"{name} must be an integer, not {value!r}"
        raise BadInput(message)
    if least is not None and value < least:
        message = f"{name} must be at least {least}, not {value}"
        raise BadInput(message)
    if abs(value) > most:
        message = f"{name} must be at most {most}, not {value}"
        raise BadInput(message)
    return value


def div_floor(numerator: int, denominator: int) -> int:
    """Return the greatest integer not above numerator/denominator, for a denominator above 0.

    >>> div_floor(-7, 2)
    -4
    """
    if denominator <= 0:
        message = f"denominator must be above 0, not {denominator}"
        raise BadInput(message)
    return numerator // denominator


def muldiv(a: int, b: int, c: int) -> int:
    """Return a·b/c without a product above c·b, the same integers in 64 bits on every engine (CORE §4).

    Defined as (a div c)·b + ((a mod c)·b) div c for a, b >= 0 and c > 0, and as -muldiv(a, -b, c) for b < 0. A negative `a` is
    priced by its mirror, so that a correction takes back exactly what it booked.

    >>> muldiv(3_600_000_000, 381_000_000, 3_600_000_000)
    381000000
    """
    if c <= 0:
        message = f"divisor must be above 0, not {c}"
        raise BadInput(message)
    if b < 0:
        return -muldiv(a, -b, c)
    if a < 0:
        return -muldiv(-a, b, c)
    return (a // c) * b + ((a % c) * b) // c


def split_cumulatively(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` by `weights` in their order; part i is f(W_i) - f(W_{i-1}) with f(W) = muldiv(W, total, ΣW).

    The parts sum to `total` by construction. Weights are integers of at least 0 with a sum above 0.

    >>> split_cumulatively(100, [1, 1, 1])
    [33, 33, 34]
    """
    whole = sum(weights)
    if whole <= 0 or min(weights) < 0:
        message = f"weights must be at least 0 with a sum above 0, not {list(weights)!r}"
        raise BadInput(message)
    parts: list[int] = []
    reached = before = 0
    for weight in weights:
        reached += weight
        now = muldiv(reached, total, whole)
        parts.append(now - before)
        before = now
    return parts


def split_by_largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` by given weights (bills, idle); what floors leave over goes to the largest remainders, ties to the first.

    A negative total is split by its absolute value and negated (Hamilton's method on integer quanta).

    >>> split_by_largest_remainder(10_000, [1, 1, 1])
    [3334, 3333, 3333]
    """
    whole = sum(weights)
    if whole <= 0 or min(weights) < 0:
        message = f"weights must be at least 0 with a sum above 0, not {list(weights)!r}"
        raise BadInput(message)
    if total < 0:
        return [-part for part in split_by_largest_remainder(-total, weights)]
    parts = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    left = total - sum(parts)
    for index in sorted(range(len(parts)), key=lambda i: (-remainders[i], i))[:left]:
        parts[index] += 1
    return parts


def scale_decimal(text: object, scale: int, name: str) -> int:
    """Return the integer text·scale; a text that is no plain decimal, or finer than one unit, is refused.

    Args:
        text: A decimal as people write it, such as "0.2516". A float object is refused: it is not what was written.
        scale: Smallest units per unit of the text, such as 1_000_000 for micro-units.
        name: What the value is, for the message.

    >>> scale_decimal("0.2516", MICRO, "price")
    251600
    """
    if not isinstance(text, str):
        message = f"{name} must be given as a decimal text, not {text!r}"
        raise BadInput(message)
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        message = f"{name} must be a decimal number such as 0.25, not {text!r}"
        raise BadInput(message) from None
    if not number.is_finite():
        message = f"{name} must be a finite number, not {text!r}"
        raise BadInput(message)
    with localcontext() as context:
        context.prec = 60
        scaled = number * scale
        whole = int(scaled)
    if whole != scaled:
        message = f"{name} {text!r} is finer than the book keeps: 1/{scale} is the smallest unit"
        raise BadInput(message)
    return require_integer(whole, name)


def decimal_text(value: int, scale: int) -> str:
    """Return value/scale as a plain decimal text without loss and without trailing zeros.

    >>> decimal_text(251_600, MICRO)
    '0.2516'
    """
    digits = len(str(scale)) - 1
    if scale != 10**digits:
        message = f"scale must be a power of ten, not {scale}"
        raise BadInput(message)
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), scale)
    fraction = str(rest).zfill(digits).rstrip("0") if digits else ""
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


@dataclass(frozen=True, slots=True, order=False)
class Amount:
    """A whole number of one unit. Adding unlike units raises; floats are refused.

    Attributes:
        number: How many.
        unit: Of what, such as "mJ", "ug CO2e" or "micro EUR".
    """

    number: int
    unit: str

    def __post_init__(self) -> None:
        """Refuse what is no integer."""
        require_integer(self.number, f"amount in {self.unit}")

    def __add__(self, other: Amount) -> Amount:
        """Return the sum of two amounts of one unit."""
        return Amount(self.number + self._alike(other), self.unit)

    def __sub__(self, other: Amount) -> Amount:
        """Return the difference of two amounts of one unit."""
        return Amount(self.number - self._alike(other), self.unit)

    def __lt__(self, other: Amount) -> bool:
        """Say whether this amount is the smaller of two of one unit."""
        return self.number < self._alike(other)

    def split(self, weights: Sequence[int]) -> list[Amount]:
        """Split by given weights, exactly (largest remainder)."""
        return [Amount(part, self.unit) for part in split_by_largest_remainder(self.number, weights)]

    def _alike(self, other: object) -> int:
        if not isinstance(other, Amount) or other.unit != self.unit:
            message = (
                f"{self.unit!r} cannot be combined with {getattr(other, 'unit', other)!r}: convert one of them first"
            )
            raise UnitMismatch(message)
        return other.number


def money(text: str, currency: str) -> Amount:
    """Return an amount of money in micro-units from a decimal text.

    >>> money("12.50", "EUR").number
    12500000
    """
    return Amount(scale_decimal(text, MICRO, "money"), f"micro {currency}")


def energy(millijoules: int) -> Amount:
    """Return an amount of energy in millijoules."""
    return Amount(millijoules, "mJ")
