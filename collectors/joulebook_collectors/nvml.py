"""NVIDIA GPUs through NVML: the energy counter where there is one, else power; and which processes were there.

The counter counts millijoules since the driver was loaded (Volta and newer); it has 64 bits and never wraps, so a smaller value is a
reload of the driver. Energy is the board's: a GPU divided by MIG is one meter, its parent.

This is the only file that imports pynvml, and only when a driver's device node and library were found first: the import alone costs
60 ms. Every call goes through `_answer`: a driver's library may raise anything at any time, and no meter raises into the job.
"""

from __future__ import annotations

import os

from joulebook_collectors.identity import clean
from joulebook_collectors.meter import (
    CLOSED,
    DEVICE_LOST,
    DRIVER_MISMATCH,
    DRIVER_MISSING,
    LIBRARY_MISSING,
    NOT_FOUND,
    NOT_SUPPORTED,
    PACKAGE_MISSING,
    PERMISSION_DENIED,
    READ_FAILED,
    Absent,
    CounterValue,
    DeviceProcesses,
    Holder,
    MeterDescription,
    NoData,
    PowerValue,
)
from joulebook_collectors.processes import read_bytes

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
_SUCCESS, _UNINITIALIZED, _NOT_FOUND = 0, 1, 6
_FIELD_POWER_AVERAGE, _FIELD_POWER_INSTANT, _SCOPE_GPU = 185, 186, 0
_NOT_STARTED = "not_started"
# NVML's return codes (nvml.h, nvmlReturn_t); what is not here is `read_failed`.
_REASONS = {
    _UNINITIALIZED: _NOT_STARTED,
    3: NOT_SUPPORTED,
    4: PERMISSION_DENIED,
    _NOT_FOUND: NOT_FOUND,
    9: DRIVER_MISSING,
    12: LIBRARY_MISSING,
    13: NOT_SUPPORTED,  # the library is older than the function
    15: DEVICE_LOST,
    16: DEVICE_LOST,  # the device must be reset
    18: DRIVER_MISMATCH,
    28: DEVICE_LOST,  # it is not on the bus any more
}
_LIBRARY = "libnvidia-ml.so.1"
_LIBRARY_FOLDERS = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/lib/wsl/lib",
    "usr/local/nvidia/lib64",
    "run/opengl-driver/lib",
)
_CACHE_BYTES = 1 << 22


def find_gpus(library: Any = None, *, root: str = "/") -> tuple[list[GpuMeter], list[Absent]]:
    """Return the GPUs of this machine, in NVML's order, and what is absent and why.

    Args:
        library: A module with pynvml's functions; None takes pynvml itself, where a driver is found below `root`.
        root: Root of the file system in which to look for the driver.
    """
    if library is None:
        missing = why_no_driver(root)
        library = NoData(missing) if missing else _answer(_import_pynvml)
        if isinstance(library, NoData):
            return [], [Absent("NVML", "gpu", library.reason)]
    session = _Session(library)
    count = session.start()
    if isinstance(count, NoData):
        return [], [Absent("NVML", "gpu", count.reason)]
    meters: list[GpuMeter] = []
    absent: list[Absent] = []
    for index in range(count):
        handle = session.ask("nvmlDeviceGetHandleByIndex", index)
        uuid = handle if isinstance(handle, NoData) else session.ask("nvmlDeviceGetUUID", handle)
        if isinstance(uuid, NoData):
            absent.append(Absent(f"GPU {index}", "gpu", uuid.reason))
        else:
            meters.append(GpuMeter(session, handle, _text(uuid), index))
    if not meters:
        session.stop()
        absent = absent or [Absent("NVML", "gpu", NOT_FOUND)]
    return meters, absent


