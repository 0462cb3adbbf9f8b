import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core.factors import FACTOR_UNITS, FALLBACKS
from joulebook_ledger.core.quality import (
    SIGMA_OF_FACTOR,
    SIGMA_OF_METHOD,
    UNKNOWN_SIGMA,
    Contribution,
    grade_of_figure,
    quality,
    relative_sigma,
    sigma_of_factor,
    sigma_of_method,
)
from joulebook_ledger.core.vocabulary import METHODS


def test_errors_of_one_source_add_up_and_of_two_average_away():
    """Two cards of one model err together; a card and a package do not."""
    together = [Contribution("H200", 100, 0.1), Contribution("H200", 100, 0.1)]
    apart = [Contribution("H200", 100, 0.1), Contribution("Xeon", 100, 0.1)]
    assert relative_sigma(200, together) == pytest.approx(0.1)
    assert relative_sigma(200, apart) == pytest.approx(0.1 / 2**0.5)


def test_one_amount_stands_under_every_source_that_errs():
    """A gram is as good as its meter, its PUE and its grid."""
    parts = [Contribution("meter", 100, 0.05), Contribution("pue", 100, 0.05), Contribution("grid", 100, 0.07)]
    assert relative_sigma(100, parts) == pytest.approx(0.099498743710662)


def test_a_figure_of_nothing_has_no_relative_error():
    """Null, not zero."""
    assert relative_sigma(0, [Contribution("meter", 0, 0.05)]) is None


def test_every_method_and_every_factor_has_a_sigma_and_the_unknown_has_a_large_one():
    """No word of the vocabulary falls through to a guess."""
    assert set(SIGMA_OF_METHOD) == set(METHODS)
    assert set(SIGMA_OF_FACTOR) == set(FACTOR_UNITS)
    assert all(set(by_fallback) == set(FALLBACKS) for by_fallback in SIGMA_OF_FACTOR.values())
    assert sigma_of_method("guess") == sigma_of_factor("guess", "exact") == UNKNOWN_SIGMA


def test_a_factor_that_states_its_sigma_is_taken_at_its_word():
    """A source knows itself better than a table of kinds does."""
    assert sigma_of_factor("grid_location", "country", 120_000) == 0.12
    assert sigma_of_factor("grid_location", "country") == 0.25


@pytest.mark.parametrize(
    ("coverage", "measured", "sigma", "grade", "sentence"),
    [
        (0.98, 0.91, 0.03, "A", "98 % complete, 91 % metered, ± 6 %"),
        (1.0, 1.0, 0.05, "A", "100 % complete, 100 % metered, ± 10 %"),
        (0.9999, 0.999, 0.0501, "A", "99 % complete, 99 % metered, ± 11 %"),
        (0.93, 0.60, 0.20, "B", "93 % complete, 60 % metered, ± 40 %"),
        (1.0, 0.0, 0.35, "C", "100 % complete, 0 % metered, ± 70 %"),
        (0.5, 1.0, 0.05, "D", "50 % complete, 100 % metered, ± 10 %"),
        (None, 1.0, 0.05, "A", "100 % metered, ± 10 %"),
        (None, 0.0, 0.35, "C", "0 % metered, ± 70 %"),
        (None, None, 0.35, "D", "± 70 %"),
        (0.98, None, None, "D", "98 % complete"),
        (None, None, None, "", "nothing is known"),
    ],
)
def test_one_grade_and_one_sentence_stand_for_the_four_shares(coverage, measured, sigma, grade, sentence):
    """Shares are rounded down and errors up: nothing is called complete that is not."""
    found = quality(coverage=coverage, measured_share=measured, uncertainty=sigma)
    assert (found.grade, found.sentence) == (grade, sentence)


@pytest.mark.parametrize(
    ("known", "coverage", "measured", "sigma", "grade"),
    [
        (1.0, 1.0, 1.0, 0.10, "A"),
        (0.9, 1.0, 1.0, 0.10, "B"),
        (0.9, 0.9, 1.0, 0.10, "C"),
        (1.0, 1.0, 0.0, 0.10, "C"),
        (1.0, None, None, 0.25, "B"),
        (1.0, None, None, 0.60, "D"),
        (0.5, None, None, 0.05, "D"),
        (0.0, 1.0, 1.0, 0.05, ""),
        (None, 1.0, 1.0, 0.05, ""),
        (1.0, 1.0, 1.0, None, ""),
    ],
)
def test_each_figure_has_a_grade_of_its_own(known, coverage, measured, sigma, grade):
    """What is not priced is missing like what was not metered; what is of time alone has no meter to be read."""
    found = grade_of_figure(known_share=known, coverage=coverage, measured_share=measured, uncertainty=sigma)
    assert found == grade


PARTS = st.lists(
    st.builds(Contribution, st.sampled_from("abc"), st.integers(0, 10**12), st.floats(0, 1)), min_size=1, max_size=6
)


@given(PARTS)
def test_an_error_is_never_above_the_sum_of_its_parts_nor_below_its_largest_source(parts):
    """Quadrature lies between full correlation and none."""
    total = sum(p.amount for p in parts)
    sigma = relative_sigma(total, parts)
    if sigma is not None:
        by_source = [sum(p.amount * p.sigma for p in parts if p.source == s) for s in "abc"]
        assert max(by_source) * 0.999_999 - 1e-9 <= sigma * total <= sum(by_source) * 1.000_001 + 1e-9
