"""What `joulebook doctor` says of meters: for each, whether it is there, why not, and exactly what to do.

Plain records in plain words; the command renders them. Nothing is changed here, and nothing is run.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from joulebook_collectors.host.allotment import THOUSANDTHS, Processors
from joulebook_collectors.host.identity import Host, host_of
from joulebook_collectors.host.processes import sees_host_pids
from joulebook_collectors.meters import meter as reasons
from joulebook_collectors.meters.meter import Absent, CounterValue, NoData, PowerValue
from joulebook_collectors.meters.modelled import UNCERTAINTY_PERCENT
from joulebook_collectors.meters.remedies import words_of

if TYPE_CHECKING:
    from joulebook_collectors.meters.find import FoundMeters
    from joulebook_collectors.meters.meter import Meter

NVIDIA_VENDOR = "0x10de"
DISPLAY_CLASS = "0x03"
RAPL_REMEDY = """\
sudo groupadd --system --force joulebook
sudo usermod --append --groups joulebook "$USER"
sudo tee /etc/udev/rules.d/70-joulebook-rapl.rules <<'RULE'
ACTION=="add", SUBSYSTEM=="powercap", KERNEL=="intel-rapl:*", \
RUN+="/bin/chgrp joulebook /sys%p/energy_uj", RUN+="/bin/chmod 0440 /sys%p/energy_uj"
RULE
sudo udevadm control --reload
sudo udevadm trigger --subsystem-match=powercap --action=add
Then log in again. For an agent alone, AmbientCapabilities=CAP_DAC_READ_SEARCH in its unit does too. Keep the group small: fine energy readings are a side channel (PLATYPUS, CVE-2020-8694)."""


class Finding(NamedTuple):
    """What is to be said of one meter.

    Attributes:
        name: The meter, for people.
        component: gpu, cpu, dram or processes.
        is_present: Whether it counts here.
        method: counter, sensor or model; empty where it is absent.
        detail: What it is and what it shows now.
        reason: Why it is absent or says nothing, as gaps name it; empty where all is well.
        why: The same in a sentence; for a model, what it is worth.
        remedy: What to do, ready to copy; empty where nothing can be done or need be.
    """

    name: str
    component: str
    is_present: bool
    method: str = ""
    detail: str = ""
    reason: str = ""
    why: str = ""
    remedy: str = ""


def diagnose(found: FoundMeters, *, sysfs_root: str = "/sys", proc_root: str = "/proc") -> tuple[Finding, ...]:
    """Return a finding for every meter of this machine, then one for each that is absent.

    Args:
        found: What `find_meters` returned; its meters are read once.
        sysfs_root: Where the kernel's /sys is.
        proc_root: Where the kernel's /proc is.
    """
    host = host_of(proc_root, sysfs_root)
    present = [_present(meter, host) for meter in found.meters]
    absent = [_absent(missing, host, sysfs_root) for missing in found.absent]
    if found.gpus and not sees_host_pids(proc_root):
        absent.append(_HIDDEN_PIDS)
    return (*present, *absent, *_bounds(proc_root, sysfs_root))


_HIDDEN_PIDS = Finding(
    name="processes of GPUs",
    component="processes",
    is_present=False,
    reason="other_pid_namespace",
    why="The driver names processes by the host's ids, which this container does not see: who used a GPU is told by "
    "CUDA_VISIBLE_DEVICES alone.",
    remedy="Start the container with --pid=host.",
)


def _bounds(proc_root: str, sysfs_root: str) -> list[Finding]:
    """Return what is to be said where a container or unit may use a part of the processors only."""
    processors = Processors(proc_root, sysfs_root)
    allotment = processors.of_process("self")
    if not allotment.thousandths:
        return []
    part, whole = allotment.thousandths / THOUSANDTHS, processors.thousandths // THOUSANDTHS
    return [
        Finding(
            name="processors of this group",
            component="cpu",
            is_present=True,
            detail=f"{part:g} of {whole}, by {allotment.origin}",
            why=f"Meters are the host's. Of what it draws when idle, runs here bear {part:g}/{whole}; of what its work "
            "draws, the share of their CPU time.",
        )
    ]


def _present(meter: Meter, host: Host) -> Finding:
    description = meter.description
    answer = meter.read()
    finding = Finding(
        name=f"{description.component} {description.domain}",
        component=description.component,
        is_present=True,
        method=description.method,
        detail=f"{description.label}, at most {description.max_power_mw / 1000:g} W; {_shown(answer)}",
    )
    if isinstance(answer, NoData):
        why, remedy = _silence(meter, answer.reason, host)
        return finding._replace(
            reason=answer.reason, why=f"It is there and says nothing, so its time is a gap. {why}", remedy=remedy
        )
    if description.method == "model":
        return finding._replace(why=_worth_of_a_model(), remedy=_better_than_a_model(description.label, host))
    return finding


def _silence(meter: Meter, reason: str, host: Host) -> tuple[str, str]:
    """Return why a meter that is there says nothing, and what to do."""
    label = meter.description.label
    if label.startswith("AMD ") and meter.description.component == "gpu":
        return _amd_words(reason, getattr(meter, "trouble", ""))
    if " RAPL " in label:
        return _rapl_words(reason, host)
    return words_of(label, reason) or _gpu_words(reason, getattr(meter, "trouble", ""))


def _shown(answer: CounterValue | PowerValue | NoData) -> str:
    match answer:
        case CounterValue():
            wraps = ", which has an unknown range" if answer.range is None else ""
            return f"counter at {answer.value / answer.per_joule:,.3f} J{wraps}"
        case PowerValue():
            return f"{answer.power_mw / 1000:g} W now"
        case NoData():
            return "no reading"


def _worth_of_a_model() -> str:
    return f"Nothing measures this here; a model stands in, worth ± {UNCERTAINTY_PERCENT} % (one sigma)."


def _better_than_a_model(label: str, host: Host) -> str:
    if not label.endswith("default TDP") or host.is_virtual:
        return ""
    return "pip install 'joulebook[codecarbon]', then `joulebook doctor` again: it looks up this processor's TDP."


def _absent(missing: Absent, host: Host, sysfs_root: str) -> Finding:
    words = words_of(missing.name, missing.reason)
    if words is not None:
        why, remedy = words
    elif missing.name.startswith("AMD "):
        why, remedy = _amd_words(missing.reason, missing.detail)
    elif missing.name.startswith("RAPL"):
        why, remedy = _rapl_words(missing.reason, host)
    elif missing.reason == reasons.DRIVER_MISSING and not _has_nvidia_card(sysfs_root):
        why, remedy = "No NVIDIA GPU is here, or no driver of one.", ""
    elif missing.component == "gpu":
        why, remedy = _gpu_words(missing.reason, missing.detail)
    else:
        why, remedy = "The kernel does not say how much memory there is.", ""
    return Finding(
        name=missing.name,
        component=missing.component,
        is_present=False,
        reason=missing.reason,
        why=why,
        remedy=remedy,
    )


def _rapl_words(reason: str, host: Host) -> tuple[str, str]:
    match reason:
        case reasons.PERMISSION_DENIED:
            return "The kernel lets root alone read the energy of processors; a model stands in.", RAPL_REMEDY
        case reasons.MIRRORED:
            return "It shows the counter of another die of its package again; counting both would count twice.", ""
        case reasons.COVERED_BY_ANOTHER:
            return "It lies within, or around, a domain that is counted; counting both would count twice.", ""
        case reasons.NOT_FOUND if sys.platform != "linux":
            return "This system shows no energy of its processors; a model stands in.", ""
        case reasons.NOT_FOUND if host.is_virtual:
            return (
                "A virtual machine is shown no energy counters; a model stands in.",
                "Track on the host, if it is yours.",
            )
        case reasons.NOT_FOUND:
            return (
                "The kernel shows no power capping; in a container it is hidden on purpose. A model stands in.",
                "sudo modprobe intel_rapl_msr (Intel, and AMD since Zen with Linux 5.8); in a container, track on the host.",
            )
    return (
        "The kernel shows the counter, and what it says is no number that can be right.",
        "See what `grep . /sys/class/powercap/*/name /sys/class/powercap/*/energy_uj` says, and update kernel and firmware.",
    )


def _amd_words(reason: str, detail: str = "") -> tuple[str, str]:
    match reason:
        case reasons.LIBRARY_MISSING:
            return (
                "The driver amdgpu is loaded, and the library libamd_smi.so is not found.",
                "Install ROCm's package amd-smi-lib, of the driver's version.",
            )
        case reasons.PACKAGE_MISSING:
            return "The Python package that speaks with the driver is missing.", "pip install 'joulebook[amd]'"
        case reasons.PERMISSION_DENIED:
            return "The device is closed to this process.", 'sudo usermod --append --groups render,video "$USER"'
        case reasons.NOT_SUPPORTED:
            return (
                "This device, as many that are lent to a guest, shows neither energy nor power.",
                "Track on the host.",
            )
    code = f" ({detail})" if detail else ""
    return f"The driver gives no answer that this version knows{code}.", "See what `amd-smi metric --power` says."


def _gpu_words(reason: str, detail: str = "") -> tuple[str, str]:
    match reason:
        case reasons.DRIVER_MISSING:
            return (
                "An NVIDIA GPU is here, and no driver is loaded for it.",
                "Install NVIDIA's driver and load it (`nvidia-smi` must work); in a container, start it with --gpus all.",
            )
        case reasons.LIBRARY_MISSING:
            return (
                "The driver is loaded, and its library libnvidia-ml.so.1 is not found.",
                "In a container set NVIDIA_DRIVER_CAPABILITIES=compute,utility; else install the library of the driver's version.",
            )
        case reasons.DRIVER_MISMATCH:
            return (
                "Library and driver are of different versions, as after an update.",
                "Restart the machine, or reload the driver.",
            )
        case reasons.PACKAGE_MISSING:
            return "The Python package that speaks with the driver is missing.", "pip install nvidia-ml-py"
        case reasons.PERMISSION_DENIED:
            return (
                "The device is closed to this process, as by a scheduler that lends it to others.",
                "Nothing, where the device is not yours; else ask for access to /dev/nvidia*.",
            )
        case reasons.DEVICE_LOST:
            return (
                "The GPU has fallen off the bus or must be reset.",
                "sudo nvidia-smi --gpu-reset, else restart the machine.",
            )
        case reasons.NOT_SUPPORTED:
            return (
                "This device, or the share of it that a virtual GPU is, shows neither energy nor power.",
                "Track on the host.",
            )
        case reasons.NOT_FOUND:
            return "The driver is loaded and shows no GPU.", "In a container, start it with --gpus all."
    if detail:
        return (
            f"The driver answers with a code that this version does not know ({detail}).",
            "See what `nvidia-smi` says; after an update of the driver: pip install --upgrade joulebook nvidia-ml-py",
        )
    return "The driver gives no answer.", "See what `nvidia-smi` says."


def _has_nvidia_card(sysfs_root: str) -> bool:
    for vendor in Path(sysfs_root).glob("bus/pci/devices/*/vendor"):
        try:
            kind = (vendor.parent / "class").read_text(encoding="ascii")
            if vendor.read_text(encoding="ascii").strip() == NVIDIA_VENDOR and kind.startswith(DISPLAY_CLASS):
                return True
        except (OSError, ValueError):
            continue
    return False
