"""`worker` as a process: one of two leads, the other takes over when it is killed, and a signal ends it in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from books import HOUR, KWH, NOVEMBER, Story
from helpers.running import WAIT_SECONDS, Service
from helpers.tracked import wait_until

from joulebook_ledger.desk.entering import Entry, Place, init_batch
from joulebook_ledger.local import LocalLedger, now_ms

pytestmark = pytest.mark.processes
LONG_AGO = NOVEMBER - 2 * 365 * 24 * HOUR
PROGRAM = """
import sys
from joulebook_api.worker import work
from joulebook_ledger.settings import load_settings
work(load_settings(), beat_seconds=0.2, announce=lambda text: print("event=serving url=none", text, file=sys.stderr, flush=True))
"""


def start(book_url: str, home: Path) -> Service:
    """Start a worker with a home of its own."""
    return Service({"JOULEBOOK_LEDGER": book_url, "JOULEBOOK_HOME": str(home)}, program=PROGRAM)


def joulebook(book_url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a book."""
    command = [sys.executable, "-m", "joulebook", *words]
    environment = {"JOULEBOOK_LEDGER": book_url}
    return subprocess.run(
        command, env={**os.environ, **environment}, check=False, capture_output=True, text=True, timeout=WAIT_SECONDS
    )


def tell(book_url: str, hour: int) -> None:
    """Store an hour's reading of long ago, and book nothing."""
    start_ms = LONG_AGO + hour * HOUR
    with closing(LocalLedger(book_url)) as ledger:
        story = Story(reader=f"r{hour}").meter("cpu", device="d").reading("cpu", start_ms, start_ms + HOUR, KWH)
        assert not ledger.deliver(story.batch()).exceptions


def jobs_of(service: Service, job: str) -> int:
    """Return how often a worker did a job, as its log tells."""
    return sum(f"event=job_done job={job}" in line for line in "".join(service.lines).splitlines())


def states(book_url: str) -> dict[str, str]:
    """Return the jobs of a book and how they stand."""
    with closing(LocalLedger(book_url)) as ledger:
        return {job["job"]: job["state"] for job in ledger.duties()["jobs"]}


def test_when_the_one_who_leads_is_killed_the_other_goes_on(book_url: str, tmp_path: Path) -> None:
    """Two workers do together what one would do: each asks for a booking at its start, and the one who leads does it."""
    tell(book_url, 0)
    with start(book_url, tmp_path / "a") as first:
        first.wait_for(lambda line: "event=job_done job=book" in line)
        with start(book_url, tmp_path / "b") as second:
            first.wait_for(lambda line: "event=job_done job=book" in line)
            first.end(signal.SIGKILL)
            second.wait_for(lambda line: "event=leads " in line)
            tell(book_url, 1)
            assert "another worker leads" in joulebook(book_url, "worker", "--once").stderr
            second.wait_for(lambda line: "event=job_done job=book" in line)
            wait_until(
                lambda: states(book_url) == {"book": "done", "seal": "done", "close_reminder": "done"}, "all is done"
            )
            assert second.end() == 0
        assert jobs_of(first, "book") + jobs_of(second, "book") in {3, 4}  # 4 where an hour began meanwhile


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_worker_in_order(sqlite_url: str, home: Path, number: int) -> None:
    """Exit code 0, no traceback."""
    with start(sqlite_url, home) as service:
        service.wait_for(lambda line: "event=leads " in line)
        assert service.end(number) == 0
    assert "Traceback" not in "".join(service.lines)


def test_once_does_what_is_due_and_ends(sqlite_url: str, home: Path) -> None:
    """For cron; what failed is seen, and so is the month that nobody closed."""
    with closing(LocalLedger(sqlite_url)) as ledger:
        ledger.deliver(init_batch(Entry(name="a", at_ms=now_ms()), Place(machine="m1", zone="GB")))
    tell(sqlite_url, 0)
    done = joulebook(sqlite_url, "worker", "--once")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "3 done")
    told = json.loads(joulebook(sqlite_url, "worker", "--status", "--json").stdout)
    assert [(job["job"], job["state"]) for job in told["jobs"]] == [
        ("book", "done"),
        ("close_reminder", "done"),
        ("seal", "done"),
    ]
    assert told["months_not_closed"] == ["2024-11"]
    said = joulebook(sqlite_url, "worker", "--status").stdout
    assert "2024-11 is over and not closed" in said


def test_a_worker_needs_a_book(sqlite_url: str) -> None:
    """A service has one of its own."""
    done = joulebook("http://127.0.0.1:9", "worker", "--once")
    assert done.returncode == 2
    assert "is no book" in done.stderr
    assert joulebook(sqlite_url, "worker", "--once", "--status").returncode == 2
