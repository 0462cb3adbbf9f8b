"""A closed month: its report stays as it was sealed, what arrives late is an adjustment, a run that is relabelled moves as a pair."""

import json
import threading
from itertools import product

import pytest
from books import DAY, HOUR, KWH, NOVEMBER, Story, run_id
from helpers.books_equal import summed
from sqlalchemy import text

from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.desk.entering import Place, init_batch, label_batch
from joulebook_ledger.local import LocalLedger
from joulebook_ledger.queries import GROUPINGS, CloseQuery, ReportQuery

RUN, OTHER = run_id("october"), run_id("november")
OCTOBER_HOUR = NOVEMBER - 24 * HOUR
KEYS = [*((key,) for key in GROUPINGS), ("team", "host"), ("tag:grid",)]


def report(keeper, month, basis="closed", **query):
    """Return the report of one month."""
    return keeper.ledger.report(ReportQuery(from_month=month, to_month=month, basis=basis, **query))


def year(keeper, basis="closed", **query):
    """Return the report of 2026."""
    return keeper.ledger.report(ReportQuery(from_month=202601, to_month=202612, basis=basis, **query))


def close(keeper, month, **query):
    """Close a month."""
    return keeper.ledger.close_months(CloseQuery(month=month, author="ann", **query))


def relabel(keeper, run, **labels):
    """Label a run anew."""
    keeper.tell(label_batch(keeper.entry(), [run], labels))


@pytest.fixture
def opened(keeper):
    """Return a book whose October holds 2 kWh at 0.25 EUR, told completely, and whose November holds 1 kWh of another run."""
    keeper.place()
    story = (
        Story().meter("cpu").run(RUN, OCTOBER_HOUR, OCTOBER_HOUR + HOUR, model="m", team="vision", **{"tag:grid": "b"})
    )
    story.reading("cpu", OCTOBER_HOUR, OCTOBER_HOUR + HOUR, 3 * KWH, {RUN: 2 * KWH})
    story.run(OTHER, NOVEMBER, NOVEMBER + HOUR, model="n", team="language")
    keeper.tell(
        story.reading("cpu", NOVEMBER, NOVEMBER + HOUR, KWH, {OTHER: KWH}).batch(complete_until_ms=NOVEMBER + HOUR)
    )
    return keeper, story


@pytest.fixture
def closed(opened):
    """Return that book with October closed."""
    close(opened[0], 202610)
    return opened


def late_hour(story):
    """Tell of one more hour of October, 4 kWh."""
    return story.reading("cpu", OCTOBER_HOUR + HOUR, OCTOBER_HOUR + 2 * HOUR, 4 * KWH, {RUN: 4 * KWH}).batch()


def test_late_energy_is_an_adjustment_of_the_open_month(closed):
    """October stays at 3 kWh as closed and is 7 as known today; November shows the 4 apart and in no row."""
    keeper, story = closed
    answer = keeper.ledger.deliver(late_hour(story))
    keeper.ledger.book()
    assert answer.counts["stored_after_close"] == 2
    assert report(keeper, 202610)["total"]["energy_kwh"] == 3.0
    assert report(keeper, 202610, "current")["total"]["energy_kwh"] == 7.0
    november = report(keeper, 202611, by=("team",))
    assert [row["team"] for row in november["rows"]] == ["language"]
    assert november["total"]["cost"] == "0.25"
    assert november["charged"] == {"cost": "1.25", "cost_energy": "1.25", "cost_instance": None, "currency": "EUR"}
    (late,) = november["adjustments"]
    said = ("period", "month", "cause", "team", "energy_kwh", "cost")
    assert tuple(late[name] for name in said) == ("2026-11", "2026-10", "late", "vision", 4.0, "1")


def test_a_closed_report_never_changes_by_a_byte(opened):
    """Whatever comes later: late facts, prices, places, labels, other hosts, closes; by any key, and however idle is spread."""
    keeper, story = opened
    keeper.tell(
        Story("m2").meter("gpu", "gpu").reading("gpu", OCTOBER_HOUR, OCTOBER_HOUR + HOUR, KWH).batch(state="retired")
    )
    close(keeper, 202610)

    def told():
        asked = product(KEYS, ("separate", "proportional"))
        return [json.dumps(report(keeper, 202610, by=by, idle=idle)) for by, idle in asked]

    before = told()
    keeper.tell(late_hour(story))
    assert told() == before
    keeper.tell(
        init_batch(keeper.entry(), Place(machine="m1", zone="DE", pue="1.4", price_per_kwh="0.4", currency="EUR"))
    )
    keeper.tell(
        init_batch(keeper.entry(), Place(machine="m2", site="elsewhere", zone="DE", embodied_kg_per_year="300"))
    )
    assert told() == before
    relabel(keeper, RUN, team="search", model="m2", **{"tag:grid": "c"})
    assert told() == before
    renamed = Story("m1", reader="another", rank=0).meter("gpu", "gpu", device="GPU-1")
    keeper.tell(renamed.reading("gpu", OCTOBER_HOUR, OCTOBER_HOUR + HOUR, KWH).batch(state="retired"))
    assert told() == before
    keeper.now_ms += DAY
    close(keeper, 202611, tolerance_ppm=1_000_000, reason="the agent is away")
    assert told() == before


