"""Asking again: what may go right in a moment, and how long the other side asks to be left alone."""

from __future__ import annotations

import email.utils
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import tenacity


class AgainLater(Exception):
    """What went wrong may go right in a moment.

    Attributes:
        wait_seconds: How long it asks to be left alone; 0 where it does not say.
    """

    def __init__(self, text: str, wait_seconds: float = 0.0) -> None:
        super().__init__(text)
        self.wait_seconds = wait_seconds


def asked_wait(state: tenacity.RetryCallState) -> float:
    """Return the seconds that the other side asked to wait before the next attempt."""
    error = state.outcome.exception() if state.outcome else None
    return error.wait_seconds if isinstance(error, AgainLater) else 0.0


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that an answer asks to wait: a number, or an instant held against the answer's own clock; else 0."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = email.utils.parsedate_to_datetime(text)
        return max(0.0, (until - email.utils.parsedate_to_datetime(headers.get("date", ""))).total_seconds())
    except (TypeError, ValueError):
        return 0.0
