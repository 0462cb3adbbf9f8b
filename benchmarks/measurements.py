"""What is run, in which order, and what is kept of it."""

from __future__ import annotations

import shutil
import signal
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from gpu_library import GpuLibrary
from processes import Cost, Subject, run_alone, run_together

# subject -> measure -> one figure per process, in seconds and bytes
Results = dict[str, dict[str, list[float]]]

BARE = Subject(name="bare", program="bare.py")
OURS = Subject(name="joulebook", program="ours.py")
THEIRS = Subject(name="codecarbon", program="theirs.py")


@dataclass(frozen=True)
class Plan:
    """How much is run.

    Attributes:
        repeats: Whole processes per subject and measure.
        rounds: How often the sampled bodies are run, one after the other.
        copies: Bodies of each subject that run at the same time in a round.
        sampling_seconds: How long such a body sleeps.
    """

    repeats: int
    rounds: int
    copies: int
    sampling_seconds: int


def measure(plan: Plan, library: GpuLibrary, folder: Path) -> Results:
    """Run everything and return each single figure."""
    results: Results = defaultdict(lambda: defaultdict(list))
    with_gpu = [with_library(subject, library) for subject in (OURS, THEIRS)] if library.kind != "none" else []
    # Where the driver's own library is found by everybody, there is nothing to measure without it.
    without_gpu = [] if library.kind == "real" else [OURS, THEIRS]
    subjects = without_gpu + with_gpu
    _measure_starts(plan, subjects, results, folder)
    _measure_sampling(plan, subjects, results)
    return {subject: dict(measures) for subject, measures in results.items()}


def with_library(subject: Subject, library: GpuLibrary) -> Subject:
    """Return the subject where a GPU library is found."""
    return Subject(name=f"{subject.name} + GPU library", program=subject.program, environment=library.environment)


def spool_survives_sigkill(folder: Path) -> bool:
    """Return whether a run that is killed in its body has left itself in the spool."""
    place = _folder_of(folder, "killed")
    cost = run_alone(OURS, "die", place)
    written = [path.read_bytes() for path in (place / "spool").rglob("*") if path.is_file()]
    return cost.status == -signal.SIGKILL and any(b"bench" in text for text in written)


def _measure_starts(plan: Plan, subjects: list[Subject], results: Results, folder: Path) -> None:
    """Alternate bare interpreter, import, and empty body; the first turn only warms the caches and is thrown away."""
    for turn in range(plan.repeats + 1):
        kept: Results = results if turn else defaultdict(lambda: defaultdict(list))
        _say(f"starts {turn} of {plan.repeats}")
        _keep(kept["bare"], "", run_alone(BARE, "import", _folder_of(folder, "bare")))
        for subject in subjects[:: 1 if turn % 2 else -1]:
            place = _folder_of(folder, subject.name)
            _keep(kept[subject.name], "import_", run_alone(subject, "import", place))
            if subject.program == OURS.program:
                # First, so that the others find a home that has been used before, as nearly every run does.
                _keep(kept[subject.name], "", run_alone(subject, "footprint", place), only="footprint")
                loud = Subject(
                    name="", program=OURS.program, environment={**subject.environment, "JOULEBOOK_QUIET": "0"}
                )
                _keep(kept[subject.name], "loud_", run_alone(loud, "empty", place))
            _keep(kept[subject.name], "empty_", run_alone(subject, "empty", place))


def _measure_sampling(plan: Plan, subjects: list[Subject], results: Results) -> None:
    """Run the sampled bodies of all subjects side by side, in another order each round."""
    everybody = [BARE, *subjects]
    for turn in range(plan.rounds):
        _say(f"sampling {turn + 1} of {plan.rounds}, {plan.sampling_seconds} s")
        order = everybody[turn % len(everybody) :] + everybody[: turn % len(everybody)]
        for subject, cost in run_together(order * plan.copies, "sample", plan.sampling_seconds):
            results[subject.name]["sampling_cpu"].append(cost.inside["sampling_cpu"])
            results[subject.name]["memory"].append(cost.inside["memory"])


def _keep(measures: dict[str, list[float]], prefix: str, cost: Cost, only: str = "") -> None:
    if not only:
        measures[f"{prefix}cpu"].append(cost.cpu)
        measures[f"{prefix}wall"].append(cost.wall)
    for name, value in cost.inside.items():
        if name in {"cpu", "wall"} and not only:
            measures[f"{prefix}inside_{name}"].append(value)
        elif only and name.startswith(only):
            measures[name].append(value)


def _folder_of(folder: Path, name: str) -> Path:
    """Return a fresh folder, so that no turn finds what the one before has left."""
    place = folder / name.replace(" ", "-")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place


def _say(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
