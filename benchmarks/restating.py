"""Restating a year under new factors, and a monthly report over it, on both engines.

    scripts/bench restate [--meters 10 100 1000] [--engine sqlite postgres] [--keep FOLDER]

Fills a book with a year of so many meters (`year.py`), enters revised grid factors, restates the year and undoes it. The same book on
both engines has the same digest. Prints one line per book; ends with 1 where one of 1,000 meters misses what is promised.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import year
from reading_commands import book_url

from joulebook_ledger.core.facts import Correction, Restatement
from joulebook_ledger.queries import ReportQuery
from joulebook_ledger.store import chain
from joulebook_ledger.store.engine import Book, open_book
from joulebook_ledger.store.journal import book
from joulebook_ledger.views.reports import make_report

PROMISED_METERS = 1_000
RESTATE_SECONDS = {"sqlite": 180, "postgres": 120}
REPORT_SECONDS = {"sqlite": 0.05, "postgres": 0.1}
REPORTS = 9


class Measured(NamedTuple):
    """What one book took, in seconds; and the head of its chain after the restatement."""

    fill: float
    revise: float
    restate: float
    undo: float
    report: float
    current: float
    entries: int
    head: str


def measure(book_file: Book, meters: int) -> Measured:
    """Fill a book, revise its factors, restate, report, undo."""
    started = time.perf_counter()
    year.fill(book_file, meters)
    filled = time.perf_counter()
    year.revise(book_file, "2", 56)
    unmoved = book(book_file.engine, year.NOW_MS)
    assert unmoved.entries == 0, "a revised final factor moves no closed month"
    revised = time.perf_counter()
    restatement = Restatement(
        restatement="r", from_month=year.MONTHS[0], to_month=year.MONTHS[-1], factors_known=unmoved.link, reason="revised", author="bench",
    )  # fmt: skip
    year.tell(book_file, "desk-restate", 1, [restatement])
    done = book(book_file.engine, year.NOW_MS)
    restated = time.perf_counter()
    report, current = (report_seconds(book_file, basis) for basis in ("closed", "current"))
    asked = time.perf_counter()
    undo = Correction(table="restatement", key='["r"]', reason="a benchmark", author="bench")
    year.tell(book_file, "desk-undo", 1, [undo])
    undone = book(book_file.engine, year.NOW_MS)
    assert undone.entries == done.entries
    with book_file.read() as rows:
        head = chain.head(rows).digest
    return Measured(
        filled - started,
        revised - filled,
        restated - revised,
        time.perf_counter() - asked,
        report,
        current,
        done.entries,
        head,
    )


def report_seconds(book_file: Book, basis: str) -> float:
    """Return how long the report of a month of it takes on a basis, warm, in process: the median."""
    taken = []
    for _ in range(REPORTS + 1):
        started = time.perf_counter()
        with book_file.read() as rows:
            body = make_report(rows, ReportQuery(from_month=year.MONTHS[5], to_month=year.MONTHS[5], basis=basis))
        taken.append(time.perf_counter() - started)
        assert body["rows"]
    return statistics.median(taken[1:])


def main() -> int:
    """Print a line per book; return 1 where one of them misses what is promised, or two digests differ."""
    parser = argparse.ArgumentParser(description="Restating a year under new factors.")
    parser.add_argument("--meters", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--engine", nargs="+", choices=("sqlite", "postgres"), default=["sqlite", "postgres"])
    parser.add_argument("--keep", type=Path, help="a folder in which the SQLite books stay")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; seconds")
    print(
        f"{'meters':>7} {'engine':9} {'fill':>7} {'revise':>7} {'restate':>8} {'undo':>7} {'report':>7} {'current':>7} {'entries':>8}  head"
    )
    missed = 0
    for meters in arguments.meters:
        heads = set()
        for engine in arguments.engine:
            with tempfile.TemporaryDirectory() as temporary:
                folder = arguments.keep or temporary
                with book_url(str(folder), postgres=engine == "postgres") as url:
                    book_file = open_book(url)
                    found = measure(book_file, meters)
                    book_file.close()
            heads.add(found.head)
            seconds = f"{found.fill:7.1f} {found.revise:7.1f} {found.restate:8.1f} {found.undo:7.1f} {found.report:7.3f} {found.current:7.3f}"
            print(f"{meters:7} {engine:9} {seconds} {found.entries:8}  {found.head[:12]}", flush=True)
            if meters >= PROMISED_METERS:
                missed += found.restate > RESTATE_SECONDS[engine] or found.report > REPORT_SECONDS[engine]
        missed += len(heads) != 1
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
