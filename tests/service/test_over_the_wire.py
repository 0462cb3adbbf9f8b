"""Over a real socket the client asks exactly what it was asked, and gets exactly what the ledger says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from helpers.fake_ledger import RUN, FakeLedger, Secretive, correct_body, restate_body, run_body
from helpers.running import WAIT_SECONDS, running
from helpers.service import TOKEN, batch
from hypothesis import given
from hypothesis import strategies as st

from joulebook_api.app import create_app
from joulebook_ledger.client import HttpLedger
from joulebook_ledger.core.refusals import BadInput, NotFound, Refused, Unavailable
from joulebook_ledger.core.sci import BOUNDARIES, BOUNDARY_OF
from joulebook_ledger.core.vocabulary import LABELS, STAGES
from joulebook_ledger.ledger import Ledger
from joulebook_ledger.queries import (
    BASES,
    GROUPINGS,
    IDLE_RULES,
    RESOURCES,
    CloseQuery,
    Correcting,
    RankQuery,
    ReportQuery,
    Restating,
    RunsQuery,
    SciQuery,
)

BEHIND = FakeLedger()


@pytest.fixture(scope="module")
def remote() -> Iterator[Ledger]:
    """Return a client of a running service in front of BEHIND."""
    with running(create_app(BEHIND, TOKEN)) as url, closing(HttpLedger(url, TOKEN)) as ledger:
        yield ledger


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
keys = words.filter(lambda word: "=" not in word)
labels = st.dictionaries(
    st.sampled_from([*(set(LABELS) - {"stage"}), "status"]) | keys.map(lambda key: f"tag:{key}"), words, max_size=4
)
months = st.integers(1970, 9999).flatmap(lambda year: st.integers(1, 12).map(lambda month: year * 100 + month))


@given(wanted=labels, sort=words, limit=st.integers(1, 1000), cursor=st.text("abc=+/", max_size=9))
def test_a_question_for_runs_arrives_as_it_was_asked(
    remote: Ledger, wanted: dict[str, str], sort: str, limit: int, cursor: str
) -> None:
    """Any label value, any tag, any cursor."""
    query = RunsQuery(labels=wanted, sort=sort, limit=limit, cursor=cursor)
    assert remote.runs(query)["items"] == [run_body()]
    assert BEHIND.asked[-1] == query


@given(
    said=st.fixed_dictionaries({name: st.one_of(st.just(""), words) for name in ("kind", "undo", "reason", "known")}),
    dry=st.booleans(),
)
def test_a_restatement_arrives_as_it_was_asked(remote: Ledger, said: dict[str, str], dry: bool) -> None:  # noqa: FBT001
    """Whatever it says; above all whether it is to be done."""
    act = Restating(name="r1", author="ann", dry_run=dry, **said)
    assert remote.restate(act) == restate_body(act)
    assert BEHIND.asked[-1] == act


@given(
    where=st.dictionaries(words, words, max_size=3),
    changes=st.dictionaries(words, words, max_size=3),
    dry=st.booleans(),
)
def test_a_correction_arrives_as_it_was_asked(
    remote: Ledger,
    where: dict[str, str],
    changes: dict[str, str],
    dry: bool,  # noqa: FBT001
) -> None:
    """Which facts are meant, and what is said in their place."""
    act = Correcting(name="c1", kind="score", author="ann", reason="wrong", dry_run=dry, where=where, changes=changes)
    assert remote.correct(act) == correct_body(act)
    assert BEHIND.asked[-1] == act


@given(
    period=st.tuples(months, months).map(sorted),
    by=st.lists(st.sampled_from(GROUPINGS), min_size=1, max_size=3, unique=True),
    basis=st.sampled_from(BASES),
    idle=st.sampled_from(IDLE_RULES),
    as_of=st.sampled_from(["", "7", "2026-11-22T10:00:00+01:00"]),
)
def test_a_question_for_a_report_arrives_as_it_was_asked(
    remote: Ledger, period: list[int], by: list[str], basis: str, idle: str, as_of: str
) -> None:
    """Any period and any rows."""
    query = ReportQuery(from_month=period[0], to_month=period[1], by=tuple(by), basis=basis, idle=idle, as_of=as_of)
    assert remote.report(query) == BEHIND.report(query)
    assert BEHIND.asked[-2:] == [query, query]


@given(
    words=st.tuples(words, words, words),
    per=st.sampled_from(RESOURCES),
    stage=st.sampled_from(["", *STAGES]),
    least=st.dictionaries(keys, words, max_size=2),
    best=st.booleans(),
)
def test_a_question_for_a_ranking_arrives_as_it_was_asked(
    remote: Ledger, words: tuple[str, str, str], per: str, stage: str, least: dict[str, str], *, best: bool
) -> None:  # fmt: skip
    """Any task, score and bound."""
    task, score, split = words
    query = RankQuery(task=task, score=score, per=per, stage=stage, split=split, least=least, best=best)
    assert remote.rank(query) == BEHIND.rank(query)
    assert BEHIND.asked[-2:] == [query, query]


@given(
    period=st.tuples(months, months).map(sorted),
    words=st.tuples(words, words, words),
    per=st.sampled_from(sorted(BOUNDARY_OF)),
    boundary=st.sampled_from(["", *BOUNDARIES]),
    idle=st.sampled_from(IDLE_RULES),
)
def test_a_question_for_an_intensity_arrives_as_it_was_asked(
    remote: Ledger, period: list[int], words: tuple[str, str, str], per: str, boundary: str, idle: str
) -> None:
    """Any model, unit and boundary."""
    model, units, utilisation = words
    query = SciQuery(
        from_month=period[0], to_month=period[1], per=per, model=model, boundary=boundary, units=units, idle=idle, utilisation=utilisation
    )  # fmt: skip
    assert remote.sci(query) == BEHIND.sci(query)
    assert BEHIND.asked[-2:] == [query, query]


@given(figure=words.filter(lambda word: word.strip()))
def test_a_question_why_arrives_as_it_was_asked(remote: Ledger, figure: str) -> None:
    """A figure's name holds #, / and =."""
    assert remote.why(f"run:{figure}#cost")["figure"] == f"run:{figure}#cost"


