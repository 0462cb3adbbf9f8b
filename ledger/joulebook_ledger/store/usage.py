"""Hourly usage from windows and uses, set-wise: the second form of `core.timeline` (CORE §3).

An hour of one reader whose claims stay within its readings is a sum. Hours of several readers, those of meters that stand beside a model
of what they measure, and overclaimed ones, go through `lay_hour` itself, whose integers cannot overflow.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from joulebook_ledger.core.records import Use, Window
from joulebook_ledger.core.timeline import NO_METHOD, ReaderWindows, WindowUses, lay_hour
from joulebook_ledger.core.units import MILLISECONDS_PER_DAY, MILLISECONDS_PER_HOUR
from joulebook_ledger.store import bulk, work
from joulebook_ledger.store.rows import Row, SqlRows, one

if TYPE_CHECKING:
    from sqlalchemy import Connection

_HOURS_PER_DAY = 24
_Hours = dict[tuple[str, int], list[ReaderWindows]]
"""(meter, hour) -> what each reader sent."""
COLUMNS = ("meter", "hour", "account", "method", "energy_mj", "held_mj", "time_ms", "unmetered_mj", "overclaimed")
GREATEST_ESTIMATE_MJ = 2**63 // MILLISECONDS_PER_HOUR // 2
"""Of one hour and meter; above it, splitting the estimate by milliseconds would leave 64 bits."""
_METHOD = f"CASE WHEN w.energy_mj IS NULL THEN '{NO_METHOD}' ELSE w.method END"


def rebuild(connection: Connection, *, by_rule: bool = False) -> None:
    """Make the usage of the days in `work_day` that are marked for it again from their windows.

    Args:
        connection: In the booker's transaction, with work tables made and `work_day` filled.
        by_rule: Lay every hour by `core.timeline`, none by sums.
    """
    _forget(connection)
    if one(SqlRows(connection), "SELECT 1 FROM work_day WHERE rebuild = 1 LIMIT 1") is None:
        return
    _note_voided(connection)
    _sum_supplies(connection)
    _sum_claims(connection)
    _choose_by_rule(connection, everything=by_rule)
    _place(connection)
    _add_sums(connection)
    _lay_by_rule(connection)


def _forget(connection: Connection) -> None:
    hours = " UNION ALL ".join(f"SELECT {hour} AS hour" for hour in range(24))
    work.run(
        connection,
        "DELETE FROM usage WHERE (meter, hour) IN"
        f" (SELECT d.source, d.day * 24 + h.hour FROM work_day AS d CROSS JOIN ({hours}) AS h WHERE d.rebuild = 1)",
    )
    work.run(
        connection, "DELETE FROM placed WHERE (source, day) IN (SELECT source, day FROM work_day WHERE rebuild = 1)"
    )


def _note_voided(connection: Connection) -> None:
    """Note which windows and uses a correction voids."""
    rows = SqlRows(connection)
    for table, noted in (("meter_window", "work_void_window"), ("meter_use", "work_void_use")):
        keys = [json.loads(text) for text in bulk.voided(rows, table)]
        work.fill(connection, noted, [(meter, start, reader, *run) for meter, reader, start, *run in keys])


_VALID_WINDOW = (
    "NOT EXISTS (SELECT 1 FROM work_void_window AS v"
    " WHERE v.meter = w.meter AND v.start_ms = w.start_ms AND v.reader = w.reader)"
)
_VALID_USE = (
    "NOT EXISTS (SELECT 1 FROM work_void_use AS v"
    " WHERE v.meter = u.meter AND v.start_ms = u.start_ms AND v.reader = u.reader AND v.run = u.run)"
)


def _within_days(alias: str) -> str:
    """Return the condition that a window or use falls into a day of `work_day` d, with bounds that let partitions be left out.

    The day is said twice: as a range for the index, where few are booked, and as an equality to hash by, where many are.
    """
    return (
        f"{alias}.meter = d.source AND {alias}.start_ms >= d.day * {MILLISECONDS_PER_DAY}"
        f" AND {alias}.start_ms < (d.day + 1) * {MILLISECONDS_PER_DAY} AND d.rebuild = 1"
        f" AND {alias}.start_ms / {MILLISECONDS_PER_DAY} = d.day"
        f" AND {alias}.start_ms >= {{first}} AND {alias}.start_ms < {{end}}"
    )


def _with_bounds(connection: Connection, sql: str) -> str:
    found = one(SqlRows(connection), "SELECT MIN(day), MAX(day) FROM work_day WHERE rebuild = 1")
    assert found is not None
    return sql.format(first=found[0] * MILLISECONDS_PER_DAY, end=(found[1] + 1) * MILLISECONDS_PER_DAY)


def _sum_supplies(connection: Connection) -> None:
    sql = f"""
        INSERT INTO work_supply
        SELECT w.meter, w.start_ms / {MILLISECONDS_PER_HOUR}, {_METHOD}, w.reader, CAST(SUM(COALESCE(w.energy_mj, 0)) AS BIGINT),
               CAST(SUM(w.end_ms - w.start_ms) AS BIGINT), CAST(SUM(COALESCE(w.estimate_mj, 0)) AS BIGINT)
        FROM work_day AS d CROSS JOIN meter_window AS w
        WHERE {_within_days("w")} AND {_VALID_WINDOW}
        GROUP BY 1, 2, 3, 4
    """
    work.run(connection, _with_bounds(connection, sql))
    work.weigh(connection, "work_supply")


# Hours whose readings (and gaps) are all of one method: there a use's method is known without its window.
_OF_ONE_METHOD = """
    SELECT meter, hour, MIN(method) AS method FROM work_supply AS s
    WHERE NOT EXISTS (SELECT 1 FROM work_void_window AS v WHERE v.meter = s.meter AND v.start_ms / 3600000 = s.hour)
    GROUP BY meter, hour HAVING MIN(method) = MAX(method)
