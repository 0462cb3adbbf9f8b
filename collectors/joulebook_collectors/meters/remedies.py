"""What `joulebook doctor` says of meters that no driver of GPUs or RAPL shows: why each is absent, and what to do."""

from __future__ import annotations

from joulebook_collectors.meters import meter as reasons

INTEL_REMEDY = """\
sudo groupadd --system --force joulebook
sudo usermod --append --groups joulebook "$USER"
sudo tee /etc/udev/rules.d/70-joulebook-gpu.rules <<'RULE'
ACTION=="add", SUBSYSTEM=="hwmon", ATTR{name}=="xe|i915", \
RUN+="/bin/sh -c 'chgrp joulebook /sys%p/energy*_input; chmod 0440 /sys%p/energy*_input'"
RULE
sudo udevadm control --reload
sudo udevadm trigger --subsystem-match=hwmon --action=add
Then log in again."""
IPMI_REMEDY = """\
sudo tee /etc/udev/rules.d/70-joulebook-ipmi.rules <<'RULE'
KERNEL=="ipmi[0-9]*", GROUP="joulebook", MODE="0660"
RULE
sudo udevadm control --reload
sudo udevadm trigger --subsystem-match=ipmi --action=add
Then restart the agent. Who may open this device may also switch the machine off."""
_UNREADABLE = "The kernel shows it, and what it says is no number that can be right."
_LOOK = (
    "See what the file says (`cat`), and update kernel and firmware; until then its time is a gap or a model stands in."
)

Words = tuple[str, str]


def words_of(name: str, reason: str) -> Words | None:
    """Return why a meter of this name is absent or silent, and what to do; None for names that are not known here."""
    for beginning, table in _TABLES:
        if name.startswith(beginning) or f" {beginning}" in name:
            return table.get(reason) or _COMMON.get(reason) or ("It gives no answer.", _LOOK)
    return None


_COVERED = "It lies within a meter that is counted; counting both would count twice."
_COMMON: dict[str, Words] = {
    reasons.COVERED_BY_ANOTHER: (_COVERED, ""),
    reasons.READ_FAILED: (_UNREADABLE, _LOOK),
    reasons.DEVICE_LOST: ("It was there and is gone: a driver was unloaded or a device taken out.", "Load its driver again."),
    reasons.PERMISSION_DENIED: (
        "The kernel lets root alone read it.",
        "Let the agent read it: AmbientCapabilities=CAP_DAC_READ_SEARCH in its unit.",
    ),
}  # fmt: skip
_INTEL: dict[str, Words] = {
    reasons.PERMISSION_DENIED: ("The kernel lets root alone read this card's energy.", INTEL_REMEDY),
    reasons.NOT_SUPPORTED: (
        "The driver of this card shows no energy counter.",
        "Update the kernel: i915 shows it since Linux 6.2, xe since 6.11; graphics built into a processor are in RAPL's package.",
    ),
}
_RAIL: dict[str, Words] = {
    reasons.NOT_SUPPORTED: (
        "Nobody here knows what this rail feeds; it may lie within another, so it is left out.",
        "Tell the project the board's name and what `grep . /sys/class/hwmon/*/in*_label` says.",
    ),
}
_APPLE: dict[str, Words] = {
    reasons.PACKAGE_MISSING: (
        "The Python package that reads this chip's counters is missing; a model stands in.",
        "pip install 'joulebook[apple]'",
    ),
    reasons.NOT_SUPPORTED: ("This chip does not show it.", ""),
    reasons.READ_FAILED: (
        "The system gives no energy counters; on a Mac with an Intel processor there are none.",
        "Update macOS and the package: pip install --upgrade zeus-apple-silicon",
    ),
}
_NODE: dict[str, Words] = {
    "not_asked": ("Its source has not answered yet.", "Ask again in a few seconds."),
    reasons.PACKAGE_MISSING: ("The program ipmitool is not found.", "sudo apt-get install ipmitool, or dnf install ipmitool."),
    reasons.NOT_FOUND: (
        "No management controller, power meter or chassis of that name is found.",
        "sudo modprobe -a ipmi_si ipmi_devintf; for ACPI sudo modprobe acpi_power_meter; for Redfish an id of /redfish/v1/Chassis as chassis.",
    ),
    reasons.PERMISSION_DENIED: (
        "The controller refuses: IPMI's device is closed to this user, or Redfish does not take the credentials.",
        IPMI_REMEDY + "\nFor Redfish: a user with the role ReadOnly, its name and password in credentials_file (mode 0600).",
    ),
    reasons.NOT_SUPPORTED: (
        "The controller shows no power of the node, or that of several chassis without saying which holds the others.",
        "Set chassis in [node] to the id of the node's own below /redfish/v1/Chassis; else take another source.",
    ),
    reasons.READ_FAILED: (
        "The controller is away, too slow, or says what cannot be right; a certificate that is not known ends here too.",
        "Try it by hand: `ipmitool dcmi power reading`, or `curl --cacert CA_FILE -u USER https://…/redfish/v1/Chassis`.",
    ),
}  # fmt: skip
_NOTHING: dict[str, Words] = {}
_TABLES: tuple[tuple[str, dict[str, Words]], ...] = (
    ("Intel GPU", _INTEL),
    ("rail ", _RAIL),
    ("Jetson rail", _RAIL),
    ("amd_energy", _NOTHING),
    ("IOReport", _APPLE),
    ("node less its parts", _NODE),
    ("model of memory", _NOTHING),
    ("NVML ", _NOTHING),
)
