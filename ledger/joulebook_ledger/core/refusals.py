"""The one exception tree of bad input.

JoulebookError
 +-- BadInput              what was given cannot be taken: names the value and the way out (exit code 2, HTTP 4xx)
 |    +-- UnitMismatch     two amounts of unlike units were added
 |    +-- NotFound         nothing in the book has the name that was asked for (HTTP 404)
 |    +-- Refused          one fact of a batch breaks a rule of the record
 +-- Malformed             bytes that are no batch at all: the whole of it is refused
 +-- Unavailable           nothing is wrong with the input; the way to the ledger is (exit code 3, HTTP 503)
"""

from __future__ import annotations


class JoulebookError(Exception):
    """Root of all errors of Joulebook. Its text is one sentence for a person, with the way out."""

    exit_code = 1


class BadInput(JoulebookError):
    """Raised when a value given by a person or a client cannot be taken."""

    exit_code = 2


class NotFound(BadInput, LookupError):
    """Raised when nothing in the book has the name that was asked for; the text names the nearest."""


class UnitMismatch(BadInput, TypeError):
    """Raised when amounts of unlike units are added, subtracted or compared."""


class Refused(BadInput, ValueError):
    """Raised when a fact breaks a rule of its record.

    Attributes:
        reason: Machine-readable rule, such as `window_crosses_an_hour`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Malformed(BadInput, ValueError):
    """Raised when bytes are no well-formed batch; nothing of it is stored."""


class Unavailable(JoulebookError):
    """Raised when the ledger cannot be reached or is of another version; nothing was lost.

    Attributes:
        wait_seconds: How long it asked to be left alone; 0 where it did not say.
    """

    exit_code = 3

    def __init__(self, text: str = "", *, wait_seconds: float = 0) -> None:
        super().__init__(text)
        self.wait_seconds = wait_seconds
