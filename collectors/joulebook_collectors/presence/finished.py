"""Processes that came and went between two looks: their segments lie with the finished ones before the reader ever saw them."""

from __future__ import annotations

import os

from joulebook_collectors.host.clock import wall_ms
from joulebook_collectors.spool.endings import DONE, MERGED
from joulebook_collectors.spool.segments import is_newer, segment_names

# A folder's time is as coarse as the kernel's tick: after so long a further change shows.
SETTLED_MS = 100


class Finished:
    """The finished segments of a spool, of which each is named once.

    What was finished before the first look was heard by a reader before us, or by none: its time is over.
    """

    __slots__ = ("_changed_ns", "_folder", "_is_first_look", "heard")

    def __init__(self, folder: str) -> None:
        """Begin with a spool that nobody has looked at."""
        self._folder = os.path.join(folder, DONE)
        self._changed_ns: int | None = 0
        self._is_first_look = True
        self.heard: set[str] = set()

    def unheard(self, known: list[str]) -> list[str]:
        """Return the names of those that came since the last look; `known` are the segments that are not finished yet."""
        self.heard.update(known)
        changed_ns = _changed_ns(self._folder)
        if changed_ns and changed_ns == self._changed_ns:
            return []
        self._changed_ns = changed_ns
        finished = [] if changed_ns is None else segment_names(self._folder)
        new = [] if self._is_first_look else [name for name in finished if self._is_unheard(name)]
        self._is_first_look = False
        self.heard = {*finished, *known}
        return new

    def _is_unheard(self, name: str) -> bool:
        is_news = name not in self.heard and not name.startswith(MERGED)
        return is_news and not is_newer(os.path.join(self._folder, name))


def _changed_ns(folder: str) -> int | None:
    """Return when a folder's names changed last; 0 where that was just now, for what changes within one tick has the same time.

    None where there is no such folder.
    """
    try:
        changed_ns = os.stat(folder).st_mtime_ns
    except FileNotFoundError:
        return None
    except OSError:
        return 0
    return changed_ns if changed_ns < (wall_ms() - SETTLED_MS) * 1_000_000 else 0
