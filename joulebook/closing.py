"""What is said of a run at its end, and when it is printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from joulebook import figures
from joulebook_collectors.host.guard import harmless, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from joulebook.footprint import Footprint
    from joulebook.run import Run
    from joulebook_ledger.settings import Settings

WAIT_SECONDS = 0.5
_COMMAND = re.compile(r"`([^`]+)`")
_SHOWN = 8


@harmless(None)
def say_end(run: Run) -> None:
    """Say on stderr what a run cost, in one line; unless it is to be quiet, or another rank speaks for it."""
    opened = run.opened
    if opened is None or opened.is_joined or run.session is None:
        return
    trouble = run.session.trouble
    if trouble:
        say(f"the spool cannot be written ({trouble}): of run {run.id[:_SHOWN]} only a part is recorded, or nothing")
        return
    run.session.await_windows(WAIT_SECONDS)
    say(f"{line(run.footprint)} · run {run.id[:_SHOWN]}")


def say_command_end(settings: Settings) -> Callable[[str, str, float], None]:
    """Return what says the same of a command's run, for `joulebook run`."""

    @harmless(None)
    def closing(run: str, boot_folder: str, duration_s: float) -> None:
        if not settings.quiet:
            from joulebook.footprint import footprint_of

            say(f"{line(footprint_of(run, boot_folder, settings, duration_s=duration_s))} · run {run[:_SHOWN]}")

    return closing


def line(footprint: Footprint) -> str:
    """Return energy with its uncertainty and method, cost and CO2e; for what is unknown, the command that supplies it."""
    row = footprint.row
    reasons = row.get("reasons", {})
    if row.get("energy_kwh") is None:
        return f"energy unknown: {_command(reasons.get('energy_kwh', ''), 'joulebook doctor')}"
    parts = [f"{figures.energy(row.get('energy_kwh'))} {_quality(footprint)}".strip()]
    missing: dict[str, list[str]] = {}
    for name, word, text in (
        ("cost", "cost", figures.money(row.get("cost"), row.get("currency"))),
        ("co2e_location_kg", "CO2e", f"{figures.mass(row.get('co2e_location_kg'))} CO2e"),
    ):
        if row.get(name) is None:
            missing.setdefault(_command(reasons.get(name, ""), "joulebook init"), []).append(word)
        else:
            parts.append(text)
    parts += [f"{' and '.join(words)}: {command}" for command, words in missing.items()]
    return " · ".join(parts)


def block(run: Run) -> str:
    """Return a run for people: what it was and what it cost."""
    title = " ".join(filter(None, [run.labels.get("model"), run.labels.get("version")])) or "run"
    lines = [f"{title} · {run.status} · {figures.duration(run.duration_s)} · run {run.id or '(not recorded)'}"]
    return "\n".join([*lines, *(f"  {name:<9}{text}" for name, text in _pairs(run.footprint))])


def html(run: Run) -> str:
    """Return a run as a small table for a notebook."""
    from html import escape

    heading, *_ = block(run).splitlines()
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(text)}</td></tr>"
        for name, text in _pairs(run.footprint)
    )
    return f"<table><caption>{escape(heading)}</caption>{rows}</table>"


def _pairs(footprint: Footprint) -> list[tuple[str, str]]:
    row = footprint.row
    reasons = row.get("reasons", {})
    told = [
        ("energy", "energy_kwh", f"{figures.energy(row.get('energy_kwh'))} {_quality(footprint)}"),
        ("cost", "cost", figures.money(row.get("cost"), row.get("currency"))),
        ("CO2e", "co2e_location_kg", figures.mass(row.get("co2e_location_kg"))),
        ("water", "water_l", figures.water(row.get("water_l"))),
    ]
    pairs = [
        (word, text if row.get(name) is not None else f"? {reasons.get(name, '')}".rstrip())
        for word, name, text in told
    ]
    return [*pairs, ("quality", f"{row.get('sentence') or ''} · provisional until it is booked".strip(" ·"))]


def _quality(footprint: Footprint) -> str:
    """Return the uncertainty of the energy, and whether it was measured or modelled."""
    row = footprint.row
    measured = row.get("measured_share")
    if measured is None:
        method = ""
    elif measured >= 1:
        method = "measured"
    elif measured <= 0:
        method = "modelled"
    else:
        method = f"{figures.share(measured)} measured"
    spread = figures.spread((row.get("uncertainty") or {}).get("energy_kwh"))
    return " ".join(filter(None, [spread, f"({method})" if method else ""]))


def _command(reason: str, otherwise: str) -> str:
    found = _COMMAND.search(reason)
    return found[1] if found else otherwise
