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
from joulebook_collectors.host.cloud import METADATA, cloud_place
from joulebook_ledger.catalogue.regions import zone_of_region
from joulebook_ledger.core.facts import Fact
from joulebook_ledger.core.resolution import CLOUD, FactorBook
from joulebook_ledger.desk.entering import Place, place_facts
from joulebook_ledger.ledger import Ledger

Address = tuple[str, int]


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


def place_machine(given: Place, door: Door, *, yes: bool, metadata: Address = METADATA) -> Placed:
    """Write what is new of a machine's place, after it was confirmed; of this machine its cloud is asked where nobody says the zone.

    Args:
        given: What a person said.
        door: The command's surroundings.
        yes: Whether it is confirmed already.
        metadata: Address of a cloud's metadata service; another one for tests.

    Raises:
        BadInput: A figure or zone cannot be taken, or nobody is there to confirm.
        typer.Abort: The person said no.
    """
    from joulebook_collectors.host.identity import host_name

    here = machine_of(door.settings)
    given = replace(given, machine=given.machine or here)
    with door.ledger() as ledger:
        known = _known(ledger, given.machine, door)
        if given.machine == here and not given.zone and (known.site is None or not known.site.zone):
            given = in_cloud(given, door, metadata)
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


def in_cloud(given: Place, door: Door, metadata: Address) -> Place:
    """Return the place with the cloud, region and zone of this machine; as it was where its firmware names no cloud."""
    found = cloud_place(door.settings.sysfs_root, metadata)
    if found is None:
        return given
    zone = zone_of_region(found.provider, found.region)
    if not zone:
        region = (
            f"its region {found.region} is in no table here"
            if found.region
            else "its metadata service does not say where"
        )
        door.tell(f"This is a machine of {found.provider}; {region}: joulebook init --zone CODE")
    return replace(
        given, zone=zone, provider=given.provider or found.provider, region=given.region or found.region,
        ownership=given.ownership or CLOUD,
    )  # fmt: skip


def _known(ledger: Ledger, machine: str, door: Door) -> Known:
    return known_place(FactorBook.from_bytes(ledger.snapshot(machine)), machine, door.now_ms)
