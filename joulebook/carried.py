"""What `joulebook import spool` took, as JSON and for people."""

from __future__ import annotations

from typing import Any

from joulebook.tables import Page, clean, sentence
from joulebook_collectors.delivery.carried import Carried


def body_of(carried: Carried, ledger: str, *, entries: int) -> dict[str, Any]:
    """Return what was taken, and what was not and why."""
    return {
        "ledger": ledger, "items": carried.items, "outcomes": dict(sorted(carried.counts.items())), "batches": carried.batches,
        "spools": carried.spools, "open_runs": carried.open_runs, "entries_booked": entries,
        "left": [{"file": path, "reason": why} for path, why in sorted(carried.left.items())],
    }  # fmt: skip


def page(body: dict[str, Any], path: str, paper: Page) -> str:
    """Return the same for people."""
    outcomes = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in body["outcomes"].items())
    taken = f"{body['items']} items of {path} were taken into {body['ledger']}{f' ({outcomes})' if outcomes else ''}"
    told = [f"{taken}; {body['entries_booked']} entries booked."]
    if body["open_runs"]:
        told.append(
            f"{body['open_runs']} runs were still open when the spool was copied, and are left so. If that machine is gone for good, "
            "take it in once more with --final."
        )
    told += [f"Left: {clean(left['file'])}: {clean(left['reason'])}" for left in body["left"]]
    return "\n".join(sentence(line, paper) for line in told)
