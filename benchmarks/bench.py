"""Measure Joulebook against codecarbon (offline mode, writing its file), side by side in one run.

   bench.py [--quick] [--json]

The two alternate with a bare interpreter, each as a whole process; every figure is a median with the bare interpreter's
taken off. `--quick` tries it out with few and short runs: its figures are not for quoting. Ends with 1 where a target
is missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from figures import Comparison, compare
from gpu_library import GpuLibrary, find_gpu_library
from measurements import Plan, Results, measure, spool_survives_sigkill

FULL = Plan(repeats=9, rounds=3, copies=3, sampling_seconds=60)
QUICK = Plan(repeats=3, rounds=1, copies=1, sampling_seconds=5)


def main() -> int:
    """Measure, print, and return 1 where a target is missed in a full run."""
    parser = argparse.ArgumentParser(description="Joulebook against codecarbon, side by side.")
    parser.add_argument("--quick", action="store_true", help="few and short runs: not for quoting")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory(prefix="joulebook-bench-") as folder:
        library = find_gpu_library(Path(folder))
        survives = spool_survives_sigkill(Path(folder))
        results = measure(plan, library, Path(folder))
    comparisons = compare(results)
    if arguments.json:
        sys.stdout.write(json.dumps(as_json(plan, library, results, comparisons, survives=survives), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in as_text(plan, library, results, comparisons, survives=survives))
    missed = not survives or any(comparison.is_reached is False for comparison in comparisons)
    return 1 if missed and not arguments.quick else 0


def surroundings() -> dict[str, str]:
    """Return what a reader needs to know about where this ran."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "joulebook": metadata.version("joulebook"),
        "codecarbon": metadata.version("codecarbon"),
    }


def as_json(
    plan: Plan, library: GpuLibrary, results: Results, comparisons: list[Comparison], *, survives: bool
) -> dict[str, object]:
    """Return everything that was measured, with each single figure."""
    return {
        "surroundings": surroundings(),
        "plan": vars(plan),
        "is_quick": plan == QUICK,
        "gpu_library": {"kind": library.kind, "words": library.words},
        "spool_survives_sigkill": survives,
        "comparisons": [comparison.as_json() for comparison in comparisons],
        "single_figures": results,
    }


def as_text(
    plan: Plan, library: GpuLibrary, results: Results, comparisons: list[Comparison], *, survives: bool
) -> Iterator[str]:
    """Yield the lines for people."""
    yield ", ".join(f"{name} {version}" for name, version in surroundings().items())
    yield (
        f"medians of {plan.repeats} whole processes each, alternating, minus a bare interpreter; sampling and memory: "
        f"medians of {plan.rounds * plan.copies} bodies of {plan.sampling_seconds} s"
    )
    yield library.words
    if plan == QUICK:
        yield "quick run: these figures are not for quoting"
    yield f"a run is on disk when its body begins (killed there with SIGKILL): {'yes' if survives else 'NO'}"
    for group in dict.fromkeys(comparison.group for comparison in comparisons):
        yield ""
        yield f"{group:44}{'joulebook':>12}{'codecarbon':>12}  {'ratio':>8}  {'target':>8}"
        yield from (comparison.as_line() for comparison in comparisons if comparison.group == group)
    yield ""
    yield f"{'bare interpreter, CPU':44}{1000 * statistics.median(results['bare']['cpu']):9.2f} ms"


if __name__ == "__main__":
    raise SystemExit(main())
