"""Units as people write them become the integers of the books, exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import FACTOR_VALUES

from joulebook_ledger.core.factors import PRICE_KINDS
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.register.units import Measure, in_units, measure

READ = [
    ("grid_location", "56.039", "gCO2e/kWh", 56_039_000),
    ("grid_location", "56.039", "g CO2-eq / kWh", 56_039_000),
    ("grid_location", "56.039", "g/kWh", 56_039_000),
    ("grid_location", "0.381", "kgCO2e/kWh", 381_000_000),
    ("grid_location", "381", "kg CO2e per MWh", 381_000_000),
    ("grid_location", "381", "gCO₂e/kWh", 381_000_000),
    ("grid_location", "0.381", "t/MWh", 381_000_000),
    # 1000 lb/MWh = 1 lb/kWh = 0.45359237 kg/kWh, exactly
    ("grid_location", "1000", "lb/MWh", 453_592_370),
    ("grid_location", "816.8", "lb CO2/MWh", 370_494_248),
    ("grid_marginal", "1.9", "kg/kWh", 1_900_000_000),
    ("water_site", "1.8", "L/kWh", 1_800_000),
    ("water_source", "3.1", "m3/MWh", 3_100_000),
    ("pue", "1.12", "1", 1_120_000),
    ("transmission_loss", "7.5", "%", 75_000),
    ("transmission_loss", "0.075", "1", 75_000),
    ("embodied", "250", "kgCO2e/year", 28_538_813),
    ("embodied", "0.028538813", "kgCO2e/h", 28_538_813),
]
MONEY = [
    ("tariff", "0.2516", "EUR/kWh", "", 251_600, "EUR"),
    ("tariff", "89.5", "EUR/MWh", "", 89_500, "EUR"),
    ("tariff", "25.16", "ct/kWh", "EUR", 251_600, "EUR"),
    ("tariff", "0.25", "€/kWh", "", 250_000, "EUR"),
    ("tariff", "31", "JPY/kWh", "", 31_000_000, "JPY"),
    ("instance_price", "2.10", "USD/h", "usd", 2_100_000, "USD"),
    ("instance_price", "24", "/day", "EUR", 1_000_000, "EUR"),
]
REFUSED = [
    ("grid_location", "0,381", "kg/kWh", "", "has a comma"),
    ("grid_location", "381", "", "", "unit is empty: write it as gCO2e/kWh"),
    ("grid_location", "381", "EUR/kWh", "", "is none of a grid_location"),
    ("grid_location", "381", "g/h", "", "is none of a grid_location"),
    ("grid_location", "381", "kgCO2e/kWh", "", "at most 1500 gCO2e/kWh: per MWh"),
    ("grid_location", "816.8", "lb/kWh", "", "per MWh"),
    ("grid_location", "-5", "g/kWh", "", "negative"),
    ("grid_location", "many", "g/kWh", "", "no decimal number"),
    ("grid_location", "NaN", "g/kWh", "", "no number"),
    ("grid_location", "1e400", "g/kWh", "", "no number"),
    ("grid_location", "", "g/kWh", "", "empty"),
    ("grid_location", "0.00000011", "g/kWh", "", "finer than the book keeps"),
    ("tariff", "89.5", "EUR/kWh", "", "per MWh"),
    ("tariff", "25", "ct/kWh", "", "write it as EUR/kWh"),
    ("tariff", "0.25", "EUR/kWh", "USD", "is in EUR, the currency says 'USD'"),
    ("pue", "0.9", "1", "", "below 1"),
    ("pue", "112", "%", "", "write it as 1"),
    ("pue", "12", "1", "", "implausible"),
    ("water_site", "1800", "L/kWh", "", "per MWh"),
]


@pytest.mark.parametrize(("kind", "text", "unit", "value"), READ)
def test_a_value_is_read_in_the_unit_it_is_written_in(kind: str, text: str, unit: str, value: int) -> None:
    """By fractions: nothing is a float on the way."""
    assert measure(kind, text, unit) == Measure(value)


@pytest.mark.parametrize(("kind", "text", "unit", "currency", "value", "said"), MONEY)
def test_a_price_has_its_currency(kind: str, text: str, unit: str, currency: str, value: int, said: str) -> None:
    """In its unit or beside it."""
    assert measure(kind, text, unit, currency) == Measure(value, said)


@pytest.mark.parametrize(("kind", "text", "unit", "currency", "why"), REFUSED)
def test_what_cannot_be_is_refused_with_the_way_out(kind: str, text: str, unit: str, currency: str, why: str) -> None:
    """Never taken as something else."""
    with pytest.raises(BadInput, match=why):
        measure(kind, text, unit, currency)


@given(st.sampled_from(sorted(FACTOR_VALUES)), st.data())
def test_what_is_written_out_is_read_back(kind: str, data: st.DataObject) -> None:
    """To the last unit, wherever a file of it would be taken in at all."""
    value = data.draw(FACTOR_VALUES[kind])
    currency = "JPY" if kind in PRICE_KINDS else ""
    text, unit = in_units(kind, value, currency)
    try:
        assert measure(kind, text, unit) == Measure(value, currency)
    except BadInput as refusal:
        assert "implausible" in str(refusal)  # noqa: PT017 - either it is read back, or it says why not
