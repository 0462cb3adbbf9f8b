import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core.factors import FACTOR_LIMITS
from joulebook_ledger.core.pricing import COLUMNS, NOT_APPLICABLE, NOTHING, Rate, Rates, price_hour, source_leg
from joulebook_ledger.core.timeline import UsageRow
from joulebook_ledger.core.units import MILLIJOULES_PER_KWH, MILLISECONDS_PER_HOUR

KWH = MILLIJOULES_PER_KWH
HOUR = MILLISECONDS_PER_HOUR
FULL = Rates(
    pue=Rate(1_200_000),
    location=Rate(400_000_000),
    market=Rate(100_000_000),
    tariff=Rate(250_000),
    water_site=Rate(1_800_000),
    water_source=Rate(3_100_000),
    instance=NOT_APPLICABLE,
    embodied=NOT_APPLICABLE,
)


def usage(*energies, method="counter", times=None, held=0):
    """Rows of accounts a, b, c ... in order."""
    times = times or [0] * len(energies)
    return [UsageRow(chr(97 + i), method, e, held, t, 0) for i, (e, t) in enumerate(zip(energies, times, strict=True))]


def figures(rows, rates):
    """The source leg by column, without what is 0."""
    return {column: value for column, value in zip(COLUMNS, source_leg(rows, rates), strict=True) if value}


PART_OF_AN_HOUR = st.integers(1, HOUR)


def rate(kind):
    """Any rate of a kind, unknown or void among them."""
    least = 1_000_000 if kind == "pue" else 0
    known = st.builds(Rate, st.integers(least, FACTOR_LIMITS[kind]), st.one_of(st.just(HOUR), PART_OF_AN_HOUR))
    return (
        st.one_of(known, known, st.none())
        if kind == "pue"
        else st.one_of(known, known, st.none(), st.just(NOT_APPLICABLE))
    )


