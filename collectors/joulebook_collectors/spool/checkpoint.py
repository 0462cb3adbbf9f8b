"""What a successor needs to go on, written anew each second: two files in turn, so that one of them is always whole.

Both keep their blocks on disk and are written over in place, so a disk that fills up later does not stop them. Nothing is synced: a
checkpoint survives the death of every process, and a loss of power costs at most what the kernel had not yet written.
"""

from __future__ import annotations

import errno
import os

from joulebook_collectors.host.quickjson import encode
from joulebook_collectors.spool.segments import NewerSpoolError, decode_line, line_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from joulebook_collectors.spool.segments import Frame

NAME = "checkpoint"
_FILES = 2
NOTES = "delivery"
# Of what `handover` and `delivery` write. What an older version left in another form is not read; a newer one's is left as it is.
FORM = 4
FORMS = {NAME: FORM, NOTES: 4}
_MOST_BYTES = 64 << 20
_OWN = ("form", "number")


class Checkpoint:
    """A small state that is written over and over, by the one process that holds the lock it belongs to."""

    __slots__ = ("_descriptors", "_form", "_number")

    def __init__(self, folder: str, name: str = NAME) -> None:
        """Open both files, made where they are missing.

        Raises:
            OSError: They can be neither opened nor made, or a newer version wrote them.
        """
        frames = _frames(folder, name)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        self._descriptors: list[int] = []
        for path in _paths(folder, name):
            self._descriptors.append(os.open(path, flags, 0o600))
        self._form = FORMS.get(name, 1)
        self._number = max((int(frame["number"]) for frame in frames), default=0)

    def write(self, frame: Frame, rest: bytes = b"{}", *, sync: bool = False) -> None:
        """Write over the older of the two.

        Args:
            frame: What is to be encoded.
            rest: What is encoded already: a JSON object, beside the other.
            sync: Whether it has to be on the disk when this returns; never on a job's path.

        Raises:
            OSError: The disk refuses; the newer of the two is untouched.
        """
        number = self._number + 1
        if frame:
            state = {name: value for name, value in frame.items() if name not in _OWN}
            rest = _joined(encode(state).encode(), rest)
        data = line_of(_joined(b'{"form":%d,"number":%d}' % (self._form, number), rest))
        descriptor = self._descriptors[number % _FILES]
        written = _write_at_start(descriptor, data, 0)
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if sync:
            os.fsync(descriptor)
        self._number = number

    def close(self) -> None:
        """Close both files."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []


def read_checkpoint(folder: str, name: str = NAME) -> Frame | None:
    """Return what was written last and came out whole; None where there is nothing.

    Raises:
        NewerSpoolError: A newer version wrote it.
    """
    return max(_frames(folder, name), key=lambda frame: int(frame["number"]), default=None)


def _joined(one: bytes, other: bytes) -> bytes:
    """Return two JSON objects as one."""
    if len(other) <= len(b"{}"):
        return one
    return other if len(one) <= len(b"{}") else b"%s,%s" % (one[:-1], other[1:])


def _write_from(descriptor: int, data: bytes, place: int) -> int:
    """Do what `pwrite` does, where there is none (Windows)."""
    os.lseek(descriptor, place, os.SEEK_SET)
    return os.write(descriptor, data)


_write_at_start = getattr(os, "pwrite", _write_from)


def _paths(folder: str, name: str) -> list[str]:
    return [os.path.join(folder, f"{name}.{number}") for number in range(_FILES)]


def _frames(folder: str, name: str) -> list[Frame]:
    frames = []
    known = FORMS.get(name, 1)
    for path in _paths(folder, name):
        try:
            with open(path, "rb") as file:
                frame = decode_line(file.readline(_MOST_BYTES).rstrip(b"\n"))
        except OSError:
            continue
        if frame is None or not isinstance(form := frame.get("form"), int):
            continue
        if form > known:
            raise NewerSpoolError(path)
        if form == known and isinstance(frame.get("number"), int):
            frames.append(frame)
    return frames
