from decimal import Decimal

import pytest
from helpers.focus import focus_table, totals_of
from helpers.vectors import agree, cases

from joulebook_ledger.core.bills import Totals, commitments
from joulebook_ledger.core.focus import (
    QUANTUM,
    FocusRows,
    amount_text,
    consumed_hours,
    instance_type,
    named_cells,
    quanta,
)
from joulebook_ledger.core.periods import parse_time
from joulebook_ledger.core.refusals import BadInput
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


def commitment(case):
    """A commitment of a year, hour by hour: what was used and what nobody used are what was paid."""
    given, expected = case["inputs"], case["expected_published"]
    used, unused = Decimal(str(given["used_fraction"])), 1 - Decimal(str(given["used_fraction"]))
    common = {"CommitmentDiscountId": "plan-1", "ResourceId": "i-1"}
    bought = {"ChargeCategory": "Purchase", "BilledCost": str(given["purchase_billed"]), "EffectiveCost": "0"}
    of_hour = [{"CommitmentDiscountStatus": "Used", "EffectiveCost": str(used)}]
    of_hour += [{"CommitmentDiscountStatus": "Unused", "EffectiveCost": str(unused)}] if unused else []
    rows = [common | bought, *[common | {"BilledCost": "0.0"} | row for row in of_hour] * given["hours"]]
    assert sum(Decimal(row["EffectiveCost"]) for row in of_hour) == 1
    found = commitments(pair for _, of_bill in totals_of(rows).bills() for pair in of_bill.items())["plan-1"]
    agree(case, "used_effective", found.used / QUANTUM / given["hours"], expected["used_effective"])
    assert found.unused == quanta(str(expected["unused_effective"])) * given["hours"]
    assert found.billed_usage == quanta(str(expected["billed_usage"])) * given["hours"]
    assert found.is_even
    assert found.purchased == quanta(str(given["purchase_billed"]))


def gpu_row(case):
    """A row of a provider's own sample: NULL is null, times without a zone are UTC, amounts stay what they are to the last digit."""
    header, (cells,) = focus_table([case["inputs"]])
    rows = FocusRows(header)
    line = rows.line(2, cells)
    assert (rows.nulls, rows.naive, line.status) == (1, 1, "")
    assert line.end_ms - line.start_ms == 3_600_000
    assert line.start_ms == parse_time(case["inputs"]["ChargePeriodStart"] + "Z")
    assert Decimal(amount_text(line.billed)) == Decimal(case["inputs"]["BilledCost"])
    assert line.effective_text == case["inputs"]["EffectiveCost"]
    said = named_cells(header, line.cells)
    assert consumed_hours(said) == case["expected"]["consumed_hours"]
    assert instance_type(said) == case["expected"]["instance_type"]


def sample_totals(case):
    """Sums of a file are exact to the last digit, and its truncated last row refuses the whole of it."""
    given, expected = case["inputs"], case["expected"]
    count = given["rows_complete"]
    split = [
        split_by_largest_remainder(quanta(expected[name]), range(1, count + 1)) for name in ("billed", "effective")
    ]
    header, rows = focus_table(
        {"BilledCost": amount_text(billed), "EffectiveCost": amount_text(effective)}
        for billed, effective in zip(*split, strict=True)
    )
    reader, totals = FocusRows(header), Totals()
    for number, cells in enumerate(rows, start=2):
        totals.add(reader.line(number, cells))
    ((_, of_bill),) = totals.bills()
    assert sum(total.rows for total in of_bill.values()) == count
    assert amount_text(sum(total.billed for total in of_bill.values())) == expected["billed"]
    assert amount_text(sum(total.effective for total in of_bill.values())) == expected["effective"]
    with pytest.raises(BadInput, match=f"row {count + 2} has 3 cells .* nothing of it was taken"):
        reader.line(count + 2, rows[0][:3])


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
    "focus_commitment_one_hour_full": commitment,
    "focus_commitment_one_hour_75pct": commitment,
}
FOCUS = {f"focus_sample_gpu_row_{number}": gpu_row for number in range(10)} | {"focus_sample_totals": sample_totals}


@pytest.mark.parametrize(("case", "check"), cases("cost_allocation_and_money", BUILT, {}))
def test_cost_allocation_and_money(case, check):
    """Exact splits: the parts are the whole, and the largest remainders get what is left."""
    check(case)


@pytest.mark.parametrize(("case", "check"), cases("focus_sample_rows", FOCUS, {}))
def test_focus_sample_rows(case, check):
    """Rows of a provider's bill."""
    check(case)
