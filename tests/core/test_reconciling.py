"""The causes of a difference add up to it."""

from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core.billing import QUANTA_PER_MICRO
from joulebook_ledger.core.focus import QUANTUM
from joulebook_ledger.core.reconciling import Charged, Metered, causes_of, estimate_of

AMOUNTS = st.integers(-(10**6), 10**6).map(lambda n: n * QUANTUM // 1_000)
HOURS = st.builds(
    lambda time_ms, cost, unpriced: Metered(time_ms, cost if time_ms else 0, time_ms if unpriced else 0),
    st.integers(0, 10**9), st.integers(0, 10**9), st.booleans(),
)  # fmt: skip
CHARGED = st.builds(
    Charged, usage=AMOUNTS, usage_ms=st.none() | st.integers(0, 10**9), unseen=AMOUNTS,
    beside=st.dictionaries(st.sampled_from(("Credit", "Tax", "Purchase", "Adjustment")), AMOUNTS),
)  # fmt: skip


@given(CHARGED, HOURS, HOURS)
def test_causes_add_up_to_the_difference_exactly(charged, billed, unbilled):
    """To the last of 30 decimals, whatever is unknown of the hours."""
    by_price = (billed.cost + unbilled.cost) * QUANTA_PER_MICRO
    assert sum(causes_of(charged, billed, unbilled).values()) == charged.whole - by_price
    assert estimate_of(billed, unbilled) in {None, by_price}


def test_more_hours_at_another_price_are_two_causes():
    """Of 2 hours billed at 5 where 1 was metered at 4, one more hour is 4, and 1 more for each of them 2."""
    hour = 3_600_000
    charged = Charged(10 * QUANTUM, 2 * hour, 0, {})
    found = causes_of(charged, Metered(hour, 4_000_000, 0), Metered())
    assert found == {"hours": 4 * QUANTUM, "price": 2 * QUANTUM}


def test_hours_without_a_price_have_no_price_to_differ_from():
    """What they are billed is a cause of its own, and where no hour has a price nothing can be estimated."""
    charged, unpriced = Charged(5 * QUANTUM, None, 0, {}), Metered(100, 0, 100)
    assert causes_of(charged, unpriced, Metered()) == {"hours_without_a_price": 5 * QUANTUM}
    assert estimate_of(unpriced, Metered()) is None
    assert estimate_of(unpriced, Metered(50, 7, 0)) == 7 * QUANTA_PER_MICRO
