"""Rows of a FOCUS file, of which a test says only what it is about."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping

from joulebook_ledger.core.bills import Totals
from joulebook_ledger.core.focus import MANDATORY, FocusRows

USUAL = {
    "BillingAccountId": "123456789012",
    "BillingAccountName": "main",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2024-09-01T00:00:00Z",
    "BillingPeriodEnd": "2024-10-01T00:00:00Z",
    "ChargePeriodStart": "2024-09-03T10:00:00Z",
    "ChargePeriodEnd": "2024-09-03T11:00:00Z",
    "ChargeCategory": "Usage",
    "ProviderName": "AWS",
    "PublisherName": "AWS",
    "InvoiceIssuerName": "AWS",
    "ServiceCategory": "Compute",
    "ServiceName": "Amazon Elastic Compute Cloud",
    "BilledCost": "0",
    "EffectiveCost": "0",
}
COLUMNS = [names[0] for names in MANDATORY]


def focus_table(rows: Iterable[Mapping[str, str]]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a file; what a row does not say is usual, or null."""
    given = list(rows)
    header = list(dict.fromkeys([*COLUMNS, *(name for row in given for name in row)]))
    return header, [[(USUAL | dict(row)).get(name, "") for name in header] for row in given]


def focus_csv(rows: Iterable[Mapping[str, str]]) -> bytes:
    """Return the bytes of such a file."""
    out = io.StringIO(newline="")
    header, table = focus_table(rows)
    csv.writer(out).writerows([header, *table])
    return out.getvalue().encode()


def totals_of(rows: Iterable[Mapping[str, str]]) -> Totals:
    """Return what such rows come to."""
    header, table = focus_table(rows)
    reader, totals = FocusRows(header), Totals()
    for number, cells in enumerate(table, start=2):
        totals.add(reader.line(number, cells))
    return totals
