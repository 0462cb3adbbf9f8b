"""docs/units.md names every unit, column and kind of factor that the code has."""

from __future__ import annotations

import ast
import re

import pytest
from helpers.source import CORE, ROOT, project

from joulebook_ledger.core.factors import FACTOR_UNITS
from joulebook_ledger.core.pricing import COLUMNS

PAGE = (ROOT / "docs/units.md").read_text(encoding="utf-8")
CELLS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]
FIRST = [row[0].strip("`") for row in CELLS]
SUFFIXES = {name for name in FIRST if name.startswith("_")}
UNIT_LIKE = re.compile(r"_(?:[munk]?(?:j|w|s|g|l|wh)|k?wh|ppm|hours|seconds)$")


def fields_with_a_unit() -> set[str]:
    """Return the fields of every class in core, store and bodies whose name ends like a unit."""
    places = (CORE, "ledger/joulebook_ledger/store/", "ledger/joulebook_ledger/bodies.py")
    classes = [
        node
        for source in project()
        if source.path.startswith(places)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
    ]
    annotated = [item.target for node in classes for item in node.body if isinstance(item, ast.AnnAssign)]
    return {target.id for target in annotated if isinstance(target, ast.Name) and UNIT_LIKE.search(target.id)}


def test_the_columns_stand_in_the_order_of_the_code() -> None:
    """The table of columns is the code's list, no more and no less."""
    start = FIRST.index(COLUMNS[0])
    assert tuple(FIRST[start : start + len(COLUMNS)]) == COLUMNS


def test_every_kind_of_factor_has_its_unit() -> None:
    """The kinds and their units are the code's."""
    listed = {row[0].strip("`"): re.findall(r"`([^`]+)`", row[1]) for row in CELLS if row[0].strip("`") in FACTOR_UNITS}
    assert {kind: units[0] for kind, units in listed.items()} == FACTOR_UNITS


def test_every_ending_that_says_a_unit_is_explained() -> None:
    """No field ends with a unit that the page does not name."""
    fields = fields_with_a_unit()
    assert {"energy_mj", "time_ms", "max_power_mw"} <= fields
    assert {name for name in fields if not name.endswith(tuple(SUFFIXES))} == set()


@pytest.mark.parametrize("column", [name for name in COLUMNS if name.rpartition("_")[2] in {"mj", "ms"}])
def test_a_column_is_listed_with_the_unit_that_its_name_says(column: str) -> None:
    """`held_mj` is listed in mJ, `time_ms` in ms."""
    row = next(row for row in CELLS if row[0] == f"`{column}`")
    assert row[1].lower() == column.rpartition("_")[2]
