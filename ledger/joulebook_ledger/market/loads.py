"""What was drawn from each market, by month. A market is the grid zone of a site (CORE §8)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.allocation import GRID_AVERAGE, RESIDUAL_MIX, Rest
from joulebook_ledger.core.periods import days_of_month, month_interval, month_of_day
from joulebook_ledger.core.pricing import Rate
from joulebook_ledger.core.units import MILLIJOULES_PER_KWH, MILLISECONDS_PER_DAY
from joulebook_ledger.store import reads_market

if TYPE_CHECKING:
    from joulebook_ledger.core.resolution import FactorBook
    from joulebook_ledger.store.rows import Rows

NO_RESIDUAL_MIX = "no residual mix is known, so the location-based mean stands in, of which others may claim a part: "


class Drawn(NamedTuple):
    """What one market's facilities drew in a month.

    Attributes:
        load_mj: All of it.
        location_ug: Location-based CO2e of the days that have one throughout.
        covered_mj: What was drawn on these.
    """

    load_mj: int = 0
    location_ug: int = 0
    covered_mj: int = 0


Loads = dict[str, dict[int, Drawn]]
"""Market -> month -> what was drawn."""


def loads_of(rows: Rows, book: FactorBook, first_month: int, last_month: int) -> Loads:
    """Return what was drawn from each market, from the books as known today. A machine's day is its zone's at the day's end."""
    sums: defaultdict[str, dict[int, Drawn]] = defaultdict(dict)
    first, last = days_of_month(first_month).start, days_of_month(last_month).stop - 1
    for day in reads_market.machine_days(rows, first, last):
        site = book.place(day.machine, (day.day + 1) * MILLISECONDS_PER_DAY - 1)
        if site is None or not site.zone or not day.facility_mj:
            continue
        month = month_of_day(day.day)
        drawn = sums[site.zone].get(month, Drawn())
        sums[site.zone][month] = Drawn(
            drawn.load_mj + day.facility_mj,
            drawn.location_ug + (0 if day.unknown_mj else day.location_ug),
            drawn.covered_mj + (0 if day.unknown_mj else day.facility_mj),
        )
    return dict(sums)


def rest_of(book: FactorBook, market: str, month: int, drawn: Drawn) -> Rest | None:
    """Return what prices a month's uncovered part: the residual mix as known now, else the grid's average over the load, said so."""
    rate, factor = book.mean_over("residual_mix", market, month_interval(month))
    if isinstance(rate, Rate) and factor is not None:
        return Rest(rate.value, RESIDUAL_MIX, factor.source, factor.sigma_ppm)
    if not drawn.covered_mj:
        return None
    average = drawn.location_ug * MILLIJOULES_PER_KWH // drawn.covered_mj
    _, factor = book.mean_over("grid_location", market, month_interval(month))
    said = f"{NO_RESIDUAL_MIX}{factor.source if factor else market}"
    return Rest(average, GRID_AVERAGE, said, factor.sigma_ppm if factor else 0)
