"""What views ask of the evidence behind a figure: hourly usage, and the readings and uses it was laid from."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from joulebook_ledger.core.timeline import UsageRow
from joulebook_ledger.core.units import MILLISECONDS_PER_HOUR
from joulebook_ledger.core.vocabulary import account_order
from joulebook_ledger.store.rows import Rows, one

_HOUR = f"start_ms / {MILLISECONDS_PER_HOUR}"


class Evidence(NamedTuple):
    """Windows, or uses, of one meter in one hour that are alike.

    Attributes:
        hour: Hour since the epoch.
        reader: Who sent them.
        method: Of the reading or of the split; for gaps the reason.
        number: How many.
        energy_mj: Their energy as it was sent; of gaps the estimate.
        time_ms: Their time as it was sent.
        is_gap: Whether they are gaps.
    """

    hour: int
    reader: str
    method: str
    number: int
    energy_mj: int
    time_ms: int
    is_gap: bool


def usage(rows: Rows, meter: str, first_hour: int, last_hour: int) -> dict[int, list[UsageRow]]:
    """Return the hourly usage of a meter, each hour's rows in account order, then by method."""
    sql = (
        "SELECT hour, account, method, energy_mj, held_mj, time_ms, unmetered_mj FROM usage "
        "WHERE meter = :meter AND hour BETWEEN :first AND :last"
    )
    hours: defaultdict[int, list[UsageRow]] = defaultdict(list)
    for row in rows.rows(sql, meter=meter, first=first_hour, last=last_hour):
        hours[row[0]].append(UsageRow(row[1], row[2], row[3], row[4], row[5], row[6]))
    for found in hours.values():
        found.sort(key=lambda row: (account_order(row.account), row.method))
    return dict(sorted(hours.items()))


def windows(rows: Rows, meter: str, first_hour: int, last_hour: int) -> list[Evidence]:
    """Return what readers said of a meter, per hour, reader and method."""
    sql = (
        f"SELECT {_HOUR} AS hour, reader, CASE WHEN energy_mj IS NULL THEN reason ELSE method END AS word, COUNT(*), "
        "CAST(SUM(COALESCE(energy_mj, estimate_mj, 0)) AS BIGINT), CAST(SUM(end_ms - start_ms) AS BIGINT), "
        "MAX(CASE WHEN energy_mj IS NULL THEN 1 ELSE 0 END) "
        f"FROM meter_window w WHERE meter = :meter AND start_ms >= :from_ms AND start_ms < :to_ms {_not_voided(rows, 'meter_window')} "
        f"GROUP BY {_HOUR}, reader, word ORDER BY hour, reader, word"
    )
    return [_evidence(row) for row in rows.rows(sql, meter=meter, **_bounds(first_hour, last_hour))]


def uses(rows: Rows, meter: str, account: str, first_hour: int, last_hour: int) -> list[Evidence]:
    """Return what readers said an account used of a meter, per hour, reader and method of the split."""
    sql = (
        f"SELECT {_HOUR} AS hour, reader, method, COUNT(*), CAST(SUM(energy_mj) AS BIGINT), CAST(SUM(time_ms) AS BIGINT), 0 "
        "FROM meter_use w WHERE meter = :meter AND run = :account AND start_ms >= :from_ms AND start_ms < :to_ms "
        f"{_not_voided(rows, 'meter_use')} GROUP BY {_HOUR}, reader, method ORDER BY hour, reader, method"
    )
    found = rows.rows(sql, meter=meter, account=account, **_bounds(first_hour, last_hour))
    return [_evidence(row) for row in found]


def _evidence(row: tuple[int, str, str, int, int, int, int]) -> Evidence:
    return Evidence(row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6]))


def _bounds(first_hour: int, last_hour: int) -> dict[str, int]:
    return {"from_ms": first_hour * MILLISECONDS_PER_HOUR, "to_ms": (last_hour + 1) * MILLISECONDS_PER_HOUR}


def _not_voided(rows: Rows, table: str) -> str:
    """Return the condition that leaves out what a correction voids; nothing in a book without corrections of the table."""
    if one(rows, "SELECT 1 FROM correction WHERE voided_table = :name", name=table) is None:
        return ""
    run = """ || ',"' || w.run || '"'""" if table == "meter_use" else ""
    # The key as `store.shapes` prints it; ids with a quote or a backslash in them are told apart there, and shown here all the same.
    key = f"""'["' || w.meter || '","' || w.reader || '",' || CAST(w.start_ms AS TEXT){run} || ']'"""
    return f"AND NOT EXISTS (SELECT 1 FROM correction c WHERE c.voided_table = '{table}' AND c.voided_key = {key})"
