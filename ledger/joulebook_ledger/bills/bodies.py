"""The JSON bodies of bills; amounts of money are exact decimal texts."""

from __future__ import annotations

from typing_extensions import TypedDict


class BillBody(TypedDict):
    """A delivery as it stands in the book: `outcome` is stored or already_stored."""

    provider: str
    billing_account: str
    billing_period: str
    delivery: str
    rows: int
    currency: str
    billed_cost: str
    effective_cost: str
    outcome: str


class BillsBody(TypedDict):
    """Deliveries that were taken in, and what was read against the letter of the standard."""

    items: list[BillBody]
    warnings: list[str]


class InvoiceBody(TypedDict):
    """What is billed on one invoice: exact, and to the cent as the invoice says it. `invoice` is empty where the rows name none."""

    invoice: str
    billed_cost: str
    to_the_cent: str
    effective_cost: str


class ServiceBody(TypedDict):
    """What a service comes to; `in_machines` is the part of effective_cost that stands in the hours of machines."""

    service: str
    billed_cost: str
    effective_cost: str
    in_machines: str


class CommitmentBody(TypedDict):
    """A commitment: what was paid for it, and how much of it was used and unused."""

    commitment: str
    purchased: str
    used: str
    unused: str


class MachineBillBody(TypedDict):
    """A machine: its hours by price, its bill, and the difference (bill - estimate) by causes; null is unknown."""

    machine: str
    host: str
    metered_hours: float
    estimate: str | None
    effective_cost: str
    billed_cost: str
    difference: str | None
    causes: dict[str, str]
    services: list[str]


class AccountBody(TypedDict):
    """One bill: the newest delivery of a billing account and period."""

    provider: str
    billing_account: str
    billing_period: str
    delivery: str
    rows: int
    currency: str
    billed_cost: str
    effective_cost: str
    in_machines: str
    unallocated: str
    by_category: dict[str, str]
    corrections: str
    invoices: list[InvoiceBody]
    services: list[ServiceBody]
    commitments: list[CommitmentBody]
    machines: list[MachineBillBody]
    notes: list[str]


class UnbilledBody(TypedDict):
    """A machine of a cloud that was metered, and that no bill of the month names."""

    machine: str
    host: str
    metered_hours: float
    booked: str


class ReconciliationBody(TypedDict):
    """A month's bills beside what was metered; amounts of money are exact decimal texts."""

    month: str
    currency: str | None
    link: int
    head: str
    accounts: list[AccountBody]
    unbilled: list[UnbilledBody]
