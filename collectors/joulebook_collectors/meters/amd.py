"""AMD GPUs through AMD SMI: the energy counter where it moves, else power; and which processes hold memory there.

The accumulator counts in units of about 15.3 microjoules. It stands at 0 in guests, and on some boards it has been seen to stand
still: a counter that stands still counts nothing, and its time is a gap, for a board always draws something.

The package `amdsmi` (`pip install 'joulebook[amd]'`) is imported only where the driver's node /dev/kfd and the library were found.
No AMD hardware was to be had for trying this; the functions and their answers are those of amdsmi 7.0.
"""

from __future__ import annotations

from joulebook_collectors.host.identity import clean
from joulebook_collectors.meters.meter import (
    CLOSED,
    DRIVER_MISSING,
    LIBRARY_MISSING,
    NOT_FOUND,
    NOT_SUPPORTED,
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
from joulebook_collectors.meters.nvml_library import NOT_STARTED, Session, answer, exists, has_library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MICROJOULES_PER_JOULE = 1_000_000
NEVER_WRAPS = 0
# Above the boards of today (1.4 kW), for devices that do not say their limit.
HIGHEST_POWER_MW = 2_000_000
# So many equal answers in a row and the counter stands still; it moves each millisecond where it does.
STILL_READS = 10
_LIBRARY = "libamd_smi.so"
_LIBRARY_FOLDERS = ("opt/rocm/lib", "opt/rocm/lib64", "usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib")
_POWERS = ("average_socket_power", "current_socket_power", "socket_power")


class AmdSession(Session):
    """AMD SMI, started once for all devices of this process."""

    # AMD SMI's return codes (amdsmi.h, amdsmi_status_t); what is not here is `read_failed`.
    reasons = {  # noqa: RUF012 - typing.ClassVar would cost an import on the measured path
        2: NOT_SUPPORTED,
        3: NOT_SUPPORTED,  # not yet implemented
        10: PERMISSION_DENIED,
        31: NOT_FOUND,
        32: NOT_STARTED,
        34: DRIVER_MISSING,
        40: NOT_SUPPORTED,  # it has no data
    }
    name = "AMD SMI"
    _stop = "amdsmi_shut_down"
    _error = "AmdSmiException"

    def handles(self) -> Any:
        """Start the library and return its devices."""
        started = self.ask("amdsmi_init")
        return started if isinstance(started, NoData) else self.ask("amdsmi_get_processor_handles")


def find_amd_gpus(library: Any = None, *, root: str = "/") -> tuple[list[AmdGpuMeter], list[Absent]]:
    """Return the AMD GPUs of this machine, in the driver's order, and what is absent and why; nothing where there is no driver.

    Args:
        library: A module with amdsmi's functions; None takes amdsmi itself, where a driver is found below `root`.
        root: Root of the file system in which to look for the driver.
    """
    if library is None:
        if not exists(f"{root}dev/kfd"):
            return [], []
        is_here = has_library(_LIBRARY, _LIBRARY_FOLDERS, root)
        library = answer(_import_amdsmi) if is_here else NoData(LIBRARY_MISSING)
        if isinstance(library, NoData):
            return [], [Absent("AMD SMI", "gpu", library.reason)]
    session = AmdSession(library)
    handles = session.handles()
    if isinstance(handles, NoData):
        return [], [Absent("AMD SMI", "gpu", handles.reason, session.told(handles.reason))]
    meters: list[AmdGpuMeter] = []
    absent: list[Absent] = []
    for index, handle in enumerate(handles):
        uuid = session.ask("amdsmi_get_gpu_device_uuid", handle)
        if isinstance(uuid, NoData):
            absent.append(Absent(f"AMD GPU {index}", "gpu", uuid.reason, session.told(uuid.reason)))
            continue
        board = next((meter for meter in meters if meter.description.device == str(uuid)), None)
        if board is None:  # else a partition, which shows its board's energy again
            board = AmdGpuMeter(session, handle, str(uuid))
            meters.append(board)
        board.rocm_names.update(_rocm_name(session, handle))
    if not meters:
        session.stop()
        absent = absent or [Absent("AMD SMI", "gpu", NOT_FOUND)]
    return meters, absent


class AmdGpuMeter:
    """One AMD GPU."""

    index = -1  # CUDA numbers no such device

    def __init__(self, session: AmdSession, handle: Any, uuid: str) -> None:
        """Look what this device offers: the counter, else a power sensor. Made by `find_amd_gpus`."""
        self.rocm_names: dict[int, str] = {}
        self._session = session
        self._handle = handle
        self._is_closed = False
        self._last = 0
        self._still = 0
        first = self._energy_uj()
        self._has_counter = first.reason != NOT_SUPPORTED if isinstance(first, NoData) else first > 0
        session.users += 1
        asic = session.ask("amdsmi_get_gpu_asic_info", handle)
        self.description = MeterDescription(
            device=uuid,
            domain="gpu",
            component="gpu",
            max_power_mw=self._limit_mw(),
            label="AMD GPU" if isinstance(asic, NoData) else clean(str(asic["market_name"])),
            method="counter" if self._has_counter else "sensor",
        )

    @property
    def trouble(self) -> str:
        """What the driver last answered that has no name here; empty where there was no such thing."""
        return self._session.told(READ_FAILED)

    def read(self) -> CounterValue | PowerValue | NoData:
        """Answer microjoules, or milliwatts where the device has no counter."""
        if self._is_closed:
            return NoData(CLOSED)
        if not self._has_counter:
            power_mw = self._power_mw()
            return power_mw if isinstance(power_mw, NoData) else PowerValue(power_mw)
        energy_uj = self._energy_uj()
        if isinstance(energy_uj, NoData):
            return NoData(READ_FAILED) if energy_uj.reason == NOT_STARTED else energy_uj
        self._still = self._still + 1 if energy_uj == self._last else 0
        self._last = energy_uj
        return NoData(READ_FAILED) if self._still >= STILL_READS else self._value(energy_uj)

    def processes(self) -> DeviceProcesses:
        """Answer who holds memory of the device. How busy each was the library does not tell of programs that compute."""
        listed = NoData(CLOSED) if self._is_closed else self._session.ask("amdsmi_get_gpu_process_list", self._handle)
        if isinstance(listed, NoData):
            return DeviceProcesses(None, None)
        held = {int(entry["pid"]): int(entry["memory_usage"]["vram_mem"]) for entry in listed}
        return DeviceProcesses(tuple(Holder(pid, size) for pid, size in sorted(held.items()) if pid > 0), None)

    def contains(self, instance: str) -> bool:  # noqa: ARG002 - as of every GPU
        """Have no instances of NVIDIA's kind."""
        return False

    def close(self) -> None:
        """Let go of the device; the last one lets go of the library."""
        if not self._is_closed:
            self._is_closed = True
            self._session.users -= 1
            if self._session.users == 0:
                self._session.stop()

    def _value(self, energy_uj: int) -> CounterValue:
        return CounterValue(energy_uj, MICROJOULES_PER_JOULE, NEVER_WRAPS)

    def _energy_uj(self) -> int | NoData:
        told = self._session.ask("amdsmi_get_energy_count", self._handle)
        if isinstance(told, NoData):
            return told
        nanojoules: int = round(told["counter_resolution"] * 1_000)
        return int(told["energy_accumulator"]) * nanojoules // 1_000

    def _power_mw(self) -> int | NoData:
        told = self._session.ask("amdsmi_get_power_info", self._handle)
        if isinstance(told, NoData):
            return NoData(READ_FAILED) if told.reason == NOT_STARTED else told
        watts = [told[name] for name in _POWERS if isinstance(told.get(name), int) and 0 < told[name] < 1 << 16]
        return int(watts[0]) * 1_000 if watts else NoData(NOT_SUPPORTED)

    def _limit_mw(self) -> int:
        """Return the greatest power the board can be allowed, which the library tells in microwatts."""
        told = self._session.ask("amdsmi_get_power_cap_info", self._handle)
        greatest = 0 if isinstance(told, NoData) else int(told["max_power_cap"]) // 1_000
        return greatest if 0 < greatest <= HIGHEST_POWER_MW else HIGHEST_POWER_MW


def _rocm_name(session: AmdSession, handle: Any) -> dict[int, str]:
    told = session.ask("amdsmi_get_gpu_enumeration_info", handle)
    if isinstance(told, NoData) or not isinstance(told["hip_id"], int):
        return {}
    return {told["hip_id"]: str(told["hip_uuid"])}


def load_library() -> None:
    """Import amdsmi now, if a driver is here, for a meter that is found later in another thread."""
    if exists("/dev/kfd") and has_library(_LIBRARY, _LIBRARY_FOLDERS):
        answer(_import_amdsmi)


def _import_amdsmi() -> Any:
    import amdsmi

    return amdsmi
