"""All tables of a book, by name. Facts and journal are append-only (`store.laws`); projections can be rebuilt."""

from __future__ import annotations

from sqlmodel import SQLModel

from joulebook_ledger.store.tables_factors import (
    Allocation,
    Asset,
    BillDelivery,
    BillRow,
    Factor,
    Instrument,
    NameMap,
    Placement,
    Restatement,
    Site,
)
from joulebook_ledger.store.tables_journal import (
    BookSetting,
    CloseFigure,
    CloseLabel,
    CloseSource,
    CloseTotal,
    Entry,
    Link,
    MonthClose,
    Posting,
)
from joulebook_ledger.store.tables_projections import Balance, Booked, Due, Placed, Task, Usage
from joulebook_ledger.store.tables_readings import (
    ArchiveManifest,
    Correction,
    Meter,
    MeterUse,
    MeterWindow,
    Reader,
    Receipt,
    RefusedFact,
    Retirement,
    SealedReceipt,
)
from joulebook_ledger.store.tables_runs import RunEvent, Score, WorkCount

__all__ = [
    "METADATA",
    "Allocation",
    "ArchiveManifest",
    "Asset",
    "Balance",
    "BillDelivery",
    "BillRow",
    "BookSetting",
    "Booked",
    "CloseFigure",
    "CloseLabel",
    "CloseSource",
    "CloseTotal",
    "Correction",
    "Due",
    "Entry",
    "Factor",
    "Instrument",
    "Link",
    "Meter",
    "MeterUse",
    "MeterWindow",
    "MonthClose",
    "NameMap",
    "Placed",
    "Placement",
    "Posting",
    "Reader",
    "Receipt",
    "RefusedFact",
    "Restatement",
    "Retirement",
    "RunEvent",
    "Score",
    "SealedReceipt",
    "Site",
    "Task",
    "Usage",
    "WorkCount",
]

METADATA = SQLModel.metadata
