"""Worked examples, told as stories: what a person asks of a small book, with figures that can be checked by hand."""

import pytest
from books import HOUR, KWH, MINUTE, NOVEMBER, Story, run_id

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.desk.entering import Place, init_batch, label_batch
from joulebook_ledger.queries import RankQuery, ReportQuery

IN_NOVEMBER = ReportQuery(from_month=202611, to_month=202611)
SMALL, LARGE = run_id("small"), run_id("large")


def an_hour(*, late: bool = False) -> Story:
    """Return an hour on one processor of 10 kWh: 4 by the small model, 5 by the large one (told later, if late), 1 by nobody."""
    story = Story().meter("time", "time").meter("cpu")
    story.run(SMALL, NOVEMBER, NOVEMBER + HOUR, model="small", team="vision", task="digits", scores={"accuracy": "0.9"})
    story.run(
        LARGE, NOVEMBER, NOVEMBER + HOUR, model="large", team="language", task="digits", scores={"accuracy": "0.95"}
    )
    half = HOUR // 2
    story.reading("time", NOVEMBER, NOVEMBER + HOUR, 0, {SMALL: (0, half), LARGE: (0, half)}, method="declared")
    claims = {SMALL: (4 * KWH, half), LARGE: (5 * KWH, half)}
    if late:
        claims.pop(LARGE)
    return story.reading("cpu", NOVEMBER, NOVEMBER + HOUR, 10 * KWH, claims)


def by_model(body):
    """Return the rows of a report by model, those of reserved accounts by their name."""
    return {row["model"]: row for row in body["rows"]}


def test_two_runs_and_idle_make_up_the_meter(keeper):
    """4 + 5 kWh by runs and 1 by nobody are the meter's 10; each at 0.25 EUR and 56.039 g per kWh."""
    keeper.place()
    keeper.tell(an_hour().batch())
    body = keeper.ledger.report(IN_NOVEMBER)
    rows = by_model(body)
    assert {model: row["energy_kwh"] for model, row in rows.items()} == {"small": 4.0, "large": 5.0, "idle": 1.0}
    assert {model: row["cost"] for model, row in rows.items()} == {"small": "1", "large": "1.25", "idle": "0.25"}
    assert rows["large"]["co2e_location_kg"] == 0.280195
    assert (body["total"]["energy_kwh"], body["total"]["cost"], body["total"]["currency"]) == (10.0, "2.5", "EUR")


def test_a_row_says_how_far_it_can_be_trusted(keeper):
    """All of the hour was metered by a counter: complete, measured, ± 2 x 5 %; nobody said what the machine's making emitted."""
    keeper.place()
    keeper.tell(an_hour().batch())
    row = by_model(keeper.ledger.report(IN_NOVEMBER))["small"]
    assert (row["coverage"], row["measured_share"], row["known_share"]["cost"]) == (1.0, 1.0, 1.0)
    assert row["sentence"] == "100 % complete, 100 % metered, ± 10 %"
    assert (row["grade"], row["runs"], row["duration_s"], row["device_hours"]) == ("A", 1, 3_600.0, 0.5)
    assert row["co2e_embodied_kg"] is None
    assert "joulebook init --embodied" in row["reasons"]["co2e_embodied_kg"]


def test_what_nobody_priced_is_null_and_names_the_command(keeper):
    """Without a place nothing is priced and nothing is 0; energy is known all the same."""
    keeper.tell(an_hour().batch())
    row = keeper.ledger.run(SMALL)["footprint"]
    assert (row["energy_kwh"], row["cost"], row["co2e_location_kg"], row["facility_energy_kwh"]) == (
        4.0,
        None,
        None,
        None,
    )
    assert "joulebook init --price" in row["reasons"]["cost"]
    assert "joulebook init --zone" in row["reasons"]["co2e_location_kg"]
    assert row["known_share"]["cost"] == 0.0


def test_what_is_set_later_prices_the_whole_open_past(keeper):
    """A place and a price that come after the run price it; the other figures stay unknown."""
    keeper.tell(an_hour().batch())
    keeper.place()
    row = keeper.ledger.run(SMALL)["footprint"]
    assert (row["cost"], row["co2e_location_kg"], row["co2e_market_kg"]) == ("1", 0.224156, None)


def test_a_zone_alone_gives_co2e_and_no_cost(keeper):
    """Each figure waits for its own factor only."""
    keeper.tell(an_hour().batch())
    keeper.place(zone="FR")
    row = keeper.ledger.run(SMALL)["footprint"]
    assert (row["cost"], row["co2e_location_kg"], row["currency"]) == (None, 0.224156, None)


def test_the_market_figure_may_be_the_grid_average_disclosed(keeper):
    """Only when asked for, and `why` says that it stands in."""
    keeper.tell(an_hour().batch())
    keeper.place(zone="FR", market_g_per_kwh="grid")
    assert keeper.ledger.run(SMALL)["footprint"]["co2e_market_kg"] == 0.224156
    assert "stands in" in str(keeper.ledger.why(f"run:{SMALL}#co2e_market_kg"))


