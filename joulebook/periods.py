"""Closing months, for people: the checklist, and what a close leaves to be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook import figures
from joulebook.tables import Page, clean, sentence
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import scale_decimal
from joulebook_ledger.queries import PPM_PER_PERCENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from joulebook_ledger.bodies import CloseBody, CloseItemBody, MonthCloseBody

_KEEP = "Keep this head elsewhere, such as in the minutes: whoever holds it can prove later that nothing up to here was changed."


def tolerance_of(text: str) -> int:
    """Return a tolerance in per cent, such as "0.5" or "1 %", in millionths.

    Raises:
        BadInput: It is no share from 0 to 100 %.
    """
    number = text.strip().removesuffix("%").strip()
    parts = scale_decimal(number, PPM_PER_PERCENT, "tolerance")
    if not 0 <= parts <= 100 * PPM_PER_PERCENT:
        raise BadInput(f"--tolerance {text[:60]!r} is no share of the month's energy from 0 to 100 %")
    return parts


def page(body: CloseBody, paper: Page) -> str:
    """Return the checklist of each month, and what was done."""
    told = [_month(month, paper, is_closed=body["closed"]) for month in body["months"]]
    if body["closed"]:
        stand = f"link {body['link']}, head {body['head']}"
        return "\n\n".join([*told, f"{paper.styled('Sealed', 'bold')}  {stand}", sentence(_KEEP, paper, "dim")])
    last = body["months"][-1]["month"]
    is_ready = all(month["can_close"] for month in body["months"])
    way = (
        f"Nothing stands in the way: joulebook close {last}"
        if is_ready
        else "Not to be closed yet; see what is marked MISSING."
    )
    return "\n\n".join([*told, way])


def _month(month: MonthCloseBody, paper: Page, *, is_closed: bool) -> str:
    total = f"{figures.energy(month['energy_kwh'])}, {figures.money(month['cost'], month['currency'])}"
    heading = f"{'Closed' if is_closed else 'Close'} {month['month']}"
    lines = [f"{paper.styled(heading, 'bold')}  {total}"]
    for item in month["items"]:
        lines += _item(item, paper)
    if month["owing"]:
        money = figures.money(month["missing_cost"], month["currency"])
        lines.append(f"missing {figures.energy(month['missing_kwh'])}, {money}, {len(month['owing'])} readers")
    return "\n".join(lines)


def _item(item: CloseItemBody, paper: Page) -> Iterator[str]:
    if item["ok"]:
        mark = paper.styled("ok     ", "green")
    elif item["blocks"]:
        mark = paper.styled("MISSING", "red")
    else:
        mark = paper.styled("look   ", "yellow")
    yield f"{mark} {clean(item['name'])}: {clean(item['detail'])}"
    if item["command"]:
        yield f"        {clean(item['command'])}"
