"""The JSON bodies of corrections. Columns keep the short names of CORE, in the smallest unit."""

from __future__ import annotations

from typing_extensions import TypedDict

Said = dict[str, int | str | None]


class CorrectedBody(TypedDict):
    """One fact that is voided: what it said, and what is said in its place; null where nothing is."""

    was: Said
    now: Said | None


class CorrectBody(TypedDict):
    """A correction: which facts it voids; link and head are null where nothing was written."""

    kind: str
    reason: str
    author: str
    dry_run: bool
    facts: list[CorrectedBody]
    entries: int
    link: int | None
    head: str | None
