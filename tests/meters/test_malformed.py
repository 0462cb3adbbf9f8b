"""Every file of every recorded machine, spoilt in every way that kernels and people know: a reason, never a raise, never a 0."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.machines import RECORDED, Machine

from joulebook_collectors.meters.diagnosis import diagnose
from joulebook_collectors.meters.find import FoundMeters, find_meters
from joulebook_collectors.meters.meter import CounterValue, NoData, PowerValue

Recorded = Callable[[str], Machine]
SPOILT = [b"", b"\n", b"text\n", b"-5000\n", b"9" * 300, b"\xff\xfe\0", b"1.5\n", None]
MACHINES = sorted(path.stem for path in RECORDED.glob("*.txt"))


def found_on(machine: Machine) -> FoundMeters:
    """Return the meters of a machine without an NVIDIA driver."""
    return find_meters(
        boot="boot",
        sysfs_root=machine.sysfs_root,
        proc_root=machine.proc_root,
        root=machine.root,
        pause=lambda _: None,
    )


def shown(found: FoundMeters) -> dict[tuple[str, str], object]:
    """Return what each meter answers."""
    return {(meter.description.device, meter.description.domain): meter.read() for meter in found.meters}


def spoil(path: Path, content: bytes | None) -> None:
    """Put another content there; None puts a folder in the file's place, which opens and cannot be read."""
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)


def mend(path: Path, content: bytes) -> None:
    """Put back what was there."""
    if path.is_dir():
        path.rmdir()
    path.write_bytes(content)


@pytest.mark.parametrize("name", MACHINES)
def test_a_spoilt_file_raises_nothing_and_reads_as_no_zero(machine: Recorded, name: str) -> None:
    """Found anew with it, and read by meters that were found before; doctor has a sentence for all that is missing."""
    recorded = machine(name)
    before = found_on(recorded)
    sound = shown(before)
    for path in [path for path in sorted(recorded.folder.rglob("*")) if path.is_file()]:
        content = path.read_bytes()
        for spoilt in SPOILT:
            spoil(path, spoilt)
            for answers in (shown(before), shown(found := found_on(recorded))):
                for key, answer in answers.items():
                    assert isinstance(answer, CounterValue | PowerValue | NoData)
                    if answer in (PowerValue(0), CounterValue(0, 1_000_000, 0)):
                        assert sound.get(key) == answer, f"{path} spoilt as {spoilt!r} reads as 0 at {key}"
            said = diagnose(found, sysfs_root=recorded.sysfs_root, proc_root=recorded.proc_root)
            assert all(finding.why for finding in said if finding.reason)
            mend(path, content)
    assert set(shown(found_on(recorded))) == set(sound)
