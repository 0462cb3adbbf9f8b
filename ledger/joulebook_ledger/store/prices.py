"""Pricing hourly usage, set-wise: the second form of `core.pricing` and `core.booking.target_of_day` (CORE §4).

Cumulative energy and time per (source, hour) in account order; f of each; the difference to the account before. Each stage is a CTE
kept as it is, so that an expression that stands twice in muldiv is worked out once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from joulebook_ledger.core.booking import target_of_day
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.core.timeline import NO_METHOD, UsageRow
from joulebook_ledger.core.units import MILLIJOULES_PER_KWH, MILLISECONDS_PER_HOUR, PPM
from joulebook_ledger.core.vocabulary import account_order
from joulebook_ledger.store import work
from joulebook_ledger.store.rows import SQLITE, SqlRows

if TYPE_CHECKING:
    from sqlalchemy import Connection

CARRIED = ("held_mj", "unmetered_mj", "time_ms", "metered_ms")
PRICED = tuple(column for column in COLUMNS if column not in CARRIED)
# rate -> (column of the amount, column of what is not covered)
_BY_ENERGY = {
    "tariff": ("cost_energy", "unc_cost_energy_mj"),
    "location": ("co2e_location", "unc_co2e_location_mj"),
    "market": ("co2e_market", "unc_co2e_market_mj"),
    "water_site": ("water_site", "unc_water_site_mj"),
    "water_source": ("water_source", "unc_water_source_mj"),
}
_BY_TIME = {
    "instance": ("cost_instance", "unc_cost_instance_ms"),
    "embodied": ("co2e_embodied", "unc_co2e_embodied_ms"),
}
_AT_IT = ("water_site",)
_MATERIALIZED_SINCE = (3, 35)


def price(connection: Connection) -> None:
    """Fill `work_target` and `work_leg` from `usage`, for what stands in `work_day`."""
    once = _once(connection)
    # The day is said twice: as a range for the index, where few are booked, and as an equality to hash by, where many are.
    source = """
        work_source AS d CROSS JOIN usage AS u
        WHERE u.meter = d.source AND u.hour >= d.day * 24 AND u.hour < d.day * 24 + 24 AND u.hour / 24 = d.day
    """
    metered = f"CASE WHEN u.method = '{NO_METHOD}' THEN 0 ELSE u.time_ms END"
    parts = f"""
        SELECT d.source, d.day, u.hour, d.class, u.account, u.method, {work.place_of("u.account")} AS place,
               u.held_mj, u.unmetered_mj, u.time_ms, {metered} AS metered_ms,
               CAST(SUM(u.energy_mj) OVER line AS BIGINT) AS e, CAST(SUM(u.time_ms) OVER line AS BIGINT) AS t
        FROM {source}
        WINDOW line AS (PARTITION BY d.source, u.hour ORDER BY {work.place_of("u.account")}, u.account, u.method
                        ROWS UNBOUNDED PRECEDING)
    """
    wholes = f"""
        SELECT d.source, d.day, u.hour, d.class, CAST(SUM(u.held_mj) AS BIGINT) AS held_mj,
               CAST(SUM(u.unmetered_mj) AS BIGINT) AS unmetered_mj, CAST(SUM(u.time_ms) AS BIGINT) AS time_ms,
               CAST(SUM({metered}) AS BIGINT) AS metered_ms, CAST(SUM(u.energy_mj) AS BIGINT) AS e, CAST(SUM(u.time_ms) AS BIGINT) AS t
        FROM {source} GROUP BY d.source, d.day, u.hour, d.class
    """
    line = "PARTITION BY source, hour ORDER BY place, account, method"
    steps = ", ".join(f"{column} - LAG({column}, 1, CAST(0 AS BIGINT)) OVER line AS {column}" for column in PRICED)
    work.run(
        connection,
        f"""
        INSERT INTO work_target
        WITH {_stages(once, parts, ("source", "day", "hour", "account", "method", "place", *CARRIED))},
        stepped AS {once} (SELECT source, day, account, method, {", ".join(CARRIED)}, {steps} FROM priced WINDOW line AS ({line}))
        SELECT source, day, account, method, {work.summed_amounts()} FROM stepped GROUP BY source, day, account, method
    """,
    )
    work.run(
        connection,
        f"""
        INSERT INTO work_leg
        WITH {_stages(once, wholes, ("source", "day", *CARRIED))}
        SELECT source, day, {work.summed_amounts()} FROM priced GROUP BY source, day
    """,
    )


def _once(connection: Connection) -> str:
    if connection.dialect.name == SQLITE and connection.dialect.dbapi.sqlite_version_info < _MATERIALIZED_SINCE:  # type: ignore[union-attr]
        return ""  # slower there, and right all the same
    return "MATERIALIZED"


def _stages(once: str, base: str, kept: tuple[str, ...]) -> str:
    """Return the CTEs from `base` (source, day, hour, class, e, t and what is kept) to `priced` (what is kept and all PRICED)."""
    keep = ", ".join(kept)
    rates = ", ".join(f"{rate}, {rate}_on" for rate in work.RATES)
    every_rate = ", ".join(f"r.{rate}, r.{rate}_ms, r.{rate}_on" for rate in work.RATES)
    keep_b = ", ".join(f"b.{column}" for column in kept)
    hour = MILLISECONDS_PER_HOUR
    covered = [f"{work.muldiv(_bridgeable(rate), f'{rate}_ms', hour)} AS c_{rate}" for rate in _BY_ENERGY]
    covered += [f"{work.muldiv('t', f'{rate}_ms', hour)} AS c_{rate}" for rate in _BY_TIME]
    bridged = [f"{_bridged(f'c_{rate}', at_it=rate in _AT_IT)} AS b_{rate}" for rate in _BY_ENERGY]
    return f"""
        base AS {once} (
            SELECT {keep_b}, b.e, b.t, r.facility, r.pue, {every_rate}, {work.muldiv("b.e", "r.pue_ms", hour)} AS x
            FROM ({base}) AS b
            JOIN work_rate AS r ON r.class = b.class AND r.from_hour <= b.hour AND r.to_hour > b.hour
        ),
        covered AS {once} (SELECT {keep}, e, t, x, facility, pue, {rates}, {", ".join(covered)} FROM base),
        bridged AS {once} (
            SELECT {keep}, e, t, x, {rates}, {", ".join(f"c_{rate}" for rate in work.RATES)}, {", ".join(bridged)},
                   {_bridged(_bridgeable("water_site"), at_it=True)} AS energy_it_mj,
                   {_bridged(_bridgeable("tariff"), at_it=False)} AS energy_facility_mj
            FROM covered
        ),
        priced AS {once} (SELECT {keep}, energy_it_mj, energy_facility_mj, e - x AS unc_facility_mj, {", ".join(_amounts())} FROM bridged)
    """


def _bridgeable(rate: str) -> str:
    """Return SQL for the share of the energy that can be brought to the boundary at which the rate applies."""
    return "CASE WHEN facility = 1 THEN x ELSE e END" if rate in _AT_IT else "CASE WHEN facility = 1 THEN e ELSE x END"


def _bridged(energy: str, *, at_it: bool) -> str:
    """Return SQL for energy of the meter's boundary at IT or facility: PUE once, or not at all."""
    if at_it:
        return f"CASE WHEN facility = 1 THEN {work.muldiv(energy, str(PPM), 'pue')} ELSE {energy} END"
    return f"CASE WHEN facility = 1 THEN {energy} ELSE {work.muldiv(energy, 'pue', PPM)} END"


