"""Rows of a bill in FOCUS (FinOps Open Cost and Usage Specification, 1.0 to 1.3), read cell by cell. Pure.

A bill is taken whole or refused with row and column. What providers are known to write against the standard without changing its
meaning is read and counted: the text NULL for null, times without a zone for UTC. Columns nobody here knows are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from operator import itemgetter
from typing import NamedTuple

from joulebook_ledger.core.periods import day_of, day_text, parse_time
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import LONGEST_NAME

DECIMALS = 30
"""Amounts are read as integers of 10^-30: sums of a whole bill are exact, and no provider writes finer."""
QUANTUM: int = 10**DECIMALS
USAGE, PURCHASE, TAX, CREDIT, ADJUSTMENT = "Usage", "Purchase", "Tax", "Credit", "Adjustment"
CATEGORIES = (USAGE, PURCHASE, TAX, CREDIT, ADJUSTMENT)
USED, UNUSED = "Used", "Unused"
CORRECTION = "Correction"
# Either name will do: FOCUS 1.3 renames who provides and who publishes.
MANDATORY: tuple[tuple[str, ...], ...] = (
    ("BilledCost",), ("EffectiveCost",), ("ListCost",), ("ContractedCost",), ("BillingAccountId",), ("BillingAccountName",),
    ("BillingCurrency",), ("BillingPeriodStart",), ("BillingPeriodEnd",), ("ChargePeriodStart",), ("ChargePeriodEnd",),
    ("ChargeCategory",), ("ChargeClass",), ("ChargeDescription",), ("InvoiceIssuerName",), ("PricingQuantity",), ("PricingUnit",),
    ("ProviderName", "ServiceProviderName"), ("PublisherName", "HostProviderName"), ("ServiceCategory",), ("ServiceName",),
)  # fmt: skip
_HEAD = ("ProviderName", "BillingAccountId", "BillingCurrency", "BillingPeriodStart", "BillingPeriodEnd")
_BODY = ("ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory", "ServiceName", "EffectiveCost", "BilledCost", "ListCost", "ContractedCost",
         "InvoiceId", "ResourceId", "ChargeClass", "CommitmentDiscountId", "CommitmentDiscountStatus")  # fmt: skip
_OTHER_NAMES = {"ProviderName": "ServiceProviderName"}
_NULL = "NULL"
_PLAIN = re.compile(r"(-?)([0-9]+)(?:\.([0-9]*))?\Z", re.ASCII)
_SCIENTIFIC = re.compile(r"-?[0-9]+(?:\.[0-9]*)?[eE][+-]?[0-9]{1,3}\Z", re.ASCII)
_THOUSANDS = re.compile(r"-?[0-9]{1,3}(?:[,' ][0-9]{3})+(?:\.[0-9]*)?\Z", re.ASCII)
_DETAIL = re.compile(r'"InstanceType"\s*:\s*"([^"]+)"')
_INSTANCE = re.compile(r"\b([a-z][a-z0-9-]*\.(?:[0-9]*x?large|metal[a-z0-9-]*|medium|small|micro|nano))\b", re.ASCII)
_MACHINE = re.compile(r"(?:\binstance|/instances|/virtualMachines)/([^/]+)\Z", re.ASCII | re.IGNORECASE)
LONGEST_AMOUNT = 60
LONGEST_RESOURCE = 1_000
LONGEST_CELL = 1 << 20
MOST_REMEMBERED = 100_000


class BillOf(NamedTuple):
    """Which bill a line is of: all that its deliveries have in common.

    Attributes:
        provider: Who sells.
        account: The billing account.
        period: First day of the billing period, yyyymmdd.
        currency: ISO 4217 code of its amounts.
    """

    provider: str
    account: str
    period: int
    currency: str


class Line(NamedTuple):
    """One line of a bill, whose place in the delivery is its name. Amounts are integers of 10^-30 of its currency.

    Attributes:
        bill: Which bill it is of.
        start_ms: Charge period, half-open.
        end_ms: Its end.
        category: Of CATEGORIES.
        service: Name of what was sold.
        invoice: Its id; empty where the provider says none.
        resource: Id of the thing that was charged for; empty where it is of none.
        charge_class: "Correction" of an earlier bill, or empty.
        commitment: Id of the commitment discount, or empty.
        status: Used or Unused of a commitment, or empty.
        effective: What is charged on.
        billed: What is invoiced.
        effective_text: As it was written.
        billed_text: As it was written.
        cells: The whole row as it was written, in the order of the header.
    """

    bill: BillOf
    start_ms: int
    end_ms: int
    category: str
    service: str
    invoice: str
    resource: str
    charge_class: str
    commitment: str
    status: str
    effective: int
    billed: int
    effective_text: str
    billed_text: str
    cells: Sequence[str]


class FocusRows:
    """Reads the rows below one header, and counts what was read against the letter of the standard.

    Attributes:
        header: Names of the columns, as they were written.
        nulls: How many cells said NULL.
        naive: How many rows had times without a zone.
    """

    def __init__(self, header: Sequence[str]) -> None:
        """Find the columns.

        Raises:
            BadInput: A mandatory column is missing, or one is there twice.
        """
        self.header = tuple(name.strip() for name in header)
        self.nulls = self.naive = 0
        places = _places(self.header)
        # What a file has not is read from one empty cell behind its rows.
        nowhere = len(self.header)
        self._of_bill = itemgetter(*(_place(places, name, nowhere) for name in _HEAD))
        self._of_line = itemgetter(*(_place(places, name, nowhere) for name in _BODY))
        self._bills: dict[tuple[str, ...], BillOf] = {}
        self._amounts: dict[str, int] = {}
        self._times: dict[str, int] = {}
        self._unzoned: set[str] = set()

    def line(self, number: int, cells: list[str]) -> Line:
        """Return what a row says.

        Args:
            number: Of the row in its file; the header is row 1.
            cells: Its texts. The list is kept.

        Raises:
            BadInput: It is cut short, or a cell cannot be taken; the message names row and column.
        """
        if len(cells) != len(self.header):
            raise BadInput(
                f"row {number} has {len(cells)} cells where the header has {len(self.header)}: the file is cut off, or a comma stands "
                "in a text without quotes around it; nothing of it was taken"
            )
        if _NULL in cells:
            self.nulls += cells.count(_NULL)
            said = ["" if cell == _NULL else cell for cell in cells]
        else:
            said = cells.copy()
        said.append("")
        try:
            return self._line(said, cells)
        except _Cell as refusal:
            raise BadInput(f"row {number}, column {refusal.column!r}: {refusal.why}") from None

    def _line(self, said: list[str], cells: list[str]) -> Line:
        head = self._of_bill(said)
        bill = self._bills.get(head)
        if bill is None:
            bill = self._bills[head] = self._bill(head)
        (start, end, category, service, effective, billed, listed, contracted, invoice, resource, charge_class, commitment, status) = (
            self._of_line(said)
        )  # fmt: skip
        start_ms, end_ms = self._time(start, "ChargePeriodStart"), self._time(end, "ChargePeriodEnd")
        if start in self._unzoned:
            self.naive += 1
        if end_ms <= start_ms:
            raise _Cell(
                "ChargePeriodEnd",
                f"{end!r} is not after the start, {start!r}: the end is the first instant no longer within",
            )
        if category not in CATEGORIES:
            raise _Cell("ChargeCategory", f"{category[:60]!r} is none of: {', '.join(CATEGORIES)}")
        if not service:
            raise _Cell("ServiceName", "is empty")
        for name, text in (("ResourceId", resource), ("InvoiceId", invoice), ("ServiceName", service)):
            if len(text) > LONGEST_RESOURCE or not text.isprintable():
                raise _Cell(
                    name, f"{text[:40]!r} has more than {LONGEST_RESOURCE} characters, or some that cannot be printed"
                )
        for name, text in (("ListCost", listed), ("ContractedCost", contracted)):
            if text:
                self._amount(text, name)
        return Line(
            bill, start_ms, end_ms, category, service, invoice, resource, charge_class, commitment, status,
            self._amount(effective, "EffectiveCost"), self._amount(billed, "BilledCost"), effective, billed, cells,
        )  # fmt: skip

    def _bill(self, head: tuple[str, ...]) -> BillOf:
        for name, text in zip(_HEAD, head, strict=True):
            if not text:
                raise _Cell(name, "is empty")
            if len(text) > LONGEST_NAME or not text.isprintable():
                raise _Cell(
                    name, f"{text[:40]!r} has more than {LONGEST_NAME} characters, or some that cannot be printed"
                )
        provider, account, currency, start, end = head
        if len(currency) != len("EUR") or not (currency.isascii() and currency.isalpha() and currency.isupper()):
            raise _Cell("BillingCurrency", f"{currency!r} is no currency: FOCUS has ISO 4217 codes, such as EUR")
        start_ms, end_ms = self._time(start, "BillingPeriodStart"), self._time(end, "BillingPeriodEnd")
        if end_ms <= start_ms:
            raise _Cell("BillingPeriodEnd", f"{end!r} is not after the start, {start!r}")
        return BillOf(provider, account, int(_date(start_ms).replace("-", "")), currency)

    def _time(self, text: str, column: str) -> int:
        found = self._times.get(text)
        if found is None:
            found, is_naive = _instant(text, column)
            self._times = _remembered(self._times, text, found)
            if is_naive:
                self._unzoned.add(text)
        return found

    def _amount(self, text: str, column: str) -> int:
        found = self._amounts.get(text)
        if found is None:
            found = _quanta(text, column)
            self._amounts = _remembered(self._amounts, text, found)
        return found


class _Cell(Exception):
    """Raised when a cell cannot be taken; whoever knows the row turns it into a refusal."""

    def __init__(self, column: str, why: str) -> None:
        super().__init__(why)
        self.column = column
        self.why = why


def quanta(text: str) -> int:
    """Return an amount in integers of 10^-30.

    Raises:
        BadInput: It is no decimal, is finer than that, or has thousands separators.

    >>> quanta("-1.14000000000") == -114 * 10**28
    True
    """
    try:
        return _quanta(text, "")
    except _Cell as refusal:
        raise BadInput(refusal.why) from None


def amount_text(amount: int) -> str:
    """Return integers of 10^-30 as a plain decimal text, without loss and without trailing zeros.

    >>> amount_text(quanta("1.5E-3"))
    '0.0015'
    """
    whole, rest = divmod(abs(amount), QUANTUM)
    fraction = str(rest).zfill(DECIMALS).rstrip("0") if rest else ""
    return f"{'-' if amount < 0 else ''}{whole}{'.' if fraction else ''}{fraction}"


def period_text(period: int) -> str:
    """Return the first day of a billing period as people write it.

    >>> period_text(20260901)
    '2026-09-01'
    """
    digits = f"{period:08d}"
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def named_cells(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Return the cells of a row by column, without those that are null."""
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell not in {"", _NULL}}


