"""The JSON bodies of what is derived from the books: intensities, what is implausible, what no figure covers."""

from __future__ import annotations

# The schema of the service is made from these, which before Python 3.12 takes the newer TypedDict.
from typing_extensions import TypedDict


class NotCovered(TypedDict):
    """Something that no figure covers: what, where the GHG Protocol puts it, and why it is left out."""

    what: str
    belongs_to: str
    why: str


class Implausible(TypedDict):
    """A rate that booked amounts imply and that cannot be so: of what, its value and bounds, and the same as a sentence."""

    check: str
    of: str
    value: float
    least: float
    most: float
    unit: str
    text: str


class SciRow(TypedDict):
    """The intensity of one model: its parts in kg, and in g per functional unit; `units_from` is counted or stated."""

    model: str | None
    units: float | int | None
    units_from: str
    operational_kg: float | None
    embodied_kg: float | None
    operational_g: float | None
    embodied_g: float | None
    sci_g: float | None
    known_share: dict[str, float | None]
    uncertainty: float | None
    runs: int
    reasons: dict[str, str]


class SciBody(TypedDict):
    """Carbon per functional unit by model; `not_covered` names what is in no figure."""

    from_month: str
    to_month: str
    standard: str
    per: str
    boundary: str
    intensity: str
    idle: str
    link: int
    head: str
    rows: list[SciRow]
    not_covered: list[NotCovered]
    notes: list[str]
