"""How long reading commands take on a book of 1,000 runs, interpreter start included, each as a process of its own.

    python benchmarks/reading_commands.py [--runs 1000] [--repeats 7] [--postgres]

Makes the book in a temporary folder, or in a PostgreSQL server of its own, calls each command once to warm the files up, then in
turn, and prints the medians.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

PROMISED_SECONDS = 0.5
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

    from joulebook_ledger.desk.entering import Entry, Place, init_batch
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


@contextlib.contextmanager
def book_url(folder: str, *, postgres: bool) -> Iterator[str]:
    """Yield where the book is to be."""
    if not postgres:
        yield f"sqlite:///{folder}/book.sqlite"
        return
    import psutil
    from helpers.postgres import end, fresh_database, run_folder, server_url

    place = run_folder(psutil.Process())
    try:
        with fresh_database(server_url(place)) as url:
            yield url
    finally:
        end(place)


def main() -> int:
    """Print one line per command; return 1 where one of them misses what is promised."""
    parser = argparse.ArgumentParser(description="How long reading commands take, interpreter start included.")
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--postgres", action="store_true", help="a book in PostgreSQL, in place of one in SQLite")
    arguments = parser.parse_args()
    runs, repeats = arguments.runs, arguments.repeats
    with tempfile.TemporaryDirectory() as folder, book_url(folder, postgres=arguments.postgres) as url:
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
