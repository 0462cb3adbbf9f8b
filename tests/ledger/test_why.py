"""Every figure answers why, and the parts of every node sum to it exactly."""

import re
from decimal import Decimal

import pytest
from books import HOUR, KWH, MINUTE, NOVEMBER, Plan, Story, realistic_batches, run_id

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.desk.entering import Place, init_batch
from joulebook_ledger.queries import IDLE_RULES, ReportQuery, RunsQuery
from joulebook_ledger.views.figure_names import EXPLAINED, name_of_row, parse_figure

# Below an hour stand the readings and uses it was laid from, which are evidence and no parts.
HOUR_NODE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:00Z$")


def amount(text):
    """Return the number of a value with a unit."""
    return Decimal(text.split()[0])


def assert_parts_sum(node):
    """Check that the parts of a node sum to it, down to hours."""
    parts = [child for child in node.get("children", ()) if "value" in child]
    if parts and not HOUR_NODE.match(node["text"]):
        assert sum(amount(part["value"]) for part in parts) == amount(node["value"]), node["text"]
        for part in parts:
            assert_parts_sum(part)


def texts(node):
    """Yield the texts and sources of a tree."""
    yield f"{node['text']} {node.get('value', '')} {node.get('source', '')}"
    for child in node.get("children", ()):
        yield from texts(child)


@pytest.fixture
def filled(keeper):
    """Return a book of twelve runs on two machines, fully priced."""
    for machine in ("m00", "m01"):
        keeper.place(
            machine, zone="FR", price_per_kwh="0.25", price_per_hour="1.10", currency="EUR", pue="1.2", market_g_per_kwh="grid",
            water_l_per_kwh="0.2", water_source_l_per_kwh="1.5", embodied_kg_per_year="250",
        )  # fmt: skip
    keeper.tell(*realistic_batches(Plan(runs=12, machines=2)))
    return keeper


def test_a_run_s_figure_is_the_sum_of_its_parts(filled):
    """Meters, days and hours, each level sums to the one above, and the whole is what `show` says."""
    footprint = filled.ledger.run("")["footprint"]
    for column in EXPLAINED:
        body = filled.ledger.why(f"run:#{column}")
        assert_parts_sum(body["tree"])
        shown = footprint[column]
        assert body["value"] == (shown if isinstance(shown, str) else repr(shown))
        if not column.endswith("kwh"):
            assert amount(body["tree"]["value"]) == Decimal(body["value"])


def test_every_row_of_a_report_can_be_asked_why(filled):
    """The name that a row carries finds the row again, with the same figure, however idle is spread."""
    for idle in IDLE_RULES:
        report = filled.ledger.report(ReportQuery(from_month=202611, to_month=202611, by=("team", "host"), idle=idle))
        for row in [*report["rows"], report["total"]]:
            body = filled.ledger.why(f"{row['figure']}#cost")
            assert body["value"] == row["cost"]
            assert amount(body["tree"]["value"]) == Decimal(body["value"])
            assert_parts_sum(body["tree"])


def test_last_cost_is_the_newest_run_s_cost(filled):
    """Bare words mean the last run."""
    newest = filled.ledger.runs(RunsQuery(limit=1))["items"][0]
    body = filled.ledger.why("last cost")
    assert (body["figure"], body["value"]) == (f"run:{newest['run']}#cost", newest["footprint"]["cost"])


def test_the_tree_goes_down_to_readings_uses_and_factors(filled):
    """Counters, claims, and each factor with source, provider and version."""
    told = "\n".join(texts(filled.ledger.why("last co2e")["tree"]))
    for word in (
        "readings by counter",
        "uses by cpu_time",
        "reader reader-of-m",
        "grid_location of FR: 56.039 g CO2e/kWh",
    ):
        assert word in told
    for word in (
        "Our World in Data",
        "by owid, country, final",
        "version 2023.2",
        "pue of m01: 1.2",
        "laid on the time line",
    ):
        assert word in told


def test_an_unknown_figure_answers_with_its_reason(keeper):
    """Null, and the command that supplies it."""
    run = run_id("r")
    story = Story().meter("cpu").run(run, NOVEMBER, NOVEMBER + HOUR)
    keeper.tell(story.reading("cpu", NOVEMBER, NOVEMBER + HOUR, KWH, {run: KWH}).batch())
    body = keeper.ledger.why("last cost")
    assert body["value"] is None
    assert "joulebook init --price" in body["tree"]["children"][0]["text"]


