"""Checks 3, 4 and 5: every day of every meter worked out again from its windows by the rule of `core`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from joulebook_ledger.core.billing import account_of_source
from joulebook_ledger.core.booking import Target, delta, plus, target_of_day
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.core.timeline import ReaderWindows, UsageRow, lay_hour
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.core.vocabulary import account_order
from joulebook_ledger.store import chain, marks
from joulebook_ledger.store.beside import Kin
from joulebook_ledger.store.bill_reads import Bills, Postings
from joulebook_ledger.store.findings import Check, found, many
from joulebook_ledger.store.reads import factor_book
from joulebook_ledger.store.reads_due import beside_on_day, readers_of_day
from joulebook_ledger.store.rows import Row, Rows

Key = tuple[str, int]
NAMES = ("usage", "readings", "targets")
_HOURS_PER_DAY = 24


def readings(rows: Rows) -> list[Check]:
    """Check usage against its rebuild, the sum of accounts against the readings, and what is booked against its target.

    A (source, day) that is due is left out: its facts have changed since it was booked. Of an archived day the hours stand for the
    windows.
    """
    due = _due(rows)
    differences: dict[str, str] = {}
    number = 0
    try:
        for name, said in _differences(rows, due):
            if name:
                differences.setdefault(name, said)
            else:
                number += 1
            if len(differences) == len(NAMES):
                break
    except BadInput as refusal:
        # Nobody could have delivered it: a stored fact was changed into one that breaks its own rule.
        differences = dict.fromkeys(NAMES, f"a stored fact breaks the rule of its record: {refusal}")
    checked = many(number, "day") + " of meters" + (f", {len(due)} more wait to be booked" if due else "")
    return [found(name, differences.get(name), checked) for name in NAMES]


def _differences(rows: Rows, due: set[Key]) -> Iterator[tuple[str, str]]:
    """Yield the name of a check and what differs, and ("", "") for each day that was looked at."""
    archived = {row[0] for row in rows.rows("SELECT day FROM archive_manifest")}
    meters = {
        row[0]: row[1:] for row in rows.rows("SELECT meter, component, boundary FROM meter WHERE role = 'counted'")
    }
    factors = factor_book(rows, chain.head(rows).sequence)
    kin = Kin(rows)
    days = sorted(_days(rows) - due, key=lambda key: (key[0].encode(), key[1]))
    billed = dict(Bills(rows).billed(factors, [key for key in days if key[0] in meters or account_of_source(key[0])]))
    for meter, day in days:
        if account_of_source(meter):
            yield "", ""
            yield from _of_bill(rows, meter, day, billed.get((meter, day), {}))
        if meter in meters:
            yield "", ""
            for name, said in _Day(rows, kin, meter, day, is_archived=day in archived).differences(
                factors, billed.get((meter, day), {}), *meters[meter]
            ):
                yield name, f"{said} of {meter} on day {day}"


def _of_bill(rows: Rows, source: str, day: int, billed: Postings) -> Iterator[tuple[str, str]]:
    sql = f"SELECT account, method, {', '.join(COLUMNS)} FROM booked WHERE source = :source AND day = :day"
    booked = Target(postings={row[:2]: row[2:] for row in rows.rows(sql, source=source, day=day)})
    if delta(Target(postings=billed), booked).postings:
        yield "targets", f"what is booked of {source} is not what its bills say of day {day}"


def _due(rows: Rows) -> set[Key]:
    sql = "SELECT scope, object, first_day, last_day FROM due WHERE scope <> :chain"
    kin = Kin(rows)
    due: set[Key] = set()
    for scope, *mark in rows.rows(sql, chain=marks.CHAIN):
        for meter, day in marks.expand(rows, scope, *mark):
            due.add((meter, day))
            due.update((other, day) for other in kin.beside(meter, day) if scope == marks.SOURCE)
    return due


def _days(rows: Rows) -> set[Key]:
    sources = (
        f"SELECT DISTINCT meter, start_ms / {MILLISECONDS_PER_DAY} FROM meter_window",
        "SELECT DISTINCT meter, hour / 24 FROM usage",
        "SELECT DISTINCT source, day FROM booked",
    )
    return {(meter, day) for sql in sources for meter, day in rows.rows(sql)}


class _Day:
    """One meter and day: what is stored, and what it should be."""

    def __init__(self, rows: Rows, kin: Kin, meter: str, day: int, *, is_archived: bool) -> None:
        at: dict[str, int | str] = {"meter": meter, "day": day}
        self.usage = _usage(rows, meter, day)
        self.booked = rows.rows(
            f"SELECT account, method, {', '.join(COLUMNS)} FROM booked WHERE source = :meter AND day = :day", **at
        )
        placed = rows.rows("SELECT machine FROM placed WHERE source = :meter AND day = :day", **at)
        self.placed = placed[0][0] if placed else ""
        self.is_archived = is_archived
        self.readers: Mapping[int, Sequence[ReaderWindows]] = {}
        self.beside: Mapping[int, Sequence[ReaderWindows]] = {}
        self.machine = self.placed
        self.laid: dict[int, list[UsageRow]] = {hour: [row[0] for row in hours] for hour, hours in self.usage.items()}
        if is_archived:
            return
        self.machine, self.readers = readers_of_day(rows, meter, day)
        self.beside = beside_on_day(rows, kin, meter, day)
        self.laid = {}
        self.flags: dict[int, int] = {}
        for hour, of_hour in self.readers.items():
            laid = lay_hour(hour, of_hour, self.beside.get(hour, ()))
            if laid.rows:
                self.laid[hour], self.flags[hour] = list(laid.rows), int(laid.overclaimed)

    def differences(
        self, factors: FactorBook, billed: Postings, component: str, boundary: str
    ) -> Iterator[tuple[str, str]]:
        """Yield the name of each check that fails, and what differs."""
        if not self.is_archived and (difference := self._of_usage()):
            yield "usage", difference
        if difference := self._of_readings():
            yield "readings", difference
        target = target_of_day(self.laid, lambda hour: factors.rates(self.machine, component, boundary, hour))
        target = plus(target, Target(postings=billed))
        booked = Target(postings={row[:2]: row[2:] for row in self.booked})
        wrong = next(iter(delta(target, booked).postings), None)
        if wrong is not None:
            yield "targets", f"{', '.join(wrong)} is not booked as its readings and factors say:"

    def _of_usage(self) -> str:
        if self.machine != self.placed:
            return f"placed at {self.placed!r} where its first reader named {self.machine!r}:"
        for hour in sorted(self.laid.keys() | self.usage.keys()):
            should = [(row, self.flags[hour]) for row in self.laid.get(hour, ())]
            if should != self.usage.get(hour, []):
                return f"hour {hour % _HOURS_PER_DAY}"
        return ""

    def _of_readings(self) -> str:
        """Say where the accounts of an hour that one reader saw do not sum to its readings."""
        for hour, readers in self.readers.items():
            if len(readers) > 1 or hour in self.beside:
                continue
            windows = [laid.window for laid in readers[0].windows]
            laid = (sum(w.energy_mj or 0 for w in windows), sum(w.end_ms - w.start_ms for w in windows))
            rows = [row for row, _ in self.usage.get(hour, ())]
            if laid != (sum(row.energy_mj for row in rows), sum(row.time_ms for row in rows)):
                return f"accounts of hour {hour % _HOURS_PER_DAY} do not sum to the {laid[0]} mJ that was read:"
        return ""


def _usage(rows: Rows, meter: str, day: int) -> dict[int, list[tuple[UsageRow, int]]]:
    """Return the stored usage by hour, each row with the flag of its hour, in account order."""
    found: dict[int, list[tuple[UsageRow, int]]] = {}
    stored: list[Row] = rows.rows(
        "SELECT hour, account, method, energy_mj, held_mj, time_ms, unmetered_mj, overclaimed FROM usage"
        " WHERE meter = :meter AND hour >= :first AND hour < :end",
        meter=meter, first=day * _HOURS_PER_DAY, end=(day + 1) * _HOURS_PER_DAY,
    )  # fmt: skip
    for hour, *row, overclaimed in sorted(stored, key=lambda row: (account_order(row[1]), row[2])):
        found.setdefault(hour, []).append((UsageRow(*row), overclaimed))
    return found
