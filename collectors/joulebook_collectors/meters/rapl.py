"""Processor and memory energy from the kernel's powercap files: Intel RAPL, and AMD's since Zen.

Domains nest: psys > package > {core, uncore}, with dram beside them. Only package and dram are counted, so nothing counts twice:
psys, core and uncore are left out, and so are the twins of the control type `intel-rapl-mmio`, which show the same package by another
path (and are taken where they alone are there). Where a package shows itself once per die although it has one counter (AMD Threadripper and EPYC of Zen 1 and 2: mlco2/codecarbon
#1274, 137 W for 68 W), its dies move together to the microjoule and all but the first are left out.

energy_uj is readable by root alone since CVE-2020-8694; a machine that forbids it answers `permission_denied`, and `diagnosis` knows
the rule that opens it. A processor has no id that is unique in the world: its meters belong to the boot.
"""

from __future__ import annotations

import time

from joulebook_collectors.host.identity import clean
from joulebook_collectors.meters.meter import (
    CLOSED,
    COVERED_BY_ANOTHER,
    MIRRORED,
    NOT_FOUND,
    READ_FAILED,
    Absent,
    CounterValue,
    MeterDescription,
    NoData,
)
from joulebook_collectors.meters.sysfs import names_in, number_in, positive, text_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MICROJOULES_PER_JOULE = 1_000_000
# No package sold draws more; the dram of one socket stays far below. The bound decides what is implausible and when a counter may
# have gone round unseen, so it must be the same for every process, and never below what the hardware can do.
HIGHEST_PACKAGE_MW = 1_000_000
HIGHEST_DRAM_MW = 250_000
# The first constraint's own maximum is the TDP; short turbos reach two and a half times that on desktops, more on small laptops.
TDP_MULTIPLE = 3
LEAST_PACKAGE_BOUND_MW = 150_000
# Counters move about once a millisecond.
_TWIN_LOOKS = 10
_TWIN_PAUSE_SECONDS = 0.001
_CONTROL_TYPES = ("intel-rapl", "intel-rapl-mmio")


class RaplMeter:
    """One powercap domain."""

    def __init__(self, *, device: str, folder: str, domain: str, component: str, processor: str) -> None:
        """Read the domain in `folder`; `processor` is the model's name for people."""
        self._energy_path = f"{folder}/energy_uj"
        self._is_closed = False
        self._range = positive(number_in(f"{folder}/max_energy_range_uj"))
        self.description = MeterDescription(
            device=device,
            domain=domain,
            component=component,
            max_power_mw=_bound_mw(folder, component),
            label=clean(f"{processor[:150]} RAPL {domain}"),
            method="counter",
        )

    def read(self) -> CounterValue | NoData:
        """Answer the domain's counter in microjoules."""
        if self._is_closed:
            return NoData(CLOSED)
        value = number_in(self._energy_path)
        if isinstance(value, NoData):
            return value
        if self._range is not None and value > self._range:
            return NoData(READ_FAILED)  # no counter stands beyond its own range
        return CounterValue(value, MICROJOULES_PER_JOULE, self._range)

    def close(self) -> None:
        """Stop answering."""
        self._is_closed = True


def find_rapl(
    *, device: str, processor: str, sysfs_root: str = "/sys", pause: Callable[[float], object] = time.sleep
) -> tuple[list[RaplMeter], list[Absent]]:
    """Return the package and dram meters of this machine, and what is left out and why.

    `pause` waits between two looks at dies that may be one counter; only machines that show several dies of one package wait, for
    about 10 ms.
    """
    meters: dict[str, RaplMeter] = {}
    base = f"{sysfs_root}/class/powercap"
    zones, twins = _zones(base)
    absent = [Absent(f"RAPL {zone}", "cpu", COVERED_BY_ANOTHER) for zone in twins]
    for zone in zones:
        name = _name_of(base, zone)
        domain, component = ("", "cpu") if isinstance(name, NoData) else _kind_of(base, zone, name)
        if isinstance(name, NoData):
            absent.append(Absent(f"RAPL {zone}", "cpu", name.reason))
        elif not domain:
            absent.append(Absent(f"RAPL {zone} {name}", "cpu", COVERED_BY_ANOTHER))
        else:
            # Kernels that know no dies call all of one package by one name.
            domain = domain if domain not in meters else f"{domain} {zone}"
            meters[domain] = RaplMeter(
                device=device, folder=f"{base}/{zone}", domain=domain, component=component, processor=processor
            )
    if not meters and len(absent) == len(twins):
        absent.append(Absent("RAPL", "cpu", NOT_FOUND))
    mirrored = _mirrored_dies(meters, pause)
    absent.extend(Absent(f"RAPL {domain}", meters[domain].description.component, MIRRORED) for domain in mirrored)
    return [meter for domain, meter in meters.items() if domain not in mirrored], absent


