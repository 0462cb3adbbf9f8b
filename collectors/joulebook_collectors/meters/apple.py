"""Apple silicon without sudo: the counters of IOReport's energy model, through the package `zeus-apple-silicon` (extra `[apple]`).

Processor, GPU, neural engine and memory each have a counter in millijoules. Cores and clusters lie within the processor's, so they
are left out; so is `gpu_sram`, of which nobody says whether it lies within the GPU's. Apple calls these figures estimates: they come
from activity, frequency and voltage. A counter counts from a point that holds for one process only: a successor begins anew.

Imported on macOS alone.
"""

from __future__ import annotations

import os
import sys

from joulebook_collectors.meters.meter import (
    CLOSED,
    LIBRARY_FAULTS,
    NOT_SUPPORTED,
    PACKAGE_MISSING,
    READ_FAILED,
    Absent,
    CounterValue,
    MeterDescription,
    NamesNobody,
    NoData,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MILLIJOULES_PER_JOULE = 1_000
NEVER_WRAPS = 0
# A Mac Studio takes 480 W at its plug.
HIGHEST_POWER_MW = 500_000
FIELDS = {"cpu_total_mj": "cpu", "gpu_mj": "gpu", "ane_mj": "other", "dram_mj": "dram"}


class AppleMeter(NamesNobody):
    """One counter of the chip."""

    index = 0  # the one GPU there is
    rocm_names: dict[int, str] = {}  # noqa: RUF012 - typing.ClassVar would cost an import on the measured path

    def __init__(self, monitor: Any, field: str, device: str, processor: str) -> None:
        """Read `field` of what the monitor says."""
        self._monitor = monitor
        self._field = field
        component = FIELDS[field]
        self.description = MeterDescription(
            device=f"{device}:apple-gpu" if component == "gpu" else device,
            domain=f"apple-{field.removesuffix('_mj')}",
            component=component,
            max_power_mw=HIGHEST_POWER_MW,
            label=f"{processor[:150]} IOReport",
            method="counter",
        )

    def read(self) -> CounterValue | NoData:
        """Answer the counter in millijoules."""
        if self._is_closed:
            return NoData(CLOSED)
        value = _ask(self._monitor).get(self._field)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            return NoData(READ_FAILED)
        return CounterValue(value, MILLIJOULES_PER_JOULE, NEVER_WRAPS)


def find_apple(*, device: str, processor: str, library: Any = None) -> tuple[list[AppleMeter], list[Absent]]:
    """Return the meters of this chip, and what is absent and why; nothing at all on other machines.

    Args:
        device: Id of the boot.
        processor: The chip's name for people.
        library: A module with the functions of zeus_apple_silicon; None takes it itself, on Apple silicon.
    """
    if library is None and not _is_apple_silicon():
        return [], []
    try:
        monitor = (library or _import()).AppleEnergyMonitor()
    except LIBRARY_FAULTS as error:
        reason = PACKAGE_MISSING if isinstance(error, ImportError) else READ_FAILED
        return [], [Absent("IOReport", "cpu", reason)]
    said = _ask(monitor)
    shown = [field for field in FIELDS if said.get(field) is not None]
    absent = [Absent(f"IOReport {field}", FIELDS[field], NOT_SUPPORTED) for field in FIELDS if field not in shown]
    return [AppleMeter(monitor, field, device, processor) for field in shown], absent


def _is_apple_silicon() -> bool:
    return sys.platform == "darwin" and os.uname().machine == "arm64"


def _import() -> Any:
    import zeus_apple_silicon  # type: ignore[import-not-found]

    return zeus_apple_silicon


def _ask(monitor: Any) -> dict[str, Any]:
    """Return what the chip counted; nothing where the library fails."""
    try:
        said = monitor.get_cumulative_energy()
    except LIBRARY_FAULTS:
        return {}
    return {field: getattr(said, field, None) for field in FIELDS}