def test_a_cloud_machine_costs_its_hours_and_not_its_energy(keeper):
    """2 EUR an hour, half an hour each; the price of electricity is within it."""
    keeper.tell(an_hour().batch())
    keeper.place(zone="FR", ownership="cloud", price_per_hour="2", currency="EUR")
    row = keeper.ledger.run(SMALL)["footprint"]
    assert (row["cost"], row["cost_instance"], row["cost_energy"]) == ("1", "1", None)
    assert row["reasons"]["cost_energy"].startswith("in_instance_price")
    assert row["known_share"]["cost_energy"] is None


def test_of_two_machines_one_without_a_place_half_of_the_cost_is_known(keeper):
    """A sum of what is known says which share of it that is, and names what completes it."""
    keeper.place()
    other = Story("m2").meter("cpu")
    run = run_id("elsewhere")
    other.run(run, NOVEMBER, NOVEMBER + HOUR, model="small").reading(
        "cpu", NOVEMBER, NOVEMBER + HOUR, 4 * KWH, {run: 4 * KWH}
    )
    keeper.tell(an_hour().batch(), other.batch())
    body = keeper.ledger.report(IN_NOVEMBER)
    row = by_model(body)["small"]
    assert (row["energy_kwh"], row["cost"], row["known_share"]["cost"], row["runs"]) == (8.0, "1", 0.5, 2)
    note = next(note for note in body["notes"] if note.startswith("cost "))
    assert "71.4%" in note
    assert "joulebook init --price" in note


def test_a_use_that_arrives_late_takes_from_idle(keeper):
    """The total stays; as of the link before, the report is what it was."""
    keeper.place()
    story = an_hour(late=True)
    keeper.tell(story.batch())
    before = keeper.ledger.report(IN_NOVEMBER)
    story.lists["uses"] = an_hour().lists["uses"][-1:]
    assert keeper.tell(story.batch()) == 1
    after = by_model(keeper.ledger.report(IN_NOVEMBER))
    assert by_model(before)["idle"]["energy_kwh"] == 6.0
    assert (after["idle"]["energy_kwh"], after["large"]["cost"]) == (1.0, "1.25")
    then = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, as_of=str(before["link"])))
    assert (then["rows"], then["total"]) == (_as_asked(before["rows"], then), _as_asked([before["total"]], then)[0])


def test_a_revised_price_moves_the_open_month_and_no_earlier_report(keeper):
    """0.30 in place of 0.25: the month is dearer, and as of the link before it is not."""
    keeper.place()
    keeper.tell(an_hour().batch())
    before = keeper.ledger.report(IN_NOVEMBER)
    keeper.place(price_per_kwh="0.30", currency="EUR")
    assert keeper.ledger.report(IN_NOVEMBER)["total"]["cost"] == "3"
    then = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, as_of=str(before["link"])))
    assert (before["total"]["cost"], then["total"]["cost"], then["link"]) == ("2.5", "2.5", before["link"])


def test_an_instant_means_the_last_link_before_it(keeper):
    """As of an hour before the second booking is as of the first."""
    keeper.place()
    keeper.tell(an_hour().batch())
    first = keeper.ledger.report(IN_NOVEMBER)
    keeper.now_ms += 2 * HOUR
    keeper.place(price_per_kwh="0.30", currency="EUR")
    at = "2026-12-11T01:00:00Z"
    then = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, as_of=at))
    assert (then["link"], then["total"]["cost"], then["as_of"]) == (first["link"], "2.5", at)
    with pytest.raises(BadInput, match="it begins at"):
        keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, as_of="2026-01-01"))
    with pytest.raises(BadInput, match="link 99"):
        keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, as_of="99"))


def test_a_relabelled_run_moves_and_as_of_then_it_had_not(keeper):
    """The newest label holds, of the journal nothing changes; an excluded run leaves rankings and no report."""
    keeper.place()
    keeper.tell(an_hour().batch())
    link = keeper.ledger.report(IN_NOVEMBER)["link"]
    assert keeper.tell(label_batch(keeper.entry(), [SMALL], {"team": "language", "exclude": "wrong data"})) == 0
    by_team = ReportQuery(from_month=202611, to_month=202611, by=("team",))
    assert {row["team"]: row["energy_kwh"] for row in keeper.ledger.report(by_team)["rows"]} == {
        "language": 9.0,
        "idle": 1.0,
    }
    then = ReportQuery(from_month=202611, to_month=202611, by=("team",), as_of=str(link))
    assert {row["team"] for row in keeper.ledger.report(then)["rows"]} == {"vision", "language", "idle"}
    assert [row["model"] for row in keeper.ledger.rank(RankQuery())["rows"]] == ["large"]
    assert keeper.ledger.rank(RankQuery())["excluded"][0]["reason"] == "excluded: wrong data"