@given(run=words)
def test_any_id_of_a_run_can_be_asked_for(remote: Ledger, run: str) -> None:
    """Slashes, dots, percent signs and emoji are letters of a name, and never another page."""
    if run == "last" or RUN.startswith(run):
        return
    with pytest.raises(NotFound, match="the nearest"):
        remote.run(run)
    assert BEHIND.asked[-1] == ("run", run)


@pytest.mark.parametrize("run", [".", "..", "../reports", "a/b", "%2F", "a%2Fb", "//", "?x=1", "#f", "ä/ö", "a b"])
def test_an_odd_id_of_a_run_can_be_asked_for(remote: Ledger, run: str) -> None:
    """The ones that hypothesis finds seldom."""
    with pytest.raises(NotFound):
        remote.run(run)
    assert BEHIND.asked[-1] == ("run", run)


def test_the_last_run_the_proof_and_the_snapshot(remote: Ledger) -> None:
    """What has no parameters, or bytes for an answer."""
    assert remote.run("") == run_body()
    assert BEHIND.asked[-1] == ("run", "")
    assert remote.verify() == BEHIND.verify()
    assert remote.snapshot("machine 1/ä") == b'{"factors":[]}'
    assert BEHIND.asked[-1] == ("snapshot", "machine 1/ä")
    assert remote.book() == 0


def test_the_same_batch_from_many_senders_at_once(remote: Ledger) -> None:
    """One client may be used by several threads."""
    contents = [batch(sequence=number) for number in range(1, 41)]
    with ThreadPoolExecutor(max_workers=8) as threads:
        answers = list(threads.map(remote.deliver, contents))
    assert all(answer.counts == {"stored": 2} for answer in answers)
    assert len(BEHIND.delivered) >= 40


