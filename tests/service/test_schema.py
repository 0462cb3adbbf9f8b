"""The service says what it takes and what it answers, and keeps to it whatever is sent."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from helpers.fake_ledger import FakeLedger
from helpers.service import ADDRESS, TOKEN, asked_as_owner, batch
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from joulebook_api.app import create_app
from joulebook_ledger.core.wire import DESK_LISTS, READER_LISTS

PAGES = {
    ("post", "/v1/facts"), ("get", "/v1/runs"), ("get", "/v1/runs/{run}"), ("get", "/v1/footprint"), ("get", "/v1/reports/{month}"),
    ("get", "/v1/reports"), ("get", "/v1/rank"), ("get", "/v1/sci"), ("get", "/v1/why"), ("get", "/v1/verify"), ("get", "/v1/periods/{month}/close"), ("post", "/v1/periods/{month}/close"), ("get", "/v1/hosts"), ("post", "/v1/restatements"), ("post", "/v1/corrections"), ("get", "/v1/maps"), ("get", "/v1/instruments"), ("post", "/v1/instruments"), ("post", "/v1/instruments/allocate"), ("get", "/v1/audit/{year}"), ("get", "/v1/snapshot"),
    ("get", "/v1/factors"), ("post", "/v1/factors"), ("get", "/v1/prices"), ("post", "/v1/prices"), ("get", "/v1/sites"), ("post", "/v1/sites"),
    ("get", "/healthz"), ("get", "/readyz"), ("get", "/metrics"),
    ("post", "/v1/factors/fetch"), ("get", "/v1/duties"), ("post", "/v1/bills"), ("get", "/v1/reconciliation/{month}"),
}  # fmt: skip
OTHER_SHAPES = {"/v1/audit/{year}": "application/zip", "/metrics": "text/plain"}
MEDIA_TYPES = {"application/json", "application/problem+json"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Return the schema as a client gets it."""
    with asked_as_owner(create_app(FakeLedger(), TOKEN)) as client:
        found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (method, path, operation) of every page."""
    return [(method, path, page) for path, pages in schema["paths"].items() for method, page in pages.items()]


def test_the_schema_lists_every_page(schema: dict[str, Any]) -> None:
    """No more and no less."""
    assert schema["openapi"].startswith("3.1")
    assert {(method, path) for method, path, _ in operations(schema)} == PAGES


def test_every_page_has_a_name_a_sentence_and_declared_refusals(schema: dict[str, Any]) -> None:
    """A client made from the schema has methods with names, and knows every shape that comes back."""
    names = [page["operationId"] for _, _, page in operations(schema)]
    assert len(set(names)) == len(names)
    for _, path, page in operations(schema):
        assert page["summary"]
        assert page["description"]
        assert set(page["responses"]["200"]["content"]) == {OTHER_SHAPES.get(path, "application/json")}
        refusals = {status: answer for status, answer in page["responses"].items() if status != "200"}
        if path.startswith("/v1"):
            assert {"401", "422", "503"} <= set(refusals)
            assert page["security"]
        for answer in refusals.values():
            assert answer["content"] == {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
            }


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    """Bodies of the ledger and the problem are all described."""
    text = json.dumps(schema)
    for name in (
        "RunsBody",
        "RunBody",
        "FootprintRow",
        "ReportBody",
        "RankBody",
        "WhyBody",
        "VerifyBody",
        "AnswerBody",
        "ProblemBody",
    ):
        assert name in schema["components"]["schemas"]
    assert all(
        found.split('"')[0] in schema["components"]["schemas"] for found in text.split("#/components/schemas/")[1:]
    )
    assert "HTTPValidationError" not in text


def test_the_page_for_people_shows_every_page_and_loads_nothing(schema: dict[str, Any]) -> None:
    """No script, no style and no picture from anywhere: nothing leaves the machine unasked."""
    with asked_as_owner(create_app(FakeLedger(), TOKEN)) as client:
        html = client.get("/docs").text
    assert all(f"{method.upper()} {path}" in html for method, path, _ in operations(schema))
    assert "http://" not in html.replace(ADDRESS, "")
    assert "https://" not in html
    assert "<script" not in html
    assert " src=" not in html


texts = st.text(max_size=30) | st.sampled_from(
    ["", "0", "-1", "2026-11", "2026-13", "0000-00", "9999-12", "training", "cost", "tag:x", "a=1", "a=nan", "last cost", "run:x#cost", "last",
     "report:2026-11#cost", "..", ".", "/", "%", "\x00", "\ud800", "\u202e", "' OR 1=1 --", "é" * 300, "9" * 400, "NaN", "true"]
)  # fmt: skip
names = st.sampled_from(
    ["model", "version", "task", "stage", "project", "team", "tag", "status", "sort", "limit", "cursor", "run", "from", "to", "by", "basis",
     "idle", "as_of", "score", "per", "split", "min", "best", "figure", "machine", "host", "device", "site"]
)  # fmt: skip
paths = st.sampled_from(sorted(path for _, path in PAGES)) | st.text(max_size=20).map(lambda text: f"/{text}")


def encoded(text: str) -> str:
    """Return a text as it may stand in an address, with bytes that are no UTF-8 where it is no text."""
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def expect_an_answer(answer: httpx2.Response) -> None:
    """Check that an answer is a good one or a refusal of the declared shape, and no error of the service.

    A batch of a newer wire version is the one thing for which the service is "unavailable": the sender keeps it until the update.
    """
    is_for_later = answer.status_code == 503 and "newer Joulebook" in answer.json()["detail"]
    assert answer.status_code < 500 or is_for_later, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert body["status"] == answer.status_code
        assert body["type"].startswith("urn:joulebook:problem:")
        assert body["detail"]
    else:
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] in {*MEDIA_TYPES, "text/html"}


def client_of(ledger: FakeLedger) -> TestClient:
    """Return a client that is not closed: hypothesis asks thousands of times."""
    return asked_as_owner(create_app(ledger, TOKEN))


CLIENT = client_of(FakeLedger())


@given(
    path=paths,
    part=texts,
    parameters=st.lists(st.tuples(names | texts, texts), max_size=4),
    method=st.sampled_from(["GET", "HEAD", "DELETE", "OPTIONS"]),
)
def test_no_address_makes_an_error_of_the_service(
    path: str, part: str, parameters: list[tuple[str, str]], method: str
) -> None:
    """Random pages and parameters are answered or refused."""
    address = "/".join(encoded(step) if "{" not in step else encoded(part) for step in path.split("/"))
    query = "&".join(f"{encoded(name)}={encoded(value)}" for name, value in parameters)
    answer = CLIENT.request(method, f"{ADDRESS}{address}?{query}")
    if method == "HEAD":
        assert answer.status_code < 500
    else:
        expect_an_answer(answer)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
fields = st.sampled_from(
    ["run", "event", "kind", "at_ms", "labels", "facts", "status", "meter", "start_ms", "end_ms", "energy_mj", "method", "reason", "device",
     "domain", "component", "max_power_mw", "value", "unit", "name", "score", "time_ms", "version", "object", "provider", "source"]
)  # fmt: skip
items = st.dictionaries(fields | texts, anything, max_size=8)
batches = st.fixed_dictionaries(
    {},
    optional={
        "wire": st.just(1) | anything,
        "sequence": st.integers(1, 9) | anything,
        "reader": st.just({"reader": "desk"}) | st.just({"reader": "r", "boot": "b"}) | anything,
        "state": st.just("active") | anything,
        "surprise": anything,
        **{name: st.lists(items | anything, max_size=3) | anything for name in (*READER_LISTS, *DESK_LISTS)},
    },
)


@given(body=batches | anything)
def test_no_json_makes_an_error_of_the_service(body: object) -> None:
    """Random JSON, near a batch and far from one."""
    expect_an_answer(CLIENT.post("/v1/facts", content=json.dumps(body), headers={"content-type": "application/json"}))


@given(content=st.binary(max_size=200) | st.tuples(st.integers(0, 400), st.binary(max_size=4)).map(
    lambda cut: batch()[: cut[0]] + cut[1] + batch()[cut[0] + len(cut[1]) :]
))  # fmt: skip
def test_no_bytes_make_an_error_of_the_service(content: bytes) -> None:
    """Random bytes, and a good batch with some bytes changed."""
    expect_an_answer(CLIENT.post("/v1/facts", content=content, headers={"content-type": "application/json"}))


header_names = st.sampled_from(
    ["host", "origin", "authorization", "content-type", "content-length", "content-encoding", "x-request-id", "accept", "transfer-encoding",
     "cookie", "expect", "range", "x-forwarded-for", "x-http-method-override"]
)  # fmt: skip
header_values = st.binary(max_size=40).map(lambda value: value.translate(None, b"\r\n\x00")) | st.sampled_from(
    [
        b"localhost",
        b"Bearer",
        f"Bearer {TOKEN}".encode(),
        b"application/json",
        b"gzip",
        b"-1",
        b"9" * 30,
        b"1e3",
        b"[::1]",
    ]
)


@given(headers=st.lists(st.tuples(header_names, header_values), max_size=5), posts=st.booleans())
def test_no_header_makes_an_error_of_the_service(headers: list[tuple[str, bytes]], posts: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    """Random header fields, some of them twice."""
    named = [(name.encode(), value) for name, value in headers]
    answer = (
        CLIENT.post("/v1/facts", content=batch(), headers=named) if posts else CLIENT.get("/v1/runs", headers=named)
    )
    expect_an_answer(answer)