def test_the_year_as_closed_and_its_adjustments_are_the_year_as_known(closed):
    """By team, row by row: late energy, and a run that moved after the close, are beneath; nothing is lost or counted twice."""
    keeper, story = closed
    keeper.tell(late_hour(story))
    relabel(keeper, RUN, team="search")
    assert summed(year(keeper, by=("team",)), "team") == summed(year(keeper, "current", by=("team",)), "team")
    assert year(keeper, "current", by=("team",))["adjustments"] == []
    close(keeper, 202611, tolerance_ppm=1_000_000)
    relabel(keeper, RUN, team="speech")
    relabel(keeper, OTHER, team="vision")
    assert summed(year(keeper, by=("team",)), "team") == summed(year(keeper, "current", by=("team",)), "team")


def test_a_relabelled_run_moves_as_a_pair(closed):
    """The closed report keeps the label; in the open month it is taken from the old team and given to the new, and stays there when closed."""
    keeper, _ = closed
    relabel(keeper, RUN, team="search")
    assert [row["team"] for row in report(keeper, 202610, by=("team",))["rows"]] == ["vision", "idle"]
    pair = report(keeper, 202611, by=("team",))["adjustments"]
    said = [(its["period"], its["month"], its["cause"], its["team"], its["energy_kwh"], its["cost"]) for its in pair]
    assert said == [
        ("2026-11", "2026-10", "relabelled", "vision", -2.0, "-0.5"),
        ("2026-11", "2026-10", "relabelled", "search", 2.0, "0.5"),
    ]
    assert report(keeper, 202611, by=("model",))["adjustments"] == []
    close(keeper, 202611, tolerance_ppm=1_000_000)
    assert report(keeper, 202611, by=("team",))["adjustments"] == pair
    assert report(keeper, 202612, by=("team",))["adjustments"] == []
    relabel(keeper, RUN, team="vision")
    assert report(keeper, 202611, by=("team",))["adjustments"] == pair
    back = report(keeper, 202612, by=("team",))["adjustments"]
    assert [(its["team"], its["energy_kwh"]) for its in back] == [("search", -2.0), ("vision", 2.0)]


def test_as_of_a_link_the_books_are_what_they_were(closed):
    """Before the close, after it, and after what came late: asked as of the link that a report names, it is the same."""
    keeper, story = closed
    told = []

    def look():
        for month, by in product((202610, 202611), (("team",), ("host",), ("day",))):
            body = report(keeper, month, by=by)
            told.append((month, by, report(keeper, month, by=by, as_of=str(report(keeper, 202612)["link"])), body))

    look()
    keeper.tell(late_hour(story))
    relabel(keeper, RUN, team="search")
    look()
    close(keeper, 202611, tolerance_ppm=1_000_000)
    look()
    for month, by, then, _ in told:
        assert report(keeper, month, by=by, as_of=then["as_of"]) == then
    for _, _, then, body in told:
        assert [row["energy_kwh"] for row in then["rows"]] == [row["energy_kwh"] for row in body["rows"]]
        assert then["head"] == body["head"]
        assert then["adjustments"] == body["adjustments"]


def test_a_close_says_what_it_found_and_leaves_its_head(opened):
    """The checklist and the close say the same; the report names the link of its close; the chain proves itself."""
    keeper, _ = opened
    check = keeper.ledger.check_close(CloseQuery(month=202610))
    done = close(keeper, 202610)
    assert check["months"] == done["months"]
    assert (check["closed"], done["closed"], done["link"]) == (False, True, check["link"] + 1)
    body = report(keeper, 202610)
    assert (body["link"], body["head"]) == (done["link"], done["head"])
    assert keeper.ledger.verify()["ok"]


