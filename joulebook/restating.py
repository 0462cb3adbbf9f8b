"""What a restatement changes, for people: a line per month and per year."""

from __future__ import annotations

from joulebook.tables import Column, Page, clean, grid, sentence
from joulebook_ledger.bodies import EffectBody, RestateBody

_UNKNOWN = "–"
_FIGURES = {
    "co2e_location_kg": "KG CO2e",
    "co2e_market_kg": "MARKET-BASED",
    "co2e_embodied_kg": "EMBODIED",
    "cost": "COST",
    "facility_energy_kwh": "KWH",
    "water_l": "WATER L",
}


def page(body: RestateBody, paper: Page) -> str:
    """Return what it changes, and what was done or is to be written to do it."""
    moved = [name for name in _FIGURES if any(_moves(effect, name) for effect in body["months"])]
    told = [sentence(_heading(body), paper)]
    if moved:
        columns = [
            Column("MONTH"),
            *(
                Column(f"{_FIGURES[name]} {side}", right=True)
                for name in moved
                for side in ("BEFORE", "AFTER", "CHANGE")
            ),
        ]
        rows = [_cells(effect, moved) for effect in (*body["months"], *body["years"])]
        told.append(grid(columns, rows, paper))
    else:
        told.append("No figure of these months changes.")
    return "\n\n".join([*told, sentence(_ending(body), paper, "dim")])


def _heading(body: RestateBody) -> str:
    months = (
        body["from_month"] if body["from_month"] == body["to_month"] else f"{body['from_month']} to {body['to_month']}"
    )
    series = " ".join(body[key] for key in ("kind", "object", "provider") if body[key]) or "all factors"
    verb = "Undoing the restatement of" if body["undone"] else "Restating"
    return f"{verb} {months}, {clean(series)} as known at link {body['factors_known']}: {clean(body['reason'])}"


def _ending(body: RestateBody) -> str:
    if body["dry_run"]:
        return f"Nothing was written. Without --dry-run it is booked as {body['entries']} adjustments of the earliest open month."
    undo = "" if body["undone"] else f" To undo it: joulebook restate --undo {body['restatement']} --reason TEXT"
    return f"Booked as {body['entries']} adjustments of the earliest open month; head {body['head']}.{undo}"


def _moves(effect: EffectBody, name: str) -> bool:
    return effect["before"][name] != effect["after"][name]


def _cells(effect: EffectBody, moved: list[str]) -> list[str]:
    sides = (effect["before"], effect["after"], effect["change"])
    return [effect["period"], *(_text(side[name], is_change=side is sides[2]) for name in moved for side in sides)]


def _text(value: float | str | None, *, is_change: bool) -> str:
    if value is None:
        return _UNKNOWN
    number = float(value)
    return f"{number:+,.3f}" if is_change else f"{number:,.3f}"
