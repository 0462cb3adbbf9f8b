"""NVIDIA GPUs through NVML: the energy counter where there is one, else power; and which processes were there.

The counter counts millijoules since the driver was loaded (Volta and newer); it has 64 bits and never wraps, so a smaller value is a
reload of the driver. Energy is the board's: a GPU divided by MIG is one meter, its parent.

A device that is lost, and a driver that is loaded anew, are seen again only after NVML was ended and started again. The reader does
that by itself: at once, then less and less often.
"""

from __future__ import annotations

from joulebook_collectors.host.identity import clean
from joulebook_collectors.meters.meter import (
    CLOSED,
    DEVICE_LOST,
    DRIVER_MISMATCH,
    DRIVER_MISSING,
    NOT_FOUND,
    NOT_SUPPORTED,
    READ_FAILED,
    Absent,
    CounterValue,
    DeviceProcesses,
    Holder,
    MeterDescription,
    NoData,
    PowerValue,
)
from joulebook_collectors.meters.nvml_library import NOT_STARTED, SUCCESS, Session, answer, import_pynvml, why_no_driver
from joulebook_ledger.core.attribution import FINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MILLIJOULES_PER_JOULE = 1_000
NEVER_WRAPS = 0
# Above the boards of today (1.4 kW), for devices that do not say their limit.
HIGHEST_POWER_MW = 2_000_000
# DCGM and NVML mark "no value" with the highest numbers of a type; 0x7ffffffffffffff2 is DCGM_INT64_NOT_SUPPORTED.
_LOWEST_SENTINEL_64 = 0x7FFFFFFFFFFFFFF0
_LOWEST_SENTINEL_32 = 0x7FFFFFF0
_FIELD_POWER_AVERAGE, _FIELD_POWER_INSTANT, _SCOPE_GPU = 185, 186, 0
# What may be well again after NVML was started anew, and at which of the failed reads that is tried.
_PASSING = (NOT_STARTED, DEVICE_LOST, DRIVER_MISSING, DRIVER_MISMATCH)
_TRIES = (1, 2, 4, 8, 16)
_TRY_EVERY = 32


def find_gpus(library: Any = None, *, root: str = "/") -> tuple[list[GpuMeter], list[Absent]]:
    """Return the GPUs of this machine, in NVML's order, and what is absent and why.

    Args:
        library: A module with pynvml's functions; None takes pynvml itself, where a driver is found below `root`.
        root: Root of the file system in which to look for the driver.
    """
    if library is None:
        missing = why_no_driver(root)
        library = NoData(missing) if missing else answer(import_pynvml)
        if isinstance(library, NoData):
            return [], [Absent("NVML", "gpu", library.reason)]
    session = Session(library)
    count = session.start()
    if isinstance(count, NoData):
        return [], [Absent("NVML", "gpu", count.reason, session.told(count.reason))]
    meters: list[GpuMeter] = []
    absent: list[Absent] = []
    for index in range(count):
        handle = session.ask("nvmlDeviceGetHandleByIndex", index)
        uuid = handle if isinstance(handle, NoData) else session.ask("nvmlDeviceGetUUID", handle)
        if isinstance(uuid, NoData):
            absent.append(Absent(f"GPU {index}", "gpu", uuid.reason, session.told(uuid.reason)))
        else:
            meters.append(GpuMeter(session, handle, _text(uuid), index))
    if not meters:
        session.stop()
        absent = absent or [Absent("NVML", "gpu", NOT_FOUND)]
    return meters, absent


