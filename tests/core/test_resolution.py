import pytest
from auditor import Auditor
from hypothesis import given
from hypothesis import strategies as st
from strategies import BOOKS, FIRST_HOUR, MACHINES, METERS, batch_of, desks

from joulebook_ledger.core.factors import FACTOR_UNITS, Factor, Placement, Site
from joulebook_ledger.core.pricing import NOT_APPLICABLE, Rate
from joulebook_ledger.core.records import Reader, Window
from joulebook_ledger.core.refusals import Malformed
from joulebook_ledger.core.resolution import (
    IN_INSTANCE_PRICE,
    NO_FACTOR,
    NO_PLACEMENT,
    NO_PRICE_OF_HOURS,
    NO_ZONE,
    FactorBook,
)
from joulebook_ledger.core.versions import Known
from joulebook_ledger.core.wire import decode_batch

HOUR = 3_600_000


def factor(kind, value, *, object_="FR", **changes):
    """A factor of the bundled table, changed."""
    currency = "EUR" if kind in {"tariff", "instance_price"} else ""
    good = {"provider": "owid", "version": "1", "source": "table", "unit": FACTOR_UNITS[kind], "currency": currency}
    return Factor(kind=kind, object=object_, value=value, **good | changes)


def book(*facts, ownership="owned", zone="FR", placed=True):
    """A book of factors, learnt in this order, of machine M at site S."""
    sites = [Known(Site(site="S", zone=zone, ownership=ownership, version="1"), 0)]
    placements = [Known(Placement(machine="M", site="S", version="1"), 0)] if placed else []
    return FactorBook([Known(fact, known) for known, fact in enumerate(facts)], sites, placements)


def rates(found, component="gpu", hour=10):
    """The rates of machine M."""
    return found.rates("M", component, "device", hour)


def reason(found, kind, component="gpu"):
    """Why a kind has no factor in hour 10."""
    (origin,) = [o for o in found.explain("M", component, "device", 10) if o.kind == kind]
    return origin.pieces[0].reason


def test_a_machine_without_a_site_is_priced_by_nothing():
    """Where it stands is not guessed."""
    found = book(factor("grid_location", 56_000_000), placed=False)
    assert rates(found).location is None
    assert reason(found, "grid_location") == NO_PLACEMENT


def test_a_site_without_a_zone_has_no_grid_but_a_price():
    """The tariff is the site's, the grid the zone's."""
    found = book(factor("tariff", 250_000, object_="S"), zone="")
    assert rates(found).tariff == Rate(250_000)
    assert rates(found).location is None
    assert reason(found, "grid_location") == NO_ZONE


def test_what_nobody_said_is_unknown_and_says_so():
    """No factor is no zero."""
    assert rates(book()).water_source is None
    assert reason(book(), "water_source") == NO_FACTOR


def test_what_the_desk_says_wins_over_any_table():
    """A person knows better than a table, whichever was learnt last."""
    found = book(factor("grid_location", 20, provider="desk"), factor("grid_location", 56))
    assert rates(found).location == Rate(20)


def test_of_two_tables_the_nearer_one_holds():
    """A country's figure stands before the world's."""
    found = book(
        factor("grid_location", 475, fallback="world", provider="a"), factor("grid_location", 56, fallback="country")
    )
    assert rates(found).location == Rate(56)


def test_the_version_learnt_last_replaces_one_of_the_same_validity():
    """A correction of a factor holds from when it is known."""
    assert rates(book(factor("grid_location", 60), factor("grid_location", 56, version="2"))).location == Rate(56)


def test_an_older_price_that_is_entered_late_does_not_displace_the_newer_one():
    """What begins last holds; in which order the two were typed does not matter."""
    old, new = (
        factor("tariff", 200_000, object_="S"),
        factor("tariff", 300_000, object_="S", valid_from_ms=5 * HOUR, version="2"),
    )
    for found in (book(old, new), book(new, old)):
        assert rates(found, hour=4).tariff == Rate(200_000)
        assert rates(found, hour=5).tariff == Rate(300_000)


def test_a_factor_that_changes_within_the_hour_counts_by_its_time_floored_once():
    """A third of the hour at 100, two thirds at 201: 167.33, so 167."""
    change = 10 * HOUR + HOUR // 3
    found = book(factor("grid_location", 100), factor("grid_location", 201, valid_from_ms=change, version="2"))
    assert rates(found).location == Rate(167)


