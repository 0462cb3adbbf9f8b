"""Log lines of the agent that a person can grep: one line each, `level=… event=… key=value`, to stderr.

What goes wrong again and again is said once per cause, and once more when it is over, with how often it happened meanwhile.
"""

from __future__ import annotations

import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS = ("debug", "info", "warning", "error")
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@+,%~")
_LONGEST = 1_000
_MOST_CAUSES = 1_000


class Log:
    """Writes lines at a level or above it. May be used by several threads."""

    __slots__ = ("_causes", "_guard", "_least", "_write")

    def __init__(self, level: str = "info", write: Callable[[str], object] | None = None) -> None:
        self._least = LEVELS.index(level)
        self._write = _to_stderr if write is None else write
        self._causes: dict[str, int] = {}
        self._guard = threading.Lock()

    def debug(self, event: str, **fields: object) -> None:
        """Write what only somebody who looks for a fault wants to know."""
        self._line("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Write what happened."""
        self._line("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Write what somebody should look at."""
        self._line("warning", event, fields)

    def fault(self, event: str, **fields: object) -> None:
        """Write what keeps the agent from its work."""
        self._line("error", event, fields)

    def trouble(self, cause: str, event: str, **fields: object) -> None:
        """Write a warning, unless this cause was told of already and is not over yet."""
        with self._guard:
            times = self._causes.get(cause, 0)
            if not times and len(self._causes) >= _MOST_CAUSES:
                return
            self._causes[cause] = times + 1
        if not times:
            self._line("warning", event, fields)

    def over(self, cause: str, event: str, **fields: object) -> None:
        """Write that a trouble is over, if there was one."""
        with self._guard:
            times = self._causes.pop(cause, 0)
        if times:
            self._line("info", event, {**fields, "times": times})

    def _line(self, level: str, event: str, fields: dict[str, object]) -> None:
        if LEVELS.index(level) >= self._least:
            parts = [f"level={level}", f"event={event}", *(f"{key}={_shown(value)}" for key, value in fields.items())]
            self._write(" ".join(parts))


def _shown(value: object) -> str:
    """Return a value as one word: as it is where it is plain, else in quotes, with no sign that could begin another line."""
    text = str(value)[:_LONGEST]
    if text and _BARE.issuperset(text):
        return text
    safe = "".join(letter if letter.isprintable() else "?" for letter in text.replace("\n", " "))
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _to_stderr(line: str) -> None:
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return  # nobody listens any more
