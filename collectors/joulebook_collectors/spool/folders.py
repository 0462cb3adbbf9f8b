"""Where a spool lies: on a local disk, per machine and user, per ledger, per boot; closed to everybody else.

`<root>/<machine>-<user>/<ledger>/<boot>`: the root may lie in a home that several machines share, one spool feeds one ledger, and a
spool of an earlier boot has nobody left who writes to it. A container with process ids of its own counts as a boot of its own.
"""

from __future__ import annotations

import os
import stat

from joulebook_collectors.host.identity import boot_id, digest, machine_id
from joulebook_collectors.host.lock import read_file
from joulebook_collectors.host.processes import HOST_PID_NAMESPACE
from joulebook_collectors.spool.segments import decode_line, encode_frame, remove_file
from joulebook_ledger.settings import without_secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from joulebook_collectors.spool.segments import Frame
    from joulebook_ledger.settings import Settings

NETWORK_FILE_SYSTEMS = frozenset(
    [
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse.glusterfs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb3",
        "smbfs",
        "virtiofs",
        "wekafs",
    ]
)
SNAPSHOT = "snapshot.json"
READER = "reader"
_MOUNTS = "/proc/self/mounts"


def spool_root(settings: Settings, environment: Mapping[str, str], mounts: str = _MOUNTS) -> str:
    """Return the folder of all spools: the one set, else the user's local state, else below /var/tmp where home is remote."""
    if settings.spool:
        return settings.spool
    home = environment.get("HOME") or os.path.expanduser("~")
    if os.name == "nt":
        return os.path.join(environment.get("LOCALAPPDATA") or home, "joulebook", "spool")
    state = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # the base directory specification: a relative one is ignored
        state = os.path.join(home, ".local", "state")
    if file_system_of(state, mounts) in NETWORK_FILE_SYSTEMS:
        return f"/var/tmp/joulebook-{_user()}"  # noqa: S108 - survives a reboot; made 0700, and refused if it is not ours
    return os.path.join(state, "joulebook")


def ledger_folder(settings: Settings, environment: Mapping[str, str] | None = None) -> str:
    """Return the folder of this machine's and user's spools for one ledger."""
    root = spool_root(settings, os.environ if environment is None else environment)
    machine = machine_id(settings.machine, proc_root=settings.proc_root, sysfs_root=settings.sysfs_root)
    key = digest(without_secret(settings.ledger))[:12]
    return os.path.join(root, f"{digest(machine)[:12]}-{_user()}", key)


def boot_name(proc_root: str = "/proc") -> str:
    """Return the name of the present boot's folder."""
    name = boot_id(proc_root)
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return name
    if namespace == HOST_PID_NAMESPACE:
        return name
    return f"{name}.{''.join(letter for letter in namespace if letter.isdecimal())}"


def prepare(folder: str) -> None:
    """Make a folder and those above it, 0700; a symbolic link or somebody else's folder in its place is refused.

    Raises:
        OSError: It cannot be made, or it is not ours alone.
    """
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        status = os.stat(folder, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(20, "is not a folder of ours", folder) from None
        if hasattr(os, "getuid") and status.st_uid != os.getuid():
            raise PermissionError(13, "belongs to another user", folder) from None


def prepare_boot_folder(settings: Settings) -> str:
    """Make the spool folder of the present boot, and return it.

    Raises:
        OSError: It cannot be made.
    """
    folder = ledger_folder(settings)
    spools = os.path.dirname(folder)
    for place in (os.path.dirname(spools), spools, folder):
        prepare(place)
    boot = os.path.join(folder, boot_name(settings.proc_root))
    prepare(boot)
    return boot


def boot_folders(settings: Settings) -> list[str]:
    """Return the spool folders of all boots that are still there, those of earlier boots first."""
    folder = ledger_folder(settings)
    present = boot_name(settings.proc_root)
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [os.path.join(folder, name) for name in sorted(names, key=lambda name: (name == present, name))]


def write_once(path: str, frame: Frame) -> Frame:
    """Write a frame into a file that is not there yet, whole; return what stands in it, ours or an earlier one.

    A file that holds no frame (somebody damaged it) is replaced.

    Raises:
        OSError: It can be neither written nor read.
    """
    known = read_frame(path)
    if known is not None:
        return known
    new = f"{path}.{os.getpid()}.new"
    write_file(new, encode_frame(frame))
    try:
        os.link(new, path)
    except OSError:  # it is there, or the file system has no hard links
        if read_frame(path) is None:
            os.replace(new, path)
    remove_file(new)
    return read_frame(path) or frame


def read_frame(path: str) -> Frame | None:
    """Return the frame of a file that holds one; None where there is none, or a damaged one."""
    try:
        return decode_line(read_file(path).rstrip(b"\n"))
    except OSError:
        return None


def write_file(path: str, data: bytes, *, sync: bool = False) -> None:
    """Write a file that nobody else reads yet; with `sync` it is on the disk when this returns.

    Raises:
        OSError: The disk refuses.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_system_of(path: str, mounts: str = _MOUNTS) -> str:
    """Return the type of the file system a path lies on (the path need not exist yet); empty where the kernel does not say."""
    place = os.path.realpath(path)
    best, kind = "", ""
    try:
        with open(mounts, encoding="utf-8", errors="replace") as file:
            for line in file:
                fields = line.split(" ")
                point = fields[1].replace("\\040", " ") if len(fields) > 2 else ""
                if len(point) >= len(best) and (place + "/").startswith(point.rstrip("/") + "/"):
                    best, kind = point, fields[2]
    except OSError:
        return ""
    return kind


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else digest(os.environ.get("USERNAME", ""))[:8]
