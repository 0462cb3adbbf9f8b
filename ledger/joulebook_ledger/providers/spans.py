"""Stretches of time as pairs of milliseconds, half-open, in order, none touching another. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Span = tuple[int, int]


def without(spans: Iterable[Span], covered: Iterable[Span]) -> list[Span]:
    """Return what is left of spans where others do not cover them.

    >>> without([(0, 10)], [(2, 4), (4, 5), (9, 12)])
    [(0, 2), (5, 9)]
    """
    left = list(spans)
    for start, end in sorted(covered):
        left = [
            part
            for span in left
            for part in ((span[0], min(span[1], start)), (max(span[0], end), span[1]))
            if part[0] < part[1]
        ]
    return left


def touches(spans: Iterable[Span], start: int, end: int) -> bool:
    """Say whether a stretch of time has anything in common with one of the spans."""
    return any(start < span[1] and end > span[0] for span in spans)


def questions(spans: list[Span], longest: int) -> Iterator[Span]:
    """Yield stretches of time, none longer than `longest`, that together cover the spans: as few as that takes.

    >>> list(questions([(0, 2), (5, 6), (20, 32)], 10))
    [(0, 6), (20, 30), (30, 32)]
    """
    left = spans
    while left:
        start = left[0][0]
        within = [span for span in left if span[0] < start + longest]
        yield start, min(start + longest, within[-1][1])
        left = without(left, [(start, start + longest)])
