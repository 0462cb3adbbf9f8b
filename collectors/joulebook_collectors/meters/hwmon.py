"""Energy and power that drivers show below /sys/class/hwmon: Intel GPUs, the rails of Jetson boards, sockets of AMD.

**Intel GPUs** (drivers i915 and xe): an energy counter of the card in microjoules, which the driver keeps in 64 bits; where xe labels
two, `card` is taken and `pkg`, which lies within it, is left out, and so are the tiles (`i915_gt0`). Graphics built into a processor
have no such counter: their energy is in RAPL's package. The driver adds up a register of 32 bits (262 kJ) whenever it is read, so a
pause of many minutes may hide a round of it. These drivers name no processes by their hwmon files.

**Jetson** (INA3221): voltage times current of each rail. Boards without a total have rails that sum to the module; on boards that
show a total, what its parts do not hold is a meter of its own, from one look at all of them. A rail of unknown name is left out, for
nobody can tell what it holds. Where rails cover the memory, no model of it counts.

**amd_energy**: the sockets' counters, taken only where RAPL cannot be read.
"""

from __future__ import annotations

import os

from joulebook_collectors.host.identity import clean
from joulebook_collectors.meters.meter import (
    CLOSED,
    COVERED_BY_ANOTHER,
    NOT_SUPPORTED,
    READ_FAILED,
    Absent,
    CounterValue,
    MeterDescription,
    NamesNobody,
    NoData,
    PowerValue,
)
from joulebook_collectors.meters.sysfs import names_in, number_in, positive, signed_number_in, text_in

MICROJOULES_PER_JOULE = 1_000_000
NEVER_WRAPS = 0
# Bounds that no device of its kind reaches; see rapl.py for what they decide.
HIGHEST_GPU_MW = 2_000_000
HIGHEST_SOCKET_MW = 1_000_000
HIGHEST_RAIL_MW = 300_000
# The offset of a rail's amplifier may show up to this much current where none flows, in either direction.
OFFSET_MA = 100
INTEL_DRIVERS = ("i915", "xe")
RAIL_DRIVER, SOCKET_DRIVER = "ina3221", "amd_energy"
NO_RAIL = "NC"
# What flows into the whole module: AGX boards have no such rail.
TOTALS = ("VDD_IN", "POM_5V_IN")
COMPONENT_OF_RAIL = {
    "VDD_GPU_SOC": "gpu", "VDD_GPU": "gpu", "GPU": "gpu", "POM_5V_GPU": "gpu", "VDD_SYS_GPU": "gpu",
    "VDD_CPU_CV": "cpu", "VDD_CPU_SOC_MSS": "cpu", "CPU": "cpu", "POM_5V_CPU": "cpu", "VDD_SYS_CPU": "cpu",
    "VDD_CPU_GPU_CV": "cpu", "VDDRQ": "dram", "VDD_SYS_DDR": "dram", "SOC": "node_rest", "CV": "node_rest",
    "SYS5V": "node_rest", "VIN_SYS_5V0": "node_rest",
}  # fmt: skip
# Fed from another rail that counts, or left in what the parts of a total do not hold.
WITHIN_ANOTHER = ("VDDQ_VDD2_1V8AO", "VDD_SOC", "VDD_SYS_SOC", "VDD_4V0_WIFI")


class EnergyCounter(NamesNobody):
    """A counter of microjoules in one file: an Intel GPU, or a socket."""

    index = -1  # CUDA numbers no such device
    rocm_names: dict[int, str] = {}  # noqa: RUF012 - typing.ClassVar would cost an import on the measured path

    def __init__(self, path: str, description: MeterDescription) -> None:
        """Read the counter in `path`."""
        self._path = path
        self.description = description

    def read(self) -> CounterValue | NoData:
        """Answer the counter in microjoules."""
        if self._is_closed:
            return NoData(CLOSED)
        value = number_in(self._path)
        return value if isinstance(value, NoData) else CounterValue(value, MICROJOULES_PER_JOULE, NEVER_WRAPS)


class Rails(NamesNobody):
    """One rail of a board, or what flows into the board less the rails that count by themselves."""

    index = 0  # a Jetson has one GPU, and CUDA numbers it 0
    rocm_names: dict[int, str] = {}  # noqa: RUF012 - as above

    def __init__(self, rail: tuple[str, str], less: tuple[tuple[str, str], ...], description: MeterDescription) -> None:
        """Take the voltage and current files of the rail, and of those to be taken off."""
        self._rail = rail
        self._less = less
        self.description = description

    def read(self) -> PowerValue | NoData:
        """Answer the power now."""
        if self._is_closed:
            return NoData(CLOSED)
        power_mw = 0
        for sign, rail in ((1, self._rail), *((-1, part) for part in self._less)):
            part_mw = _rail_mw(rail)
            if isinstance(part_mw, NoData):
                return part_mw
            power_mw += sign * part_mw
        return PowerValue(max(0, power_mw))