def _amounts() -> list[str]:
    amounts = []
    for rate, (amount, uncovered) in _BY_ENERGY.items():
        amounts += [
            f"{work.muldiv(f'b_{rate}', rate, MILLIJOULES_PER_KWH)} AS {amount}",
            f"{rate}_on * (e - c_{rate}) AS {uncovered}",
        ]
    for rate, (amount, uncovered) in _BY_TIME.items():
        amounts += [
            f"{work.muldiv(f'c_{rate}', rate, MILLISECONDS_PER_HOUR)} AS {amount}",
            f"{rate}_on * (t - c_{rate}) AS {uncovered}",
        ]
    return amounts


def price_by_rule(connection: Connection, factors: FactorBook) -> None:
    """Fill `work_target` and `work_leg` by the functions of core: slower, and what the other form is held against."""
    days: dict[tuple[str, int, str, str, str], dict[int, list[UsageRow]]] = defaultdict(lambda: defaultdict(list))
    for source, day, machine, component, boundary, hour, *row in SqlRows(connection).rows(
        "SELECT d.source, d.day, p.machine, m.component, m.boundary,"
        " u.hour, u.account, u.method, u.energy_mj, u.held_mj, u.time_ms, u.unmetered_mj"
        " FROM work_day AS d CROSS JOIN usage AS u JOIN meter AS m ON m.meter = d.source"
        " JOIN placed AS p ON p.source = d.source AND p.day = d.day"
        " WHERE u.meter = d.source AND u.hour >= d.day * 24 AND u.hour < d.day * 24 + 24"
    ):
        days[source, day, machine, component, boundary][hour].append(UsageRow(*row))
    targets, legs = [], []
    for (source, day, machine, component, boundary), hours in days.items():
        for rows in hours.values():
            rows.sort(key=lambda row: (account_order(row.account), row.method))
        target = target_of_day(hours, lambda hour, m=machine, c=component, b=boundary: factors.rates(m, c, b, hour))  # type: ignore[misc]
        targets += [(source, day, *key, *amounts) for key, amounts in target.postings.items()]
        legs.append((source, day, *target.leg))
    work.fill(connection, "work_target", targets)
    work.fill(connection, "work_leg", legs)
