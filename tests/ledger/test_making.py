"""What making a machine emitted, as a rate: from kilograms and a life, to the end of that life."""

from fractions import Fraction

import pytest
from books import HOUR, NOVEMBER, Story
from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.catalogue.hardware import PRODUCTS, hardware_of
from joulebook_ledger.core.embodied import MILLISECONDS_PER_YEAR, Making, at_utilisation, server_ug
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.desk.making import PAST_LIFE, making_of
from joulebook_ledger.queries import ReportQuery

KG = 10**9


def test_a_ton_over_four_years_is_28_and_a_half_grams_an_hour():
    """The worked example of ISO/IEC 21031, floored once."""
    (rate,) = making_of(kilograms="1000")
    assert (rate.ug_per_hour, rate.from_ms, rate.to_ms) == (28_538_812, None, None)
    assert "1000 kg CO2e over 4 years" in rate.source


def test_published_figures_add_up_and_name_who_says_so():
    """A server and eight cards: two sources, one weighted spread."""
    total, sigma_ppm, source = hardware_of("dell-r740, h100-sxm:8")
    assert total == PRODUCTS["dell-r740"].total_ug + PRODUCTS["hgx-h100"].total_ug
    assert 300_000 < sigma_ppm < 850_000
    assert "Dell" in source
    assert "8 x h100-sxm (NVIDIA" in source


@pytest.mark.parametrize(
    ("given_words", "said"),
    [
        ({"kilograms": "1500", "per_year_kg": "250"}, "three ways to say one thing"),
        ({"lifetime_years": "5"}, "a lifetime is that of something"),
        ({"in_service": "2025-01-01", "per_year_kg": "250"}, "a lifetime is that of something"),
        ({"kilograms": "1500", "lifetime_years": "0"}, "above 0 and at most 50, not '0'"),
        ({"kilograms": "1500", "lifetime_years": "60"}, "above 0 and at most 50, not '60'"),
        ({"kilograms": "1,5"}, "embodied_kg"),
        ({"kilograms": "1500", "in_service": "last spring"}, "'last spring' is no instant"),
        ({"hardware": "dgx-9000"}, "'dgx-9000' is none of: hgx-h100"),
        ({"hardware": "h100-sxm:x"}, "'x' of h100-sxm is no whole number"),
        ({"hardware": "h100-sxm:0"}, "'0' of h100-sxm is no whole number"),
        ({"hardware": "h100-sxm:10001"}, "no whole number from 1 to 10000"),
    ],
)
def test_what_cannot_be_taken_is_named(given_words, said):
    """With the value and the way out."""
    with pytest.raises(BadInput, match=said):
        making_of(**given_words)


def test_past_its_life_a_machine_bears_nothing_more_and_says_so(sqlite_keeper):
    """One hour before the end of four years and one after it: the first bears its share, the second 0; neither is unknown."""
    end_ms = NOVEMBER + HOUR
    began = end_ms - 4 * MILLISECONDS_PER_YEAR
    story = Story().meter("time", "time")
    for hour in range(2):
        at = NOVEMBER + hour * HOUR
        story.reading("time", at, at + HOUR, 0, {"r": 0}, method="declared")
    sqlite_keeper.tell(story.batch())
    (first, second) = making_of(kilograms="1000", in_service="2022-11-02T01:00:00Z")
    assert (first.from_ms, first.to_ms, second.from_ms, second.to_ms) == (began, end_ms, end_ms, None)
    assert second.source.startswith(PAST_LIFE)
    assert second.ug_per_hour == 0
    sqlite_keeper.place(embodied_kg="1000", in_service="2022-11-02T01:00:00Z")
    total = sqlite_keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611))["total"]
    assert total["co2e_embodied_kg"] == 28_538_812 / KG
    assert total["known_share"]["co2e_embodied_kg"] == 1.0


@given(st.integers(0, 10**15), st.integers(1, 30), st.integers(1, 64), st.integers(0, 10**9))
def test_parts_of_a_thing_bear_all_of_it(total_ug, years, parts, time_ms):
    """Shares of all parts, and of all its life, add up to what making it emitted."""
    making = Making(total_ug=total_ug, life_ms=years * MILLISECONDS_PER_YEAR)
    assert sum(making.over(time_ms, available=parts) for _ in range(parts)) == making.over(time_ms)
    assert making.over(making.life_ms) == total_ug
    assert 0 <= Fraction(total_ug * HOUR, making.life_ms) - making.rate_ug_per_hour < 1


def test_what_hours_in_use_bear_is_never_less():
    """A view: at 85 % in use each hour bears 1/0.85; none, and more than all, is refused."""
    assert at_utilisation(850, 850_000) == 1_000
    for ppm in (0, -1, 1_000_001):
        with pytest.raises(BadInput, match="above 0 and at most 1"):
            at_utilisation(1, ppm)
    with pytest.raises(BadInput, match="3 of 2 parts"):
        Making(total_ug=1, life_ms=1).over(1, reserved=3, available=2)


def test_a_server_is_the_sum_of_its_parts():
    """Nothing is taken off for a small one."""
    assert server_ug(memory_gb=8) == server_ug(memory_gb=16) == 1_000 * KG
    assert server_ug(memory_gb=16, processors=2, gpus=1, hdds=1, ssds=1) == 1_400 * KG
