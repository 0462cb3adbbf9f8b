"""Nobody gets past the guard who should not, and everybody is told why."""

from __future__ import annotations

import gzip
import logging
import tracemalloc
import zlib

import pytest
from helpers.fake_ledger import FakeLedger
from helpers.service import ADDRESS, TOKEN, asked_as_owner, asked_in_chunks, batch, deliver, problem
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from joulebook_api.app import create_app
from joulebook_ledger.core.wire import LARGEST_BATCH_BYTES

BOOK_PAGES = (
    "/v1/runs", "/v1/runs/last", "/v1/footprint", "/v1/reports/2026-11", "/v1/reports?from=2026-11", "/v1/rank", "/v1/sci?from=2026-11", "/v1/why",
    "/v1/verify", "/v1/periods/2026-10/close", "/v1/hosts", "/v1/maps", "/v1/instruments", "/v1/audit/2026", "/v1/snapshot?machine=m", "/metrics",
)  # fmt: skip


@pytest.mark.parametrize("page", BOOK_PAGES)
def test_no_page_of_the_book_opens_without_the_token(ledger: FakeLedger, page: str) -> None:
    """Another user of the machine reads nothing."""
    stranger = TestClient(create_app(ledger, TOKEN), base_url=ADDRESS)
    answer = stranger.get(page)
    assert "JOULEBOOK_HOME" in problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert ledger.asked == []


def test_no_facts_are_taken_without_the_token(ledger: FakeLedger) -> None:
    """Another user of the machine writes nothing."""
    stranger = TestClient(create_app(ledger, TOKEN), base_url=ADDRESS)
    problem(deliver(stranger, batch()), 401, "unauthorized")
    assert ledger.asked == []


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xe9\xff", f"Bearer {TOKEN.upper()}"],
)  # fmt: skip
def test_another_token_is_no_token(client: TestClient, ledger: FakeLedger, given: str) -> None:
    """Only the whole token in its own scheme opens."""
    problem(client.get("/v1/runs", headers={"authorization": given.encode("latin-1")}), 401, "unauthorized")
    assert ledger.asked == []


def test_two_tokens_are_no_token(ledger: FakeLedger) -> None:
    """What a proxy added and what a client sent are never mixed."""
    headers = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer other")]
    stranger = TestClient(create_app(ledger, TOKEN), base_url=ADDRESS)
    problem(stranger.get("/v1/runs", headers=headers), 401, "unauthorized")


@pytest.mark.parametrize("page", ["/healthz", "/readyz", "/docs", "/openapi.json"])
def test_pages_that_say_nothing_of_the_book_are_open(ledger: FakeLedger, page: str) -> None:
    """A load balancer and a browser have no token; the ledger is not asked."""
    stranger = TestClient(create_app(ledger, TOKEN), base_url=ADDRESS)
    assert stranger.get(page).status_code == 200
    assert ledger.asked == []


@pytest.mark.parametrize("host", ["localhost", "localhost:8420", "LOCALHOST", "127.0.0.1:1", "127.9.9.9", "[::1]:8420"])
def test_the_service_answers_to_the_names_of_this_machine(client: TestClient, host: str) -> None:
    """Whatever loopback name a client uses."""
    assert client.get("/v1/runs", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["example.org", "127.0.0.1.example.org", "localhost.example.org", "10.0.0.1", "0.0.0.0", "", "[::1", "localhost:x", "a@localhost"],  # noqa: S104 - refused here
)  # fmt: skip
def test_another_host_name_is_refused_even_with_the_token(client: TestClient, ledger: FakeLedger, host: str) -> None:
    """A page whose name was rebound to this machine reads nothing."""
    detail = problem(client.get("/v1/runs", headers={"host": host}), 421, "host-not-allowed")
    assert "localhost" in detail
    assert ledger.asked == []


def test_a_request_with_two_hosts_is_refused(client: TestClient) -> None:
    """Of two names neither is believed."""
    answer = client.get("/v1/runs", headers=[("host", "localhost"), ("host", "example.org")])
    problem(answer, 421, "host-not-allowed")


@pytest.mark.parametrize(
    "origin", ["https://example.org", "null", "http://localhost:3000", "http://127.0.0.1", "file://"]
)
def test_a_page_of_another_origin_is_refused_even_with_the_token(
    client: TestClient, ledger: FakeLedger, origin: str
) -> None:
    """No web page but our own asks the service."""
    problem(client.get("/v1/runs", headers={"origin": origin}), 403, "origin-not-allowed")
    assert ledger.asked == []


def test_our_own_pages_may_ask(client: TestClient) -> None:
    """The same origin is allowed, so that there can be pages."""
    assert client.get("/v1/runs", headers={"origin": ADDRESS}).status_code == 200


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data"]
)
def test_facts_are_json_and_say_so(client: TestClient, ledger: FakeLedger, kind: str) -> None:
    """A form of another site, which a browser sends without asking first, is never taken for facts."""
    problem(deliver(client, batch(), **{"content-type": kind}), 415, "wrong-content-type")
    assert ledger.asked == []


def test_json_may_name_its_character_set(client: TestClient) -> None:
    """A parameter of the content type is no other content type."""
    assert deliver(client, batch(), **{"content-type": "Application/JSON; charset=utf-8"}).status_code == 200


def gzipped(content: bytes) -> bytes:
    """Return a content as one gzip, as any client makes it."""
    return gzip.compress(content, mtime=0)


