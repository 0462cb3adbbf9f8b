"""Meters that speak of one component of one device: where one of them is a model, their days are laid together (`core.timeline`).

What one of them says decides what counts of the others: a model yields to what is measured, and lends it its shares. So new facts of one
let all of them be made again. Nothing of this is written down: it follows from the meters and their windows, in whatever order they come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING

from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.core.vocabulary import MODEL, ONE_PER_DEVICE
from joulebook_ledger.store import work
from joulebook_ledger.store.neighbours import COUNTED
from joulebook_ledger.store.rows import Rows, SqlRows, one

if TYPE_CHECKING:
    from sqlalchemy import Connection

Key = tuple[str, int]
"""(meter, day)"""
_COMPONENTS = ", ".join(f"'{component}'" for component in ONE_PER_DEVICE)
_GROUPED = f"role = '{COUNTED}' AND component IN ({_COMPONENTS})"


class Kin:
    """Which meters speak of one component of one device."""

    def __init__(self, rows: Rows) -> None:
        """Ask for the meters once; those that stand alone are left out."""
        self._rows = rows
        several = f"SELECT device, component FROM meter WHERE {_GROUPED} GROUP BY device, component HAVING COUNT(*) > 1"
        found = rows.rows(
            f"SELECT meter, device, component FROM meter WHERE {_GROUPED} AND (device, component) IN ({several})"
        )
        self._of = {meter: (device, component) for meter, device, component in found}
        self._members: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for meter, group in sorted(self._of.items()):
            self._members[group].append(meter)

    def group(self, meter: str) -> list[str]:
        """Return a meter and those that speak of the same; nothing where it stands alone."""
        return self._members[self._of[meter]] if meter in self._of else []

    def beside(self, meter: str, day: int) -> list[str]:
        """Return the meters with which a meter's day is laid; none where nothing is modelled on it."""
        group = self.group(meter)
        if not any(self._is_modelled(member, day) for member in group):
            return []
        return [member for member in group if member != meter]

    def lenders(self, meter: str, day: int) -> list[str]:
        """Return the meters beside one that are models and may yield to it."""
        models = [other for other in self.group(meter) if self._is_modelled(other, day)]
        return [
            other for other in models if other != meter and (meter not in models or other.encode() > meter.encode())
        ]

    def _is_modelled(self, meter: str, day: int) -> bool:
        sql = (
            "SELECT 1 FROM meter_window WHERE meter = :meter AND start_ms >= :from_ms AND start_ms < :to_ms"
            " AND method = :model LIMIT 1"
        )
        bounds = {"from_ms": day * MILLISECONDS_PER_DAY, "to_ms": (day + 1) * MILLISECONDS_PER_DAY}
        return one(self._rows, sql, meter=meter, model=MODEL, **bounds) is not None


def fill(connection: Connection, touched: Collection[Key]) -> dict[Key, list[Key]]:
    """Fill `work_beside` with the days that are laid together, set-wise; return those of each of the days that new facts touched.

    Args:
        connection: In the booker's transaction, with work tables made.
        touched: The (meter, day) whose facts changed.
    """
    kin = Kin(SqlRows(connection))
    groups = {key: kin.group(key[0]) for key in touched}
    numbers = {group[0]: number for number, group in enumerate(groups.values()) if group}
    wanted = {(member, day, numbers[group[0]]) for (_, day), group in groups.items() for member in group}
    if not wanted:
        return {}
    work.fill(connection, "work_beside", sorted(wanted))
    first, last = min(day for _, day, _ in wanted), max(day for _, day, _ in wanted)
    work.run(
        connection,
        f"""
        DELETE FROM work_beside WHERE NOT EXISTS (
            SELECT 1 FROM work_beside AS b CROSS JOIN meter_window AS w
            WHERE b.kin = work_beside.kin AND b.day = work_beside.day AND w.meter = b.meter AND w.method = '{MODEL}'
              AND w.start_ms >= b.day * {MILLISECONDS_PER_DAY} AND w.start_ms < (b.day + 1) * {MILLISECONDS_PER_DAY}
              AND w.start_ms >= {first * MILLISECONDS_PER_DAY} AND w.start_ms < {(last + 1) * MILLISECONDS_PER_DAY}
        )
    """,
    )
    left = {(meter, day) for meter, day in SqlRows(connection).rows("SELECT meter, day FROM work_beside")}
    return {key: [(member, key[1]) for member in groups[key]] for key in touched if key in left}
