"""A disk that refuses for a while, and on which a process may die in the middle of a write, at any byte of it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from joulebook_collectors.spool.checkpoint import Checkpoint
from joulebook_collectors.spool.segments import Segment, create_segment

if TYPE_CHECKING:
    from collections.abc import Callable

    from joulebook_collectors.spool.segments import Frame


class Killed(BaseException):
    """The process in which this is raised is gone: nothing may catch it but the world."""


class Disk:
    """The disk of one spool.

    Attributes:
        is_full: Whether it takes nothing that makes a file longer.
        is_broken: Whether it takes nothing at all.
        writes_to_live: After so many writes whoever writes is killed; None where nobody is about to be.
        cut: Where the last write is cut, in thousandths of it; above 1,000 the process dies after the whole write.
    """

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        """Take the clock by which the kernel dates files."""
        self.is_full = False
        self.is_broken = False
        self.writes_to_live: int | None = None
        self.cut = 0
        self.wall_ms = wall_ms

    def count_write(self) -> int | None:
        """Count a write that is about to be made; return where it is cut, if whoever makes it dies of it."""
        if self.writes_to_live is None:
            return None
        self.writes_to_live -= 1
        if self.writes_to_live >= 0:
            return None
        self.writes_to_live = None
        return self.cut


class SimSegment(Segment):
    """A segment on such a disk."""

    __slots__ = ("_disk", "_written")

    def __init__(self, folder: str, name: str, disk: Disk, written: Callable[[], None]) -> None:
        """Make it; it tells each time something was written."""
        made = create_segment(folder, name)
        super().__init__(made.path, made._file)
        self._disk = disk
        self._written = written

    def _write(self, data: bytes) -> None:
        if self._disk.is_full or self._disk.is_broken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        cut = self._disk.count_write()
        if cut is not None:
            os.write(self._file.descriptor, data[: len(data) * cut // 1_000])
            self._date()
            raise Killed
        super()._write(data)
        self._date()
        self._written()

    def _date(self) -> None:
        os.utime(self._file.descriptor, ns=(self._disk.wall_ms() * 1_000_000,) * 2)


class SimCheckpoint(Checkpoint):
    """A checkpoint on such a disk. It tells each time it came out whole."""

    __slots__ = ("_disk", "_saved")

    def __init__(self, folder: str, disk: Disk, saved: Callable[[], None]) -> None:
        """Open it."""
        super().__init__(folder)
        self._disk = disk
        self._saved = saved

    def write(self, frame: Frame, rest: bytes = b"{}", *, sync: bool = False) -> None:
        """Write it, as far as the disk and the process's life go."""
        if self._disk.is_broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        cut = self._disk.count_write()
        if cut is None:
            super().write(frame, rest, sync=sync)
            self._saved()
            return
        before = [_content(descriptor) for descriptor in self._descriptors]
        super().write(frame, rest, sync=sync)
        for descriptor, old in zip(self._descriptors, before, strict=True):
            new = _content(descriptor)
            if new != old:
                length = len(new.partition(b"\n")[0]) + 1
                reached = length * cut // 1_000
                os.pwrite(descriptor, new[:reached] + old[reached:], 0)
                os.ftruncate(descriptor, max(len(old), reached))
                if reached >= length:
                    self._saved()
        raise Killed


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, 1 << 24, 0)