def find_hwmon(
    *, device: str, sysfs_root: str = "/sys", processor: str = ""
) -> tuple[list[EnergyCounter | Rails], list[Absent]]:
    """Return the meters that drivers show in hwmon, and what is left out and why. `device` is the id of the boot."""
    base = f"{sysfs_root}/class/hwmon"
    meters: list[EnergyCounter | Rails] = []
    absent: list[Absent] = []
    rails: dict[str, tuple[str, str]] = {}
    for name in names_in(base):
        folder = f"{base}/{name}"
        driver = text_in(f"{folder}/name")
        if isinstance(driver, NoData):
            continue
        if driver in INTEL_DRIVERS:
            _add_intel(folder, driver, device, meters, absent)
        elif driver.startswith("i915_gt"):
            absent.append(Absent(f"Intel GPU {driver}", "gpu", COVERED_BY_ANOTHER))
        elif driver == RAIL_DRIVER:
            rails.update(_rails_in(folder))
        elif driver == SOCKET_DRIVER:
            meters += _sockets_in(folder, device, processor)
    _add_rails(rails, device, meters, absent)
    return meters, absent


def _add_intel(
    folder: str, driver: str, device: str, meters: list[EnergyCounter | Rails], absent: list[Absent]
) -> None:
    slot = _slot_of(folder)
    numbers = [name[6:-6] for name in names_in(folder) if name.startswith("energy") and name.endswith("_input")]
    if not numbers:
        absent.append(Absent(f"Intel GPU {slot}", "gpu", NOT_SUPPORTED))
        return
    labels = {number: text_in(f"{folder}/energy{number}_label") for number in numbers}
    chosen = next((number for number in numbers if labels[number] == "card"), numbers[0])
    rated_uw = positive(number_in(f"{folder}/power{chosen}_rated_max"))
    description = MeterDescription(
        device=clean(f"{device}:{slot}"),
        domain="gpu",
        component="gpu",
        max_power_mw=HIGHEST_GPU_MW if rated_uw is None else min(HIGHEST_GPU_MW, max(1_000, 3 * rated_uw // 1000)),
        label=clean(f"Intel GPU ({driver})"),
        method="counter",
    )
    meters.append(EnergyCounter(f"{folder}/energy{chosen}_input", description))
    absent += [
        Absent(f"Intel GPU {slot} {labels[number]}", "gpu", COVERED_BY_ANOTHER)
        for number in numbers
        if number != chosen and isinstance(labels[number], str)
    ]


def _slot_of(folder: str) -> str:
    """Return where on the bus a device is; the name of its hwmon folder, which may change at a boot, where nobody says."""
    uevent = text_in(f"{folder}/device/uevent")
    for line in () if isinstance(uevent, NoData) else uevent.splitlines():
        if line.startswith("PCI_SLOT_NAME="):
            return clean(line[len("PCI_SLOT_NAME=") :])
    return os.path.basename(folder)


def _sockets_in(folder: str, device: str, processor: str) -> list[EnergyCounter]:
    sockets = []
    for name in names_in(folder):
        label = text_in(f"{folder}/{name}") if name.startswith("energy") and name.endswith("_label") else ""
        if isinstance(label, NoData) or not label.startswith("Esocket"):
            continue
        description = MeterDescription(
            device=device,
            domain=clean(label),
            component="cpu",
            max_power_mw=HIGHEST_SOCKET_MW,
            label=clean(f"{processor[:150]} amd_energy {label}"),
            method="counter",
        )
        sockets.append(EnergyCounter(f"{folder}/{name.removesuffix('_label')}_input", description))
    return sockets


def _rails_in(folder: str) -> dict[str, tuple[str, str]]:
    found = {}
    for channel in ("1", "2", "3"):
        label = text_in(f"{folder}/in{channel}_label")
        if not isinstance(label, NoData) and label not in {"", NO_RAIL}:
            found[clean(label)] = (f"{folder}/in{channel}_input", f"{folder}/curr{channel}_input")
    return found


def _add_rails(
    rails: dict[str, tuple[str, str]], device: str, meters: list[EnergyCounter | Rails], absent: list[Absent]
) -> None:
    total = next((label for label in TOTALS if label in rails), "")
    counted = [label for label in rails if label in COMPONENT_OF_RAIL]
    if total:
        meters.append(_rails_meter(total, "node_rest", rails[total], tuple(rails[label] for label in counted), device))
    for label, files in rails.items():
        if label in counted:
            meters.append(_rails_meter(label, COMPONENT_OF_RAIL[label], files, (), device))
        elif label != total:
            reason = COVERED_BY_ANOTHER if total or label in WITHIN_ANOTHER else NOT_SUPPORTED
            absent.append(Absent(f"rail {label}", "node_rest", reason))


def _rails_meter(
    label: str, component: str, files: tuple[str, str], less: tuple[tuple[str, str], ...], device: str
) -> Rails:
    description = MeterDescription(
        device=clean(f"{device}:rails") if component == "gpu" else device,
        domain=f"rest-of-{label}" if less else f"rail-{label}",
        component=component,
        max_power_mw=HIGHEST_RAIL_MW,
        label=clean(f"Jetson rail {label}{' less its parts' if less else ''}"),
        method="sensor",
    )
    return Rails(files, less, description)


def _rail_mw(rail: tuple[str, str]) -> int | NoData:
    voltage_mv, current_ma = number_in(rail[0]), signed_number_in(rail[1])
    if isinstance(voltage_mv, NoData):
        return voltage_mv
    if isinstance(current_ma, NoData):
        return current_ma
    power_mw = voltage_mv * max(0, current_ma) // 1000
    return NoData(READ_FAILED) if current_ma < -OFFSET_MA or power_mw > 2 * HIGHEST_RAIL_MW else power_mw
