"""Closing a month in a test, whatever is missing in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, Engine, text

from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.store.engine import alone
from joulebook_ledger.store.journal import BOOK_LOCK, Booked, book_within


def close_month(engine: Engine, month: int, now_ms: int, *, by_rule: bool = False, parts: Sequence[str] = ()) -> Booked:
    """Book all that is due and seal a month, with what further statements put beside its totals."""
    with alone(engine, BOOK_LOCK) as connection:
        return book_within(connection, now_ms, by_rule=by_rule, closing=partial(_close, month, now_ms, parts))


def _close(month: int, now_ms: int, parts: Sequence[str], connection: Connection, link: int) -> None:
    amounts = ", ".join(COLUMNS)
    row = {"month": month, "now": now_ms, "link": link}
    connection.execute(
        text(
            "INSERT INTO month_close (month, closed_ms, tolerance_ppm, owed, author, link) VALUES (:month, :now, 0, '[]', 'ada', :link)"
        ),
        row,
    )
    connection.execute(
        text(
            f"INSERT INTO close_total (month, source, account, method, {amounts})"
            f" SELECT month, source, account, method, {amounts} FROM balance WHERE month = :month AND period = :month"
        ),
        {"month": month},
    )
    for statement in parts:
        connection.exec_driver_sql(statement)
