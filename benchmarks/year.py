"""A year of hourly usage in a book, made by a few statements: measuring and delivering it would take days.

Its windows are left out: every day stands as archived, of which the hours are what a book keeps. The rest is as a fleet would leave
it: machines of eight GPUs, a processor and their time; runs by day and nobody by night; booked, and closed month by month.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from joulebook_ledger.closing.close import close_months
from joulebook_ledger.core.events import RunEvent
from joulebook_ledger.core.factors import FACTOR_UNITS, PRICE_KINDS, Factor, Placement, Site
from joulebook_ledger.core.periods import days_of_month
from joulebook_ledger.core.records import Meter, Reader
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY, MILLISECONDS_PER_HOUR
from joulebook_ledger.core.wire import encode_batch, list_of, to_wire
from joulebook_ledger.ingest import deliver
from joulebook_ledger.queries import CloseQuery
from joulebook_ledger.store.engine import Book
from joulebook_ledger.store.journal import book

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from joulebook_ledger.core.facts import Fact

YEAR = 2025
MONTHS = tuple(YEAR * 100 + month for month in range(1, 13))
FIRST_DAY, END_DAY = days_of_month(MONTHS[0]).start, days_of_month(MONTHS[-1]).stop
NOW_MS = END_DAY * MILLISECONDS_PER_DAY + 10 * MILLISECONDS_PER_DAY
METERS_PER_MACHINE = 10
ZONES = ("FR", "DE", "PL", "SE")
RUNS_PER_MONTH = 100
_HOURS_PER_RUN_MONTH = 730


def fill(book_file: Book, meters: int) -> None:
    """Fill a book with a year of so many meters, booked and closed month by month; in January of the next year it stands open."""
    facts: list[Fact] = [_meter(number) for number in range(meters)]
    facts += [_run(month, number) for month in range(13) for number in range(RUNS_PER_MONTH)]
    tell(book_file, "bench", 1, facts)
    tell(book_file, "desk-bench", 1, list(_places(-(-meters // METERS_PER_MACHINE))))
    with book_file.write() as connection:
        _run_hours(connection)
    book(book_file.engine, NOW_MS)
    close_months(book_file, CloseQuery(month=MONTHS[-1], author="bench"), NOW_MS)
    with book_file.write() as connection:
        if connection.dialect.name != "sqlite":
            connection.execute(text("ANALYZE"))


def revise(book_file: Book, version: str, grams_per_kwh: int) -> None:
    """Enter a final grid factor for every zone and the whole year."""
    factors = [_factor("grid_location", zone, (grams_per_kwh + n) * 1_000_000, version) for n, zone in enumerate(ZONES)]
    tell(book_file, f"desk-{version}", 1, factors)


def tell(book_file: Book, reader: str, sequence: int, facts: Sequence[Fact]) -> None:
    """Deliver facts as a batch of a reader."""
    lists: dict[str, list[dict[str, object]]] = {}
    for fact in facts:
        lists.setdefault(list_of(fact), []).append(to_wire(fact))
    batch = encode_batch(reader=Reader(reader=reader, rank=2, author="bench"), sequence=sequence, lists=lists)
    answer = deliver(book_file, batch, NOW_MS)
    assert answer.counts == {"stored": len(facts)}, answer


def _meter(number: int) -> Meter:
    kind = number % METERS_PER_MACHINE
    component = "time" if kind == METERS_PER_MACHINE - 1 else "cpu" if kind == METERS_PER_MACHINE - 2 else "gpu"
    power_mw = 0 if component == "time" else 1_000_000
    return Meter(device=f"{number:06d}", domain=component, component=component, max_power_mw=power_mw, label=component)


def _run(month: int, number: int) -> RunEvent:
    labels = {"model": f"model-{number % 20}", "team": f"team-{number % 5}", "task": "imagenet"}
    first_hour = FIRST_DAY * 24 // _HOURS_PER_RUN_MONTH
    run = f"run-{first_hour + month}-{number}"
    return RunEvent(run=run, event="e", kind="started", at_ms=FIRST_DAY * MILLISECONDS_PER_DAY, labels=labels)


def _places(machines: int) -> Sequence[Fact]:
    facts: list[Fact] = []
    for zone in ZONES:
        site = f"site-{zone}"
        facts.append(Site(site=site, zone=zone, version="1"))
        facts += [_factor(kind, zone, 50_000_000, "1") for kind in ("grid_location", "grid_market")]
        facts += [_factor("water_source", zone, 1_500_000, "1"), _factor("water_site", site, 1_800_000, "1")]
        facts.append(_factor("pue", site, 1_200_000, "1"))
        facts += [_factor("tariff", site, 200_000 + month, f"m{month}", month) for month in MONTHS]
    for number in range(machines):
        machine = f"machine-{number}"
        facts.append(Placement(machine=machine, site=f"site-{ZONES[number % len(ZONES)]}", version="1"))
        facts.append(_factor("embodied", machine, 30_000_000, "1"))
    return facts


def _factor(kind: str, thing: str, value: int, version: str, month: int = 0) -> Factor:
    return Factor(
        kind=kind, object=thing, provider="desk", version=version, value=value, unit=FACTOR_UNITS[kind], source="a benchmark",
        valid_from_ms=days_of_month(month).start * MILLISECONDS_PER_DAY if month else 0, currency="EUR" if kind in PRICE_KINDS else "",
    )  # fmt: skip


def _run_hours(connection: Connection) -> None:
    """Add the hours of the year: by day a run, by night nobody, of each meter."""
    of = {"first": FIRST_DAY * 24, "end": END_DAY * 24, "first_day": FIRST_DAY, "end_day": END_DAY}
    number = "CAST(m.device AS BIGINT)"
    usage = f"""
        INSERT INTO usage (meter, hour, account, method, energy_mj, held_mj, time_ms, unmetered_mj, overclaimed)
        WITH RECURSIVE hours(h) AS (SELECT CAST(:first AS BIGINT) UNION ALL SELECT h + 1 FROM hours WHERE h + 1 < :end)
        SELECT m.meter, h.h,
               CASE WHEN h.h % 24 < 16 THEN 'run-' || CAST(h.h / {_HOURS_PER_RUN_MONTH} AS TEXT) || '-'
                    || CAST({number} / {METERS_PER_MACHINE} % {RUNS_PER_MONTH} AS TEXT) ELSE 'idle' END,
               CASE WHEN m.component = 'time' THEN 'declared' ELSE 'counter' END,
               CASE WHEN m.component = 'time' THEN 0 ELSE 500000000 + (h.h * 104729 + {number} * 7919) % 1000000000 END,
               0, {MILLISECONDS_PER_HOUR}, 0, 0
        FROM meter AS m CROSS JOIN hours AS h ORDER BY m.meter, h.h
    """
    days = "WITH RECURSIVE days(d) AS (SELECT CAST(:first_day AS BIGINT) UNION ALL SELECT d + 1 FROM days WHERE d + 1 < :end_day)"
    placed = f"""
        INSERT INTO placed (source, day, machine) {days}
        SELECT m.meter, d.d, 'machine-' || CAST({number} / {METERS_PER_MACHINE} AS TEXT) FROM meter AS m CROSS JOIN days AS d
        ORDER BY m.meter, d.d
    """
    archived = f"""
        INSERT INTO archive_manifest (day, place, windows, uses, digest, archived_ms) {days}
        SELECT d, 'a benchmark', 0, 0, '', 0 FROM days
    """
    due = "INSERT INTO due (scope, object, first_day, last_day, cause, receipt) VALUES ('all', '', :first_day, :end_day, 'factor', 1)"
    for statement in (usage, placed, archived, due):
        connection.execute(text(statement), of)
