"""What a service's answer says, as the one who asked understands it."""

from __future__ import annotations

import json
from typing import Any

from joulebook_ledger.core.refusals import BadInput, Malformed, NotFound, Refused

_PLAIN_BAD_INPUT = frozenset({"bad-input", "bad-parameter", "wrong-content-type"})


def json_object(content: bytes) -> dict[str, Any] | None:
    """Return the JSON object that an answer is, or None where it is none."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def bad_input(name: str, detail: str) -> BadInput:
    """Return the error that a problem's name stands for, with what the service said of it."""
    if name in {"malformed-batch", "too-large"}:
        return Malformed(detail)
    if name == "not-found":
        return NotFound(detail)
    if name in _PLAIN_BAD_INPUT:
        return BadInput(detail)
    return Refused(name.replace("-", "_"), detail)
