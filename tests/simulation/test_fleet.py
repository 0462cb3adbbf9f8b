"""Fleets made from seeds: whatever happens to them, the books are the truth minus what is declared as a gap, and nothing is in them twice."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from simulation.audit import Audit
from simulation.fleet import Fleet
from simulation.post import PlainBooks, Post, broken_promises

from joulebook_collectors.host import lock
from joulebook_ledger.core.facts import Fact
from joulebook_ledger.core.records import Use, Window
from joulebook_ledger.core.wire import Batch
from joulebook_ledger.local import LocalLedger

SEEDS = 20
MANY_SEEDS = 1_000
SEEDS_AT_ONCE = 50
SEEDS_WITH_A_DATABASE = (3, 6, 29)


def lived(seed: int, folder: Path) -> tuple[Fleet, Post, list[str]]:
    """Let the fleet of a seed live; return it, the post that took its batches, and what the books minded."""
    fleet = Fleet(seed, folder)
    books = PlainBooks(lambda: fleet.world.now_ms)
    before = set(lock._opened)
    try:
        post = fleet.live(books.take)
    finally:
        for identity in set(lock._opened) - before:
            lock.forget(lock._opened[identity])
    return fleet, post, books.trouble


def assert_true(seed: int, folder: Path) -> Counter[str]:
    """Assert that the books of a fleet are right; where they are not, tell its story."""
    fleet, post, trouble = lived(seed, folder)
    audit = Audit(fleet.spools, post.arrived)
    complaints = [*audit.complaints, *trouble, *broken_promises(post.arrived)]
    if complaints:
        pytest.fail("\n".join([f"seed {seed}", *fleet.world.story, "", *complaints[:20]]), pytrace=False)
    audit.sums.update({f"delivery: {fate}": number for fate, number in post.fates.items()})
    audit.sums["seconds"] += fleet.length_us // 1_000_000
    audit.sums["spools"] += len(fleet.spools)
    return audit.sums


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_books_of_a_fleet_are_the_truth_minus_its_gaps(seed: int, tmp_path: Path) -> None:
    """Whatever dies, stops, steps, is lost or comes twice."""
    assert assert_true(seed, tmp_path)["runs"]


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, MANY_SEEDS, SEEDS_AT_ONCE))
def test_the_books_of_a_thousand_fleets_are_the_truth_minus_their_gaps(first: int, tmp_path: Path) -> None:
    """The same with many more seeds; what they held is printed."""
    sums: Counter[str] = Counter()
    for seed in range(first, first + SEEDS_AT_ONCE):
        sums += assert_true(seed, tmp_path / str(seed))
    print(f"seeds {first} to {first + SEEDS_AT_ONCE - 1}: {dict(sums)}")
    assert all(sums[kind] for kind in ("readings", "gaps", "sensed", "shared", "delivery: lost", "delivery: dies"))


@pytest.mark.parametrize("seed", SEEDS_WITH_A_DATABASE)
def test_a_real_book_takes_all_that_a_fleet_tells(seed: int, tmp_path: Path) -> None:
    """Through the ledger's own door: nothing is refused or contradicted, it proves itself, and holds the same energy."""
    fleet = Fleet(seed, tmp_path)
    ledger = LocalLedger(f"sqlite:///{tmp_path}/book.sqlite", lambda: fleet.world.now_ms)
    before = set(lock._opened)
    post = fleet.live(ledger.deliver)
    for identity in set(lock._opened) - before:
        lock.forget(lock._opened[identity])
    ledger.book()
    audit = Audit(fleet.spools, post.arrived)
    body = ledger.verify()
    with ledger._book.read() as rows:
        energy = rows.rows("SELECT COALESCE(SUM(energy_it_mj), 0) FROM balance")[0][0]
    ledger.close()
    assert audit.complaints == []
    assert [check for check in body["checks"] if not check["ok"]] == []
    assert set(post.outcomes) <= {"stored", "already_stored", "retry_later"}
    assert energy == audit.sums["booked_mj"] > 0


def test_a_seed_tells_the_same_story_each_time(tmp_path: Path) -> None:
    """Or nobody could look into one that failed."""
    stories = [lived(6, tmp_path / name)[0].world.story for name in ("one", "two")]
    assert stories[0] == stories[1]


# --- the auditor himself ---


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fleet, list[Batch]]:
    """Return a fleet whose books are right, and what came into them."""
    fleet, post, _ = lived(1, tmp_path_factory.mktemp("honest"))
    assert Audit(fleet.spools, post.arrived).complaints == []
    return fleet, post.arrived


def readings(batches: list[Batch]) -> list[Window]:
    """Return the readings of counters."""
    facts = [fact for batch in batches for fact in batch.facts()]
    return [
        fact for fact in facts if isinstance(fact, Window) and fact.method == "counter" and (fact.energy_mj or 0) > 10
    ]


def replaced(batches: list[Batch], old: Fact, *new: Fact) -> list[Batch]:
    """Return batches in which others stand in place of a fact."""
    changed = []
    for batch in batches:
        items = [
            dataclasses.replace(item, fact=fact)
            for item in batch.items
            for fact in (new if item.fact == old else (item.fact,))
        ]
        changed.append(dataclasses.replace(batch, items=tuple(items)))
    return changed


@pytest.mark.parametrize("by_mj", [1, -1, 1_000])
def test_the_auditor_sees_a_millijoule(honest: tuple[Fleet, list[Batch]], by_mj: int) -> None:
    """Too much or too little of it."""
    fleet, batches = honest
    window = readings(batches)[len(readings(batches)) // 2]
    wrong = replaced(batches, window, dataclasses.replace(window, energy_mj=(window.energy_mj or 0) + by_mj))
    assert Audit(fleet.spools, wrong).complaints


def test_the_auditor_sees_a_window_that_is_missing(honest: tuple[Fleet, list[Batch]]) -> None:
    """Time in which a run was open, and of which nothing is told."""
    fleet, batches = honest
    longest = max(readings(batches), key=lambda window: window.end_ms - window.start_ms)
    assert Audit(fleet.spools, replaced(batches, longest)).complaints


def test_the_auditor_sees_energy_that_is_told_twice(honest: tuple[Fleet, list[Batch]]) -> None:
    """The same window once more, a little later."""
    fleet, batches = honest
    window = readings(batches)[0]
    again = dataclasses.replace(window, start_ms=window.start_ms + 1, end_ms=window.end_ms + 1)
    assert Audit(fleet.spools, replaced(batches, window, window, again)).complaints


def test_the_auditor_sees_a_gap_without_a_cause(honest: tuple[Fleet, list[Batch]]) -> None:
    """In place of what was read."""
    fleet, batches = honest
    window = readings(batches)[0]
    gap = dataclasses.replace(window, energy_mj=None, method="", reason="counter_reset")
    assert Audit(fleet.spools, replaced(batches, window, gap)).complaints


def test_the_auditor_sees_more_used_than_there_is(honest: tuple[Fleet, list[Batch]]) -> None:
    """By one run."""
    fleet, batches = honest
    uses = [fact for batch in batches for fact in batch.facts() if isinstance(fact, Use) and fact.energy_mj]
    more = dataclasses.replace(uses[0], energy_mj=uses[0].energy_mj * 1_000)
    assert Audit(fleet.spools, replaced(batches, uses[0], more)).complaints
