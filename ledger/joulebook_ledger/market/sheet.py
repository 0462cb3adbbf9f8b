"""Instruments as people bring them: a sheet whose every row is one, taken whole or not at all. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from joulebook_ledger.core.instruments import CRITERIA, INSTRUMENT_KINDS, NO, YES, Instrument
from joulebook_ledger.core.periods import month_interval, parse_month, parse_time
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.units import scale_decimal
from joulebook_ledger.core.vocabulary import require_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from joulebook_ledger.desk.entering import Entry
    from joulebook_ledger.desk.sheet import Line

NEEDED = ("issuer", "instrument", "kind", "market", "vintage", "energy_mwh", "g_per_kwh")
OTHERS = ("retired_for", "retired_at", *CRITERIA, "version", "evidence_name", "evidence_digest")
MILLIJOULES_PER_MWH = 3_600_000_000_000
_MICROGRAMS_PER_GRAM = 1_000_000
_YEAR = len("2026")
_COLUMNS = {"vintage_from_ms": "vintage", "vintage_to_ms": "vintage", "energy_mj": "energy_mwh", "value": "g_per_kwh", "retired_at_ms": "retired_at"}  # fmt: skip


def instrument_batch(entry: Entry, lines: Sequence[Line], name: str = "", digest: str = "") -> bytes:
    """Return the batch of all instruments of a sheet.

    Args:
        entry: The act; its author enters them.
        lines: Rows with the columns NEEDED, and of OTHERS those that are wanted.
        name: Of the file: the evidence of a row that names none.
        digest: sha256 of the file, hex.

    Raises:
        BadInput: A row cannot be taken, or names an instrument twice; nothing of the sheet is entered.
    """
    found: dict[tuple[str, str], Instrument] = {}
    for row in lines:
        one = _instrument(row, entry.version, name, digest)
        if found.setdefault(one.key, one) is not one:
            raise row.refuse("instrument", f"{one.instrument[:60]!r} of {one.issuer[:60]!r} is given twice")
    if not found:
        raise BadInput("the sheet has a header and no row below it: nothing to enter")
    return entry.batch(list(found.values()))


def vintage_of(text: str) -> tuple[int, int]:
    """Return start and end of a vintage: a year, a month, or two months with a slash between, the last within.

    >>> vintage_of("2026-11") == vintage_of("2026-11/2026-11")
    True
    """
    first, slash, last = text.partition("/")
    if not slash and len(first) == _YEAR and first.isascii() and first.isdigit():
        first, last = f"{first}-01", f"{first}-12"
    months = month_interval(parse_month(first)), month_interval(parse_month(last or first))
    return months[0].start_ms, months[1].end_ms


def _instrument(row: Line, version: str, name: str, digest: str) -> Instrument:
    kind = row.taken("kind", lambda text: require_choice(text, "kind", INSTRUMENT_KINDS))
    start_ms, end_ms = row.taken("vintage", vintage_of)
    retired_at = row.taken("retired_at", lambda text: parse_time(text) if text else None)
    answers = {criterion: row.taken(criterion, _answer) for criterion in CRITERIA}
    own = row.taken("evidence_name", str)
    try:
        return Instrument(
            issuer=row.taken("issuer", str), instrument=row.taken("instrument", str),
            version=row.taken("version", str) or version, kind=kind, market=row.taken("market", str),
            vintage_from_ms=start_ms, vintage_to_ms=end_ms,
            energy_mj=row.taken("energy_mwh", lambda text: _whole(text, MILLIJOULES_PER_MWH, "energy_mwh", empty="0")),
            value=row.taken("g_per_kwh", lambda text: _whole(text, _MICROGRAMS_PER_GRAM, "g_per_kwh")),
            retired_for=row.taken("retired_for", str), retired_at_ms=retired_at,
            quality={criterion: answer for criterion, answer in answers.items() if answer},
            evidence_name=own or name, evidence_digest=row.taken("evidence_digest", str) or ("" if own else digest),
        )  # fmt: skip
    except BadInput as refusal:
        if str(refusal).startswith(("line ", "item ")):
            raise
        word = next((field for field in (*_COLUMNS, *NEEDED, *OTHERS) if re.search(rf"\b{field}\b", str(refusal))), "")
        column = {"half_retired": "retired_at", "no_energy": "energy_mwh", "vintage_of_two_years": "vintage"}.get(
            getattr(refusal, "reason", ""), _COLUMNS.get(word, word or "instrument")
        )
        raise row.refuse(column, str(refusal)) from None


def _whole(text: str, scale: int, name: str, *, empty: str = "") -> int:
    if "," in text:
        raise BadInput(f"{text[:40]!r} has a comma: write a point for the decimals, and nothing between the thousands")
    return scale_decimal(text or empty, scale, name)


def _answer(text: str) -> str:
    if text and text.casefold() not in {YES, NO}:
        raise BadInput(f"{text[:40]!r} is neither yes nor no")
    return text.casefold()