def test_an_excluded_run_comes_back_by_an_empty_reason(keeper):
    """Nothing is overwritten: the newer label says otherwise."""
    keeper.tell(an_hour().batch())
    keeper.tell(label_batch(keeper.entry(), [SMALL], {"exclude": "wrong data"}))
    keeper.tell(label_batch(keeper.entry(), [SMALL], {"exclude": ""}))
    assert len(keeper.ledger.rank(RankQuery())["rows"]) == 2


def test_a_gap_is_no_energy_and_lowers_the_coverage(keeper):
    """Half an hour unread: its estimate stands beside the energy, and the run is half complete."""
    story = Story().meter("cpu").run(SMALL, NOVEMBER, NOVEMBER + HOUR, model="small")
    story.reading("cpu", NOVEMBER, NOVEMBER + HOUR // 2, 2 * KWH, {SMALL: 2 * KWH})
    story.gap("cpu", NOVEMBER + HOUR // 2, NOVEMBER + HOUR, estimate_mj=KWH, uses={SMALL: (0, HOUR // 2)})
    keeper.tell(story.batch())
    row = keeper.ledger.run(SMALL)["footprint"]
    assert (row["energy_kwh"], row["unmetered_estimate_kwh"], row["coverage"]) == (2.0, 1.0, 0.5)


def test_a_run_of_which_nothing_was_read_has_no_energy_figure(keeper):
    """Unknown is null, never 0."""
    story = Story().meter("cpu").run(SMALL, NOVEMBER, NOVEMBER + MINUTE)
    keeper.tell(story.gap("cpu", NOVEMBER, NOVEMBER + MINUTE, uses={SMALL: (0, MINUTE)}).batch())
    row = keeper.ledger.run(SMALL)["footprint"]
    assert (row["energy_kwh"], row["coverage"], row["measured_share"]) == (None, 0.0, None)
    assert "joulebook doctor" in row["reasons"]["energy_kwh"]


def test_what_is_held_and_not_used_is_shown(keeper):
    """Of 4 kWh, 1 was the static part of what the run held."""
    story = Story().meter("cpu").run(SMALL, NOVEMBER, NOVEMBER + HOUR)
    keeper.tell(story.reading("cpu", NOVEMBER, NOVEMBER + HOUR, 4 * KWH, {SMALL: (4 * KWH, HOUR, KWH)}).batch())
    assert keeper.ledger.run(SMALL)["footprint"]["held_unused_kwh"] == 1.0


def test_a_machine_may_be_told_to_others_before_it_is_placed(keeper):
    """A second `init` that says only a price keeps the zone."""
    keeper.place(zone="FR")
    snapshot = keeper.ledger.snapshot("m1")
    from joulebook_ledger.core.resolution import FactorBook

    known = FactorBook.from_bytes(snapshot)
    batch = init_batch(keeper.entry(), Place(machine="m1", price_per_kwh="0.25", currency="EUR"), known)
    keeper.tell(batch, an_hour().batch())
    row = keeper.ledger.run(SMALL)["footprint"]
    assert (row["cost"], row["co2e_location_kg"]) == ("1", 0.224156)


def test_a_report_names_the_hours_it_covers(keeper):
    """One machine, one hour."""
    keeper.tell(an_hour().batch())
    machine = keeper.ledger.report(IN_NOVEMBER)["machines"]
    assert machine == [
        {
            "machine": "m1",
            "host": "host-m1",
            "covered_hours": 1.0,
            "first_day": "2026-11-01",
            "last_day": "2026-11-01",
        }
    ]


def test_a_month_without_anything_says_what_to_do(keeper):
    """An empty report is no error, and its figures are unknown rather than 0."""
    body = keeper.ledger.report(ReportQuery(from_month=202601, to_month=202601))
    assert body["rows"] == []
    assert body["total"]["energy_kwh"] is None
    assert "joulebook run" in body["notes"][0]


def test_a_run_over_midnight_of_the_month_is_in_both_months(keeper):
    """An hour before and an hour after: each month has its own, the year both."""
    story = Story().meter("cpu").run(SMALL, NOVEMBER - HOUR, NOVEMBER + HOUR, model="small")
    story.reading("cpu", NOVEMBER - HOUR, NOVEMBER, KWH, {SMALL: KWH})
    story.reading("cpu", NOVEMBER, NOVEMBER + HOUR, 2 * KWH, {SMALL: 2 * KWH})
    keeper.tell(story.batch())
    year = keeper.ledger.report(ReportQuery(from_month=202601, to_month=202612, by=("month",)))
    assert [(row["month"], row["energy_kwh"], row["duration_s"]) for row in year["rows"]] == [
        ("2026-10", 1.0, 3_600.0),
        ("2026-11", 2.0, 3_600.0),
    ]
    assert (year["total"]["energy_kwh"], year["total"]["duration_s"], year["total"]["runs"]) == (3.0, 7_200.0, 1)


def _as_asked(rows, body):
    """Return rows named as the report that was asked for later names them."""
    asked = f"?as_of={body['as_of']}"
    return [{**row, "figure": row["figure"].replace("2026-11", f"2026-11{asked}")} for row in rows]
