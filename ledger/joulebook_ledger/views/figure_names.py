"""How a figure is named, so that `why` can be asked about it: `run:R#cost`, `report:2026-11/team=vision#co2e_location_kg`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from joulebook_ledger.core.periods import month_text, parse_month
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.queries import ReportQuery

EXPLAINED = (
    "energy_kwh", "facility_energy_kwh", "cost", "cost_energy", "cost_instance", "co2e_location_kg", "co2e_market_kg", "co2e_embodied_kg",
    "water_l",
)  # fmt: skip
_SHORT = {
    "energy": "energy_kwh",
    "co2e": "co2e_location_kg",
    "water": "water_l",
    "facility_energy": "facility_energy_kwh",
}
_ESCAPED = "%/,#=?&"
_FORM = "write run:R#cost, report:2026-11/team=vision#co2e_location_kg, or last cost"
ACCOUNT = "account"


class Asked(NamedTuple):
    """A figure that was asked about.

    Attributes:
        column: One of EXPLAINED.
        run: A run's id or its beginning, "" for the last one; None where a report's figure is asked for.
        report: The report it stands in, or None.
        keys: Key -> value of its row; empty for the total.
    """

    column: str
    run: str | None
    report: ReportQuery | None
    keys: dict[str, str]


def name_of_row(query: ReportQuery, keys: Mapping[str, str | None]) -> str:
    """Return the name of a report's row; of the total, where there are no keys.

    >>> name_of_row(ReportQuery(from_month=202611, to_month=202611), {"team": "vision/eu"})
    'report:2026-11/team=vision%2Feu'
    """
    months = month_text(query.from_month)
    if query.to_month != query.from_month:
        months += f"..{month_text(query.to_month)}"
    options = [
        f"{name}={_escaped(value)}"
        for name, value, default in (
            ("basis", query.basis, "closed"),
            ("idle", query.idle, "separate"),
            ("as_of", query.as_of, ""),
        )
        if value != default
    ]
    asked = "?" + "&".join(options) if options else ""
    row = "/" + ",".join(f"{_escaped(key)}={_escaped(value or '')}" for key, value in keys.items()) if keys else ""
    return f"report:{months}{asked}{row}"


def parse_figure(text: str) -> Asked:
    """Return what a figure's name means.

    Raises:
        BadInput: It is no figure's name; the message says how one is written.
    """
    text = text.strip()
    if text.startswith("last"):
        return Asked(_column(text.removeprefix("last").strip(" #") or "cost"), "", None, {})
    what, _, column = text.partition("#")
    kind, colon, rest = what.partition(":")
    if colon and kind == "run":
        return Asked(_column(column or "cost"), rest, None, {})
    if colon and kind == "report":
        return _report_figure(rest, _column(column or "cost"))
    raise BadInput(f"{text[:80]!r} names no figure: {_FORM}")


def _report_figure(text: str, column: str) -> Asked:
    what, _, row = text.partition("/")
    months, _, options = what.partition("?")
    first, _, last = months.partition("..")
    keys = _pairs(row, ",")
    said = _pairs(options, "&")
    unknown = set(said) - {"basis", "idle", "as_of"}
    if unknown:
        raise BadInput(f"{min(unknown)!r} is no option of a report: it has basis, idle, as_of")
    by: Sequence[str] = [key for key in keys if key != ACCOUNT] or ["model"]
    query = ReportQuery(
        from_month=parse_month(first),
        to_month=parse_month(last or first),
        by=tuple(by),
        basis=said.get("basis", "closed"),
        idle=said.get("idle", "separate"),
        as_of=said.get("as_of", ""),
    )
    return Asked(column, None, query, keys)


def _pairs(text: str, separator: str) -> dict[str, str]:
    pairs = {}
    for part in text.split(separator) if text else ():
        key, equals, value = part.partition("=")
        if not equals:
            raise BadInput(f"{part[:60]!r} is no key with a value: {_FORM}")
        pairs[_unescaped(key)] = _unescaped(value)
    return pairs


def _column(text: str) -> str:
    column = _SHORT.get(text, text)
    if column not in EXPLAINED:
        raise BadInput(f"figure {text[:60]!r} is none of: {', '.join(EXPLAINED)}")
    return column


def _escaped(text: str) -> str:
    return "".join(f"%{ord(c):02X}" if c in _ESCAPED else c for c in text)


def _unescaped(text: str) -> str:
    for character in reversed(_ESCAPED):
        text = text.replace(f"%{ord(character):02X}", character)
    return text
