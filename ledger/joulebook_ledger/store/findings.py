"""What a check of the book found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from joulebook_ledger.store.rows import Row


class Check(NamedTuple):
    """One check: what was proven, or the first thing that differs.

    Attributes:
        name: What was checked, such as "links".
        ok: Whether it holds.
        detail: How much was checked; or what differs, and where.
    """

    name: str
    ok: bool
    detail: str


def found(name: str, difference: str | None, checked: str) -> Check:
    """Return a check that holds where there is no difference."""
    return Check(name, ok=difference is None, detail=checked if difference is None else difference)


def many(number: int, what: str) -> str:
    """Return a number of things.

    >>> many(1, "link"), many(2, "entry"), many(3, "day")
    ('1 link', '2 entries', '3 days')
    """
    if number == 1:
        return f"1 {what}"
    return f"{number} {what[:-1]}ies" if what.endswith("ry") else f"{number} {what}s"


class Groups:
    """Rows in order of their first column, asked for by its values in that order."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._groups: Iterator[tuple[int, Iterator[Row]]] = groupby(rows, key=itemgetter(0))
        self._next = self._advance()

    def of(self, key: int) -> list[Row]:
        """Return the rows of a key, without it; keys asked for must grow."""
        while self._next is not None and self._next[0] < key:
            self._next = self._advance()
        if self._next is None or self._next[0] > key:
            return []
        group = self._next[1]
        self._next = self._advance()
        return group

    def _advance(self) -> tuple[int, list[Row]] | None:
        pair = next(self._groups, None)
        return None if pair is None else (pair[0], [row[1:] for row in pair[1]])
