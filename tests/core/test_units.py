import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core.refusals import BadInput, UnitMismatch
from joulebook_ledger.core.units import (
    MICRO,
    Amount,
    decimal_text,
    div_floor,
    energy,
    money,
    muldiv,
    require_integer,
    scale_decimal,
    split_by_largest_remainder,
    split_cumulatively,
)

WEIGHTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=12).filter(any)
TOTALS = st.integers(-(10**15), 10**15)


@given(st.integers(0, 2**62), st.integers(0, 2**31), st.integers(1, 2**31))
def test_muldiv_is_the_floor_of_the_exact_product(a, b, c):
    """Splitting the product changes nothing: muldiv(a, b, c) is floor(a·b/c)."""
    assert muldiv(a, b, c) == a * b // c


@given(st.integers(-(2**62), 2**62), st.integers(-(2**31), 2**31), st.integers(1, 2**31))
def test_muldiv_of_a_negative_is_the_mirror_of_the_positive(a, b, c):
    """A correction takes back exactly what was booked."""
    assert muldiv(-a, b, c) == -muldiv(a, b, c) == muldiv(a, -b, c)


def test_muldiv_refuses_a_divisor_that_is_not_positive():
    """A price per nothing is an error and no number."""
    with pytest.raises(BadInput):
        muldiv(1, 1, 0)
    with pytest.raises(BadInput):
        div_floor(1, -1)


@given(TOTALS, WEIGHTS)
def test_a_cumulative_split_sums_to_its_whole(total, weights):
    """Law 1: the parts of a split are exactly their whole, also of a negative one."""
    assert sum(split_cumulatively(total, weights)) == total


@given(TOTALS, WEIGHTS)
def test_a_split_by_largest_remainder_sums_to_its_whole(total, weights):
    """Law 1: so are the parts of a bill, and none is a whole unit away from its exact share."""
    parts = split_by_largest_remainder(total, weights)
    assert sum(parts) == total
    assert all(
        abs(part * sum(weights) - total * weight) < sum(weights) for part, weight in zip(parts, weights, strict=True)
    )


@given(TOTALS, WEIGHTS)
def test_a_weight_of_nothing_gets_nothing(total, weights):
    """Who has no weight bears nothing, by either split."""
    for split in (split_cumulatively, split_by_largest_remainder):
        assert all(part == 0 for part, weight in zip(split(total, weights), weights, strict=True) if weight == 0)


@pytest.mark.parametrize("split", [split_cumulatively, split_by_largest_remainder])
@pytest.mark.parametrize("weights", [[], [0], [1, -1], [-1, 2]])
def test_a_split_needs_weights(split, weights):
    """Nothing to split by, or a negative weight, is refused."""
    with pytest.raises(BadInput):
        split(1, weights)


@pytest.mark.parametrize("value", [1.0, True, "1", None, 2**63, -1])
def test_what_is_no_integer_in_range_is_refused(value):
    """A float is refused whatever its value, and a bool is no number."""
    with pytest.raises(BadInput, match="energy"):
        require_integer(value, "energy", least=0)


def test_unlike_units_never_mix():
    """Money and energy cannot be added, subtracted or compared; a bare number is no amount."""
    for act in (lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a < b):
        with pytest.raises(UnitMismatch, match="mJ"):
            act(money("1", "EUR"), energy(1))
    with pytest.raises(UnitMismatch):
        energy(1) + 1
    with pytest.raises(UnitMismatch):
        money("1", "EUR") + money("1", "USD")
    with pytest.raises(BadInput):
        Amount(1.0, "mJ")


def test_amounts_of_one_unit_add_up_and_split():
    """Twelve euros fifty, less two fifty, in three parts."""
    rest = money("12.50", "EUR") - money("2.5", "EUR")
    assert [part.number for part in rest.split([1, 1, 1])] == [3_333_334, 3_333_333, 3_333_333]
    assert energy(1) < energy(1) + energy(1)


@given(st.integers(-(10**15), 10**15))
def test_decimal_texts_go_there_and_back(value):
    """What is printed as a decimal is read back as the same integer."""
    assert scale_decimal(decimal_text(value, MICRO), MICRO, "price") == value


@pytest.mark.parametrize("text", [0.25, "nan", "inf", "", "0,25", "0.0000001", "1e30", "quarter", None])
def test_a_price_that_is_no_exact_decimal_is_refused(text):
    """A float, no number, finer than a micro-unit or beyond 64 bits: refused by name."""
    with pytest.raises(BadInput, match="price"):
        scale_decimal(text, MICRO, "price")
