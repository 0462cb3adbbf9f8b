"""Places, factors and prices, and what people decide about them: bills, instruments, restatements (CORE §2, §7, §8)."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import Index
from sqlmodel import SQLModel

from joulebook_ledger.store.columns import KEYED, whole, words


class Site(SQLModel, table=True):
    """A place with a grid zone and an owner."""

    __tablename__: ClassVar[Any] = "site"
    __table_args__ = (KEYED,)
    site: str = words(primary_key=True)
    valid_from_ms: int = whole(primary_key=True)
    version: str = words(primary_key=True)
    zone: str = words()
    ownership: str = words()
    provider: str = words(sa_column_kwargs={"server_default": ""})
    region: str = words(sa_column_kwargs={"server_default": ""})
    control: str = words(sa_column_kwargs={"server_default": ""})
    receipt: int = whole(foreign_key="receipt.number")


class Placement(SQLModel, table=True):
    """Where a machine stands from an instant on."""

    __tablename__: ClassVar[Any] = "placement"
    __table_args__ = (KEYED,)
    machine: str = words(primary_key=True)
    valid_from_ms: int = whole(primary_key=True)
    version: str = words(primary_key=True)
    site: str = words()
    receipt: int = whole(foreign_key="receipt.number")


class Asset(SQLModel, table=True):
    """A thing owned: the one meter whose time prices it, and when it was in service."""

    __tablename__: ClassVar[Any] = "asset"
    __table_args__ = (KEYED,)
    asset: str = words(primary_key=True)
    valid_from_ms: int = whole(primary_key=True)
    version: str = words(primary_key=True)
    machine: str = words()
    meter: str = words()
    in_service_from_ms: int = whole()
    in_service_to_ms: int | None = whole(default=None, nullable=True)
    label: str = words()
    evidence_name: str = words()
    evidence_digest: str = words()
    receipt: int = whole(foreign_key="receipt.number")


class NameMap(SQLModel, table=True):
    """team -> cost centre -> entity; account, namespace or label -> team."""

    __tablename__: ClassVar[Any] = "name_map"
    __table_args__ = (KEYED,)
    kind: str = words(primary_key=True)
    name: str = words(primary_key=True)
    valid_from_ms: int = whole(primary_key=True)
    version: str = words(primary_key=True)
    value: str = words()
    receipt: int = whole(foreign_key="receipt.number")


class Factor(SQLModel, table=True):
    """One version of a series (kind, object, provider). `basis` says what it is a mean of, such as direct or lifecycle."""

    __tablename__: ClassVar[Any] = "factor"
    __table_args__ = (KEYED,)
    kind: str = words(primary_key=True)
    object: str = words(primary_key=True)
    provider: str = words(primary_key=True)
    valid_from_ms: int = whole(primary_key=True)
    version: str = words(primary_key=True)
    valid_to_ms: int | None = whole(default=None, nullable=True)
    value: int = whole()
    unit: str = words()
    state: str = words()
    fallback: str = words()
    sigma_ppm: int = whole()
    source: str = words()
    licence: str = words()
    currency: str = words()
    basis: str = words(sa_column_kwargs={"server_default": ""})
    evidence_name: str = words(sa_column_kwargs={"server_default": ""})
    evidence_digest: str = words(sa_column_kwargs={"server_default": ""})
    receipt: int = whole(foreign_key="receipt.number")


class Instrument(SQLModel, table=True):
    """A certificate, contract or supplier rate of the market-based method."""

    __tablename__: ClassVar[Any] = "instrument"
    __table_args__ = (KEYED,)
    issuer: str = words(primary_key=True)
    instrument: str = words(primary_key=True)
    version: str = words(primary_key=True)
    kind: str = words()
    market: str = words()
    vintage_from_ms: int = whole()
    vintage_to_ms: int = whole()
    energy_mj: int = whole()
    value: int = whole()
    retired_for: str = words()
    retired_at_ms: int | None = whole(default=None, nullable=True)
    quality: str = words()
    evidence_name: str = words()
    evidence_digest: str = words()
    receipt: int = whole(foreign_key="receipt.number")


class BillDelivery(SQLModel, table=True):
    """One delivery of a bill; the newest complete one of a period is the bill. `totals` are the sums of its rows (`core.bills`)."""

    __tablename__: ClassVar[Any] = "bill_delivery"
    __table_args__ = (KEYED,)
    provider: str = words(primary_key=True)
    billing_account: str = words(primary_key=True)
    billing_period: int = whole(primary_key=True)
    delivery: str = words(primary_key=True)
    complete: int = whole()
    rows: int = whole()
    currency: str = words()
    evidence_name: str = words()
    evidence_digest: str = words()
    header: str = words(sa_column_kwargs={"server_default": ""})
    totals: str = words(sa_column_kwargs={"server_default": ""})
    first_ms: int = whole(sa_column_kwargs={"server_default": "0"})
    last_ms: int = whole(sa_column_kwargs={"server_default": "0"})
    receipt: int = whole(foreign_key="receipt.number")


class BillRow(SQLModel, table=True):
    """One line of a bill; amounts are exact decimal texts, `content` the whole row as a JSON list below the delivery's header."""

    __tablename__: ClassVar[Any] = "bill_row"
    __table_args__ = (Index("bill_row_resource", "resource", "charge_start_ms"), KEYED)
    provider: str = words(primary_key=True)
    billing_account: str = words(primary_key=True)
    billing_period: int = whole(primary_key=True)
    delivery: str = words(primary_key=True)
    position: int = whole(primary_key=True)
    resource: str = words()
    charge_start_ms: int = whole()
    charge_end_ms: int = whole()
    charge_category: str = words()
    effective_cost: str = words()
    billed_cost: str = words()
    content: str = words()
    invoice: str = words(sa_column_kwargs={"server_default": ""})
    receipt: int = whole(foreign_key="receipt.number")


class Restatement(SQLModel, table=True):
    """Closed months are priced as known at the link `factors_known`; an empty series means all of them."""

    __tablename__: ClassVar[Any] = "restatement"
    __table_args__ = (KEYED,)
    restatement: str = words(primary_key=True)
    from_month: int = whole()
    to_month: int = whole()
    kind: str = words()
    object: str = words()
    provider: str = words()
    factors_known: int = whole()
    reason: str = words()
    author: str = words()
    receipt: int = whole(foreign_key="receipt.number")


class Allocation(SQLModel, table=True):
    """Instruments assigned to the months of a market's year; `content` is the assignment as canonical JSON."""

    __tablename__: ClassVar[Any] = "allocation"
    __table_args__ = (KEYED,)
    market: str = words(primary_key=True)
    year: int = whole(primary_key=True)
    version: str = words(primary_key=True)
    state: str = words()
    content: str = words()
    author: str = words()
    receipt: int = whole(foreign_key="receipt.number")
