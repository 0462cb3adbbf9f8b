"""Each page makes one call of the ledger and answers with its body, unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.fake_ledger import RUN, FakeLedger, run_body
from helpers.service import TOKEN, asked_as_owner, batch, deliver, problem
from starlette.testclient import TestClient

from joulebook_api.app import create_app
from joulebook_api.problems import Problem
from joulebook_ledger.core.refusals import Unavailable
from joulebook_ledger.queries import CloseQuery, RankQuery, ReportQuery, RunsQuery, SciQuery


def test_a_batch_is_handed_on_byte_for_byte(client: TestClient, ledger: FakeLedger) -> None:
    """The service reads no facts: the ledger does, whichever way they come."""
    content = batch()
    assert deliver(client, content).json() == {"counts": {"stored": 2}, "exceptions": []}
    assert deliver(client, content).json() == {"counts": {"already_stored": 2}, "exceptions": []}
    assert list(ledger.delivered.values()) == [content]


def test_one_bad_item_is_refused_by_itself(client: TestClient) -> None:
    """The rest of the batch is stored, and the answer says which item broke which rule."""
    runs = [{"run": "r", "event": "e", "kind": "started", "at_ms": 1, "labels": {"stage": "trainig"}}]
    body = deliver(client, batch(runs=runs)).json()
    assert body["counts"] == {"stored": 1, "refused": 1}
    assert body["exceptions"][0]["reason"] == "unknown_stage"
    assert "trainig" in body["exceptions"][0]["detail"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"a"', batch(wire=0), batch(reader=None), batch(surprise=1), b"\xff"]
)
def test_bytes_that_are_no_batch_are_refused_whole(client: TestClient, ledger: FakeLedger, content: bytes) -> None:
    """Nothing of it is stored."""
    assert problem(deliver(client, content), 400, "malformed-batch")
    assert ledger.delivered == {}


def test_a_batch_of_a_newer_version_is_to_be_kept(client: TestClient, ledger: FakeLedger) -> None:
    """It cannot be judged here, so nobody may throw it away: 503, and what to do."""
    assert "pip install -U joulebook" in problem(deliver(client, batch(wire=2)), 503, "unavailable")
    assert ledger.delivered == {}


ENDED = {"run": "run-1", "event": "e2", "kind": "ended", "status": "finished", "at_ms": 1_796_000_460_000}


@pytest.mark.parametrize(
    ("changes", "asked"),
    [({}, 0), ({"runs": [ENDED]}, 1), ({"reader": {"reader": "desk"}, "sites": [{"site": "s", "version": "1"}]}, 1)],
)
def test_what_is_looked_for_at_once_is_booked_soon(ledger: FakeLedger, changes: dict[str, Any], asked: int) -> None:
    """The end of a run and what a person entered; ingest itself books nothing."""
    said: list[str] = []
    with asked_as_owner(create_app(ledger, TOKEN, book_soon=lambda: said.append("soon"))) as client:
        assert deliver(client, batch(**changes)).status_code == 200
    assert len(said) == asked
    assert ledger.booked == 0


@pytest.mark.parametrize(
    ("page", "question"),
    [
        ("/v1/runs", RunsQuery()),
        (
            "/v1/runs?model=a%20b&status=failed&tag=grid=b=c&tag=seed=7&sort=energy_kwh&limit=5&cursor=x",
            RunsQuery(
                labels={"model": "a b", "status": "failed", "tag:grid": "b=c", "tag:seed": "7"}, sort="energy_kwh", limit=5, cursor="x",
            ),
        ),
        ("/v1/runs/last", ("run", "")),
        (f"/v1/runs/{RUN}", ("run", RUN)),
        ("/v1/footprint", ("run", "")),
        ("/v1/footprint?run=01jd", ("run", "01jd")),
        ("/v1/footprint?from=2026-11&model=m", ReportQuery(from_month=202611, to_month=202611)),
        ("/v1/reports/2026-11", ReportQuery(from_month=202611, to_month=202611)),
        (
            "/v1/reports?from=2026-10&to=2026-11&by=team,tag:grid&basis=current&as_of=7&idle=uniform",
            ReportQuery(from_month=202610, to_month=202611, by=("team", "tag:grid"), basis="current", idle="uniform", as_of="7"),
        ),
        ("/v1/rank", RankQuery()),
        (
            "/v1/rank?task=t&score=accuracy&per=co2e&stage=training&split=test&min=accuracy=0.7&best=true",
            RankQuery(
                task="t", score="accuracy", per="co2e", stage="training", split="test", least={"accuracy": "0.7"}, best=True,
            ),
        ),
        ("/v1/sci?from=2026-11", SciQuery(from_month=202611, to_month=202611)),
        (
            "/v1/sci?from=2026-01&to=2026-12&per=token&model=m&boundary=provider&units=5e3&idle=uniform&utilisation=0.85",
            SciQuery(
                from_month=202601, to_month=202612, per="token", model="m", boundary="provider", units="5e3", idle="uniform",
                utilisation="0.85",
            ),
        ),
        ("/v1/why", ("why", "last cost")),
        ("/v1/why?figure=run:R%23cost", ("why", "run:R#cost")),
        ("/v1/verify", "verify"),
        ("/v1/snapshot?machine=m1", ("snapshot", "m1")),
    ],
)  # fmt: skip
def test_a_page_asks_the_ledger_one_question(client: TestClient, ledger: FakeLedger, page: str, question: Any) -> None:
    """Parse, one call, answer."""
    answer = client.get(page)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert ledger.asked == [question]


def test_a_body_is_answered_without_rounding(client: TestClient) -> None:
    """JSON never rounds a figure."""
    assert client.get("/v1/footprint?from=2026-11").content == b'{"energy_kwh":0.30000000000000004}'
    assert client.get("/v1/runs/last").json() == run_body()
    assert client.get("/v1/snapshot?machine=m").content == b'{"factors":[]}'


def test_a_page_asked_twice_gives_the_same_bytes(client: TestClient) -> None:
    """Asking changes nothing."""
    assert client.get("/v1/runs").content == client.get("/v1/runs").content


@pytest.mark.parametrize(
    ("page", "name", "said"),
    [
        ("/v1/sci?from=2026-11&per=smile", "unknown-per", "'smile' is none of: request"),
        ("/v1/sci?from=2026-11&boundary=mine", "unknown-boundary", "'mine' is none of: all"),
        ("/v1/sci?from=2026-11&to=2026-10", "bad-input", "ends before it begins"),
        ("/v1/rank?stage=trainig", "unknown-stage", "'trainig' is none of: training"),
        ("/v1/runs?stage=x", "unknown-stage", "'x'"),
        ("/v1/rank?per=watts", "bad-input", "'watts' is none of: cost"),
        ("/v1/reports/2026-13", "bad-input", "YYYY-MM"),
        ("/v1/reports/nov", "bad-input", "'nov'"),
        ("/v1/reports", "bad-parameter", "?from="),
        ("/v1/reports?from=2026-11&to=2026-10", "bad-input", "ends before it begins"),
        ("/v1/reports?from=2026-11&by=modle", "unknown-by", "'modle' is none of: model"),
        ("/v1/reports?from=2026-11&by=team,team", "bad-input", "once"),
        ("/v1/reports?from=2026-11&by=", "bad-input", "at least one"),
        ("/v1/reports?from=2026-11&basis=open", "unknown-basis", "closed, current"),
        ("/v1/reports?from=2026-11&idle=hidden", "unknown-idle", "separate, proportional, uniform"),
        ("/v1/runs?modle=m", "bad-input", "'modle' is not known here"),
        ("/v1/runs?model=a&model=b", "bad-input", "more than once"),
        ("/v1/runs?limit=0", "bad-parameter", "limit"),
        ("/v1/runs?limit=1001", "bad-parameter", "'1001'"),
        ("/v1/runs?limit=many", "bad-parameter", "'many'"),
        ("/v1/runs?tag=grid", "bad-input", "tag=NAME=VALUE"),
        ("/v1/runs?tag=a=1&tag=a=2", "bad-input", "twice"),
        ("/v1/runs?model=%00", "control-character", "model"),
        ("/v1/runs/%00", "control-character", "run"),
        ("/v1/runs/", "empty-text", "run"),
        (f"/v1/runs?model={'m' * 10_000}", "text-too-long", "10000"),
        ("/v1/rank?min=accuracy", "bad-input", "min=NAME=VALUE"),
        ("/v1/rank?best=perhaps", "bad-parameter", "'perhaps'"),
        ("/v1/footprint?run=r&from=2026-11", "bad-input", "either"),
        ("/v1/footprint?team=vision", "bad-input", "from=YYYY-MM"),
        ("/v1/footprint?to=2026-11", "bad-input", "from=YYYY-MM"),
        ("/v1/snapshot", "bad-parameter", "?machine="),
        ("/v1/hosts?deep=1", "bad-input", "no parameters"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_taken_is_named(client: TestClient, page: str, name: str, said: str) -> None:
    """A refusal names the value and the way out."""
    assert said in problem(client.get(page), 422, name)


def test_an_unknown_run_is_not_found_and_the_nearest_is_named(client: TestClient) -> None:
    """404, and where to go instead."""
    assert RUN in problem(client.get("/v1/runs/zzz"), 404, "not-found")


def test_an_unknown_group_is_not_found(client: TestClient) -> None:
    """No row is no row of zeros."""
    detail = problem(client.get("/v1/footprint?from=2026-11&team=ghosts"), 404, "not-found")
    assert "team=ghosts" in detail


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v2/runs", "/v1/facts/", "/v1/reports/", "/redoc", "/v1/verify/x"]
)
def test_a_page_that_is_not_there(client: TestClient, path: str) -> None:
    """The path is named, and where to look."""
    assert "/docs" in problem(client.get(path), 404, "no-such-page")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/facts"), ("POST", "/v1/runs"), ("DELETE", "/v1/runs/r"), ("PUT", "/v1/verify")]
)
def test_a_method_that_a_page_does_not_know(client: TestClient, method: str, path: str) -> None:
    """The answer says which ones it knows."""
    answer = client.request(method, path, headers={"content-type": "application/json"})
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"]


def test_a_book_out_of_reach_is_said_with_when_to_come_back(client: TestClient, ledger: FakeLedger) -> None:
    """503: nothing was wrong with the request."""
    ledger.failure = Unavailable("the database is being restored: try again in a minute")
    answer = client.get("/v1/runs")
    assert "restored" in problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("failure", [RuntimeError("password=hunter2"), ZeroDivisionError(), KeyError("x")])
def test_an_unexpected_error_shows_nothing_of_itself(
    client: TestClient, ledger: FakeLedger, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets an id, the log gets the traceback under the same id."""
    ledger.failure = failure
    answer = client.get("/v1/runs")
    assert "hunter2" not in problem(answer, 500, "internal-error")
    assert answer.headers["x-content-type-options"] == "nosniff"
    (line,) = [record for record in caplog.records if record.name == "joulebook.service"]
    assert answer.headers["x-request-id"] in line.getMessage()
    assert line.exc_info is not None


