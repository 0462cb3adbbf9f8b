"""`joulebook init` on a machine of a cloud: its firmware and its cloud say where it is, and what they do not say stays unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.front_door import FixedDoor, FixedLedger
from helpers.metadata import AWS, Metadata, machine, metadata_service

from joulebook.placing import place_machine
from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.desk.entering import Place


def placed(
    tmp_path: Path, given: Place, *, known: bool = False, firmware: dict[str, str] | None = None, **answers: str
) -> tuple[list[object], str]:
    """Place this machine; return what was entered and what was told."""
    ledger = FixedLedger(placed=known)
    door = FixedDoor(ledger, sysfs_root=machine(tmp_path, AWS if firmware is None else firmware))
    with metadata_service(**answers) as address:
        place_machine(given, door, yes=True, metadata=address)
    return [fact for batch in ledger.given for fact in batch.facts()], door.err.getvalue()  # type: ignore[attr-defined]


def test_a_machine_of_a_cloud_stands_in_its_region(tmp_path: Path) -> None:
    """With the zone of the region's country, and its average."""
    facts, _ = placed(tmp_path, Place(machine=""))
    (site,) = [fact for fact in facts if isinstance(fact, Site)]
    assert (site.zone, site.ownership, site.provider, site.region) == ("FR", "cloud", "aws", "eu-west-3")
    assert [fact.site for fact in facts if isinstance(fact, Placement)] == [site.site]
    assert ("grid_location", "FR") in [(fact.kind, fact.object) for fact in facts if isinstance(fact, Factor)]


@pytest.mark.parametrize(
    ("given", "known", "firmware"),
    [(Place(machine="", zone="DE"), False, None), (Place(machine="other"), False, None), (Place(machine=""), True, None), (Place(machine=""), False, {})],
)  # fmt: skip
def test_nobody_is_asked_where_it_is_said_or_known_or_another_machine(
    tmp_path: Path, given: Place, *, known: bool, firmware: dict[str, str] | None
) -> None:
    """What a person says goes before what a cloud says."""
    facts, _ = placed(tmp_path, given, known=known, firmware=firmware)
    assert Metadata.asked == []
    assert all(fact.provider == "" for fact in facts if isinstance(fact, Site))


@pytest.mark.parametrize(
    ("answer", "why"),
    [("moon-1", "its region moon-1 is in no table here"), ("<html>", "its metadata service does not say where")],
)
def test_a_region_that_is_not_known_leaves_the_zone_unknown_and_says_what_to_do(
    tmp_path: Path, answer: str, why: str
) -> None:
    """Nothing stands in for it."""
    facts, told = placed(tmp_path, Place(machine=""), aws=answer)
    (site,) = [fact for fact in facts if isinstance(fact, Site)]
    assert (site.zone, site.ownership, site.provider) == ("", "cloud", "aws")
    assert told == f"This is a machine of aws; {why}: joulebook init --zone CODE\n"
    assert [fact.kind for fact in facts if isinstance(fact, Factor)] == ["pue"]