def test_why_follows_a_factor_that_changes_at_noon(keeper):
    """Both prices are named, and the hours on either side differ."""
    run = run_id("r")
    noon = NOVEMBER + 12 * HOUR
    story = Story().meter("cpu").run(run, noon - HOUR, noon + HOUR)
    story.reading("cpu", noon - HOUR, noon, KWH, {run: KWH}).reading("cpu", noon, noon + HOUR, KWH, {run: KWH})
    keeper.place()
    dearer = Place(machine="m1", zone="FR", price_per_kwh="0.40", currency="EUR", valid_from_ms=noon)
    keeper.tell(story.batch(), init_batch(keeper.entry(), dearer))
    body = keeper.ledger.why("last cost")
    told = "\n".join(texts(body["tree"]))
    assert body["value"] == "0.65"
    for word in ("0.25 EUR/kWh", "0.4 EUR/kWh", "2026-11-01T11:00Z 0.25 EUR", "2026-11-01T12:00Z 0.4 EUR"):
        assert word in told
    assert_parts_sum(body["tree"])


def test_many_parts_are_bounded_and_still_sum(keeper):
    """Of fifty runs in a day the greatest stand alone and the rest in one line."""
    keeper.place()
    story = Story().meter("cpu")
    for number in range(50):
        run, start = run_id(str(number)), NOVEMBER + number * MINUTE
        story.run(run, start, start + MINUTE, model="m").reading(
            "cpu", start, start + MINUTE, KWH, {run: KWH + number - 60}
        )
    keeper.tell(story.batch())
    body = keeper.ledger.why("report:2026-11/model=m#energy")
    assert_parts_sum(body["tree"])
    assert "11 more" in "\n".join(texts(body["tree"]))


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ("cost", "names no figure"),
        ("run:x#price", "price"),
        ("report:2026-13#cost", "2026-13"),
        ("report:2026-11/team#cost", "team"),
        ("report:2026-11/team=none#cost", "no row"),
        ("report:2026-11?colour=red#cost", "colour"),
        ("run:nobody#cost", "no run"),
    ],
)
def test_what_names_no_figure_is_refused_with_the_way_out(sqlite_keeper, figure, said):
    """The message names what was given, and how a figure is written."""
    with pytest.raises(BadInput, match=re.escape(said)):
        sqlite_keeper.ledger.why(figure)


def test_names_of_rows_can_hold_any_text():
    """What separates the parts of a name is escaped in its values."""
    query = ReportQuery(from_month=202601, to_month=202612, by=("team",), basis="current", idle="uniform", as_of="7")
    name = name_of_row(query, {"team": "a/b,c=d#e?f&g%2F"})
    asked = parse_figure(f"{name}#cost")
    assert (asked.report, asked.keys) == (query, {"team": "a/b,c=d#e?f&g%2F"})


def test_why_answers_for_what_show_says_also_before_it_is_booked(keeper):
    """A dearer price and a further hour have arrived and are not booked: both say 3 EUR, and the parts sum to it."""
    run = run_id("r")
    keeper.place()
    story = Story().meter("cpu").run(run, NOVEMBER, NOVEMBER + 2 * HOUR)
    keeper.tell(story.reading("cpu", NOVEMBER, NOVEMBER + HOUR, 4 * KWH, {run: 4 * KWH}).batch())
    keeper.deliver(init_batch(keeper.entry(), Place(machine="m1", zone="FR", price_per_kwh="0.5", currency="EUR")))
    keeper.deliver(story.reading("cpu", NOVEMBER + HOUR, NOVEMBER + 2 * HOUR, 2 * KWH, {run: 2 * KWH}).batch())
    body = keeper.ledger.why("last cost")
    assert body["value"] == keeper.ledger.run("")["footprint"]["cost"] == "3"
    assert_parts_sum(body["tree"])
    assert "waits to be booked 1 EUR" in "\n".join(texts(body["tree"])).replace(
        ", or the month was closed before they changed", ""
    )
