"""What happens to runs: events with labels, scores, and work counted (CORE §2)."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import Index
from sqlmodel import SQLModel

from joulebook_ledger.store.columns import KEYED, whole, words


class RunEvent(SQLModel, table=True):
    """started, labelled, joined or ended; `labels` and `facts` are canonical JSON objects."""

    __tablename__: ClassVar[Any] = "run_event"
    __table_args__ = (Index("run_event_at", "at_ms"), KEYED)
    run: str = words(primary_key=True)
    event: str = words(primary_key=True)
    kind: str = words()
    at_ms: int = whole()
    labels: str = words()
    status: str = words()
    facts: str = words()
    receipt: int = whole(foreign_key="receipt.number")


class Score(SQLModel, table=True):
    """A score or an efficiency fact of a run; `value` is the decimal text as given, lower_is_better 0, 1 or null."""

    __tablename__: ClassVar[Any] = "score"
    __table_args__ = (KEYED,)
    run: str = words(primary_key=True)
    score: str = words(primary_key=True)
    name: str = words()
    value: str = words()
    at_ms: int = whole()
    step: int | None = whole(default=None, nullable=True)
    split: str = words()
    unit: str = words()
    lower_is_better: int | None = whole(default=None, nullable=True)
    receipt: int = whole(foreign_key="receipt.number")


class WorkCount(SQLModel, table=True):
    """Work served in an interval; `latency` is a canonical JSON object of histogram buckets."""

    __tablename__: ClassVar[Any] = "work_count"
    __table_args__ = (KEYED,)
    run: str = words(primary_key=True)
    count: str = words(primary_key=True)
    start_ms: int = whole()
    end_ms: int = whole()
    requests: int = whole()
    tokens_in: int = whole()
    tokens_out: int = whole()
    latency: str = words()
    receipt: int = whole(foreign_key="receipt.number")
