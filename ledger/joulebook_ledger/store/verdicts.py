"""What becomes of an item of a batch."""

from __future__ import annotations

from typing import NamedTuple


class Verdict(NamedTuple):
    """An outcome, with reason and detail where there is one (`core.wire.Outcome`)."""

    outcome: str
    reason: str = ""
    detail: str = ""


STORED = Verdict("stored")
STORED_AFTER_CLOSE = Verdict("stored_after_close")
ALREADY_STORED = Verdict("already_stored")


def refused(reason: str, detail: str) -> Verdict:
    """Return the refusal of an item that breaks a rule."""
    return Verdict("refused", reason, detail)


def conflict(reason: str, detail: str) -> Verdict:
    """Return the verdict on an item whose key holds another content."""
    return Verdict("conflicts_with_stored", reason, detail)


def later(reason: str, detail: str) -> Verdict:
    """Return the verdict on an item that the sender keeps for later."""
    return Verdict("retry_later", reason, detail)
