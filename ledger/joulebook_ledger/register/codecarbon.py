"""The tables of an installed codecarbon as rows of a register: countries, states of the USA, provinces of China, Nordic bidding zones.

Only files of the package are read; nothing of it is run. Its table of clouds gives intensities of Google's regions, which are no grid
zones, and is left out; a country whose figure was rounded down to zero has none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from joulebook_ledger.catalogue.zones import LICENCE, all_zones
from joulebook_ledger.core.refusals import BadInput

SOURCE = "@codecarbon"
"""What `joulebook import factors` is given in place of a file."""
PROVIDER = "codecarbon"
_COUNTRIES = "global_energy_mix.json"
_STATES = "2023/usa_emissions.json"
_PROVINCES = "2023/china_provincial_emissions.json"
_BIDDING_ZONES = "nordic_emissions.json"
_STATE = re.compile(r"[A-Z]{2}")
_BIDDING_ZONE = re.compile(r"([A-Z]{2})\d")
_COUNTRY_SIGMA, _REGION_SIGMA = "25", "15"

Item = dict[str, str]


def installed() -> tuple[Path, str]:
    """Return the folder of the installed tables, and the package's version.

    Raises:
        BadInput: codecarbon is not installed.
    """
    try:
        found = distribution(PROVIDER)
    except PackageNotFoundError:
        raise BadInput("codecarbon is not installed: pip install 'joulebook[codecarbon]'") from None
    return Path(str(found.locate_file(""))) / "codecarbon" / "data" / "private_infra", found.version


def rows_of_tables(folder: Path, version: str) -> list[Item]:
    """Return the tables as rows, each with its source, version and the digest of its file.

    Args:
        folder: Where they lie.
        version: Of the package.

    Raises:
        BadInput: One of them is not there, or is another table than the one that is known.
    """
    try:
        return [
            *_rows(folder, version, _COUNTRIES, _countries),
            *_rows(folder, version, _STATES, _states),
            *_rows(folder, version, _PROVINCES, _parts),
            *_rows(folder, version, _BIDDING_ZONES, _parts),
        ]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise BadInput(
            f"the tables of codecarbon {version} are none that are known here ({type(error).__name__}: {error}): use 3.3"
        ) from None


def _rows(folder: Path, version: str, name: str, read: Any) -> Iterator[Item]:
    data = (folder / name).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    for item in read(json.loads(data, parse_float=str)):
        year = item.pop("year")
        said = item.pop("said")
        yield {
            "kind": "grid_location", "provider": PROVIDER, "version": f"{version}-{year}",
            "source": f"codecarbon {version}, {name}: {said}, {year}", "evidence_name": f"codecarbon {version} {name}",
            "evidence_digest": digest, **item,
        }  # fmt: skip


def _countries(table: dict[str, Any]) -> Iterator[Item]:
    zones = {zone.alpha3: zone.zone for zone in all_zones().values() if zone.alpha3}
    for code, country in table.items():
        if code in zones and float(country["carbon_intensity"]):
            yield {
                "of": zones[code], "value": country["carbon_intensity"], "unit": "gCO2e/kWh", "fallback": "country",
                "sigma_percent": _COUNTRY_SIGMA, "basis": "lifecycle", "licence": LICENCE, "year": str(country["year"]),
                "said": "Our World in Data",
            }  # fmt: skip


def _states(table: dict[str, Any]) -> Iterator[Item]:
    said, year = table["_source"]["name"], str(table["_source"]["year"])
    for name, state in table.items():
        code = state.get("regionCode", "")
        if not name.startswith("_") and _STATE.fullmatch(code):
            yield {
                "of": f"US-{code}", "value": state["emissions"], "unit": "lb/MWh", "fallback": "region", "sigma_percent": _REGION_SIGMA,
                "basis": "direct", "year": year, "said": said,
            }  # fmt: skip


def _parts(table: dict[str, Any]) -> Iterator[Item]:
    for code, part in table["data"].items():
        of_zone = _BIDDING_ZONE.fullmatch(code)
        if "-" in code or of_zone:
            yield {
                "of": f"{of_zone[1]}-{code}" if of_zone else code, "value": str(part["emission_factor"]), "unit": part["unit"],
                "fallback": "region", "sigma_percent": _REGION_SIGMA, "year": str(part["year"]), "said": part["description"],
            }  # fmt: skip
