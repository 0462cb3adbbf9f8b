"""Scores as people read them: per name and split the last value, and the best where it is known which way is better. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.figures.directions import lower_is_better

if TYPE_CHECKING:
    from joulebook_ledger.bodies import ScoreBody
    from joulebook_ledger.store.reads_runs import ScoreValue


# Ends the ids of scores of a process that joined its run: another rank than the first, most often.
JOINED = "~"


class RunScore(NamedTuple):
    """All values of one score of one run.

    Attributes:
        run: The run.
        name: The score's name.
        split: Its split.
        last: The last value, by (step, time).
        best: The best value, or None where it is not known which way is better.
        unit: Unit of the last value.
        step: Step of the last value.
        lower_is_better: As it was said when logged, else as its name says, else None.
    """

    run: str
    name: str
    split: str
    last: str
    best: str | None
    unit: str
    step: int | None
    lower_is_better: bool | None

    def body(self) -> ScoreBody:
        """Return it as JSON."""
        return {
            "name": self.name,
            "split": self.split,
            "value": float(self.last),
            "best": None if self.best is None else float(self.best),
            "unit": self.unit,
            "step": self.step,
            "lower_is_better": self.lower_is_better,
        }


def run_scores(values: Iterable[ScoreValue]) -> list[RunScore]:
    """Return one score per run, name and split; values come together, the last one last.

    Where several ranks logged a score of one step, that of the process which began the run counts.
    """
    return [_score_of(_once(list(same))) for _, same in groupby(values, key=lambda v: (v.run, v.name, v.split))]


def _once(values: list[ScoreValue]) -> list[ScoreValue]:
    told = {value.step for value in values if not value.score.endswith(JOINED)}
    return [value for value in values if value.step not in told or not value.score.endswith(JOINED)]


def _score_of(values: list[ScoreValue]) -> RunScore:
    last = values[-1]
    said = next((value.lower_is_better for value in reversed(values) if value.lower_is_better is not None), None)
    lower = lower_is_better(last.name) if said is None else said
    best = None
    if lower is not None:
        best = (min if lower else max)((value.value for value in values), key=float)
    return RunScore(last.run, last.name, last.split, last.value, best, last.unit, last.step, lower)
