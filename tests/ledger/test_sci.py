"""Carbon per functional unit: both parts of the books over what runs counted, by boundary, and null where a part is unknown."""

import pytest
from books import HOUR, KWH, NOVEMBER, Story

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.queries import SciQuery

GRAM_PER_HOUR = "8.76"  # kg a year
PLACE = {"zone": "FR", "grid_g_per_kwh": "100", "pue": "1.5", "embodied_kg_per_year": GRAM_PER_HOUR}


def ask(keeper, **words):
    """Return the intensities of November."""
    return keeper.ledger.sci(SciQuery(from_month=202611, to_month=202611, **words))


def only(body):
    """Return the one row."""
    (row,) = body["rows"]
    return row


def served(keeper, **place):
    """A model is trained for two hours (one of them failed), then serves for an hour: 1 kWh in each, and an hour is idle."""
    story = Story().meter("time", "time").meter("cpu")
    lives = (("t1", "failed", "training"), ("t2", "finished", "training"), ("s", "finished", "serving"))
    for hour, (run, status, stage) in enumerate(lives):
        at = NOVEMBER + hour * HOUR
        scores = {"params": "2500", "samples": "400"} if stage == "training" else {}
        story.run(run, at, at + HOUR, status=status, model="llama", stage=stage, scores=scores)
        story.reading("time", at, at + HOUR, 0, {run: 0}, method="declared")
        story.reading("cpu", at, at + HOUR, KWH, {run: KWH})
    at = NOVEMBER + 3 * HOUR
    story.reading("time", at, at + HOUR, 0, method="declared").reading("cpu", at, at + HOUR, KWH)
    story.count("s", NOVEMBER + 2 * HOUR, NOVEMBER + 2 * HOUR + 5_000, requests=3, tokens_in=100, tokens_out=500)
    story.count("s", NOVEMBER + 2 * HOUR + 5_000, NOVEMBER + 3 * HOUR, requests=7, tokens_in=100, tokens_out=300)
    keeper.tell(story.batch())
    keeper.place(**(place or PLACE))


def test_serving_a_request_is_the_consumers(keeper):
    """1 kWh at PUE 1.5 and 100 g, and an hour of the hardware at 1 g: 151 g over 10 requests; training has no part in it."""
    served(keeper)
    body = ask(keeper, per="request")
    row = only(body)
    assert (body["boundary"], body["standard"], body["intensity"]) == (
        "consumer",
        "ISO/IEC 21031:2024",
        "location-based",
    )
    assert (row["model"], row["units"], row["units_from"], row["runs"]) == ("llama", 10, "counted", 1)
    assert (row["operational_kg"], row["embodied_kg"]) == (0.15, 0.001)
    assert (row["operational_g"], row["embodied_g"], row["sci_g"]) == (15.0, 0.1, 15.1)
    assert row["known_share"] == {"operational_kg": 1.0, "embodied_kg": 1.0}
    assert row["uncertainty"] > 0.05
    assert row["reasons"] == {}


@pytest.mark.parametrize(
    ("words", "boundary", "units", "sci_g"),
    [
        ({"per": "token"}, "consumer", 1_000, 0.151),
        ({"per": "token_in"}, "consumer", 200, 0.755),
        ({"per": "token_out"}, "consumer", 800, 0.18875),
        ({"per": "parameter"}, "provider", 2_500, 302 / 2_500),
        ({"per": "sample"}, "provider", 800, 302 / 800),
        ({"per": "run"}, "all", 3, 151.0),
        ({"per": "hour"}, "all", 3, 151.0),
        ({"per": "device_hour"}, "all", 3, 151.0),
        ({"per": "run", "boundary": "provider"}, "provider", 2, 151.0),
        ({"per": "use", "units": "1e6"}, "provider", 1_000_000, 302 / 1e6),
        ({"per": "flop", "units": "5e22"}, "provider", 5 * 10**22, 302 / 5e22),
        ({"per": "token", "units": "302", "boundary": "provider"}, "provider", 302, 1.0),
        ({"per": "request", "utilisation": "0.5"}, "consumer", 10, 15.2),
        # An idle kWh and hour are a third of each run's.
        ({"per": "request", "idle": "proportional"}, "consumer", 10, 151 * 4 / 3 / 10),
    ],
)  # fmt: skip
def test_each_unit_has_its_boundary_and_its_number(sqlite_keeper, words, boundary, units, sci_g):
    """Failed training is the provider's; parameters are no sum over runs; what is stated says so."""
    served(sqlite_keeper)
    body = ask(sqlite_keeper, **words)
    row = only(body)
    assert (body["boundary"], row["units"]) == (boundary, units)
    assert row["units_from"] == ("stated" if "units" in words else "counted")
    assert row["sci_g"] == pytest.approx(sci_g, rel=1e-7)
    assert row["sci_g"] == pytest.approx(row["operational_g"] + row["embodied_g"], rel=1e-12)


