"""The whole node: what its supplies draw, and how much of that no other meter of the node counts.

A management controller says what power flows into the node (IPMI, Redfish), or the kernel does (ACPI). All of it less what the parts
draw (GPUs, processors, memory) is a meter of its own, `node_rest`: fans, disks, network, losses of the supplies. So nothing counts
twice, and parts and rest together are the node.

**How.** A thread of its own asks the source every few seconds, so that a slow controller never keeps the reader waiting. Power
between two samples is taken as straight; from the last sample on it is held, and put right by the next. Where the parts counted more
than the node, as when a sensor averages over a minute, the rest stands still until the node has caught up: this deficit is carried
forward, and the rest is never below 0. After a pause of the source the rest begins anew, and the pause is a gap.

**Worth.** DCMI and Redfish give whole watts, averaged by the controller over a second to a minute; makers state 1 to 5 % of full
scale. The rest is a difference of two such figures: one sigma of 5 % of the node goes with it, which may be much of the rest.
Boundary: `it`, at the input of the node's supplies.

Only the agent makes one: a source costs a child process or a connection.
"""

from __future__ import annotations

import time

from joulebook_collectors.host.identity import clean
from joulebook_collectors.meters.meter import (
    CLOSED,
    NOT_FOUND,
    READ_FAILED,
    CounterValue,
    MeterDescription,
    NoData,
    PowerValue,
)
from joulebook_collectors.meters.sysfs import names_in, number_in, text_in
from joulebook_ledger.core.metering import Baseline, Measured, read_counter, read_power

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from joulebook_collectors.meters.meter import Meter
else:
    Protocol = object

MICROJOULES_PER_JOULE = 1_000_000
NEVER_WRAPS = 0
UNCERTAINTY_PERCENT_OF_NODE = 5
# Above every node sold in one piece (14 kW); a sample beyond it is none.
HIGHEST_NODE_MW = 30_000_000
SAMPLE_SECONDS = 5.0
# How long the last sample is held: this many times the time between two.
HELD_SAMPLES = 4
NOT_ASKED = "not_asked"
# Each beginning stands below all that was shown before it in this boot, so that it is seen to be one.
_HIGHEST_BEGINNING = 1 << 62
_PART_PAUSE_MS = 10_000


class NodeSource(Protocol):
    """Says what power flows into a node."""

    @property
    def label(self) -> str:
        """What it is, for people."""

    def power(self) -> PowerValue | NoData:
        """Answer the power now; may take seconds. Never raises."""

    def close(self) -> None:
        """Give back what it holds."""


