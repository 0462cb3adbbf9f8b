"""`joulebook doctor`: settings, meters, spool and ledger of this machine, each with what is wrong and what to do."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joulebook import __version__
from joulebook.places import SETTERS, WORDS, known_place, unset
from joulebook.tables import GAP, Page, clean, pairs, wrapped
from joulebook.wiring import Door, is_drop_box, machine_of, open_ledger
from joulebook_ledger.core.refusals import JoulebookError
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.ledger import Ledger
from joulebook_ledger.settings import Settings, without_secret


def examine(door: Door) -> dict[str, Any]:
    """Return what was found. Nothing is changed but what every command does: spools are recovered and delivered."""
    settings = door.loaded
    return {
        "joulebook": __version__,
        "python": platform.python_version(),
        "machine": _machine(settings),
        "settings": {
            "ledger": without_secret(settings.ledger),
            "home": settings.home,
            "problems": list(settings.problems),
        },
        "meters": _meters(settings),
        "ledger": _ledger(settings, door),
        "spool": _spool(settings),
    }


def is_sound(body: Mapping[str, Any]) -> bool:
    """Say whether settings and ledger are as they should be; an absent meter is no fault."""
    return not body["settings"]["problems"] and body["ledger"]["reachable"]


def _machine(settings: Settings) -> dict[str, Any]:
    from joulebook_collectors.host.identity import host_of

    host = host_of(settings.proc_root, settings.sysfs_root)
    return {
        "id": machine_of(settings), "host": host.name, "processor": host.cpu, "logical_cpus": host.logical_cpus,
        "memory_bytes": host.memory_bytes, "virtual": host.is_virtual,
    }  # fmt: skip


def _meters(settings: Settings) -> list[dict[str, Any]]:
    from joulebook_collectors.host.identity import boot_id
    from joulebook_collectors.meters.diagnosis import diagnose
    from joulebook_collectors.meters.find import find_meters

    sysfs, proc = settings.sysfs_root, settings.proc_root
    found = find_meters(boot=boot_id(proc), sysfs_root=sysfs, proc_root=proc, tdp_cache=_look_up_tdp(settings))
    return [finding._asdict() for finding in diagnose(found, sysfs_root=sysfs, proc_root=proc)]


def _look_up_tdp(settings: Settings) -> str:
    """Look this processor's power up for the model that stands in for a sensor, and return where it is kept.

    Tracked jobs read it there and never look it up themselves. Where it cannot be kept the model's default holds.
    """
    from joulebook_collectors.host.identity import host_of
    from joulebook_collectors.meters.tdp import refresh_tdp_cache
    from joulebook_collectors.reading.watcher import TDP_CACHE

    cache = Path(settings.home) / TDP_CACHE
    with contextlib.suppress(OSError):
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        refresh_tdp_cache(str(cache), host_of(settings.proc_root, settings.sysfs_root), sysfs_root=settings.sysfs_root)
    return str(cache)


def _ledger(settings: Settings, door: Door) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": without_secret(settings.ledger),
        "reachable": False,
        "detail": "",
        "warning": "",
        "not_set": {},
    }
    try:
        if is_drop_box(settings):
            door.fill_drop_box()
            return told | {"reachable": True}
        ledger = open_ledger(settings)
    except JoulebookError as error:
        return told | {"detail": str(error)}
    try:
        not_set = _not_set(ledger, settings, door)
        return told | {"reachable": True, "not_set": not_set, "warning": _warning(ledger, machine_of(settings))}
    except JoulebookError as error:
        return told | {"detail": str(error)}
    finally:
        ledger.close()


def _not_set(ledger: Ledger, settings: Settings, door: Door) -> dict[str, str]:
    door.bring_up_to_date(ledger)
    machine = machine_of(settings)
    known = known_place(FactorBook.from_bytes(ledger.snapshot(machine)), machine, door.now_ms)
    return {kind: f"joulebook init {SETTERS[kind]}" for kind in unset(known)}


def _warning(ledger: Ledger, machine: str) -> str:
    """Return what the ledger found odd about this machine, such as a clone that goes by the same id."""
    return next((known.get("warning", "") for known in ledger.hosts()["machines"] if known["machine"] == machine), "")


def _spool(settings: Settings) -> dict[str, Any]:
    from joulebook_collectors.delivery.spools import state_of

    return dict(state_of(settings))


def page(body: Mapping[str, Any], paper: Page) -> str:
    """Return what was found for people: what is well in one line, what is not with the way out."""
    machine = body["machine"]
    kind = " (virtual)" if machine["virtual"] else ""
    hardware = (
        f"{machine['processor']}, {machine['logical_cpus']} cpus, {machine['memory_bytes'] / 2**30:.1f} GiB{kind}"
    )
    ledger, spool, settings = body["ledger"], body["spool"], body["settings"]
    about = pairs(
        [
            ("joulebook", f"{body['joulebook']}, Python {body['python']}"), ("machine", f"{machine['id']}, {machine['host']}: {hardware}"),
            ("ledger", f"{ledger['name']}: {'in reach' if ledger['reachable'] else 'NOT in reach'}"), ("home", settings["home"]),
            ("spool", f"{spool['folder']}: {_waiting(spool)}"),
        ],
        paper,
    )  # fmt: skip
    troubles = [*settings["problems"], *filter(None, [ledger["detail"], ledger["warning"]]), *_aside(spool)]
    parts = [about, _titled("Meters", [_meter_lines(finding, paper) for finding in body["meters"]], paper)]
    parts.append(_titled("To put right", [wrapped(f"- {clean(trouble)}", paper) for trouble in troubles], paper))
    left = pairs([(WORDS[name], command) for name, command in ledger["not_set"].items()], paper, indent=GAP)
    parts.append(_titled("Not set, and null in every report until you do", [left.splitlines()], paper))
    return "\n\n".join(part for part in parts if part)


def _waiting(spool: Mapping[str, Any]) -> str:
    number, damaged = spool["waiting"], spool["damaged"]
    waiting = "nothing waits" if not number else f"{number} records wait to be delivered"
    return f"{waiting}; {damaged} damaged lines were passed over" if damaged else waiting


def _aside(spool: Mapping[str, Any]) -> list[str]:
    """Return a line for each item that the ledger would not take; it is kept, and blocks nothing."""
    return [
        f"{item['outcome']}: {item['kind']}: {item['detail'] or item['reason']} (kept in {item['file']})"
        for item in spool["aside"]
    ]


def _meter_lines(finding: Mapping[str, Any], paper: Page) -> list[str]:
    mark = paper.styled("yes ", "green") if finding["is_present"] else paper.styled("no  ", "yellow")
    told = ", ".join(filter(None, [finding["method"], finding["detail"], finding["reason"]]))
    head, *rest = wrapped(clean(f"{finding['name']}: {told}" if told else finding["name"]), paper, taken=4)
    lines = [f"{mark}{head}", *(f"    {line}" for line in rest)]
    if finding["why"]:
        lines.extend(f"      {line}" for line in wrapped(clean(finding["why"]), paper, taken=6))
    lines.extend(f"      > {clean(line)}" for line in finding["remedy"].splitlines())
    return lines


def _titled(title: str, blocks: list[list[str]], paper: Page) -> str:
    lines = [line for block in blocks for line in block if line]
    return "\n".join([paper.styled(title, "bold"), *lines]) if lines else ""
