"""Where the reader of a job writes: into its process's own segment until that is large, then into segments of windows alone.

Each of those is finished once it is large, so that it can be sent and removed, or merged where it cannot be sent, while the job goes
on. As each is finished the spool is weighed: on a host where nobody delivers nobody else would, and a reader keeps its windows open
in a spool that holds as much as it may.
"""

from __future__ import annotations

import os

from joulebook_collectors.spool.endings import move_to_done
from joulebook_collectors.spool.segments import bytes_of, create_segment, mark_full, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from joulebook_collectors.reading.reader import Reader
    from joulebook_collectors.spool.segments import Segment

LARGEST_BYTES = 1 << 20


class Rolling:
    """The segments of one reader, one after the other."""

    __slots__ = ("_largest_bytes", "_most_bytes", "_own", "_segment")

    def __init__(self, own: Segment, most_bytes: int, largest_bytes: int = LARGEST_BYTES) -> None:
        """Begin with the process's own segment.

        Args:
            own: It; what it is and when it ends is its process's affair.
            most_bytes: What the spool may hold; 0 for any amount.
            largest_bytes: How large a segment gets before the next one follows.
        """
        self._own = own
        self._segment = own
        self._most_bytes = most_bytes
        self._largest_bytes = largest_bytes

    def turn(self, reader: Reader) -> None:
        """Let the reader go on in a new segment where this one is large; what the disk refuses is tried again the next time."""
        if bytes_of(self._segment.path) <= self._largest_bytes:
            return
        folder = os.path.dirname(self._segment.path)
        try:
            fresh = create_segment(folder, f"{os.getpid()}-{os.urandom(6).hex()}")
        except OSError:
            return
        if not reader.write_to(fresh):
            fresh.close(remove=True)
            return
        self._finish()
        self._segment = fresh
        if self._most_bytes and size_of(folder) > self._most_bytes:
            mark_full(folder)

    def end(self) -> None:
        """The reader has ended: finish its last segment. One that could not be written whole is left to who recovers the spool."""
        if self._segment.is_written:
            self._finish()

    def _finish(self) -> None:
        if self._segment is self._own:
            return
        try:
            move_to_done(self._segment.path)
        except OSError:
            return  # the next command does it once this process is gone
        self._segment.close()