def test_the_service_goes_on_after_an_unexpected_error(client: TestClient, ledger: FakeLedger) -> None:
    """One failed request is one failed request."""
    ledger.failure = RuntimeError("once")
    assert client.get("/v1/runs").status_code == 500
    assert client.get("/v1/runs").status_code == 200


def test_alive_and_ready_are_two_questions(ledger: FakeLedger, caplog: pytest.LogCaptureFixture) -> None:
    """A service whose database is away is alive and not ready; outside nobody learns why."""

    def check_ready() -> None:
        raise Unavailable("postgresql+psycopg://ann@books-internal/joulebook does not answer")

    with asked_as_owner(create_app(ledger, TOKEN, check_ready=check_ready)) as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        assert "books-internal" not in problem(client.get("/readyz"), 503, "unavailable")
    assert "books-internal" in caplog.text


def test_a_book_that_answers_is_ready(client: TestClient) -> None:
    """The default is a book that needs no check."""
    assert client.get("/readyz").json() == {"status": "ready"}


def test_a_detail_may_hold_any_text() -> None:
    """Half a surrogate pair in a refusal does not make an error of the service."""
    answer = Problem(status=422, name="bad-input", detail="no run \ud800").response({"type": "http"})
    assert json.loads(answer.body)["detail"] == "no run \ud800"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"reason": "revised", "dryrun": true}', "field 'dryrun' is not known here"),
        (b'{"reason": "revised", "dry_run": "yes"}', "dry_run must be true or false, not 'yes'"),
        (b'{"reason": 7}', "reason must be a text, not '7'"),
        (b"[]", "one JSON object"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
    ],
)
def test_a_mistyped_restatement_is_refused_and_never_done(
    client: TestClient, ledger: FakeLedger, body: bytes, says: str
) -> None:
    """Passed over, a mistyped `dry_run` would write."""
    answer = client.post("/v1/restatements", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert ledger.asked == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"kind": "score", "where": {"run": 7}}', "where.run must be a text, not '7'"),
        (b'{"kind": "score", "where": "run=7"}', "where must be an object of texts"),
        (b'{"where": {"run": "7"}}', "a correction lacks a field: it has name, kind, where"),
    ],
)
def test_a_mistyped_correction_is_refused_and_never_done(
    client: TestClient, ledger: FakeLedger, body: bytes, says: str
) -> None:
    """With the field, and what it takes."""
    answer = client.post("/v1/corrections", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert ledger.asked == []


def test_a_month_is_checked_and_closed(client: TestClient, ledger: FakeLedger) -> None:
    """The same page: GET looks, POST closes; what is left out is the earliest open month, and 1 %."""
    assert client.get("/v1/periods/2026-10/close?tolerance_ppm=5000").json()["closed"] is False
    assert client.post("/v1/periods/earliest/close?author=ann&reason=scrapped", json={}).json()["closed"] is True
    assert ledger.asked == [
        ("check", CloseQuery(month=202610, tolerance_ppm=5_000)),
        ("close", CloseQuery(author="ann", reason="scrapped")),
    ]


def test_a_close_that_cannot_be_meant_is_refused(client: TestClient) -> None:
    """By name and value."""
    problem(client.post("/v1/periods/2026-13/close", json={}), 422, "bad-input")
    assert client.post("/v1/periods/2026-10/close?tolerance_ppm=much", json={}).status_code == 422