def machine_name(resource: str) -> str:
    """Return the name by which a cloud calls a machine inside, where a resource's id is that of one; any other id as it is.

    >>> machine_name("arn:aws:ec2:eu-west-3:123456789012:instance/i-0abc")
    'i-0abc'
    >>> machine_name("projects/p/zones/z/disks/node-1")
    'projects/p/zones/z/disks/node-1'
    """
    found = _MACHINE.search(resource)
    return found[1] if found and "virtualMachineScaleSets".casefold() not in resource.casefold() else resource


def instance_type(cells: Mapping[str, str]) -> str:
    """Return the instance type that a row names, in its SkuPriceDetails or else in what describes the charge; empty where in neither."""
    found = _DETAIL.search(cells.get("SkuPriceDetails", "")) or _INSTANCE.search(cells.get("ChargeDescription", ""))
    return found[1] if found else ""


def consumed_hours(cells: Mapping[str, str]) -> str:
    """Return how many hours a row says were used, as it was written; empty where it says another unit."""
    return cells.get("ConsumedQuantity", "") if cells.get("ConsumedUnit", "").casefold() in {"hour", "hours"} else ""


def _places(header: Sequence[str]) -> dict[str, int]:
    places = {name: place for place, name in enumerate(header)}
    if len(places) != len(header):
        twice = next(name for name in header if list(header).count(name) > 1)
        raise BadInput(f"row 1: the column {twice!r} is there twice")
    missing = [" or ".join(names) for names in MANDATORY if not any(name in places for name in names)]
    if missing:
        raise BadInput(f"row 1: a column that every FOCUS file has is missing: {', '.join(missing)}")
    return places


