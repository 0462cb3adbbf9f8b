"""Looks up the thermal design power of this machine's processors, for the model of `modelled`. Never on the path of `track()`.

The table is codecarbon's (`data/hardware/cpu_power.csv`, about 4,900 processors), where that extra is installed. Only the file is
read: importing codecarbon takes a tenth of a second and pandas. A name must be equal after marks and frequencies are taken off;
nothing is matched by likeness, for a wrong processor is worse than a default that says so.
"""

from __future__ import annotations

import csv
import importlib.util
import re
import tempfile
from decimal import Decimal, InvalidOperation
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from joulebook_collectors.host.identity import Host
from joulebook_collectors.meters.modelled import CACHE_COLUMNS

_NOISE = re.compile(
    r"\((r|tm|c)\)|\b\d+(st|nd|rd|th) gen\b|\bcpu\b|\bprocessor\b|\b\d+-core\b|\bwith radeon.*$|@.*$|[®™,]",
    re.IGNORECASE,
)
_PACKAGE = "devices/system/cpu/cpu[0-9]*/topology/physical_package_id"


class TdpFound(NamedTuple):
    """What was found.

    Attributes:
        tdp_mw: TDP of all processors of the machine together, milliwatts; None where nothing fits.
        source: The table and its version.
        reason: Why nothing was found: `virtual_machine`, `table_missing` or `processor_unknown`; empty where something was.
    """

    tdp_mw: int | None
    source: str
    reason: str


def refresh_tdp_cache(cache: str, host: Host, *, sysfs_root: str = "/sys", table: str | None = None) -> TdpFound:
    """Look up this machine's TDP and keep it in the file `cache` for the model to read; lines for other machines stay.

    Raises:
        OSError: The cache cannot be written.
    """
    found = look_up(host, sysfs_root=sysfs_root, table=table)
    if found.tdp_mw is not None:
        _keep(Path(cache), (host.cpu, str(host.logical_cpus), str(found.tdp_mw), found.source))
    return found


def look_up(host: Host, *, sysfs_root: str = "/sys", table: str | None = None) -> TdpFound:
    """Return the TDP of this machine: that of one processor by the table, times the processors it has."""
    if host.is_virtual:
        return TdpFound(None, "", "virtual_machine")
    path, source = (Path(table), Path(table).name) if table else _codecarbon_table()
    if path is None or not path.is_file():
        return TdpFound(None, "", "table_missing")
    watts = _watts_by_name(path).get(plain_name(host.cpu))
    if watts is None:
        return TdpFound(None, source, "processor_unknown")
    return TdpFound(int(watts * 1000) * packages(sysfs_root), source, "")


def plain_name(name: str) -> str:
    """Return a processor's name without trade marks, generation, core count and frequency.

    >>> plain_name("Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz")
    'intel xeon gold 6148'
    >>> plain_name("AMD EPYC 7763 64-Core Processor")
    'amd epyc 7763'
    """
    return " ".join(_NOISE.sub(" ", name).lower().split())


def packages(sysfs_root: str = "/sys") -> int:
    """Return how many processor packages the machine has; 1 where the kernel does not say."""
    found = set()
    for path in Path(sysfs_root).glob(_PACKAGE):
        try:
            found.add(path.read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            continue
    return len(found) or 1


def _codecarbon_table() -> tuple[Path | None, str]:
    package = importlib.util.find_spec("codecarbon")
    if package is None or package.origin is None:
        return None, ""
    path = Path(package.origin).parent / "data" / "hardware" / "cpu_power.csv"
    return path, f"codecarbon {metadata.version('codecarbon')}"


def _watts_by_name(table: Path) -> dict[str, Decimal]:
    """Return watts by plain name. Where two lines of the table disagree about one name, the name is left out."""
    watts: dict[str, Decimal] = {}
    disputed = set()
    with table.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            name = plain_name(row.get("Name") or "")
            try:
                value = Decimal(row.get("TDP") or "")
            except InvalidOperation:
                continue
            if watts.setdefault(name, value) != value:
                disputed.add(name)
    return {name: value for name, value in watts.items() if name and value > 0 and name not in disputed}


def _keep(cache: Path, line: tuple[str, ...]) -> None:
    """Write a line over the older one of the same processor; readers see the old file or the new one, never half of one."""
    lines = cache.read_text(encoding="utf-8").splitlines() if cache.is_file() else []
    others = [old for old in lines if len(old.split("\t")) == CACHE_COLUMNS and old.split("\t")[:2] != list(line[:2])]
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=cache.parent, delete=False) as fresh:
        fresh.write("\n".join([*others, "\t".join(line)]) + "\n")
    Path(fresh.name).replace(cache)
