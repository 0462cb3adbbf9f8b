"""What a correction voids and says instead, for people: a line per fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook.tables import Column, Page, clean, grid, sentence

if TYPE_CHECKING:
    from joulebook_ledger.correcting.bodies import CorrectBody, CorrectedBody

_SHOWN = 20


def page(body: CorrectBody, paper: Page) -> str:
    """Return which facts are voided, what is said instead, and what was booked for it."""
    facts = body["facts"]
    columns = [Column("WRONG"), Column("NOW")]
    rows = [_cells(fact) for fact in facts[:_SHOWN]]
    told = [sentence(_heading(body), paper), grid(columns, rows, paper)]
    if len(facts) > _SHOWN:
        told.append(f"… and {len(facts) - _SHOWN} more; --json lists them all")
    return "\n\n".join([*told, sentence(_ending(body), paper, "dim")])


def _heading(body: CorrectBody) -> str:
    number = len(body["facts"])
    return f"Correcting {number} {body['kind']}{'' if number == 1 else 's'}: {clean(body['reason'])} ({clean(body['author'])})"


def _cells(fact: CorrectedBody) -> list[str]:
    was, now = fact["was"], fact["now"]
    told = " ".join(f"{name}={clean(str(value))}" for name, value in was.items() if value not in {None, "", "{}"})
    if now is None:
        return [told, "void"]
    changed = (f"{name}={clean(str(value))}" for name, value in now.items() if name not in was or was[name] != value)
    return [told, " ".join(changed) or "the same"]


def _ending(body: CorrectBody) -> str:
    if body["dry_run"]:
        return f"Nothing was written. Without --dry-run {body['entries']} entries are booked for it."
    return f"Booked as {body['entries']} entries; link {body['link']}, head {body['head']}."
