"""How providers write instants in addresses."""

from __future__ import annotations

from joulebook_ledger.core.periods import time_text


def minute_text(time_ms: int) -> str:
    """Return an instant to the minute, in UTC.

    >>> minute_text(0)
    '1970-01-01T00:00Z'
    """
    return f"{time_text(time_ms)[:16]}Z"


def packed_minute_text(time_ms: int) -> str:
    """Return an instant to the minute without signs between, in UTC.

    >>> packed_minute_text(0)
    '197001010000'
    """
    return "".join(character for character in time_text(time_ms)[:16] if character.isdigit())
