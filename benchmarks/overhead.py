"""What measuring takes from a training loop that keeps one core busy, with its 95 % interval, beside the neighbours.

   overhead.py [--rounds N] [--seconds N] [--trackers NAME,…] [--json]

Every round runs one process of each tracker, in another order; a process trains in blocks of four stretches (off, on, on, off), and a
block's figure is on ÷ off − 1. `none` turns nothing on: what comes out there is the noise of the machine. The interval is that of the
median by order statistics, which supposes nothing of how the figures are spread. Ends with 1 where Joulebook's interval does not hold 0
or is wider than 1 % to either side.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

SUBJECT = Path(__file__).parent / "subjects" / "training.py"
TRACKERS = ("none", "joulebook", "codecarbon", "carbontracker", "zeus")
OURS = "joulebook"
BLOCKS_PER_ROUND, LEAST_ROUNDS = 5, 2
CONFIDENCE = 0.95
WIDEST_HALF = 0.01
MEASURES = ("wall", "cpu")


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """What one tracker adds to the loop, as a part of the loop's own time.

    Attributes:
        tracker: Its name.
        measure: wall or cpu.
        median: Median of the blocks.
        low: Lower end of the median's 95 % interval.
        high: Upper end.
        blocks: How many blocks it is of.
    """

    tracker: str
    measure: str
    median: float
    low: float
    high: float
    blocks: int

    @property
    def is_reached(self) -> bool:
        """Whether the interval holds 0 (or lies below it) and is no wider than promised."""
        return self.low <= 0 and (self.high - self.low) / 2 <= WIDEST_HALF


def main() -> int:
    """Measure and print; return 1 where the target is missed."""
    parser = argparse.ArgumentParser(description="What measuring takes from a training loop.")
    parser.add_argument("--rounds", type=int, default=8, help="processes of each tracker, of five blocks each")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long one of a block's four stretches is")
    parser.add_argument("--trackers", default=",".join(TRACKERS), help="which, with commas between")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    arguments = parser.parse_args()
    if arguments.rounds < LEAST_ROUNDS:
        parser.error(f"fewer than {LEAST_ROUNDS} rounds have no 95 % interval")
    trackers = arguments.trackers.split(",")
    blocks = measure(trackers, arguments.rounds, arguments.seconds)
    overheads = [overhead(name, index, blocks[name]) for name in trackers for index in range(len(MEASURES))]
    if arguments.json:
        figures = {"versions": versions(trackers), "overheads": [vars(each) for each in overheads], "blocks": blocks}
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in as_text(overheads, trackers, arguments.seconds))
    ours = [each for each in overheads if each.tracker == OURS and each.measure == "wall"]
    return 0 if all(each.is_reached for each in ours) else 1


def measure(trackers: Sequence[str], rounds: int, seconds: float) -> dict[str, list[tuple[float, ...]]]:
    """Return, per tracker, each block's parts of wall and CPU time added."""
    blocks: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for turn in range(rounds):
        order = [*trackers[turn % len(trackers) :], *trackers[: turn % len(trackers)]]
        for name in order:
            if sys.stderr.isatty():
                sys.stderr.write(f"\r\033[Kround {turn + 1} of {rounds}, {name}")
                sys.stderr.flush()
            blocks[name] += run(name, seconds)
    return dict(blocks)


def run(tracker: str, seconds: float) -> Iterator[tuple[float, ...]]:
    """Yield the blocks of one process."""
    with tempfile.TemporaryDirectory(prefix="joulebook-bench-") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("JOULEBOOK_")}
        environment |= {
            "JOULEBOOK_HOME": f"{folder}/home",
            "JOULEBOOK_SPOOL": f"{folder}/spool",
            "JOULEBOOK_QUIET": "1",
        }
        command = [sys.executable, "-P", str(SUBJECT), tracker, str(BLOCKS_PER_ROUND), str(seconds)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{tracker} ended with {done.returncode}:\n{done.stderr[-2000:]}"
        raise RuntimeError(message)
    for line in done.stdout.splitlines():
        if line.startswith('{"tracker"'):
            block = json.loads(line)
            yield tuple(on / off - 1 for on, off in zip(block["on"], block["off"], strict=True))


def overhead(tracker: str, index: int, blocks: Sequence[tuple[float, ...]]) -> Overhead:
    """Return the median of the blocks with its interval."""
    values = sorted(block[index] for block in blocks)
    low, high = interval(values)
    median = statistics.median(values)
    return Overhead(tracker=tracker, measure=MEASURES[index], median=median, low=low, high=high, blocks=len(values))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median of sorted values: the narrowest pair of order statistics that holds it so often.

    Of n values the k-th from either end lie around the median with probability 1 − 2·P(B < k), B binomial of n and one half.
    """
    outside, rank = 0.0, 0
    while (outside := outside + math.comb(len(values), rank) / 2 ** len(values)) <= (1 - CONFIDENCE) / 2:
        rank += 1
    place = max(rank - 1, 0)
    return values[place], values[-1 - place]


def versions(trackers: Sequence[str]) -> dict[str, str]:
    """Return which releases were measured."""
    return {name: metadata.version(name) for name in trackers if name != "none"}


def as_text(overheads: Sequence[Overhead], trackers: Sequence[str], seconds: float) -> Iterator[str]:
    """Yield the lines of the table."""
    yield ", ".join(f"{name} {version}" for name, version in versions(trackers).items())
    yield f"a training loop on one core, in stretches of {seconds:g} s with the tracker on and off; time added by it, median and its 95 % interval"
    yield ""
    yield f"{'tracker':16}{'clock':>7}{'median':>11}{'from':>11}{'to':>11}{'blocks':>8}"
    for each in overheads:
        yield f"{each.tracker:16}{each.measure:>7}{each.median:>11.2%}{each.low:>11.2%}{each.high:>11.2%}{each.blocks:>8}"


if __name__ == "__main__":
    raise SystemExit(main())
