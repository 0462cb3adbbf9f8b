import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core.frontier import Point, rank
from joulebook_ledger.core.refusals import BadInput


def points(*triples):
    """Points of (key, score, resource)."""
    return [Point(key=k, score=s, resource=r) for k, s, r in triples]


def told(*triples, **options):
    """(key, dominated by) in the order of the ranking."""
    return [(s.key, s.dominated_by) for s in rank(points(*triples), **options)]


def test_the_frontier_comes_first_and_each_other_names_what_beats_it():
    """Small is frugal, large is good, the middling one is beaten by small and by large, and small has the better ratio."""
    assert told(("large", 0.95, 100), ("middling", 0.80, 120), ("small", 0.90, 10)) == [
        ("small", None),
        ("large", None),
        ("middling", "small"),
    ]


def test_equal_points_stand_together():
    """Neither dominates the other."""
    assert told(("a", 0.9, 10), ("b", 0.9, 10)) == [("a", None), ("b", None)]


def test_equal_in_one_and_better_in_the_other_dominates():
    """The same score for less, and more score for the same."""
    assert told(("dear", 0.9, 11), ("cheap", 0.9, 10)) == [("cheap", None), ("dear", "cheap")]
    assert told(("bad", 0.8, 10), ("good", 0.9, 10)) == [("good", None), ("bad", "good")]


def test_where_lower_is_better_a_high_score_is_no_merit():
    """Loss 0.2 at 10 beats loss 0.9 at 9 per unit, and both are on the frontier; loss 0.9 at 10 is not."""
    triples = [("a", 0.9, 9), ("b", 0.2, 10), ("c", 0.9, 10)]
    assert told(*triples, lower_is_better=True) == [("b", None), ("a", None), ("c", "b")]


def test_at_no_resource_there_is_no_ratio():
    """Null, not infinite; and what is good for nothing stands first."""
    first, second = rank(points(("b", 0.9, 10), ("a", 0.5, 0)))
    assert (first.key, first.ratio) == ("a", None)
    assert (second.key, second.ratio) == ("b", 0.09)


@pytest.mark.parametrize(("score", "resource"), [(math.nan, 1), (math.inf, 1), (1, math.nan), (1, -1), (1, math.inf)])
def test_what_cannot_be_compared_is_refused_by_name(score, resource):
    """NaN would stand anywhere."""
    with pytest.raises(BadInput, match="model-x"):
        Point(key="model-x", score=score, resource=resource)


VALUES = st.one_of(st.integers(0, 4), st.floats(0, 4, allow_nan=False), st.integers(0, 2**60))
CANDIDATES = st.lists(st.tuples(VALUES, VALUES), max_size=12).map(
    lambda drawn: points(*((i, s, r) for i, (s, r) in enumerate(drawn)))
)


def beats(one, other, *, lower):
    """The definition, word for word."""
    as_good = one.score <= other.score if lower else one.score >= other.score
    better = one.score < other.score if lower else one.score > other.score
    return as_good and one.resource <= other.resource and (better or one.resource < other.resource)


@given(CANDIDATES, st.booleans())
def test_the_frontier_is_exactly_what_nothing_dominates(candidates, lower):
    """Against the definition, pair by pair: exact on ties, and what is named does dominate and stands on the frontier."""
    by_key = {p.key: p for p in candidates}
    ranking = rank(candidates, lower_is_better=lower)
    on_frontier = {s.key for s in ranking if s.on_frontier}
    assert on_frontier == {p.key for p in candidates if not any(beats(q, p, lower=lower) for q in candidates)}
    for standing in ranking:
        if standing.dominated_by is not None:
            assert standing.dominated_by in on_frontier
            assert beats(by_key[standing.dominated_by], by_key[standing.key], lower=lower)
    assert len(ranking) == len(candidates)
    assert [s.on_frontier for s in ranking] == sorted((s.on_frontier for s in ranking), reverse=True)
