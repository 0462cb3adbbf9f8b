"""How good a factor is, on four axes from 1 (best) to 5, and one grade of them: a pedigree as the GHG Protocol's data quality indicators know it.

| axis | 1 | 2 | 3 | 4 | 5 |
|---|---|---|---|---|---|
| reliability | a document shows it | a source is named | | declared, or provisional | |
| place | exact | region | country, or declared | | world |
| time, of a grid | at most a day | a month | a year | longer, from a date on | undated |
| time, of a site or machine | at most a year | from a date on | | undated | |
| completeness | spread and basis are stated | | one of them | | neither |

A price is complete as it stands, and what has no basis (a PUE) lacks only its spread. A: at most 6 in all. B: 10. C: 14. D: more.
"""

from __future__ import annotations

from typing import NamedTuple

from joulebook_ledger.core.factors import FACTOR_OBJECTS, PRICE_KINDS, ZONE, Factor
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY

DECLARED = "declared"
_PLACE = {"exact": 1, "region": 2, "country": 3, DECLARED: 3, "world": 5}
_DAY, _MONTH, _YEAR = (days * MILLISECONDS_PER_DAY for days in (1, 31, 366))
_MOST_OF_GRADE = (("A", 6), ("B", 10), ("C", 14))
_BASES_OF = ("grid_location", "grid_market", "residual_mix", "grid_marginal")


class Pedigree(NamedTuple):
    """The four axes of a factor, each from 1 (best) to 5."""

    reliability: int
    place: int
    time: int
    completeness: int

    @property
    def grade(self) -> str:
        """A to D."""
        return next((grade for grade, most in _MOST_OF_GRADE if sum(self) <= most), "D")

    @property
    def words(self) -> str:
        """The axes for a table: "reliability 2, place 3, time 5, completeness 1"."""
        return ", ".join(f"{axis} {value}" for axis, value in zip(self._fields, self, strict=True))


def pedigree(factor: Factor) -> Pedigree:
    """Return how good a factor is, by what it says of itself."""
    reliability = 1 if factor.evidence_digest else 4 if factor.source.startswith(DECLARED) else 2
    if factor.state == "provisional":
        reliability = 4
    return Pedigree(reliability, _PLACE[factor.fallback], _time(factor), _completeness(factor))


def _time(factor: Factor) -> int:
    length = None if factor.valid_to_ms is None else factor.valid_to_ms - factor.valid_from_ms
    is_undated = length is None and not factor.valid_from_ms
    if FACTOR_OBJECTS[factor.kind] != ZONE:
        return 4 if is_undated else 1 if length is not None and length <= _YEAR else 2
    if length is None or length > _YEAR:
        return 5 if is_undated else 4
    return 1 if length <= _DAY else 2 if length <= _MONTH else 3


def _completeness(factor: Factor) -> int:
    if factor.kind in PRICE_KINDS:
        return 1
    missing = (not factor.sigma_ppm) + (factor.kind in _BASES_OF and not factor.basis)
    return 1 + 2 * missing