def test_what_is_missing_is_judged_by_the_reader_s_own_past(opened):
    """The agent told of an hour of 1 kWh in November and then nothing: at that rate 719 kWh may be missing, and nothing is closed."""
    keeper, _ = opened
    found = keeper.ledger.check_close(CloseQuery(month=202611))["months"]
    assert [(month["month"], month["can_close"]) for month in found] == [("2026-10", True), ("2026-11", False)]
    assert (found[1]["missing_kwh"], len(found[1]["owing"])) == (pytest.approx(114.4, rel=0.01), 1)
    with pytest.raises(BadInput, match="2026-11 is not closed, and nothing was changed: 1 readers on 1 hosts"):
        close(keeper, 202611)
    assert keeper.ledger.check_close(CloseQuery())["months"][0]["month"] == "2026-10"
    assert [month["month"] for month in close(keeper, 202611, tolerance_ppm=1_000_000)["months"]] == [
        "2026-10",
        "2026-11",
    ]


@pytest.mark.parametrize(
    ("month", "message"),
    [
        (202610, "2026-10 is closed already, at link"),
        (202609, "2026-09 is closed already"),
        (202612, "2026-12 is not over: it can be closed from 2027-01-01"),
        (203001, "2030-01 is not over"),
    ],
)
def test_what_cannot_be_closed_says_why(closed, month, message):
    """And changes nothing."""
    keeper, _ = closed
    before = report(keeper, 202611)
    with pytest.raises(BadInput, match=message):
        close(keeper, month)
    assert report(keeper, 202611) == before


def test_a_month_before_the_book_is_none_to_close(opened):
    """Nor is there any in an empty book."""
    keeper, _ = opened
    with pytest.raises(BadInput, match="2026-09 is before the book began: its first month is 2026-10"):
        close(keeper, 202609)


def test_nothing_is_to_be_closed_in_an_empty_book(keeper):
    """It says so."""
    with pytest.raises(BadInput, match="nothing is booked yet"):
        close(keeper, 202610)


def test_no_entry_may_follow_into_a_closed_month(closed):
    """The database refuses it."""
    keeper, _ = closed
    copied = f"1000 + number, source, day, 1000, period, cause, known, 1000, digest, {', '.join(COLUMNS)}"
    with pytest.raises(Exception, match="closed"), keeper.ledger._book.write() as connection:
        connection.execute(text(f"INSERT INTO entry SELECT {copied} FROM entry WHERE period = 202610"))


def test_a_run_s_footprint_is_as_known_today(closed):
    """Whatever was closed: a run used what it used."""
    keeper, story = closed
    keeper.tell(late_hour(story))
    assert keeper.ledger.run(RUN)["footprint"]["energy_kwh"] == 6.0


def leaves(tree):
    """Yield the texts of a tree with their sources."""
    yield f"{tree['text']} {tree.get('source', '')}"
    for child in tree.get("children", ()):
        yield from leaves(child)


def test_why_of_a_closed_figure_names_the_factors_of_its_close(closed):
    """Whatever the tariff is today, and wherever the machine is said to stand now; on the basis `current` both prices stand in it."""
    keeper, story = closed
    before = keeper.ledger.why("report:2026-10/team=vision#cost")
    keeper.tell(late_hour(story))
    keeper.tell(init_batch(keeper.entry(), Place(machine="m1", zone="DE", price_per_kwh="0.4", currency="EUR")))
    relabel(keeper, RUN, team="search")
    assert keeper.ledger.why("report:2026-10/team=vision#cost") == before
    assert (before["value"], before["tree"]["value"]) == ("0.5", "0.5 EUR")
    told = "\n".join(leaves(before["tree"]))
    assert "tariff of m1: 0.25 EUR/kWh" in told
    assert "0.4 EUR/kWh" not in told
    assert keeper.ledger.why("report:2026-10?basis=current/team=search#cost")["value"] == "1.5"


def test_of_two_closes_at_once_one_wins(closed):
    """The other finds the month closed, and the book proves itself."""
    keeper, _ = closed
    answers = []

    def attempt():
        ledger = LocalLedger(keeper.url, clock=lambda: keeper.now_ms)
        try:
            answers.append(ledger.close_months(CloseQuery(month=202611, tolerance_ppm=1_000_000))["closed"])
        except BadInput as error:
            answers.append(str(error))
        finally:
            ledger.close()

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(map(str, answers)) == "True"
    assert "2026-11 is closed already, at link" in min(map(str, answers))
    assert keeper.ledger.verify()["ok"]
