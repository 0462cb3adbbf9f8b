"""Restating closed months: shown before it is done, booked apart, and undone without a trace in any sum."""

import pytest
from books import HOUR, KWH, NOVEMBER, Story, run_id
from helpers.closes import close_month

from joulebook_ledger.core.factors import Factor
from joulebook_ledger.core.refusals import BadInput, NotFound
from joulebook_ledger.desk.entering import factor_batch
from joulebook_ledger.queries import ReportQuery, Restating

RUN = run_id("october")
OCTOBER_HOUR = NOVEMBER - 24 * HOUR


def grid(keeper, grams, **changes):
    """Enter what a kWh of the French grid emits."""
    said = {
        "kind": "grid_location",
        "object": "FR",
        "provider": "desk",
        "version": "",
        "unit": "ug/kWh",
        "source": "told",
    }
    keeper.acts += 1
    factor = Factor(**{**said, "version": f"v{keeper.acts}", "value": grams * 1_000_000, **changes})
    return factor_batch(keeper.entry(), [factor])


def report(keeper, month, basis="closed"):
    """Return the report of one month."""
    return keeper.ledger.report(ReportQuery(from_month=month, to_month=month, basis=basis))


def asked(keeper, **changes):
    """Ask for a restatement."""
    keeper.acts += 1
    return keeper.ledger.restate(
        Restating(**{"name": f"r{keeper.acts}", "reason": "revised", "author": "ann", **changes})
    )


@pytest.fixture
def closed(keeper):
    """Return a book whose October, of 2 kWh at 56 g, is closed; afterwards the grid is said to have emitted 50 g."""
    keeper.place()
    keeper.tell(grid(keeper, 56))
    story = Story().meter("cpu").run(RUN, OCTOBER_HOUR, OCTOBER_HOUR + HOUR, model="m")
    keeper.tell(story.reading("cpu", OCTOBER_HOUR, OCTOBER_HOUR + HOUR, 2 * KWH, {RUN: 2 * KWH}).batch())
    close_month(keeper.ledger._book.engine, 202610, keeper.now_ms)
    assert keeper.tell(grid(keeper, 50)) == 0
    return keeper


def test_a_revised_factor_moves_a_closed_month_only_when_it_is_restated(closed):
    """October stays as reported, is 12 g less as known today, and November shows the difference apart."""
    before = report(closed, 202610)
    assert report(closed, 202610, "current")["total"]["co2e_location_kg"] == 0.112
    done = asked(closed)
    assert (done["entries"], done["dry_run"], done["from_month"], done["to_month"]) == (1, False, "2026-10", "2026-10")
    assert done["head"] == report(closed, 202611)["head"]
    assert report(closed, 202610) == before
    assert report(closed, 202610, "current")["total"]["co2e_location_kg"] == 0.1
    (moved,) = report(closed, 202611)["adjustments"]
    assert (moved["month"], moved["cause"], moved["co2e_location_kg"]) == ("2026-10", "restatement", -0.012)
    assert closed.ledger.verify()["ok"]


def test_a_dry_run_shows_the_effect_per_month_and_year_and_writes_nothing(closed):
    """What it says is what is then booked."""
    before = closed.ledger.verify()
    shown = asked(closed, dry_run=True)
    assert closed.ledger.verify() == before
    assert (shown["link"], shown["head"], shown["entries"]) == (None, None, 1)
    (month,), (year,) = shown["months"], shown["years"]
    assert (month["period"], year["period"]) == ("2026-10", "2026")
    assert (month["before"]["co2e_location_kg"], month["after"]["co2e_location_kg"]) == (0.112, 0.1)
    assert month["change"] == {
        "facility_energy_kwh": 0.0, "cost": "0", "co2e_location_kg": -0.012, "co2e_market_kg": None, "co2e_embodied_kg": None, "water_l": None,
    }  # fmt: skip
    done = asked(closed)
    assert (done["months"], done["years"]) == (shown["months"], shown["years"])


