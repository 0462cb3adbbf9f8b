"""What is spooled reaches its ledger once, whatever goes wrong on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.fake_ledger import FakeLedger
from helpers.tracked import Keeper, Place

from joulebook_collectors.delivery import deliver as delivery
from joulebook_collectors.delivery.deliver import deliver_spool, stand_of
from joulebook_collectors.delivery.dropbox import DropBox, file_name, ingest_dropbox
from joulebook_collectors.delivery.spools import state_of
from joulebook_collectors.host.lock import open_once
from joulebook_collectors.spool.endings import move_to_done
from joulebook_collectors.spool.folders import READER, write_once
from joulebook_collectors.spool.segments import Segment, create_segment
from joulebook_ledger.core.events import Score
from joulebook_ledger.core.refusals import Malformed, Unavailable

NOW_MS = 1_800_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return a spool with a reader and nothing else."""
    spool = tmp_path / "spool"
    spool.mkdir()
    write_once(str(spool / READER), {"reader": "r" * 32, "machine": "m", "boot": "b", "host": "h", "rank": 1})
    return str(spool)


def spool(folder: str, name: str, numbers: range, *, close: bool = True) -> Segment:
    """Write scores into a segment; by default of a process that is gone."""
    segment = create_segment(folder, name)
    segment.append(*({"scores": [score(f"{name}{number}")]} for number in numbers))
    if close:
        move_to_done(segment.path)
        segment.close()
    return segment


def score(name: str, **more: object) -> dict[str, object]:
    """Return a score."""
    return {"run": "a" * 32, "score": name, "name": "accuracy", "value": "0.5", "at_ms": NOW_MS, **more}


def names(keeper: Keeper) -> list[str]:
    """Return the scores that came, also those that came twice."""
    return [fact.score for batch in keeper.batches for fact in batch.facts() if isinstance(fact, Score)]


def test_everything_is_sent_once_and_finished_segments_are_removed(folder: str) -> None:
    """A second delivery has nothing to say."""
    spool(folder, "a", range(3))
    spool(folder, "b", range(2))
    keeper = Keeper()
    assert deliver_spool(folder, keeper, NOW_MS) == 5
    assert deliver_spool(folder, keeper, NOW_MS) == 0
    assert names(keeper) == ["a0", "a1", "a2", "b0", "b1"]
    assert [(batch.sequence, batch.state, batch.complete_until_ms) for batch in keeper.batches] == [
        (1, "retired", NOW_MS)
    ]
    assert list(Path(folder, "done").iterdir()) == []


def test_of_a_living_process_only_what_is_new_is_sent(folder: str) -> None:
    """Its segment stays, and the reader is not retired."""
    segment = spool(folder, "live", range(2), close=False)
    keeper = Keeper()
    assert deliver_spool(folder, keeper, NOW_MS) == 2
    segment.append({"scores": [score("late")]})
    assert deliver_spool(folder, keeper, NOW_MS) == 1
    assert (names(keeper), [batch.state for batch in keeper.batches]) == (["live0", "live1", "late"], ["active"] * 2)
    move_to_done(segment.path)
    segment.close()
    assert deliver_spool(folder, keeper, NOW_MS) == 0
    assert [(batch.sequence, batch.state, batch.items) for batch in keeper.batches[2:]] == [(3, "retired", ())]


def test_a_ledger_that_is_away_loses_nothing_and_a_batch_is_never_cut_anew(folder: str) -> None:
    """What was cut is sent again in the same words, although more has been spooled since."""
    spool(folder, "a", range(3))
    away = FakeLedger()
    away.failure = Unavailable("away")
    with pytest.raises(Unavailable):
        deliver_spool(folder, away, NOW_MS)
    assert stand_of(folder)["unanswered"][0] == 1
    spool(folder, "b", range(1))
    heard = FakeLedger()
    assert deliver_spool(folder, heard, NOW_MS + 5) == 4
    first, second = (json.loads(batch) for batch in heard.delivered.values())
    assert ([item["score"] for item in first["scores"]], first["complete_until_ms"]) == (["a0", "a1", "a2"], NOW_MS)
    assert [item["score"] for item in second["scores"]] == ["b0"]


def test_a_crash_after_the_answer_sends_the_same_batch_again(folder: str) -> None:
    """The ledger knows it: the receipt has the same key and the same content."""
    spool(folder, "a", range(3))
    heard = FakeLedger()

    class Crash(BaseException):
        """The process ends here."""

    class Crashing:
        """A ledger whose answer is never heard."""

        def deliver(self, batch: bytes) -> None:
            """Store, and crash."""
            heard.deliver(batch)
            raise Crash

    with pytest.raises(Crash):
        deliver_spool(folder, Crashing(), NOW_MS)  # type: ignore[arg-type]
    before = dict(heard.delivered)
    assert deliver_spool(folder, heard, NOW_MS + 9) == 3
    assert heard.delivered == before


def test_what_is_to_be_sent_later_is_kept_and_sent_later(folder: str) -> None:
    """Not in the same breath, but the next time."""
    spool(folder, "a", range(2))
    keeper = Keeper()
    keeper.later = {"scores"}
    deliver_spool(folder, keeper, NOW_MS)
    assert len(keeper.batches) == 1
    keeper.later = set()
    assert deliver_spool(folder, keeper, NOW_MS) == 2
    assert deliver_spool(folder, keeper, NOW_MS) == 0
    assert names(keeper) == ["a0", "a1"] * 2


