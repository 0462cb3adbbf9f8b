"""A service in front of a ledger in memory, asked without a network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.fake_ledger import FakeLedger
from helpers.service import TOKEN, asked_as_owner
from starlette.testclient import TestClient

from joulebook_api.app import create_app


@pytest.fixture
def ledger() -> FakeLedger:
    """Return the ledger behind the service."""
    return FakeLedger()


@pytest.fixture
def client(ledger: FakeLedger) -> Iterator[TestClient]:
    """Return a client with the right token."""
    with asked_as_owner(create_app(ledger, TOKEN)) as found:
        yield found
