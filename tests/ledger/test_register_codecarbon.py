"""The tables of an installed codecarbon become factors of their own provider; nothing of the package is run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from joulebook_ledger.catalogue.zones import all_zones
from joulebook_ledger.core.factors import Factor
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.core.versions import Known
from joulebook_ledger.desk.sheet import lines_of
from joulebook_ledger.register.codecarbon import PROVIDER, installed, rows_of_tables
from joulebook_ledger.register.rows import FACTOR_COLUMNS, FACTOR_KINDS, Reading
from joulebook_ledger.register.taking import take_factors

if TYPE_CHECKING:
    from ledger.conftest import Bookkeeper

TABLES: dict[str, object] = {
    "global_energy_mix.json": {
        "FRA": {"carbon_intensity": 56.039, "year": 2023}, "CAF": {"carbon_intensity": 0.0, "year": 2022},
        "QQQ": {"carbon_intensity": 5.0, "year": 2022},
    },
    "2023/usa_emissions.json": {
        "_source": {"name": "EPA eGRID2023", "year": 2023}, "_unit": {"regionCode": "2 digit"},
        "alabama": {"emissions": 1000.0, "regionCode": "AL"}, "usa": {"emissions": 770.884, "regionCode": "usa"},
    },
    "2023/china_provincial_emissions.json": {
        "data": {"CN-BJ": {"emission_factor": 555.4, "unit": "gCO2/kWh", "description": "Beijing", "year": 2023}}
    },
    "nordic_emissions.json": {
        "data": {"SE1": {"emission_factor": 25.9, "unit": "gCO2eq/kWh", "description": "Northern Sweden", "year": 2025}}
    },
}  # fmt: skip


def laid_out(folder: Path) -> Path:
    """Write small tables of the same form."""
    for name, table in TABLES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(table))
    return folder


def factors_of(folder: Path, version: str = "3.3.2") -> dict[str, Factor]:
    """Return zone -> factor."""
    lines = lines_of(rows_of_tables(folder, version), FACTOR_COLUMNS[:4], FACTOR_COLUMNS[4:])
    read = [Reading("codecarbon").factor(line, FACTOR_KINDS) for line in lines]
    return {factor.object: factor for factor in read}


def test_each_table_becomes_factors_with_their_source(tmp_path: Path) -> None:
    """What is no figure, or of no zone that is known, is left out."""
    found = factors_of(laid_out(tmp_path))
    assert {zone: factor.value for zone, factor in found.items()} == {
        "FR": 56_039_000, "US-AL": 453_592_370, "CN-BJ": 555_400_000, "SE-SE1": 25_900_000,
    }  # fmt: skip
    france, alabama = found["FR"], found["US-AL"]
    assert (france.provider, france.version, france.fallback, france.basis) == (
        PROVIDER,
        "3.3.2-2023",
        "country",
        "lifecycle",
    )
    assert (alabama.fallback, alabama.basis, alabama.source) == (
        "region", "direct", "codecarbon 3.3.2, 2023/usa_emissions.json: EPA eGRID2023, 2023",
    )  # fmt: skip
    assert len(alabama.evidence_digest) == 64


def test_what_a_person_entered_goes_before_them(tmp_path: Path) -> None:
    """They are defaults."""
    default = factors_of(laid_out(tmp_path))["FR"]
    own = Factor(
        kind="grid_location",
        object="FR",
        provider="desk",
        version="1",
        value=1,
        unit="ug/kWh",
        source="us",
        fallback="declared",
    )
    for facts in ([default, own], [own, default]):
        book = FactorBook([Known(fact, number) for number, fact in enumerate(facts)])
        assert book._factors["grid_location", "FR"].at(5) is own


def test_other_tables_are_refused(tmp_path: Path) -> None:
    """A package that is not there names the way; so does one of another form."""
    with pytest.raises(BadInput, match=r"tables of codecarbon 9\.0 are none that are known here"):
        rows_of_tables(tmp_path, "9.0")


def test_the_installed_tables_are_taken_in_once(sqlite_keeper: Bookkeeper) -> None:
    """Countries agree with the bundled table, which was made from them; the package itself stays unloaded."""
    before = set(sys.modules)
    try:
        folder, version = installed()
    except BadInput:
        pytest.skip("codecarbon is not installed")
    lines = lines_of(rows_of_tables(folder, version), FACTOR_COLUMNS[:4], FACTOR_COLUMNS[4:])
    for expected in (len(lines), 0):
        reading = Reading("codecarbon")
        assert (
            take_factors(sqlite_keeper.ledger, sqlite_keeper.entry(), lines, reading, FACTOR_KINDS).stored == expected
        )
    found = factors_of(folder, version)
    bundled = {code: zone.intensity_ug_per_kwh for code, zone in all_zones().items() if zone.alpha3}
    assert {code: found[code].value for code in bundled} == bundled
    assert "codecarbon" not in set(sys.modules) - before  # its tables are read, and it is not loaded
