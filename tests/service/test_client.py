"""The client says what the book itself would say, and for all that lies between, that nothing is lost."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from helpers.service import ADDRESS, TOKEN, batch

from joulebook_ledger.client import ATTEMPTS, PATIENCE_SECONDS, HttpLedger
from joulebook_ledger.core.refusals import BadInput, JoulebookError, Malformed, NotFound, Refused, Unavailable
from joulebook_ledger.core.wire import LARGEST_BATCH_BYTES, Answer, Outcome
from joulebook_ledger.queries import RunsQuery

STORED = {"counts": {"stored": 2}, "exceptions": []}
Handler = Callable[[httpx2.Request], httpx2.Response]


class Line:
    """A network of one host: answers in turn, and remembers what was asked and how long was waited."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []
        self.waits: list[float] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Give the next answer; the last one for ever."""
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ledger(self, **settings: Any) -> HttpLedger:
        """Return a client on this line that never really waits."""
        transport = httpx2.MockTransport(self)
        return HttpLedger(ADDRESS, TOKEN, transport=transport, sleep=self.waits.append, **settings)


def ok(body: object = STORED) -> httpx2.Response:
    """Return a good answer."""
    return httpx2.Response(200, json=body)


def refusal(status: int, name: str, detail: str = "the value and the way out", **headers: str) -> httpx2.Response:
    """Return a problem of our service."""
    body = {"type": f"urn:joulebook:problem:{name}", "title": name, "status": status, "detail": detail}
    headers = {"content-type": "application/problem+json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return httpx2.Response(status, content=json.dumps(body).encode(), headers=headers)


def test_a_batch_is_sent_as_it_is_with_the_token() -> None:
    """One request, byte for byte, and the answer is the ledger's."""
    refused = {"kind": "runs", "index": 0, "outcome": "refused", "reason": "unknown_stage", "detail": "d"}
    line = Line(ok({"counts": {"refused": 1}, "exceptions": [refused]}))
    assert line.ledger().deliver(batch()) == Answer(counts={"refused": 1}, exceptions=(Outcome(**refused),))
    (request,) = line.requests
    assert (request.method, str(request.url), request.content) == ("POST", f"{ADDRESS}/v1/facts", batch())
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert line.waits == []


@pytest.mark.parametrize(
    "trouble",
    [
        httpx2.ConnectError("refused"), httpx2.ConnectTimeout("slow"), httpx2.ReadError("reset"), httpx2.WriteError("broken pipe"),
        httpx2.RemoteProtocolError("closed"), httpx2.Response(502), httpx2.Response(503), httpx2.Response(429), refusal(503, "unavailable"),
    ],
    ids=lambda trouble: getattr(trouble, "status_code", type(trouble).__name__),
)  # fmt: skip
def test_a_moment_of_trouble_is_waited_out(trouble: httpx2.Response | Exception) -> None:
    """A service that restarts costs a wait and no facts: a batch may be sent again."""
    line = Line(trouble, trouble, ok())
    assert line.ledger().deliver(batch()).counts == {"stored": 2}
    assert len(line.requests) == 3
    assert len(line.waits) == 2


def test_a_service_that_stays_away_is_said_to_be_away() -> None:
    """After a few attempts the sender learns it, and keeps its batch."""
    line = Line(httpx2.ConnectError("[Errno 111] Connection refused"))
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:8420 does not answer .*111.*joulebook serve.*nothing is lost"):
        line.ledger().deliver(batch())
    assert len(line.requests) == ATTEMPTS
    assert sum(line.waits) < PATIENCE_SECONDS


def test_the_wait_that_a_service_asks_for_is_kept() -> None:
    """Retry-After is a promise of the other side."""
    line = Line(refusal(503, "unavailable", retry_after="3"), ok())
    line.ledger().deliver(batch())
    assert line.waits[0] >= 3


@pytest.mark.parametrize("wait", ["60", "999999999999", "Wed, 21 Oct 2099 07:28:00 GMT", "-1", "x"])
def test_a_wait_longer_than_our_patience_is_not_waited(wait: str) -> None:
    """A command answers now; the spool has time."""
    line = Line(httpx2.Response(503, headers={"retry-after": wait}))
    with pytest.raises(Unavailable):
        line.ledger().deliver(batch())
    assert sum(line.waits) < PATIENCE_SECONDS


def test_a_service_that_says_nothing_is_not_asked_again() -> None:
    """Whoever is too slow for one request is too slow for four."""
    line = Line(httpx2.ReadTimeout("slow"))
    with pytest.raises(Unavailable, match="said nothing for 7 seconds"):
        line.ledger(timeout_seconds=7).runs(RunsQuery())
    assert len(line.requests) == 1


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (refusal(400, "malformed-batch"), Malformed, "way out"),
        (refusal(413, "too-large"), Malformed, "way out"),
        (refusal(404, "not-found"), NotFound, "way out"),
        (refusal(422, "bad-input"), BadInput, "way out"),
        (refusal(422, "bad-parameter"), BadInput, "way out"),
        (refusal(422, "unknown-stage"), Refused, "unknown_stage: the value"),
    ],
)
def test_a_refusal_is_the_same_error_as_the_books_own(
    answer: httpx2.Response, error: type[JoulebookError], said: str
) -> None:
    """Commands need not know where the book lies."""
    with pytest.raises(error, match=said) as caught:
        Line(answer).ledger().run("r")
    assert type(caught.value) is error
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "answer",
    [
        refusal(401, "unauthorized"),
        refusal(403, "origin-not-allowed"),
        refusal(421, "host-not-allowed"),
        refusal(404, "no-such-page"),
        refusal(405, "method-not-allowed"),
        refusal(500, "internal-error"),
        httpx2.Response(404, text="<html>not found</html>"),
        httpx2.Response(413, text="nginx"),
        httpx2.Response(400, json={"detail": "of another service"}),
        httpx2.Response(204),
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, json=[]),
        httpx2.Response(200, json={"counts": 3}),
        httpx2.Response(200, content=b"[" * 100_000),
    ],
)
def test_whatever_lies_between_is_no_fault_of_the_batch(answer: httpx2.Response) -> None:
    """A wrong token, a proxy, another service, an error of ours: the sender keeps the batch for later."""
    line = Line(answer)
    with pytest.raises(Unavailable) as caught:
        line.ledger().deliver(batch())
    assert caught.value.exit_code == 3
    assert TOKEN not in str(caught.value)
    assert len(line.requests) == 1


