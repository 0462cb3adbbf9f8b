"""Taking a large bill in: rows per second of processor time, and the most memory it held, on SQLite or PostgreSQL.

    scripts/bench bill [--rows 5000000] [--engine sqlite postgres] [--json]

Writes a month of hourly FOCUS rows of some hundred machines and their disks, takes it in as `joulebook import focus` does, in a process
of its own, and books it. Ends with 1 where a bill of five million rows misses what is promised.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from reading_commands import book_url

from joulebook_ledger.bills.importing import take_bill, taking_of
from joulebook_ledger.bills.reading import rows_of
from joulebook_ledger.core.focus import MANDATORY
from joulebook_ledger.core.periods import time_text
from joulebook_ledger.store.engine import open_book
from joulebook_ledger.store.journal import book

PROMISED_ROWS = 5_000_000
ROWS_PER_CPU_SECOND = 30_000
MOST_MEBIBYTES = 500
HOURS = 720
MONTH_MS, NOW_MS = 1_793_491_200_000, 1_796_500_000_000
HOUR_MS = 3_600_000
SERVICES = (
    "Amazon Elastic Compute Cloud",
    "Amazon Elastic Block Store",
    "Amazon Simple Storage Service",
    "AWS Data Transfer",
)
MORE = ("InvoiceId", "ResourceId", "SkuPriceDetails", "Tags")


class Measured(NamedTuple):
    """What one bill took.

    Attributes:
        import_cpu_seconds: Processor time of the import, this process and its threads; not that of a PostgreSQL server.
        import_seconds: By the wall.
        book_seconds: Until it was booked.
        rows_per_cpu_second: Of the import.
        mebibytes: The most memory that the process held.
    """

    import_cpu_seconds: float
    import_seconds: float
    book_seconds: float
    rows_per_cpu_second: int
    mebibytes: int


def write_bill(path: Path, rows: int) -> None:
    """Write a bill of so many rows."""
    header = [names[0] for names in MANDATORY] + list(MORE)
    usual = {
        "BillingAccountId": "123456789012", "BillingAccountName": "main", "BillingCurrency": "USD", "BillingPeriodStart": time_text(MONTH_MS),
        "BillingPeriodEnd": time_text(MONTH_MS + HOURS * HOUR_MS), "ChargeCategory": "Usage", "ProviderName": "AWS", "PublisherName": "AWS",
        "InvoiceIssuerName": "AWS", "ServiceCategory": "Compute", "InvoiceId": "inv-1", "ListCost": "1", "ContractedCost": "1",
        "PricingUnit": "Hours", "PricingQuantity": "1", "ChargeDescription": "$0.0416 per On Demand Linux t3.medium Instance Hour",
        "SkuPriceDetails": '{"InstanceType":"t3.medium"}', "Tags": '{"team":"vision","project":"resnet"}',
    }  # fmt: skip
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(header)
        for number in range(rows):
            hour, thing = number * HOURS // rows, number % 4_001
            changing = {
                "ChargePeriodStart": time_text(MONTH_MS + hour * HOUR_MS), "ChargePeriodEnd": time_text(MONTH_MS + (hour + 1) * HOUR_MS),
                "ServiceName": SERVICES[thing % len(SERVICES)], "ResourceId": f"arn:aws:ec2:eu-west-3:123456789012:instance/i-{thing:08x}",
                "BilledCost": f"0.04{number % 99_991:05d}", "EffectiveCost": f"0.03{number % 99_991:05d}",
            }  # fmt: skip
            row = usual | changing
            out.writerow([row.get(name, "") for name in header])


def measure(url: str, path: Path, rows: int) -> Measured:
    """Take a bill in and book it, in this process."""
    opened = open_book(url)
    started, used = time.perf_counter(), time.process_time()
    act = taking_of([path], name="bench", author="bench")
    take_bill(opened, act, rows_of([path]), NOW_MS, lambda said: print(said, file=sys.stderr))
    taken, after = time.perf_counter(), time.process_time()
    book(opened.engine, NOW_MS)
    booked = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024
    return Measured(after - used, taken - started, booked - taken, round(rows / (after - used)), peak)


@contextlib.contextmanager
def bill_of(rows: int) -> Iterator[Path]:
    """Yield the file of such a bill."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bill.csv"
        write_bill(path, rows)
        yield path


def main() -> int:
    """Measure on each engine; return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=PROMISED_ROWS)
    parser.add_argument("--engine", nargs="+", default=["sqlite", "postgres"], choices=["sqlite", "postgres"])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", nargs=2, metavar=("URL", "FILE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        url, file = asked.measure
        print(json.dumps(measure(url, Path(file), asked.rows)._asdict()))
        return 0
    broken = False
    with bill_of(asked.rows) as path:
        for engine in asked.engine:
            with tempfile.TemporaryDirectory() as folder, book_url(folder, postgres=engine == "postgres") as url:
                words = [sys.executable, __file__, "--rows", str(asked.rows), "--measure", url, str(path)]
                found = Measured(**json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout))
            broken |= found.mebibytes > MOST_MEBIBYTES or found.rows_per_cpu_second < ROWS_PER_CPU_SECOND
            if asked.json:
                print(json.dumps({"engine": engine, "rows": asked.rows} | found._asdict()))
            else:
                print(
                    f"{engine}: {asked.rows:,} rows, {found.rows_per_cpu_second:,} a second of processor time, {found.mebibytes} MiB at most; "
                    f"{found.import_seconds:.0f} s to take in, {found.book_seconds:.1f} s to book"
                )
    return int(broken and asked.rows >= PROMISED_ROWS)


if __name__ == "__main__":
    sys.exit(main())
