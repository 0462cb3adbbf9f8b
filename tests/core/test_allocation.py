"""Allocation: nothing is covered twice, nothing is lost, and the order in which instruments were learnt changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core import allocation
from joulebook_ledger.core.allocation import RESIDUAL_MIX, Rest, assign, match_hours, months_of
from joulebook_ledger.core.instruments import INSTRUMENT_KINDS, Instrument
from joulebook_ledger.core.periods import month_interval
from joulebook_ledger.core.refusals import Refused

MWH = 3_600_000_000_000
MONTHS = [202601 + number for number in range(12)]
REST = Rest(500_000_000, RESIDUAL_MIX)


def certificate(name: str = "c", first: int = 202601, last: int = 0, **more: object) -> Instrument:
    """A retired certificate of 1 MWh at 0 g/kWh."""
    end = month_interval(last or first).end_ms
    said = {
        "issuer": "aib", "version": "1", "kind": "certificate", "market": "FR", "energy_mj": MWH, "retired_for": "us", "retired_at_ms": end,
    } | more  # fmt: skip
    return Instrument(instrument=name, vintage_from_ms=month_interval(first).start_ms, vintage_to_ms=end, **said)


@st.composite
def _instruments(draw: st.DrawFn) -> list[Instrument]:
    found = []
    for number in range(draw(st.integers(0, 6))):
        first, last = sorted(draw(st.tuples(st.sampled_from(MONTHS), st.sampled_from(MONTHS))))
        kind = draw(st.sampled_from(INSTRUMENT_KINDS))
        energy = draw(st.integers(0 if kind == "supplier_rate" else 1, 3 * MWH))
        quality = draw(st.sampled_from([{}, {"attributes": "yes"}, {"attributes": "yes", "sole": "no"}]))
        retired = draw(st.sampled_from([{}, {"retired_for": "", "retired_at_ms": None}]))
        value = draw(st.integers(0, 2_000_000_000))
        found.append(
            certificate(f"i{number}", first, last, kind=kind, energy_mj=energy, quality=quality, value=value, **retired)
        )
    return found


LOADS = st.dictionaries(st.sampled_from(MONTHS), st.integers(0, 2 * MWH))


@given(loads=LOADS, instruments=_instruments(), random=st.randoms(use_true_random=False))
def test_what_is_assigned_is_bounded_sums_exactly_and_is_the_same_in_any_order(loads, instruments, random) -> None:
    """No instrument gives more than it has, no month takes more than its load, and both add up to the millijoule."""
    rests = dict.fromkeys(loads, REST)
    found = assign(loads, instruments, rests)
    shuffled = list(instruments)
    random.shuffle(shuffled)
    assert assign(dict(sorted(loads.items(), reverse=True)), shuffled, rests) == found
    assert [month.month for month in found.months] == sorted(month for month, load in loads.items() if load)
    given_by: dict[tuple[str, str], int] = {}
    for month in found.months:
        assert sum(part.energy_mj for part in month.parts) + month.rest_mj == month.load_mj == loads[month.month]
        assert month.rest_mj >= 0
        for part in month.parts:
            assert part.energy_mj > 0
            assert month.month in months_of(part.instrument)
            given_by[part.instrument.key] = given_by.get(part.instrument.key, 0) + part.energy_mj
    for one in instruments:
        if one.energy_mj:
            assert given_by.get(one.key, 0) + found.left_mj.get(one.key, one.energy_mj) == one.energy_mj
    assert not given_by.keys() & {one.key for one, _ in found.unused}


@given(loads=LOADS, instruments=_instruments())
def test_nothing_usable_stays_over_while_a_month_of_its_vintage_is_open(loads, instruments) -> None:
    """What is left of an instrument is left because no month of its vintage has anything left to cover."""
    found = assign(loads, instruments, {})
    still_open = {month.month for month in found.months if month.rest_mj}
    for one in instruments:
        if found.left_mj.get(one.key):
            assert still_open.isdisjoint(months_of(one))


def test_a_certificate_of_a_year_is_laid_in_proportion_to_the_months_known_so_far() -> None:
    """Of 4 MWh, a month of 3 gets three times as much as a month of 1; what both cannot take stays over."""
    year = certificate("y", 202601, 202612, energy_mj=2 * MWH)
    found = assign({202601: 3 * MWH, 202602: MWH}, [year], {})
    assert [month.parts[0].energy_mj for month in found.months] == [3 * MWH // 2, MWH // 2]
    larger = certificate("y", 202601, 202612, energy_mj=10 * MWH)
    found = assign({202601: 3 * MWH, 202602: MWH}, [larger], {})
    assert (found.left_mj, [month.rest_mj for month in found.months]) == ({("aib", "y"): 6 * MWH}, [0, 0])


def test_the_shorter_vintage_goes_first_so_that_the_longer_one_finds_its_place() -> None:
    """A certificate of March covers March, and that of the year the rest of the year."""
    found = assign({202601: MWH, 202603: MWH}, [certificate("y", 202601, 202612), certificate("m", 202603)], {})
    assert [[part.instrument.instrument for part in month.parts] for month in found.months] == [["y"], ["m"]]


@pytest.mark.parametrize(
    ("instruments", "reasons"),
    [
        ([certificate(first=202501)], [allocation.OTHER_VINTAGE]),
        ([certificate(retired_for="", retired_at_ms=None)], [allocation.NOT_RETIRED]),
        ([certificate(quality={"sole": "no"})], [allocation.CLAIMED_TWICE]),
        ([certificate(kind="contract")], [allocation.NO_ATTRIBUTES]),
        ([certificate(kind="contract", quality={"attributes": "yes"})], []),
        ([certificate(kind="supplier_rate", quality={"attributes": "no"})], [allocation.NO_ATTRIBUTES]),
        ([certificate("GO-1"), certificate("go-1", issuer="registry")], [allocation.CLAIMED_TWICE]),
        (
            [certificate("GO-1"), certificate("GO-1", kind="contract", issuer="b", quality={"attributes": "yes"})],
            [allocation.CLAIMED_TWICE],
        ),
        ([certificate("GO-1"), certificate("GO-1", 202602, issuer="b")], []),
    ],
)
def test_what_fails_a_criterion_is_not_used_and_says_which(instruments, reasons) -> None:
    """The wrong year, not retired, counted twice, attributes sold apart."""
    found = assign({202601: 5 * MWH, 202602: 5 * MWH}, instruments, {})
    assert [reason for _, reason in found.unused] == reasons
    assert sum(len(month.parts) for month in found.months) == len(instruments) - len(reasons)


def test_in_a_market_without_load_nothing_is_used() -> None:
    """The wrong market."""
    found = assign({}, [certificate()], {})
    assert [reason for _, reason in found.unused] == [allocation.OTHER_MARKET]
    assert set(allocation.MEANINGS) >= {reason for _, reason in found.unused}


def test_a_month_whose_rest_has_no_price_has_none() -> None:
    """Unknown is unknown, unless instruments cover all of it."""
    found = assign({202601: MWH, 202602: 2 * MWH}, [certificate(), certificate("d", 202602)], {})
    assert [month.value for month in found.months] == [0, None]


def test_an_excess_of_one_hour_gives_nothing_to_another() -> None:
    """Hourly matching."""
    assert match_hours([10, 10], [40, 0], 0)[:2] == (20, 10)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"energy_mj": 0}, "no_energy"),
        ({"retired_for": ""}, "half_retired"),
        ({"last": 202701}, "vintage_of_two_years"),
        ({"value": 2_000_000_001}, "factor_out_of_range"),
        ({"quality": {"cheap": "yes"}}, "unknown_criterion"),
        ({"quality": {"sole": "perhaps"}}, "unknown_sole"),
        ({"kind": "offset"}, "unknown_kind"),
    ],
)
def test_what_is_no_instrument_is_refused(more, reason) -> None:
    """With the rule by name."""
    with pytest.raises(Refused) as refusal:
        certificate(**more)
    assert refusal.value.reason == reason
