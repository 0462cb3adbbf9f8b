"""Factors, prices and sites over REST: the same use cases as on the command line."""

from __future__ import annotations

import json

import httpx2
import pytest
from helpers.service import TOKEN
from service.conftest import Served

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.queries import FactorsQuery

FACTOR = {"kind": "grid_location", "of": "FR", "value": "56.039", "unit": "gCO2e/kWh"}


def post(served: Served, path: str, body: object) -> httpx2.Response:
    """Send JSON to a page of the service."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    return httpx2.post(f"{served.remote.name}{path}", content=json.dumps(body).encode(), headers=headers)


def test_what_is_posted_is_listed_alike_near_and_far(served: Served) -> None:
    """With its author; sent again it is known."""
    body = {"items": [FACTOR], "author": "ann"}
    assert post(served, "/v1/factors", body).json() == {"rows": 1, "stored": 1, "already_stored": 0, "notes": []}
    assert post(served, "/v1/factors", body).json()["already_stored"] == 1
    price = {"kind": "tariff", "of": "s", "value": 0.25, "unit": "EUR/kWh"}
    assert post(served, "/v1/prices", {"items": [price]}).json()["stored"] == 1
    assert (
        post(served, "/v1/sites", {"items": [{"site": "s", "provider": "gcp", "region": "europe-west9"}]}).json()[
            "stored"
        ]
        == 1
    )
    for query in (FactorsQuery(), FactorsQuery(kinds=("tariff",)), FactorsQuery(object="FR", at_ms=5, limit=1)):
        assert served.remote.factors(query) == served.book.factors(query)
    assert served.remote.sites() == served.book.sites()
    assert [item["zone"] for item in served.remote.sites()["items"]] == ["FR"]


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("/v1/factors", {"items": [FACTOR, FACTOR | {"value": "1,5"}]}, "item 2, column 'value'"),
        ("/v1/factors", {"items": [FACTOR | {"kind": "tariff", "unit": "EUR/kWh"}]}, "is a price"),
        ("/v1/prices", {"items": [FACTOR]}, "is a factor"),
        ("/v1/factors", {"items": {}}, "a list of objects"),
        ("/v1/factors", {"items": [{"kind": "pue"}]}, "lacks the column 'of'"),
        ("/v1/sites", {"items": [{"site": "s", "zone": "Frnace"}]}, "the nearest are FR"),
        ("/v1/sites", {"items": [{"site": "s"}], "author": ["ann"]}, "author must be a text"),
    ],
)
def test_a_bad_table_is_a_problem_that_names_item_and_column(shared: Served, path: str, body: object, why: str) -> None:
    """And nothing of it is stored."""
    answer = post(shared, path, body)
    assert answer.status_code == 422
    assert why in answer.json()["detail"]
    assert shared.book.factors(FactorsQuery())["items"] == []


def test_a_kind_that_is_none_is_refused_far_as_near(shared: Served) -> None:
    """By name."""
    with pytest.raises(BadInput, match="wind"):
        shared.remote.factors(FactorsQuery(kinds=("wind",)))
