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
