"""Correcting facts: voided with reason and author, told again as they should have been, and booked as a difference."""

import pytest
from books import HOUR, KWH, NOVEMBER, Story, run_id

from joulebook_ledger.core.refusals import BadInput, NotFound
from joulebook_ledger.queries import Correcting, ReportQuery, RunsQuery

RUN, OTHER = run_id("one"), run_id("two")


def asked(keeper, kind, where, changes=None, **more):
    """Ask for a correction."""
    keeper.acts += 1
    said = {"name": f"c{keeper.acts}", "reason": "told wrongly", "author": "ann", **more}
    return keeper.ledger.correct(Correcting(kind=kind, where=where, changes=changes or {}, **said))


def energies(keeper):
    """Return the energy of November by run."""
    report = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, by=("run",)))
    return {row.get("account", row["run"]): row["energy_kwh"] for row in report["rows"] if row["energy_kwh"]}


@pytest.fixture
def told(keeper):
    """Return a book of two hours of one meter, 3 kWh each, of which one run drew 2 and scored 0.7."""
    return filled(keeper)


@pytest.fixture
def told_here(sqlite_keeper):
    """Return the same on SQLite alone, for refusals."""
    return filled(sqlite_keeper)


def filled(keeper):
    """Fill a book."""
    keeper.place()
    keeper.place("m2", zone="DE", price_per_kwh="0.5", currency="EUR", site="berlin")
    story = Story().meter("cpu").run(RUN, NOVEMBER, NOVEMBER + 2 * HOUR, scores={"accuracy": "0.7"}, model="m")
    story.run(OTHER, NOVEMBER, NOVEMBER + 2 * HOUR, model="n")
    for hour in (NOVEMBER, NOVEMBER + HOUR):
        story.reading("cpu", hour, hour + HOUR, 3 * KWH, {RUN: 2 * KWH})
    keeper.tell(story.batch())
    return keeper


def test_a_score_that_was_wrong_is_told_again(told):
    """The newest that stands is shown; the wrong one stays in the book, voided."""
    body = asked(told, "score", {"run": RUN, "name": "accuracy"}, {"value": "0.93"})
    (fact,) = body["facts"]
    assert (fact["was"]["value"], fact["now"]["value"]) == ("0.7", "0.93")
    (score,) = told.ledger.run(RUN)["scores"]
    assert (score["name"], score["value"]) == ("accuracy", 0.93)
    assert told.ledger.verify()["ok"]


def test_readings_of_another_machine_are_priced_where_it_stands(told):
    """They keep their energy and their users; the book proves itself, and no machine is taken for two."""
    before = energies(told)
    body = asked(told, "reading", {"reader": "reader-of-m1"}, {"machine": "m2"})
    assert (len(body["facts"]), body["entries"]) == (2, 1)
    assert energies(told) == before
    assert told.ledger.run(RUN)["footprint"]["cost"] == "2"
    verified = told.ledger.verify()
    assert verified["ok"]
    assert verified["warnings"] == []
    assert verified["head"] == body["head"]


def test_a_reading_is_voided_with_all_that_was_drawn_in_it(told):
    """Only in the time that is named."""
    body = asked(
        told, "reading", {"reader": "reader-of-m1"}, from_time="2026-11-01T01:00Z", to_time="2026-11-01T02:00Z"
    )
    assert [fact["now"] for fact in body["facts"]] == [None]
    assert energies(told) == {RUN: 2.0, "idle": 1.0}
    assert told.ledger.verify()["ok"]