def test_a_wrong_token_is_said_with_where_the_right_one_is() -> None:
    """The way out is named."""
    with pytest.raises(Unavailable, match="JOULEBOOK_API_KEY"):
        Line(refusal(401, "unauthorized")).ledger().verify()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_is_never_sent_to_another_host(status: int) -> None:
    """A redirect is not followed: it is told where it leads."""
    line = Line(httpx2.Response(status, headers={"location": "https://example.org/v1/facts"}))
    with pytest.raises(Unavailable, match=r"example\.org.*token is not sent"):
        line.ledger().deliver(batch())
    assert [request.url.host for request in line.requests] == ["127.0.0.1"]


def test_a_batch_too_large_is_not_sent() -> None:
    """The limit is the same on both sides."""
    line = Line(ok())
    with pytest.raises(Malformed, match="in parts"):
        line.ledger().deliver(b" " * (LARGEST_BATCH_BYTES + 1))
    assert line.requests == []


@pytest.mark.parametrize(
    "url",
    ["", "8420", "localhost:8420", "ftp://h", "http://", "http:///p", "http://h:99999", "http://h:x", "http://[::1", "http://h?token=t",
     "http://h#f", "http://h h", "https://bücher.example"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    """The form that is wanted is shown."""
    with pytest.raises(BadInput, match=r"http://127\.0\.0\.1:8420"):
        HttpLedger(url, TOKEN)


def test_an_address_holds_no_secret() -> None:
    """What stands in an address ends in logs."""
    with pytest.raises(BadInput, match="JOULEBOOK_API_KEY") as caught:
        HttpLedger("http://ann:hunter2@localhost", TOKEN)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "schlüssel"])
def test_a_token_that_cannot_be_one_is_refused_and_not_shown(token: str) -> None:
    """A header is never split, and a secret never printed."""
    with pytest.raises(BadInput, match="JOULEBOOK_API_KEY") as caught:
        HttpLedger(ADDRESS, token)
    assert not token or token not in str(caught.value)


def test_the_token_is_in_no_text_of_the_client() -> None:
    """Neither its name nor its representation shows it."""
    ledger = HttpLedger(f"{ADDRESS}/", TOKEN)
    assert ledger.name == ADDRESS
    assert TOKEN not in repr(ledger)
    assert ledger.book() == 0
    ledger.close()


def test_a_value_too_long_for_an_address_is_bad_input() -> None:
    """Not an error of a library that nobody expects."""
    with pytest.raises(BadInput, match="part of an address"):
        Line(ok()).ledger().why("x" * 100_000)


def test_the_module_loads_no_http_library() -> None:
    """A process that only might talk to a service pays for none."""
    program = "import sys, joulebook_ledger.client; print(sorted({'httpx2', 'tenacity', 'typing_extensions'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert run.stdout == "[]\n"


LARGE = batch(scores=[{"run": "run-1", "score": f"s{n}", "name": "a", "value": "1", "at_ms": n} for n in range(200)])


def test_a_large_batch_is_sent_as_one_gzip() -> None:
    """A tenth of the bytes, and the same batch at the other end; a small one is not worth it."""
    line = Line(ok())
    line.ledger().deliver(LARGE)
    (request,) = line.requests
    assert request.headers["content-encoding"] == "gzip"
    assert len(request.content) < len(LARGE) / 5
    assert gzip.decompress(request.content) == LARGE


@pytest.mark.parametrize(
    "answer", [refusal(415, "wrong-content-type"), refusal(400, "malformed-request"), httpx2.Response(415)]
)
def test_a_service_that_takes_no_gzip_gets_the_batch_as_it_is(answer: httpx2.Response) -> None:
    """One that is older than packing, or behind something that unpacks wrongly; it is asked once only."""
    line = Line(answer, ok())
    ledger = line.ledger()
    assert ledger.deliver(LARGE).counts == {"stored": 2}
    ledger.deliver(LARGE)
    assert [request.headers.get("content-encoding") for request in line.requests] == ["gzip", None, None]
    assert line.requests[1].content == LARGE


def test_how_long_a_service_wants_to_be_left_alone_is_passed_on() -> None:
    """Whoever delivers in the background keeps to it."""
    line = Line(httpx2.Response(503, headers={"retry-after": "3600"}))
    with pytest.raises(Unavailable) as told:
        line.ledger().deliver(batch())
    assert told.value.wait_seconds == 3600


def test_a_batch_that_the_service_is_too_old_for_is_kept_by_its_sender() -> None:
    """It is not set aside as malformed: an update of the service takes it."""
    line = Line(refusal(503, "unavailable", "written by a newer Joulebook"))
    with pytest.raises(Unavailable, match="newer"):
        line.ledger().deliver(batch(wire=2))
