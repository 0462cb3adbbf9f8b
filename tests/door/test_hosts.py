"""`joulebook hosts` and `joulebook retire` in front of a ledger of fixed answers."""

from __future__ import annotations

import pytest
from helpers.front_door import HOSTS, FixedLedger, said

from joulebook_ledger.core.facts import Retirement


def test_who_owes_is_seen_at_a_glance() -> None:
    """A line for each reader that somebody waits for, and what to do where it is gone for good."""
    code, out, err = said(["hosts"])
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if "node-a" in line]
    assert "feed" in line
    assert "lost" in line
    assert "2026-10" in line
    assert "cafe" not in out
    assert "joulebook retire READER" in out


@pytest.mark.parametrize("word", ["feed", "feed" * 8, "m1", "node-a"])
def test_a_reader_is_retired_by_its_id_or_by_its_machine(word: str) -> None:
    """As a fact of the desk, with the reason and who said so."""
    ledger = FixedLedger()
    code, out, err = said(["retire", word, "--reason", "the node was scrapped"], ledger)
    assert (code, err, out.startswith("1 retired: feed")) == (0, "", True)
    (fact,) = ledger.given[-1].facts()
    assert isinstance(fact, Retirement)
    assert (fact.reader, fact.reason) == ("feed" * 8, "the node was scrapped")
    assert fact.author.startswith("the desk of ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["retire", "feed"], "--reason"), (["retire", "nobody", "--reason", "x"], "joulebook hosts"),
        (["retire", "", "--reason", "x"], "joulebook hosts"),
    ],
)  # fmt: skip
def test_what_cannot_be_retired_is_refused_with_the_way_out(words: list[str], told: str) -> None:
    """And nothing is entered."""
    ledger = FixedLedger()
    code, out, err = said(words, ledger)
    assert (code, out, told in err) == (2, "", True)
    assert ledger.given == []


def test_a_machine_whose_readers_are_all_retired_is_said_to_be_so() -> None:
    """Nothing is owed."""
    machine = HOSTS["machines"][0]

    class Done(FixedLedger):
        """A ledger of one machine that is done."""

        def hosts(self) -> object:  # type: ignore[override]
            """Answer."""
            return {**HOSTS, "machines": [{**machine, "readers": machine["readers"][1:]}]}

    code, _, err = said(["retire", "node-a", "--reason", "x"], Done())
    assert (code, "retired already" in err) == (2, True)