def _kind_of(base: str, zone: str, name: str) -> tuple[str, str]:
    """Return a zone's domain and component; no domain for one that lies within or around others."""
    if name.startswith("package-"):
        return name, "cpu"
    if name != "dram":
        return "", "cpu"
    package = _name_of(base, zone.rpartition(":")[0])
    return f"{zone if isinstance(package, NoData) else package}-dram", "dram"


def moves_with(first: RaplMeter, second: RaplMeter, pause: Callable[[float], object] = time.sleep) -> bool:
    """Tell whether two domains are one counter seen twice: over several looks both move by the same number of microjoules.

    Each look takes the second between two equal readings of the first, so that no tick falls between them. Counters that stand still
    are taken as one only where they also show the same, other than 0: that is no chance, and standing still they count nothing.
    """
    distance = None
    shown = set()
    for _ in range(_TWIN_LOOKS):
        look = _look_at(first, second)
        if look is None:
            return False
        shown.add(look[0])
        if distance is None:
            distance = look[1] - look[0]
        elif look[1] - look[0] != distance:
            return False
        pause(_TWIN_PAUSE_SECONDS)
    return len(shown) > 1 or (distance == 0 and shown != {0})


def _look_at(first: RaplMeter, second: RaplMeter) -> tuple[int, int] | None:
    """Return what two counters show in one moment of the first; None where a reading fails."""
    for _ in range(_TWIN_LOOKS):
        before, between, after = first.read(), second.read(), first.read()
        if isinstance(before, NoData) or isinstance(between, NoData):
            return None
        if before == after:
            return before.value, between.value
    return None


def _mirrored_dies(meters: dict[str, RaplMeter], pause: Callable[[float], object]) -> set[str]:
    """Return the domains that show a counter of the same package again, such as package-0-die-1 (and its dram)."""
    mirrored: set[str] = set()
    first_of: dict[tuple[str, str], list[str]] = {}
    for domain, meter in sorted(meters.items()):
        package = domain.partition(" ")[0].removesuffix("-dram").partition("-die-")[0]
        originals = first_of.setdefault((package, meter.description.component), [])
        if any(moves_with(meters[original], meter, pause) for original in originals):
            mirrored.add(domain)
        else:
            originals.append(domain)
    return mirrored


def _zones(base: str) -> tuple[list[str], list[str]]:
    """Return the zones of the first control type that has any, and those that show the same packages by another path."""
    names = names_in(base)
    first, second = ([name for name in names if name.startswith(f"{kind}:")] for kind in _CONTROL_TYPES)
    return (first, second) if first else (second, [])


def _name_of(base: str, zone: str) -> str | NoData:
    text = text_in(f"{base}/{zone}/name")
    return text if isinstance(text, NoData) else clean(text) or NoData(READ_FAILED)


def _bound_mw(folder: str, component: str) -> int:
    """Return the greatest power a domain can draw, from what never changes on this hardware."""
    if component == "dram":
        return HIGHEST_DRAM_MW
    tdp_uw = positive(number_in(f"{folder}/constraint_0_max_power_uw"))
    if tdp_uw is None:
        return HIGHEST_PACKAGE_MW
    return min(HIGHEST_PACKAGE_MW, max(LEAST_PACKAGE_BOUND_MW, TDP_MULTIPLE * tdp_uw // 1000))