@pytest.mark.parametrize(
    ("failure", "seen"),
    [
        (NotFound("no such thing"), NotFound("no such thing")),
        (BadInput("not this"), BadInput("not this")),
        (Refused("unknown_stage", "stage 'x'"), Refused("unknown_stage", "stage 'x'")),
    ],
)
def test_an_error_of_the_book_comes_out_as_it_went_in(remote: Ledger, failure: Exception, seen: Exception) -> None:
    """Type and text are those of the book on this machine."""
    BEHIND.failure = failure
    with pytest.raises(type(seen)) as caught:
        remote.verify()
    assert type(caught.value) is type(seen)
    assert str(caught.value) == str(seen)


def test_an_error_of_the_service_comes_out_as_unavailable(remote: Ledger) -> None:
    """Without its text, with the id under which the log has it."""
    BEHIND.failure = Secretive("password=hunter2")
    with pytest.raises(Unavailable, match=r"request [0-9a-f]{32}") as caught:
        remote.verify()
    assert "hunter2" not in str(caught.value)


def test_a_service_that_is_not_there(unused_port: int) -> None:
    """The address is named, and how to start it."""
    client = HttpLedger(f"http://127.0.0.1:{unused_port}", TOKEN, sleep=lambda _: None)
    with (
        closing(client) as ledger,
        pytest.raises(Unavailable, match=rf"{unused_port} does not answer.*joulebook serve"),
    ):
        ledger.deliver(batch())


def test_a_service_that_comes_back_gets_the_batch(unused_port: int) -> None:
    """Between two attempts it was started."""
    started = threading.Event()
    asked = threading.Event()
    behind = FakeLedger()

    def wait(_seconds: float) -> None:
        asked.set()
        assert started.wait(WAIT_SECONDS)

    client = HttpLedger(f"http://127.0.0.1:{unused_port}", TOKEN, sleep=wait)
    with closing(client) as ledger, ThreadPoolExecutor(max_workers=1) as threads:
        answer = threads.submit(ledger.deliver, batch())
        assert asked.wait(WAIT_SECONDS)
        with running(create_app(behind, TOKEN), unused_port):
            started.set()
            assert answer.result(WAIT_SECONDS).counts == {"stored": 2}
    assert len(behind.delivered) == 1


def test_a_proxy_of_the_environment_never_sees_the_token(
    remote: Ledger, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes to a service on this machine stays on it."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")
    with closing(HttpLedger(remote.name, TOKEN)) as ledger:
        assert ledger.run("") == run_body()


def test_a_token_that_was_changed_is_said(remote: Ledger) -> None:
    """Not the batch is at fault, but the way."""
    client = HttpLedger(remote.name, "another-token-of-good-length")
    with closing(client) as ledger, pytest.raises(Unavailable, match="JOULEBOOK_API_KEY"):
        ledger.deliver(batch())


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"garbage\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /v1/runs HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET /" + b"a" * 100_000,
        b"POST /v1/facts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/facts HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_http_is_refused_and_the_service_goes_on(remote: Ledger, request_bytes: bytes) -> None:
    """Neither another protocol nor a smuggled request harms whoever asks next."""
    address = urlsplit(remote.name)
    with socket.create_connection((address.hostname, address.port), WAIT_SECONDS) as line:
        line.sendall(request_bytes)
        line.shutdown(socket.SHUT_WR)
        assert b" 200 " not in line.recv(65_536).split(b"\r\n", 1)[0]
    assert remote.run("") == run_body()


@pytest.fixture
def unused_port() -> int:
    """Return a port on which nobody listens just now."""
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port: int = line.getsockname()[1]
    return port


def test_a_close_is_asked_for_over_the_wire_as_at_the_book(remote: Ledger) -> None:
    """Month or earliest, tolerance, author and reason arrive as they were given."""
    for query in (CloseQuery(), CloseQuery(month=202610, tolerance_ppm=5, author="ann & bob", reason="gone: x=1")):
        assert remote.check_close(query)["closed"] is False
        assert remote.close_months(query)["closed"] is True
        assert BEHIND.asked[-1] == ("close", query)
