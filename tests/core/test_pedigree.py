"""A factor's quality by what it says of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.catalogue.zones import find_zone
from joulebook_ledger.core.factors import FACTOR_LIMITS, FACTOR_UNITS, FALLBACKS, PRICE_KINDS, Factor
from joulebook_ledger.core.pedigree import Pedigree, pedigree
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY as DAY

NOVEMBER = 1_793_491_200_000


def factor(kind="grid_location", **words):
    """Return a factor of little quality, bettered by words."""
    words = {"source": "declared by ann", "value": min(1_000_000, FACTOR_LIMITS[kind]), "fallback": "declared", **words}
    currency = "EUR" if kind in PRICE_KINDS else ""
    return Factor(kind=kind, object="x", provider="p", version="1", unit=FACTOR_UNITS[kind], currency=currency, **words)


HOURLY = {"source": "a provider", "fallback": "exact", "valid_from_ms": NOVEMBER, "valid_to_ms": NOVEMBER + DAY // 24}


@pytest.mark.parametrize(
    ("of", "axes", "grade"),
    [
        (factor(**HOURLY, sigma_ppm=70_000, basis="direct"), (2, 1, 1, 1), "A"),
        (factor(**HOURLY), (2, 1, 1, 5), "B"),
        (factor(**HOURLY, state="provisional", sigma_ppm=1, basis="direct"), (4, 1, 1, 1), "B"),
        (factor(), (4, 3, 5, 5), "D"),
        (factor(valid_from_ms=NOVEMBER), (4, 3, 4, 5), "D"),
        (factor(valid_from_ms=NOVEMBER, valid_to_ms=NOVEMBER + 30 * DAY, basis="direct"), (4, 3, 2, 3), "C"),
        (factor(valid_from_ms=NOVEMBER, valid_to_ms=NOVEMBER + 365 * DAY, fallback="world"), (4, 5, 3, 5), "D"),
        (factor(valid_from_ms=NOVEMBER, valid_to_ms=NOVEMBER + 367 * DAY), (4, 3, 4, 5), "D"),
        (factor("pue"), (4, 3, 4, 3), "C"),
        (factor("pue", valid_from_ms=NOVEMBER, evidence_digest="ab", fallback="exact", sigma_ppm=1), (1, 1, 2, 1), "A"),
        (factor("pue", valid_from_ms=NOVEMBER, valid_to_ms=NOVEMBER + 365 * DAY, source="operator"), (2, 3, 1, 3), "B"),
        (factor("tariff", valid_from_ms=NOVEMBER), (4, 3, 2, 1), "B"),
    ],
)
def test_each_axis_says_what_the_table_says(of, axes, grade):
    """The table of the module, row by row."""
    assert (pedigree(of), pedigree(of).grade) == (axes, grade)


def test_the_bundled_average_of_a_country_is_no_hour_of_a_grid():
    """A yearly figure without a date: usable, and not good."""
    assert pedigree(find_zone("FR").factor("1")).grade in {"C", "D"}


def test_the_axes_in_words():
    """As a table shows them."""
    assert Pedigree(2, 3, 5, 1).words == "reliability 2, place 3, time 5, completeness 1"


@given(st.sampled_from(sorted(FACTOR_UNITS)), st.sampled_from(FALLBACKS), st.booleans(), st.booleans())
def test_more_that_is_said_is_never_worse(kind, fallback, dated, provisional):
    """Evidence, a spread, a date: each leaves every axis where it is, or betters it."""
    words = {
        "fallback": fallback,
        "state": "provisional" if provisional else "final",
        **({"valid_from_ms": NOVEMBER} if dated else {}),
    }
    less, more = pedigree(factor(kind, **words)), pedigree(factor(kind, **words, sigma_ppm=1, evidence_digest="ab"))
    assert all(better <= worse for better, worse in zip(more, less, strict=True))
    assert all(1 <= axis <= 5 for axis in (*less, *more))
    assert more.grade <= less.grade
