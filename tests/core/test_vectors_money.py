from decimal import Decimal

import pytest
from helpers.vectors import Missing, agree, cases

from joulebook_ledger.core.units import MICRO, decimal_text, scale_decimal, split_by_largest_remainder

CENTS = 100


def split(case):
    """The parts of a bill, to the cent."""
    given = case["inputs"]
    assert given["quantum"] == "0.01"
    total = scale_decimal(given["total"], CENTS, "total")
    parts = split_by_largest_remainder(total, [scale_decimal(weight, MICRO, "weight") for weight in given["weights"]])
    found = [f"{Decimal(decimal_text(part, CENTS)):.2f}" for part in parts]
    assert found == case["expected"]["parts"]
    assert sum(parts) == total


def normalised_prices(case):
    """A node's price, split by the list prices of what it holds."""
    given = case["inputs"]
    weights = [price * given["amounts"][name] for name, price in given["base_prices"].items()]
    parts = split_by_largest_remainder(given["node_month_usd"] * MICRO, weights)
    for name, part in zip(given["base_prices"], parts, strict=True):
        agree(case, name, part / MICRO, case["expected_published"][name])


def idle(case):
    """What workloads leave of a node is idle, and can be spread in proportion."""
    given, expected = case["inputs"], case["expected"]
    used = {name: sum(int(cost * CENTS) for cost in parts.values()) for name, parts in given["workloads"].items()}
    node = sum(int(cost * CENTS) for cost in given["node_cost"].values())
    left = node - sum(used.values())
    assert sum(used.values()) == expected["workload_total"] * CENTS
    assert left == expected["idle_total"] * CENTS
    assert round(100 * left / node, 4) == expected["idle_pct"]
    for name, cost in given["node_cost"].items():
        assert cost - sum(parts[name] for parts in given["workloads"].values()) == expected["idle_by_resource"][name]
    shares = split_by_largest_remainder(left, list(used.values()))
    assert {n: decimal_text(s, CENTS) for n, s in zip(used, shares, strict=True)} == expected[
        "idle_share_proportional_to_asset_cost"
    ]


BILLS = Missing("import of FOCUS bills", "joulebook_ledger.bills")
BUILT = {
    "largest_remainder_thirds": split,
    "largest_remainder_cent_between_three": split,
    "largest_remainder_tiny_weights": split,
    "largest_remainder_gpu_seconds": split,
    "largest_remainder_seven": split,
    "largest_remainder_negative_credit": split,
    "largest_remainder_zero_total": split,
    "largest_remainder_half_even_trap": split,
    "opencost_node_price_normalisation": normalised_prices,
    "opencost_idle": idle,
}
MISSING = {"focus_commitment_one_hour_full": BILLS, "focus_commitment_one_hour_75pct": BILLS}


@pytest.mark.parametrize(("case", "check"), cases("cost_allocation_and_money", BUILT, MISSING))
def test_cost_allocation_and_money(case, check):
    """Exact splits: the parts are the whole, and the largest remainders get what is left."""
    check(case)


FOCUS = [*(f"focus_sample_gpu_row_{number}" for number in range(10)), "focus_sample_totals"]


@pytest.mark.parametrize(("case", "check"), cases("focus_sample_rows", {}, dict.fromkeys(FOCUS, BILLS)))
def test_focus_sample_rows(case, check):
    """Rows of a provider's bill."""
    check(case)