def test_what_is_refused_is_set_aside_and_stops_nothing(tmp_path: Path) -> None:
    """`doctor` shows it with the file that keeps it."""
    place = Place(tmp_path)
    place.run("import joulebook\nwith joulebook.track(model='m') as run: run.log(accuracy=1)")
    segment = create_segment(str(place.boot), "odd")
    segment.append({"scores": [score("bad", value="nan")]}, {"scores": [score("good")]})
    move_to_done(segment.path)
    segment.close()
    assert state_of(place.settings)["waiting"] > 2
    heard = FakeLedger()
    deliver_spool(str(place.boot), heard, NOW_MS)
    state = state_of(place.settings)
    (aside,) = state["aside"]
    assert (state["waiting"], aside["outcome"], aside["kind"]) == (0, "refused", "scores")
    assert aside["reason"] == "score_is_not_a_finite_number"
    assert '"value":"nan"' in Path(aside["file"]).read_text()


def test_a_batch_that_is_refused_whole_is_set_aside_and_stops_nothing(folder: str) -> None:
    """It will never be anything else."""
    spool(folder, "a", range(1))
    stern = FakeLedger()
    stern.failure = Malformed("not for me")
    deliver_spool(folder, stern, NOW_MS)
    assert "not for me" in Path(folder, delivery.ASIDE).read_text()
    spool(folder, "b", range(1))
    keeper = Keeper()
    assert deliver_spool(folder, keeper, NOW_MS) == 1
    assert (names(keeper), keeper.batches[0].sequence) == (["b0"], 2)


def test_many_records_are_sent_in_several_batches(folder: str) -> None:
    """None is much greater than what a ledger takes at once."""
    spool(folder, "a", range(delivery.MOST_ITEMS + 5))
    spool(folder, "b", range(3))
    keeper = Keeper()
    deliver_spool(folder, keeper, NOW_MS)
    assert len(set(names(keeper))) == len(names(keeper)) == delivery.MOST_ITEMS + 8
    assert len(keeper.batches) > 1
    assert [batch.state for batch in keeper.batches] == ["active"] * (len(keeper.batches) - 1) + ["retired"]


def test_only_one_delivers_at_a_time(folder: str) -> None:
    """The second lock: whoever comes second leaves it to the first."""
    spool(folder, "a", range(1))
    lock = open_once(str(Path(folder, delivery.LOCK)))
    assert lock.try_take()
    assert deliver_spool(folder, Keeper(), NOW_MS) is None
    lock.give()
    assert deliver_spool(folder, Keeper(), NOW_MS) == 1


def test_a_torn_last_line_of_a_finished_segment_is_passed_over(folder: str) -> None:
    """Nobody will ever write the rest of it."""
    spool(folder, "a", range(2))
    path = Path(folder, "done", "a.segment")
    path.write_bytes(path.read_bytes()[:-7])
    keeper = Keeper()
    assert deliver_spool(folder, keeper, NOW_MS) == 1
    assert not path.exists()


def test_the_spool_of_an_earlier_boot_is_delivered_retired_and_removed(tmp_path: Path) -> None:
    """By whichever command comes next."""
    place = Place(tmp_path)
    place.run("import joulebook\nwith joulebook.track(model='old') as run: pass")
    place.boot.rename(place.boot.parent / "00000000-earlier-boot")
    place.run("import joulebook\nwith joulebook.track(model='new') as run: pass")
    keeper = place.deliver()
    assert {keeper.run_named("old"), keeper.run_named("new")} == set(keeper.statuses)
    assert {batch.state for batch in keeper.batches} == {"retired"}
    assert "earlier" not in place.boot.name


def test_a_drop_box_takes_sealed_files_and_any_book_ingests_them_once(tmp_path: Path) -> None:
    """The reader leaves them itself; whoever ingests remembers one number for each reader."""
    box = tmp_path / "box"
    place = Place(tmp_path, f"file://{box}")
    program = "import joulebook\nwith joulebook.track(model='m') as run: run.log(accuracy=1)"
    for _ in range(2):
        assert place.run(program).stderr == ""
    files = sorted(box.iterdir())
    assert all(path.name.endswith(".batch") for path in files)
    keeper = Keeper()
    remembered = str(tmp_path / "remembered")
    assert ingest_dropbox(str(box), keeper, remembered) > 0
    assert [status for its in keeper.statuses.values() for status in its] == ["finished"] * 2
    assert ingest_dropbox(str(box), keeper, remembered) == 0
    assert sorted(box.iterdir()) == files
    other = Keeper()
    ingest_dropbox(str(box), other)
    assert other.statuses == keeper.statuses


def test_a_file_that_is_not_whole_yet_waits_and_those_after_it_too(tmp_path: Path) -> None:
    """A file system on the network may show a name before all of its bytes."""
    box = DropBox(str(tmp_path))
    heard = FakeLedger()
    batches = []
    for sequence in (1, 2):
        reader = {"reader": "r", "machine": "m", "boot": "b", "host": "h", "rank": 1}
        batches.append(
            json.dumps({"wire": 1, "reader": reader, "sequence": sequence, "scores": [score(f"s{sequence}")]}).encode()
        )
        box.deliver(batches[-1])
    first = tmp_path / file_name("r", 1, batches[0])
    for content in (batches[0][:20], batches[0].replace(b"s1", b"s9")):
        first.write_bytes(content)
        assert ingest_dropbox(str(tmp_path), heard) == 0
    first.write_bytes(batches[0])
    assert ingest_dropbox(str(tmp_path), heard) == 2


def test_a_drop_box_that_cannot_be_written_keeps_everything_in_the_spool(tmp_path: Path) -> None:
    """And the job ends as it would without us."""
    (tmp_path / "box").write_text("a file")
    place = Place(tmp_path, f"file://{tmp_path}/box")
    done = place.run("import joulebook\nwith joulebook.track(model='m') as run: pass")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    assert place.deliver().statuses != {}
