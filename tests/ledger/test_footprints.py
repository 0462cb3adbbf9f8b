"""The row of figures, from amounts that can be checked by hand."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import joulebook_ledger
from joulebook_ledger.core.factors import FACTOR_UNITS, Factor, Placement, Site
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.core.resolution import (
    IN_INSTANCE_PRICE,
    NO_FACTOR,
    NO_PLACEMENT,
    NO_PRICE_OF_HOURS,
    NO_ZONE,
    NOT_PRICED_BY_TIME,
    FactorBook,
)
from joulebook_ledger.core.units import MILLISECONDS_PER_HOUR
from joulebook_ledger.core.versions import Known
from joulebook_ledger.figures.footprints import Portion, Pricer, footprint
from joulebook_ledger.figures.remedies import remedy

KWH = 3_600_000_000


def book(**values):
    """Return a book that prices machine m by these factors, in the site's zone FR."""
    objects = {"pue": "s", "water_site": "s", "tariff": "s", "instance_price": "m", "embodied": "m"}
    factors = [
        Known(
            Factor(
                kind=kind, object=objects.get(kind, "FR"), provider="desk", version="1", value=value, unit=FACTOR_UNITS[kind],
                source="test", currency="EUR" if kind in {"tariff", "instance_price"} else "",
            ),
            1,
        )
        for kind, value in values.items()
    ]  # fmt: skip
    return FactorBook(
        factors,
        [Known(Site(site="s", zone="FR", version="1"), 1)],
        [Known(Placement(machine="m", site="s", version="1"), 1)],
    )


def portion(pricing, component="cpu", *, method="counter", label="", boundary="device", **amounts):
    """Return a portion with these amounts, the rest 0."""
    return Portion(component, boundary, label, method, tuple(amounts.get(name, 0) for name in COLUMNS), pricing)


def test_uncertainty_adds_linearly_within_a_source_and_in_quadrature_across():
    """Two processors of one model err together (5 % + 5 %), a modelled memory for itself."""
    pricing = Pricer(book(pue=1_000_000)).of("m", "cpu", 0, 0)
    row = footprint(
        [
            portion(pricing, label="EPYC", energy_it_mj=KWH, metered_ms=1),
            portion(pricing, label="EPYC", energy_it_mj=KWH, metered_ms=1),
            portion(pricing, "dram", method="model", energy_it_mj=2 * KWH, metered_ms=1),
        ],
        currency="EUR",
    )
    expected = ((2 * 0.05) ** 2 + (2 * 0.35) ** 2) ** 0.5 / 4
    assert row["uncertainty"]["energy_kwh"] == pytest.approx(expected, rel=1e-12)
    assert row["measured_share"] == 0.5


def test_a_sum_is_known_as_far_as_its_least_known_part():
    """All of the energy is priced, half of the hours: the cost is half known."""
    prices = book(pue=1_000_000, tariff=250_000, instance_price=1_000_000)
    pricer = Pricer(prices)
    row = footprint(
        [
            portion(pricer.of("m", "cpu", 0, 0), energy_it_mj=KWH, metered_ms=1, cost_energy=250_000),
            portion(
                pricer.of("m", "time", 0, 0),
                "time",
                time_ms=7_200_000,
                cost_instance=1_000_000,
                unc_cost_instance_ms=3_600_000,
            ),
        ],
        currency="EUR",
    )
    assert (row["cost"], row["known_share"]["cost"], row["known_share"]["cost_energy"]) == ("1.25", 0.5, 1.0)


def test_a_facility_meter_needs_no_pue_for_its_own_energy():
    """It needs one for the IT energy."""
    pricing = Pricer(book()).of("m", "facility", 0, 0)
    row = footprint(
        [
            portion(
                pricing,
                "facility",
                boundary="facility",
                energy_facility_mj=KWH,
                unc_facility_mj=KWH,
                metered_ms=1,
                time_ms=1,
            )
        ],
        currency="",
    )
    assert (row["facility_energy_kwh"], row["known_share"]["facility_energy_kwh"]) == (1.0, 1.0)
    assert (row["energy_kwh"], row["known_share"]["energy_kwh"]) == (None, 0.0)
    assert "--pue" in row["reasons"]["energy_kwh"]