"""


def _sum_claims(connection: Connection) -> None:
    """Sum uses by account and by the method of their window; the join with windows, which costs most, only where it decides."""
    sums = "CAST(SUM(u.energy_mj) AS BIGINT), CAST(SUM(u.static_mj) AS BIGINT), CAST(SUM(u.time_ms) AS BIGINT)"
    hour = f"u.start_ms / {MILLISECONDS_PER_HOUR}"
    plain = f"""
        INSERT INTO work_claim
        SELECT claimed.meter, claimed.hour, one.method, claimed.run, claimed.energy_mj, claimed.held_mj, claimed.time_ms FROM (
            SELECT u.meter, {hour} AS hour, u.run, CAST(SUM(u.energy_mj) AS BIGINT) AS energy_mj,
                   CAST(SUM(u.static_mj) AS BIGINT) AS held_mj, CAST(SUM(u.time_ms) AS BIGINT) AS time_ms
            FROM work_day AS d CROSS JOIN meter_use AS u WHERE {_within_days("u")} AND {_VALID_USE} GROUP BY 1, 2, 3
        ) AS claimed JOIN ({_OF_ONE_METHOD}) AS one ON one.meter = claimed.meter AND one.hour = claimed.hour
    """
    mixed = f"""
        INSERT INTO work_claim
        SELECT u.meter, {hour}, {_METHOD}, u.run, {sums}
        FROM work_mixed_hour AS h CROSS JOIN meter_use AS u CROSS JOIN meter_window AS w
        WHERE {_within_hour("u")} AND {_within_hour("w")} AND w.start_ms = u.start_ms AND w.reader = u.reader
          AND {_VALID_WINDOW} AND {_VALID_USE}
        GROUP BY 1, 2, 3, 4
    """
    work.run(connection, _with_bounds(connection, plain))
    of_several = f"SELECT meter, hour FROM work_supply EXCEPT SELECT meter, hour FROM ({_OF_ONE_METHOD}) AS one"
    work.run(connection, f"INSERT INTO work_mixed_hour {of_several}")
    work.weigh(connection, "work_mixed_hour")
    if one(SqlRows(connection), "SELECT 1 FROM work_mixed_hour LIMIT 1") is not None:
        work.run(connection, _with_bounds(connection, mixed))
    work.weigh(connection, "work_claim")


def _within_hour(alias: str) -> str:
    """Return the condition that a window or use falls into an hour h."""
    return (
        f"{alias}.meter = h.meter AND {alias}.start_ms >= h.hour * {MILLISECONDS_PER_HOUR}"
        f" AND {alias}.start_ms < (h.hour + 1) * {MILLISECONDS_PER_HOUR}"
        f" AND {alias}.start_ms >= {{first}} AND {alias}.start_ms < {{end}}"
    )


_CLAIMED = """
    SELECT meter, hour, method, CAST(SUM(energy_mj) AS BIGINT) AS energy_mj, CAST(SUM(time_ms) AS BIGINT) AS time_ms
    FROM work_claim GROUP BY meter, hour, method