class AcpiSource:
    """The power meter that the firmware shows the kernel (acpi_power_meter): microwatts in one file."""

    label = "ACPI power meter"

    def __init__(self, sysfs_root: str = "/sys") -> None:
        """Look for it below `sysfs_root`."""
        self._root = f"{sysfs_root}/class/hwmon"

    def power(self) -> PowerValue | NoData:
        """Answer the power now; nodes that show several meters are not known, and their first is not all of them."""
        found = [name for name in names_in(self._root) if text_in(f"{self._root}/{name}/name") == "power_meter"]
        if len(found) != 1:
            return NoData(NOT_FOUND)
        power_uw = number_in(f"{self._root}/{found[0]}/power1_average")
        return power_uw if isinstance(power_uw, NoData) else plausible(power_uw // 1000)

    def close(self) -> None:
        """Nothing is held."""


def plausible(power_mw: int) -> PowerValue | NoData:
    """Return a node's power; a node that draws nothing reads nothing."""
    return PowerValue(power_mw) if 0 < power_mw <= HIGHEST_NODE_MW else NoData(READ_FAILED)


class NodeEnergy:
    """What flowed into the node since the first sample, microjoules."""

    def __init__(self, held_ms: int) -> None:
        """Hold the last sample for at most `held_ms`."""
        self._held_ms = held_ms
        self._sampled_uj = 0
        self._last: tuple[int, int] | None = None

    @property
    def is_begun(self) -> bool:
        """Whether there was a sample."""
        return self._last is not None

    def add(self, at_ms: int, power_mw: int) -> bool:
        """Take a sample; False where the one before it is too old, and so nothing is known of the time between."""
        if self._last is None:
            self._last = at_ms, power_mw
            return True
        before_ms, before_mw = self._last
        if at_ms <= before_ms:
            return True
        if at_ms - before_ms > self._held_ms:
            return False
        self._sampled_uj += (before_mw + power_mw) * (at_ms - before_ms) // 2
        self._last = at_ms, power_mw
        return True

    def until(self, now_ms: int) -> int | None:
        """Return the energy up to now; None where the last sample is too old."""
        if self._last is None or now_ms - self._last[0] > self._held_ms:
            return None
        return self._sampled_uj + self._last[1] * max(0, now_ms - self._last[0])


class PartsEnergy:
    """What the parts of a node counted since they were first read, microjoules.

    A part that cannot be read adds nothing until its counter can be read again, which then holds all of it.
    """

    def __init__(self, parts: Sequence[Meter]) -> None:
        """Count these meters."""
        self._parts = parts
        self._bases: list[Baseline | None] = [None] * len(parts)
        self.energy_uj = 0

    def read(self, at_ms: int) -> int:
        """Read every part and return what they counted in all."""
        for place, part in enumerate(self._parts):
            answer, base, most_mw = part.read(), self._bases[place], part.description.max_power_mw
            if isinstance(answer, CounterValue):
                self._bases[place], said = read_counter(
                    base, answer.value, at_ms, per_joule=answer.per_joule, wraps_at=answer.range, max_power_mw=most_mw
                )
            elif isinstance(answer, PowerValue):
                self._bases[place], said = read_power(
                    base, answer.power_mw, at_ms, max_gap_ms=_PART_PAUSE_MS, max_power_mw=most_mw
                )
            else:
                continue
            if isinstance(said, Measured):
                self.energy_uj += said.energy_mj * 1000
        return self.energy_uj


class NodeRestMeter:
    """What a node draws beyond its parts, as a counter."""

    def __init__(
        self,
        *,
        source: NodeSource,
        parts: Sequence[Meter],
        device: str,
        sample_seconds: float = SAMPLE_SECONDS,
        clock_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
        starts_thread: bool = True,
    ) -> None:
        """Ask `source` every `sample_seconds` in a thread of its own, and take off what `parts` count.

        Args:
            source: Says what the node draws.
            parts: All meters of the node that count.
            device: Id of the boot.
            sample_seconds: Time between two questions.
            clock_ms: The host's monotonic clock.
            starts_thread: Whether a thread asks; else `ask` is called by hand.
        """
        self._source = source
        self._parts = parts
        self._clock_ms = clock_ms
        self._sample_seconds = sample_seconds
        self._held_ms = int(sample_seconds * 1000 * HELD_SAMPLES)
        self._samples: list[tuple[int, int]] = []
        self._why_not = NOT_ASKED
        self._is_closed = False
        self._beyond_uj: int | None = None
        self._begin()
        self.description = MeterDescription(
            device=device,
            domain="node-rest",
            component="node_rest",
            max_power_mw=HIGHEST_NODE_MW,
            label=clean(f"node less its parts, {source.label}"),
            method="sensor",
            boundary="it",
        )
        self._stop: Callable[[], None] = source.close
        if starts_thread:
            self._start()

    def read(self) -> CounterValue | NoData:
        """Answer the microjoules that the node drew beyond its parts. Never waits for the source."""
        if self._is_closed:
            return NoData(CLOSED)
        now_ms = self._clock_ms()
        while self._samples:
            at_ms, power_mw = self._samples.pop(0)
            if not self._node.add(at_ms, power_mw):
                self._begin()
                self._node.add(at_ms, power_mw)
        node_uj = self._node.until(now_ms)
        if node_uj is None:
            if self._node.is_begun:
                self._begin()
            return NoData(self._why_not or READ_FAILED)
        if self._beyond_uj is None:
            # From the first look at the parts on, both sides are counted.
            self._beginning_uj = _HIGHEST_BEGINNING - now_ms
            self._parts_energy.read(now_ms)
            self._offset_uj, self._beyond_uj = node_uj, 0
        parts_uj = self._parts_energy.read(now_ms)
        self._beyond_uj = max(self._beyond_uj, node_uj - self._offset_uj - parts_uj)
        return CounterValue(self._beginning_uj + self._beyond_uj, MICROJOULES_PER_JOULE, NEVER_WRAPS)

    def ask(self) -> None:
        """Ask the source once, and keep what it says for the next `read`."""
        answer = self._source.power()
        if isinstance(answer, NoData):
            self._why_not = answer.reason
            return
        self._why_not = ""
        self._samples.append((self._clock_ms(), answer.power_mw))

    def close(self) -> None:
        """Stop asking. What the source is in the middle of ends by its own time limit, without anybody waiting."""
        if not self._is_closed:
            self._is_closed = True
            self._stop()

    def _begin(self) -> None:
        self._node = NodeEnergy(self._held_ms)
        self._parts_energy = PartsEnergy(self._parts)
        self._beginning_uj = 0
        self._offset_uj = 0
        self._beyond_uj = None

    def _start(self) -> None:
        import threading

        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                self.ask()
                stop.wait(self._sample_seconds)
            self._source.close()

        self._stop = stop.set
        threading.Thread(target=work, name="joulebook-node", daemon=True).start()
