"""The service's page for Prometheus: counts by page and status, for whoever has the token."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from helpers.fake_ledger import FakeLedger
from helpers.service import ADDRESS, TOKEN, problem
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from joulebook_api.app import create_app

REQUESTS = "joulebook_http_requests_total"


def requests_of(client: TestClient) -> dict[tuple[str, str, str], float]:
    """Return how many requests were answered, by method, page and status."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    return {(s.labels["method"], s.labels["page"], s.labels["status"]): s.value for s in samples if s.name == REQUESTS}


def test_requests_are_counted_by_page_and_status(client: TestClient) -> None:
    """By the page as the schema writes it: what was asked for makes no series of its own."""
    for run in ("run-1", "run-2"):
        client.get(f"/v1/runs/{run}")
    for path in ("/nowhere/a", "/nowhere/b"):
        client.get(path)
    client.request("BREW", "/healthz")
    counted = requests_of(client)
    assert sum(number for (_, page, _), number in counted.items() if page == "/v1/runs/{run}") == 2
    assert counted["GET", "other", "404"] == 2
    assert {method for method, _, _ in counted} <= {"GET", "other"}
    assert not any("run-1" in page or "nowhere" in page for _, page, _ in counted)


def test_only_the_token_opens_it_and_a_refusal_is_counted(ledger: FakeLedger, client: TestClient) -> None:
    """How much a book is used is nobody else's business; the book itself is never asked."""
    app = create_app(ledger, TOKEN)
    problem(TestClient(app, base_url=ADDRESS).get("/metrics"), 401, "unauthorized")
    owner = TestClient(app, base_url=ADDRESS, headers={"authorization": f"Bearer {TOKEN}"})
    assert requests_of(owner)["GET", "other", "401"] == 1
    assert ("GET", "other", "401") not in requests_of(client), "each service counts for itself"
    assert ledger.asked == []


def test_promtool_has_nothing_to_say(client: TestClient) -> None:
    """Names, units and types are as Prometheus wants them."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed here (Debian: apt-get install prometheus)")
    client.get("/healthz")
    page = client.get("/metrics").text
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