def test_a_body_may_be_a_gzip(client: TestClient, ledger: FakeLedger) -> None:
    """The ledger gets what was packed, byte for byte."""
    assert deliver(client, gzipped(batch()), **{"content-encoding": "GZip"}).status_code == 200
    assert list(ledger.delivered.values()) == [batch()]


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "identity, gzip", "zstd"])
def test_another_packing_is_refused(client: TestClient, ledger: FakeLedger, encoding: str) -> None:
    """Also twice the same: each layer would multiply what comes out."""
    answer = deliver(client, gzipped(gzipped(batch())), **{"content-encoding": encoding})
    assert "one gzip" in problem(answer, 415, "wrong-content-type")
    assert ledger.asked == []


@pytest.mark.parametrize("size", [LARGEST_BATCH_BYTES + 1, 40 * LARGEST_BATCH_BYTES])
def test_what_would_unpack_beyond_the_bound_is_refused_and_never_unpacked(
    client: TestClient, ledger: FakeLedger, size: int
) -> None:
    """Half a megabyte may be half a gigabyte: memory stays within the bound, whatever comes in."""
    packer = zlib.compressobj(9, wbits=31)
    chunk = b" " * (1 << 20)
    bomb = b"".join(packer.compress(chunk[: min(len(chunk), size - at)]) for at in range(0, size, len(chunk)))
    bomb += packer.flush()
    assert len(bomb) < LARGEST_BATCH_BYTES
    tracemalloc.start()
    answer = deliver(client, bomb, **{"content-encoding": "gzip"})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "unpacked" in problem(answer, 413, "too-large")
    assert most < 4 * LARGEST_BATCH_BYTES
    assert ledger.asked == []


@pytest.mark.parametrize(
    "packed",
    [b"", b"{}", gzipped(batch())[:-1], gzipped(batch())[:40], gzipped(batch()) + b"x", gzipped(b"{}") * 2, b"\x1f\x8b" + b"\0" * 30],
)  # fmt: skip
def test_a_gzip_that_is_none_is_refused(client: TestClient, ledger: FakeLedger, packed: bytes) -> None:
    """Cut, damaged, or with something after its end: nothing of it is taken."""
    assert "gzip" in problem(deliver(client, packed, **{"content-encoding": "gzip"}), 400, "malformed-request")
    assert ledger.asked == []


def test_a_body_too_large_by_its_own_word_is_refused_unread(client: TestClient, ledger: FakeLedger) -> None:
    """The length that is declared is enough to say no."""
    answer = deliver(client, b"{}", **{"content-length": str(LARGEST_BATCH_BYTES + 1)})
    assert "in parts" in problem(answer, 413, "too-large")
    assert ledger.asked == []


def test_a_body_without_a_declared_length_is_bounded_while_it_streams(ledger: FakeLedger) -> None:
    """Chunks are counted as they come; the rest is never asked for."""
    chunk = b" " * 65_536
    taken, sent = asked_in_chunks(create_app(ledger, TOKEN), [chunk] * 1_000)
    assert sent[0]["status"] == 413
    assert taken == LARGEST_BATCH_BYTES // len(chunk) + 1
    assert ledger.asked == []


def test_who_goes_away_in_the_middle_stores_nothing(ledger: FakeLedger) -> None:
    """Half a body is no batch, and nobody is there to be told."""
    content = batch()
    taken, sent = asked_in_chunks(create_app(ledger, TOKEN), [content[:50]])
    assert (taken, sent) == (2, [])
    assert ledger.asked == []


def test_chunks_make_one_batch(ledger: FakeLedger) -> None:
    """A body in pieces is put together before anything looks at it."""
    content = batch()
    _, sent = asked_in_chunks(create_app(ledger, TOKEN), [content[:7], content[7:], b""])
    assert sent[0]["status"] == 200
    assert list(ledger.delivered.values()) == [content]


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    """Good or bad, an answer is neither cached, framed, sniffed nor read by another site."""
    for answer in (client.get("/v1/runs"), client.get("/nowhere"), client.get("/docs"), client.get("/healthz")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers


def test_a_request_keeps_its_id(client: TestClient) -> None:
    """What a client calls its request, the answer and the log call it too."""
    assert client.get("/healthz", headers={"x-request-id": "job-7.a"}).headers["x-request-id"] == "job-7.a"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "é", "<script>"])
def test_an_id_that_could_forge_a_log_line_is_replaced(client: TestClient, given: str) -> None:
    """Only plain words of bounded length come back."""
    answer = client.get("/healthz", headers={"x-request-id": given.encode()})
    assert answer.headers["x-request-id"].isalnum()
    assert answer.headers["x-request-id"] != given


def test_no_log_line_holds_the_token_or_a_query(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """One line per request: method, path, status, time, id."""
    with caplog.at_level(logging.INFO, logger="joulebook"):
        client.get("/v1/runs?team=secret-team")
        client.get("/v1/runs", headers={"authorization": f"Bearer {TOKEN}wrong"})
    lines = [record.getMessage() for record in caplog.records if record.name == "joulebook.access"]
    assert [line.split(" ms=")[0] for line in lines] == [
        "event=request method=GET path=/v1/runs status=200",
        "event=request method=GET path=/v1/runs status=401",
    ]
    assert TOKEN not in caplog.text
    assert "secret-team" not in caplog.text


def test_a_path_cannot_forge_a_log_line(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """A line break in a path stays a word of its line."""
    with caplog.at_level(logging.INFO, logger="joulebook"):
        client.get("/v1/%0Aevent=request%20status=200")
    assert all("\n" not in record.getMessage() for record in caplog.records)


def test_a_websocket_is_turned_away(ledger: FakeLedger) -> None:
    """There is nothing to talk about there."""
    with asked_as_owner(create_app(ledger, TOKEN)) as client, pytest.raises(WebSocketDisconnect) as refusal:
        client.websocket_connect("/v1/runs").__enter__()
    assert refusal.value.code == 1008
