"""A month's bills beside what was metered, worked by hand; near and far the same."""

from __future__ import annotations

from pathlib import Path

from books import HOUR, NOVEMBER, Story
from helpers.focus import focus_csv
from helpers.stored_book import entered
from service.conftest import Served

from joulebook.reconciling import page
from joulebook.tables import Page
from joulebook_ledger.bills.bodies import ReconciliationBody
from joulebook_ledger.bills.importing import taking_of
from joulebook_ledger.bills.reading import rows_of
from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.periods import time_text

MONTH = 202611
EC2, SUPPORT = "Amazon Elastic Compute Cloud", "Support"


def line(hour: int, cost: str, resource: str = "m1", **cells: str) -> dict[str, str]:
    """Return a line of an hour of November."""
    return {
        "BillingPeriodStart": "2026-11-01T00:00:00Z", "BillingPeriodEnd": "2026-12-01T00:00:00Z", "ServiceName": EC2, "BilledCost": cost,
        "ChargePeriodStart": time_text(NOVEMBER + hour * HOUR), "ChargePeriodEnd": time_text(NOVEMBER + (hour + 1) * HOUR),
        "EffectiveCost": cost, "ResourceId": resource, "InvoiceId": "inv-1", "ConsumedQuantity": "1", "ConsumedUnit": "Hours",
    } | cells  # fmt: skip


def price(machine: str) -> Factor:
    """Return a price of 4 USD an hour."""
    return Factor(
        kind="instance_price", object=machine, provider="desk", version="v1", value=4_000_000, unit="micro/h", source="list", currency="USD",
    )  # fmt: skip


def hours_of(machine: str, *hours: int, length_ms: int = HOUR) -> bytes:
    """Return what a machine says that was there for so long in each of these hours."""
    story = Story(machine, reader=f"r-{machine}").meter("time", "time")
    for hour in hours:
        at = NOVEMBER + hour * HOUR
        story.reading("time", at, at + length_ms, 0, {}, method="declared")
    return story.batch()


def reconciled(served: Served, folder: Path, *lines: dict[str, str], prices: tuple[Factor, ...]) -> ReconciliationBody:
    """Return the reconciliation of a bill with half an hour metered in hours 0 and 1 of machine m1, and all of hour 2."""
    site = Site(site="s", zone="FR", ownership="cloud", version="1")
    places = [Placement(machine=machine, site="s", version="1") for machine in ("m1", "m2")]
    served.book.deliver(entered(1, site, *places, *prices))
    story = Story("m1", reader="r-m1").meter("time", "time")
    for hour, length_ms in ((0, HOUR // 2), (1, HOUR // 2), (2, HOUR)):
        at = NOVEMBER + hour * HOUR
        story.reading("time", at, at + length_ms, 0, {}, method="declared")
    served.book.deliver(story.batch())
    served.book.deliver(hours_of("m2", 0, 1))
    (folder / "bill.csv").write_bytes(focus_csv(lines))
    paths = [folder / "bill.csv"]
    served.book.take_bill(taking_of(paths, name="a", author="ann"), rows_of(paths), lambda _: None)
    served.book.book()
    body = served.book.reconcile(MONTH)
    assert served.remote.reconcile(MONTH) == body
    assert served.book.reconcile(MONTH - 1)["accounts"] == []
    return body


def test_the_difference_of_a_machine_has_causes_that_add_up_to_it(served: Served, tmp_path: Path) -> None:
    """Metered 2 hours at 4; billed 2 hours at 5 where 1 was metered, one that nobody saw, and a credit; one is not billed."""
    body = reconciled(
        served, tmp_path, line(0, "5"), line(1, "5"), line(9, "5"), line(0, "-1.5", ChargeCategory="Credit", ConsumedUnit=""),
        line(0, "0.125", "disk-1"), prices=(price("m1"), price("m2")),
    )  # fmt: skip
    (account,) = body["accounts"]
    (machine,) = account["machines"]
    assert (machine["machine"], machine["metered_hours"], machine["estimate"]) == ("m1", 2.0, "8")
    assert (machine["effective_cost"], machine["difference"]) == ("13.5", "5.5")
    assert machine["causes"] == {"hours": "4", "price": "2", "not_metered": "5", "not_billed": "-4", "credit": "-1.5"}
    assert (account["effective_cost"], account["in_machines"], account["unallocated"]) == ("13.625", "8.5", "5.125")
    assert account["by_category"] == {"Credit": "-1.5", "Usage": "15.125"}
    assert body["unbilled"] == [{"machine": "m2", "host": "host-m2", "metered_hours": 2.0, "booked": "8"}]
    said = page(body, Page())
    assert "hours 4, price 2, not metered 5, not billed -4, credit -1.5" in said
    assert "IN NO BILL" in said


def test_without_a_price_the_estimate_is_unknown_and_not_0(served: Served, tmp_path: Path) -> None:
    """And so is the difference."""
    body = reconciled(served, tmp_path, line(0, "5"), prices=())
    (machine,) = body["accounts"][0]["machines"]
    assert (machine["estimate"], machine["difference"], machine["causes"]) == (None, None, {})
    assert machine["effective_cost"] == "5"


def test_an_invoice_is_tied_to_the_cent_and_a_commitment_is_used_and_unused(served: Served, tmp_path: Path) -> None:
    """What is invoiced is BilledCost, what is charged on is EffectiveCost; a commitment paid at once is spread."""
    paid = {"CommitmentDiscountId": "ri-1", "BilledCost": "0"}
    body = reconciled(
        served, tmp_path,
        line(0, "0", "", ChargeCategory="Purchase", BilledCost="3.3349", CommitmentDiscountId="ri-1"),
        line(0, "2", **paid, CommitmentDiscountStatus="Used"), line(0, "1.3349", "", **paid, CommitmentDiscountStatus="Unused"),
        line(0, "0.0001", "", BilledCost="0.0001", ServiceName=SUPPORT),
        line(0, "-0.25", "", ChargeCategory="Credit", ChargeClass="Correction", InvoiceId="note-1"),
        prices=(price("m1"),),
    )  # fmt: skip
    (account,) = body["accounts"]
    assert [(its["invoice"], its["billed_cost"], its["to_the_cent"]) for its in account["invoices"]] == [
        ("inv-1", "3.335", "3.34"), ("note-1", "-0.25", "-0.25"),
    ]  # fmt: skip
    assert account["commitments"] == [{"commitment": "ri-1", "purchased": "3.3349", "used": "2", "unused": "1.3349"}]
    assert account["corrections"] == "-0.25"
    assert [(its["service"], its["effective_cost"], its["in_machines"]) for its in account["services"]] == [
        (EC2, "3.0849", "2"), (SUPPORT, "0.0001", "0"),
    ]  # fmt: skip


def test_a_bill_in_another_currency_is_shown_and_not_held_against_anything(served: Served, tmp_path: Path) -> None:
    """No rate is known."""
    (account,) = reconciled(served, tmp_path, line(0, "5", BillingCurrency="SEK"), prices=(price("m1"),))["accounts"]
    assert (account["currency"], account["machines"], account["effective_cost"]) == ("SEK", [], "5")
    assert "no rate is known" in account["notes"][0]
