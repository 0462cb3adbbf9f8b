"""The Pareto frontier of a score against a resource: which models are not beaten in both at once.

A point is dominated where another is at least as good in score and resource and better in one of them. Points that are equal in both
stand or fall together. Comparisons are exact: integers and floats are compared as the rational numbers they are.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

from joulebook_ledger.core.refusals import BadInput

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point(Generic[Key]):
    """One candidate.

    Attributes:
        key: What it is, such as (model, version).
        score: How good it is.
        resource: What it took; less is better; at least 0.
    """

    key: Key
    score: float
    resource: float

    def __post_init__(self) -> None:
        """Refuse what cannot be compared."""
        if not math.isfinite(self.score):
            message = f"the score of {self.key!r} must be a finite number, not {self.score!r}"
            raise BadInput(message)
        if not math.isfinite(self.resource) or self.resource < 0:
            message = f"the resource of {self.key!r} must be a finite number of at least 0, not {self.resource!r}"
            raise BadInput(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing(Generic[Key]):
    """Where a candidate stands.

    Attributes:
        key: What it is.
        on_frontier: Whether nothing dominates it.
        dominated_by: Of the points of the frontier that dominate it, the one with the best ratio of score to resource; None on the
            frontier.
        ratio: Score per resource; None at resource 0.
    """

    key: Key
    on_frontier: bool
    dominated_by: Key | None
    ratio: float | None


def rank(points: Sequence[Point[Key]], *, lower_is_better: bool = False) -> list[Standing[Key]]:
    """Return the standing of every point: the frontier first, then the rest; within each the best ratio first.

    The best ratio is the greatest score per resource; where lower scores are better it is the least score × resource, because there
    a quotient rewards spending. Ties keep the order given.

    Args:
        points: Candidates, each with a key of its own.
        lower_is_better: Whether less of the score is better.
    """
    frontier = _frontier(points, lower_is_better=lower_is_better)
    members = {id(point) for point in frontier}
    by_worth = sorted(points, key=lambda point: _worth(point, lower_is_better=lower_is_better), reverse=True)
    best_first = [point for point in by_worth if id(point) in members]
    standings = [
        Standing(key=point.key, on_frontier=True, dominated_by=None, ratio=_ratio(point)) for point in best_first
    ]
    for point in by_worth:
        if id(point) in members:
            continue
        rival = next(p for p in best_first if _dominates(p, point, lower_is_better=lower_is_better))
        standings.append(Standing(key=point.key, on_frontier=False, dominated_by=rival.key, ratio=_ratio(point)))
    return standings


def _frontier(points: Sequence[Point[Key]], *, lower_is_better: bool) -> list[Point[Key]]:
    """Return the points that nothing dominates, in one pass from the least resource upwards."""
    frontier: list[Point[Key]] = []
    for point in sorted(points, key=lambda p: (p.resource, -_goodness(p, lower_is_better=lower_is_better))):
        last = frontier[-1] if frontier else None
        if (
            last is None
            or _goodness(point, lower_is_better=lower_is_better) > _goodness(last, lower_is_better=lower_is_better)
            or (point.score, point.resource) == (last.score, last.resource)
        ):
            frontier.append(point)
    return frontier


def _goodness(point: Point[Key], *, lower_is_better: bool) -> float:
    return -point.score if lower_is_better else point.score


def _dominates(one: Point[Key], other: Point[Key], *, lower_is_better: bool) -> bool:
    good, bad = (_goodness(p, lower_is_better=lower_is_better) for p in (one, other))
    return one.resource <= other.resource and good >= bad and (one.resource < other.resource or good > bad)


def _worth(point: Point[Key], *, lower_is_better: bool) -> tuple[bool, Fraction]:
    """Return what candidates are ordered by, greatest first; a positive score at no cost is worth more than any ratio."""
    score, resource = Fraction(point.score), Fraction(point.resource)
    if lower_is_better:
        return False, -score * resource
    if not resource:
        return score > 0, score
    return False, score / resource


def _ratio(point: Point[Key]) -> float | None:
    return point.score / point.resource if point.resource else None
