"""Which of several versions a closed month takes, case by case."""

import pytest

from joulebook_ledger.core.factors import Factor
from joulebook_ledger.core.versions import NEVER, History, Known, Restated, as_closed

CLOSE = 5


def version(name, link, state="final", *, provider="table", voided=NEVER, since=0):
    """A version of the grid's intensity, sealed by a link."""
    factor = Factor(
        kind="grid_location", object="FR", provider=provider, valid_from_ms=since, version=name, value=1, unit="ug/kWh", state=state,
        source="told",
    )  # fmt: skip
    return Known(factor, link, link, voided)


@pytest.mark.parametrize(
    ("versions", "taken"),
    [
        ([], None),
        ([version("late", 6)], None),
        ([version("old", 1), version("new", 5), version("late", 6)], "new"),
        ([version("old", 1), version("new", 5, voided=7)], "new"),
        ([version("old", 1), version("new", 4, voided=5)], "old"),
        ([version("guess", 5, "provisional")], "guess"),
        ([version("guess", 5, "provisional"), version("better", 6, "provisional")], "better"),
        ([version("guess", 5, "provisional"), version("final", 7), version("revised", 8), version("guess 2", 9, "provisional")], "final"),
        ([version("guess", 5, "provisional"), version("wrong", 6, voided=7), version("final", 8)], "final"),
        ([version("guess", 5, "provisional"), version("wrong", 6, "provisional", voided=7)], "guess"),
        ([version("guess", 5, "provisional", voided=7)], "guess"),
        ([version("hour", 5, "provisional", since=9), version("year", 6)], "hour"),
        ([version("guess", 5, "provisional"), version("other", 6, provider="other")], "guess"),
        ([version("final", 1, since=1), version("hour", 2, "provisional", since=9), version("late year", 6, since=1)], "hour"),
    ],
)  # fmt: skip
def test_a_closed_month_takes(versions, taken):
    """What its close knew; where that was provisional, what came later of the same series."""
    found = as_closed(versions, {"table": CLOSE, "other": CLOSE})
    assert (found and found.fact.version) == taken


def test_a_month_knows_what_its_close_knew_unless_restated():
    """The newest restatement of month and series holds; a month without a close of its own goes by the next one."""
    history = History(
        closes=((202610, 5), (202611, 9)),
        restatements=(Restated(202610, 202611, "", "", "", 12), Restated(202610, 202610, "tariff", "", "", 3)),
    )
    assert [history.known(m, "grid_location", "FR", "x") for m in (202608, 202610, 202611)] == [5, 12, 12]
    assert [history.known(m, "tariff", "FR", "x") for m in (202608, 202610, 202611)] == [5, 3, 12]
    assert history.closed_through == 202611
