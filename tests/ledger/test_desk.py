"""What people enter becomes facts of the desk, checked before anything is sent."""

import pytest
from books import NOVEMBER, run_id

from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.core.versions import Known
from joulebook_ledger.core.wire import decode_batch
from joulebook_ledger.desk.entering import (
    GRID_AVERAGE_SOURCE,
    NO_PUE_SOURCE,
    Entry,
    Place,
    correction_batch,
    factor_batch,
    init_batch,
    label_batch,
    place_facts,
    score_batch,
)

ENTRY = Entry(name="act", at_ms=NOVEMBER, author="ann")


def factors(place, known=None):
    """Return the factors of a place by kind."""
    return {fact.kind: fact for fact in place_facts(ENTRY, place, known) if isinstance(fact, Factor)}


def known_after(place):
    """Return what a book knows after a place was entered."""
    facts = place_facts(ENTRY, place)
    return FactorBook(*([Known(f, 1) for f in facts if isinstance(f, kind)] for kind in (Factor, Site, Placement)))


def test_a_place_becomes_a_site_a_placement_and_a_factor_per_figure():
    """Each in the smallest unit."""
    place = Place(
        machine="m1", zone="France", price_per_kwh="0.2516", price_per_hour="1.5", currency="eur", pue="1.2", water_l_per_kwh="0.2",
        water_source_l_per_kwh="1.5", embodied_kg_per_year="250", market_g_per_kwh="12.5",
    )  # fmt: skip
    facts = place_facts(ENTRY, place)
    assert (facts[0].zone, facts[0].ownership, facts[1].machine, facts[1].site) == ("FR", "owned", "m1", "m1")
    assert {kind: factor.value for kind, factor in factors(place).items()} == {
        "grid_location": 56_039_000,
        "grid_market": 12_500_000,
        "water_source": 1_500_000,
        "pue": 1_200_000,
        "tariff": 251_600,
        "water_site": 200_000,
        "instance_price": 1_500_000,
        "embodied": 28_538_812,
    }
    assert factors(place)["tariff"].currency == "EUR"


def test_a_batch_of_the_desk_is_well_formed_and_names_its_author():
    """One receipt per act, retired at once: nobody waits for more of it."""
    batch = decode_batch(init_batch(ENTRY, Place(machine="m1", zone="FR")))
    assert (batch.reader.reader, batch.reader.author, batch.reader.rank, batch.state) == (
        "desk-act",
        "ann",
        2,
        "retired",
    )
    assert len(list(batch.facts())) == len(batch.items) == 4


def test_without_a_pue_1_stands_in_and_says_so_once():
    """A PUE that somebody gave is never displaced by the stand-in."""
    assert factors(Place(machine="m1"))["pue"].source == NO_PUE_SOURCE
    known = known_after(Place(machine="m1", zone="FR", pue="1.3"))
    assert "pue" not in factors(Place(machine="m1", price_per_kwh="0.2", currency="EUR"), known)


def test_what_is_not_said_stays_as_it_is_known():
    """A price alone keeps site, zone and ownership, also of a zone that no catalogue knows."""
    known = known_after(Place(machine="m1", site="hall", zone="SE-1", grid_g_per_kwh="20", ownership="colocated"))
    site = place_facts(ENTRY, Place(machine="m1", price_per_kwh="0.2", currency="EUR"), known)[0]
    assert (site.site, site.zone, site.ownership) == ("hall", "SE-1", "colocated")


def test_the_grid_average_stands_in_for_the_market_only_when_asked():
    """And its source discloses it."""
    assert "grid_market" not in factors(Place(machine="m1", zone="FR"))
    factor = factors(Place(machine="m1", zone="FR", market_g_per_kwh="grid"))["grid_market"]
    assert factor.value == 56_039_000
    assert factor.source.startswith(GRID_AVERAGE_SOURCE)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ({"zone": "Frnace"}, "FR (France)"),
        ({"price_per_kwh": "0.25"}, "--currency"),
        ({"price_per_kwh": "0.25", "currency": "euro"}, "ISO 4217"),
        ({"price_per_kwh": "cheap", "currency": "EUR"}, "'cheap'"),
        ({"price_per_kwh": "nan", "currency": "EUR"}, "finite"),
        ({"price_per_kwh": "0.0000001", "currency": "EUR"}, "finer"),
        ({"price_per_kwh": "-1", "currency": "EUR"}, "-1"),
        ({"pue": "0.9"}, "at least 1"),
        ({"grid_g_per_kwh": "20"}, "--zone"),
        ({"zone": "FR", "grid_g_per_kwh": "3000"}, "out_of_range"),
        ({"ownership": "stolen"}, "owned, colocated, cloud"),
    ],
)
def test_a_place_that_cannot_be_is_refused_with_the_way_out(place, said):
    """Nothing is sent; the message names the value."""
    with pytest.raises(BadInput) as refusal:
        init_batch(ENTRY, Place(machine="m1", **place))
    assert said in str(refusal.value)


def test_labels_and_scores_become_one_fact_per_run_and_name():
    """Their ids come from the act, so that the same batch again is the same facts."""
    labels = decode_batch(label_batch(ENTRY, [run_id("a"), run_id("b")], {"team": "vision"}))
    assert [fact.event for fact in labels.facts()] == ["desk-act", "desk-act"]
    scores = decode_batch(score_batch(ENTRY, run_id("a"), {"f1": "0.5", "loss": "2"}, split="test", step=3))
    assert [(fact.name, fact.value, fact.split, fact.step) for fact in scores.facts()] == [
        ("f1", "0.5", "test", 3),
        ("loss", "2", "test", 3),
    ]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: label_batch(ENTRY, [], {"team": "x"}), "joulebook runs"),
        (lambda: label_batch(ENTRY, [run_id("a")], {}), "--team"),
        (lambda: label_batch(ENTRY, [run_id("a")], {"stage": "early"}), "finetuning"),
        (lambda: label_batch(ENTRY, [run_id("a")], {"model": "x" * 10_000}), "10000 characters"),
        (lambda: score_batch(ENTRY, run_id("a"), {}), "accuracy=0.93"),
        (lambda: score_batch(ENTRY, run_id("a"), {"accuracy": "nan"}), "finite number"),
    ],
)
def test_an_entry_that_says_nothing_or_nonsense_is_refused(make, said):
    """Before anything is sent."""
    with pytest.raises(BadInput) as refusal:
        make()
    assert said in str(refusal.value)


def test_factors_and_corrections_travel_as_they_are():
    """A factor of its own keeps everything that was said of it."""
    from joulebook_ledger.core.facts import Correction

    factor = Factor(
        kind="pue", object="hall", provider="desk", version="1", value=1_100_000, unit="ppm", source="invoice"
    )
    assert list(decode_batch(factor_batch(ENTRY, [factor])).facts()) == [factor]
    correction = Correction(table="score", key='["r","s"]', reason="typo", author="ann")
    assert list(decode_batch(correction_batch(ENTRY, [correction])).facts()) == [correction]
