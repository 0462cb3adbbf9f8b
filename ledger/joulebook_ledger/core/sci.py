"""Software carbon intensity: ((E · I) + M) per R, ISO/IEC 21031, and its two boundaries for AI.

E · I is the location-based column of the books (PUE within, market instruments never: neither certificates nor contracts lower an
SCI), M the embodied one, R a functional unit that is named. An SCI is a rate: nothing makes it smaller but emitting less or doing more.

SCI for AI knows two scores that are never added. The consumer's is of operation: what serving emits per request or token. The
provider's is of development, all training and failed runs within, per parameter, training sample or FLOP, or per use over a stated
number of uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from joulebook_ledger.core.refusals import BadInput

ALL, CONSUMER, PROVIDER = "all", "consumer", "provider"
STAGES_OF: Mapping[str, tuple[str, ...]] = {
    CONSUMER: ("serving",),
    PROVIDER: ("training", "finetuning", "tuning", "evaluation"),
}
"""Boundary -> the stages of runs within it; `all` has every run, also one that says no stage."""
BOUNDARY_OF: Mapping[str, str] = {
    "request": CONSUMER,
    "token": CONSUMER,
    "token_in": CONSUMER,
    "token_out": CONSUMER,
    "run": ALL,
    "hour": ALL,
    "device_hour": ALL,
    "sample": PROVIDER,
    "parameter": PROVIDER,
    "flop": PROVIDER,
    "use": PROVIDER,
}
"""Functional unit -> the boundary it is meant for, where none is named."""
BOUNDARIES = (ALL, CONSUMER, PROVIDER)
STATED_ONLY = ("flop", "use")
"""Units that no fact counts: their number is stated."""


def carbon_per_unit(operational_ug: int | Fraction, embodied_ug: int | Fraction, units: int | Fraction) -> Fraction:
    """Return the micrograms CO2e per functional unit, exactly.

    >>> carbon_per_unit(5_000, 1_500, 50)
    Fraction(130, 1)

    Raises:
        BadInput: There are no units to divide by.
    """
    if units <= 0:
        raise BadInput(f"an intensity is per something: {units} units cannot be divided by")
    return Fraction(operational_ug + embodied_ug, units)