def test_market_instruments_never_lower_it(sqlite_keeper):
    """A contract of 0 g leaves an SCI what it is."""
    served(sqlite_keeper, **PLACE, market_g_per_kwh="0")
    assert only(ask(sqlite_keeper, per="request"))["sci_g"] == 15.1


def test_what_nobody_counted_is_null_and_says_how_to_count_it(sqlite_keeper):
    """The parts in kg stay known; per unit they are not."""
    story = Story().meter("time", "time").meter("cpu").run("r", NOVEMBER, NOVEMBER + HOUR, model="m", stage="serving")
    story.reading("time", NOVEMBER, NOVEMBER + HOUR, 0, {"r": 0}, method="declared")
    sqlite_keeper.tell(story.reading("cpu", NOVEMBER, NOVEMBER + HOUR, KWH, {"r": KWH}).batch())
    sqlite_keeper.place(**PLACE)
    row = only(ask(sqlite_keeper, per="token"))
    assert (row["units"], row["operational_g"], row["embodied_g"], row["sci_g"], row["uncertainty"]) == (None,) * 5
    assert row["operational_kg"] == 0.15
    assert "run.count(tokens_in=20, tokens_out=180)" in row["reasons"]["units"]


def test_without_embodied_carbon_there_is_no_sci(sqlite_keeper):
    """M is a part of it: what is known is shown, the sum is not made up."""
    served(sqlite_keeper, zone="FR", grid_g_per_kwh="100", pue="1.5")
    row = only(ask(sqlite_keeper, per="request"))
    assert (row["operational_g"], row["embodied_kg"], row["sci_g"]) == (15.0, None, None)
    assert "joulebook init --embodied" in row["reasons"]["embodied_kg"]
    assert row["known_share"]["embodied_kg"] == 0.0


def test_runs_without_a_stage_are_in_no_boundary_and_are_said(sqlite_keeper):
    """And idle hardware is said with its share; in an empty month it says that nothing is there."""
    story = Story().meter("cpu").run("r", NOVEMBER, NOVEMBER + HOUR, model="m")
    story.reading("cpu", NOVEMBER, NOVEMBER + HOUR, KWH, {"r": KWH // 2})
    sqlite_keeper.tell(story.batch())
    sqlite_keeper.place(**PLACE)
    body = ask(sqlite_keeper, per="request")
    assert body["rows"] == []
    assert "1 runs say no stage" in " ".join(body["notes"])
    assert "idle hardware, 50.0% of what was emitted" in " ".join(body["notes"])
    assert {item["what"] for item in body["not_covered"]} >= {
        "fuel burnt on site",
        "network beyond the host",
        "refrigerants",
    }
    empty = sqlite_keeper.ledger.sci(SciQuery(from_month=202610, to_month=202610))
    assert (empty["rows"], empty["notes"]) == ([], ["no run is booked in this period"])


def test_counts_of_another_month_are_not_this_ones(sqlite_keeper):
    """Nor are those of another model; a name that no run has gives no row."""
    served(sqlite_keeper)
    december = NOVEMBER + 30 * 24 * HOUR
    sqlite_keeper.tell(Story("m2").count("s", december, december + 5_000, requests=1_000).batch())
    assert only(ask(sqlite_keeper, per="request"))["units"] == 10
    assert ask(sqlite_keeper, per="request", model="gpt")["rows"] == []
    assert only(ask(sqlite_keeper, per="request", model="llama"))["units"] == 10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"per": "smile"}, "'smile' is none of: request, token"),
        ({"boundary": "mine"}, "'mine' is none of: all, consumer, provider"),
        ({"units": "0"}, "above 0 and at most 1E\\+36, such as 5e22, not '0'"),
        ({"units": "-3"}, "not '-3'"),
        ({"units": "1,000"}, "not '1,000'"),
        ({"units": "nan"}, "not 'nan'"),
        ({"units": "Infinity"}, "not 'Infinity'"),
        ({"units": "1e-999999"}, "not '1e-999999'"),
        ({"units": "1e999999"}, "not '1e999999'"),
        ({"per": "flop"}, "nothing counts a flop: state how many"),
        ({"utilisation": "0"}, "above 0 and at most 1"),
        ({"utilisation": "1.2"}, "above 0 and at most 1"),
        ({"utilisation": "0.8", "idle": "uniform"}, "would count it twice"),
        ({"idle": "away"}, "'away' is none of: separate"),
    ],
)
def test_what_cannot_be_asked_is_named(sqlite_keeper, words, said):
    """With what there is."""
    with pytest.raises(BadInput, match=said):
        ask(sqlite_keeper, **words)
