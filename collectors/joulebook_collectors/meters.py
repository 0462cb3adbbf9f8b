"""Which meters this machine has, each joule by one of them.

Processor: RAPL packages where one can be read, else the model. Memory: RAPL dram, else the model. GPUs: NVML. Time: every machine
has it. What is left out, and why, is told beside, for `joulebook doctor`.
"""

from __future__ import annotations

import time

from joulebook_collectors.identity import host_of
from joulebook_collectors.meter import NOT_FOUND, Absent, MeterDescription, NoData
from joulebook_collectors.modelled import ModelledMemory, ModelledProcessor
from joulebook_collectors.nvml import GpuMeter, find_gpus
from joulebook_collectors.rapl import RaplMeter, find_rapl
from joulebook_ledger.core.slotted import Slotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from joulebook_collectors.meter import Meter


class FoundMeters(Slotted):
    """The meters of a machine.

    Attributes:
        meters: All that count, one for each source of energy. A GPU that answers nothing is among them: it is there, so its time
            is a gap.
        gpus: Those of `meters` that can say which processes used them.
        time: What the machine's meter of time is: it has no energy, its windows say that the machine was there.
        absent: What the machine does not have, or what is left out, and why.
    """

    __slots__ = ("absent", "gpus", "meters", "time")

    def __init__(
        self,
        *,
        meters: tuple[Meter, ...],
        gpus: tuple[GpuMeter, ...],
        time: MeterDescription,
        absent: tuple[Absent, ...],
    ) -> None:
        self.meters = meters
        self.gpus = gpus
        self.time = time
        self.absent = absent

    def close(self) -> None:
        """Close every meter."""
        for meter in self.meters:
            meter.close()


def find_meters(
    *,
    boot: str,
    sysfs_root: str = "/sys",
    proc_root: str = "/proc",
    root: str = "/",
    library: Any = None,
    tdp_cache: str | None = None,
    pause: Callable[[float], object] = time.sleep,
) -> FoundMeters:
    """Return the meters of this machine. Nothing is read but what is there; no driver is loaded that is not found first.

    Args:
        boot: Id of this boot, which stands for devices that have no id of their own.
        sysfs_root: Where the kernel's /sys is.
        proc_root: Where the kernel's /proc is.
        root: Where to look for the driver of the GPUs.
        library: A module with pynvml's functions in its place.
        tdp_cache: The file where a command may have left the TDP of this machine.
        pause: What waits between two looks at a counter.
    """
    host = host_of(proc_root, sysfs_root)
    gpus, absent = find_gpus(library, root=root)
    rapl, left_out = find_rapl(device=boot, processor=host.cpu, sysfs_root=sysfs_root, pause=pause)
    absent += left_out
    meters: list[Meter] = [*gpus]
    packages, unreadable = _readable([meter for meter in rapl if meter.description.component == "cpu"])
    absent += unreadable
    meters += packages or [ModelledProcessor(device=boot, host=host, proc_root=proc_root, tdp_cache=tdp_cache)]
    memories, unreadable = _readable([meter for meter in rapl if meter.description.component == "dram"])
    absent += unreadable
    if memories:
        meters += memories
    elif host.memory_bytes:
        meters.append(ModelledMemory(device=boot, host=host))
    else:
        absent.append(Absent("memory", "dram", NOT_FOUND))
    return FoundMeters(meters=tuple(meters), gpus=tuple(gpus), time=time_meter(boot), absent=tuple(absent))


def time_meter(boot: str) -> MeterDescription:
    """Return what the meter of a machine's time is: no energy, and a power of 0."""
    return MeterDescription(device=boot, domain="time", component="time", max_power_mw=0, label="", method="counter")


def _readable(domains: Sequence[RaplMeter]) -> tuple[list[RaplMeter], list[Absent]]:
    """Return all domains if one of them can be read, else none of them and why not.

    Where some can be read the others are there too, and their time is a gap; where none can, a model stands in for all.
    """
    answers = [(meter, meter.read()) for meter in domains]
    if any(not isinstance(answer, NoData) for _, answer in answers):
        return list(domains), []
    return [], [
        Absent(f"RAPL {meter.description.domain}", meter.description.component, answer.reason)
        for meter, answer in answers
        if isinstance(answer, NoData)
    ]