RATES = st.builds(
    Rates,
    boundary=st.sampled_from(["device", "it", "facility"]),
    pue=rate("pue"),
    location=rate("grid_location"),
    market=rate("grid_market"),
    tariff=rate("tariff"),
    water_site=rate("water_site"),
    water_source=rate("water_source"),
    instance=rate("instance_price"),
    embodied=rate("embodied"),
)
ROWS = st.lists(
    st.tuples(st.integers(0, 10**13), st.integers(0, HOUR), st.sampled_from(["counter", "none"])), max_size=8
).map(lambda drawn: [UsageRow(f"run-{i}", m, e, e // 2, t, 7) for i, (e, t, m) in enumerate(drawn)])


def test_one_kilowatt_hour_is_priced_in_every_column():
    """1 kWh at PUE 1.2, 400 g, 100 g, 0.25 per kWh, 1.8 l on site and 3.1 l at the source: by hand."""
    assert figures(usage(KWH), FULL) == {
        "energy_it_mj": KWH,
        "energy_facility_mj": 1_200_000_000 * 36 // 10,
        "cost_energy": 300_000,
        "co2e_location": 480_000_000,
        "co2e_market": 120_000_000,
        "water_site": 1_800_000,
        "water_source": 3_720_000,
    }


def test_pue_is_applied_once_and_never_to_a_facility_meter():
    """Law 6: 120 kWh at the facility's own meter are 100 kWh of IT, and are not multiplied again."""
    found = figures(usage(120 * KWH), dataclasses.replace(FULL, boundary="facility"))
    assert found["energy_facility_mj"] == 120 * KWH
    assert found["energy_it_mj"] == 100 * KWH
    assert found["co2e_location"] == 48_000_000_000
    assert found["water_site"] == 180_000_000


@given(drawn=st.integers(0, 10**13), pue=st.integers(1_000_000, FACTOR_LIMITS["pue"]))
def test_pue_is_applied_exactly_once_whatever_the_boundary(drawn, pue):
    """One load, metered at its devices, at the host or at the facility's own meter, gives the same figures at the facility."""
    rates = dataclasses.replace(FULL, pue=Rate(pue))
    told = {"device": drawn, "it": drawn, "facility": drawn * pue // 1_000_000}
    device, it, facility = (
        dict(zip(COLUMNS, source_leg(usage(energy), dataclasses.replace(rates, boundary=boundary)), strict=True))
        for boundary, energy in told.items()
    )
    assert device == it
    assert device["energy_it_mj"] == drawn
    assert device["energy_facility_mj"] == facility["energy_facility_mj"] == told["facility"]
    behind_the_facility = ("co2e_location", "co2e_market", "cost_energy", "water_source")
    assert [device[name] for name in behind_the_facility] == [facility[name] for name in behind_the_facility]
    assert drawn - 1 <= facility["energy_it_mj"] <= drawn


def test_hours_are_priced_by_time():
    """Half an hour of a machine at 2.00 an hour that bears 100 g of embodied CO2e an hour."""
    rates = Rates(instance=Rate(2_000_000), embodied=Rate(100_000_000))
    found = figures(usage(0, times=[HOUR // 2]), rates)
    assert (found["cost_instance"], found["co2e_embodied"], found["time_ms"]) == (1_000_000, 50_000_000, HOUR // 2)


def test_what_is_not_known_is_counted_as_uncovered_and_never_as_zero_cost():
    """Law 3: without any factor every priced column says how much it leaves open."""
    found = figures(usage(1_000, times=[500]), Rates())
    open_energy = {
        f"unc_{name}_mj"
        for name in ("facility", "cost_energy", "co2e_location", "co2e_market", "water_site", "water_source")
    }
    assert {name for name, value in found.items() if value == 1_000} == open_energy | {"energy_it_mj"}
    assert found["unc_cost_instance_ms"] == found["unc_co2e_embodied_ms"] == 500


def test_what_does_not_apply_is_zero_with_nothing_left_uncovered():
    """In the cloud the price of energy is in the price of the instance."""
    found = figures(usage(KWH), dataclasses.replace(FULL, tariff=NOT_APPLICABLE))
    assert "cost_energy" not in found
    assert "unc_cost_energy_mj" not in found


def test_without_a_pue_only_what_needs_none_is_priced():
    """Water on site is per kWh of IT; cost and CO2e wait for the PUE."""
    found = figures(usage(KWH), dataclasses.replace(FULL, pue=None))
    assert found["water_site"] == 1_800_000
    assert "co2e_location" not in found
    assert found["unc_co2e_location_mj"] == found["unc_facility_mj"] == KWH


def test_a_facility_meter_without_a_pue_prices_the_grid_but_not_the_water_on_site():
    """Its own boundary needs no bridge; what the IT drew of it is not known."""
    found = figures(usage(KWH), dataclasses.replace(FULL, boundary="facility", pue=None))
    assert found["co2e_location"] == 400_000_000
    assert "energy_it_mj" not in found
    assert found["unc_facility_mj"] == found["unc_water_site_mj"] == KWH


def test_a_rate_of_a_quarter_of_the_hour_prices_a_quarter():
    """The rest is uncovered: 250 Wh priced, 750 Wh open."""
    found = figures(usage(KWH), dataclasses.replace(FULL, location=Rate(400_000_000, HOUR // 4)))
    assert found["co2e_location"] == 120_000_000
    assert found["unc_co2e_location_mj"] == KWH * 3 // 4


def test_figures_that_have_no_price_are_carried():
    """Held energy, estimates, time and metered time pass through; the time of a gap is not metered."""
    rows = [UsageRow("a", "counter", 100, 40, 60, 0), UsageRow("a", "none", 0, 0, 30, 5)]
    priced = [dict(zip(COLUMNS, amounts, strict=True)) for amounts in price_hour(rows, FULL)]
    assert [(p["held_mj"], p["unmetered_mj"], p["time_ms"], p["metered_ms"]) for p in priced] == [
        (40, 0, 60, 60),
        (0, 5, 30, 0),
    ]


def test_thirds_of_a_microgram_are_not_lost():
    """Three accounts of 3 mJ each at 400 g/kWh: 1.2 micrograms in all, so one, and it falls to the account that reaches it."""
    rates = Rates(pue=Rate(1_000_000), location=Rate(400_000_000))
    column = COLUMNS.index("co2e_location")
    assert [amounts[column] for amounts in price_hour(usage(3, 3, 3), rates)] == [0, 0, 1]
    assert source_leg(usage(3, 3, 3), rates)[column] == 1


def test_nothing_costs_nothing():
    """An hour without rows has an empty leg."""
    assert source_leg([], FULL) == NOTHING
    assert price_hour([], FULL) == []


@given(ROWS, RATES)
def test_the_prices_of_all_accounts_sum_to_the_price_of_the_whole(rows, rates):
    """Law 1: cumulative rounding leaves nothing over, in any column, under any rates."""
    priced = price_hour(rows, rates)
    assert tuple(map(sum, zip(NOTHING, *priced, strict=True))) == source_leg(rows, rates)


@given(ROWS, RATES)
def test_no_account_is_paid_for_what_it_drew(rows, rates):
    """Usage is at least 0, so every amount is; and what is uncovered is never more than there is."""
    for row, amounts in zip(rows, price_hour(rows, rates), strict=True):
        assert min(amounts) >= 0
        found = dict(zip(COLUMNS, amounts, strict=True))
        # Rounding is cumulative, so an account may bear a unit that those before it left over.
        assert all(found[c] <= row.energy_mj + 2 for c in COLUMNS if c.startswith("unc_") and c.endswith("_mj"))
        assert all(found[c] <= row.time_ms + 1 for c in COLUMNS if c.startswith("unc_") and c.endswith("_ms"))


class Int64(int):
    """An integer that refuses to leave 64 bits, also on the way: what SQLite and PostgreSQL would compute."""

    def _checked(self, value):
        assert -(2**63) <= value < 2**63, value
        return Int64(value)

    def __add__(self, other):
        return self._checked(int(self) + int(other))

    def __sub__(self, other):
        return self._checked(int(self) - int(other))

    def __mul__(self, other):
        return self._checked(int(self) * int(other))

    def __floordiv__(self, other):
        return self._checked(int(self) // int(other))

    def __mod__(self, other):
        return self._checked(int(self) % int(other))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other):
        return self._checked(int(other) - int(self))


GREATEST = Rates(
    pue=Rate(Int64(FACTOR_LIMITS["pue"]), Int64(HOUR - 1)),
    location=Rate(Int64(FACTOR_LIMITS["grid_location"]), Int64(HOUR - 1)),
    market=Rate(Int64(FACTOR_LIMITS["grid_market"]), Int64(HOUR - 1)),
    tariff=Rate(Int64(FACTOR_LIMITS["tariff"]), Int64(HOUR - 1)),
    water_site=Rate(Int64(FACTOR_LIMITS["water_site"]), Int64(HOUR - 1)),
    water_source=Rate(Int64(FACTOR_LIMITS["water_source"]), Int64(HOUR - 1)),
    instance=Rate(Int64(FACTOR_LIMITS["instance_price"]), Int64(HOUR - 1)),
    embodied=Rate(Int64(FACTOR_LIMITS["embodied"]), Int64(HOUR - 1)),
)


@pytest.mark.parametrize("boundary", ["device", "facility"])
@given(energy=st.integers(0, 10**16), time=st.integers(0, HOUR))
def test_64_bits_suffice_at_the_greatest_factor_of_every_kind(boundary, energy, time):
    """No step of pricing leaves 64 bits, up to 10^16 mJ an hour (2.8 GWh at one meter), with every factor at its limit."""
    rows = [UsageRow("a", "counter", Int64(energy), 0, Int64(time), 0)]
    leg = source_leg(rows, dataclasses.replace(GREATEST, boundary=boundary))
    assert all(isinstance(value, int) for value in leg)


def test_the_watch_on_64_bits_does_watch():
    """One step above the limit and the test above would fail."""
    with pytest.raises(AssertionError):
        source_leg(usage(Int64(KWH - 1)), dataclasses.replace(GREATEST, location=Rate(Int64(4_000_000_000))))
