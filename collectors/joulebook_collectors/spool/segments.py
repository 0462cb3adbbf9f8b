"""Append-only files that stay readable however they are cut: one per process, one frame per line.

A frame is `crc32 json`: eight hexadecimal digits, a space, one JSON object in ASCII without line ends. What is written together is
read together or not at all; a torn or damaged line is passed over and counted, and the next line is whole again. A write that came
out short (a full disk) is cut back, so that no frame is ever glued to a half one.

The owner holds the lock of its segment for as long as it lives: who can take it knows that the owner is gone.

The first frame of a segment says in which form its frames are. One of a newer form than ours is left as it is: to those who know it.
"""

from __future__ import annotations

import errno
import os
import threading
from binascii import crc32

from joulebook_collectors.host.lock import LockedFile, adopt, forget, read_file
from joulebook_collectors.host.quickjson import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Frame = dict[str, Any]

ENDING = ".segment"
FORM = 1
# The last line of a segment that a reader left in good order: no successor writes any of it once more.
ROLLED: Frame = {"rolled": True}
# A spool that has this file holds as much as it may: readers keep their windows open.
FULL = "full"
MOST_PENDING = 20_000
_PREFIX_BYTES = 9
_FORM_KEY = b'{"form":'


def encode_frame(frame: Frame) -> bytes:
    """Return a frame as one line."""
    return line_of(encode(frame).encode())


def line_of(body: bytes) -> bytes:
    """Return a frame that is encoded already as one line."""
    return b"%08x %s\n" % (crc32(body), body)


def decode_frames(data: bytes) -> tuple[list[Frame], int, int]:
    """Return the good frames, how many lines were damaged, and how many bytes were whole lines.

    What follows the last line end may still be being written: it is neither good nor damaged yet.
    """
    end = data.rfind(b"\n") + 1
    frames, damaged = [], 0
    for line in data[:end].split(b"\n")[:-1]:
        frame = decode_line(line)
        if frame is not None:
            frames.append(frame)
        elif line:
            damaged += 1
    return frames, damaged, end


def decode_line(line: bytes) -> Frame | None:
    """Return the frame of a line without its end; None where a bit of it is not as it was written."""
    body = line[_PREFIX_BYTES:]
    if line[:_PREFIX_BYTES] != b"%08x " % crc32(body):
        return None
    try:
        frame = decode(body)
    except ValueError:
        return None
    return frame if isinstance(frame, dict) else None


class NewerSpoolError(OSError):
    """Raised where a newer version has written what we would have to understand: it is left untouched."""

    def __init__(self, path: str) -> None:
        super().__init__(newer_text(path))


def newer_text(path: str) -> str:
    """Return what to tell of a file that a newer version wrote."""
    return (
        f"{path} was written by a newer Joulebook and is left as it is: update this one (pip install -U joulebook), "
        "and the next command goes on with it"
    )


