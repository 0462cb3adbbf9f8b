"""Factors are fetched by the service, with its own switch; what was asked comes through unchanged."""

from __future__ import annotations

import pytest
from helpers.fake_ledger import FakeLedger
from helpers.running import running
from helpers.service import TOKEN, asked_as_owner, problem
from starlette.testclient import TestClient

from joulebook_api.app import create_app
from joulebook_ledger.client import HttpLedger
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.queries import FetchQuery

PAGE = "/v1/factors/fetch"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("query", [FetchQuery(), FetchQuery(zone="FR", from_ms=0, to_ms=3_600_000, provider="gb")])
def test_a_question_comes_through_unchanged(ledger: FakeLedger, query: FetchQuery) -> None:
    """From the client, over a socket, to the ledger."""
    with running(create_app(ledger, TOKEN)) as url:
        remote = HttpLedger(url, TOKEN)
        assert remote.fetch_factors(query)["stored"] == 0
        remote.close()
    assert query in ledger.asked


def test_what_is_new_is_booked_soon(ledger: FakeLedger) -> None:
    """What changed nothing asks for no booking."""
    said: list[str] = []
    with asked_as_owner(create_app(ledger, TOKEN, book_soon=lambda: said.append("soon"))) as client:
        assert client.post(PAGE, content=b"{}", headers=JSON).status_code == 200
        assert said == []
        ledger.stored = 3
        assert client.post(PAGE, content=b"{}", headers=JSON).json()["stored"] == 3
    assert said == ["soon"]


def test_an_instant_that_is_none_and_nobody_switched_on(client: TestClient, ledger: FakeLedger) -> None:
    """Both are named with the way out."""
    assert "yesterday" in problem(client.post(f"{PAGE}?from=yesterday", content=b"{}", headers=JSON), 422, "bad-input")
    ledger.failure = BadInput("no provider is switched on: set JOULEBOOK_PROVIDERS")
    assert "JOULEBOOK_PROVIDERS" in problem(client.post(PAGE, content=b"{}", headers=JSON), 422, "bad-input")
