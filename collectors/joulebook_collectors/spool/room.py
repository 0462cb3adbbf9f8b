"""How much a spool may hold while its ledger is away, and what is done when it holds more.

First what was sent already and is only kept for figures of runs that are still open is removed, then windows are merged, the oldest
first. If that is not enough, a mark says so to the reader: it keeps its windows open then, with the values of its counters, and
writes one when there is room. Nothing is ever dropped.
"""

from __future__ import annotations

import os

from joulebook_collectors.spool.endings import DONE, MERGED
from joulebook_collectors.spool.merging import is_rolled
from joulebook_collectors.spool.segments import FULL, bytes_of, is_newer, mark_full, remove_file, segment_names, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Delivery(Protocol):
        """What knows which of a spool's segments were sent."""

        folder: str
        offsets: dict[str, int]

        def in_batch(self) -> set[str]:
            """Return the segments that must stay as they are."""

        def merge(self, names: list[str]) -> None:
            """Make one of several segments."""


MOST_MERGED_BYTES = 16 << 20


def relieve(delivery: Delivery, most_bytes: int, *, is_disk_full: bool) -> None:
    """Make room in a spool that cannot be sent, if it takes more than it may, or the disk is full."""
    folder = delivery.folder
    if not is_disk_full and (not most_bytes or size_of(folder) <= most_bytes):
        return
    try:
        done = os.path.join(folder, DONE)
        fixed = delivery.in_batch()
        names = [name for name in _by_age(done) if name not in fixed]
        for name in names:
            if delivery.offsets.get(name, 0) >= bytes_of(os.path.join(done, name)):
                remove_file(os.path.join(done, name))
        for group in _groups(done, names):
            if most_bytes and size_of(folder) <= most_bytes:
                break
            delivery.merge(group)
    except OSError:
        pass  # not even room to merge: the reader keeps its windows open
    if most_bytes and size_of(folder) > most_bytes:
        mark_full(folder)


def relieved(folder: str) -> None:
    """Take the mark away: the next delivery sets it again where it has to."""
    remove_file(os.path.join(folder, FULL))


def _groups(done: str, names: list[str]) -> list[list[str]]:
    """Return finished segments that were not merged yet, the oldest first, so many together as can well be held in memory."""
    groups: list[list[str]] = []
    size = MOST_MERGED_BYTES
    for name in names:
        path = os.path.join(done, name)
        if name.startswith(MERGED) or is_newer(path) or not is_rolled(path):
            continue
        if size >= MOST_MERGED_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += bytes_of(path)
    return groups


def _by_age(folder: str) -> list[str]:
    return sorted(segment_names(folder), key=lambda name: (_modified_ns(os.path.join(folder, name)), name))


def _modified_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
