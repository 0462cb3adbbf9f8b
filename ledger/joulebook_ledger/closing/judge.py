"""What a month lacks before it is closed: who still owes how much, what has no price, no label, no place; each with what to do (CORE §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from joulebook_ledger.core.periods import month_interval, month_text, time_text
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.core.units import (
    MICRO,
    MILLIJOULES_PER_KWH,
    MILLISECONDS_PER_DAY,
    decimal_text,
)
from joulebook_ledger.core.vocabulary import RESERVED_ACCOUNTS
from joulebook_ledger.figures.footprints import sums_of
from joulebook_ledger.figures.hosts import months_owed
from joulebook_ledger.queries import PPM_PER_PERCENT
from joulebook_ledger.store import reads_closed
from joulebook_ledger.store.reads_hosts import readers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from joulebook_ledger.bodies import CloseItemBody, MonthCloseBody, OwingBody
    from joulebook_ledger.closing.basis import RunsThen
    from joulebook_ledger.figures.lens import Lens
    from joulebook_ledger.store.reads_amounts import Cell
    from joulebook_ledger.store.reads_hosts import ReaderInfo
    from joulebook_ledger.store.rows import Rows

PAST_MS = 31 * MILLISECONDS_PER_DAY
"""What a reader is likely to have read is told by so much of its past."""
PPM = 1_000_000
MOST_NAMED = 5
_ENERGY = COLUMNS.index("energy_it_mj")


class Owing(NamedTuple):
    """A reader that has not told all of a month.

    Attributes:
        info: The reader.
        missing_mj: What it may still hold, by its own past; None where nothing is known of that.
    """

    info: ReaderInfo
    missing_mj: int | None

    def body(self) -> OwingBody:
        """Return it for JSON."""
        until = self.info.complete_until_ms
        return {
            "reader": self.info.reader,
            "machine": self.info.machine,
            "host": self.info.host or self.info.machine,
            "complete_until": time_text(until) if until else None,
            "missing_kwh": None if self.missing_mj is None else self.missing_mj / MILLIJOULES_PER_KWH,
        }


class Judgement(NamedTuple):
    """What a month holds and lacks.

    Attributes:
        month: The month, yyyymm.
        tolerance_ppm: How much of its energy may be missing.
        energy_mj: What is booked of it.
        cost: What that costs, micro-units; None where nothing of it has a price.
        currency: Of the book; empty while it has none.
        owing: Who has not told everything.
        items: The checklist.
    """

    month: int
    tolerance_ppm: int
    energy_mj: int
    cost: int | None
    currency: str
    owing: Sequence[Owing]
    items: Sequence[CloseItemBody]

    @property
    def missing_mj(self) -> int | None:
        """What may be missing, or None where nobody can say."""
        return _sum_known([its.missing_mj for its in self.owing])

    @property
    def missing_cost(self) -> int | None:
        """The same in money, at the month's own mean price, or None."""
        if self.missing_mj is None or self.cost is None or not self.energy_mj:
            return None
        return self.missing_mj * self.cost // self.energy_mj

    @property
    def can_close(self) -> bool:
        """Whether nothing stands in the way."""
        return all(item["ok"] or not item["blocks"] for item in self.items)

    def body(self) -> MonthCloseBody:
        """Return it for JSON."""
        missing, cost = self.missing_mj, self.missing_cost
        share = None if missing is None else _share(missing, self.energy_mj)
        return {
            "month": month_text(self.month),
            "energy_kwh": self.energy_mj / MILLIJOULES_PER_KWH,
            "cost": None if self.cost is None else decimal_text(self.cost, MICRO),
            "currency": self.currency or None,
            "missing_kwh": None if missing is None else missing / MILLIJOULES_PER_KWH,
            "missing_cost": None if cost is None else decimal_text(cost, MICRO),
            "missing_share": share,
            "tolerance": self.tolerance_ppm / PPM,
            "owing": [its.body() for its in self.owing],
            "items": list(self.items),
            "can_close": self.can_close,
        }


