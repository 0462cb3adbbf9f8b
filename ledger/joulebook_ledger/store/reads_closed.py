"""What views ask of closed months: what each close sealed, and what was booked in them of the months before.

The seal of a month and everything booked in it are never changed, so that whatever is made of them stays the same byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from joulebook_ledger.core.periods import days_of_month
from joulebook_ledger.core.pricing import COLUMNS, Amounts
from joulebook_ledger.store.marks import CHAIN
from joulebook_ledger.store.reads_amounts import Cell
from joulebook_ledger.store.rows import Rows, listed, one

_SUMS = ", ".join(f"CAST(SUM({name}) AS BIGINT)" for name in COLUMNS)
_MOST_LISTED = 500


class Close(NamedTuple):
    """A close: its month, when, how much could be missing, what was (canonical JSON), by whom, and its link."""

    month: int
    closed_ms: int
    tolerance_ppm: int
    owed: str
    author: str
    link: int


class SealedSource(NamedTuple):
    """Where a source stood over a stretch of days, and how it was priced there (canonical JSON), as a close saw it."""

    source: str
    first_day: int
    last_day: int
    machine: str
    host: str
    site: str
    pricing: str


class Relabelled(NamedTuple):
    """A run whose labels differ from those that an earlier close sealed."""

    run: str
    before: dict[str, str]
    after: dict[str, str]


class Balance(NamedTuple):
    """What was booked in a period, of a month."""

    period: int
    month: int
    cell: Cell


def closes(rows: Rows, link: int) -> list[Close]:
    """Return the closes up to a link, in order of months."""
    sql = (
        "SELECT month, closed_ms, tolerance_ppm, owed, author, link FROM month_close WHERE link <= :link ORDER BY month"
    )
    return [Close(*row) for row in rows.rows(sql, link=link)]


def totals(rows: Rows, month: int) -> list[Cell]:
    """Return the sealed amounts of a closed month."""
    days = days_of_month(month)
    sql = f"SELECT account, source, method, {', '.join(COLUMNS)} FROM close_total WHERE month = :month"
    first, last = days.start, days.stop - 1
    return [Cell(row[0], row[1], row[2], first, last, row[3:], month) for row in rows.rows(sql, month=month)]


def sources(rows: Rows, month: int) -> list[SealedSource]:
    """Return the sources that a close saw, in order."""
    sql = (
        "SELECT source, first_day, last_day, machine, host, site, pricing FROM close_source WHERE month = :month"
        " ORDER BY source, first_day"
    )
    return [SealedSource(*row) for row in rows.rows(sql, month=month)]


def labels(rows: Rows, month: int, runs: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the labels of runs as the close of a month left them: those sealed then, or else by the newest close before it."""
    found: dict[str, dict[str, str]] = {}
    for start in range(0, len(runs), _MOST_LISTED):
        names, bound = listed("run", runs[start : start + _MOST_LISTED])
        sql = f"SELECT run, labels FROM close_label WHERE month <= :month AND run IN {names} ORDER BY month"
        found |= {run: json.loads(text) for run, text in rows.rows(sql, month=month, **bound)}
    return found


def figures(rows: Rows, month: int) -> dict[str, str]:
    """Return the sealed figures of each account, as canonical JSON."""
    return dict(
        rows.rows("SELECT account, figures FROM close_figure WHERE month = :month ORDER BY account", month=month)
    )


def relabelled_at(rows: Rows, month: int) -> list[Relabelled]:
    """Return the runs to which a close gave other labels than the newest close before it."""
    sql = (
        "SELECT n.run, b.labels, n.labels FROM close_label n JOIN close_label b ON b.run = n.run AND b.month ="
        " (SELECT MAX(month) FROM close_label WHERE run = n.run AND month < n.month)"
        " WHERE n.month = :month AND n.labels <> b.labels ORDER BY n.run"
    )
    return [Relabelled(run, json.loads(old), json.loads(new)) for run, old, new in rows.rows(sql, month=month)]


