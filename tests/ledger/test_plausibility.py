"""What cannot be so is named, with its value and bounds; what can be so is not; and nothing of it stops a book."""

import pytest
from books import HOUR, KWH, NOVEMBER, Story

from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.measures.not_covered import NOT_COVERED
from joulebook_ledger.measures.plausibility import EMBODIED, GRID, PRICE, PUE, TIME_THERE, WATER, implied, judged
from joulebook_ledger.queries import ReportQuery

FINE = {
    "zone": "FR", "grid_g_per_kwh": "56", "pue": "1.2", "price_per_kwh": "0.25", "currency": "EUR", "water_source_l_per_kwh": "1.5",
    "embodied_kg_per_year": "250",
}  # fmt: skip


def doubts(keeper, **place):
    """Return what a report doubts of one hour of 1 kWh on a device of at most 1.2 kW, placed so."""
    story = Story().meter("time", "time").meter("gpu0", "gpu", label="NVIDIA H200", max_power_mw=1_200_000)
    story.reading("time", NOVEMBER, NOVEMBER + HOUR, 0, {"r": 0}, method="declared")
    keeper.tell(story.reading("gpu0", NOVEMBER, NOVEMBER + HOUR, KWH, {"r": KWH // 2}).batch())
    keeper.place(**{**FINE, **place})
    body = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611))
    return [(item["check"], item["of"], pytest.approx(item["value"], rel=1e-6)) for item in body["implausible"]]


def test_a_usual_machine_is_doubted_in_nothing(keeper):
    """On both engines; and every report names what it does not cover."""
    assert doubts(keeper) == []
    body = keeper.ledger.report(ReportQuery(from_month=202610, to_month=202610))
    assert body["implausible"] == []
    assert body["not_covered"] == list(NOT_COVERED)


@pytest.mark.parametrize(
    ("place", "check", "value"),
    [
        ({"grid_g_per_kwh": "1500"}, "grid intensity", 1.5),
        ({"grid_g_per_kwh": "0"}, "grid intensity", 0.0),
        ({"grid_g_per_kwh": "0.056"}, "grid intensity", 0.000056),
        ({"pue": "3.5"}, "PUE", 3.5),
        ({"price_per_kwh": "250"}, "price of electricity", 250),
        ({"price_per_kwh": "0.00025"}, "price of electricity", 0.00025),
        ({"water_source_l_per_kwh": "500"}, "water", 500),
        ({"embodied_kg_per_year": "250000"}, "embodied carbon", 250_000),
    ],
)
def test_a_factor_in_another_unit_is_seen_by_what_it_implies(sqlite_keeper, place, check, value):
    """Each by the name of the machine; and of the currency where its unit is known."""
    assert doubts(sqlite_keeper, **place) == [(check, "host-m1", value)]


def test_a_price_in_a_currency_of_another_worth_is_not_judged(sqlite_keeper):
    """30 yen per kWh is a usual price; nothing is said of what is not known."""
    assert doubts(sqlite_keeper, price_per_kwh="30", currency="JPY") == []


def test_electricity_in_the_cloud_has_no_price_of_its_own(sqlite_keeper):
    """A cost of 0 that does not apply is no price of 0."""
    cloud = {"ownership": "cloud", "price_per_hour": "3.20"}
    assert doubts(sqlite_keeper, **cloud) == []


def test_a_device_above_its_greatest_power_is_named(sqlite_keeper):
    """1.32 kWh in an hour on a device of 1.2 kW: each window may pass by a fifth, their mean may not."""
    story = Story().meter("gpu0", "gpu", label="NVIDIA H200", max_power_mw=1_200_000, device="GPU-1")
    sqlite_keeper.tell(story.reading("gpu0", NOVEMBER, NOVEMBER + HOUR, KWH * 132 // 100, {"r": KWH}).batch())
    (found,) = sqlite_keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611))["implausible"]
    assert (found["check"], found["of"], found["unit"]) == ("mean power", "NVIDIA H200 GPU-1 (gpu0)", "of 1200 W")
    assert found["value"] == pytest.approx(1.1)
    assert found["text"].startswith("NVIDIA H200 GPU-1 (gpu0): mean power 1.1 of 1200 W is above 1.05: ")


def test_a_machine_past_its_life_is_marked(sqlite_keeper):
    """Its hours are not free by being old."""
    doubts(sqlite_keeper)
    sqlite_keeper.place(zone="FR", embodied_kg="1000", lifetime_years="2", in_service="2020-01-01")
    notes = sqlite_keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611))["notes"]
    assert any(note.startswith("host-m1 is past its life since 2021-12-31: its making is borne") for note in notes)


@pytest.mark.parametrize("bound", [GRID, PUE, PRICE, WATER, EMBODIED], ids=lambda bound: bound.name)
def test_the_bounds_themselves_can_be(bound):
    """Only what lies beyond them cannot."""
    assert judged(bound, bound.least, "m") is judged(bound, bound.most, "m") is None
    assert judged(bound, bound.most * 1.001, "m")["text"].endswith(f"{bound.hint}?")
    assert judged(bound, bound.least - 0.0001, "m")["least"] == bound.least


def test_published_figures_are_judged_by_the_same_bounds():
    """A documentation's 731.59 kgCO2/kWh is named; the same figure in g is not. Of nothing nothing is said."""
    (found,) = implied(energy_kwh=1.0, co2e_kg=731.59, of="codecarbon_doc_mix")
    assert (
        found["text"]
        == "codecarbon_doc_mix: grid intensity 731.6 kg CO2e/kWh is above 1.3: a factor in another unit, or a PUE within it?"
    )
    assert implied(energy_kwh=1.0, co2e_kg=0.73159, of="the same in g") == []
    assert implied(energy_kwh=0.0, co2e_kg=5.0) == []


def test_a_device_under_two_ids_is_there_longer_than_the_period():
    """More time than the period has."""
    assert judged(TIME_THERE, (MILLISECONDS_PER_DAY + 1) / MILLISECONDS_PER_DAY, "gpu0") is not None


def test_what_nobody_priced_is_unknown_and_not_implausible(sqlite_keeper):
    """Energy without a zone or a price implies nothing: an unknown amount is no 0."""
    story = Story().meter("gpu0", "gpu", max_power_mw=1_200_000)
    sqlite_keeper.tell(story.reading("gpu0", NOVEMBER, NOVEMBER + HOUR, KWH, {"r": KWH}).batch())
    sqlite_keeper.place(pue="1.2")
    assert sqlite_keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611))["implausible"] == []
