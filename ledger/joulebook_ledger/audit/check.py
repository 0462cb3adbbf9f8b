"""Check an audit archive with nothing but Python's standard library.

    python3 check.py [ARCHIVE.zip]

Without an argument it checks the folder it lies in. It proves that the chain follows, that each link holds the receipts, entries and
closes that it sealed, that entries balance, that the sealed totals of every month are what the journal booked in it, that hours of
usage are the hours booked, and that the statements add up to the sealed totals. It prints one line for each, and ends with 1 at the
first thing that differs. What it cannot prove: that what a meter or a person said was true, and, unless you kept the head of an
earlier chain elsewhere, that nobody wrote the whole book anew.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
import json
import pathlib
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
Amounts = tuple[int, ...]

TEXTS = frozenset(
    ("source", "cause", "digest", "account", "method", "previous", "receipts_digest", "entries_digest", "reader", "batch_digest",
     "state", "author", "owed", "figures", "run", "labels", "meter",
     "machine", "host", "site", "pricing")
)  # fmt: skip
RESERVED = ("untracked", "unallocated", "idle")
CLOSE_PARTS = ("month_close", "close_total", "close_figure", "close_label", "close_source")
MILLIJOULES_PER_KWH = 3_600_000_000
MILLISECONDS_PER_HOUR = 3_600_000
MICRO = 1_000_000
FIRST_PREVIOUS = "0" * 64


class Differs(Exception):
    """The first thing that is not as it should be."""


class Found:
    """What one check leaves for the next.

    Attributes:
        columns: Names of the amounts, in order.
        entries: Link -> digests of its entries, in order.
        closes: Link -> digests of its closes.
        totals: (month, source, account, method) -> amounts booked of the month within it.
        sealed: The same as it was sealed.
        time_ms: (source, day) -> time booked.
    """

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.entries: defaultdict[int, list[str]] = defaultdict(list)
        self.closes: defaultdict[int, list[str]] = defaultdict(list)
        self.totals: defaultdict[tuple[int, str, str, str], list[Amounts]] = defaultdict(list)
        self.sealed: dict[tuple[int, str, str, str], Amounts] = {}
        self.time_ms: defaultdict[tuple[str, int], int] = defaultdict(int)


class Archive:
    """The files of an archive, in a folder or a zip."""

    def __init__(self, place: pathlib.Path) -> None:
        self._zip = zipfile.ZipFile(place) if place.is_file() else None
        self._folder = place

    def names(self, folder: str) -> list[str]:
        """Return the files in a folder, sorted."""
        if self._zip:
            return sorted(name for name in self._zip.namelist() if name.startswith(folder + "/"))
        return sorted(str(path.relative_to(self._folder)) for path in (self._folder / folder).glob("*"))

    def text(self, name: str) -> io.TextIOWrapper:
        """Open a file."""
        raw = self._zip.open(name) if self._zip else (self._folder / name).open("rb")
        return io.TextIOWrapper(raw, "utf-8", newline="")

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the rows of a table as dicts of integers, texts and None."""
        csv.field_size_limit(1 << 30)
        with self.text(name) as file:
            for row in csv.DictReader(file):
                yield {key: value if key in TEXTS else whole(value, f"{name}, {key}") for key, value in row.items()}


def whole(text: str, where: str) -> int | None:
    """Return the number of a cell, or None where it is empty."""
    try:
        return int(text) if text else None
    except ValueError:
        raise Differs(f"{where}: {text[:60]!r} is no whole number") from None


def field(value: str | int | None) -> str:
    """Return one field of a canonical text."""
    return "" if value is None else f"{len(value)}:{value}" if isinstance(value, str) else str(value)


def line(values: Iterable[str | int | None]) -> str:
    """Return a canonical text of fields."""
    return ",".join(field(value) for value in values)


