import re
from decimal import Decimal

import pytest
from helpers.focus import USUAL, focus_table, totals_of
from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core.bills import FEWEST_ROUNDED
from joulebook_ledger.core.focus import FocusRows, amount_text, quanta
from joulebook_ledger.core.refusals import BadInput


def line_of(**cells):
    """Read a row that says these cells."""
    header, (row,) = focus_table([cells])
    return FocusRows(header).line(2, row)


AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**12), max_value=10**12)


@given(AMOUNTS)
def test_an_amount_is_read_and_written_without_loss(amount):
    """What a provider wrote, plainly or with an exponent, is what the book adds."""
    for text in (f"{amount:f}", f"{amount:E}"):
        assert Decimal(amount_text(quanta(text))) == amount


@given(st.lists(AMOUNTS, min_size=1, max_size=20), st.randoms())
def test_sums_do_not_depend_on_the_order_of_rows(amounts, chance):
    """A shuffled delivery comes to the same."""
    rows = [
        {"BilledCost": f"{a:f}", "EffectiveCost": f"{a:f}", "ResourceId": f"i-{n % 3}"} for n, a in enumerate(amounts)
    ]
    shuffled = list(rows)
    chance.shuffle(shuffled)
    ((_, of_bill),) = totals_of(rows).bills()
    assert list(totals_of(rows).bills()) == list(totals_of(shuffled).bills())
    assert Decimal(amount_text(sum(total.billed for total in of_bill.values()))) == sum(amounts)


def test_two_equal_rows_are_two_rows():
    """A row has no name but its place: what a provider charges twice is charged twice."""
    ((_, of_bill),) = totals_of([{"BilledCost": "1.5", "EffectiveCost": "1.5"}] * 2).bills()
    assert [(total.rows, amount_text(total.billed)) for total in of_bill.values()] == [(2, "3")]


REFUSED = [
    ({"BilledCost": "1,234.50"}, "row 2, column 'BilledCost': '1,234.50' has thousands separators"),
    ({"ListCost": "1 234"}, "row 2, column 'ListCost': '1 234' has thousands separators"),
    ({"EffectiveCost": ""}, "row 2, column 'EffectiveCost': is empty"),
    ({"EffectiveCost": "NULL"}, "row 2, column 'EffectiveCost': is empty"),
    ({"BilledCost": "1.2.3"}, "row 2, column 'BilledCost': '1.2.3' is no decimal"),
    ({"BilledCost": "NaN"}, "'NaN' is no decimal"),
    ({"BilledCost": "\u0661"}, "is no decimal"),
    ({"BilledCost": "0." + "0" * 30 + "1"}, "more than 30 decimals"),
    ({"ChargePeriodEnd": USUAL["ChargePeriodStart"]}, "row 2, column 'ChargePeriodEnd': .* is not after the start"),
    ({"ChargePeriodStart": "yesterday"}, "row 2, column 'ChargePeriodStart': 'yesterday' is no instant"),
    ({"ChargeCategory": "Spend"}, "row 2, column 'ChargeCategory': 'Spend' is none of: Usage"),
    ({"BillingCurrency": "dollars"}, "row 2, column 'BillingCurrency'"),
    ({"BillingAccountId": ""}, "row 2, column 'BillingAccountId': is empty"),
    ({"ProviderName": "x" * 201}, "row 2, column 'ProviderName'"),
    ({"ServiceName": ""}, "row 2, column 'ServiceName': is empty"),
    ({"ResourceId": "x" * 1001}, "row 2, column 'ResourceId'"),
]


@pytest.mark.parametrize(("cells", "told"), REFUSED)
def test_a_cell_that_cannot_be_taken_is_named_with_its_row(cells, told):
    """Whoever has to mend the file is told where."""
    with pytest.raises(BadInput, match=told):
        line_of(**cells)


def test_a_missing_column_is_named():
    """A file without a mandatory column is no bill; of two names of one column either will do."""
    header, _ = focus_table([{}])
    with pytest.raises(BadInput, match="every FOCUS file has is missing: BilledCost"):
        FocusRows([name for name in header if name != "BilledCost"])
    with pytest.raises(BadInput, match=re.escape("ProviderName or ServiceProviderName")):
        FocusRows([name for name in header if name != "ProviderName"])
    with pytest.raises(BadInput, match="'BilledCost' is there twice"):
        FocusRows([*header, "BilledCost"])


def test_the_names_of_1_3_and_unknown_columns_are_taken():
    """Newer names say the same, and what nobody here knows is kept as it was written."""
    header, (row,) = focus_table([{"x_Team": "vision"}])
    renamed = [{"ProviderName": "ServiceProviderName", "PublisherName": "HostProviderName"}.get(n, n) for n in header]
    line = FocusRows(renamed).line(2, row)
    assert line.bill.provider == "AWS"
    assert line.cells[renamed.index("x_Team")] == "vision"


def test_times_with_an_offset_are_utc_and_not_counted_as_without_zone():
    """Only what names no zone is counted."""
    header, (row,) = focus_table([{"ChargePeriodStart": "2024-09-03T12:00:00+02:00"}])
    rows = FocusRows(header)
    assert rows.line(2, row).start_ms == line_of().start_ms
    assert rows.naive == 0


@pytest.mark.parametrize(
    ("amounts", "told"),
    [
        ([("1.624", "2.00")] * FEWEST_ROUNDED, ["AWS"]),
        ([("1.624", "2.00")] * (FEWEST_ROUNDED - 1), []),
        ([("1.624", "2.00")] * FEWEST_ROUNDED + [("1.624", "1.624")], []),
        ([("2.00", "2.00")] * FEWEST_ROUNDED, []),
    ],
)
def test_rounding_to_whole_units_of_money_is_noticed(amounts, told):
    """A provider whose EffectiveCost never has a fraction where its BilledCost has was rounded before the export."""
    rows = [{"BilledCost": billed, "EffectiveCost": effective} for billed, effective in amounts]
    assert totals_of(rows).rounded() == told
