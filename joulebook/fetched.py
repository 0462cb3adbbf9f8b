"""`joulebook factors fetch`: what live providers gave, and which hours nobody has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook.tables import Column, Page, grid
from joulebook_ledger.core.periods import parse_time
from joulebook_ledger.queries import FetchQuery

if TYPE_CHECKING:
    from joulebook_ledger.providers.bodies import FetchBody

_MOST_HOLES = 10


def query_of(*, zone: str, since: str, until: str, provider: str) -> FetchQuery:
    """Return the query of what was written.

    Raises:
        BadInput: An instant is none.
    """
    return FetchQuery(
        zone=zone,
        from_ms=parse_time(since) if since else None,
        to_ms=parse_time(until) if until else None,
        provider=provider,
    )


def page(body: FetchBody, paper: Page) -> str:
    """Return who was asked for what, what was new, and what is missing still."""
    columns = [
        Column("PROVIDER"),
        Column("ZONE"),
        Column("FROM"),
        Column("TO"),
        Column("NEW", right=True),
        Column("", shrinks=True),
    ]
    rows = [
        [item["provider"], item["zone"], item["from"][:16], item["to"][:16], str(item["stored"]), item["detail"] or ""]
        for item in body["items"]
    ]
    said = [
        grid(columns, rows, paper) if rows else "Nobody had to be asked: the book has a final value for every hour."
    ]
    said += [
        f"no value yet: {hole['kind']} of {hole['zone']}, {hole['from'][:16]} to {hole['to'][:16]}"
        for hole in body["holes"][:_MOST_HOLES]
    ]
    if (more := len(body["holes"]) - _MOST_HOLES) > 0:
        said.append(f"and {more} more stretches of time without a value")
    return "\n".join(said)
