"""`serve` as a process: it books by itself, ends in order, and lets another take over."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from books import Plan, realistic_batches
from helpers.running import WAIT_SECONDS, Service

from joulebook_ledger.client import HttpLedger
from joulebook_ledger.core.refusals import Unavailable
from joulebook_ledger.local import LocalLedger
from joulebook_ledger.queries import ReportQuery

pytestmark = pytest.mark.processes
NOVEMBER_2024 = 1_730_419_200_000  # these services have this machine's clock, which may be any later one
PIPE_BYTES, BYTES_PER_LINE = 65_536, 150  # what a pipe of Linux holds, and the least that a request adds to the log
REPORT = ReportQuery(from_month=202411, to_month=202411, by=("run",))
BATCHES = tuple(realistic_batches(Plan(runs=4, machines=2, start_ms=NOVEMBER_2024)))


def start(book_url: str, home: Path) -> Service:
    """Start a service with a home of its own."""
    return Service({"JOULEBOOK_LEDGER": book_url, "JOULEBOOK_HOME": str(home)})


def client_of(service: Service, home: Path) -> HttpLedger:
    """Return a client that knows the service's token from its file, and asks again without waiting."""
    return HttpLedger(service.url, (home / "token").read_text().strip(), sleep=lambda _: None)


def has_booked(line: str) -> bool:
    """Say whether a line of the log tells of a booking that added something."""
    return "event=job_done job=book" in line and not line.rstrip().endswith("result=0")


def test_a_service_books_when_a_run_has_ended(book_url: str, home: Path) -> None:
    """Nobody asked for it, and no request waited for it."""
    with start(book_url, home) as service, closing(client_of(service, home)) as ledger:
        for batch in BATCHES:
            ledger.deliver(batch)
        service.wait_for(has_booked)
        rows = ledger.report(REPORT)["rows"]
        assert sum(row["energy_kwh"] or 0 for row in rows) > 0
        assert service.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(sqlite_url: str, home: Path, number: int) -> None:
    """Exit code 0, no traceback, and what was answered is in the book."""
    with start(sqlite_url, home) as service, closing(client_of(service, home)) as ledger:
        ledger.deliver(BATCHES[0])
        assert service.end(number) == 0
    assert "Traceback" not in "".join(service.lines)
    with closing(LocalLedger(sqlite_url)) as book:
        assert set(book.deliver(BATCHES[0]).counts) == {"already_stored"}


@pytest.mark.postgres
def test_no_line_of_the_log_holds_a_secret(postgres_url: str, home: Path) -> None:
    """Neither the token nor the password of the database."""
    secret_url = postgres_url.replace("postgres@", "postgres:hunter2@", 1)
    with start(secret_url, home) as service, closing(client_of(service, home)) as ledger:
        ledger.deliver(BATCHES[0])
        ledger.report(REPORT)
        with pytest.raises(Unavailable), closing(HttpLedger(service.url, "another-secret-word")) as stranger:
            stranger.report(REPORT)
        service.end()
    said = "".join(service.lines)
    assert "status=401" in said
    assert "hunter2" not in said
    assert "another-secret-word" not in said
    assert (home / "token").read_text().strip() not in said


def test_a_log_that_no_test_waits_for_holds_up_nobody(sqlite_url: str, home: Path) -> None:
    """The helper of these tests reads more than a pipe holds; a service that waits to write its log answers nobody."""
    with start(sqlite_url, home) as service, httpx2.Client() as stranger:
        for _ in range(PIPE_BYTES // BYTES_PER_LINE + 1):
            assert stranger.get(f"{service.url}/v1/hosts").status_code == 401
        service.end()
    assert sum(map(len, service.lines)) > PIPE_BYTES


@pytest.mark.postgres
def test_two_services_share_one_book(postgres_url: str, tmp_path: Path) -> None:
    """Both take facts and both book: everything counts once."""
    homes = [tmp_path / "a", tmp_path / "b"]
    with start(postgres_url, homes[0]) as first, start(postgres_url, homes[1]) as second:
        for batch in BATCHES:
            for service, home in zip((first, second), homes, strict=True):
                with closing(client_of(service, home)) as ledger:
                    ledger.deliver(batch)
        first.wait_for(lambda line: "job=book" in line)
        assert (first.end(), second.end()) == (0, 0)
    with (
        closing(LocalLedger(postgres_url)) as book,
        closing(LocalLedger(f"sqlite:///{tmp_path}/plain.sqlite")) as plain,
    ):
        for batch in BATCHES:
            plain.deliver(batch)
        book.book()
        plain.book()
        assert book.report(REPORT)["rows"] == plain.report(REPORT)["rows"]


def test_a_service_that_was_killed_loses_nothing(sqlite_url: str, home: Path) -> None:
    """What it had answered is stored; what was due, the next one books at its start."""
    with start(sqlite_url, home) as service, closing(client_of(service, home)) as ledger:
        ledger.deliver(BATCHES[0])
        service.end(signal.SIGKILL)
    with start(sqlite_url, home) as service, closing(client_of(service, home)) as ledger:
        service.wait_for(lambda line: "job=book" in line)
        assert set(ledger.deliver(BATCHES[0]).counts) == {"already_stored"}
        assert ledger.report(REPORT)["rows"]


def test_ready_follows_the_book(sqlite_url: str, home: Path) -> None:
    """A book that was taken away under a running service: alive, not ready, and every question is told to come back."""
    with start(sqlite_url, home) as service, closing(client_of(service, home)) as ledger:
        assert httpx2.get(f"{service.url}/readyz").status_code == 200
        path = Path(sqlite_url.removeprefix("sqlite:///"))
        path.rename(path.with_suffix(".away"))
        assert httpx2.get(f"{service.url}/healthz").status_code == 200
        answer = httpx2.get(f"{service.url}/readyz")
        assert (answer.status_code, str(path) in answer.text) == (503, False)
        with pytest.raises(Unavailable, match="nothing is lost"):
            ledger.report(REPORT)


def test_what_cannot_be_served_ends_the_command_with_a_sentence(home: Path) -> None:
    """Exit code 2 at the front door, and no traceback."""
    command = [sys.executable, "-m", "joulebook", "serve", "--host", "0.0.0.0"]  # noqa: S104 - refused here
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert run.returncode == 2
    assert "no keys yet" in run.stderr
    assert "Traceback" not in run.stderr
