"""Which meters this machine has, each joule by one of them.

GPUs: NVML, hwmon (Intel, Jetson), IOReport (Apple). Processor: RAPL packages where one can be read, else sockets or rails of hwmon,
else IOReport, else the model. Memory: RAPL dram, else a rail or IOReport; else the model, but not where a rail holds it already. Rest
of the node: only for an agent that is told where to ask. Time: every machine has it. What is left out, and why, is told beside, for
`joulebook doctor`.
"""

from __future__ import annotations

import sys
import time

from joulebook_collectors.host.identity import host_of
from joulebook_collectors.meters.hwmon import Rails, find_hwmon
from joulebook_collectors.meters.meter import COVERED_BY_ANOTHER, NOT_FOUND, Absent, MeterDescription, NoData
from joulebook_collectors.meters.modelled import ModelledMemory, ModelledProcessor
from joulebook_collectors.meters.nvml import find_gpus
from joulebook_collectors.meters.nvml_library import exists
from joulebook_collectors.meters.rapl import find_rapl
from joulebook_ledger.core.slotted import Slotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from joulebook_collectors.host.identity import Host
    from joulebook_collectors.meters.meter import Meter, ProcessMeter
    from joulebook_collectors.meters.node_source import ConfiguredNode


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
        gpus: tuple[ProcessMeter, ...],
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
    apple: Any = None,
    amd: Any = None,
    node: ConfiguredNode | None = None,
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
        apple: A module with zeus_apple_silicon's functions in its place.
        amd: A module with amdsmi's functions in its place.
        node: Where to ask for the power of the whole node; only an agent may, for it costs a thread and a child or a connection.
    """
    host = host_of(proc_root, sysfs_root)
    nvidia, absent = find_gpus(library, root=root)
    by_drivers, left_out = find_hwmon(device=boot, sysfs_root=sysfs_root, processor=host.cpu)
    absent += left_out
    shown: list[Any] = [*by_drivers]
    if apple is not None or sys.platform == "darwin":
        from joulebook_collectors.meters.apple import find_apple

        chip, left_out = find_apple(device=boot, processor=host.cpu, library=apple)
        absent += left_out
        shown += chip
    if amd is not None or exists(f"{root}dev/kfd"):
        from joulebook_collectors.meters.amd import find_amd_gpus

        boards, left_out = find_amd_gpus(amd, root=root)
        absent += left_out
        shown += boards
    rapl, left_out = find_rapl(device=boot, processor=host.cpu, sysfs_root=sysfs_root, pause=pause)
    absent += left_out
    gpus = [*_not_on_rails(nvidia, shown, absent), *_of(shown, "gpu")]
    meters: list[Meter] = [*gpus]
    packages = _first_readable([_of(rapl, "cpu"), _of(shown, "cpu")], absent)
    model = ModelledProcessor(device=boot, host=host, proc_root=proc_root, tdp_cache=tdp_cache)
    meters += packages or [model]
    meters += _first_readable([_of(rapl, "dram"), _of(shown, "dram")], absent) or _memory(boot, host, shown, absent)
    meters += [*_of(shown, "node_rest"), *_of(shown, "other")]
    if node is not None:
        from joulebook_collectors.meters.node_power import NodeRestMeter

        parts = tuple(meters)
        meters.append(NodeRestMeter(source=node.source, parts=parts, device=boot, sample_seconds=node.sample_seconds))
    return FoundMeters(meters=tuple(meters), gpus=tuple(gpus), time=time_meter(boot), absent=tuple(absent))


def time_meter(boot: str) -> MeterDescription:
    """Return what the meter of a machine's time is: no energy, and a power of 0."""
    return MeterDescription(device=boot, domain="time", component="time", max_power_mw=0, label="", method="counter")


def _of(meters: Sequence[Any], component: str) -> list[Any]:
    return [meter for meter in meters if meter.description.component == component]


def _first_readable(kinds: Sequence[list[Any]], absent: list[Absent]) -> list[Any]:
    """Return all meters of the first kind of which one can be read; what the other kinds have is absent, with the reason.

    Where some can be read the others of their kind are there too, and their time is a gap; where none can, the next kind stands in
    for all.
    """
    chosen: list[Any] = []
    for kind in kinds:
        answers = [(meter, meter.read()) for meter in kind]
        is_readable = any(not isinstance(answer, NoData) for _, answer in answers)
        if is_readable and not chosen:
            chosen = kind
            continue
        absent += [
            Absent(
                _name_of(meter),
                meter.description.component,
                answer.reason if isinstance(answer, NoData) else COVERED_BY_ANOTHER,
            )
            for meter, answer in answers
        ]
    return chosen


def _name_of(meter: Meter) -> str:
    """Return what people call a meter: RAPL by its domain, others as they are labelled."""
    description = meter.description
    return f"RAPL {description.domain}" if " RAPL " in description.label else description.label


def _not_on_rails(nvidia: Sequence[Any], shown: Sequence[Any], absent: list[Absent]) -> list[Any]:
    """Return the GPUs of the driver without the one of a Jetson, whose energy its rail shows and the driver does not."""
    if not any(isinstance(meter, Rails) for meter in _of(shown, "gpu")):
        return [*nvidia]
    kept = []
    for gpu in nvidia:
        if isinstance(gpu.read(), NoData):
            absent.append(Absent(f"NVML {gpu.description.label}", "gpu", COVERED_BY_ANOTHER))
            gpu.close()
        else:
            kept.append(gpu)
    return kept


def _memory(boot: str, host: Host, shown: Sequence[Any], absent: list[Absent]) -> list[ModelledMemory]:
    """Return the model of memory, unless a rail of the board holds it."""
    if any(isinstance(meter, Rails) for meter in shown):
        absent.append(Absent("model of memory", "dram", COVERED_BY_ANOTHER))
        return []
    if not host.memory_bytes:
        absent.append(Absent("memory", "dram", NOT_FOUND))
        return []
    return [ModelledMemory(device=boot, host=host)]
