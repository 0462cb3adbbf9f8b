"""Which GPUs a process is named for: the meaning of CUDA_VISIBLE_DEVICES.

A run holds a device that it is named for (CORE §10). An unset variable names nothing, and so does one whose meaning cannot be told:
then memory on the device decides.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from joulebook_collectors.meters.meter import MeterDescription

    class Gpu(Protocol):
        """What is asked of a GPU's meter."""

        @property
        def index(self) -> int:
            """Its number in the driver's order."""

        @property
        def description(self) -> MeterDescription:
            """What it is."""

        def contains(self, instance: str) -> bool:
            """Tell whether a MIG instance is a part of it."""


def named_devices(visible: str | None, gpus: Sequence[Gpu], order: str | None = None) -> frozenset[str] | None:
    """Return the UUIDs of the devices that a process is named for.

    Args:
        visible: CUDA_VISIBLE_DEVICES of the process; None where it is not set.
        gpus: The GPUs of the machine.
        order: CUDA_DEVICE_ORDER of the process.

    Returns:
        Nothing (None) where the process is not named, or where a number cannot be told to a device: CUDA numbers the fastest first
        unless `order` is PCI_BUS_ID, which is the driver's order, so numbers are certain only among equal devices. Else a set, empty
        where the process may see none. As in CUDA, what stands behind the first unknown name does not count.
    """
    if visible is None:
        return None
    found = set()
    for entry in (part.strip() for part in visible.split(",")):
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
