"""A service in front of a ledger in memory, asked without a network; and a real book behind a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

import pytest
from books import DAY, NOVEMBER
from helpers.fake_ledger import FakeLedger
from helpers.running import running
from helpers.service import TOKEN, asked_as_owner
from starlette.testclient import TestClient

from joulebook_api.app import create_app
from joulebook_ledger.client import HttpLedger
from joulebook_ledger.ledger import Ledger
from joulebook_ledger.local import LocalLedger
from joulebook_ledger.readiness import check_ready

NOW_MS = NOVEMBER + 20 * DAY


class Served(NamedTuple):
    """A book and the way to it over HTTP."""

    book: LocalLedger
    remote: Ledger


@pytest.fixture
def ledger() -> FakeLedger:
    """Return the ledger behind the service."""
    return FakeLedger()


@pytest.fixture
def client(ledger: FakeLedger) -> Iterator[TestClient]:
    """Return a client with the right token."""
    with asked_as_owner(create_app(ledger, TOKEN)) as found:
        yield found


@pytest.fixture
def served(book_url: str) -> Iterator[Served]:
    """Return a fresh book on each engine, whose clock stands still, and a client of a service in front of it."""
    with serving(book_url) as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return one book on SQLite for tests that do not mind what others put into it."""
    with serving(f"sqlite:///{tmp_path_factory.mktemp('shared')}/book.sqlite") as found:
        yield found


@contextmanager
def serving(url: str) -> Iterator[Served]:
    """Yield a fresh book and a client of a service in front of it."""
    with closing(LocalLedger(url, clock=lambda: NOW_MS)) as book:
        app = create_app(book, TOKEN, check_ready=lambda: check_ready(url))
        with running(app) as address, closing(HttpLedger(address, TOKEN)) as remote:
            yield Served(book, remote)
