"""`joulebook sci` for people: carbon per functional unit, its parts, and what is missing of it."""

from __future__ import annotations

from joulebook import figures
from joulebook.doubts import not_covered
from joulebook.tables import Column, Page, grid, sentence
from joulebook_ledger.measures.bodies import SciBody, SciRow

_KILOGRAMS_PER_GRAM = 1 / 1_000


def page(body: SciBody, paper: Page) -> str:
    """Return intensities by model, what they are of, what is unknown and the command that supplies it, and what no figure covers."""
    months = (body["from_month"],) if body["from_month"] == body["to_month"] else (body["from_month"], body["to_month"])
    unit = body["per"].replace("_", " ")
    heading = f"{paper.styled(f'Carbon per {unit}', 'bold')}  {' to '.join(months)}, boundary: {body['boundary']}"
    standard = sentence(f"Software carbon intensity ({body['standard']}), {body['intensity']}.", paper, "dim")
    columns = [
        Column("MODEL", shrinks=True), Column("RUNS", right=True, leaves=2), Column("COUNTED", right=True),
        Column("OPERATION", right=True, leaves=3), Column("EMBODIED", right=True, leaves=3), Column(f"PER {unit.upper()}", right=True),
        Column("+-", right=True, leaves=1),
    ]  # fmt: skip
    table = grid(columns, [_cells(row) for row in body["rows"]], paper) if body["rows"] else "No run is within it."
    reasons = dict.fromkeys(
        reason for row in body["rows"] for name, reason in row["reasons"].items() if name != "sci_g"
    )
    lacking = "\n".join(sentence(f"? {reason}", paper, "yellow") for reason in reasons)
    left_out = not_covered(body["not_covered"], paper)
    notes = "\n".join(sentence(note, paper, "dim") for note in body["notes"])
    return "\n\n".join(part for part in (heading, table, lacking, notes, standard, left_out) if part)


def _cells(row: SciRow) -> list[str]:
    counted = figures.plain(row["units"]) + (" stated" if row["units_from"] == "stated" else "")
    spread = figures.spread(row["uncertainty"]).removeprefix("± ") if row["uncertainty"] else ""
    return [
        row["model"] or "-", str(row["runs"]), counted, figures.mass(row["operational_kg"]), figures.mass(row["embodied_kg"]),
        figures.mass(None if row["sci_g"] is None else row["sci_g"] * _KILOGRAMS_PER_GRAM), spread,
    ]  # fmt: skip
