"""Which GPUs a process is named for: the meaning of CUDA_VISIBLE_DEVICES, and of the variables of ROCm.

A run holds a device that it is named for (CORE §10). Unset variables name nothing, and so do those whose meaning cannot be told: then
memory on the device decides.

ROCm has two sieves, one behind the other. ROCR_VISIBLE_DEVICES is that of its runtime (`RvdFilter` of ROCR-Runtime): numbers, or UUIDs
and their beginnings; empty hides all. HIP_VISIBLE_DEVICES, and CUDA_VISIBLE_DEVICES where that is empty or unset, are those of HIP
(`Device::init` of ROCm's clr): numbers among what the runtime left, or UUIDs; empty means what unset means, and -1 hides all.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    from joulebook_collectors.meters.meter import MeterDescription

    class Gpu(Protocol):
        """What is asked of a GPU's meter."""

        @property
        def index(self) -> int:
            """Its number as CUDA counts in the driver's order."""

        @property
        def rocm_names(self) -> dict[int, str]:
            """Its number as ROCm counts -> its UUID as ROCm writes it."""

        @property
        def description(self) -> MeterDescription:
            """What it is."""

        def contains(self, instance: str) -> bool:
            """Tell whether a MIG instance is a part of it."""


NAMING_VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
"""The variables that name devices, in the order in which a process tells them; the first release told two."""
_LEAST_UUID, _LONGEST_UUID = 5, 20  # characters of "GPU-" and a beginning of its 16 digits


def named_devices(visible: Sequence[str | None], gpus: Sequence[Gpu]) -> frozenset[str] | None:
    """Return the UUIDs of the devices that a process is named for.

    Args:
        visible: What `NAMING_VARIABLES` say in the process; None where one is not set. What is left out is not set.
        gpus: The GPUs of the machine.

    Returns:
        Nothing (None) where the process is not named, or where a number cannot be told to a device. Else a set, empty where the
        process may see none. What stands behind the first unknown name does not count, in CUDA and in ROCm.
    """
    cuda, order, hip, rocr = [*visible, *[None] * len(NAMING_VARIABLES)][: len(NAMING_VARIABLES)]
    boards = [gpu for gpu in gpus if not gpu.rocm_names]
    by_cuda = _named_by_cuda(cuda, boards, order)
    # Of a machine with boards of both makers, CUDA's variable is not known to mean those of ROCm.
    by_rocm = _named_by_rocm(rocr, hip or (None if boards else cuda), [gpu for gpu in gpus if gpu.rocm_names])
    if by_cuda is None or by_rocm is None:
        return by_rocm if by_cuda is None else by_cuda
    return by_cuda | by_rocm


def _named_by_cuda(visible: str | None, gpus: Sequence[Gpu], order: str | None) -> frozenset[str] | None:
    """Return what CUDA would show; None where numbers are not certain.

    CUDA numbers the fastest first unless `order` is PCI_BUS_ID, which is the driver's order, so numbers are certain only among equal
    devices.
    """
    if visible is None:
        return None
    found = set()
    for entry in _entries(visible):
        if entry.isdecimal() and not _are_numbered_alike(gpus, order):
            return None
        device = _device_named(entry, gpus)
        if device is None:
            break
        found.add(device)
    return frozenset(found)


def _device_named(entry: str, gpus: Sequence[Gpu]) -> str | None:
    """Return the device of a number, of a UUID or its beginning, or of a MIG instance; None where there is none such."""
    if entry.isdecimal():
        matching = [gpu for gpu in gpus if gpu.index == int(entry)]
    elif entry.startswith("MIG-GPU-"):
        # The form until driver 470: MIG-GPU-<uuid>/<instance>/<instance>
        uuid = entry.removeprefix("MIG-").partition("/")[0]
        matching = [gpu for gpu in gpus if gpu.description.device == uuid]
    elif entry.startswith("MIG-"):
        matching = [gpu for gpu in gpus if gpu.contains(entry)]
    elif entry.startswith("GPU-"):
        matching = [gpu for gpu in gpus if gpu.description.device.startswith(entry)]
    else:
        matching = []
    return matching[0].description.device if len(matching) == 1 else None


def _are_numbered_alike(gpus: Sequence[Gpu], order: str | None) -> bool:
    return order == "PCI_BUS_ID" or len({gpu.description.label for gpu in gpus if gpu.index >= 0}) <= 1


def _named_by_rocm(runtime: str | None, hip: str | None, gpus: Sequence[Gpu]) -> frozenset[str] | None:
    """Return what HIP would show of what ROCm's runtime shows; None where neither is set, or a board's number is not known."""
    devices = {number: (uuid, gpu.description.device) for gpu in gpus for number, uuid in gpu.rocm_names.items()}
    if not devices or set(devices) != set(range(len(devices))) or (runtime is None and not hip):
        return None
    shown = [devices[number] for number in range(len(devices))]
    if runtime is not None:
        shown = _left_by_runtime(_entries(runtime.upper()), shown)
    if hip:
        shown = _left_by_hip(_entries(hip), shown)
    return frozenset(device for _, device in shown)


def _left_by_runtime(entries: Iterable[str], devices: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the devices that are named; a UUID's beginning counts where it is the only one, and a device named again ends the list."""
    left: list[tuple[str, str]] = []
    for entry in entries:
        if entry.isdecimal():
            matching = devices[int(entry) : int(entry) + 1]
        elif _LEAST_UUID <= len(entry) <= _LONGEST_UUID:
            matching = [device for device in devices if device[0].upper().startswith(entry)]
        else:
            matching = []
        if len(matching) != 1 or matching[0] in left:
            break
        left += matching
    return left


def _left_by_hip(entries: Iterable[str], devices: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the devices that are named; of a part of a UUID the first that has it."""
    left: list[tuple[str, str]] = []
    for entry in entries:
        if entry.isdecimal():
            matching = devices[int(entry) : int(entry) + 1]
        else:
            matching = [device for device in devices if entry.startswith("GPU-") and entry in device[0]][:1]
        if not matching:
            break
        left += [device for device in matching if device not in left]
    return left


def _entries(visible: str) -> list[str]:
    return [part.strip() for part in visible.split(",")]
