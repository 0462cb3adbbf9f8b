"""`joulebook sites`: where machines stand, and what holds there; and a new description of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joulebook.tables import Column, Page, grid
from joulebook_ledger.core.periods import time_text
from joulebook_ledger.desk.sheet import lines_of
from joulebook_ledger.queries import FactorsQuery
from joulebook_ledger.register.rows import (
    FACTOR_COLUMNS,
    FACTOR_KINDS,
    NEEDED_OF_FACTORS,
    NEEDED_OF_PLACEMENTS,
    NEEDED_OF_SITES,
    PLACEMENT_COLUMNS,
    SITE_COLUMNS,
    Reading,
)
from joulebook_ledger.register.taking import stored_factors, take_factors, take_placements, take_sites

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from joulebook.wiring import Door
    from joulebook_ledger.ledger import Ledger

_KEPT = ("zone", "ownership", "provider", "region", "control")
_OF_SITE = {"pue": "1", "water_site": "L/kWh"}
_MOST_NAMED = 3


def set_site(
    ledger: Ledger, door: Door, said: Mapping[str, str], *, pue: str, water: str, machines: Sequence[str]
) -> None:
    """Describe a site; what is not said stays as it is known.

    Raises:
        BadInput: A word cannot be taken.
    """
    now: Mapping[str, str] = next(
        (item for item in listed(ledger, door.now_ms)["items"] if item["site"] == said["site"]), {}
    )
    moved = bool(said["region"]) and said["region"] != now.get("region", "")
    # Of a site that moves to another region the zone is that of the region, unless it is said.
    kept = {
        name: said[name] or ("" if moved and name in {"zone", "ownership"} else now.get(name, "")) for name in _KEPT
    }
    entry, reading = door.entry(), Reading("what was given")
    _take(ledger, entry, reading, {**said, **kept})
    values = [(kind, value) for kind, value in (("pue", pue), ("water_site", water)) if value]
    if values:
        items = [
            {"kind": kind, "of": said["site"], "value": value, "unit": _OF_SITE[kind], "valid_from": said["valid_from"],
             "source": f"declared by {entry.author}"}
            for kind, value in values
        ]  # fmt: skip
        lines = lines_of([_given(item) for item in items], NEEDED_OF_FACTORS, FACTOR_COLUMNS[len(NEEDED_OF_FACTORS) :])
        take_factors(ledger, door.entry(), lines, reading, FACTOR_KINDS)
    if machines:
        rows = [
            _given({"machine": machine, "site": said["site"], "valid_from": said["valid_from"]}) for machine in machines
        ]
        lines = lines_of(rows, NEEDED_OF_PLACEMENTS, PLACEMENT_COLUMNS[len(NEEDED_OF_PLACEMENTS) :])
        take_placements(ledger, door.entry(), lines, reading)
    ledger.book()


def listed(ledger: Ledger, now_ms: int) -> dict[str, Any]:
    """Return the sites as they are now, each with its machines, PUE and water, and the machines that stand nowhere."""
    body = ledger.sites()
    now = time_text(now_ms)
    sites = _latest(body["items"], "site", now)
    placed = _latest(body["placements"], "machine", now)
    values = {
        (item["of"], item["kind"]): item["value"]
        for item in stored_factors(ledger, FactorsQuery(kinds=tuple(_OF_SITE), at_ms=now_ms))
    }
    items = [
        {
            **site, "pue": values.get((name, "pue")), "water_l_per_kwh": values.get((name, "water_site")),
            "machines": [machine for machine, placement in placed.items() if placement["site"] == name],
        }
        for name, site in sites.items()
    ]  # fmt: skip
    known = ledger.hosts()["machines"]
    return {"items": items, "unplaced": [m["machine"] for m in known if m["machine"] not in placed]}


def page(body: Mapping[str, Any], paper: Page) -> str:
    """Return the sites for people."""
    unplaced = body["unplaced"]
    told = []
    if body["items"]:
        columns = [
            Column("SITE"), Column("ZONE"), Column("OWNERSHIP"), Column("CLOUD"), Column("PUE", right=True), Column("L/KWH", right=True),
            Column("SINCE", leaves=2), Column("MACHINES", shrinks=True, leaves=1),
        ]  # fmt: skip
        told.append(grid(columns, [_cells(item) for item in body["items"]], paper))
    else:
        told.append("No site is described yet: joulebook sites set SITE --zone CODE")
    told += [
        f"{item['site']}: its grid zone is not known, so nothing is priced in CO2e there: joulebook sites set {item['site']} --zone CODE"
        for item in body["items"]
        if not item["zone"]
    ]
    if unplaced:
        told.append(
            f"{_named(unplaced)}: nobody has said where that is: joulebook sites set SITE --machine {unplaced[0]}, or `joulebook init` there"
        )
    return "\n\n".join(told)


def _take(ledger: Ledger, entry: Any, reading: Reading, item: Mapping[str, str]) -> None:
    take_sites(ledger, entry, lines_of([_given(item)], NEEDED_OF_SITES, SITE_COLUMNS[len(NEEDED_OF_SITES) :]), reading)


def _given(item: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in item.items() if value}


def _latest(items: Sequence[Any], name: str, now: str) -> dict[str, Any]:
    """Return what holds now, by name: of what has begun the latest, of one instant what was learnt last."""
    begun = [item for item in items if item["valid_from"] <= now]
    found = sorted(begun, key=lambda item: (item["valid_from"], item["known_since"], item["version"]))
    return dict(sorted((item[name], dict(item)) for item in found))


def _cells(item: Mapping[str, Any]) -> list[str]:
    cloud = " ".join(word for word in (item["provider"], item["region"]) if word)
    return [
        item["site"], item["zone"] or "not known", item["ownership"], cloud, item["pue"] or "", item["water_l_per_kwh"] or "",
        item["valid_from"][:10], _named(item["machines"]),
    ]  # fmt: skip


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
