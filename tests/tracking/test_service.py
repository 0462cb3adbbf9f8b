"""A ledger behind a service: where no command runs, the reader delivers, and the job never waits long for it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from helpers.fake_ledger import FakeLedger
from helpers.running import running
from helpers.service import TOKEN
from helpers.tracked import Place

from joulebook_api.app import create_app
from joulebook_ledger.core.events import RunEvent
from joulebook_ledger.core.wire import decode_batch

pytestmark = pytest.mark.processes

JOB = "import joulebook\nwith joulebook.track(model='m') as run: run.log(accuracy=0.5)"


def test_the_reader_delivers_at_the_end_of_the_run_and_retires(tmp_path: Path) -> None:
    """No command is needed: everything is with the service when the job has ended."""
    ledger = FakeLedger()
    with running(create_app(ledger, TOKEN)) as url:
        place = Place(tmp_path, url)
        done = place.run(JOB, JOULEBOOK_API_KEY=TOKEN)
    assert (done.returncode, done.stderr) == (0, "")
    batches = [decode_batch(batch) for batch in ledger.delivered.values()]
    kinds = [fact.kind for batch in batches for fact in batch.facts() if isinstance(fact, RunEvent)]
    assert kinds == ["started", "ended"]
    assert batches[-1].state == "retired"
    assert place.deliver().batches == []


def test_a_service_that_is_away_keeps_the_job_for_no_longer_than_it_may(tmp_path: Path) -> None:
    """It listens and never answers: the job ends, one line says so, and the spool keeps everything for the next time."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        place = Place(tmp_path, f"http://127.0.0.1:{deaf.getsockname()[1]}")
        done = place.run(JOB, JOULEBOOK_API_KEY=TOKEN, JOULEBOOK_FLUSH_SECONDS="0.2")
    assert (done.returncode, len(done.stderr.splitlines()) <= 1) == (0, True)
    assert [len(its) for its in place.deliver().statuses.values()] == [1]


def test_a_service_without_a_token_does_not_harm_the_job(tmp_path: Path) -> None:
    """What is missing is said; the spool keeps everything."""
    place = Place(tmp_path, "http://127.0.0.1:9")
    done = place.run(JOB)
    assert done.returncode == 0
    assert all(line.startswith("joulebook: ") for line in done.stderr.splitlines())
    assert len(place.deliver().statuses) == 1


def test_nothing_is_sent_at_the_end_where_that_is_switched_off(tmp_path: Path) -> None:
    """JOULEBOOK_FLUSH_SECONDS=0 leaves it to the next command."""
    ledger = FakeLedger()
    with running(create_app(ledger, TOKEN)) as url:
        place = Place(tmp_path, url)
        place.run(JOB, JOULEBOOK_API_KEY=TOKEN, JOULEBOOK_FLUSH_SECONDS="0")
    assert ledger.delivered == {}
    assert len(place.deliver().statuses) == 1
