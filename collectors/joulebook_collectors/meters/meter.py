"""What every meter answers, and how it describes itself.

A meter says what its hardware says, in the hardware's own unit, and nothing else: wraps, resets, missed reads and the step from power
to energy are decided by `joulebook_ledger.core.metering` from two answers and the times at which the reader asked. A read always
answers and never raises; what could not be read is `NoData` with a reason, never 0.

This module lies on the measured path. `typing` alone would cost half of what `import joulebook` may cost, so the protocol below is a
plain class at run time, and records are small classes with `__slots__`.
"""

from __future__ import annotations

from joulebook_ledger.core.slotted import Slotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

# Why a meter has no data. Gaps carry these words into the books, so they are never renamed.
PERMISSION_DENIED = "permission_denied"
NOT_SUPPORTED = "not_supported"
NOT_FOUND = "not_found"
DEVICE_LOST = "device_lost"
DRIVER_MISSING = "driver_missing"
DRIVER_MISMATCH = "driver_mismatch"
LIBRARY_MISSING = "library_missing"
PACKAGE_MISSING = "package_missing"
READ_FAILED = "read_failed"
CLOSED = "closed"
MIRRORED = "mirrored"
COVERED_BY_ANOTHER = "covered_by_another"
# What a library of a driver may raise besides errors of its own: it is missing, or of another version, or fails.
LIBRARY_FAULTS = (ImportError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


class CounterValue(Slotted):
    """A cumulative energy counter.

    Attributes:
        value: What the counter shows, in its own unit; at least 0.
        per_joule: How many of that unit are one joule: 1_000 (NVML, millijoules), 1_000_000 (RAPL and models, microjoules).
        range: Where the counter starts again at 0, in its own unit; 0 where it never wraps (a smaller value is a reset); None where
            that is unknown (a smaller value cannot be told from a reset).
    """

    __slots__ = ("per_joule", "range", "value")

    def __init__(self, value: int, per_joule: int, range: int | None) -> None:  # noqa: A002 - the word the kernel uses
        """Take what the counter shows."""
        self.value = value
        self.per_joule = per_joule
        self.range = range


class PowerValue(Slotted):
    """Power at the moment of reading, or the sensor's own short average, in milliwatts."""

    __slots__ = ("power_mw",)

    def __init__(self, power_mw: int) -> None:
        """Take what the sensor shows."""
        self.power_mw = power_mw


class NoData(Slotted):
    """Nothing was read, and why: one of the reasons of this module. Never to be taken for 0."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        """Take the reason."""
        self.reason = reason


class Absent(Slotted):
    """A meter that this machine does not have, or that is left out: its name for people, its component, the reason, and what was seen."""

    __slots__ = ("component", "detail", "name", "reason")

    def __init__(self, name: str, component: str, reason: str, detail: str = "") -> None:
        self.name = name
        self.component = component
        self.reason = reason
        self.detail = detail


class MeterDescription(Slotted):
    """What a meter is: the attributes of CORE's `meter`, and how to treat what it says.

    Attributes:
        device: UUID of the device where it is unique in the world, else the kernel's boot id.
        domain: Which of the device's meters, such as "gpu", "package-0", "dram-model".
        component: gpu, cpu, dram, node_rest, other or time.
        max_power_mw: Greatest power it can draw, milliwatts; every process of one machine finds the same.
        label: Hardware model for people.
        method: counter, sensor or model.
        static_power_mw: Declared power drawn when idle, milliwatts; None where only watching can tell.
        boundary: device, it or facility.
        role: counted, or check (compared, never booked).
    """

    __slots__ = (
        "boundary",
        "component",
        "device",
        "domain",
        "label",
        "max_power_mw",
        "method",
        "role",
        "static_power_mw",
    )

    def __init__(
        self,
        *,
        device: str,
        domain: str,
        component: str,
        max_power_mw: int,
        label: str,
        method: str,
        static_power_mw: int | None = None,
        boundary: str = "device",
        role: str = "counted",
    ) -> None:
        """Take the attributes as they are."""
        self.device = device
        self.domain = domain
        self.component = component
        self.max_power_mw = max_power_mw
        self.label = label
        self.method = method
        self.static_power_mw = static_power_mw
        self.boundary = boundary
        self.role = role


class Meter(Protocol):
    """One source of energy. Its reader asks, and stamps the answer with its own clock."""

    @property
    def description(self) -> MeterDescription:
        """What this meter is; the same for as long as it lives."""

    def read(self) -> CounterValue | PowerValue | NoData:
        """Answer what the hardware says now. Never raises."""

    def close(self) -> None:
        """Give back what the meter holds open. Reading afterwards answers `NoData("closed")`. Never raises."""


class Holder(Slotted):
    """A process that holds memory of a device: its pid as the driver sees it, and its bytes (None where the driver hides them)."""

    __slots__ = ("memory_bytes", "pid")

    def __init__(self, pid: int, memory_bytes: int | None) -> None:
        """Take what the driver says."""
        self.pid = pid
        self.memory_bytes = memory_bytes


class DeviceProcesses(Slotted):
    """Who used a device.

    Attributes:
        holders: Processes that hold its memory now; None where that is unknown, empty where nobody does.
        busy: Activity by pid since the read before, as a weight (per cent of compute time, summed over samples); None where the
            driver cannot say, empty where it looked and nobody was busy.
        slices: Compute slices by pid, as a weight, on a device that is divided into instances; None on one that is whole.
    """

    __slots__ = ("busy", "holders", "slices")

    def __init__(
        self, holders: tuple[Holder, ...] | None, busy: dict[int, int] | None, slices: dict[int, int] | None = None
    ) -> None:
        """Take what the driver says."""
        self.holders = holders
        self.busy = busy
        self.slices = slices


class NamesNobody:
    """What a meter of one piece answers whose driver names no processes."""

    _is_closed = False

    def close(self) -> None:
        """Stop answering."""
        self._is_closed = True

    def contains(self, instance: str) -> bool:  # noqa: ARG002 - asked of every GPU
        """Tell that there are no parts."""
        return False

    def processes(self) -> DeviceProcesses:
        """Answer that nobody says who used it."""
        return DeviceProcesses(None, None)


class ProcessMeter(Meter, Protocol):
    """A meter that can also say which processes used its device."""

    @property
    def index(self) -> int:
        """Its number as CUDA counts in the driver's order; below 0 where CUDA does not number it."""

    @property
    def rocm_names(self) -> dict[int, str]:
        """Its number as ROCm counts -> its UUID as ROCm writes it, of each of its partitions; empty where ROCm does not number it."""

    def contains(self, instance: str) -> bool:
        """Tell whether a MIG instance is a part of it."""

    def processes(self) -> DeviceProcesses:
        """Answer who holds the device, and who was busy on it since the call before. Never raises."""
