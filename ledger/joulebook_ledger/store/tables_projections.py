"""Projections: may be updated, and can always be rebuilt from facts and journal (CORE §1, §3, §5)."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import Index
from sqlmodel import SQLModel

from joulebook_ledger.store.columns import KEYED, STRICT, Amounts, whole, words


class Usage(SQLModel, table=True):
    """What each account drew of a meter in an hour, by the reading's method (`none`: the time and estimates of gaps)."""

    __tablename__: ClassVar[Any] = "usage"
    __table_args__ = (Index("usage_account", "account"), KEYED)
    meter: str = words(primary_key=True)
    hour: int = whole(primary_key=True)
    account: str = words(primary_key=True)
    method: str = words(primary_key=True)
    energy_mj: int = whole()
    held_mj: int = whole()
    time_ms: int = whole()
    unmetered_mj: int = whole()
    overclaimed: int = whole()


class Placed(SQLModel, table=True):
    """The machine that a source is placed by on a day: that of the first reader, by (rank, id), with windows in it."""

    __tablename__: ClassVar[Any] = "placed"
    __table_args__ = (Index("placed_machine", "machine"), KEYED)
    source: str = words(primary_key=True)
    day: int = whole(primary_key=True)
    machine: str = words()


class Booked(Amounts, table=True):
    """What stands in the journal per source and day: the sum of its entries."""

    __tablename__: ClassVar[Any] = "booked"
    __table_args__ = (Index("booked_account", "account"), Index("booked_day", "day"), KEYED)
    source: str = words(primary_key=True)
    day: int = whole(primary_key=True)
    account: str = words(primary_key=True)
    method: str = words(primary_key=True)


class Balance(Amounts, table=True):
    """What was booked in `period` of what happened in `month`; the two differ for adjustments."""

    __tablename__: ClassVar[Any] = "balance"
    __table_args__ = (Index("balance_month", "month"), Index("balance_account", "account"), KEYED)
    period: int = whole(primary_key=True)
    month: int = whole(primary_key=True)
    source: str = words(primary_key=True)
    account: str = words(primary_key=True)
    method: str = words(primary_key=True)


class Due(SQLModel, table=True):
    """A mark that something is to be booked: all sources of a scope, on the days first_day to last_day.

    `scope` is source, machine, site, zone or all; `object` names it. Marks are added, never merged: the booker deletes exactly
    those that it saw.
    """

    __tablename__: ClassVar[Any] = "due"
    __table_args__ = (STRICT,)
    number: int | None = whole(default=None, primary_key=True)
    scope: str = words()
    object: str = words()
    first_day: int = whole()
    last_day: int = whole()
    cause: str = words()
    receipt: int = whole()


class Task(SQLModel, table=True):
    """A job of one period: who does it, since when, and how often it failed. No figure is made of it."""

    __tablename__: ClassVar[Any] = "task"
    __table_args__ = (KEYED,)
    job: str = words(primary_key=True)
    period_ms: int = whole(primary_key=True)
    state: str = words()
    who: str = words()
    since_ms: int = whole()
    next_try_ms: int = whole()
    failures: int = whole()
    last_error: str = words()
    result: str = words()
    again: int = whole()