"""


def _choose_by_rule(connection: Connection, *, everything: bool) -> None:
    """Note the hours that are no plain sums: several readers, a model beside, overclaimed, or an estimate too great to split in 64 bits."""
    several = "SELECT meter, hour FROM work_supply GROUP BY meter, hour HAVING MIN(reader) <> MAX(reader)"
    beside = "SELECT s.meter, s.hour FROM work_supply AS s JOIN work_beside AS b ON b.meter = s.meter AND b.day = s.hour / 24"
    beyond = f"""
        SELECT s.meter, s.hour FROM work_supply AS s
        LEFT JOIN ({_CLAIMED}) AS c ON c.meter = s.meter AND c.hour = s.hour AND c.method = s.method
        WHERE c.energy_mj > s.energy_mj OR c.time_ms > s.time_ms OR s.estimate_mj > {GREATEST_ESTIMATE_MJ}
    """
    chosen = "SELECT meter, hour FROM work_supply" if everything else f"{several} UNION {beside} UNION {beyond}"
    work.run(connection, f"INSERT INTO work_rule_hour SELECT DISTINCT meter, hour FROM ({chosen}) AS chosen")
    work.weigh(connection, "work_rule_hour")


def _place(connection: Connection) -> None:
    """Place each source and day by the machine that its first reader in order named."""
    work.run(
        connection,
        """
        INSERT INTO placed (source, day, machine)
        SELECT meter, day, machine FROM (
            SELECT s.meter, s.hour / 24 AS day, r.machine,
                   ROW_NUMBER() OVER (PARTITION BY s.meter, s.hour / 24 ORDER BY r.rank, r.reader) AS place
            FROM work_supply AS s JOIN reader AS r ON r.reader = s.reader
        ) AS ranked WHERE place = 1
    """,
    )


def _add_sums(connection: Connection) -> None:
    plain = "NOT EXISTS (SELECT 1 FROM work_rule_hour AS h WHERE h.meter = s.meter AND h.hour = s.hour)"
    share = f"{work.muldiv('reached', 'estimate_mj', 'supply_ms')} - ({work.muldiv('reached - time_ms', 'estimate_mj', 'supply_ms')})"
    work.run(
        connection,
        f"""
        INSERT INTO usage ({", ".join(COLUMNS)})
        SELECT meter, hour, account, method, energy_mj, held_mj, time_ms, unmetered_mj, 0 FROM (
            SELECT meter, hour, account, method, energy_mj, held_mj, time_ms, {share} AS unmetered_mj FROM (
                SELECT meter, hour, account, method, energy_mj, held_mj, time_ms, estimate_mj, supply_ms,
                       CAST(SUM(time_ms) OVER (PARTITION BY meter, hour, method ORDER BY place, account
                                               ROWS UNBOUNDED PRECEDING) AS BIGINT) AS reached
                FROM (
                    SELECT c.meter, c.hour, c.account, c.method, c.energy_mj, c.held_mj, c.time_ms, s.estimate_mj,
                           s.time_ms AS supply_ms, {work.place_of("c.account")} AS place
                    FROM work_supply AS s CROSS JOIN work_claim AS c
                    WHERE c.meter = s.meter AND c.hour = s.hour AND c.method = s.method AND {plain}
                    UNION ALL
                    SELECT s.meter, s.hour, 'idle', s.method, s.energy_mj - COALESCE(c.energy_mj, 0), 0,
                           s.time_ms - COALESCE(c.time_ms, 0), s.estimate_mj, s.time_ms, 3
                    FROM work_supply AS s
                    LEFT JOIN ({_CLAIMED}) AS c ON c.meter = s.meter AND c.hour = s.hour AND c.method = s.method
                    WHERE {plain}
                ) AS shares
            ) AS cumulative
        ) AS split WHERE energy_mj <> 0 OR held_mj <> 0 OR time_ms <> 0 OR unmetered_mj <> 0
    """,
    )


def _lay_by_rule(connection: Connection) -> None:
    hours = _hours_by_rule(connection)
    beside = _Beside(connection, hours)
    laid = [
        (meter, hour, *row, int(usage.overclaimed))
        for (meter, hour), readers in hours.items()
        for usage in [lay_hour(hour, readers, beside.readers(meter, hour))]
        for row in usage.rows
    ]
    numbers = frozenset({"hour", "energy_mj", "held_mj", "time_ms", "unmetered_mj", "overclaimed"})
    bulk.insert(connection, "usage", COLUMNS, numbers, laid)


class _Beside:
    """What was said in an hour of the meters that stand beside another one."""

    def __init__(self, connection: Connection, hours: _Hours) -> None:
        self._kin = {
            (meter, day): kin for meter, day, kin in SqlRows(connection).rows("SELECT meter, day, kin FROM work_beside")
        }
        self._hours: defaultdict[tuple[int, int], dict[str, list[ReaderWindows]]] = defaultdict(dict)
        for (meter, hour), readers in hours.items():
            if (meter, hour // _HOURS_PER_DAY) in self._kin:
                self._hours[self._kin[meter, hour // _HOURS_PER_DAY], hour][meter] = readers

    def readers(self, meter: str, hour: int) -> list[ReaderWindows]:
        kin = self._kin.get((meter, hour // _HOURS_PER_DAY))
        if kin is None:
            return []
        return [sent for other, readers in self._hours[kin, hour].items() if other != meter for sent in readers]


def _hours_by_rule(connection: Connection) -> _Hours:
    """Return what each reader sent by (meter, hour), of the hours that go by the rule."""
    uses = _uses_by_window(connection)
    sql = f"""
        SELECT h.meter, h.hour, r.rank, w.reader, w.start_ms, w.end_ms, w.energy_mj, w.method, w.reason, w.estimate_mj
        FROM work_rule_hour AS h CROSS JOIN meter_window AS w JOIN reader AS r ON r.reader = w.reader
        WHERE {_within_hour("w")} AND {_VALID_WINDOW} ORDER BY h.meter, h.hour
    """
    by_hour: dict[tuple[str, int], dict[tuple[int, str], list[WindowUses]]] = {}
    for meter, hour, rank, reader, start, end, energy, method, reason, estimate in _bounded(connection, sql):
        window = Window(
            meter=meter, start_ms=start, end_ms=end, energy_mj=energy, method=method, reason=reason, estimate_mj=estimate
        )  # fmt: skip
        laid = WindowUses(window=window, uses=tuple(uses.get((meter, reader, start), ())))
        by_hour.setdefault((meter, hour), {}).setdefault((rank, reader), []).append(laid)
    return {
        key: [ReaderWindows(rank=rank, reader=reader, windows=tuple(w)) for (rank, reader), w in readers.items()]
        for key, readers in by_hour.items()
    }


def _uses_by_window(connection: Connection) -> dict[Row, list[Use]]:
    sql = f"""
        SELECT u.meter, u.reader, u.start_ms, u.run, u.energy_mj, u.static_mj, u.time_ms, u.active_ms, u.method
        FROM work_rule_hour AS h CROSS JOIN meter_use AS u WHERE {_within_hour("u")} AND {_VALID_USE}
    """
    uses: dict[Row, list[Use]] = defaultdict(list)
    for meter, reader, start, run, energy, static, time, active, method in _bounded(connection, sql):
        use = Use(
            meter=meter, start_ms=start, run=run, energy_mj=energy, static_mj=static, time_ms=time, active_ms=active, method=method
        )  # fmt: skip
        uses[meter, reader, start].append(use)
    return uses


def _bounded(connection: Connection, sql: str) -> list[Row]:
    return SqlRows(connection).rows(_with_bounds(connection, sql))
