"""Which readers speak of one device, and which of two: clones are counted apart, a container and its host once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from books import HOUR, KWH, MINUTE, NOVEMBER, Story

from joulebook.checkup import _warning
from joulebook.hosts import page
from joulebook.tables import Page
from joulebook_ledger.queries import ReportQuery

if TYPE_CHECKING:
    from ledger.conftest import Bookkeeper


def story(reader: str, boot: str, *, rank: int = 1, run: str = "") -> Story:
    """Let a reader of machine m1 tell of one hour of its processor, at 1 kW."""
    told = Story("m1", reader=reader, boot=boot, rank=rank).meter("package-0")
    for minute in range(60):
        start = NOVEMBER + minute * MINUTE
        told.reading("package-0", start, start + MINUTE, KWH // 60, {run: KWH // 60} if run else {})
    return told


def total_kwh(keeper: Bookkeeper) -> float | None:
    """Return what the book holds of November."""
    return keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611)).get("total", {}).get("energy_kwh")


def test_two_hosts_with_one_machine_id_are_counted_apart_and_it_is_said(sqlite_keeper: Bookkeeper) -> None:
    """A cloned image: the kernels' boot ids differ. `joulebook hosts` says so, with the way out."""
    for number, boot in enumerate(("boot-a", "boot-b")):
        sqlite_keeper.now_ms = NOVEMBER + number * MINUTE
        sqlite_keeper.deliver(Story("m1", reader=f"r{number}", boot=boot, rank=1).batch())
    sqlite_keeper.now_ms = NOVEMBER + 2 * HOUR
    for number, boot in enumerate(("boot-a", "boot-b")):
        told = story(f"r{number}", boot)
        told.sequence = 1
        sqlite_keeper.tell(told.batch())
    assert total_kwh(sqlite_keeper) == 2.0
    (machine,) = sqlite_keeper.ledger.hosts()["machines"]
    assert "2 boots were up at one time" in machine["warning"]
    text = " ".join(page(sqlite_keeper.ledger.hosts(), Page()).split())
    assert "systemd-machine-id-setup" in text
    assert "JOULEBOOK_MACHINE" in text
    verified = sqlite_keeper.ledger.verify()
    assert verified["ok"]
    assert ["2 boots were up at one time" in warning for warning in verified["warnings"]] == [True]
    assert _warning(sqlite_keeper.ledger, "m1") == machine["warning"]


def test_a_restarted_host_is_no_clone(sqlite_keeper: Bookkeeper) -> None:
    """One boot after the other: what the first told lies before the second was heard of, even where it is delivered later."""
    sqlite_keeper.now_ms = NOVEMBER + 2 * HOUR
    sqlite_keeper.tell(Story("m1", reader="r2", boot="boot-b").batch())
    sqlite_keeper.now_ms = NOVEMBER + 3 * HOUR
    sqlite_keeper.tell(story("r1", "boot-a").batch())
    (machine,) = sqlite_keeper.ledger.hosts()["machines"]
    assert "warning" not in machine


def test_a_host_that_was_restarted_while_it_was_heard_is_no_clone(sqlite_keeper: Bookkeeper) -> None:
    """What the first boot left is delivered after the second was heard of: it ends before that all the same."""
    sqlite_keeper.now_ms = NOVEMBER + MINUTE
    sqlite_keeper.tell(Story("m1", reader="r1", boot="boot-a", rank=1).batch())
    sqlite_keeper.now_ms = NOVEMBER + HOUR
    sqlite_keeper.tell(Story("m1", reader="r2", boot="boot-b").batch(complete_until_ms=NOVEMBER + 58 * MINUTE))
    sqlite_keeper.now_ms = NOVEMBER + 3 * HOUR
    sqlite_keeper.tell(Story("m1", reader="r3", boot="boot-b").batch(complete_until_ms=NOVEMBER + 3 * HOUR))
    told = story("r1", "boot-a")
    told.sequence = 1
    sqlite_keeper.tell(told.batch(complete_until_ms=NOVEMBER + HOUR))
    (machine,) = sqlite_keeper.ledger.hosts()["machines"]
    assert "warning" not in machine


def test_a_container_and_its_host_are_one_device_and_count_once(keeper: Bookkeeper) -> None:
    """They share no lock and no spool, but the kernel's boot id: one meter, whose time line is laid once; so are the uses of a run."""
    keeper.now_ms = NOVEMBER + 2 * HOUR
    keeper.tell(story("of the container", "boot-a", run="a" * 32).batch())
    assert total_kwh(keeper) == 1.0
    keeper.tell(story("of the host", "boot-a", rank=0, run="a" * 32).batch())
    assert total_kwh(keeper) == 1.0
    assert keeper.ledger.run("a" * 32)["footprint"]["energy_kwh"] == 1.0
    (machine,) = keeper.ledger.hosts()["machines"]
    assert "warning" not in machine
    assert keeper.ledger.verify()["ok"]


def test_what_a_container_models_and_its_host_measures_counts_once(keeper: Bookkeeper) -> None:
    """A container without the right to RAPL: the host's 1 kWh counts, and half of it is the run's, as half of the modelled 2 kWh was."""
    run = "a" * 32
    modelled = Story("m1", reader="of the container", boot="boot-a", rank=1).meter("cpu-model")
    modelled.reading("cpu-model", NOVEMBER, NOVEMBER + HOUR, 2 * KWH, {run: KWH}, method="model")
    host = Story("m1", reader="of the host", boot="boot-a", rank=0).meter("package-0").meter("package-1")
    host.reading("package-0", NOVEMBER, NOVEMBER + HOUR, KWH * 3 // 4)
    host.reading("package-1", NOVEMBER, NOVEMBER + HOUR, KWH // 4)
    keeper.now_ms = NOVEMBER + 2 * HOUR
    keeper.tell(modelled.batch())
    assert (total_kwh(keeper), keeper.ledger.run(run)["footprint"]["energy_kwh"]) == (2.0, 1.0)
    keeper.deliver(host.batch())
    due = keeper.ledger.run(run)["footprint"]
    assert (due["energy_kwh"], due["measured_share"]) == (0.5, 1.0)
    keeper.ledger.book()
    assert keeper.ledger.run(run)["footprint"] == due
    assert total_kwh(keeper) == 1.0
    assert "where it yields, it claims its shares here" in str(keeper.ledger.why(f"run:{run}#energy_kwh"))
    assert keeper.ledger.verify()["ok"]
