"""Scores as they are logged, made fit for the books: a finite number as its decimal text, exactly as given."""

from __future__ import annotations

import math

from joulebook_collectors.host.guard import say_once
from joulebook_collectors.host.identity import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

LONGEST_NUMBER = 64
_GREATEST_STEP = 2**63 - 1


def score_items(
    scores: Mapping[str, object],
    *,
    step: object,
    split: object,
    unit: object,
    lower_is_better: bool | Iterable[str] | None,
) -> list[dict[str, Any]]:
    """Return the scores as facts, without run, id and time. What is no finite number is said on stderr and left out."""
    shared: dict[str, Any] = {}
    if step is not None:
        number = _whole(step)
        if number is None:
            say_once(f"step must be a whole number of at least 0, not {str(step)[:60]!r}: it is left out")
        else:
            shared["step"] = number
    texts = {"split": clean(str(split)), "unit": clean(str(unit))}
    shared.update({name: text for name, text in texts.items() if text})
    items = []
    for name, value in scores.items():
        text = decimal_text(value)
        if text is None:
            say_once(f"score {clean(name)}={str(value)[:60]!r} is no finite number: it is not recorded")
            continue
        item = {"name": clean(name) or "score", "value": text, **shared}
        direction = _direction(name, lower_is_better)
        if direction is not None:
            item["lower_is_better"] = direction
        items.append(item)
    return items


def decimal_text(value: object) -> str | None:
    """Return a number as its decimal text; None for what is no finite number.

    Numbers of numpy and torch are asked for their plain value; a Decimal keeps all its digits.
    """
    if isinstance(value, str | bytes) or value is None:
        return None
    if not isinstance(value, int | float) and hasattr(value, "item"):
        try:
            value = value.item()
        except (TypeError, ValueError, RuntimeError):
            return None
    if isinstance(value, bool):
        value = int(value)
    try:
        finite = math.isfinite(value)  # type: ignore[arg-type]
        text = repr(value) if isinstance(value, int | float) else str(value)
        float(text)
    except (TypeError, ValueError, OverflowError):
        return None
    if len(text) > LONGEST_NUMBER:
        text = repr(float(text))
    return text if finite and math.isfinite(float(text)) else None


def _direction(name: str, lower_is_better: bool | Iterable[str] | None) -> bool | None:  # noqa: FBT001
    if lower_is_better is None or isinstance(lower_is_better, bool):
        return lower_is_better
    names = [lower_is_better] if isinstance(lower_is_better, str) else list(lower_is_better)
    return True if name in names else None


def _whole(value: object) -> int | None:
    text = decimal_text(value)
    if text is None or not float(text).is_integer():
        return None
    number = int(text) if text.isdecimal() else int(float(text))
    return number if 0 <= number <= _GREATEST_STEP else None
