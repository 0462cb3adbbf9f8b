"""Labels, scores and counts as people give them, made fit for the books."""

from __future__ import annotations

import decimal
import fractions
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook import labels
from joulebook.counting import add, bucket_us, take
from joulebook.labels import labels_of
from joulebook.notebook import parse_line
from joulebook.scores import decimal_text, score_items
from joulebook_ledger.core import vocabulary
from joulebook_ledger.core.events import Count, RunEvent, Score
from joulebook_ledger.settings import LABEL_KEYS

RUN = "a" * 32
anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers())
)


class Tensor:
    """A number as torch and numpy give it."""

    def __init__(self, *values: float) -> None:
        """Hold values."""
        self._values = values

    def item(self) -> float:
        """Return the one value."""
        (value,) = self._values
        return value


def test_the_words_are_those_of_the_books() -> None:
    """The measured path says them again, because it must not load the records."""
    assert labels.STAGES == vocabulary.STAGES
    assert labels.LABELS == vocabulary.LABELS == LABEL_KEYS
    assert labels.LONGEST == vocabulary.LONGEST_NAME


@given(
    given_labels=st.dictionaries(st.sampled_from([*labels.LABELS, "budget"]), anything),
    tags=st.one_of(anything, st.dictionaries(st.text(), anything, max_size=3)),
)
def test_whatever_is_given_as_a_label_makes_a_fact(given_labels: dict[str, object], tags: object) -> None:
    """Never an exception, and never an event that the ledger would refuse."""
    found = labels_of(given_labels, tags, {"team": "vision"})
    RunEvent(run=RUN, event="e", kind="started", at_ms=0, labels=found)


def test_a_keyword_holds_over_what_is_set() -> None:
    """Variables and the project's file are defaults."""
    assert labels_of({"team": "mine", "model": None}, None, {"team": "theirs", "model": "m"}) == {
        "team": "mine",
        "model": "m",
    }


@pytest.mark.parametrize("tags", [{"a": 1, "b": ""}, "a=1,b=", {"a": "1", "b": None}.keys() and [("a=1"), "b"]])
def test_tags_are_a_mapping_a_text_or_a_list(tags: object) -> None:
    """A bare tag has an empty value."""
    assert set(labels_of({}, tags, {})) >= {"tag:b"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.761, "0.761"),
        (25_557_032, "25557032"),
        (True, "1"),
        (decimal.Decimal("0.10"), "0.10"),
        (1e300, "1e+300"),
        (Tensor(0.5), "0.5"),
        (Tensor(0.5, 0.6), None),
        (math.nan, None),
        (math.inf, None),
        (decimal.Decimal("NaN"), None),
        (fractions.Fraction(1, 3), None),
        (10**400, None),
        ("0.5", None),
        (None, None),
    ],
)
def test_a_score_keeps_exactly_the_number_that_was_given(value: object, text: str | None) -> None:
    """What is no finite number is none."""
    assert decimal_text(value) == text


@given(
    scores=st.dictionaries(st.text(max_size=300), anything, max_size=5), step=anything, split=anything, unit=anything
)
def test_whatever_is_logged_makes_facts_or_nothing(
    scores: dict[str, object], step: object, split: object, unit: object
) -> None:
    """Never an exception, and never a score that the ledger would refuse."""
    for item in score_items(scores, step=step, split=split, unit=unit, lower_is_better=None):
        Score(run=RUN, score="s", at_ms=0, **item)


def test_the_direction_is_said_for_those_it_is_said_of() -> None:
    """For one, for several, or for all."""
    shared = {"step": None, "split": "", "unit": ""}
    assert [
        item.get("lower_is_better") for item in score_items({"a": 1, "b": 2}, lower_is_better=("b",), **shared)
    ] == [None, True]
    assert [item.get("lower_is_better") for item in score_items({"a": 1}, lower_is_better="a", **shared)] == [True]
    assert [item.get("lower_is_better") for item in score_items({"a": 1}, lower_is_better=False, **shared)] == [False]


@given(st.floats(min_value=0, max_value=10_000))
def test_a_latency_lies_in_a_bucket_not_much_wider_than_itself(latency_s: float) -> None:
    """Ten buckets to each power of ten."""
    bound = bucket_us(latency_s)
    assert latency_s * 1_000_000 <= bound <= max(10, latency_s * 1_300_000)


def test_counts_are_added_up_and_begin_anew() -> None:
    """One fact for many requests."""
    counts: dict[str, object] = {}
    add(counts, 1_000, requests=1, tokens_in=3, tokens_out=4, latency_s=0.42)
    add(counts, 1_500, requests=2, tokens_in=0, tokens_out=5, latency_s=0.43)
    fact = Count(run=RUN, count="c", **take(counts, 2_000))
    assert (fact.start_ms, fact.end_ms, fact.requests, fact.tokens_in, fact.tokens_out) == (1_000, 2_000, 3, 3, 9)
    assert (dict(fact.latency), counts) == ({"500000": 2}, {})


def test_a_cells_line_says_what_track_takes() -> None:
    """Quotes hold words together; what is no keyword is left out."""
    assert parse_line("model=m task='image net' colour=red bare") == {"model": "m", "task": "image net"}
