"""The journal, its chain and its closes (CORE §5, §6, §9)."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import SQLModel

from joulebook_ledger.store.columns import KEYED, STRICT, Amounts, sealed_by_a_link, whole, words


class Entry(Amounts, table=True):
    """What is booked for one source and day, with the source leg in the columns of `Amounts`."""

    __tablename__: ClassVar[Any] = "entry"
    __table_args__ = (
        UniqueConstraint("source", "day", "revision", name="entry_key"),
        CheckConstraint("number > 0", name="entry_number"),
        sealed_by_a_link(),
        Index("entry_link", "link"),
        Index("entry_period", "period", "day"),
        STRICT,
    )
    number: int = whole(primary_key=True, sa_column_kwargs={"autoincrement": False})
    source: str = words()
    day: int = whole()
    revision: int = whole()
    period: int = whole()
    cause: str = words()
    known: int = whole()
    link: int = whole()
    digest: str = words()


class Posting(Amounts, table=True):
    """Who bears an entry. The postings of an entry sum to its leg in every column."""

    __tablename__: ClassVar[Any] = "posting"
    __table_args__ = (Index("posting_account", "account"), KEYED)
    entry: int = whole(primary_key=True, sa_column_kwargs={"autoincrement": False})
    account: str = words(primary_key=True)
    method: str = words(primary_key=True)


class Link(SQLModel, table=True):
    """One link of the chain: what it seals, by digest, and when."""

    __tablename__: ClassVar[Any] = "link"
    __table_args__ = (CheckConstraint("sequence > 0", name="link_sequence"), STRICT)
    sequence: int = whole(primary_key=True, sa_column_kwargs={"autoincrement": False})
    previous: str = words()
    at_ms: int = whole()
    receipts_digest: str = words()
    entries_digest: str = words()
    digest: str = words()


class MonthClose(SQLModel, table=True):
    """A sealed month; `owed` is what was missing, as canonical JSON."""

    __tablename__: ClassVar[Any] = "month_close"
    __table_args__ = (sealed_by_a_link(), CheckConstraint("month > 0", name="month_close_month"), STRICT)
    month: int = whole(primary_key=True, sa_column_kwargs={"autoincrement": False})
    closed_ms: int = whole()
    tolerance_ppm: int = whole()
    owed: str = words()
    author: str = words()
    link: int = whole()


class CloseTotal(Amounts, table=True):
    """A closed month's sealed amounts per source, account and method."""

    __tablename__: ClassVar[Any] = "close_total"
    __table_args__ = (KEYED,)
    month: int = whole(primary_key=True)
    source: str = words(primary_key=True)
    account: str = words(primary_key=True)
    method: str = words(primary_key=True)


class CloseFigure(SQLModel, table=True):
    """A closed month's sealed figures per account: the row shape, as canonical JSON."""

    __tablename__: ClassVar[Any] = "close_figure"
    __table_args__ = (KEYED,)
    month: int = whole(primary_key=True)
    account: str = words(primary_key=True)
    figures: str = words()


class CloseLabel(SQLModel, table=True):
    """A run's labels as they were when the month was closed, as canonical JSON."""

    __tablename__: ClassVar[Any] = "close_label"
    __table_args__ = (KEYED,)
    month: int = whole(primary_key=True)
    run: str = words(primary_key=True)
    labels: str = words()


class CloseSource(SQLModel, table=True):
    """Where a source of a closed month stood over a stretch of days, and how it was priced, as canonical JSON."""

    __tablename__: ClassVar[Any] = "close_source"
    __table_args__ = (KEYED,)
    month: int = whole(primary_key=True)
    source: str = words(primary_key=True)
    first_day: int = whole(primary_key=True)
    last_day: int = whole()
    machine: str = words()
    host: str = words()
    site: str = words()
    pricing: str = words()


class BookSetting(SQLModel, table=True):
    """What holds for the whole book for ever: its currency, its money unit, and which version made which schema."""

    __tablename__: ClassVar[Any] = "book_setting"
    __table_args__ = (KEYED,)
    name: str = words(primary_key=True)
    value: str = words()
