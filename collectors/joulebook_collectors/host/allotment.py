"""How many of a host's processors a control group may use: its CPU quota (cpu.max) and its cpuset, of version 2.

Both hold for a group and for all below it, so the least on the way up to the root counts; and whoever is below the folder where that
stands shares it. In a container the root is its own group, which has a cpu.max like every other. Numbers are thousandths of a
processor. Files are read only; where one is not there, it bounds nothing.
"""

from __future__ import annotations

from joulebook_collectors.host.cgroups import membership_v2
from joulebook_collectors.host.identity import count_of_ranges
from joulebook_collectors.host.processes import read_bytes
from joulebook_ledger.core.slotted import Slotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

THOUSANDTHS = 1000


class Allotment(Slotted):
    """What a process or job may use of its host.

    Attributes:
        folder: The group that bounds it, which all in it share; empty where nothing does.
        thousandths: Of a processor; 0 where nothing bounds it.
        origin: The file that says so.
    """

    __slots__ = ("folder", "origin", "thousandths")

    def __init__(self, folder: str = "", thousandths: int = 0, origin: str = "") -> None:
        self.folder = folder
        self.thousandths = thousandths
        self.origin = origin


class Processors:
    """The processors of a host, and what groups may use of them."""

    def __init__(self, proc_root: str = "/proc", sysfs_root: str = "/sys") -> None:
        """Count those that are online: what is switched off nobody can be allotted."""
        self._proc_root = proc_root
        self._cgroup_root = f"{sysfs_root}/fs/cgroup"
        self.thousandths = THOUSANDTHS * count_of_ranges(_text(f"{sysfs_root}/devices/system/cpu/online"))

    def of_process(self, pid: int | str) -> Allotment:
        """Return what bounds a process."""
        path = membership_v2(pid, self._proc_root)
        # What begins with "/.." lies outside of what is shown here.
        return Allotment() if not path or "/.." in path else self.of_group(f"{self._cgroup_root}{path}".rstrip("/"))

    def of_group(self, folder: str) -> Allotment:
        """Return what bounds a group, which may lie anywhere below the root."""
        least = Allotment()
        for above in self._upwards(folder):
            for name, thousandths in (("cpu.max", _quota(above)), ("cpuset.cpus.effective", _cpuset(above))):
                if 0 < thousandths <= (least.thousandths or self.thousandths - 1):
                    least = Allotment(above, thousandths, f"{above}/{name}")
        return least

    def _upwards(self, folder: str) -> Iterator[str]:
        while folder.startswith(self._cgroup_root):
            yield folder
            folder = folder.rpartition("/")[0]


def _quota(folder: str) -> int:
    """Return what `cpu.max` allows ("QUOTA PERIOD" in microseconds, or "max PERIOD"); 0 for no bound."""
    fields = _text(f"{folder}/cpu.max").split()
    if len(fields) != 2 or not all(field.isdecimal() for field in fields) or not int(fields[1]):
        return 0
    return max(1, int(fields[0]) * THOUSANDTHS // int(fields[1]))


def _cpuset(folder: str) -> int:
    return THOUSANDTHS * count_of_ranges(_text(f"{folder}/cpuset.cpus.effective"))


def _text(path: str) -> str:
    return (read_bytes(path) or b"").decode("ascii", "replace").strip()
