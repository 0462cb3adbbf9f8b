"""The worked numbers in tests/vectors: every case is a test, and one whose feature is not built yet says which feature that is.

A case is in exactly one of two tables: `built` (id -> check) or `missing` (id -> Missing). A missing case really runs: it looks for the
module that the feature will live in, fails with NotBuilt, and is a strict xfail. The day the module is there the case passes, which
strict xfail reports as an error: whoever builds the feature moves the case. A case in neither table, or in both, fails.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / "vectors"
Case = dict[str, Any]


class NotBuilt(Exception):
    """Raised by a case whose feature does not exist yet; names the feature."""


@dataclass(frozen=True)
class Missing:
    """A feature to come.

    Attributes:
        feature: What is missing, in words.
        module: Where it will live (DESIGN §9); while there is none, the case fails.
    """

    feature: str
    module: str

    def __call__(self, case: Case) -> None:
        """Fail while the feature is not there."""
        room, _, _ = self.module.rpartition(".")
        if importlib.util.find_spec(room) is None or importlib.util.find_spec(self.module) is None:
            message = f"not built yet: {self.feature} ({case['id']})"
            raise NotBuilt(message)


def load(name: str) -> dict[str, Case]:
    """Return the cases of a file by id."""
    found: list[Case] = json.loads((FOLDER / f"{name}.json").read_text())["cases"]
    return {case["id"]: case for case in found}


def cases(name: str, built: Mapping[str, Callable[[Case], None]], missing: Mapping[str, Missing]) -> list[Any]:
    """Return the parameters (case, check) of all cases of a file."""
    found = load(name)
    told = [*built, *missing]
    assert sorted(found) == sorted(told), f"{name}: {set(found) ^ set(told)}"
    return [
        *(pytest.param(found[name], check, id=name) for name, check in built.items()),
        *(pytest.param(found[n], m, id=n, marks=_xfail(m)) for n, m in missing.items()),
    ]


def _xfail(missing: Missing) -> pytest.MarkDecorator:
    return pytest.mark.xfail(strict=True, raises=NotBuilt, reason=f"not built yet: {missing.feature}")


def agree(case: Case, field: str, found: float, expected: float) -> None:
    """Assert that a figure is the expected one within the case's own tolerance; none, or null, means exact."""
    absolute, relative = case.get("tolerance_abs"), case.get("tolerance_rel")
    if isinstance(absolute, dict):
        absolute = absolute.get(field)
    good = math.isclose(found, expected, rel_tol=relative or 0, abs_tol=absolute or 0)
    assert good, f"{case['id']}: {field} is {found!r}, expected {expected!r}"
