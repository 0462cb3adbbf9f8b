"""What the lines of a bill come to: exact sums by what is asked of a bill, commitments used and unused, and signs of rounding. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from joulebook_ledger.core.billing import Charge
from joulebook_ledger.core.focus import PURCHASE, QUANTUM, UNUSED, USAGE, BillOf, Line, amount_text, quanta
from joulebook_ledger.core.refusals import BadInput

FEWEST_ROUNDED = 5
"""Of so many amounts with a fraction in BilledCost and none in EffectiveCost, chance is no explanation any more."""


class Kind(NamedTuple):
    """What lines are summed by.

    Attributes:
        invoice: Its id, or empty.
        service: Name of what was sold.
        category: Of `focus.CATEGORIES`.
        charge_class: "Correction" or empty.
        commitment: Id of the commitment discount, or empty.
        status: Used, Unused or empty.
        start_ms: Charge period, half-open.
        end_ms: Its end.
    """

    invoice: str
    service: str
    category: str
    charge_class: str
    commitment: str
    status: str
    start_ms: int
    end_ms: int


class Total(NamedTuple):
    """Lines of one kind: how many, and their exact sums in integers of 10^-30."""

    rows: int
    effective: int
    billed: int


class Totals:
    """Sums lines as they pass, whatever their order."""

    def __init__(self) -> None:
        self._of: defaultdict[BillOf, dict[Kind, list[int]]] = defaultdict(dict)
        self._rounded: dict[str, list[int]] = {}

    def add(self, line: Line) -> None:
        """Take a line in."""
        kind = Kind(
            line.invoice, line.service, line.category, line.charge_class, line.commitment, line.status, line.start_ms, line.end_ms
        )  # fmt: skip
        of_bill = self._of[line.bill]
        found = of_bill.get(kind)
        if found is None:
            of_bill[kind] = [1, line.effective, line.billed]
        else:
            found[0] += 1
            found[1] += line.effective
            found[2] += line.billed
        if line.effective % QUANTUM or line.billed % QUANTUM:
            self._note_fractions(line)

    def bills(self) -> Iterator[tuple[BillOf, dict[Kind, Total]]]:
        """Yield every bill that was seen with its sums, in order."""
        for bill in sorted(self._of):
            yield bill, {kind: Total(*sums) for kind, sums in sorted(self._of[bill].items())}

    def rounded(self) -> list[str]:
        """Return the providers whose EffectiveCost was rounded to whole units of money before it was exported."""
        return [name for name, (whole, fine) in sorted(self._rounded.items()) if not fine and whole >= FEWEST_ROUNDED]

    def _note_fractions(self, line: Line) -> None:
        seen = self._rounded.setdefault(line.bill.provider, [0, 0])
        seen[1 if line.effective % QUANTUM else 0] += 1


class Commitment(NamedTuple):
    """What was paid for a commitment and what came of it, in integers of 10^-30.

    Attributes:
        purchased: BilledCost of its purchases.
        used: EffectiveCost of the usage that it covered.
        unused: EffectiveCost of what nobody used.
        billed_usage: BilledCost of its usage: what the commitment did not pay for.
    """

    purchased: int = 0
    used: int = 0
    unused: int = 0
    billed_usage: int = 0

    @property
    def is_even(self) -> bool:
        """Whether used and unused are what was paid, as they are over the whole term of a commitment."""
        return self.used + self.unused == self.purchased


def commitments(totals: Iterable[tuple[Kind, Total]]) -> dict[str, Commitment]:
    """Return commitments by id. BilledCost and EffectiveCost are never added: one is the invoice, the other what is charged on."""
    found: dict[str, Commitment] = {}
    for kind, total in totals:
        if not kind.commitment:
            continue
        known = found.get(kind.commitment, Commitment())
        if kind.category == PURCHASE:
            known = known._replace(purchased=known.purchased + total.billed)
        elif kind.category == USAGE:
            is_unused = kind.status == UNUSED
            known = known._replace(
                used=known.used + (0 if is_unused else total.effective),
                unused=known.unused + (total.effective if is_unused else 0),
                billed_usage=known.billed_usage + total.billed,
            )
        found[kind.commitment] = known
    return dict(sorted(found.items()))


def totals_text(totals: Mapping[Kind, Total]) -> str:
    """Return sums as one canonical text, amounts as exact decimals."""
    listed = [
        [*kind, total.rows, amount_text(total.effective), amount_text(total.billed)]
        for kind, total in sorted(totals.items())
    ]
    return json.dumps(listed, separators=(",", ":"), ensure_ascii=False)


def totals_of_text(text: str) -> dict[Kind, Total]:
    """Return the sums that such a text holds.

    Raises:
        BadInput: It holds none.
    """
    width = len(Kind._fields)
    try:
        listed = [
            (Kind(*row[:width]), Total(row[width], quanta(row[width + 1]), quanta(row[width + 2])))
            for row in json.loads(text)
        ]
        backwards = any(kind.end_ms <= kind.start_ms for kind, _ in listed)
    except (ValueError, TypeError, LookupError) as error:
        raise BadInput(f"the sums of a bill cannot be read: {error}") from None
    if backwards:
        raise BadInput("the sums of a bill cannot be read: a charge period ends before it begins")
    return dict(listed)


def charges_of(totals: Mapping[Kind, Total]) -> list[Charge]:
    """Return sums as what is charged on."""
    return [
        Charge(kind.invoice, kind.start_ms, kind.end_ms, kind.category == USAGE, total.effective)
        for kind, total in totals.items()
    ]