def judge(
    rows: Rows,
    lens: Lens,
    runs: RunsThen,
    cells: Sequence[Cell],
    month: int,
    closed: int,
    tolerance_ppm: int,
    now_ms: int,
) -> Judgement:
    """Return what a month holds and lacks.

    Args:
        rows: A snapshot, or the booker's transaction with all that is due booked.
        lens: What amounts are of.
        runs: What is known of runs; those of the cells are in it.
        cells: What is booked in the month, of the month.
        month: The month, yyyymm.
        closed: The last closed month, or 0.
        tolerance_ppm: How much may be missing.
        now_ms: The ledger's time.
    """
    energy_mj = sum(cell.amounts[_ENERGY] for cell in cells)
    owing = [
        Owing(info, _estimate(rows, info, month))
        for info in readers(rows)
        if month in months_owed(info, now_ms, closed)
    ]
    sums = sums_of(lens.portions(cells))
    cost = sums["cost"].amount if sums["cost"].is_known else None
    items = [
        _of_owing(owing, energy_mj, tolerance_ppm),
        *(
            _item(f"priced: {name}", detail=f"known for {(its.share or 0.0):.1%}: {its.reason}", command="")
            for name, its in sums.items()
            if its.share is not None and its.share < 1
        ),
        *_of_labels(runs, cells),
        *_of_conflicts(rows),
    ]
    return Judgement(month, tolerance_ppm, energy_mj, cost, lens.currency, owing, items)


def _estimate(rows: Rows, info: ReaderInfo, month: int) -> int | None:
    """Return what a reader may still hold of a month: its own mean power, times the time it has not told of."""
    interval = month_interval(month)
    told = info.complete_until_ms
    past = reads_closed.mean_power_of(rows, info.reader, info.machine, max(0, told - PAST_MS), max(told, 1))
    if past is None or not past[1]:
        return None
    energy_mj, time_ms = past
    return energy_mj * (interval.end_ms - max(told, interval.start_ms)) // time_ms


def _of_owing(owing: Sequence[Owing], energy_mj: int, tolerance_ppm: int) -> CloseItemBody:
    if not owing:
        return _in_order("complete", "every reader has told all of it, or is retired")
    missing = _sum_known([its.missing_mj for its in owing])
    named = ", ".join(its.info.host or its.info.machine for its in owing[:MOST_NAMED])
    more = f" and {len(owing) - MOST_NAMED} more" if len(owing) > MOST_NAMED else ""
    hosts = len({its.info.machine for its in owing})
    of = f"{len(owing)} readers on {hosts} hosts have not told all of it: {named}{more}"
    command = f"joulebook retire {owing[0].info.reader[:8]} --reason TEXT"
    if missing is None:
        detail = f"{of}; nothing is known of their past, so nobody can say how much is missing"
        return {"name": "complete", "ok": False, "blocks": True, "detail": detail, "command": command}
    share = _share(missing, energy_mj)
    within = missing * PPM <= tolerance_ppm * (energy_mj + missing)
    limit = f"{tolerance_ppm / PPM_PER_PERCENT:g} %"
    verdict = f"within the {limit} that may be missing" if within else f"more than the {limit} that may be missing"
    detail = (
        f"{of}; by their own past about {missing / MILLIJOULES_PER_KWH:.3g} kWh, {share:.2%} of the month: {verdict}"
    )
    return {"name": "complete", "ok": within, "blocks": True, "detail": detail, "command": command}


def _of_labels(runs: RunsThen, cells: Sequence[Cell]) -> Iterator[CloseItemBody]:
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.account not in RESERVED_ACCOUNTS:
            facts = runs.of(cell)
            if facts is None or not (facts.labels.get("team") or facts.labels.get("project")):
                found.setdefault(cell.account, []).append(cell)
    if not found:
        yield _in_order("labelled", "every run has a team or a project")
        return
    energy = sum(cell.amounts[_ENERGY] for its in found.values() for cell in its) / MILLIJOULES_PER_KWH
    command = f"joulebook label {min(found)[:8]} --team NAME"
    yield _item(
        "labelled", detail=f"{len(found)} runs ({energy:.3g} kWh) have neither team nor project", command=command
    )


def _of_conflicts(rows: Rows) -> Iterator[CloseItemBody]:
    aside = reads_closed.kept_aside(rows)
    if aside:
        yield _item(
            "kept aside",
            detail=f"{aside} facts were refused or conflict with what is stored; none of them is in the books",
            command="joulebook doctor",
        )


def _item(name: str, *, detail: str, command: str) -> CloseItemBody:
    return {"name": name, "ok": False, "blocks": False, "detail": detail, "command": command}


def _in_order(name: str, detail: str) -> CloseItemBody:
    return {"name": name, "ok": True, "blocks": False, "detail": detail, "command": ""}


def _sum_known(amounts: Sequence[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def _share(missing_mj: int, energy_mj: int) -> float:
    """Return which share of a month's whole energy, of which `energy_mj` is known, may be missing."""
    return missing_mj / (energy_mj + missing_mj) if missing_mj else 0.0
