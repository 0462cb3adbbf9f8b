"""Where a SQLite book may lie: on a local disk, in a folder and a file closed to others."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from joulebook_ledger.core.refusals import BadInput

MOUNTS = Path("/proc/self/mountinfo")
# Their locks do not reach other hosts reliably, or not at all; a SQLite file there is corrupted by two writers (sqlite.org/useovernet.html).
NETWORK_FILE_SYSTEMS = frozenset({
    "acfs", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.beegfs", "fuse.blobfuse2", "fuse.ceph", "fuse.cvmfs2",
    "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.juicefs", "fuse.mount-s3", "fuse.moosefs", "fuse.rclone",
    "fuse.s3fs", "fuse.seaweedfs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs",
    "panfs", "pvfs2", "smb2", "smb3", "smbfs", "wekafs",
})  # fmt: skip


def prepare(path: Path, mounts: Path = MOUNTS) -> None:
    """Make the folder and the file of a book, closed to others, unless they are there.

    Args:
        path: The book's file.
        mounts: What is mounted where, in the form of /proc/self/mountinfo; where there is none, nothing is known and nothing refused.

    Raises:
        BadInput: The place is on a network file system, or cannot be written.
    """
    refuse_network(path, mounts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make(path)
        elif not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        elif path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise BadInput(
            f"the book {path} cannot be written ({error.strerror}): name another place in JOULEBOOK_LEDGER"
        ) from None


def _make(path: Path) -> None:
    """Make the file, empty, unless somebody just did.

    A book that is there is never opened here: closing any descriptor of a file drops every POSIX lock that the process has on it,
    those of SQLite among them, and another process would then take the write-ahead log from under our feet.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def refuse_network(path: Path, mounts: Path = MOUNTS) -> None:
    """Refuse a SQLite book on a network file system, and name the way out."""
    kind = file_system(path, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise BadInput(
            f"{path} lies on a network file system ({kind}), where SQLite books break: give JOULEBOOK_LEDGER=file://{path.parent}/joulebook"
            " (a drop-box that any command can ingest), or a path on a local disk, or a service"
        )


def file_system(path: Path, mounts: Path = MOUNTS) -> str:
    """Return the kind of file system a path lies on, such as "ext4" or "nfs4"; empty where that cannot be told."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    place = os.path.realpath(path)
    longest = ("", "")
    for line in lines:
        # man 5 proc: the mount point is the fifth field; the kind follows a lone hyphen. Of mounts on one point the last is seen.
        fields, _, rest = line.partition(" - ")
        point = _unescaped(fields.split(" ")[4])
        if _is_below(place, point) and len(point) >= len(longest[0]):
            longest = (point, rest.split(" ")[0])
    return longest[1]


def _is_below(place: str, point: str) -> bool:
    return point in {"/", place} or place.startswith(point + "/")


def _unescaped(text: str) -> str:
    r"""Return a mount point with \040 and the like put back."""
    for code in ("040", "011", "012", "134"):
        text = text.replace("\\" + code, chr(int(code, 8)))
    return text
