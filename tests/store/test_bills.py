"""Bills in the books: the newest complete delivery is the bill, the difference is booked, and nothing is counted twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from books import DAY, HOUR, NOVEMBER, Story
from helpers.focus import focus_csv
from helpers.stored_book import StoredBook, entered
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.names import NameMap
from joulebook_ledger.core.periods import time_text
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.store.checks import run_checks

REST = 'bill:["AWS","123456789012"]'
FIRST_DAY = NOVEMBER // DAY
PRICE = Factor(
    kind="instance_price", object="m1", provider="desk", version="v1", value=8_000_000, unit="micro/h", source="list", currency="USD",
)  # fmt: skip
PLACES = (Site(site="s", zone="FR", ownership="cloud", version="1"), Placement(machine="m1", site="s", version="1"))


def row(hour: int, cost: str, resource: str = "m1", *, hours: int = 1, **cells: str) -> dict[str, str]:
    """Return a line of so many hours from an hour of November on."""
    return {
        "BillingPeriodStart": "2026-11-01T00:00:00Z",
        "BillingPeriodEnd": "2026-12-01T00:00:00Z",
        "ChargePeriodStart": time_text(NOVEMBER + hour * HOUR),
        "ChargePeriodEnd": time_text(NOVEMBER + (hour + hours) * HOUR),
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ResourceId": resource,
        "InvoiceId": "inv-1",
    } | cells


def written(folder: Path, rows: list[dict[str, str]], name: str = "bill.csv") -> Path:
    """Write a file."""
    path = folder / name
    path.write_bytes(focus_csv(rows))
    return path


def hours_of(*hours: int, machine: str = "m1") -> bytes:
    """Return what a machine says that was there in these hours of November, a quarter of each used by a run."""
    story = Story(machine).meter("time", "time")
    for hour in hours:
        at = NOVEMBER + hour * HOUR
        story.reading("time", at, at + HOUR, 0, {"run-1": (0, HOUR // 4)}, method="declared")
    return story.batch()


def costs(stored: StoredBook) -> dict[tuple[int, str], int]:
    """Return (day of November, account) -> cost of hours, micro-units."""
    stored.bring_up_to_date()
    found: dict[tuple[int, str], int] = {}
    for (day, _, account, _), amounts in stored.booked().items():
        key = (day - FIRST_DAY, account)
        found[key] = found.get(key, 0) + amounts["cost_instance"]
    return {key: cost for key, cost in sorted(found.items()) if cost}


def sound(stored: StoredBook) -> None:
    """Say that the book proves itself."""
    with stored.book.read() as rows:
        assert [check for check in run_checks(rows) if not check.ok] == []


def test_a_bill_stands_for_the_price_of_the_hours_it_charges_for(stored: StoredBook, tmp_path: Path) -> None:
    """Hour 0 and 1 are billed, hour 2 is not yet: it keeps its price. What matches no machine is unallocated."""
    stored.deliver(entered(1, *PLACES, PRICE), hours_of(0, 1, 2))
    assert costs(stored) == {(0, "run-1"): 6_000_000, (0, "idle"): 18_000_000}
    stored.bill(written(tmp_path, [row(0, "4"), row(1, "12"), row(0, "0.5", "disk-1"), row(30, "1.25", "m1")]))
    assert costs(stored) == {
        (0, "run-1"): 1_000_000 + 3_000_000 + 2_000_000,
        (0, "idle"): 3_000_000 + 9_000_000 + 6_000_000,
        (0, "unallocated"): 500_000,
        (1, "unallocated"): 1_250_000,
    }
    sound(stored)


def test_a_newer_delivery_replaces_the_bill(stored: StoredBook, tmp_path: Path) -> None:
    """Of a month that is delivered again with rows changed, added and dropped, the difference is booked."""
    stored.deliver(entered(1, *PLACES, PRICE), hours_of(0, 1))
    first = written(tmp_path, [row(0, "4"), row(1, "4"), row(5, "1", "disk-1")], "first.csv")
    stored.bill(first)
    assert costs(stored) == {(0, "run-1"): 2_000_000, (0, "idle"): 6_000_000, (0, "unallocated"): 1_000_000}
    again = stored.bill(first)
    assert [its["outcome"] for its in again["items"]] == ["already_stored"]
    before = stored.count("entry")
    costs(stored)
    assert stored.count("entry") == before
    stored.bill(written(tmp_path, [row(0, "6"), row(30, "2", "disk-1"), row(31, "-0.5", ChargeCategory="Credit")]))
    assert costs(stored) == {
        (0, "run-1"): 1_500_000 + 2_000_000, (0, "idle"): 4_500_000 + 6_000_000, (1, "unallocated"): 1_500_000,
    }  # fmt: skip
    sound(stored)


def test_a_credit_note_after_the_close_is_an_adjustment(stored: StoredBook, tmp_path: Path) -> None:
    """What was closed stays; the open month bears the difference, of the month it is of."""
    stored.deliver(entered(1, *PLACES), hours_of(0))
    stored.bill(written(tmp_path, [row(0, "4")], "first.csv"))
    stored.close_month(202611)
    stored.bill(written(tmp_path, [row(0, "4"), row(0, "-1", ChargeCategory="Credit", ChargeClass="Correction")]))
    stored.bring_up_to_date()
    found = {key[:2]: 0 for key in stored.balances()}
    for key, amounts in stored.balances().items():
        found[key[:2]] += amounts["cost_instance"]
    assert found == {(202611, 202611): 4_000_000, (202612, 202611): -1_000_000}
    assert {row[0] for row in stored.ask("SELECT cause FROM entry WHERE period = 202612")} == {"bill"}
    sound(stored)


def test_hours_that_come_after_the_bill_take_their_part_of_it(stored: StoredBook, tmp_path: Path) -> None:
    """A line of a day is laid over the hours the machine was there; before any is known it is unallocated."""
    stored.deliver(entered(1, *PLACES, PRICE))
    stored.bill(written(tmp_path, [row(22, "6", hours=4)]))
    assert costs(stored) == {(0, "unallocated"): 3_000_000, (1, "unallocated"): 3_000_000}
    stored.deliver(hours_of(22))
    assert costs(stored) == {(0, "run-1"): 1_500_000, (0, "idle"): 4_500_000}
    later = Story("m1", reader="r2").meter("time", "time")
    later.reading("time", NOVEMBER + 25 * HOUR, NOVEMBER + 26 * HOUR, 0, {}, method="declared")
    stored.deliver(later.batch())
    assert costs(stored) == {(0, "run-1"): 750_000, (0, "idle"): 2_250_000, (1, "idle"): 3_000_000}
    sound(stored)


def test_a_map_says_which_machine_a_resource_is(stored: StoredBook, tmp_path: Path) -> None:
    """Whenever it is learnt; and where it no longer holds, its lines are of no machine."""
    stored.deliver(entered(1, *PLACES), hours_of(0, 1))
    arn = "arn:aws:ec2:eu-west-3:123456789012:instance/i-0abc"
    stored.bill(written(tmp_path, [row(0, "4", arn), row(1, "8", arn)]))
    assert costs(stored) == {(0, "unallocated"): 12_000_000}
    lines = [
        NameMap(kind="resource", name="i-0abc", value=value, valid_from_ms=at, version="1")
        for value, at in (("m1", 0), ("another", NOVEMBER + HOUR))
    ]
    stored.deliver(entered(2, *lines))
    assert costs(stored) == {(0, "run-1"): 1_000_000, (0, "idle"): 3_000_000, (0, "unallocated"): 8_000_000}
    sound(stored)


def test_a_bill_in_another_currency_is_unknown_and_not_0(stored: StoredBook, tmp_path: Path) -> None:
    """Nothing of it is booked as money; that something is owed is, as time without a known cost."""
    stored.deliver(entered(1, *PLACES, PRICE), hours_of(0))
    stored.bill(written(tmp_path, [row(0, "4", BillingCurrency="SEK"), row(1, "1", "", BillingCurrency="SEK")]))
    assert costs(stored) == {(0, "run-1"): 2_000_000, (0, "idle"): 6_000_000}
    (unknown,) = [amounts for key, amounts in stored.booked().items() if key[1] == REST]
    assert (unknown["unc_cost_instance_ms"], unknown["time_ms"]) == (2 * HOUR, 2 * HOUR)
    sound(stored)


def test_the_first_bill_sets_the_currency(stored: StoredBook, tmp_path: Path) -> None:
    """As the first price does."""
    stored.bill(written(tmp_path, [row(0, "4", BillingCurrency="EUR")]))
    assert stored.ask("SELECT value FROM book_setting WHERE name = 'currency'") == [("EUR",)]


BAD = [
    (
        [row(0, "4"), row(1, "1,000")],
        "bill.csv: row 3, column 'EffectiveCost': '1,000' has thousands separators.*nothing was taken in",
    ),
    (
        [row(0, "4"), row(1, "1", BillingCurrency="SEK")],
        "bill.csv: row 3, column 'BillingCurrency': SEK where rows above have USD",
    ),
    ([], "there is no row below the header"),
]


@pytest.mark.parametrize(("rows", "told"), BAD)
def test_a_file_that_cannot_be_taken_leaves_nothing(
    stored: StoredBook, tmp_path: Path, rows: list[dict[str, str]], told: str
) -> None:
    """All or nothing."""
    with pytest.raises(BadInput, match=told):
        stored.bill(written(tmp_path, rows))
    assert [stored.count(table) for table in ("receipt", "bill_row", "bill_delivery", "due")] == [0, 0, 0, 0]


def test_a_name_is_of_one_delivery(stored: StoredBook, tmp_path: Path) -> None:
    """Other content under the same name is refused, and never taken for the same."""
    stored.bill(written(tmp_path, [row(0, "4")]), delivery="final")
    with pytest.raises(BadInput, match=r"delivery 'final' of AWS.* is in the book with other content"):
        stored.bill(written(tmp_path, [row(0, "5")]), delivery="final")


LINES = st.lists(
    st.tuples(
        st.integers(0, 40), st.decimals(-10, 10, places=9), st.sampled_from(("m1", "disk", "")), st.sampled_from(("inv-1", "inv-2")),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


@given(lines=LINES, other=LINES, chance=st.randoms())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_bill_comes_to_the_same_balances(stored: StoredBook, tmp_path: Path, lines, other, chance) -> None:  # type: ignore[no-untyped-def]
    """Once, twice, shuffled, in pieces, or in place of another: what the newest delivery says is what stands, to the micro-unit."""
    rows = [row(hour, f"{cost:f}", resource, InvoiceId=invoice) for hour, cost, resource, invoice in lines]
    others = [row(hour, f"{cost:f}", resource, InvoiceId=invoice) for hour, cost, resource, invoice in other]
    shuffled = chance.sample(rows, len(rows))
    cut = chance.randint(1, len(rows))
    pieces = [
        written(tmp_path, part, f"{name}.csv") for name, part in (("a", shuffled[:cut]), ("b", shuffled[cut:])) if part
    ]
    found = []
    for deliveries in ([[written(tmp_path, rows)]], [[written(tmp_path, others, "other.csv")], pieces]):
        stored.empty()
        stored.deliver(entered(1, *PLACES, PRICE), hours_of(*range(0, 30, 3)))
        for number, files in enumerate(deliveries):
            stored.bill(*files, delivery=str(number))
            stored.bring_up_to_date()
        found.append(stored.booked())
        sound(stored)
    assert found[0] == found[1]
