"""What is booked after a month was closed: the closed report stays, the current one moves, the difference is an adjustment."""

import pytest
from books import HOUR, KWH, NOVEMBER, Story, run_id
from sqlalchemy import text

from joulebook_ledger.queries import ReportQuery

RUN = run_id("october")
OCTOBER_HOUR = NOVEMBER - 24 * HOUR


def report(keeper, month, basis="closed", **query):
    """Return the report of one month."""
    return keeper.ledger.report(ReportQuery(from_month=month, to_month=month, basis=basis, **query))


@pytest.fixture
def closed(keeper):
    """Return a book whose October, of 2 kWh at 0.25 EUR, is closed."""
    keeper.place()
    story = Story().meter("cpu").run(RUN, OCTOBER_HOUR, OCTOBER_HOUR + HOUR, model="m")
    keeper.tell(story.reading("cpu", OCTOBER_HOUR, OCTOBER_HOUR + HOUR, 2 * KWH, {RUN: 2 * KWH}).batch())
    link = report(keeper, 202610)["link"]
    with keeper.ledger._book.write() as connection:
        connection.execute(
            text("INSERT INTO month_close VALUES (202610, :now, 10000, '[]', 'ann', :link)"),
            {"now": keeper.now_ms, "link": link},
        )
    return keeper, story


def late_hour(story):
    """Tell of one more hour of October, 4 kWh."""
    return story.reading("cpu", OCTOBER_HOUR + HOUR, OCTOBER_HOUR + 2 * HOUR, 4 * KWH, {RUN: 4 * KWH}).batch()


def test_late_energy_is_an_adjustment_of_the_open_month(closed):
    """October stays at 2 kWh as closed and is 6 as known today; November shows the 4 apart and in no row."""
    keeper, story = closed
    answer = keeper.ledger.deliver(late_hour(story))
    keeper.ledger.book()
    assert answer.counts["stored_after_close"] == 2
    assert report(keeper, 202610)["total"]["energy_kwh"] == 2.0
    assert report(keeper, 202610, "current")["total"]["energy_kwh"] == 6.0
    november = report(keeper, 202611)
    assert november["rows"] == []
    assert november["charged"] == {"cost": "1", "cost_energy": "1", "cost_instance": None, "currency": "EUR"}
    late = november["adjustments"][0]
    assert (late["period"], late["month"], late["cause"], late["energy_kwh"], late["cost"]) == (
        "2026-11",
        "2026-10",
        "late",
        4.0,
        "1",
    )


def test_the_year_as_closed_and_its_adjustments_are_the_year_as_known(closed):
    """No kWh is lost between the two bases."""
    keeper, story = closed
    keeper.ledger.deliver(late_hour(story))
    keeper.ledger.book()
    year = {"from_month": 202601, "to_month": 202612}
    as_closed = keeper.ledger.report(ReportQuery(**year))
    as_known = keeper.ledger.report(ReportQuery(**year, basis="current"))
    adjusted = sum(late["energy_kwh"] for late in as_closed["adjustments"])
    assert as_closed["total"]["energy_kwh"] + adjusted == as_known["total"]["energy_kwh"] == 6.0
    assert as_known["adjustments"] == []


def test_by_day_and_as_of_a_link_the_closed_month_is_the_same(closed):
    """The slow ways agree with the quick one."""
    keeper, story = closed
    before = report(keeper, 202610)
    keeper.ledger.deliver(late_hour(story))
    keeper.ledger.book()
    assert report(keeper, 202610, by=("day",))["total"]["energy_kwh"] == 2.0
    now = report(keeper, 202610)
    assert now["link"] > before["link"]
    assert {**report(keeper, 202610, as_of=str(before["link"]))["total"], "figure": ""} == {
        **before["total"],
        "figure": "",
    }


def test_a_run_s_footprint_is_as_known_today(closed):
    """Whatever was closed: a run used what it used."""
    keeper, story = closed
    keeper.ledger.deliver(late_hour(story))
    keeper.ledger.book()
    assert keeper.ledger.run(RUN)["footprint"]["energy_kwh"] == 6.0
