"""The one place where everything is caught: measuring never raises into the job it measures.

A fault of ours (or of a disk, a driver, a full table of processes) becomes one quiet line on stderr, once per process and kind.
"""

from __future__ import annotations

import functools
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")
    F = TypeVar("F")

MOST_SAID = 30
_said: set[str] = set()


def harmless(fallback: F) -> Callable[[Callable[P, R]], Callable[P, R | F]]:
    """Wrap a function so that whatever goes wrong in it is said once, and `fallback` is returned in its place.

    KeyboardInterrupt and SystemExit pass: they are the user's.
    """

    def wrap(function: Callable[P, R]) -> Callable[P, R | F]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R | F:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - the one place for it: the job must not notice us
                say_once(f"{type(error).__name__}: {error}; the job goes on, what is measured of it may be incomplete")
                return fallback

        return guarded

    return wrap


def say_once(sentence: str) -> None:
    """Write one line to stderr, if this process has not said it before, nor too much else; where nobody listens nothing happens."""
    if sentence not in _said and len(_said) < MOST_SAID:
        _said.add(sentence)
        say(sentence)


def say(sentence: str) -> None:
    """Write one line to stderr."""
    try:
        os.write(sys.stderr.fileno() if sys.stderr else 2, f"joulebook: {sentence}\n".encode(errors="replace"))
    except (OSError, ValueError, AttributeError):
        return
