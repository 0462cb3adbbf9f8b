"""How long reading commands take on a book of 1,000 runs, interpreter start included, each as a process of its own.

    python benchmarks/reading_commands.py [RUNS] [REPEATS]

Makes the book in a temporary folder, calls each command once to warm the files up, then in turn, and prints the medians.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

PROMISED_SECONDS = 0.5
RUNS = 1_000
REPEATS = 7
COMMANDS = {
    "runs": ["runs"],
    "runs --json": ["runs", "--json"],
    "show": ["show"],
    "report": ["report", "--month", "2026-11"],
    "report --by team,model": ["report", "--month", "2026-11", "--by", "team,model"],
    "rank": ["rank", "--task", "imagenet", "--score", "accuracy"],
    "why last cost": ["why", "last", "cost"],
    "factors": ["factors"],
    "--help": ["--help"],
    "runs --help": ["runs", "--help"],
}


def make_book(url: str, runs: int) -> None:
    """Fill a book with runs, and place their machines so that everything has its price."""
    from books import Plan, realistic_batches

    from joulebook_ledger.desk import Entry, Place, init_batch
    from joulebook_ledger.local import LocalLedger

    plan = Plan(runs=runs)
    ledger = LocalLedger(url)
    for number in range(plan.machines):
        place = Place(machine=f"m{number:02d}", site="hall", zone="FR", price_per_kwh="0.25", currency="EUR", pue="1.2")
        ledger.deliver(init_batch(Entry(name=f"placing-{number}", at_ms=plan.start_ms), place))
    for batch in realistic_batches(plan):
        ledger.deliver(batch)
    ledger.book()
    ledger.close()


def seconds_of(words: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Return the wall clock time and the processor time of one command."""
    before = os.times()
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "joulebook", *words], env=environment, capture_output=True, check=False
    )
    lasted = time.perf_counter() - started
    after = os.times()
    if done.returncode:
        raise SystemExit(f"joulebook {' '.join(words)} failed: {done.stderr.decode()}")
    return lasted, after.children_user + after.children_system - before.children_user - before.children_system


def main() -> int:
    """Print one line per command; return 1 where one of them misses what is promised."""
    given = [int(word) for word in sys.argv[1:3]]
    runs, repeats = [*given, RUNS, REPEATS][:2] if not given else [*given, REPEATS][:2]
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/book.sqlite"
        environment = {
            **os.environ,
            "JOULEBOOK_LEDGER": url,
            "JOULEBOOK_HOME": folder,
            "JOULEBOOK_SPOOL": f"{folder}/spool",
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = f"{folder}/compiled"  # what pip compiles when it installs
        started = time.perf_counter()
        make_book(url, runs)
        print(
            f"{runs} runs booked in {time.perf_counter() - started:.1f} s; seconds, medians of {repeats}, load {os.getloadavg()[0]:.1f}"
        )
        print(f"{'':24} {'wall':>6} {'processor':>10}   wall from to")
        missed = 0
        for words in COMMANDS.values():
            seconds_of(words, environment)
        for name, words in COMMANDS.items():
            taken = [seconds_of(words, environment) for _ in range(repeats)]
            walls = sorted(wall for wall, _ in taken)
            median = statistics.median(walls)
            missed += median > PROMISED_SECONDS
            processor = statistics.median(processor for _, processor in taken)
            print(f"{name:24} {median:6.3f} {processor:10.3f}   {walls[0]:.3f} {walls[-1]:.3f}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
