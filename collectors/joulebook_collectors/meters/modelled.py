"""Meters that compute what no sensor says: processor by busy time, memory by size. Their method is `model`, and it shows.

Both are cumulative since boot, as if a counter ran: a reader that takes over goes on where the last one stopped, and no sampling is
needed. Both stand still while the machine is suspended.

**Processor.** Power = TDP × (0.12 + 0.90 × busy share): 12 % of TDP when idle and 102 % when fully busy, the end points of the curve
by Teads that the Impact Framework uses (x = 0, 10, 50, 100 %, y = 0.12, 0.32, 0.75, 1.02 of TDP). A counter has to be linear in busy
time, so the bulge of that curve is lost: at 50 % busy the model says 0.57 and the curve 0.75. With the spread of TDP models (25 to
35 % mean error, AccelWattch and Guser) one sigma of 35 % goes with these figures.

**TDP.** From a table, cached for this host by `tdp.refresh_tdp_cache`, where a command has looked it up; else a default of 3.75 W per
logical cpu, said in the label: full power is then 3.83 W, close to the 3.84 W that are the mean of 3.5, 4.26 and 3.76 W, which
Cloud Carbon Footprint gives for a vCPU of AWS, GCP and Azure (Methodology, average or median max watts). A virtual machine always takes the default: the TDP of its
host's processor says nothing of its share.

**Memory.** 0.392 W per GB of it, used or not (Cloud Carbon Footprint: 0.000392 kWh per GB and hour, the mean of figures by Crucial
and Micron); a GB is counted as 2^30 bytes, begun ones in full, so that the kernel's own share does not matter.
"""

from __future__ import annotations

import time

from joulebook_collectors.host.identity import Host, clean
from joulebook_collectors.host.processes import host_time, read_bytes
from joulebook_collectors.meters.meter import CLOSED, READ_FAILED, CounterValue, MeterDescription, NoData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_PERCENT_OF_TDP = 12
FULL_PERCENT_OF_TDP = 102
DEFAULT_TDP_PER_CPU_MW = 3_750
MEMORY_MW_PER_GB = 392
UNCERTAINTY_PERCENT = 35
MICROJOULES_PER_JOULE = 1_000_000
NEVER_WRAPS = 0
# What `tdp` writes for a processor and this module reads: name, logical cpus, TDP of the machine in milliwatts, source.
CACHE_COLUMNS = 4
_CACHE_BYTES = 1 << 16
_HIGHEST_TDP_MW = 10_000_000


def monotonic_ms() -> int:
    """Return the machine's own clock since boot, milliseconds: the same in all its processes, standing still in suspend."""
    return time.monotonic_ns() // 1_000_000


class ModelledProcessor:
    """All processors of a machine as one meter, from their busy time."""

    def __init__(
        self,
        *,
        device: str,
        host: Host,
        proc_root: str = "/proc",
        tdp_cache: str | None = None,
        clock_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        """Model the processors of `host`; `tdp_cache` is the file where a command may have left their TDP."""
        tdp_mw, source = tdp_of(host, tdp_cache)
        self._idle_mw = tdp_mw * IDLE_PERCENT_OF_TDP // 100
        self._full_mw = tdp_mw * FULL_PERCENT_OF_TDP // 100
        self._logical_cpus = host.logical_cpus
        self._proc_root = proc_root
        self._clock_ms = clock_ms
        self._is_closed = False
        self.description = MeterDescription(
            device=device,
            domain="cpu-model",
            component="cpu",
            max_power_mw=self._full_mw,
            label=clean(f"{host.cpu[:120]}, {host.logical_cpus} cpus, {source}"),
            method="model",
            static_power_mw=self._idle_mw,
        )

    def read(self) -> CounterValue | NoData:
        """Answer the modelled energy since boot."""
        if self._is_closed:
            return NoData(CLOSED)
        times = host_time(self._proc_root)
        if times is None:
            return NoData(READ_FAILED)
        idle = self._idle_mw * self._clock_ms()
        busy = (self._full_mw - self._idle_mw) * times.busy_ms // self._logical_cpus
        return CounterValue(idle + busy, MICROJOULES_PER_JOULE, NEVER_WRAPS)

    def close(self) -> None:
        """Stop answering."""
        self._is_closed = True


class ModelledMemory:
    """All memory of a machine as one meter, from its size: static power, whoever uses it."""

    def __init__(self, *, device: str, host: Host, clock_ms: Callable[[], int] = monotonic_ms) -> None:
        """Model the memory of `host`."""
        gigabytes = -(-host.memory_bytes // (1 << 30))
        self._power_mw = gigabytes * MEMORY_MW_PER_GB
        self._clock_ms = clock_ms
        self._is_closed = False
        self.description = MeterDescription(
            device=device,
            domain="dram-model",
            component="dram",
            max_power_mw=self._power_mw,
            label=f"{gigabytes} GB memory, 0.392 W/GB",
            method="model",
            static_power_mw=self._power_mw,
        )

    def read(self) -> CounterValue | NoData:
        """Answer the modelled energy since boot."""
        if self._is_closed:
            return NoData(CLOSED)
        return CounterValue(self._power_mw * self._clock_ms(), MICROJOULES_PER_JOULE, NEVER_WRAPS)

    def close(self) -> None:
        """Stop answering."""
        self._is_closed = True


def tdp_of(host: Host, tdp_cache: str | None) -> tuple[int, str]:
    """Return the TDP of a whole machine in milliwatts, and where it comes from in words for the label."""
    cached = None if tdp_cache is None or host.is_virtual else cached_tdp(host, tdp_cache)
    if cached is not None:
        return cached
    return host.logical_cpus * DEFAULT_TDP_PER_CPU_MW, "default TDP"


def cached_tdp(host: Host, tdp_cache: str) -> tuple[int, str] | None:
    """Return what the cache says of this very processor: TDP in milliwatts and label; None where it says nothing usable.

    One file serves hosts that share a home: a line is for one processor name and number of logical cpus.
    """
    for line in (read_bytes(tdp_cache, _CACHE_BYTES) or b"").decode("utf-8", "replace").splitlines():
        columns = line.split("\t")
        if len(columns) != CACHE_COLUMNS or columns[:2] != [host.cpu, str(host.logical_cpus)]:
            continue
        if columns[2].isdecimal() and 0 < int(columns[2]) <= _HIGHEST_TDP_MW:
            tdp_mw = int(columns[2])
            return tdp_mw, f"TDP {tdp_mw // 1000} W by {columns[3]}"
    return None
