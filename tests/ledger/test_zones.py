"""The bundled country figures are those of their source, and a zone is found or the nearest are offered."""

import json
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest

from joulebook_ledger.catalogue.zones import WORLD, all_zones, find_zone
from joulebook_ledger.core.refusals import BadInput


@pytest.mark.parametrize("text", ["FR", "fr", "FRA", "France", " france "])
def test_a_zone_is_found_by_code_or_name(text):
    """Two letters, three letters and the name mean the same zone."""
    assert find_zone(text).zone == "FR"


def test_the_usual_code_of_the_united_kingdom_is_understood():
    """UK is no ISO code and everybody writes it."""
    assert find_zone("UK").zone == "GB"


@pytest.mark.parametrize(("text", "offered"), [("FRANC", "FR (France)"), ("Grmany", "DE (Germany)"), ("UX", "(")])
def test_a_zone_that_does_not_exist_offers_the_nearest_three(text, offered):
    """The refusal names what was given and three ways out."""
    with pytest.raises(BadInput) as refusal:
        find_zone(text)
    assert repr(text) in str(refusal.value)
    assert offered in str(refusal.value)
    assert str(refusal.value).count("(") == 3


def test_every_figure_makes_a_factor_that_names_its_source():
    """No figure without source, year, unit and uncertainty."""
    for zone in all_zones().values():
        factor = zone.factor()
        assert str(zone.year) in factor.source
        assert factor.value > 0
        assert factor.sigma_ppm == (600_000 if zone.zone == WORLD else 250_000)


def test_the_world_is_only_had_by_asking_for_it():
    """Nothing but its own name leads to the world's average."""
    assert [zone.zone for zone in all_zones().values() if zone.factor().fallback == "world"] == [WORLD]
    assert find_zone("world").zone == WORLD


def test_the_table_says_what_its_source_says():
    """Each row is the figure of the installed codecarbon, digit for digit; only a zero is left out."""
    spec = find_spec("codecarbon")
    if spec is None or spec.origin is None:
        pytest.skip("the source of the table comes with the extra [codecarbon]")
    path = Path(spec.origin).parent / "data/private_infra/global_energy_mix.json"
    source = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    ours = {zone.alpha3: (zone.intensity_ug_per_kwh, zone.year) for zone in all_zones().values() if zone.alpha3}
    assert ours == {
        code: (int(row["carbon_intensity"] * 1_000_000), row["year"])
        for code, row in source.items()
        if row.get("carbon_intensity")
    }
