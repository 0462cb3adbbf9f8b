"""Numbers for people."""

from __future__ import annotations

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook import figures, pages, places, tables

SCALES = {"n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}


@pytest.mark.parametrize("module", [figures, tables, pages, places], ids=lambda module: module.__name__)
def test_the_examples_in_the_docstrings_hold(module: object) -> None:
    """Each example is run."""
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_what_is_unknown_is_never_zero() -> None:
    """None reads as unknown in every kind of number, and 0 as 0."""
    assert {
        figures.energy(None),
        figures.mass(None),
        figures.water(None),
        figures.money(None, "EUR"),
        figures.duration(None),
    } == {"?"}
    assert (figures.energy(0.0), figures.mass(0.0), figures.money("0", "EUR")) == ("0 Wh", "0 g", "0 EUR")


@pytest.mark.parametrize(
    ("kilowatt_hours", "text"),
    [(2.8e-10, "280 nWh"), (0.9996e-3, "1.00 Wh"), (0.00123456, "1.23 Wh"), (0.9999, "1.00 kWh"), (123.4, "123 kWh"), (1e6, "1.00 GWh"), (-0.002, "-2.00 Wh")],
)  # fmt: skip
def test_an_energy_takes_the_prefix_that_leaves_three_digits(kilowatt_hours: float, text: str) -> None:
    """A value that rounds up to the next prefix takes it."""
    assert figures.energy(kilowatt_hours) == text


@given(st.floats(min_value=1e-11, max_value=1e9))
def test_an_energy_for_people_is_the_energy_to_three_digits(kilowatt_hours: float) -> None:
    """Read back, the text is within half of the third digit."""
    match = re.fullmatch(r"([\d.,]+) (.?)Wh", figures.energy(kilowatt_hours))
    assert match is not None
    read = float(match[1].replace(",", "")) * SCALES[match[2]] / 1_000
    assert read == pytest.approx(kilowatt_hours, rel=0.00501)


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0.000312", "0.000312"), ("0.0123456", "0.0123"), ("0.9996", "1"), ("1", "1.00"), ("1234.567", "1,234.57"), ("-0.05", "-0.05")],
)  # fmt: skip
def test_small_money_keeps_its_digits_and_large_money_its_cents(amount: str, text: str) -> None:
    """A run that cost a hundredth of a cent did not cost 0.00."""
    assert figures.amount_text(amount) == text


def test_nearly_all_is_not_all() -> None:
    """A share of 99.99 % does not read as 100 %."""
    assert (figures.share(0.9999), figures.share(0.00001), figures.spread(0.001)) == (">99 %", "<1 %", "± <1 %")
