"""Which machine this is, which boot of it, and what it is made of.

Private by default: what leaves this module about a machine is a hash and its host name; serial numbers never do.
On the measured path: /proc and /sys are read directly.
"""

from __future__ import annotations

import os

from joulebook_collectors.host.processes import LINUX, host_memory, read_bytes
from joulebook_ledger.core.slotted import Slotted

LONGEST_NAME = 200
_NOT_SET = frozenset({"", "uninitialized", "none", "not specified", "not available", "default string", "0" * 32})
_CPUINFO_BYTES = 4096


class Host(Slotted):
    """What a machine is made of, for people and for models.

    Attributes:
        name: Host name.
        cpu: Name of the processor model.
        logical_cpus: Number of logical cpus built in, whether online or not.
        memory_bytes: Memory the kernel has; 0 where unknown.
        is_virtual: Whether the processor says that a hypervisor runs us.
    """

    __slots__ = ("cpu", "is_virtual", "logical_cpus", "memory_bytes", "name")

    def __init__(self, *, name: str, cpu: str, logical_cpus: int, memory_bytes: int, is_virtual: bool) -> None:
        self.name = name
        self.cpu = cpu
        self.logical_cpus = logical_cpus
        self.memory_bytes = memory_bytes
        self.is_virtual = is_virtual


def host_of(proc_root: str = "/proc", sysfs_root: str = "/sys") -> Host:
    """Return what this machine is made of."""
    # The first processor of the list is enough: the kernel may ask every core for its clock to write the rest.
    processor = _text(f"{proc_root}/cpuinfo", _CPUINFO_BYTES)
    memory = host_memory(proc_root)
    return Host(
        name=host_name(proc_root),
        cpu=_cpu_model(processor),
        logical_cpus=logical_cpus(proc_root, sysfs_root),
        memory_bytes=memory.total_bytes if memory else 0,
        is_virtual=" hypervisor " in f"{_field(processor, 'flags')} ",
    )


def host_name(proc_root: str = "/proc") -> str:
    """Return the host's name, "unknown" where it has none."""
    return clean(_text(f"{proc_root}/sys/kernel/hostname")) or clean(_node_name()) or "unknown"


def boot_id(proc_root: str = "/proc") -> str:
    """Return an id of this boot: the kernel's own, which all containers of a host share and no cloned image does.

    Where there is none (macOS, Windows), one is derived from the host's name and the start of the boot, to ten minutes: a clock that
    is set by more than that begins a new boot, which costs a gap and never counts twice.
    """
    kernels = _text(f"{proc_root}/sys/kernel/random/boot_id").strip()
    if kernels:
        return clean(kernels)
    started_seconds = _boot_seconds(proc_root)
    return f"boot-{digest(f'{host_name(proc_root)}|{started_seconds // 600}')[:32]}"


def machine_id(name: str = "", *, proc_root: str = "/proc", sysfs_root: str = "/sys", etc_root: str = "/etc") -> str:
    """Return the stable id of this machine: the name it was given, else a hash of its machine-id and hardware id.

    Of the hardware only what every user may read is taken: with what root alone may read, root's agent and a user's job would name
    one machine twice. Without a machine-id (macOS, Windows, many containers) the host's name stands in: name such machines.
    """
    given = clean(name)
    if given:
        return given
    system = _first_set(f"{etc_root}/machine-id", "/var/lib/dbus/machine-id" if etc_root == "/etc" else "")
    hardware = _hardware_id(proc_root, sysfs_root)
    basis = f"{system}|{hardware}" if system else f"{host_name(proc_root)}|{hardware}"
    return f"m-{digest('joulebook machine|' + basis)[:32]}"


def digest(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal, without loading OpenSSL where Python brings its own."""
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]  # Python 3.11
    except ImportError:
        try:
            from _sha2 import sha256  # type: ignore[import-not-found]  # Python 3.12 and later
        except ImportError:
            from hashlib import sha256
    return str(sha256(text.encode()).hexdigest())


def clean(text: str) -> str:
    """Return a text as facts allow it: printable, in one line, of bounded length."""
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    return " ".join(words)[:LONGEST_NAME].rstrip()


def logical_cpus(proc_root: str = "/proc", sysfs_root: str = "/sys") -> int:
    """Return how many logical cpus are built in: all of them, so that one taken offline makes no other machine."""
    present = _text(f"{sysfs_root}/devices/system/cpu/present").strip()
    counted = count_of_ranges(present)
    if counted:
        return counted
    lines = _text(f"{proc_root}/stat", 1 << 16).splitlines() if LINUX else []
    online = sum(line.startswith("cpu") and line[3:4].isdigit() for line in lines)
    return online or os.cpu_count() or 1


def count_of_ranges(text: str) -> int:
    """Return how many numbers a list such as "0-3,8,10-11" names; 0 where it is no such list."""
    total = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            return 0
        total += int(last or first) - int(first) + 1
    return max(0, total)


def _cpu_model(processor: str) -> str:
    """Return the processor's name: x86 says it, ARM gives numbers (implementer and part), others at least their architecture."""
    name = _field(processor, "model name") or _field(processor, "cpu model") or _field(processor, "Hardware")
    if not name:
        implementer, part = _field(processor, "CPU implementer"), _field(processor, "CPU part")
        name = f"ARM {implementer} {part}" if implementer else ""
    return clean(name) or clean(_architecture()) or "unknown processor"


def _field(text: str, name: str) -> str:
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return ""


def _hardware_id(proc_root: str, sysfs_root: str) -> str:
    product = f"{sysfs_root}/class/dmi/id/product_uuid"
    return _first_set(
        product if _everyone_may_read(product) else "",
        f"{sysfs_root}/hypervisor/uuid",
        f"{proc_root}/device-tree/serial-number",
        f"{sysfs_root}/class/dmi/id/board_asset_tag",
    )


def _everyone_may_read(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & 0o004)
    except OSError:
        return False


def _first_set(*paths: str) -> str:
    for path in paths:
        value = _text(path).strip("\0 \n").lower() if path else ""
        if value not in _NOT_SET:
            return value
    return ""


def _text(path: str, most: int = _CPUINFO_BYTES) -> str:
    return (read_bytes(path, most) or b"").decode("utf-8", "replace")


def _node_name() -> str:
    if hasattr(os, "uname"):
        return os.uname().nodename
    return os.environ.get("COMPUTERNAME", "")


def _architecture() -> str:
    if hasattr(os, "uname"):
        return os.uname().machine
    return os.environ.get("PROCESSOR_IDENTIFIER", "")


def _boot_seconds(proc_root: str) -> int:
    for line in _text(f"{proc_root}/stat", 1 << 16).splitlines():
        if line.startswith("btime ") and line[6:].strip().isdecimal():
            return int(line[6:])
    if LINUX:
        return 0
    from joulebook_collectors.host import portable

    return portable.boot_seconds()
