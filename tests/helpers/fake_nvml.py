"""A stand-in for pynvml: the functions that `nvml` calls, with the same names, arguments and errors."""

# ruff: noqa: N802, N803 - the names are pynvml's

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

SUCCESS, UNINITIALIZED, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND = 0, 1, 3, 4, 6
DRIVER_NOT_LOADED, GPU_IS_LOST, VERSION_MISMATCH, UNKNOWN = 9, 15, 18, 999
NOT_AVAILABLE_64 = 0xFFFFFFFFFFFFFFFF
NOT_AVAILABLE_32 = 0xFFFFFFFF
POWER_AVERAGE, POWER_INSTANT = 185, 186


class FakeNvmlError(Exception):
    """An error as pynvml raises it: its number is in `value`."""

    def __init__(self, value: int) -> None:
        """Take NVML's return code."""
        super().__init__(f"NVML error {value}")
        self.value = value


@dataclass(kw_only=True)
class FakeGpu:
    """A GPU as a test wants it. An int that is an error code stands in `errors` by the function's name.

    Attributes:
        uuid: Its UUID, as text or, in older versions of pynvml, bytes.
        name: Its model.
        energy_mj: What its counter shows.
        power_mw: What nvmlDeviceGetPowerUsage shows.
        fields_mw: Power by field id, where the device has such fields.
        limit_mw: Greatest limit that can be set.
        compute: pid and bytes of processes that compute.
        graphics: pid and bytes of processes that draw.
        samples: pid, timestamp in microseconds and per cent of compute time.
        slices: Compute slices, of a MIG instance.
        parts: MIG instances by UUID, each with its own processes.
        errors: NVML's return code by name of the function that fails.
    """

    uuid: str | bytes = "GPU-11111111-aaaa-bbbb-cccc-dddddddddddd"
    name: str | bytes = "NVIDIA H200"
    energy_mj: int = 123_456_789
    power_mw: int = 90_000
    fields_mw: dict[int, int] = field(default_factory=dict)
    limit_mw: int = 700_000
    compute: list[tuple[int, int | None]] = field(default_factory=list)
    graphics: list[tuple[int, int | None]] = field(default_factory=list)
    samples: list[tuple[int, int, int]] = field(default_factory=list)
    slices: int = 0
    parts: list[FakeGpu] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)