def test_a_reading_is_told_again_with_its_uses(told):
    """2.5 kWh where 3 were told: the run's 2 stand, and idle bears less."""
    asked(told, "reading", {"start_ms": str(NOVEMBER)}, {"energy_mj": str(25 * KWH // 10)})
    assert energies(told) == {RUN: 4.0, "idle": 1.5}
    assert told.ledger.verify()["ok"]


def test_a_use_goes_to_the_run_it_was_of(told):
    """Of one of the hours; its window is told again with it, and can be corrected once more."""
    asked(told, "use", {"run": RUN, "start_ms": str(NOVEMBER)}, {"run": OTHER})
    assert energies(told) == {RUN: 2.0, OTHER: 2.0, "idle": 2.0}
    asked(told, "use", {"run": OTHER}, {"run": RUN})
    assert energies(told) == {RUN: 4.0, "idle": 2.0}
    assert told.ledger.verify()["ok"]


def test_a_price_that_was_wrong_prices_the_open_month_anew(told):
    """As the same price with another value, of a version of its own."""
    asked(told, "factor", {"kind": "tariff", "object": "m1"}, {"value": "100000"})
    assert told.ledger.run(RUN)["footprint"]["cost"] == "0.4"
    assert told.ledger.verify()["ok"]


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(told):
    """What it names is what is then done."""
    before = told.ledger.verify()
    shown = asked(told, "reading", {"reader": "reader-of-m1"}, {"machine": "m2"}, dry_run=True)
    assert (shown["link"], shown["head"]) == (None, None)
    assert told.ledger.verify() == before
    done = asked(told, "reading", {"reader": "reader-of-m1"}, {"machine": "m2"})
    assert (done["facts"], done["entries"]) == (shown["facts"], shown["entries"])


def test_an_event_is_corrected_by_what_it_said(told):
    """A run that was said to have failed."""
    asked(told, "event", {"run": OTHER, "kind": "ended"}, {"status": "failed"})
    assert told.ledger.run(OTHER)["status"] == "failed"
    assert len(told.ledger.runs(RunsQuery(labels={"status": "failed"}))["items"]) == 1


@pytest.mark.parametrize(
    ("kind", "where", "changes"),
    [
        ("score", {"run": RUN}, {"value": "0.9"}), ("use", {"run": RUN}, {"run": OTHER}),
        ("reading", {"reader": "reader-of-m1"}, {"machine": "m2"}), ("reading", {"reader": "reader-of-m1"}, {}),
    ],
)  # fmt: skip
def test_the_same_act_is_not_done_twice(told_here, kind, where, changes):
    """Somebody who did not hear the answer asks again, and hears which facts were corrected."""
    first = asked(told_here, kind, where, changes, name="again")
    before = told_here.ledger.verify()
    assert asked(told_here, kind, where, changes, name="again")["facts"] == first["facts"]
    assert told_here.ledger.verify() == before


@pytest.mark.parametrize(
    ("kind", "where", "changes", "more", "error", "says"),
    [
        ("score", {"run": RUN}, {}, {"reason": ""}, BadInput, "corrected for a reason"),
        ("colour", {"run": RUN}, {}, {}, BadInput, "no kind of fact that can be corrected: reading, use"),
        ("score", {}, {}, {}, BadInput, "say which scores are wrong, such as run=NAME"),
        ("score", {"rum": RUN}, {}, {}, BadInput, "'rum' is no column of a score: it has run, score, name"),
        ("score", {"at_ms": "soon"}, {}, {}, BadInput, "at_ms='soon' is no whole number"),
        ("score", {"run": "nobody"}, {}, {}, NotFound, "no score that stands says run=nobody"),
        ("score", {"run": RUN}, {}, {"to_time": "2026-10-01"}, NotFound, "in that time"),
        ("score", {"run": RUN}, {"run": OTHER}, {}, BadInput, "run says which score it is and cannot be changed"),
        ("score", {"run": RUN}, {"value": "high"}, {}, BadInput, "log a finite number"),
        ("reading", {"reader": "reader-of-m1"}, {"energy_mj": "-1"}, {}, BadInput, "energy_mj"),
        ("reading", {"reader": "reader-of-m1"}, {"energy_mj": str(10**15)}, {}, BadInput, "nothing was corrected"),
        ("event", {"run": OTHER}, {"labels": "{"}, {}, BadInput, "is no JSON object"),
        ("placement", {"machine": "m1"}, {"machine": "m2"}, {}, BadInput, "machine says which placement"),
    ],
)  # fmt: skip
def test_what_cannot_be_corrected_is_refused_and_nothing_is_written(told_here, kind, where, changes, more, error, says):
    """With the value and the way out."""
    before = told_here.ledger.verify()
    with pytest.raises(error, match=says):
        asked(told_here, kind, where, changes, **more)
    assert told_here.ledger.verify() == before
