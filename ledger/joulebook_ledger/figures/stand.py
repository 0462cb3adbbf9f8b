"""On what an answer stands: a link of the chain, and the instant up to which everything known is booked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.periods import parse_time, time_text
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.store import reads
from joulebook_ledger.store.reads import NO_LIMIT

if TYPE_CHECKING:
    from joulebook_ledger.store.rows import Rows


class Stand(NamedTuple):
    """What a view is of.

    Attributes:
        link: Number of the newest link it takes in; 0 for a book without any.
        head: Digest of that link.
        limit: Bound for reading facts: the link, or NO_LIMIT where it seals all there are.
        as_of: What was asked for, or None for now.
        booked_until_ms: Instant up to which what readers sent is in the books, or None.
    """

    link: int
    head: str
    limit: int
    as_of: str | None
    booked_until_ms: int | None

    @property
    def booked_until(self) -> str | None:
        """The same as a text."""
        return None if self.booked_until_ms is None else time_text(self.booked_until_ms)


def stand_of(rows: Rows, as_of: str = "") -> Stand:
    """Return what a view stands on: the newest link, or that of an `as_of` (a link's number or a past instant).

    Raises:
        BadInput: There is no such link, or none that early; the message names what there is.
    """
    newest = reads.last_link(rows)
    if not as_of:
        # What no link seals yet stands in no report: asked as of this link later, the report is to be the same.
        limit = newest.sequence if reads.is_sealing_due(rows) else NO_LIMIT
        return Stand(newest.sequence, newest.digest, limit, None, _booked_until_ms(rows, limit))
    if as_of.isascii() and as_of.isdigit():
        link = reads.link_of(rows, int(as_of[:18]))  # 64 bits hold that; no chain is as long as a longer number says
        if link is None:
            raise BadInput(f"the chain has no link {as_of[:60]}: it has 1 to {newest.sequence}")
    else:
        link = reads.link_at(rows, parse_time(as_of))
        if link is None:
            first = reads.link_of(rows, 1)
            since = f"it begins at {time_text(first.at_ms)}" if first else "it has no link yet"
            raise BadInput(f"nothing was booked by {as_of}: {since}")
    complete = reads.complete_until_ms(rows, link.sequence) or None
    return Stand(link.sequence, link.digest, link.sequence, as_of, complete)


def _booked_until_ms(rows: Rows, limit: int) -> int | None:
    """Return up to when all is booked: what readers say is complete, or the first day that still waits."""
    complete = reads.complete_until_ms(rows, limit) or None
    waiting = reads.first_unbooked_day(rows)
    if complete is None or waiting is None:
        return complete
    return min(complete, waiting * MILLISECONDS_PER_DAY)
