"""How far a figure can be trusted: one relative standard deviation per figure, a grade, and one sentence (CORE §10).

Errors are grouped by their source: all readings of one device model by one method, one grid series, the PUE of one site, one embodied
series. Within a source errors are the same error and add up linearly: a fleet does not average them away. Across sources they are
independent and add up in quadrature (IPCC 2006 Guidelines vol. 1 ch. 3, approach 1). Printed as ± 2 sigma.

Each figure of 1 sigma below stands beside its reason. This file and `frontier` are the only ones of the core where floats are
allowed: nothing here is ever booked.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from joulebook_ledger.core.factors import FALLBACKS

SIGMA_OF_METHOD: Mapping[str, float] = {
    # Vendors state about 5 % for NVML; RAPL packages from Haswell on agree with plug power as closely.
    "counter": 0.05,
    # Power read once a second: 5-10 % under steady load, more when it is bursty (sensors that look 25 % of the time, arXiv:2312.02741).
    "sensor": 0.10,
    # Greatest power x utilisation: published power models err by 25-32 %; the upper end, because hosts differ.
    "model": 0.35,
    # What a person or a nameplate says.
    "declared": 0.30,
}
"""Relative 1 sigma of energy by the reading's method."""

UNKNOWN_SIGMA = 1.0

# Hourly of a zone, yearly of a zone, of a nation, of the world: five- to tenfold spread inside one country (Patterson 2021).
_OF_GRID = {"exact": 0.07, "region": 0.15, "country": 0.25, "world": 0.60, "declared": 0.15}
# Published per site, per fleet, assumed: sites range from 1.09 to 1.59.
_OF_PUE = {"exact": 0.03, "region": 0.08, "country": 0.20, "world": 0.20, "declared": 0.20}
# A vendor's product footprint, a generic assessment, a default (ecodiag: 60 %; Boavizta: 462-2089 kg around 900 for one server).
_OF_EMBODIED = {"exact": 0.30, "region": 0.60, "country": 0.60, "world": 0.85, "declared": 0.60}
# A judgement: published figures differ in what they count.
_OF_WATER = dict.fromkeys(FALLBACKS, 0.50)
# A judgement, as for water: what a fuel costs before it is burnt differs by origin more than by grid; losses are metered by those who lose.
_OF_UPSTREAM = dict.fromkeys(FALLBACKS, 0.50)
_OF_LOSSES = dict.fromkeys(FALLBACKS, 0.25)
# A contract says what it says.
_OF_PRICES = dict.fromkeys(FALLBACKS, 0.0)
SIGMA_OF_FACTOR: Mapping[str, Mapping[str, float]] = {
    "grid_location": _OF_GRID,
    "grid_market": _OF_GRID,
    "pue": _OF_PUE,
    "water_site": _OF_WATER,
    "water_source": _OF_WATER,
    "tariff": _OF_PRICES,
    "instance_price": _OF_PRICES,
    "embodied": _OF_EMBODIED,
    "residual_mix": _OF_GRID,
    "grid_marginal": _OF_GRID,
    "upstream": _OF_UPSTREAM,
    "transmission_loss": _OF_LOSSES,
}
"""Relative 1 sigma of a factor by kind and level of fallback, where the factor itself states none."""


class Contribution(NamedTuple):
    """A part of a figure that shares one source of error.

    Attributes:
        source: Name of the source of error, such as "meter:NVIDIA H200/counter" or "grid:FR/owid".
        amount: The part, in the figure's unit.
        sigma: Relative standard deviation that this source gives to it.
    """

    source: str
    amount: float
    sigma: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What is said to people in place of four shares.

    Attributes:
        grade: A to D; "" where nothing is known.
        sentence: Such as "98 % complete, 91 % metered, ± 6 %".
    """

    grade: str
    sentence: str


def sigma_of_method(method: str) -> float:
    """Return the relative standard deviation of energy by this method; 1 for one that is not known."""
    return SIGMA_OF_METHOD.get(method, UNKNOWN_SIGMA)


def sigma_of_factor(kind: str, fallback: str, sigma_ppm: int = 0) -> float:
    """Return the relative standard deviation of a factor: its own where it states one, else that of its kind and fallback."""
    if sigma_ppm:
        return sigma_ppm / 1_000_000
    by_fallback = SIGMA_OF_FACTOR.get(kind, {})
    return by_fallback.get(fallback, UNKNOWN_SIGMA)


def relative_sigma(total: float, contributions: Iterable[Contribution]) -> float | None:
    """Return the relative standard deviation of a figure; None where the figure is 0.

    The same part of a figure may stand under several sources: its meter's, its grid's, its site's.

    >>> relative_sigma(200, [Contribution("a", 100, 0.1), Contribution("a", 100, 0.1)])
    0.1
    """
    if not total:
        return None
    absolute: defaultdict[str, float] = defaultdict(float)
    for part in contributions:
        absolute[part.source] += part.amount * part.sigma
    return math.hypot(*sorted(absolute.values())) / abs(total)


def quality(*, coverage: float | None, measured_share: float | None, uncertainty: float | None) -> Quality:
    """Return grade and sentence of a figure; what is not known is said to be so.

    A: at least 95 % complete and 90 % metered, ± 25 % or better. B: 90 %, 50 %, ± 50 %. C: 75 % complete, ± 100 %. D: less.
    What bears no time has none to be complete in (`untracked` is a claim on what was metered): its grade rests on the other two.

    Args:
        coverage: Metered time ÷ expected time, or None where no time is borne.
        measured_share: Energy by counter or sensor ÷ energy, or None.
        uncertainty: One relative standard deviation, or None.
    """
    known = [
        "" if coverage is None else f"{_percent_down(coverage)} % complete",
        "" if measured_share is None else f"{_percent_down(measured_share)} % metered",
        "" if uncertainty is None else f"± {math.ceil(round(200 * uncertainty, 6))} %",
    ]
    sentence = ", ".join(part for part in known if part) or "nothing is known"
    return Quality(grade=_grade(coverage, measured_share, uncertainty), sentence=sentence)


def grade_of_figure(
    *, known_share: float | None, coverage: float | None, measured_share: float | None, uncertainty: float | None
) -> str:
    """Return the grade of one figure, by the same bounds; "" where nothing of it is known or its spread is not.

    Args:
        known_share: Which share of it is priced.
        coverage: Metered time ÷ expected time of the energy that it is of; None where it is of no energy, or of none with time.
        measured_share: Energy by counter or sensor ÷ energy; None where it is of no energy.
        uncertainty: One relative standard deviation.
    """
    if not known_share or uncertainty is None:
        return ""
    complete = known_share * (1.0 if coverage is None else coverage)
    return _grade(complete, 1.0 if measured_share is None else measured_share, uncertainty)


def _grade(coverage: float | None, measured_share: float | None, uncertainty: float | None) -> str:
    if coverage is None and measured_share is None and uncertainty is None:
        return ""
    complete = coverage if coverage is not None else float(measured_share is not None)
    metered, spread = measured_share or 0.0, uncertainty if uncertainty is not None else 1.0
    if complete >= 0.95 and metered >= 0.90 and 2 * spread <= 0.25:
        return "A"
    if complete >= 0.90 and metered >= 0.50 and 2 * spread <= 0.50:
        return "B"
    if complete >= 0.75 and 2 * spread <= 1.00:
        return "C"
    return "D"


def _percent_down(share: float) -> int:
    """Return whole per cent, rounded down: only what is whole is called 100 %."""
    return math.floor(round(100 * share, 6))