def perhaps_relabelled(rows: Rows, link: int, until: int) -> list[str]:
    """Return the sealed runs of which anything was learnt after a link and up to another: all of them where a name's meaning was."""
    later = "SELECT receipt FROM sealed_receipt WHERE link > :link AND link <= :until"
    if until > link and _is_unsealed_counted(until):
        later += f" UNION ALL SELECT receipt FROM due WHERE scope = '{CHAIN}'"
    bound = {"link": link, "until": until}
    meant = f"SELECT 1 FROM name_map WHERE receipt IN ({later}) UNION ALL SELECT 1 FROM correction WHERE receipt IN ({later})"
    if one(rows, f"SELECT 1 FROM ({meant}) AS found LIMIT 1", **bound) is not None:
        return [row[0] for row in rows.rows("SELECT DISTINCT run FROM close_label ORDER BY run")]
    sql = (
        f"SELECT DISTINCT e.run FROM run_event e WHERE e.receipt IN ({later})"
        " AND e.run IN (SELECT run FROM close_label) ORDER BY e.run"
    )
    return [row[0] for row in rows.rows(sql, **bound)]


def _is_unsealed_counted(until: int) -> bool:
    from joulebook_ledger.store.reads import NO_LIMIT

    return until == NO_LIMIT


def booked_before(rows: Rows, period: int, runs: Sequence[str]) -> list[Balance]:
    """Return all that runs were booked in the periods before one, by period and month."""
    found: list[Balance] = []
    for start in range(0, len(runs), _MOST_LISTED):
        names, bound = listed("run", runs[start : start + _MOST_LISTED])
        sql = (
            f"SELECT period, month, account, source, method, {', '.join(COLUMNS)} FROM balance"
            f" WHERE account IN {names} AND period < :period ORDER BY period, month, account, source, method"
        )
        found += [_balance(row) for row in rows.rows(sql, period=period, **bound)]
    return found


def booked_in(rows: Rows, period: int) -> list[Balance]:
    """Return all that was booked in a period, by month."""
    sql = (
        f"SELECT period, month, account, source, method, {_SUMS} FROM balance WHERE period = :period"
        " GROUP BY period, month, account, source, method ORDER BY month, source, account, method"
    )
    return [_balance(row) for row in rows.rows(sql, period=period)]


def first_month(rows: Rows) -> int | None:
    """Return the earliest month of which anything is booked, or None."""
    found = one(rows, "SELECT MIN(month) FROM balance")
    return found[0] if found else None


def kept_aside(rows: Rows) -> int:
    """Return how many facts were refused or conflict with what is stored."""
    found = one(rows, "SELECT COUNT(*) FROM refused_fact")
    return found[0] if found else 0


def mean_power_of(rows: Rows, reader: str, machine: str, first_ms: int, end_ms: int) -> tuple[int, int] | None:
    """Return what one reader read in a stretch of time, mJ, and from its first to its last window, ms; None where it read nothing."""
    meters = "SELECT DISTINCT source FROM placed WHERE machine = :machine"
    sql = (
        "SELECT CAST(SUM(COALESCE(w.energy_mj, 0)) AS BIGINT), MIN(w.start_ms), MAX(w.end_ms) FROM meter m"
        " JOIN meter_window w ON w.meter = m.meter AND w.start_ms >= :first AND w.start_ms < :end AND w.reader = :reader"
        f" WHERE m.role = 'counted' AND m.meter IN ({meters})"
    )
    found = one(rows, sql, machine=machine, first=first_ms, end=end_ms, reader=reader)
    return (found[0], found[2] - found[1]) if found and found[0] is not None else None


def _balance(row: tuple[int | str, ...]) -> Balance:
    period, month, account, source, method, *amounts = row
    assert isinstance(period, int)
    assert isinstance(month, int)
    days = days_of_month(month)
    return Balance(
        period,
        month,
        Cell(str(account), str(source), str(method), days.start, days.stop - 1, _numbers(amounts), period),
    )


def _numbers(amounts: Sequence[int | str]) -> Amounts:
    return tuple(int(amount) for amount in amounts)
