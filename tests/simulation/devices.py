"""Devices that draw a known energy, and the meters that readers find on them.

Power is a step function of whole milliwatts over true microseconds, so the true energy is a whole number of nanojoules. What a meter
shows of it has a unit, a range, and troubles of its own; the truth has none.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from joulebook_collectors.meters.meter import (
    DEVICE_LOST,
    READ_FAILED,
    CounterValue,
    DeviceProcesses,
    Holder,
    MeterDescription,
    NoData,
    PowerValue,
)

if TYPE_CHECKING:
    from random import Random

    from simulation.machine import Host
    from simulation.reading import SeenClock

UNSEEN_SECONDS = 300
NANOJOULES_PER_JOULE = 1_000_000_000


@dataclass(kw_only=True)
class Device:
    """A device: how much power it draws, and what its meter makes of it.

    Attributes:
        name: UUID of a GPU; empty for a part of the processor, which the boot's id stands for.
        domain: Which meter it is.
        component: gpu, cpu or dram.
        max_power_mw: Greatest power it draws.
        per_joule: Units of its counter in a joule; 0 for a sensor that shows power only.
        range: Where its counter begins again at 0; 0 where it never does.
        failing_percent: How many of its reads fail.
        breaks: When its counter was set back, in true microseconds; first the beginning of the world.
        outages: Since when, until when and why it answered nothing.
    """

    name: str
    domain: str
    component: str
    max_power_mw: int
    per_joule: int
    range: int
    failing_percent: int = 0
    breaks: list[int] = field(default_factory=lambda: [0])
    outages: list[tuple[int, int, str]] = field(default_factory=list)
    _times: list[int] = field(default_factory=lambda: [0])
    _powers: list[int] = field(default_factory=lambda: [0])
    _energies: list[int] = field(default_factory=lambda: [0])
    _bases: list[int] = field(default_factory=lambda: [0])
    _shown: int = 0

    def begin(self, power_mw: int, shown: int) -> None:
        """Draw so much from the beginning on, with the counter where it is."""
        self._powers[0], self._shown = power_mw, shown

    def draw(self, at_us: int, power_mw: int) -> None:
        """Draw so much from now on."""
        self._energies.append(self.true_nj(at_us))
        self._times.append(at_us)
        self._powers.append(power_mw)

    def true_nj(self, at_us: int) -> int:
        """Return the true energy since the world began, nanojoules."""
        n = bisect_right(self._times, at_us) - 1
        return self._energies[n] + self._powers[n] * (at_us - self._times[n])

    def power_mw(self, at_us: int) -> int:
        """Return the true power."""
        return self._powers[bisect_right(self._times, at_us) - 1]

    def powers_between(self, start_us: int, end_us: int) -> list[int]:
        """Return every power it drew in a stretch of time."""
        return self._powers[bisect_right(self._times, start_us) - 1 : bisect_right(self._times, end_us)]

    def units(self, at_us: int) -> int:
        """Return how many whole units of its counter had passed since the counter was set back."""
        base_nj = self._bases[bisect_right(self.breaks, at_us) - 1]
        return (self.true_nj(at_us) - base_nj) * self.per_joule // NANOJOULES_PER_JOULE

    def set_back(self, at_us: int) -> None:
        """Let the counter begin at 0: a reset, or a driver that was loaded anew.

        Not where nobody could tell: it shows so little that it soon shows more again, or so much that it might have come round.
        """
        value = self._shown + self.units(at_us)
        shown = value % self.range if self.range else value
        unseen = self.max_power_mw * UNSEEN_SECONDS * self.per_joule // 1_000
        if shown < unseen or (self.range and self.range - shown < unseen):
            return
        self._shown = 0
        self._bases.append(self.true_nj(at_us))
        self.breaks.append(at_us)

    def has_break(self, start_us: int, end_us: int) -> bool:
        """Tell whether its counter was set back in (start, end]."""
        return bisect_right(self.breaks, start_us) != bisect_right(self.breaks, end_us)

    def answers_nothing(self, at_us: int) -> str:
        """Return why it answers nothing just now; empty where it answers."""
        return next((why for start, end, why in self.outages if start <= at_us < end), "")

    def answer(self, at_us: int) -> CounterValue | PowerValue:
        """Return what its meter shows."""
        if not self.per_joule:
            return PowerValue(self.power_mw(at_us))
        value = self._shown + self.units(at_us)
        return CounterValue(value % self.range if self.range else value, self.per_joule, self.range)

    def described(self, boot: str) -> MeterDescription:
        """Return what its meter says of itself."""
        return MeterDescription(
            device=self.name or boot, domain=self.domain, component=self.component, max_power_mw=self.max_power_mw,
            label=self.domain, method="counter" if self.per_joule else "sensor",
        )  # fmt: skip


@dataclass(kw_only=True)
class Read:
    """One answer that a reader got.

    Attributes:
        at_us: When, in true microseconds.
        label_ms: When, in the reader's own time.
        is_good: Whether it said anything.
    """

    at_us: int
    label_ms: int
    is_good: bool


class SimMeter:
    """A device's meter as one reader found it; it notes what it was asked."""

    def __init__(self, device: Device, host: Host, clock: SeenClock, reads: list[Read], random: Random) -> None:
        """Answer a reader that goes by this clock."""
        self.device = device
        self.description = device.described(host.boot)
        self._host = host
        self._clock = clock
        self._reads = reads
        self._random = random

    def read(self) -> CounterValue | PowerValue | NoData:
        """Answer."""
        now_us = self._host.world.now_us
        why = self.device.answers_nothing(now_us)
        if not why and self._random.randrange(100) < self.device.failing_percent:
            why = READ_FAILED
        self._reads.append(Read(at_us=now_us, label_ms=self._clock.label_ms, is_good=not why))
        if why:
            return NoData(why)
        return self.device.answer(now_us)

    def close(self) -> None:
        """Hold nothing."""


class SimGpu(SimMeter):
    """A GPU as one reader found it: it says too who was busy on it."""

    def __init__(
        self, index: int, device: Device, host: Host, clock: SeenClock, reads: list[Read], random: Random
    ) -> None:
        """Answer from now on."""
        super().__init__(device, host, clock, reads, random)
        self.index = index
        self.rocm_names: dict[int, str] = {}
        self._asked_us = host.world.now_us

    def contains(self, instance: str) -> bool:
        """Have no instances."""
        return instance == self.description.domain

    def processes(self) -> DeviceProcesses:
        """Answer who is there, and who was busy since the call before."""
        now_us = self._host.world.now_us
        if self.device.answers_nothing(now_us):
            return DeviceProcesses(None, None)
        since_us, self._asked_us = self._asked_us, now_us
        name = self.device.name
        there = [work for work in self._host.working() if name in work.busy]
        busy = {work.pid: work.busy[name] * (now_us - max(since_us, work.began_us)) // 10_000 for work in there}
        return DeviceProcesses(tuple(Holder(work.pid, 1 << 30) for work in there), busy)


DEVICE_TROUBLES = (DEVICE_LOST, READ_FAILED)