def test_undoing_it_leaves_no_sum_changed(closed):
    """Also what is shown apart nets to nothing; it may be shown before it is done, and is known by the beginning of its id."""
    before = report(closed, 202610, "current")["total"]
    name = asked(closed)["restatement"]
    shown = asked(closed, undo=name, dry_run=True)
    assert shown["undone"]
    assert shown["months"][0]["change"]["co2e_location_kg"] == 0.012
    assert report(closed, 202610, "current")["total"]["co2e_location_kg"] == 0.1
    asked(closed, undo=name, reason="withdrawn")
    assert report(closed, 202610, "current")["total"] == before
    assert [late["co2e_location_kg"] for late in report(closed, 202611)["adjustments"]] in ([], [0.0])
    with pytest.raises(NotFound, match="all are undone"):
        asked(closed, undo=name)


def test_only_the_series_that_is_named_is_restated(closed):
    """A price revised at the same time stays as it was closed."""
    price = {"kind": "tariff", "object": "m1", "unit": "micro/kWh", "currency": "EUR", "value": 500_000}
    closed.tell(grid(closed, 0, **price))
    done = asked(closed, kind="grid_location", object="FR")
    assert done["months"][0]["change"]["cost"] == "0"
    assert asked(closed, kind="grid_location", object="DE")["entries"] == 0
    assert asked(closed)["months"][0]["change"]["cost"] == "0.5"


def test_factors_may_be_those_known_at_an_earlier_link(closed):
    """Restated as known before the revision, nothing moves; the newest restatement holds."""
    link = report(closed, 202611)["link"]
    closed.tell(grid(closed, 40))
    assert asked(closed)["months"][0]["after"]["co2e_location_kg"] == 0.08
    assert asked(closed, known=str(link))["months"][0]["after"]["co2e_location_kg"] == 0.1
    assert asked(closed, known="1")["entries"] == 1


def test_a_late_reading_of_a_restated_month_is_priced_as_restated(closed):
    """And of one that is not restated, as it was closed."""
    late = Story(reader="late").meter("cpu").reading("cpu", OCTOBER_HOUR + HOUR, OCTOBER_HOUR + 2 * HOUR, KWH)
    closed.ledger.deliver(late.batch())
    closed.ledger.book()
    assert report(closed, 202610, "current")["total"]["co2e_location_kg"] == 0.112 + 0.056
    asked(closed)
    assert report(closed, 202610, "current")["total"]["co2e_location_kg"] == 0.15


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"reason": ""}, BadInput, "add --reason"),
        ({"to_month": "2026-11"}, BadInput, "2026-11 is open and takes the newest factors by itself: the last closed month is 2026-10"),
        ({"from_month": "October"}, BadInput, "'October' is no month"),
        ({"from_month": "2026-11"}, BadInput, "202611"),
        ({"known": "99"}, BadInput, "the chain has no link 99"),
        ({"undo": "nothing"}, NotFound, "no restatement 'nothing' stands: none was made"),
        ({"kind": "colour"}, BadInput, "kind 'colour' is none of"),
    ],
)  # fmt: skip
def test_what_cannot_be_restated_is_refused_and_nothing_is_written(closed, changes, error, says):
    """The message names the value and the way out."""
    before = closed.ledger.verify()
    with pytest.raises(error, match=says):
        asked(closed, **changes)
    assert closed.ledger.verify() == before


def test_in_a_book_without_a_closed_month_there_is_nothing_to_restate(sqlite_keeper):
    """Open months take the newest factors by themselves."""
    with pytest.raises(BadInput, match="no month is closed"):
        asked(sqlite_keeper)


def test_asked_again_after_an_answer_that_was_lost_it_is_done_once(closed):
    """The same name is the same act."""
    first = asked(closed, name="once")
    again = asked(closed, name="once")
    assert (first["entries"], again["entries"]) == (1, 0)
    assert again["restatement"] == "once"
