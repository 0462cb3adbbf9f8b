"""`joulebook instruments` and `joulebook import instruments`, for people."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from joulebook import tabled
from joulebook.tables import Column, Page, clean, grid, sentence
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.desk.sheet import read_sheet
from joulebook_ledger.market.sheet import NEEDED, OTHERS, instrument_batch

if TYPE_CHECKING:
    from joulebook.wiring import Door
    from joulebook_ledger.market.bodies import (
        AllocationBody,
        AllocationMonthBody,
        AllocationsBody,
        InstrumentBody,
        InstrumentsBody,
    )

NOTHING = (
    "No certificate, contract or supplier rate is known yet. Write a CSV file with the columns issuer, instrument, kind, market,\n"
    "vintage, energy_mwh, g_per_kwh, retired_for, retired_at, attributes and sole, and take it in: joulebook import instruments FILE"
)
NO_LOAD = "Nothing was drawn from any market in this year, and no instrument is of it."


def take_in(door: Door, source: str, *, json: bool) -> None:
    """Take in a sheet of instruments, and list what is held then."""
    data = tabled.read(source)
    digest, name = hashlib.sha256(data).hexdigest(), Path(source).name
    try:
        batch = instrument_batch(door.entry(), read_sheet(data, NEEDED, OTHERS), name, digest)
    except BadInput as refusal:
        raise BadInput(f"{name}: {refusal}; nothing was taken in") from None
    with door.ledger() as ledger:
        door.enter(ledger, batch)
        body = ledger.instruments()
    door.answer(body, None if json else listing_page(body, door.page))


def listing_page(body: InstrumentsBody, paper: Page) -> str:
    """Return the list of instruments."""
    if not body["items"]:
        return NOTHING
    columns = [
        Column("KIND", leaves=2), Column("ISSUER", shrinks=True), Column("INSTRUMENT", shrinks=True), Column("MARKET"), Column("VINTAGE"),
        Column("MWH", right=True), Column("G/KWH", right=True), Column("ASSIGNED", right=True), Column("LEFT", right=True),
        Column("EVIDENCE", leaves=3),
    ]  # fmt: skip
    rows = [
        [
            one["kind"], one["issuer"], one["instrument"], one["market"], _vintage(one), _mwh(one["energy_kwh"]), f"{one['g_per_kwh']:g}",
            _mwh(one["assigned_kwh"]), _mwh(one["left_kwh"]), one["evidence_digest"][:12],
        ]
        for one in body["items"]
    ]  # fmt: skip
    idle = [
        sentence(f"{one['instrument']} of {one['issuer']}: {one['reason']}: {one['detail']}", paper)
        for one in body["items"]
        if one["reason"]
    ]
    return "\n".join([grid(columns, rows, paper), *idle])


def allocation_page(body: AllocationsBody, paper: Page) -> str:
    """Return what was assigned, market by market."""
    if not body["items"]:
        return NO_LOAD
    told = [_market(one, paper, dry=body["dry_run"]) for one in body["items"]]
    return "\n\n".join(told)


def _market(one: AllocationBody, paper: Page, *, dry: bool) -> str:
    done = "would be stored" if dry and one["changed"] else "stored" if one["changed"] else "as it was"
    lines = [paper.styled(f"Market {clean(one['market'])} {one['year']}, {one['state']}, {done}", "bold")]
    if one["months"]:
        columns = [
            Column("MONTH"), Column("LOAD MWH", right=True), Column("COVERED", right=True), Column("REST", right=True),
            Column("REST AT", right=True), Column("REST IS", leaves=1), Column("G/KWH", right=True),
        ]  # fmt: skip
        lines.append(grid(columns, [_month(month) for month in one["months"]], paper))
    lines += [
        sentence(f"not used: {its['instrument']} of {its['issuer']}: {its['reason']}: {its['detail']}", paper)
        for its in one["unused"]
    ]
    lines += [
        sentence(f"left over: {_mwh(its['energy_kwh'])} MWh of {its['instrument']} of {its['issuer']}", paper)
        for its in one["left"]
    ]
    sources = dict.fromkeys(
        month["rest_source"] for month in one["months"] if month["rest_kwh"] and month["rest_source"]
    )
    lines += [sentence(f"the rest: {source}", paper, "dim") for source in sources]
    lines += [sentence(note, paper, "yellow") for note in one["notes"]]
    return "\n".join(lines)


def _month(month: AllocationMonthBody) -> list[str]:
    covered = sum(float(part["energy_kwh"]) for part in month["parts"])
    rest = month["rest_g_per_kwh"]
    return [
        month["month"], _mwh(month["load_kwh"]), _mwh(covered), _mwh(month["rest_kwh"]), "unknown" if rest is None else f"{rest:g}",
        (month["rest_kind"] or "").replace("_", " "), "unknown" if month["g_per_kwh"] is None else f"{month['g_per_kwh']:g}",
    ]  # fmt: skip


def _vintage(one: InstrumentBody) -> str:
    first, last = one["vintage_from"][:7], one["vintage_to"][:7]
    year, following = first[:4], str(int(first[:4]) + 1)
    return year if (first, last) == (f"{year}-01", f"{following}-01") else f"{first} to {last}"


def _mwh(kwh: float | None) -> str:
    return "" if kwh is None else f"{kwh / 1_000:.6g}"
