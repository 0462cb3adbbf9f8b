"""`joulebook audit YEAR`: statements, journal, usage, factors, closes, a sample of figures with their trees, and a script that checks it.

The same book gives the same bytes: nothing of the present goes in. Tables are streamed; the archive never stands in memory whole.
"""

from __future__ import annotations

import csv
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from joulebook_ledger.core.periods import month_of, month_text
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.queries import ReportQuery
from joulebook_ledger.store import reads, reads_audit
from joulebook_ledger.verify import verify_book
from joulebook_ledger.views.figure_names import EXPLAINED
from joulebook_ledger.views.reports import make_report
from joulebook_ledger.views.why import explain

if TYPE_CHECKING:
    from joulebook_ledger.bodies import AuditBody, ReportBody
    from joulebook_ledger.store.rows import Rows

FIGURES = 25
GROUPINGS = (("model", "version"), ("team",), ("site",))
CHECK, CONTENTS = "check.py", "contents.json"
MONTHS_PER_YEAR = 12
# The earliest instant a zip can name: the same book gives the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_READ_ME = """What a reviewer needs of {year}, out of a Joulebook; every table is CSV in UTF-8, amounts are integers in the smallest unit
(millijoules, milliseconds, micrograms, microlitres, millionths of the currency).

statements/   the report of each month and of the year, by model, team and site: JSON unrounded, and its rows as CSV
journal/      the chain of links, and of every link that booked or closed something of {year} its receipts, entries, postings, closes
usage/        hourly usage per meter and account, one file a month
facts/        what prices, places and corrects, each with the link that seals it
sample.json   {figures} figures drawn by the head of the chain, each down to readings and factors
verify.json   what the book proved of itself when this was written
contents.json what this archive holds, in short
check.py      python3 check.py: checks chain, balance and sums without Joulebook

Head of the chain: {head} (link {link}). Compare it with one that was kept elsewhere.
{open_months}"""

Told = Callable[[str], None]


def write_audit(rows: Rows, year: int, out: IO[bytes], now_ms: int, told: Told = lambda _: None) -> AuditBody:
    """Write the archive of a year, and return what it holds.

    Args:
        rows: One snapshot of the book.
        year: A calendar year in UTC.
        out: Where to; it has to be seekable.
        now_ms: The ledger's time: months that are not over are told of as such.
        told: Called with the name of each file before it is written.

    Raises:
        BadInput: Nothing is booked in that year.
    """
    months = [year * 100 + month for month in range(1, MONTHS_PER_YEAR + 1)]
    booked = [month for month in months if make_report(rows, ReportQuery(from_month=month, to_month=month))["rows"]]
    if not booked:
        raise BadInput(f"nothing is booked in {year}: `joulebook report --year {year}` shows what there is")
    newest, closed = reads.last_link(rows), reads.closed_months(rows)
    open_months = [month for month in booked if month not in closed]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        folder = _Folder(archive, told)
        reports = list(_write_statements(folder, rows, year, booked))
        for table in reads_audit.journal(rows, year):
            folder.table(f"journal/{table.name}.csv", table.columns, table.rows)
        for month in booked:
            table = reads_audit.usage_of_month(rows, month)
            folder.table(f"usage/{table.name}.csv", table.columns, table.rows)
        for table in reads_audit.pricing_facts(rows):
            folder.table(f"facts/{table.name}.csv", table.columns, table.rows)
        sample = [explain(rows, figure) for figure in drawn(reports, newest.digest)]
        folder.json("sample.json", sample)
        verified = verify_book(rows)
        folder.json("verify.json", verified)
        folder.text(CHECK, (Path(__file__).parent / CHECK).read_text(encoding="utf-8"))
        notes = "".join(f"{month_text(month)} is not closed{_running(month, now_ms)}.\n" for month in open_months)
        folder.text(
            "README.txt",
            _READ_ME.format(
                year=year, figures=len(sample), head=newest.digest, link=newest.sequence, open_months=notes
            ),
        )
        body: AuditBody = {
            "year": year, "files": folder.number + 1, "months": [month_text(month) for month in booked],
            "open": [month_text(month) for month in open_months], "figures": len(sample), "verified": verified["ok"],
            "link": newest.sequence, "head": newest.digest,
        }  # fmt: skip
        folder.json(CONTENTS, body)
    return body


def contents_of(file: IO[bytes]) -> AuditBody:
    """Return what an archive says that it holds."""
    with zipfile.ZipFile(file) as archive:
        body: AuditBody = json.loads(archive.read(CONTENTS))
    return body


def drawn(reports: Iterable[ReportBody], head: str) -> list[str]:
    """Return the figures of the sample: drawn by the head of the chain, so that nobody chooses them and anybody can draw them again."""
    named = sorted(
        {
            f"{row['figure']}#{column}"
            for report in reports
            for row in _figures_of(report)
            for column in EXPLAINED
            if row[column]
        }
    )
    # Drawn for fairness, not for secrecy.
    return sorted(random.Random(head).sample(named, min(FIGURES, len(named))))  # noqa: S311


def _figures_of(report: ReportBody) -> Iterator[Mapping[str, Any]]:
    yield from report["rows"]
    yield report["total"]


def _running(month: int, now_ms: int) -> str:
    return " and not over" if month >= month_of(now_ms) else ""


def _write_statements(folder: _Folder, rows: Rows, year: int, booked: Iterable[int]) -> Iterator[ReportBody]:
    periods = [(month_text(month), month, month) for month in booked]
    for name, first, last in [*periods, (str(year), year * 100 + 1, year * 100 + MONTHS_PER_YEAR)]:
        for by in GROUPINGS:
            report = make_report(rows, ReportQuery(from_month=first, to_month=last, by=by))
            path = f"statements/{name}-by-{'-'.join(by)}"
            folder.json(f"{path}.json", report)
            flat = [_flat(row) for row in _figures_of(report)]
            columns = tuple(dict.fromkeys(key for row in flat for key in row))
            folder.table(f"{path}.csv", columns, (tuple(row.get(name) for name in columns) for row in flat))
            yield report


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without its objects: their parts stand as name.part."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{part}": what for part, what in value.items()}
        else:
            flat[name] = value
    return flat


class _Folder:
    """An archive that is being written.

    Attributes:
        number: How many files it has.
    """

    def __init__(self, archive: zipfile.ZipFile, told: Told) -> None:
        self._archive = archive
        self._told = told
        self.number = 0

    def table(self, name: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
        """Write a table as CSV."""
        with self._open(name) as raw, io.TextIOWrapper(raw, "utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)

    def json(self, name: str, body: object) -> None:
        """Write a body as JSON."""
        self.text(name, json.dumps(body, indent=1, ensure_ascii=False) + "\n")

    def text(self, name: str, text: str) -> None:
        """Write a text."""
        with self._open(name) as raw:
            raw.write(text.encode())

    def _open(self, name: str) -> IO[bytes]:
        self._told(name)
        self.number += 1
        info = zipfile.ZipInfo(name, _EPOCH)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        return self._archive.open(info, "w", force_zip64=True)
