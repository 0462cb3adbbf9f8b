"""Readers retire by themselves or by hand, are lost when silent, and owe the months they have not told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from books import DAY, NOVEMBER

from joulebook_ledger.bodies import ReaderBody
from joulebook_ledger.core.facts import Correction
from joulebook_ledger.core.records import Reader
from joulebook_ledger.core.wire import encode_batch
from joulebook_ledger.desk.entering import correction_batch, retirement_batch

if TYPE_CHECKING:
    from ledger.conftest import Bookkeeper

DECEMBER = NOVEMBER + 30 * DAY


def tell(
    keeper: Bookkeeper, at_ms: int, reader: str = "r1", sequence: int = 1, *, machine: str = "m1", **more: Any
) -> None:
    """Let a reader be heard of."""
    keeper.now_ms = at_ms
    who = Reader(reader=reader, machine=machine, boot=f"boot of {reader}", host="node", rank=0)
    keeper.deliver(encode_batch(reader=who, sequence=sequence, lists={}, **more))


def readers(keeper: Bookkeeper) -> dict[str, ReaderBody]:
    """Return the readers by id."""
    return {r["reader"]: r for machine in keeper.ledger.hosts()["machines"] for r in machine["readers"]}


def test_a_book_without_readers_has_no_machines(keeper: Bookkeeper) -> None:
    """What people enter is no reader of a machine."""
    keeper.place()
    assert keeper.ledger.hosts()["machines"] == []


def test_a_reader_owes_a_month_until_it_was_told_to_its_end(keeper: Bookkeeper) -> None:
    """Not while the month runs; then until complete_until has passed its end."""
    tell(keeper, NOVEMBER + 10 * DAY, complete_until_ms=NOVEMBER + 10 * DAY)
    assert readers(keeper)["r1"]["owing"] == []
    keeper.now_ms = DECEMBER + 1
    (machine,) = keeper.ledger.hosts()["machines"]
    assert (machine["state"], machine["owing"], machine["host"]) == ("lost", ["2026-11"], "node")
    tell(keeper, DECEMBER + 2, sequence=2, complete_until_ms=DECEMBER - 1)
    assert readers(keeper)["r1"]["owing"] == ["2026-11"]
    tell(keeper, DECEMBER + 3, sequence=3, complete_until_ms=DECEMBER)
    assert readers(keeper)["r1"]["owing"] == []
    assert readers(keeper)["r1"]["complete_until"] == "2026-12-01T00:00:00.000Z"


def test_a_reader_that_never_said_until_when_owes_from_when_it_was_heard_of(keeper: Bookkeeper) -> None:
    """Several months, if need be."""
    tell(keeper, NOVEMBER + 10 * DAY)
    keeper.now_ms = DECEMBER + 32 * DAY
    told = readers(keeper)["r1"]
    assert (told["complete_until"], told["owing"]) == (None, ["2026-11", "2026-12"])


def test_a_reader_that_is_silent_for_seven_days_is_lost_and_found_again(keeper: Bookkeeper) -> None:
    """By the ledger's clock: nobody has to say so."""
    tell(keeper, NOVEMBER)
    keeper.now_ms = NOVEMBER + 7 * DAY
    assert readers(keeper)["r1"]["state"] == "active"
    keeper.now_ms += 1
    assert readers(keeper)["r1"]["state"] == "lost"
    tell(keeper, NOVEMBER + 20 * DAY, sequence=2)
    assert readers(keeper)["r1"]["state"] == "active"


def test_a_reader_retires_with_its_last_batch_and_comes_back_with_the_next(keeper: Bookkeeper) -> None:
    """A spool that was emptied owes nothing; a job of the same boot reads on."""
    tell(keeper, NOVEMBER, complete_until_ms=NOVEMBER, state="retired")
    keeper.now_ms = DECEMBER + 1
    assert (readers(keeper)["r1"]["state"], readers(keeper)["r1"]["owing"]) == ("retired", [])
    tell(keeper, DECEMBER + 2, sequence=2, complete_until_ms=NOVEMBER + DAY)
    assert (readers(keeper)["r1"]["state"], readers(keeper)["r1"]["owing"]) == ("active", ["2026-11"])


def test_a_newer_boot_that_empties_the_spool_retires_the_older_one(keeper: Bookkeeper) -> None:
    """Of one machine the one is retired and the other reads."""
    tell(keeper, NOVEMBER, "old", complete_until_ms=NOVEMBER)
    tell(keeper, NOVEMBER + DAY, "new", complete_until_ms=NOVEMBER + DAY)
    tell(keeper, NOVEMBER + DAY, "old", sequence=2, complete_until_ms=NOVEMBER + DAY, state="retired")
    (machine,) = keeper.ledger.hosts()["machines"]
    assert [(r["reader"], r["state"]) for r in machine["readers"]] == [("old", "retired"), ("new", "active")]
    assert (machine["state"], machine["complete_until"]) == ("active", "2026-11-02T00:00:00.000Z")


def test_a_person_retires_a_reader_for_a_reason_and_the_book_proves_it(keeper: Bookkeeper) -> None:
    """A fact with its author; what still comes of the reader is stored, and it owes nothing all the same."""
    tell(keeper, NOVEMBER)
    keeper.now_ms = DECEMBER + 1
    keeper.tell(retirement_batch(keeper.entry(), ["r1"], "scrapped"))
    told = readers(keeper)["r1"]
    assert (told["state"], told["owing"], told["retired_because"], told["retired_by"]) == (
        "retired",
        [],
        "scrapped",
        "ann",
    )
    tell(keeper, DECEMBER + 2, sequence=2)
    assert readers(keeper)["r1"]["state"] == "retired"
    assert keeper.ledger.verify()["ok"]


def test_nobody_is_retired_who_was_never_heard_of(keeper: Bookkeeper) -> None:
    """Also not the desk; and a retirement is no fact that a correction voids."""
    keeper.place()
    for reader in ("nobody", "desk-act1"):
        answer = keeper.ledger.deliver(retirement_batch(keeper.entry(), [reader], "x"))
        assert [(o.outcome, o.reason) for o in answer.exceptions] == [("refused", "no_such_reader")]
    voided = Correction(table="retirement", key='["r1"]', reason="x", author="y")
    answer = keeper.ledger.deliver(correction_batch(keeper.entry(), [voided]))
    assert [outcome.reason for outcome in answer.exceptions] == ["cannot_be_voided"]


def test_a_second_reason_for_the_same_reader_is_a_conflict(keeper: Bookkeeper) -> None:
    """The first one stands."""
    tell(keeper, NOVEMBER)
    keeper.tell(retirement_batch(keeper.entry(), ["r1"], "scrapped"))
    answer = keeper.ledger.deliver(retirement_batch(keeper.entry(), ["r1"], "sold"))
    assert [outcome.outcome for outcome in answer.exceptions] == ["conflicts_with_stored"]
