"""What views ask of what waits to be booked: which days of which sources touch an account, and the facts to book them from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from joulebook_ledger.core.factors import MACHINE, SITE, ZONE
from joulebook_ledger.core.records import Use, Window
from joulebook_ledger.core.timeline import ReaderWindows, WindowUses
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY, MILLISECONDS_PER_HOUR
from joulebook_ledger.store.beside import Kin
from joulebook_ledger.store.marks import BILL, CHAIN, EVERYTHING, SOURCE
from joulebook_ledger.store.reads import voided
from joulebook_ledger.store.rows import Rows, one

Key = tuple[str, int]
"""(source, day)"""

_TOUCHED = {
    EVERYTHING: "'' = :name",
    BILL: "p.machine <> :name",
    MACHINE: "p.machine = :name",
    SITE: "p.machine IN (SELECT machine FROM placement WHERE site = :name)",
    ZONE: "p.machine IN (SELECT q.machine FROM placement q JOIN site s ON s.site = q.site WHERE s.zone = :name)",
}


def due_days(rows: Rows, account: str) -> dict[Key, bool]:
    """Return the (source, day) that wait to be booked and that an account has to do with; True where readings are new."""
    found: dict[Key, bool] = {}
    kin = Kin(rows)
    sql = "SELECT DISTINCT scope, object, first_day, last_day FROM due WHERE scope <> :chain"
    for scope, name, first, last in rows.rows(sql, chain=CHAIN):
        if scope == SOURCE:
            for day in range(first, last + 1):
                together = [name, *kin.beside(name, day)]
                if any(_touches(rows, source, day, account) for source in together):
                    found.update(dict.fromkeys([(source, day) for source in together], True))
            continue
        touched = rows.rows(
            "SELECT DISTINCT b.source, b.day FROM booked b JOIN placed p ON p.source = b.source AND p.day = b.day "
            f"WHERE b.account = :account AND b.day BETWEEN :first AND :last AND {_TOUCHED[scope]}",
            account=account, first=first, last=last, name=name,
        )  # fmt: skip
        for source, day in touched:
            found.setdefault((source, day), False)
    return found


def _touches(rows: Rows, source: str, day: int, account: str) -> bool:
    used = "SELECT 1 FROM meter_use WHERE meter = :source AND start_ms >= :from_ms AND start_ms < :to_ms AND run = :account LIMIT 1"
    booked = "SELECT 1 FROM booked WHERE source = :source AND day = :day AND account = :account LIMIT 1"
    return (
        one(rows, used, source=source, account=account, **_bounds(day)) is not None
        or one(rows, booked, source=source, day=day, account=account) is not None
    )


def readers_of_day(rows: Rows, meter: str, day: int) -> tuple[str, dict[int, list[ReaderWindows]]]:
    """Return the machine that places a meter on a day, and what each reader said of it, by hour."""
    gone, gone_uses = voided(rows, "meter_window"), voided(rows, "meter_use")
    uses: defaultdict[tuple[str, int], list[Use]] = defaultdict(list)
    sql = (
        "SELECT reader, start_ms, run, energy_mj, static_mj, time_ms, active_ms, method FROM meter_use "
        "WHERE meter = :meter AND start_ms >= :from_ms AND start_ms < :to_ms"
    )
    for reader, start_ms, run, energy_mj, static_mj, time_ms, active_ms, method in rows.rows(
        sql, meter=meter, **_bounds(day)
    ):
        if (meter, reader, start_ms, run) not in gone_uses:
            use = Use(
                meter=meter, start_ms=start_ms, run=run, energy_mj=energy_mj, static_mj=static_mj, time_ms=time_ms,
                active_ms=active_ms, method=method,
            )  # fmt: skip
            uses[reader, start_ms].append(use)
    found: defaultdict[tuple[int, str, str], defaultdict[int, list[WindowUses]]] = defaultdict(
        lambda: defaultdict(list)
    )
    sql = (
        "SELECT r.rank, w.reader, r.machine, w.start_ms, w.end_ms, w.energy_mj, w.method, w.reason, w.estimate_mj "
        "FROM meter_window w JOIN reader r ON r.reader = w.reader "
        "WHERE w.meter = :meter AND w.start_ms >= :from_ms AND w.start_ms < :to_ms"
    )
    for rank, reader, machine, start_ms, end_ms, energy_mj, method, reason, estimate_mj in rows.rows(
        sql, meter=meter, **_bounds(day)
    ):
        if (meter, reader, start_ms) not in gone:
            window = Window(
                meter=meter, start_ms=start_ms, end_ms=end_ms, energy_mj=energy_mj, method=method, reason=reason,
                estimate_mj=estimate_mj,
            )  # fmt: skip
            laid = WindowUses(window=window, uses=tuple(uses[reader, start_ms]))
            found[rank, reader, machine][start_ms // MILLISECONDS_PER_HOUR].append(laid)
    return _in_hours(found)


def beside_on_day(rows: Rows, kin: Kin, meter: str, day: int) -> dict[int, list[ReaderWindows]]:
    """Return what readers said on a day of the meters with which a meter's day is laid, by hour."""
    hours: defaultdict[int, list[ReaderWindows]] = defaultdict(list)
    for other in kin.beside(meter, day):
        for hour, readers in readers_of_day(rows, other, day)[1].items():
            hours[hour] += readers
    return hours


def _in_hours(
    found: defaultdict[tuple[int, str, str], defaultdict[int, list[WindowUses]]],
) -> tuple[str, dict[int, list[ReaderWindows]]]:
    hours: defaultdict[int, list[ReaderWindows]] = defaultdict(list)
    for (rank, reader, _), by_hour in found.items():
        for hour, windows in by_hour.items():
            hours[hour].append(ReaderWindows(rank=rank, reader=reader, windows=tuple(windows)))
    first: Sequence[tuple[int, str, str]] = sorted(found, key=lambda who: (who[0], who[1].encode()))
    return (first[0][2] if first else ""), dict(sorted(hours.items()))


def _bounds(day: int) -> dict[str, int]:
    return {"from_ms": day * MILLISECONDS_PER_DAY, "to_ms": (day + 1) * MILLISECONDS_PER_DAY}