class GpuMeter:
    """One NVIDIA GPU."""

    def __init__(self, session: Session, handle: Any, uuid: str, index: int) -> None:
        """Look what this device offers: the counter, else a power sensor. Made by `find_gpus`."""
        self.index = index
        self.rocm_names: dict[int, str] = {}
        self._session = session
        self._handle = handle
        self._generation = session.generation
        self._failures = 0
        self._uuid = uuid
        self._seen_us: int | None = None
        self._is_closed = False
        self._may_be_divided = True  # until the board says that it knows no MIG
        self._has_counter = self._looks_like_a_counter()
        self._power = self._power_usage if self._has_counter else self._best_power()
        session.users += 1
        name = self._ask("nvmlDeviceGetName")
        self.description = MeterDescription(
            device=uuid,
            domain="gpu",
            component="gpu",
            max_power_mw=self._limit_mw(),
            label="NVIDIA GPU" if isinstance(name, NoData) else clean(_text(name)),
            method="counter" if self._has_counter else "sensor",
        )

    def read(self) -> CounterValue | PowerValue | NoData:
        """Answer millijoules since the driver was loaded, or milliwatts where the device has no counter."""
        if self._is_closed:
            return NoData(CLOSED)
        found = self._read_once()
        if isinstance(found, NoData) and found.reason in _PASSING:
            self._failures += 1
            if self._failures in _TRIES or self._failures % _TRY_EVERY == 0:
                self._session.start_anew()
                found = self._read_once()
        if not isinstance(found, NoData):
            self._failures = 0
            return found
        return NoData(self._session.why or READ_FAILED) if found.reason == NOT_STARTED else found

    @property
    def trouble(self) -> str:
        """What the driver last answered that has no name here; empty where there was no such thing."""
        return self._session.told(READ_FAILED)

    def processes(self) -> DeviceProcesses:
        """Answer who holds memory of the device, and who was busy on it since the call before.

        The first call cannot say who was busy: what the driver then tells lies before it. With MIG the driver never can: then each
        process counts by the compute slices of its instance, which it shares equally with the others in it.
        """
        if self._is_closed:
            return DeviceProcesses(None, None)
        parts = self._parts()
        bytes_by_pid, is_known = self._holders_on(None)
        slices: dict[int, int] = {}
        for part in parts:
            residents, is_told = self._holders_on(part)
            is_known = is_known or is_told
            for pid, held in residents.items():
                bytes_by_pid[pid] = max(held or 0, bytes_by_pid.get(pid) or 0) or held
                slices[pid] = slices.get(pid, 0) + self._slices_of(part) * FINE // len(residents)
        holders = tuple(Holder(pid, held) for pid, held in sorted(bytes_by_pid.items())) if is_known else None
        return DeviceProcesses(holders, None if parts else self._busy(), slices or None)

    def contains(self, instance: str) -> bool:
        """Tell whether a MIG instance, named by its UUID, is a part of this GPU."""
        part = self._session.ask("nvmlDeviceGetHandleByUUID", instance)
        parent = _chain(self._session, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle", part)
        uuid = _chain(self._session, "nvmlDeviceGetUUID", parent)
        return not isinstance(uuid, NoData) and _text(uuid) == self._uuid

    def close(self) -> None:
        """Let go of the device; the last one lets go of NVML."""
        if not self._is_closed:
            self._is_closed = True
            self._session.users -= 1
            if self._session.users == 0:
                self._session.stop()

    def _read_once(self) -> CounterValue | PowerValue | NoData:
        if not self._has_counter:
            power_mw = self._power()
            return power_mw if isinstance(power_mw, NoData) else PowerValue(power_mw)
        energy_mj = self._number("nvmlDeviceGetTotalEnergyConsumption", _LOWEST_SENTINEL_64)
        return (
            energy_mj if isinstance(energy_mj, NoData) else CounterValue(energy_mj, MILLIJOULES_PER_JOULE, NEVER_WRAPS)
        )

    def _looks_like_a_counter(self) -> bool:
        """Tell whether the device counts energy. A counter that shows 0 counts nothing; one that fails just now is still there."""
        energy_mj = self._number("nvmlDeviceGetTotalEnergyConsumption", _LOWEST_SENTINEL_64)
        return energy_mj.reason != NOT_SUPPORTED if isinstance(energy_mj, NoData) else energy_mj > 0

    def _best_power(self) -> Callable[[], int | NoData]:
        """Return the first power sensor that answers: an average is truer than a moment, the old call is everywhere."""
        for sensor in (self._power_average, self._power_instant):
            power_mw = sensor()
            if not isinstance(power_mw, NoData) and power_mw > 0:
                return sensor
        return self._power_usage

    def _power_average(self) -> int | NoData:
        return self._power_field(_FIELD_POWER_AVERAGE)

    def _power_instant(self) -> int | NoData:
        return self._power_field(_FIELD_POWER_INSTANT)

    def _power_usage(self) -> int | NoData:
        return self._number("nvmlDeviceGetPowerUsage", _LOWEST_SENTINEL_32)

    def _power_field(self, field: int) -> int | NoData:
        values = self._ask("nvmlDeviceGetFieldValues", [(field, _SCOPE_GPU)])
        if isinstance(values, NoData):
            return values
        if values[0].nvmlReturn != SUCCESS:
            return NoData(self._session.reason(values[0].nvmlReturn))
        return _valid(values[0].value.uiVal, _LOWEST_SENTINEL_32)

    def _number(self, name: str, lowest_sentinel: int) -> int | NoData:
        number = self._ask(name)
        return number if isinstance(number, NoData) else _valid(number, lowest_sentinel)

    def _limit_mw(self) -> int:
        """Return the greatest power the board can be allowed, which no operator changes; else the limit in force."""
        constraints = self._ask("nvmlDeviceGetPowerManagementLimitConstraints")
        if not isinstance(constraints, NoData):
            highest = _valid(constraints[1], _LOWEST_SENTINEL_32)
            if not isinstance(highest, NoData) and highest > 0:
                return highest
        enforced = self._number("nvmlDeviceGetEnforcedPowerLimit", _LOWEST_SENTINEL_32)
        return HIGHEST_POWER_MW if isinstance(enforced, NoData) or enforced == 0 else enforced

    def _ask(self, name: str, *arguments: Any) -> Any:
        """Ask the device, by a handle of the present start of NVML. A device that is not found any more is lost."""
        if self._generation != self._session.generation:
            handle = self._session.ask("nvmlDeviceGetHandleByUUID", self._uuid)
            if isinstance(handle, NoData):
                return handle if handle.reason in _PASSING else NoData(DEVICE_LOST)
            self._handle, self._generation = handle, self._session.generation
        return self._session.ask(name, self._handle, *arguments)

    def _holders_on(self, handle: Any) -> tuple[dict[int, int | None], bool]:
        """Return who holds memory on the board or a part of it, and whether a list of compute processes could be had."""
        bytes_by_pid: dict[int, int | None] = {}
        is_known = False
        for name in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
            listed = self._ask(name) if handle is None else self._session.ask(name, handle)
            if isinstance(listed, NoData):
                continue
            is_known = is_known or "Compute" in name
            for process in listed:
                held = process.usedGpuMemory
                held = None if held is None or held >= _LOWEST_SENTINEL_64 else int(held)
                # A process that computes and draws is listed twice, with the same memory.
                bytes_by_pid[process.pid] = max(held or 0, bytes_by_pid.get(process.pid) or 0) or held
        return bytes_by_pid, is_known

    def _parts(self) -> list[Any]:
        """Return handles of the parts of a GPU that MIG divides; none where it is whole."""
        if not self._may_be_divided:
            return []
        mode = self._ask("nvmlDeviceGetMigMode")
        if isinstance(mode, NoData) or not mode[0]:
            self._may_be_divided = not isinstance(mode, NoData) or mode.reason != NOT_SUPPORTED
            return []
        count = self._ask("nvmlDeviceGetMaxMigDeviceCount")
        indexes = range(0 if isinstance(count, NoData) else count)
        parts = [self._ask("nvmlDeviceGetMigDeviceHandleByIndex", index) for index in indexes]
        return [part for part in parts if not isinstance(part, NoData)]

    def _slices_of(self, part: Any) -> int:
        """Return how many compute slices a part has; where the driver does not say, each counts alike."""
        told = self._session.ask("nvmlDeviceGetAttributes", part)
        slices = 0 if isinstance(told, NoData) else told.computeInstanceSliceCount or told.gpuInstanceSliceCount
        return int(slices) or 1

    def _busy(self) -> dict[int, int] | None:
        """Return per cent of compute time by pid since the call before. What no device can be (above 100 %) is not believed."""
        is_first, since_us = self._seen_us is None, self._seen_us or 0
        samples = self._ask("nvmlDeviceGetProcessUtilization", since_us)
        if isinstance(samples, NoData):
            if samples.reason != NOT_FOUND:
                return None
            samples = ()
        busy: dict[int, int] = {}
        newest_us = since_us
        for sample in samples:
            if sample.pid > 0 and sample.timeStamp > since_us and 0 <= sample.smUtil <= 100:
                newest_us = max(newest_us, int(sample.timeStamp))
                busy[sample.pid] = busy.get(sample.pid, 0) + int(sample.smUtil)
        self._seen_us = newest_us
        return None if is_first else {pid: weight for pid, weight in busy.items() if weight > 0}


def _chain(session: Session, name: str, argument: Any) -> Any:
    return argument if isinstance(argument, NoData) else session.ask(name, argument)


def _valid(value: Any, lowest_sentinel: int) -> int | NoData:
    """Return a number that is one; those that mean "no value" are none."""
    if not isinstance(value, int) or value < 0:
        return NoData(READ_FAILED)
    return value if value < lowest_sentinel else NoData(NOT_SUPPORTED)


def _text(value: str | bytes) -> str:
    """Return a text of NVML: bytes in older versions of pynvml."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