def sha256(text: str) -> str:
    """Return a digest, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def amounts_of(row: Row) -> Amounts:
    """Return the amounts of an entry or posting: all columns behind its last text."""
    names = list(row)
    last = max(names.index(name) for name in ("digest", "method") if name in row)
    return tuple(row[name] for name in names[last + 1 :])


def account_order(account: str) -> tuple[int, bytes]:
    """Return the sort key of accounts."""
    return (1 + RESERVED.index(account), b"") if account in RESERVED else (0, account.encode())


def added(rows: Iterable[Amounts]) -> Amounts:
    """Return the sum of rows of amounts, column by column."""
    return tuple(map(sum, zip(*rows, strict=True)))


def check_entries(archive: Archive, found: Found) -> str:
    """Check that every entry is what its digest says, and balances."""
    postings: defaultdict[int, list[tuple[tuple[str, str], Amounts]]] = defaultdict(list)
    for row in archive.rows("journal/postings.csv"):
        postings[row["entry"]].append(((row["account"], row["method"]), amounts_of(row)))
    for row in archive.rows("journal/entries.csv"):
        leg = amounts_of(row)
        its = sorted(postings.pop(row["number"], ()), key=lambda p: (account_order(p[0][0]), p[0][1]))
        where = f"entry {row['number']} ({row['source']}, day {row['day']}, revision {row['revision']})"
        if added([amounts for _, amounts in its] or [(0,) * len(leg)]) != leg:
            raise Differs(f"the postings of {where} do not sum to its leg")
        head = [row[name] for name in ("source", "day", "revision", "period", "cause", "known", "link")]
        text = ";".join([line([*head, *leg]), *(line([*key, *amounts]) for key, amounts in its)])
        if sha256(text) != row["digest"]:
            raise Differs(f"{where} is not what its digest says")
        found.entries[row["link"]].append(row["digest"])
        month = month_of_day(row["day"])
        if month == row["period"]:
            for (account, method), amounts in its:
                found.totals[month, row["source"], account, method].append(amounts)
        columns = list(row)
        found.time_ms[row["source"], row["day"]] += row["time_ms"]
        found.columns = columns[columns.index("digest") + 1 :]
    if postings:
        raise Differs(f"there are postings of an entry {min(postings)} that is not there")
    return f"{sum(len(its) for its in found.entries.values())} entries balance and are what their digests say"


def check_closes(archive: Archive, found: Found) -> str:
    """Check the sealed totals of each month against the journal, and take the digest of each close."""
    texts: defaultdict[int, list[str]] = defaultdict(list)
    links: dict[int, int] = {}
    for table in CLOSE_PARTS:
        for row in archive.rows(f"journal/{table}.csv"):
            texts[row["month"]].append(f"{table},{line(row.values())}")
            if table == "month_close":
                links[row["month"]] = row["link"]
            if table == "close_total":
                found.sealed[row["month"], row["source"], row["account"], row["method"]] = amounts_of(row)
    for month in sorted(texts):
        booked = {key: added(its) for key, its in found.totals.items() if key[0] == month}
        booked = {key: its for key, its in booked.items() if any(its)}
        sealed = {key: its for key, its in found.sealed.items() if key[0] == month and any(its)}
        if booked != sealed:
            key = min(key for key in booked.keys() | sealed.keys() if booked.get(key) != sealed.get(key))
            raise Differs(f"month {month}: the journal holds another total than was sealed for {key[1:]}")
        if month not in links:
            raise Differs(f"month {month} has sealed totals and no close")
        found.closes[links[month]].append(sha256("\n".join(sorted(texts[month]))))
    return f"{len(texts)} closed months hold what the journal booked in them"


def check_chain(archive: Archive, found: Found) -> str:
    """Check that every link follows the one before and holds what it sealed."""
    receipts: defaultdict[int, list[tuple[str, int, int, str]]] = defaultdict(list)
    for row in archive.rows("journal/receipts.csv"):
        link, *values = row.values()
        text = f"receipt,{line(values)}"
        receipts[link].append((row["reader"], row["sequence"], row["part"], sha256(text)))
    previous, sequence, at_ms, proven = FIRST_PREVIOUS, 0, -1, 0
    for row in archive.rows("journal/links.csv"):
        where = f"link {row['sequence']}"
        if (row["previous"], row["sequence"]) != (previous, sequence + 1) or row["at_ms"] <= at_ms:
            raise Differs(f"{where} does not follow link {sequence}")
        fields = ("previous", "sequence", "at_ms", "receipts_digest", "entries_digest")
        if sha256(line(row[name] for name in fields)) != row["digest"]:
            raise Differs(f"{where} is not what its digest says")
        if row["sequence"] in found.entries or row["sequence"] in found.closes:
            of_receipts = ";".join(
                line(r[:2] + r[3:])
                for r in sorted(receipts[row["sequence"]], key=lambda r: (r[0].encode(), r[1], r[2]))
            )
            if sha256(of_receipts) != row["receipts_digest"]:
                raise Differs(f"the receipts of {where} are not those that it sealed")
            sealed = [*found.entries[row["sequence"]], *found.closes[row["sequence"]]]
            if sha256(line(sealed)) != row["entries_digest"]:
                raise Differs(f"the entries and closes of {where} are not those that it sealed")
            proven += 1
        previous, sequence, at_ms = row["digest"], row["sequence"], row["at_ms"]
    return f"{sequence} links follow each other, {proven} of them of this year hold what they sealed; head {previous}"


def check_usage(archive: Archive, found: Found) -> str:
    """Check that the hours of usage are the time that is booked."""
    hours = 0
    time_ms: defaultdict[tuple[str, int], int] = defaultdict(int)
    for name in archive.names("usage"):
        for row in archive.rows(name):
            time_ms[row["meter"], row["hour"] // 24] += row["time_ms"]
            hours += 1
    for key, booked in found.time_ms.items():
        if key in time_ms and time_ms[key] != booked:
            raise Differs(f"usage of {key[0]} on day {key[1]} is {time_ms[key]} ms, and {booked} ms are booked")
    return f"{hours} rows of hourly usage are the time that is booked"


def check_statements(archive: Archive, found: Found) -> str:
    """Check that the total of each closed month's statement is the sum of what was sealed, and that its rows sum to it."""
    place = {name: index for index, name in enumerate(found.columns)}
    number = 0
    for name in archive.names("statements"):
        if not name.endswith(".json"):
            continue
        with archive.text(name) as file:
            report = json.load(file)
        if report["from_month"] != report["to_month"]:
            continue
        month = int(report["from_month"].replace("-", ""))
        sealed = [amounts for key, amounts in found.sealed.items() if key[0] == month]
        if not sealed:
            continue
        number += 1
        whole = added(sealed)
        total = report["total"]
        energy = whole[place["energy_it_mj"]] / MILLIJOULES_PER_KWH
        if total["energy_kwh"] is not None and total["energy_kwh"] != energy:
            raise Differs(f"{name} says {total['energy_kwh']} kWh, and {energy} kWh were sealed")
        cost = Decimal(whole[place["cost_energy"]] + whole[place["cost_instance"]]) / MICRO
        if total["cost"] is not None and Decimal(total["cost"]) != cost:
            raise Differs(f"{name} says a cost of {total['cost']}, and {cost} was sealed")
        rows = sum(Decimal(row["cost"] or 0) for row in report["rows"])
        if total["cost"] is not None and rows != cost:
            raise Differs(f"the rows of {name} cost {rows}, and its total is {cost}")
    return f"{number} statements add up to what was sealed"


def month_of_day(day: int) -> int:
    """Return the month, yyyymm, of a day since 1970-01-01."""
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    return date.year * 100 + date.month


def main(arguments: Sequence[str]) -> int:
    """Check, and say what was found."""
    archive = Archive(pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).resolve().parent))
    found = Found()
    for check in (check_entries, check_closes, check_chain, check_usage, check_statements):
        try:
            sys.stdout.write(f"ok     {check(archive, found)}\n")
        except Differs as difference:
            sys.stdout.write(f"WRONG  {difference}\n")
            return 1
    sys.stdout.write("The archive proves itself. Compare the head with one that was kept elsewhere.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
