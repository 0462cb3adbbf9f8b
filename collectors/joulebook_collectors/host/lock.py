"""Locks that die with their process, and files that may be open only once.

POSIX record locks are used: a child made by fork does not inherit them, whereas it would keep a `flock` of its dead parent. They have
one trap: closing *any* descriptor of a file drops all locks the process has on it. So every file we lock is opened once per process,
never closed, and listed here; whoever wants to read such a file asks `read_file`, which reads through the listed descriptor.

Where there is no fcntl (Windows) a byte is locked through msvcrt and waiting is polling; where a file system knows no locks, nobody
holds any, and everybody reads for itself.
"""

from __future__ import annotations

import errno
import os
import threading
import time

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

POLL_SECONDS = 0.05
_BUSY = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_READ_BYTES = 1 << 20
_opened: dict[tuple[int, int], LockedFile] = {}


class LockedFile:
    """A file on which this process may hold a lock. Made by `open_once` or `adopt`, never closed but by `forget`."""

    __slots__ = ("_guard", "_held", "_process", "descriptor", "identity")

    def __init__(self, descriptor: int, identity: tuple[int, int]) -> None:
        self.descriptor = descriptor
        self.identity = identity
        self._guard = threading.Lock()
        self._held = False
        self._process = os.getpid()

    @property
    def held(self) -> bool:
        """Whether this process holds the lock. A forked child does not hold what its parent holds."""
        return self._held and self._process == os.getpid()

    def try_take(self) -> bool:
        """Take the lock if it is free; False where another process, or another part of this one, holds it.

        Raises:
            OSError: The file system knows no locks.
        """
        with self._guard:  # to the kernel all threads of a process are one
            if self.held:
                return False
            try:
                _lock(self.descriptor)
            except OSError as error:
                if error.errno in _BUSY:
                    return False
                raise
            self._held, self._process = True, os.getpid()
            return True

    def take(self) -> None:
        """Wait until the lock is ours: for a daemon thread, which the end of the process ends too.

        The kernel wakes the waiter at once when the holder dies. It sees a deadlock where two processes hold one spool's lock each
        and wait for the other's, in different threads; there we ask again and again.

        Raises:
            OSError: The file system knows no locks.
        """
        while not self.try_take():
            try:
                if fcntl is None or self.held:
                    time.sleep(POLL_SECONDS)
                else:
                    fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in _BUSY:
                    raise
                time.sleep(POLL_SECONDS)

    def give(self) -> None:
        """Let go of the lock."""
        with self._guard:
            if self.held:
                self._held = False
                _unlock(self.descriptor)


def open_once(path: str) -> LockedFile:
    """Return the one descriptor of a lock file of this process; the file is made where it is missing.

    It is opened without O_CREAT first: in sticky folders newer kernels refuse O_CREAT on a file of somebody else
    (fs.protected_regular). A symbolic link is never followed.

    Raises:
        OSError: The file can be neither opened nor made.
    """
    known = _known(path)
    if known is not None:
        return known
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o600)
    return adopt(descriptor)


def adopt(descriptor: int) -> LockedFile:
    """List an open descriptor as the only one of its file."""
    status = os.fstat(descriptor)
    identity = (status.st_dev, status.st_ino)
    return _opened.setdefault(identity, LockedFile(descriptor, identity))


def forget(file: LockedFile) -> None:
    """Close a file and with it let go of its lock."""
    if _opened.pop(file.identity, None) is not None:
        os.close(file.descriptor)


def forget_all() -> None:
    """In a forked child: close what the parent had listed. Its locks are the parent's, and stay."""
    for file in list(_opened.values()):
        forget(file)


def is_ours(path: str) -> bool:
    """Tell whether this process has the file listed: it must not be opened a second time."""
    return _known(path) is not None


def read_file(path: str, start: int = 0, most: int = 1 << 62) -> bytes:
    """Return at most so many bytes of a file from `start` on, without dropping a lock that this process holds on it.

    Raises:
        OSError: The file cannot be read.
    """
    known = _known(path)
    if known is not None:
        return _read_all(known.descriptor, start, most)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    try:
        return _read_all(descriptor, start, most)
    finally:
        os.close(descriptor)


def is_held(path: str) -> bool | None:
    """Tell whether a living process holds the lock of a file; None where the file is gone or nobody can say."""
    known = _known(path)
    if known is not None and known.held:
        return True
    if fcntl is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return True if error.errno in _BUSY else None
    finally:
        os.close(descriptor)
    return False


def _known(path: str) -> LockedFile | None:
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return _opened.get((status.st_dev, status.st_ino))


def _read_all(descriptor: int, start: int, most: int) -> bytes:
    parts = []
    while most > 0 and (part := _read_at(descriptor, start, min(most, _READ_BYTES))):
        parts.append(part)
        start += len(part)
        most -= len(part)
    return b"".join(parts)


def _read_at(descriptor: int, start: int, most: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, most, start)
    os.lseek(descriptor, start, os.SEEK_SET)  # Windows: files of ours are appended to, so a moved position does no harm
    return os.read(descriptor, most)


def _lock(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        _lock_byte(descriptor, "LK_NBLCK")


def _unlock(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)
    else:
        _lock_byte(descriptor, "LK_UNLCK")


def _lock_byte(descriptor: int, how: str) -> None:
    """Lock or unlock a byte far behind the end: Windows refuses others to read what is locked."""
    try:
        import msvcrt
    except ImportError:  # neither the one nor the other
        raise OSError(errno.ENOSYS, "this system has no locks that we know") from None
    os.lseek(descriptor, 1 << 40, os.SEEK_SET)
    msvcrt.locking(descriptor, getattr(msvcrt, how), 1)  # type: ignore[attr-defined]
