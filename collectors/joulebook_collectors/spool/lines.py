"""Lines of a spool's files: read between two places, and appended whole or not at all."""

from __future__ import annotations

import errno
import os

from joulebook_collectors.host.lock import read_file
from joulebook_collectors.spool.endings import DONE
from joulebook_collectors.spool.segments import decode_frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from joulebook_collectors.spool.segments import Frame

MOST_BYTES = 4 << 20


def frames_between(path: str, start: int, end: int, most: int = MOST_BYTES) -> tuple[list[Frame], int]:
    """Return the next frames of a segment between two places, and how many bytes they are: whole lines, and not many more than `most`.

    Of a finished segment a last line without an end is passed over: nobody will ever write the rest of it.
    """
    while True:
        reach = min(end, start + most)
        try:
            data = read_file(path, start, reach - start + 1)
        except OSError:
            return [], 0
        is_last = len(data) <= reach - start
        data = data[: reach - start]
        frames, _, length = decode_frames(data)
        if is_last and os.path.basename(os.path.dirname(path)) == DONE:
            return frames, len(data)
        if length or reach >= end:
            return frames, length
        most *= 2  # one line is longer than that


def append_whole(path: str, data: bytes) -> None:
    """Append lines to a file that nobody else writes; all of them, on the disk when this returns, or none.

    A line that a crash tore is closed first, so that it damages no other.

    Raises:
        OSError: The disk refuses; the file is as it was.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size and not read_file(path, size - 1).endswith(b"\n"):
            data = b"\n" + data
        if os.write(descriptor, data) < len(data):
            os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
