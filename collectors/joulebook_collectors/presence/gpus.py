"""Who holds the GPUs of a host and who is busy on them, seen every few seconds.

A process holds a device that it is named for, or on which it has memory. Activity is what the driver says of each process; where it
says nothing, all processes with memory count alike. On a GPU that MIG divides it never says anything: there the energy, which is the
board's, is shared among the instances that somebody uses, by their compute slices, and within one equally. Where the driver shows no
process at all (some containers and virtual machines), the runs that are named for the device, else all runs on the host.

What the driver tells lies behind: it counts for the runs that were in force then, before what was announced since is heard.
"""

from __future__ import annotations

from joulebook_collectors.host.processes import sees_host_pids
from joulebook_collectors.meters.visibility import named_devices
from joulebook_collectors.presence.span import HIDDEN, MEMORY_HELD, SLICES, UTILISATION
from joulebook_ledger.core.attribution import UNTRACKED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from joulebook_collectors.meters.meter import DeviceProcesses, ProcessMeter
    from joulebook_collectors.presence.attendance import Attendance
    from joulebook_collectors.presence.span import Span
    from joulebook_collectors.presence.tracked import Tracked

LOOK_US = 3_500_000  # each look of the reader, but for those that follow each other closely


class GpuLookout:
    """Looks at the processes on GPUs.

    Attributes:
        facts: Run -> what is recorded of it without being asked: peak memory of its devices, and which they were.
    """

    __slots__ = ("_before", "_gpus", "_looked_us", "_named", "_pids_are_hosts", "_residents", "facts")

    def __init__(self, gpus: Sequence[ProcessMeter], proc_root: str = "/proc") -> None:
        self._gpus = gpus
        self._looked_us = 0
        self._before: dict[int, list[str]] = {}
        self._named: list[tuple[list[str], list[str]]] = []
        self._pids_are_hosts = bool(gpus) and sees_host_pids(proc_root)
        self._residents: dict[str, set[int]] = {}
        self.facts: dict[str, dict[str, int | str]] = {}

    def name_devices(self, attendance: Attendance) -> None:
        """Say which devices each tracked process holds, and note the runs now in force. To be called before news is heard."""
        if not self._gpus:
            return
        for tracked in attendance.tracked.values():
            named = named_devices(tracked.visible, self._gpus) or ()
            resident = [device for device, pids in self._residents.items() if not pids.isdisjoint(tracked.work)]
            tracked.devices = sorted({*named, *resident})
        self._before = {pid: tracked.runs for pid, tracked in attendance.owners().items()}
        self._named = [(tracked.devices, tracked.runs) for tracked in attendance.tracked.values()]

    def look(self, attendance: Attendance, spans: list[Span], now_us: int, *, at_once: bool) -> None:
        """Ask the driver, at most every few seconds unless `at_once`, and note who was busy since the last time."""
        if not self._gpus or (now_us - self._looked_us < LOOK_US and not at_once):
            return
        length_us = now_us - self._looked_us if self._looked_us else 0
        self._looked_us = now_us
        owners = attendance.owners()
        for gpu in self._gpus:
            self._look_at(gpu.description.device, gpu.processes(), owners, spans, length_us)
        self.name_devices(attendance)

    def _look_at(
        self, device: str, seen: DeviceProcesses, owners: dict[int, Tracked], spans: list[Span], length_us: int
    ) -> None:
        holders = seen.holders if self._pids_are_hosts else None
        if holders is None:
            self._note(spans, device, HIDDEN, self._presumed(device), length_us)
            return
        self._residents[device] = {holder.pid for holder in holders}
        self._remember(device, [(self._runs_of(holder.pid, owners), holder.memory_bytes or 0) for holder in holders])
        for holder in holders:
            self._note(spans, device, MEMORY_HELD, self._runs_of(holder.pid, owners), length_us)
        for pid, slices in (seen.slices or {}).items():
            self._note(spans, device, SLICES, self._runs_of(pid, owners), slices * length_us)
        for pid, weight in (seen.busy or {}).items():
            self._note(spans, device, UTILISATION, self._runs_of(pid, owners), weight)

    def _note(self, spans: list[Span], device: str, basis: str, accounts: list[str], weight: int) -> None:
        for span in spans:
            activity = span.busy.setdefault(device, {}).setdefault(basis, {})
            span.be_active(activity, accounts, weight)

    def _remember(self, device: str, holders: list[tuple[list[str], int]]) -> None:
        sums: dict[str, int] = {}
        for runs, size in holders:
            for run in runs:
                sums[run] = sums.get(run, 0) + size
        sums.pop(UNTRACKED, None)
        for run, size in sums.items():
            facts = self.facts.setdefault(run, {"devices": "", "peak_gpu_bytes": 0})
            facts["devices"] = ",".join(sorted({*str(facts["devices"]).split(","), device} - {""}))
            facts["peak_gpu_bytes"] = max(int(facts["peak_gpu_bytes"]), size)

    def _runs_of(self, pid: int, owners: dict[int, Tracked]) -> list[str]:
        """Return the runs that were in force in a process; a child that is new belongs to the runs of its parent."""
        owner = owners.get(pid)
        runs = self._before.get(pid) or (self._before.get(owner.pid) if owner else None)
        return runs or [UNTRACKED]

    def _presumed(self, device: str) -> list[str]:
        named = {run for devices, runs in self._named if device in devices for run in runs}
        return sorted(named or {run for _, runs in self._named for run in runs})
