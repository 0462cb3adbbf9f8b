"""Programs that see GPUs of a replayed NVML: the real pynvml, the real loader, and devices that a test makes up while they run."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[1] / "replay_nvml"
LIBRARY = "libnvidia-ml.so.1"
NODE = "device_node.so"
US_PER_SECOND = 1_000_000
FAR_SECONDS = 3_600
FOR_EVER_US = 1 << 62


def compiled(folder: Path) -> Path:
    """Compile the library into a folder, or skip the test where that cannot be done."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is here")
    for source, target, *options in (("replay_nvml.c", LIBRARY), ("device_node.c", NODE, "-ldl")):
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(folder / target), str(SOURCES / source), *options]
        subprocess.run(command, check=True)
    return folder


@dataclass(kw_only=True)
class Device:
    """A GPU, or an instance of one, as the script tells it.

    Attributes:
        uuid: Its UUID.
        slices: Compute slices, of an instance.
        power_mw: What it draws from the next `play` on.
        has_counter: Whether it counts energy.
        computes: Process -> bytes.
        works: Process -> per cent of compute time, from the next `play` on.
        worked: Process, per cent, since and until when, on the wall clock.
        errors: Name of a function -> the code it fails with.
        parts: Its instances.
        counter: Instants and the energy that the counter shows then, millijoules.
    """

    uuid: str
    slices: int = 0
    power_mw: int = 0
    has_counter: bool = True
    computes: dict[int, int] = field(default_factory=dict)
    works: dict[int, int] = field(default_factory=dict)
    worked: list[tuple[int, int, int, int]] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    parts: list[Device] = field(default_factory=list)
    counter: list[tuple[int, int]] = field(default_factory=list)

    def energy_mj(self, at_us: int) -> int:
        """Return what the counter shows at an instant."""
        for (since, before), (until, after) in zip(self.counter, self.counter[1:], strict=False):
            if since <= at_us < until:
                return before + (after - before) * (at_us - since) // (until - since)
        return self.counter[-1][1]

    def draw_from(self, at_us: int) -> None:
        """Let the counter run at the present power from an instant on."""
        reached = self.energy_mj(at_us) if self.counter else 1_000_000
        kept = [point for point in self.counter if point[0] < at_us]
        end = (at_us + FAR_SECONDS * US_PER_SECOND, reached + self.power_mw * FAR_SECONDS)
        self.counter = [*kept, (at_us, reached), end]

    def work_from(self, at_us: int) -> None:
        """Let the present processes work from an instant of the wall clock on, and those before no longer."""
        ended = [(pid, percent, since, min(until, at_us)) for pid, percent, since, until in self.worked]
        self.worked = ended + [(pid, percent, at_us, FOR_EVER_US) for pid, percent in self.works.items()]

    def lines(self, word: str = "gpu") -> list[str]:
        """Return what the script says of it."""
        told = [f"{word} {self.uuid} {self.slices}"]
        if word == "gpu":
            told += [f"power_mw {self.power_mw}", *(f"error {name} {code}" for name, code in self.errors.items())]
            told += [f"counter {at} {energy}" for at, energy in self.counter if self.has_counter]
        told += [f"computes {pid} {size}" for pid, size in self.computes.items()]
        told += ["works " + " ".join(map(str, work)) for work in self.worked]
        return told + [line for part in self.parts for line in part.lines("part")]


class Replay:
    """What the library plays.

    Attributes:
        devices: The GPUs.
        errors: Name of a function -> the code with which it fails on every device.
        slow_ms: How long every call takes.
        driver: Which load of the driver this is.
        environment: Variables by which a program finds the library.
    """

    def __init__(self, folder: Path, library: Path, *devices: Device) -> None:
        """Begin with these devices."""
        self.devices = list(devices)
        self.errors: dict[str, int] = {}
        self.slow_ms = 0
        self.driver = 0
        self._script = folder / "replay.txt"
        self.environment = {
            "REPLAY_NVML": str(self._script),
            "LD_LIBRARY_PATH": str(library),
            "LD_PRELOAD": str(library / NODE),
        }
        self.play()

    def play(self) -> int:
        """Write the script; what the devices draw changes at this instant, microseconds of the monotonic clock, which is returned."""
        now_us = time.monotonic_ns() // 1_000
        told = [f"driver {self.driver}", f"slow_ms {self.slow_ms}"]
        told += [f"error {name} {code}" for name, code in self.errors.items()]
        for device in self.devices:
            device.draw_from(now_us)
            device.work_from(time.time_ns() // 1_000)
            told += device.lines()
        fresh = self._script.with_suffix(".new")
        fresh.write_text("\n".join(told) + "\n", encoding="ascii")
        fresh.replace(self._script)
        return now_us

    def reload_driver(self) -> int:
        """Let the counters begin again, as a driver that is loaded anew does."""
        self.driver += 1
        for device in self.devices:
            device.counter = [(time.monotonic_ns() // 1_000, 1)]
        return self.play()
