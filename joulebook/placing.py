"""`joulebook init`: what holds, what is given, what a person answers; and of it only what is new, once it is confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import typer

from joulebook import questions
from joulebook.places import Known, in_words, known_place, merged, news
from joulebook.tables import GAP, pairs
from joulebook.wiring import Door, machine_of
from joulebook_ledger.core.facts import Fact
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.desk import Place, place_facts
from joulebook_ledger.ledger import Ledger


class Placed(NamedTuple):
    """What was done.

    Attributes:
        facts: What was written; empty where all of it held already.
        ledger: Where, in words.
        entries: How many entries it added to the journal.
        known: What holds now.
    """

    facts: Sequence[Fact]
    ledger: str
    entries: int
    known: Known


def place_machine(given: Place, door: Door, *, yes: bool) -> Placed:
    """Write what is new of a machine's place, after it was confirmed.

    Raises:
        BadInput: A figure or zone cannot be taken, or nobody is there to confirm.
        typer.Abort: The person said no.
    """
    from joulebook_collectors.host.identity import host_name

    given = replace(given, machine=given.machine or machine_of(door.settings))
    with door.ledger() as ledger:
        known = _known(ledger, given.machine, door)
        wanted = merged(given, known, site=host_name(door.settings.proc_root))
        is_somebody_there = door.keys.isatty() and not yes
        if is_somebody_there:
            wanted = questions.asked(wanted, door)
        entry = door.entry()
        facts = news(place_facts(entry, wanted), known, zone_is_given=bool(given.zone))
        if facts and not yes:
            if not is_somebody_there:
                raise questions.unconfirmed(given, door)
            door.tell(pairs(map(in_words, facts), door.page, indent=GAP))
            if not questions.confirmed(f"Write this into {ledger.name}?", door):
                raise typer.Abort
        entries = door.enter(ledger, entry.batch(facts)) if facts else 0
        return Placed(facts, ledger.name, entries, _known(ledger, given.machine, door))


def _known(ledger: Ledger, machine: str, door: Door) -> Known:
    return known_place(FactorBook.from_bytes(ledger.snapshot(machine)), machine, door.now_ms)
