"""IPMI: what is made of the words of a real child process called `ipmitool`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers.bmc import ipmitool

from joulebook_collectors.meters.ipmi import IpmiSource, dcmi_power, sensor_power
from joulebook_collectors.meters.meter import NoData, PowerValue

DCMI = """
    Instantaneous power reading:                   220 Watts
    Minimum during sampling period:                 18 Watts
    Maximum during sampling period:                407 Watts
    Average power reading over sample period:      216 Watts
    IPMI timestamp:                           Sun Nov 22 19:07:12 2026
    Sampling period:                          00000001 Seconds.
    Power reading state is:                   activated


"""
NO_DCMI = "DCMI request failed because: Invalid command (c1)\n"
SENSORS = """CPU1 Temp,40,degrees C,ok
Fan1,5400,RPM,ok
PS1 Input Power,110,Watts,ok
PS2 Input Power,96,Watts,ok
Pwr Consumption,196,Watts,ok
"""


def asked(folder: Path, **answers: tuple[int, str, str]) -> PowerValue | NoData:
    """Ask an `ipmitool` that answers so."""
    words = {"dcmi": "dcmi power reading", "sensors": "-c sdr list full"}
    return IpmiSource(ipmitool(folder, {words[name]: answer for name, answer in answers.items()})).power()


def test_dcmi_says_the_power_now(tmp_path: Path) -> None:
    """Not the average, nor the greatest."""
    assert asked(tmp_path, dcmi=(0, DCMI, "")) == PowerValue(220_000)


def test_where_dcmi_is_missing_the_sensors_are_asked(tmp_path: Path) -> None:
    """The one of the whole node, not its supplies too."""
    assert asked(tmp_path, dcmi=(1, "", NO_DCMI), sensors=(0, SENSORS, "")) == PowerValue(196_000)


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        (
            "Could not open device at /dev/ipmi0 or /dev/ipmi/0 or /dev/ipmidev/0: No such file or directory\n",
            "not_found",
        ),
        ("Insufficient privilege level\n", "permission_denied"),
        ("Get Session Challenge command failed\n", "read_failed"),
    ],
)
def test_a_failure_has_a_reason(tmp_path: Path, errors: str, reason: str) -> None:
    """As the tool says it."""
    if reason == "not_found" and Path("/dev/ipmi0").exists():
        pytest.skip("this machine has a management controller")
    assert asked(tmp_path, dcmi=(1, "", errors)) == NoData(reason)


def test_a_tool_that_is_not_installed_is_missing() -> None:
    """It is a package of the system."""
    assert IpmiSource("ipmitool-of-no-package").power() == NoData("package_missing")


def test_a_tool_that_hangs_is_a_failed_read(tmp_path: Path) -> None:
    """It is ended."""
    program = tmp_path / "ipmitool"
    program.write_text(f"#!/bin/sh\nexec {shutil.which('sleep')} 30\n")
    program.chmod(0o755)
    assert IpmiSource(str(program), timeout_seconds=0.2).power() == NoData("read_failed")


@pytest.mark.parametrize(
    "text",
    ["", "garbage", DCMI.replace("220", "0"), DCMI.replace("220", "-5"), DCMI.replace("220", "9" * 30), DCMI.replace("activated", "deactivated"),
     DCMI.replace("220", "99999")],
    ids=range(7),
)  # fmt: skip
def test_words_that_hold_no_power_are_a_failed_read(text: str) -> None:
    """Neither is 0 W a power."""
    assert dcmi_power(text) == NoData("read_failed")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("PS1 Input Power,110,Watts,ok\nPS2 Input Power,96,Watts,ok\n", PowerValue(206_000)),
        ("PSU1_PIN,110.5,Watts,ok\nPSU2_PIN,,Watts,ns\n", PowerValue(110_000)),
        ("PSU1_PIN,110,Watts,ok\nPSU2_PIN,na,Watts,cr\n", NoData("read_failed")),
        ("Total_Power,512,Watts,ok\nPSU1_PIN,500,Watts,ok\n", PowerValue(512_000)),
        ("CPU Power,120,Watts,ok\nMemory Power,30,Watts,ok\n", NoData("not_supported")),
        ("System Power,na,Watts,ns\n", NoData("read_failed")),
        ("System Power\n,,\n", NoData("not_supported")),
        ("", NoData("not_supported")),
    ],
    ids=range(8),
)
def test_sensors_are_known_by_their_names(text: str, answer: PowerValue | NoData) -> None:
    """What is not known to be the node is not taken for it."""
    assert sensor_power(text) == answer