def _place(places: Mapping[str, int], name: str, nowhere: int) -> int:
    return places.get(name, places.get(_OTHER_NAMES.get(name, ""), nowhere))


def _remembered(known: dict[str, int], text: str, value: int) -> dict[str, int]:
    """Return what is known with one thing more; everything else is forgotten before it grows without end."""
    if len(known) >= MOST_REMEMBERED:
        known = {}
    known[text] = value
    return known


def _instant(text: str, column: str) -> tuple[int, bool]:
    """Return an instant, and whether it named no zone."""
    if not text:
        raise _Cell(column, "is empty")
    for said in (text, f"{text}Z"):
        try:
            return parse_time(said), said != text
        except BadInput:
            continue
    raise _Cell(column, f"{text[:40]!r} is no instant: FOCUS writes 2026-11-22T10:00:00Z")


def _date(time_ms: int) -> str:
    return day_text(day_of(time_ms))


def _quanta(text: str, column: str) -> int:
    found = _PLAIN.match(text) if len(text) <= LONGEST_AMOUNT else None
    if found is None:
        return _odd_quanta(text.strip(), column)
    sign, whole, fraction = found.groups("")
    if len(fraction) > DECIMALS:
        return _odd_quanta(text, column)
    amount = int((whole + fraction).ljust(len(whole) + DECIMALS, "0"))
    return -amount if sign else amount


def _odd_quanta(text: str, column: str) -> int:
    """Return an amount that is not written plainly, or say what is wrong with it."""
    if not text:
        raise _Cell(column, "is empty, and an amount is never null")
    if _THOUSANDS.match(text):
        raise _Cell(column, f"{text[:40]!r} has thousands separators: FOCUS has none, and 1,234 could be 1.234")
    if len(text) > LONGEST_AMOUNT or not (_PLAIN.match(text) or _SCIENTIFIC.match(text)):
        raise _Cell(column, f"{text[:40]!r} is no decimal number such as 1.624")
    with localcontext() as context:
        context.prec = 2 * LONGEST_AMOUNT + 1_000
        scaled = Decimal(text) * QUANTUM
        if scaled != scaled.to_integral_value():
            raise _Cell(column, f"{text[:40]!r} has more than {DECIMALS} decimals")
    return int(scaled)
