"""From single figures to what is compared, with the targets to reach."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from measurements import OURS, THEIRS, Results

MILLISECONDS = ("ms", 1e3)
MEGABYTES = ("MB", 1e-6)
GPU = " + GPU library"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One line of the table.

    Attributes:
        group: With or without a GPU library.
        name: What is compared.
        ours: Median of Joulebook, with what is to be taken off taken off.
        theirs: The same of codecarbon, or None where it has nothing like it.
        unit: Name and how many of it are in a second or byte.
        target: How many times less ours has to be, or None where nothing was promised.
    """

    group: str
    name: str
    ours: float
    theirs: float | None
    unit: tuple[str, float]
    target: int | None

    @property
    def ratio(self) -> float | None:
        """How many times less ours is; None where theirs is missing or ours is too little to be told from nothing."""
        return self.theirs / self.ours if self.theirs is not None and self.ours > 0 else None

    @property
    def is_reached(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None or self.theirs is None:
            return None
        return self.ours * self.target <= self.theirs

    def as_line(self) -> str:
        """Return the line for people."""
        unit, factor = self.unit
        theirs = f"{self.theirs * factor:9.1f} {unit}" if self.theirs is not None else ""
        ratio = f"1/{self.ratio:.1f}" if self.ratio is not None else ""
        target = f"1/{self.target}" if self.target else ""
        verdict = {True: "reached", False: "MISSED", None: ""}[self.is_reached]
        line = f"{self.name:44}{self.ours * factor:9.2f} {unit}{theirs:>12}  {ratio:>8}  {target:>8}  {verdict}"
        return line.rstrip()

    def as_json(self) -> dict[str, object]:
        """Return the same for programs."""
        unit, factor = self.unit
        return {
            "group": self.group,
            "name": self.name.strip(),
            "unit": unit,
            "joulebook": self.ours * factor,
            "codecarbon": None if self.theirs is None else self.theirs * factor,
            "ratio": self.ratio,
            "target": self.target,
            "reached": self.is_reached,
        }


def compare(results: Results) -> list[Comparison]:
    """Return every line of the table; what could not be measured here has none."""
    lines = []
    for suffix in ("", GPU):
        if OURS.name + suffix in results:
            lines += _lines(results, suffix)
    return lines


def _lines(results: Results, suffix: str) -> list[Comparison]:
    gpu = bool(suffix)
    ours, theirs, bare = results[OURS.name + suffix], results[THEIRS.name + suffix], results["bare"]

    def line(
        name: str, measure: str, less: str, *, target: int | None = None, unit: tuple[str, float] = MILLISECONDS
    ) -> Comparison:
        def net(figures: dict[str, list[float]]) -> float:
            taken_off = bare if less in bare else figures
            return statistics.median(figures[measure]) - (statistics.median(taken_off[less]) if less else 0.0)

        return Comparison(
            group="with a GPU library" if gpu else "without a GPU library",
            name=name,
            ours=net(ours),
            theirs=net(theirs) if measure in theirs else None,
            unit=unit,
            target=target,
        )

    start = 15 if gpu else 100
    return [
        line("import, CPU", "import_cpu", "cpu", target=None if gpu else 10),
        line("start + stop, CPU of the whole process", "empty_cpu", "import_cpu", target=start),
        line("start + stop, wall of the whole process", "empty_wall", "import_wall", target=start),
        line("  seen from inside, CPU", "empty_inside_cpu", ""),
        line("  seen from inside, wall", "empty_inside_wall", ""),
        line("  footprint, CPU", "footprint_cpu", ""),
        line("  footprint, wall", "footprint_wall", ""),
        line("  closing line, CPU", "loud_inside_cpu", "empty_inside_cpu"),
        line("  closing line, wall", "loud_inside_wall", "empty_inside_wall"),
        line("sampling each second, CPU of the body", "sampling_cpu", "sampling_cpu", target=4),
        line("peak memory", "memory", "memory", target=4 if gpu else 8, unit=MEGABYTES),
    ]
