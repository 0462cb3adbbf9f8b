"""Pricing hourly usage, set-wise: the second form of `core.pricing` and `core.booking.target_of_day` (CORE §4).

Cumulative energy and time per (source, hour) in account order; f of each; the difference to the account before. Summed over a day
before that difference is taken, and part by part of the sources, so that no step holds more than a part of the hours.
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
from joulebook_ledger.store.rows import SqlRows, one

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


def price(connection: Connection) -> None:
    """Fill `work_target` and `work_leg` from `usage`, for what stands in `work_source`."""
    parts = one(SqlRows(connection), "SELECT MAX(part) FROM work_source")
    if parts is None or parts[0] is None:
        return
    statement = _reaching()
    for part in range(parts[0] + 1):
        work.run(connection, statement, part=part)
    work.weigh(connection, "work_reach")
    _settle(connection)


def _reaching() -> str:
    """Return the statement that fills `work_reach` for a part of the sources.

    What is reached at an account stands there with the account that follows in the hour, which gives it back: over a day those who
    follow each other are few, so that hours are summed before accounts are told apart.
    """
    # The day is said twice: as a range for the index, where few are booked, and as an equality to hash by, where many are.
    metered = f"CASE WHEN u.method = '{NO_METHOD}' THEN 0 ELSE u.time_ms END"
    lines = f"""
        SELECT d.source, d.day, u.hour, d.class, u.account, u.method, u.held_mj, u.unmetered_mj, u.time_ms, {metered} AS metered_ms,
               COALESCE(LEAD(u.account) OVER line, '') AS next_account, COALESCE(LEAD(u.method) OVER line, '') AS next_method,
               CAST(SUM(u.energy_mj) OVER reached AS BIGINT) AS e, CAST(SUM(u.time_ms) OVER reached AS BIGINT) AS t
        FROM work_source AS d CROSS JOIN usage AS u
        WHERE d.part = :part AND u.meter = d.source AND u.hour >= d.day * 24 AND u.hour < d.day * 24 + 24 AND u.hour / 24 = d.day
        WINDOW line AS (PARTITION BY d.source, d.day, u.hour ORDER BY {work.place_of("u.account")}, u.account, u.method),
               reached AS (line ROWS UNBOUNDED PRECEDING)
    """
    key = "source, day, account, method, next_account, next_method"
    carried = ", ".join(f"l.{column}" for column in CARRIED)
    rates = ", ".join(f"r.{rate}, r.{rate}_ms, r.{rate}_on" for rate in work.RATES)
    return f"""
        INSERT INTO work_reach
        SELECT {key}, {work.summed_amounts()} FROM (
            SELECT {key}, {", ".join(CARRIED)}, energy_it_mj, energy_facility_mj, e - x AS unc_facility_mj, {", ".join(_amounts())}
            FROM (
                SELECT s.*, {_bridged(_bridgeable("water_site"), at_it=True)} AS energy_it_mj,
                       {_bridged(_bridgeable("tariff"), at_it=False)} AS energy_facility_mj
                FROM (
                    SELECT {", ".join(f"l.{name}" for name in key.split(", "))}, {carried}, l.e, l.t, r.facility, r.pue, {rates},
                           {_share("l.e", "r.pue_ms")} AS x
                    FROM ({lines}) AS l JOIN work_rate AS r ON r.class = l.class AND r.from_hour <= l.hour AND r.to_hour > l.hour
                ) AS s
            ) AS b
        ) AS priced GROUP BY {key}
    """


def _settle(connection: Connection) -> None:
    """Fill `work_target` and `work_leg` from `work_reach`: what follows takes from what it follows; what nothing follows is the leg."""
    key = "source, day, account, method"
    nothing = ", ".join("0" for _ in CARRIED)
    given_back = ", ".join(f"-{column}" for column in PRICED)
    work.run(
        connection,
        f"""
        INSERT INTO work_target SELECT {key}, {work.summed_amounts()} FROM (
            SELECT {key}, {", ".join(CARRIED)}, {", ".join(PRICED)} FROM work_reach
            UNION ALL SELECT source, day, next_account, next_method, {nothing}, {given_back} FROM work_reach WHERE next_method <> ''
        ) AS both_sides GROUP BY {key}
    """,
    )
    last = {column: f"CASE WHEN next_method = '' THEN {column} ELSE 0 END" for column in PRICED}
    sums = ", ".join(f"CAST(SUM({last.get(column, column)}) AS BIGINT)" for column in COLUMNS)
    work.run(connection, f"INSERT INTO work_leg SELECT source, day, {sums} FROM work_reach GROUP BY source, day")


def _share(amount: str, covered_ms: str) -> str:
    """Return SQL for the share of an amount that a rate covers; most rates hold for whole hours."""
    share = work.muldiv(amount, covered_ms, MILLISECONDS_PER_HOUR)
    return f"CASE {covered_ms} WHEN {MILLISECONDS_PER_HOUR} THEN {amount} WHEN 0 THEN 0 ELSE {share} END"


def _bridgeable(rate: str) -> str:
    """Return SQL for the share of the energy that can be brought to the boundary at which the rate applies."""
    return "CASE WHEN facility = 1 THEN x ELSE e END" if rate in _AT_IT else "CASE WHEN facility = 1 THEN e ELSE x END"


def _bridged(energy: str, *, at_it: bool) -> str:
    """Return SQL for energy of the meter's boundary at IT or facility: PUE once, or not at all."""
    if at_it:
        return f"CASE WHEN facility = 1 THEN {work.muldiv(energy, str(PPM), 'pue')} ELSE {energy} END"
    return f"CASE WHEN facility = 1 THEN {energy} ELSE {work.muldiv(energy, 'pue', PPM)} END"


def _amounts() -> list[str]:
    """Return SQL for every priced column of energy and time reached, and for what is not covered."""
    amounts = []
    for rate, (amount, uncovered) in _BY_ENERGY.items():
        at_it = rate in _AT_IT
        whole = "energy_it_mj" if at_it else "energy_facility_mj"
        covered = _share(_bridgeable(rate), f"{rate}_ms")
        bridged = f"CASE {rate}_ms WHEN {MILLISECONDS_PER_HOUR} THEN {whole} WHEN 0 THEN 0 ELSE {_bridged(covered, at_it=at_it)} END"
        amounts += [
            f"{work.muldiv(bridged, rate, MILLIJOULES_PER_KWH)} AS {amount}",
            f"{rate}_on * (e - {covered}) AS {uncovered}",
        ]
    for rate, (amount, uncovered) in _BY_TIME.items():
        covered = _share("t", f"{rate}_ms")
        amounts += [
            f"{work.muldiv(covered, rate, MILLISECONDS_PER_HOUR)} AS {amount}",
            f"{rate}_on * (t - {covered}) AS {uncovered}",
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
