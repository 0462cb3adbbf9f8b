"""Figures that do not depend on who computed them: what a book holds, as plain sums of its tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def figures(book: Path) -> dict[str, object]:
    """Return what a book holds that any later release has to make of the same bytes."""
    asked = {
        "usage": "SELECT account, method, SUM(energy_mj), SUM(time_ms) FROM usage GROUP BY account, method ORDER BY account, method",
        "windows": "SELECT COUNT(*), SUM(energy_mj) FROM meter_window",
        "ended": "SELECT run, status FROM run_event WHERE kind = 'ended' ORDER BY run",
        "scores": "SELECT COUNT(*) FROM score",
        "counts": "SELECT SUM(requests), SUM(tokens_out) FROM work_count",
    }  # fmt: skip
    with closing(sqlite3.connect(book)) as connection:
        return {name: [list(row) for row in connection.execute(sql)] for name, sql in asked.items()}