class FakeNvml:
    """The library. It counts how often it is started, as NVML does."""

    NVMLError = FakeNvmlError

    def __init__(self, *gpus: FakeGpu, errors: dict[str, int] | None = None) -> None:
        """Show these GPUs; `errors` are of calls that name no device."""
        self.gpus = gpus
        self.errors = errors or {}
        self.started = 0
        self.calls: list[str] = []

    def nvmlInit(self) -> None:
        """Start."""
        self._check("nvmlInit", None, needs_start=False)
        self.started += 1

    def nvmlShutdown(self) -> None:
        """End one start."""
        self._check("nvmlShutdown", None)
        self.started -= 1

    def nvmlDeviceGetCount(self) -> int:
        """Return the number of GPUs."""
        self._check("nvmlDeviceGetCount", None)
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        """Return a GPU by its number."""
        self._check("nvmlDeviceGetHandleByIndex", self.gpus[index])
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> FakeGpu:
        """Return a GPU, or an instance of one, by its UUID."""
        self._check("nvmlDeviceGetHandleByUUID", None)
        for gpu in (*self.gpus, *(part for whole in self.gpus for part in whole.parts)):
            if gpu.uuid == uuid:
                self._check("nvmlDeviceGetHandleByUUID", gpu)
                return gpu
        raise FakeNvmlError(NOT_FOUND)

    def nvmlDeviceGetUUID(self, handle: FakeGpu) -> str | bytes:
        """Return its UUID."""
        self._check("nvmlDeviceGetUUID", handle)
        return handle.uuid

    def nvmlDeviceGetName(self, handle: FakeGpu) -> str | bytes:
        """Return its model."""
        self._check("nvmlDeviceGetName", handle)
        return handle.name

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: FakeGpu) -> int:
        """Return its energy since the driver was loaded, millijoules."""
        self._check("nvmlDeviceGetTotalEnergyConsumption", handle)
        return handle.energy_mj

    def nvmlDeviceGetPowerUsage(self, handle: FakeGpu) -> int:
        """Return its power, milliwatts."""
        self._check("nvmlDeviceGetPowerUsage", handle)
        return handle.power_mw

    def nvmlDeviceGetFieldValues(self, handle: FakeGpu, fieldIds: list[tuple[int, int]]) -> list[SimpleNamespace]:
        """Return the values of fields, each with a return code of its own."""
        self._check("nvmlDeviceGetFieldValues", handle)
        return [
            SimpleNamespace(
                nvmlReturn=SUCCESS if field_id in handle.fields_mw else NOT_SUPPORTED,
                value=SimpleNamespace(uiVal=handle.fields_mw.get(field_id, 0)),
            )
            for field_id, _ in fieldIds
        ]

    def nvmlDeviceGetPowerManagementLimitConstraints(self, handle: FakeGpu) -> list[int]:
        """Return the lowest and the highest limit that can be set."""
        self._check("nvmlDeviceGetPowerManagementLimitConstraints", handle)
        return [100_000, handle.limit_mw]

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: FakeGpu) -> int:
        """Return the limit in force."""
        self._check("nvmlDeviceGetEnforcedPowerLimit", handle)
        return handle.limit_mw // 2

    def nvmlDeviceGetMigMode(self, device: FakeGpu) -> list[int]:
        """Return whether it is divided now, and after the next restart."""
        self._check("nvmlDeviceGetMigMode", device)
        return [int(bool(device.parts))] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, device: FakeGpu) -> int:
        """Return how many instances it may have."""
        self._check("nvmlDeviceGetMaxMigDeviceCount", device)
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: FakeGpu, index: int) -> FakeGpu:
        """Return one of its instances."""
        self._check("nvmlDeviceGetMigDeviceHandleByIndex", device)
        if index >= len(device.parts):
            raise FakeNvmlError(NOT_FOUND)
        return device.parts[index]

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, migDevice: FakeGpu) -> FakeGpu:
        """Return the GPU of an instance."""
        self._check("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", migDevice)
        return next(gpu for gpu in self.gpus if migDevice in gpu.parts)

    def nvmlDeviceGetAttributes(self, device: FakeGpu) -> SimpleNamespace:
        """Return how large an instance is."""
        self._check("nvmlDeviceGetAttributes", device)
        return SimpleNamespace(gpuInstanceSliceCount=device.slices, computeInstanceSliceCount=device.slices)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: FakeGpu) -> list[SimpleNamespace]:
        """Return who computes on it."""
        self._check("nvmlDeviceGetComputeRunningProcesses", handle)
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in handle.compute]

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: FakeGpu) -> list[SimpleNamespace]:
        """Return who draws on it."""
        self._check("nvmlDeviceGetGraphicsRunningProcesses", handle)
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in handle.graphics]

    def nvmlDeviceGetProcessUtilization(self, handle: FakeGpu, timeStamp: int) -> list[SimpleNamespace]:
        """Return who was busy on it since a time."""
        self._check("nvmlDeviceGetProcessUtilization", handle)
        found = [
            SimpleNamespace(pid=pid, timeStamp=at_us, smUtil=percent, memUtil=0)
            for pid, at_us, percent in handle.samples
            if at_us > timeStamp
        ]
        if not found:
            raise FakeNvmlError(NOT_FOUND)
        return found

    def _check(self, name: str, gpu: FakeGpu | None, *, needs_start: bool = True) -> None:
        self.calls.append(name)
        if needs_start and self.started <= 0:
            raise FakeNvmlError(UNINITIALIZED)
        code = (gpu.errors if gpu else self.errors).get(name)
        if code is not None:
            raise FakeNvmlError(code)