def test_a_price_of_nothing_is_a_price():
    """Energy at 0 EUR costs 0 EUR and is known."""
    pricing = Pricer(book(pue=1_000_000, tariff=0)).of("m", "cpu", 0, 0)
    row = footprint([portion(pricing, energy_it_mj=KWH, metered_ms=1)], currency="EUR")
    assert (row["cost"], row["known_share"]["cost"]) == ("0", 1.0)


def test_an_empty_footprint_knows_nothing():
    """No portion at all: every figure is null with a reason."""
    row = footprint([], currency="")
    figures = (
        "energy_kwh",
        "facility_energy_kwh",
        "cost",
        "co2e_location_kg",
        "co2e_market_kg",
        "co2e_embodied_kg",
        "water_l",
    )
    assert all(row[name] is None and row["reasons"][name] for name in figures)
    assert (row["coverage"], row["grade"], row["sentence"]) == (None, "", "nothing is known")


def test_of_factors_that_change_the_widest_error_counts():
    """A month with two tariffs of one site, the second from a broad estimate."""
    first = Factor(
        kind="grid_location",
        object="FR",
        provider="desk",
        version="1",
        value=1,
        unit="ug/kWh",
        source="a",
        sigma_ppm=70_000,
    )
    later = Factor(
        kind="grid_location", object="FR", provider="desk", version="2", value=1, unit="ug/kWh", source="b", sigma_ppm=600_000,
        valid_from_ms=5 * MILLISECONDS_PER_HOUR + 7,
    )  # fmt: skip
    base = book()
    pricer = Pricer(FactorBook([Known(first, 1), Known(later, 2)], base.sites, base.placements))
    assert pricer.of("m", "cpu", 0, 4)["grid_location"].sigma == 0.07
    assert pricer.of("m", "cpu", 5, 5)["grid_location"].sigma == 0.6
    assert pricer.of("m", "cpu", 0, 700)["grid_location"].sigma == 0.6
    assert pricer.of("m", "cpu", 6, 700)["grid_location"].sigma == 0.6


@pytest.mark.parametrize("kind", FACTOR_UNITS)
@pytest.mark.parametrize(
    "reason", [NO_PLACEMENT, NO_ZONE, NO_FACTOR, IN_INSTANCE_PRICE, NO_PRICE_OF_HOURS, NOT_PRICED_BY_TIME]
)
def test_every_reason_has_its_sentence(kind, reason):
    """And whatever can be supplied names the command."""
    told = remedy(kind, reason)
    assert told
    assert (
        "`joulebook init --" in told
        or "`joulebook factors set" in told
        or reason in {IN_INSTANCE_PRICE, NOT_PRICED_BY_TIME}
    )


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**15), st.integers(0, 10**15), st.sampled_from(["counter", "sensor", "model", "none"])
        )
    )
)
def test_shares_are_shares_whatever_the_amounts(parts):
    """Between 0 and 1, and what is unknown is null."""
    pricing = Pricer(book(pue=1_000_000, tariff=250_000)).of("m", "cpu", 0, 0)
    rows = [
        portion(
            pricing, method=method, energy_it_mj=0 if method == "none" else energy, time_ms=time,
            metered_ms=0 if method == "none" else time, unc_cost_energy_mj=0 if method == "none" else energy // 2,
        )
        for energy, time, method in parts
    ]  # fmt: skip
    row = footprint(rows, currency="EUR")
    for share in (row["coverage"], row["measured_share"], *row["known_share"].values()):
        assert share is None or 0 <= share <= 1
    for name, share in row["known_share"].items():
        assert (row[name] is None) == (not share)


def test_footprints_load_no_database():
    """A tracked process makes its own footprint without SQLAlchemy, pydantic or the store."""
    code = (
        "import sys, joulebook_ledger.figures.footprints;"
        "print([m for m in sys.modules if m.startswith(('sqlalchemy', 'sqlmodel', 'pydantic', 'sqlite3', 'joulebook_ledger.store'))])"
    )
    folder = Path(joulebook_ledger.__file__).parents[1]
    answer = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