class Segment:
    """The segment of this process. Appending never raises and never waits for another thread.

    Attributes:
        path: Where it lies.
        trouble: Why the last write failed; empty while all is written.
        lost: Frames given up because too many were waiting for a disk.
    """

    __slots__ = (
        "_busy",
        "_file",
        "_is_begun",
        "_is_closed",
        "_pending",
        "_process",
        "_torn",
        "lost",
        "path",
        "trouble",
    )

    def __init__(self, path: str, file: LockedFile) -> None:
        self.path = path
        self.trouble = ""
        self.lost = 0
        self._file = file
        self._pending: list[bytes] = []
        self._busy = threading.Lock()
        self._process = os.getpid()
        self._torn = False
        self._is_begun = False
        self._is_closed = False

    def append(self, *frames: Frame) -> None:
        """Write frames, or keep them for the next call where a disk refuses or another thread is just writing.

        In a forked child it does nothing: the segment is the parent's.
        """
        if self._process != os.getpid():
            return
        if frames and not self._is_begun:
            self._is_begun = True
            frames = ({"form": FORM, **frames[0]}, *frames[1:])
        self._pending += [encode_frame(frame) for frame in frames]
        while self._pending and self._busy.acquire(blocking=False):
            try:
                written = self._write_pending()
            finally:
                self._busy.release()
            if not written:
                break
        if len(self._pending) > MOST_PENDING:
            self.lost += len(self._pending) - MOST_PENDING
            del self._pending[:-MOST_PENDING]

    @property
    def name(self) -> str:
        """Its file's name."""
        return os.path.basename(self.path)

    @property
    def is_written(self) -> bool:
        """Whether nothing waits in memory."""
        return not self._pending

    def close(self, *, remove: bool = False) -> None:
        """Let go of the file, and of the lock that says this process lives."""
        if self._process != os.getpid() or self._is_closed:
            return
        with self._busy:  # a thread that is just writing ends first: the number of a closed file is soon another file's
            self._is_closed = True
            if remove:
                remove_file(self.path)
            forget(self._file)

    def _write_pending(self) -> bool:
        if self._is_closed:
            return False
        waiting = self._pending[:]
        data = b"".join(waiting)
        try:
            self._write(data)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return False
        self.trouble = ""
        del self._pending[: len(waiting)]
        return True

    def _write(self, data: bytes) -> None:
        """Write all of it or nothing: what came out short is cut back, or else closed by a line end before the next frame.

        Only the holder of `_busy` gets here, so nobody else appends in between.
        """
        if self._torn:
            data = b"\n" + data
        written = os.write(self._file.descriptor, data)
        if written == len(data):
            self._torn = False
            return
        self._torn = True
        os.ftruncate(self._file.descriptor, os.fstat(self._file.descriptor).st_size - written)
        self._torn = False
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def create_segment(folder: str, name: str) -> Segment:
    """Make and lock a new segment; it appears under its name only once it is locked, so that nobody takes us for dead.

    Raises:
        OSError: The folder cannot be written.
    """
    path = os.path.join(folder, name + ENDING)
    # Windows renames no open file; there the name is seen a moment before the lock.
    new = path if os.name == "nt" else os.path.join(folder, f".{name}.new")
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    file = adopt(os.open(new, flags, 0o600))
    try:
        file.try_take()
    except OSError:
        pass  # a file system without locks: others tell by the process id whether we live
    try:
        if new != path:
            os.rename(new, path)
    except OSError:
        forget(file)
        raise
    return Segment(path, file)


def segment_names(folder: str) -> list[str]:
    """Return the names of the segments of a folder, in order; a folder that is gone has none."""
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(ENDING))
    except OSError:
        return []


def is_newer(path: str) -> bool:
    """Tell whether a segment is of a form that only newer versions know. One without a form is of the first release."""
    try:
        head = read_file(path, 0, 64)[_PREFIX_BYTES:]
    except OSError:
        return False
    digits = head[len(_FORM_KEY) :].partition(b",")[0].partition(b"}")[0]
    return head.startswith(_FORM_KEY) and digits.isdigit() and int(digits) > FORM


def is_full(folder: str) -> bool:
    """Tell whether a spool holds as much as it may."""
    return os.path.exists(os.path.join(folder, FULL))


def mark_full(folder: str) -> None:
    """Say to readers that the spool holds as much as it may."""
    try:
        os.close(os.open(os.path.join(folder, FULL), os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
    except OSError:
        pass


def size_of(folder: str) -> int:
    """Return how many bytes a spool's files take."""
    return sum(bytes_of(os.path.join(place, name)) for place, _, names in os.walk(folder) for name in names)


def bytes_of(path: str) -> int:
    """Return how large a file is; 0 for one that is gone."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def remove_file(path: str) -> None:
    """Remove a file if it is there and can be removed."""
    try:
        os.unlink(path)
    except OSError:
        pass
