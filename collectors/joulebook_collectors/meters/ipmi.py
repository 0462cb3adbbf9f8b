"""A node's power by IPMI: `ipmitool`, a child of the agent, asks the management controller in-band. Never from a measured process.

`dcmi power reading` is asked first. Where the controller has no DCMI, its sensors are: one that is known to show the whole node, else
the sum of what its power supplies take in. A controller that says 0 W says nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from joulebook_collectors.meters.meter import (
    NOT_FOUND,
    NOT_SUPPORTED,
    PACKAGE_MISSING,
    PERMISSION_DENIED,
    READ_FAILED,
    NoData,
    PowerValue,
)
from joulebook_collectors.meters.node_power import plausible

TIMEOUT_SECONDS = 10.0
DCMI = ("dcmi", "power", "reading")
SENSORS = ("-c", "sdr", "list", "full")
_DEVICES = ("/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0")
_DCMI_LINE = re.compile(r"^\s*Instantaneous power reading\s*:\s*(\d{1,9})\s+Watts\s*$", re.MULTILINE)
_DCMI_STATE = re.compile(r"^\s*Power reading state is\s*:\s*activated\s*$", re.MULTILINE)
# As makers call the sensor of the whole node.
_NODE = re.compile(
    r"(pwr|power|pw) consumption|(sys|system|node|total|server|chassis)[ _]?(total[ _])?(pwr|power)|power meter|pw consumption",
    re.IGNORECASE,
)
_SUPPLY = re.compile(r"ps(u)?[ _]?\d+[ _]?(input[ _]?(power|pwr)|(power|pwr)[ _]?in(put)?|pin)", re.IGNORECASE)


class IpmiSource:
    """Asks `ipmitool`."""

    label = "IPMI"

    def __init__(self, command: str = "ipmitool", *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Run `command`, found on PATH, for at most `timeout_seconds` each time."""
        self._command = command
        self._timeout_seconds = timeout_seconds
        self._has_dcmi = True

    def power(self) -> PowerValue | NoData:
        """Answer the power now."""
        path = shutil.which(self._command)
        if path is None:
            return NoData(PACKAGE_MISSING)
        if self._has_dcmi:
            text = self._run(path, DCMI)
            if isinstance(text, str):
                return dcmi_power(text)
            if text.reason != NOT_SUPPORTED:
                return text
            self._has_dcmi = False
        text = self._run(path, SENSORS)
        return text if isinstance(text, NoData) else sensor_power(text)

    def close(self) -> None:
        """Nothing is held."""

    def _run(self, path: str, arguments: tuple[str, ...]) -> str | NoData:
        try:
            ran = subprocess.run(
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._timeout_seconds,
                check=False,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            return NoData(READ_FAILED)
        if ran.returncode == 0:
            return ran.stdout.decode("ascii", "replace")
        return NoData(_why_failed(ran.stderr.decode("ascii", "replace")))


def dcmi_power(text: str) -> PowerValue | NoData:
    """Return the power that `ipmitool dcmi power reading` prints."""
    found = _DCMI_LINE.search(text)
    if found is None or _DCMI_STATE.search(text) is None:
        return NoData(READ_FAILED)
    return plausible(int(found[1]) * 1000)


def sensor_power(text: str) -> PowerValue | NoData:
    """Return the power that `ipmitool -c sdr list full` prints: `name,value,unit,state` in each line."""
    rows = [line.split(",") for line in text.splitlines()]
    watts = {
        row[0].strip(): (row[1].strip(), row[3].strip()) for row in rows if len(row) >= 4 and row[2].strip() == "Watts"
    }
    of_node = [value for name, value in watts.items() if _NODE.fullmatch(name)]
    supplies = [value for name, value in watts.items() if _SUPPLY.fullmatch(name)]
    if not of_node and not supplies:
        return NoData(NOT_SUPPORTED)
    # "ns" is a supply that is not plugged in; one that is there and says no number makes the sum unknown.
    chosen = [value for value, state in of_node[:1] or supplies if state != "ns"]
    if not all(re.fullmatch(r"\d{1,6}(\.\d+)?", value) for value in chosen):
        return NoData(READ_FAILED)
    return plausible(sum(int(value.partition(".")[0]) for value in chosen) * 1000)


def _why_failed(errors: str) -> str:
    if "Could not open device" in errors:
        return PERMISSION_DENIED if any(os.path.exists(path) for path in _DEVICES) else NOT_FOUND
    if "Permission denied" in errors or "Insufficient privilege" in errors:
        return PERMISSION_DENIED
    if "Invalid command" in errors or "DCMI request failed" in errors or "not supported" in errors.lower():
        return NOT_SUPPORTED
    return READ_FAILED