def test_a_part_of_the_hour_without_a_factor_stays_uncovered():
    """A factor that ends after a quarter of the hour covers that quarter."""
    found = book(factor("grid_location", 100, valid_to_ms=10 * HOUR + HOUR // 4))
    assert rates(found).location == Rate(100, HOUR // 4)
    assert rates(found, hour=11).location is None


def test_in_the_cloud_energy_has_no_price_of_its_own_and_hours_must_have_one():
    """The instance price holds the energy; without it the hours are unknown."""
    found = book(factor("tariff", 1, object_="S"), ownership="cloud")
    assert rates(found).tariff is NOT_APPLICABLE
    assert reason(found, "tariff") == IN_INSTANCE_PRICE
    assert rates(found, component="time").instance is None


def test_an_owned_machine_has_a_price_of_hours_only_where_one_is_set():
    """Nothing is missing where nobody pays by the hour; its embodied rate is missing until it is known."""
    found = book()
    assert rates(found, component="time").instance is NOT_APPLICABLE
    assert reason(found, "instance_price", component="time") == NO_PRICE_OF_HOURS
    assert rates(found, component="time").embodied is None
    priced = book(factor("instance_price", 2_000_000, object_="M"))
    assert rates(priced, component="time").instance == Rate(2_000_000)


def test_only_the_time_meter_carries_what_is_paid_by_the_hour():
    """A GPU's own windows never price the machine's hours a second time."""
    found = book(factor("instance_price", 2_000_000, object_="M"), factor("embodied", 5, object_="M"))
    assert (rates(found).instance, rates(found).embodied) == (NOT_APPLICABLE, NOT_APPLICABLE)


def test_a_machine_that_moves_is_priced_where_it_stands():
    """Half of hour 10 in France, half in Germany."""
    sites = [Known(Site(site=zone, zone=zone, version="1"), 0) for zone in ("FR", "DE")]
    moves = [
        Known(Placement(machine="M", site=s, valid_from_ms=t, version="1"), 0)
        for s, t in (("FR", 0), ("DE", 10 * HOUR + HOUR // 2))
    ]
    grids = [Known(factor("grid_location", value, object_=zone), 0) for zone, value in (("FR", 56), ("DE", 381))]
    found = FactorBook(grids, sites, moves)
    assert [rates(found, hour=hour).location for hour in (9, 10, 11)] == [Rate(56), Rate((56 + 381) // 2), Rate(381)]


def test_every_piece_of_an_hour_says_which_factor_made_it():
    """Law 5: a rate answers "why?" with the records it came from, in order of time."""
    change = 10 * HOUR + HOUR // 2
    first, second = factor("grid_location", 100), factor("grid_location", 200, valid_from_ms=change, version="2")
    origins = book(first, second).explain("M", "gpu", "device", 10)
    (origin,) = [o for o in origins if o.kind == "grid_location"]
    assert [(p.start_ms, p.end_ms, p.object, p.factor) for p in origin.pieces] == [
        (10 * HOUR, change, "FR", first),
        (change, 11 * HOUR, "FR", second),
    ]


def test_the_currency_is_that_of_its_prices():
    """A book has one money, or none yet."""
    assert book(factor("grid_location", 1)).currency == ""
    assert book(factor("tariff", 1, object_="S")).currency == "EUR"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"factors":[{"known":1,"fact":{}}],"sites":[],"placements":[]}'])
def test_bytes_that_are_no_snapshot_are_refused(data):
    """A torn snapshot is named as such; it prices nothing."""
    with pytest.raises(Malformed, match="snapshot"):
        FactorBook.from_bytes(data)


def drawn_book(desk):
    """The factors of a drawn desk, learnt in its order."""
    facts = [(known, fact) for known, data in enumerate(desk) for fact in decode_batch(data).facts()]
    return FactorBook(*([Known(f, k) for k, f in facts if isinstance(f, kind)] for kind in (Factor, Site, Placement)))


HOURS = st.integers(FIRST_HOUR - 2, FIRST_HOUR + 4)


@BOOKS
@given(desks(2), HOURS, st.sampled_from(METERS), st.sampled_from(MACHINES))
def test_rates_are_what_the_auditor_works_out(desk, hour, meter, machine):
    """Any factors, sites and placements, in any hour: value and covered time of every kind."""
    window = Window(meter=meter.key, start_ms=hour * HOUR, end_ms=hour * HOUR + 1, energy_mj=0, method="counter")
    seen = decode_batch(batch_of(Reader(reader="r", machine=machine), 1, [meter, window]))
    expected = Auditor([*map(decode_batch, desk), seen]).rates(meter.key, hour)
    found = drawn_book(desk).explain(machine, meter.component, meter.boundary, hour)
    as_auditor = {o.kind: "void" if o.rate is NOT_APPLICABLE else o.rate and tuple(o.rate) for o in found}
    assert as_auditor == expected


@BOOKS
@given(desks(2), st.sampled_from(MACHINES))
def test_a_snapshot_prices_a_machine_as_the_book_does(desk, machine):
    """What is left beside the spool gives the same rates, also those remembered from another hour."""
    whole = drawn_book(desk)
    small = FactorBook.from_bytes(whole.of_machine(machine).to_bytes())
    for hour in range(FIRST_HOUR - 2, FIRST_HOUR + 4):
        for component in ("gpu", "time"):
            assert small.rates(machine, component, "device", hour) == whole.rates(machine, component, "device", hour)
