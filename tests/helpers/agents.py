"""A host whose clocks and counter a test moves, read by an agent's reader; and agents in processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from joulebook_collectors.attendance import Attendance
from joulebook_collectors.checkpoint import Checkpoint, read_checkpoint
from joulebook_collectors.clock import Clock
from joulebook_collectors.meter import CounterValue, MeterDescription, NoData
from joulebook_collectors.meters import FoundMeters, time_meter
from joulebook_collectors.reader import Reader
from joulebook_collectors.segments import create_segment, decode_frames, segment_names

WATTS = 10
HOUR_MS = 3_600_000
START_MS = 1_800_000_000_000 // HOUR_MS * HOUR_MS + 30_000


class AgentHost:
    """A host without jobs, whose one meter counts 10 W.

    Attributes:
        folder: Its spool folder.
        is_lost: Whether the device is lost just now.
        counted_from_us: When the counter began to count.
    """

    description = MeterDescription(
        device="boot", domain="package-0", component="cpu", max_power_mw=500_000, label="", method="counter"
    )

    def __init__(self, folder: Path) -> None:
        """Begin."""
        self.folder = str(folder)
        self.wall_ms = START_MS
        self.monotonic_us = 7_000_000_000
        self.counted_from_us = 0
        self.is_lost = False
        self._open: list[Any] = []
        self._number = 0

    def read(self) -> CounterValue | NoData:
        """Answer as the meter."""
        if self.is_lost:
            return NoData("device_lost")
        return CounterValue(WATTS * (self.monotonic_us - self.counted_from_us), 1_000_000, 0)

    def close(self) -> None:
        """Let go of what the last reader had open, as its death would."""
        for held in self._open:
            held.close()
        self._open = []

    kill = close

    def move(self, milliseconds: int, step_ms: int = 0) -> None:
        """Let time pass; the wall clock may step besides."""
        self.monotonic_us += milliseconds * 1_000
        self.wall_ms += milliseconds + step_ms

    def pass_seconds(self, reader: Reader, seconds: int) -> None:
        """Let time pass, and the reader tick each second."""
        for _ in range(seconds):
            self.move(1_000)
            reader.tick(rung=False)

    def reader(self, *, is_agent: bool = True, listener: Callable[[Any, int], None] | None = None) -> Reader:
        """Return a new reader, which has begun."""
        before = read_checkpoint(self.folder)
        checkpoint = Checkpoint(self.folder)
        self._number += 1
        segment = create_segment(self.folder, f"reader{self._number}")
        self._open += [checkpoint, segment]
        reader = Reader(
            found=FoundMeters(meters=(self,), gpus=(), time=time_meter("boot"), absent=()),
            attendance=Attendance(self.folder, self.monotonic_us), segment=segment, checkpoint=checkpoint,
            clock=Clock(
                least_ms=before["reached"] if before else 0, wall_ms=lambda: self.wall_ms, monotonic_ms=lambda: self.monotonic_us // 1_000
            ),
            sample_seconds=1.0, monotonic_us=lambda: self.monotonic_us, is_agent=is_agent, listener=listener,
        )  # fmt: skip
        reader.begin(before)
        return reader

    def frames(self) -> list[dict[str, Any]]:
        """Return what all segments hold, finished ones too."""
        folders = [Path(self.folder), Path(self.folder) / "done"]
        names = [folder / name for folder in folders for name in segment_names(str(folder))]
        return [frame for path in names for frame in decode_frames(path.read_bytes())[0]]

    def windows(self, domain: str = "package-0") -> list[dict[str, Any]]:
        """Return the windows of a meter in order of time, each once."""
        found: dict[int, dict[str, Any]] = {}
        for frame in self.frames():
            for window in [*frame.get("readings", ()), *frame.get("gaps", ())]:
                if f"/{domain}~" in window["meter"]:
                    assert found.setdefault(window["start_ms"], window) == window
        return [found[start] for start in sorted(found)]

    def uses(self) -> dict[str, int]:
        """Return the energy of each account, millijoules."""
        sums: dict[tuple[str, str, int], int] = {}
        for frame in self.frames():
            for use in frame.get("uses", ()):
                sums[use["run"], use["meter"], use["start_ms"]] = use["energy_mj"]
        accounts: dict[str, int] = {}
        for (account, _, _), energy in sums.items():
            accounts[account] = accounts.get(account, 0) + energy
        return accounts

    def total_mj(self) -> int:
        """Return the energy of all windows."""
        return sum(window.get("energy_mj", 0) for window in self.windows())