class GpuMeter:
    """One NVIDIA GPU."""

    def __init__(self, session: _Session, handle: Any, uuid: str, index: int) -> None:
        """Look what this device offers: the counter, else a power sensor. Made by `find_gpus`."""
        self.index = index
        self._session = session
        self._handle = handle
        self._uuid = uuid
        self._seen_us: int | None = None
        self._is_closed = False
        self._has_counter = self._looks_like_a_counter()
        self._power = self._power_usage if self._has_counter else self._best_power()
        session.users += 1
        name = session.ask("nvmlDeviceGetName", handle)
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
        answer = self._read_once()
        if answer == NoData(_NOT_STARTED):
            # Somebody else in this process shut NVML down for good.
            self._start_again()
            answer = self._read_once()
        return NoData(READ_FAILED) if answer == NoData(_NOT_STARTED) else answer

    def processes(self) -> DeviceProcesses:
        """Answer who holds memory of the device, and who was busy on it since the call before.

        The first call cannot say who was busy: what the driver then tells lies before it. With MIG the driver never can.
        """
        if self._is_closed:
            return DeviceProcesses(None, None)
        return DeviceProcesses(self._holders(), self._busy())

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
        answer = self._session.ask("nvmlDeviceGetFieldValues", self._handle, [(field, _SCOPE_GPU)])
        if isinstance(answer, NoData):
            return answer
        if answer[0].nvmlReturn != _SUCCESS:
            return NoData(_REASONS.get(answer[0].nvmlReturn, READ_FAILED))
        return _valid(answer[0].value.uiVal, _LOWEST_SENTINEL_32)

    def _number(self, name: str, lowest_sentinel: int) -> int | NoData:
        answer = self._session.ask(name, self._handle)
        return answer if isinstance(answer, NoData) else _valid(answer, lowest_sentinel)

    def _limit_mw(self) -> int:
        """Return the greatest power the board can be allowed, which no operator changes; else the limit in force."""
        constraints = self._session.ask("nvmlDeviceGetPowerManagementLimitConstraints", self._handle)
        if not isinstance(constraints, NoData):
            highest = _valid(constraints[1], _LOWEST_SENTINEL_32)
            if not isinstance(highest, NoData) and highest > 0:
                return highest
        enforced = self._number("nvmlDeviceGetEnforcedPowerLimit", _LOWEST_SENTINEL_32)
        return HIGHEST_POWER_MW if isinstance(enforced, NoData) or enforced == 0 else enforced

    def _start_again(self) -> None:
        if not isinstance(self._session.start(), NoData):
            handle = self._session.ask("nvmlDeviceGetHandleByUUID", self._uuid)
            self._handle = self._handle if isinstance(handle, NoData) else handle

    def _holders(self) -> tuple[Holder, ...] | None:
        """Return who holds memory, on the board or on a part of it; None where no list of compute processes can be had."""
        bytes_by_pid: dict[int, int | None] = {}
        is_known = False
        for handle in (self._handle, *self._instances()):
            for name in ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"):
                answer = self._session.ask(name, handle)
                if isinstance(answer, NoData):
                    continue
                is_known = is_known or "Compute" in name
                for process in answer:
                    held = process.usedGpuMemory
                    held = None if held is None or held >= _LOWEST_SENTINEL_64 else int(held)
                    # A process that computes and draws is listed twice, with the same memory.
                    bytes_by_pid[process.pid] = max(held or 0, bytes_by_pid.get(process.pid) or 0) or held
        return tuple(Holder(pid, held) for pid, held in sorted(bytes_by_pid.items())) if is_known else None

    def _instances(self) -> list[Any]:
        """Return handles of the parts of a GPU that MIG divides; none where it is whole."""
        mode = self._session.ask("nvmlDeviceGetMigMode", self._handle)
        if isinstance(mode, NoData) or not mode[0]:
            return []
        count = self._session.ask("nvmlDeviceGetMaxMigDeviceCount", self._handle)
        indexes = range(0 if isinstance(count, NoData) else count)
        parts = [self._session.ask("nvmlDeviceGetMigDeviceHandleByIndex", self._handle, index) for index in indexes]
        return [part for part in parts if not isinstance(part, NoData)]

    def _busy(self) -> dict[int, int] | None:
        """Return per cent of compute time by pid since the call before. What no device can be (above 100 %) is not believed."""
        is_first, since_us = self._seen_us is None, self._seen_us or 0
        samples = self._session.ask("nvmlDeviceGetProcessUtilization", self._handle, since_us)
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


class _Session:
    """NVML, started once for all devices of this process."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.users = 0

    def start(self) -> int | NoData:
        """Start NVML and return how many devices it shows."""
        started = self.ask("nvmlInit")
        return started if isinstance(started, NoData) else self.ask("nvmlDeviceGetCount")

    def stop(self) -> None:
        """Let go of NVML."""
        self.ask("nvmlShutdown")

    def ask(self, name: str, *arguments: Any) -> Any:
        """Return what a function of the library answers, or `NoData` with the reason."""
        return _answer(lambda: getattr(self._library, name)(*arguments))


def _answer(call: Callable[[], Any]) -> Any:
    """Return what `call` answers, or why it does not: the one place where errors of NVML are caught and named."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - a driver's library may raise anything; the job it measures must not notice
        return NoData(_reason_of(error))


def _reason_of(error: Exception) -> str:
    if isinstance(error, ImportError):
        return PACKAGE_MISSING
    if isinstance(error, AttributeError):
        return NOT_SUPPORTED
    code = getattr(error, "value", None)
    if code == _SUCCESS:
        return NOT_FOUND  # pynvml raises "success" where a list of processes is empty
    return _REASONS.get(code, READ_FAILED) if isinstance(code, int) else READ_FAILED


def _chain(session: _Session, name: str, argument: Any) -> Any:
    return argument if isinstance(argument, NoData) else session.ask(name, argument)


def _valid(value: Any, lowest_sentinel: int) -> int | NoData:
    """Return a number that is one; those that mean "no value" are none."""
    if not isinstance(value, int) or value < 0:
        return NoData(READ_FAILED)
    return value if value < lowest_sentinel else NoData(NOT_SUPPORTED)


def _text(value: str | bytes) -> str:
    """Return a text of NVML: bytes in older versions of pynvml."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _import_pynvml() -> Any:
    import pynvml

    return pynvml


def load_library() -> None:
    """Import pynvml now, if a driver is here, for a meter that is found later in another thread.

    To be called on the job's own thread: a fork in the middle of an import leaves the child with a lock that nobody will ever free.
    """
    if not why_no_driver():
        _answer(_import_pynvml)


def why_no_driver(root: str = "/") -> str:
    """Return why NVML need not be tried here, or nothing where a driver and its library are found."""
    if os.name == "nt":
        dll = os.path.join(os.environ.get("WINDIR", "C:/Windows"), "System32", "nvml.dll")
        return "" if _exists(dll) else DRIVER_MISSING
    if not any(_exists(f"{root}dev/{node}") for node in ("nvidiactl", "dxg")):
        return DRIVER_MISSING
    if _LIBRARY.encode() in (read_bytes(f"{root}etc/ld.so.cache", _CACHE_BYTES) or b""):
        return ""
    searched = os.environ.get("LD_LIBRARY_PATH", "").split(":") if root == "/" else []
    folders = [*(f"{root}{folder}" for folder in _LIBRARY_FOLDERS), *filter(None, searched)]
    return "" if any(_exists(f"{folder}/{_LIBRARY}") for folder in folders) else LIBRARY_MISSING


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except (OSError, ValueError):
        return False
    return True
