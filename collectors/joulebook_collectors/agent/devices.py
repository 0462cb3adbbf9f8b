"""Which devices are there, told cheaply: by the names in some folders, so that a change is seen without asking a driver."""

from __future__ import annotations

import os

_DEVICE_NODES = ("nvidia", "dxg", "kfd", "ipmi")
_CLASSES = ("class/powercap", "class/drm", "class/hwmon")


def fingerprint(sysfs_root: str = "/sys", device_root: str = "/dev") -> tuple[str, ...]:
    """Return names that change when a device or its driver comes or goes."""
    nodes = [name for name in _names(device_root) if name.startswith(_DEVICE_NODES)]
    return (*nodes, *(f"{place}/{name}" for place in _CLASSES for name in _names(f"{sysfs_root}/{place}")))


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
