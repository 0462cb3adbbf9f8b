"""What readers send: receipts, readers, meters, windows, uses; and what was refused, voided or archived of it (CORE §2)."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import SQLModel

from joulebook_ledger.store.columns import KEYED, STRICT, sealed_by_a_link, whole, words

_BY_DAY = {**KEYED, "postgresql_partition_by": "RANGE (start_ms)"}


class Receipt(SQLModel, table=True):
    """One batch. `digest` is that of the facts stored under it; `batch_digest` that of the bytes as they were sent.

    A batch delivered again may bring what had to be retried later: that is stored under a further part of the same receipt.
    """

    __tablename__: ClassVar[Any] = "receipt"
    __table_args__ = (
        UniqueConstraint("reader", "sequence", "part", name="receipt_key"),
        CheckConstraint("number > 0", name="receipt_number"),
        STRICT,
    )
    number: int | None = whole(default=None, primary_key=True)
    reader: str = words()
    sequence: int = whole()
    part: int = whole()
    received_ms: int = whole()
    batch_digest: str = words()
    digest: str = words()
    facts: int = whole()
    state: str = words()
    complete_until_ms: int = whole()
    author: str = words()


class SealedReceipt(SQLModel, table=True):
    """Which link put a receipt into the chain."""

    __tablename__: ClassVar[Any] = "sealed_receipt"
    __table_args__ = (sealed_by_a_link(), Index("sealed_receipt_link", "link"), KEYED)
    receipt: int = whole(primary_key=True, foreign_key="receipt.number")
    link: int = whole()


class Reader(SQLModel, table=True):
    """One per (machine, boot, spool folder). What changes with time (state, complete until) stands in its receipts."""

    __tablename__: ClassVar[Any] = "reader"
    __table_args__ = (Index("reader_machine", "machine"), KEYED)
    reader: str = words(primary_key=True)
    machine: str = words()
    boot: str = words()
    host: str = words()
    rank: int = whole()
    receipt: int = whole()


class Retirement(SQLModel, table=True):
    """A reader that a person retired by hand."""

    __tablename__: ClassVar[Any] = "retirement"
    __table_args__ = (KEYED,)
    reader: str = words(primary_key=True)
    reason: str = words()
    author: str = words()
    receipt: int = whole(foreign_key="receipt.number")


class Meter(SQLModel, table=True):
    """What a meter is; a changed attribute is a new meter."""

    __tablename__: ClassVar[Any] = "meter"
    __table_args__ = (KEYED,)
    meter: str = words(primary_key=True)
    device: str = words()
    domain: str = words()
    component: str = words()
    boundary: str = words()
    role: str = words()
    max_power_mw: int = whole()
    label: str = words()
    receipt: int = whole(foreign_key="receipt.number")


class MeterWindow(SQLModel, table=True):
    """A reading (energy_mj) or a gap (reason). On PostgreSQL partitioned by the UTC day of its start."""

    __tablename__: ClassVar[Any] = "meter_window"
    __table_args__ = (_BY_DAY,)
    meter: str = words(primary_key=True)
    start_ms: int = whole(primary_key=True)
    reader: str = words(primary_key=True)
    end_ms: int = whole()
    energy_mj: int | None = whole(default=None, nullable=True)
    method: str = words()
    reason: str = words()
    estimate_mj: int | None = whole(default=None, nullable=True)
    receipt: int = whole()


class MeterUse(SQLModel, table=True):
    """A claim of who drew the energy of a window. On PostgreSQL partitioned by the UTC day of its window's start."""

    __tablename__: ClassVar[Any] = "meter_use"
    __table_args__ = (_BY_DAY,)
    meter: str = words(primary_key=True)
    start_ms: int = whole(primary_key=True)
    reader: str = words(primary_key=True)
    run: str = words(primary_key=True)
    energy_mj: int = whole()
    static_mj: int = whole()
    time_ms: int = whole()
    active_ms: int = whole()
    method: str = words()
    receipt: int = whole()


class Correction(SQLModel, table=True):
    """Voids one fact, named by its table and its key (a JSON list, as `store.keys` prints it)."""

    __tablename__: ClassVar[Any] = "correction"
    __table_args__ = (KEYED,)
    voided_table: str = words(primary_key=True)
    voided_key: str = words(primary_key=True)
    reason: str = words()
    author: str = words()
    receipt: int = whole(foreign_key="receipt.number")


class RefusedFact(SQLModel, table=True):
    """An item that never entered the books, kept for a person to see."""

    __tablename__: ClassVar[Any] = "refused_fact"
    __table_args__ = (KEYED,)
    reader: str = words(primary_key=True)
    sequence: int = whole(primary_key=True)
    kind: str = words(primary_key=True)
    position: int = whole(primary_key=True)
    digest: str = words(primary_key=True)
    content: str = words()
    outcome: str = words()
    reason: str = words()
    detail: str = words()
    received_ms: int = whole()


class ArchiveManifest(SQLModel, table=True):
    """A UTC day whose windows lie in the archive; only such a day's windows may leave the book."""

    __tablename__: ClassVar[Any] = "archive_manifest"
    __table_args__ = (KEYED,)
    day: int = whole(primary_key=True)
    place: str = words()
    windows: int = whole()
    uses: int = whole()
    digest: str = words()
    archived_ms: int = whole()
