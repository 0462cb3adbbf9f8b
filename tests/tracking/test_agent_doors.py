"""Whoever comes to the agent's doors: what he sends never harms it, and never makes another one wait."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.agents import BECOME, AgentPlace, Caller, agent_place
from helpers.tracked import wait_until

from joulebook_collectors.agent.jobs import BUDGET_BYTES, JobChannel, Jobs
from joulebook_collectors.agent.log import Log
from joulebook_collectors.reading.link_words import LONGEST_LINE
from joulebook_collectors.spool.segments import encode_frame

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="the agent's socket asks the kernel of Linux who is there"),
]

HELLO = {"hello": {"form": 1, "pid_namespace": ""}}
RUN = "c" * 32
PROCESS = {"process": {"pid": 1, "started": 0, "ancestors": []}}
STARTED = {
    "run": RUN,
    "event": "x.1.started",
    "kind": "started",
    "at_ms": 1_800_000_000_000,
    "labels": {"model": "m"},
    "facts": {},
}
MARK = {"at_us": 0, "cpu_us": 0, "waited_us": 0, "memory": 0, "runs": [RUN]}


@pytest.fixture(scope="module")
def place() -> Iterator[AgentPlace]:
    """Return a place whose agent all tests of this file try, and which is to be well at the end."""
    with agent_place() as place:
        place.start()
        yield place
        assert place.ask("/healthz") == (200, "ok\n")
        assert place.end() == 0
        assert not [line for line in place.lines if "Traceback" in line]


@pytest.fixture
def caller(place: AgentPlace) -> Iterator[Caller]:
    """Return a connection that keeps no rules."""
    caller = place.call()
    yield caller
    caller.close()


def test_who_keeps_the_rules_is_heard(place: AgentPlace, caller: Caller) -> None:
    """So that the refusals below mean something."""
    caller.say(HELLO)
    assert caller.hear()["agent"]["form"] == 1
    caller.say(PROCESS, {"runs": [STARTED], "mark": MARK})
    assert caller.hear_of("kept")["kept"] > 0
    wait_until(lambda: place.figure("joulebook_runs_open") == 1, "the run is in force")
    assert caller.hear_of("windows_us") != {}


@pytest.mark.parametrize(
    "frames",
    [
        [{"hullo": 1}],
        [{"hello": 1}],
        [{"hello": {"form": "new"}}],
        [HELLO, {"mark": MARK}],
        [HELLO, {"process": {"pid": "me"}}],
        [HELLO, PROCESS, {"runs": [{"run": RUN}]}],
        [HELLO, PROCESS, {"runs": [{**STARTED, "at_ms": "now"}]}],
        [HELLO, PROCESS, {"runs": [{**STARTED, "labels": {"stage": "lunch"}}]}],
        [HELLO, PROCESS, {"runs": "all"}],
        [HELLO, PROCESS, {"scores": [{"run": RUN, "score": "s", "name": "n", "value": "nan", "at_ms": 1}]}],
        [HELLO, PROCESS, {"mark": {"runs": [RUN]}}],
        [HELLO, PROCESS, {"mark": {**MARK, "cpu_us": "much"}}],
        [HELLO, PROCESS, {"mark": {**MARK, "runs": [f"{number:032d}" for number in range(65)]}}],
        [HELLO, PROCESS, {"mark": {**MARK, "apart": ["d" * 32]}}],
        [HELLO, PROCESS, {"mark": []}],
    ],
)  # fmt: skip
def test_what_says_nothing_is_refused_with_a_sentence(caller: Caller, frames: list[dict[str, object]]) -> None:
    """And the connection ends."""
    caller.say(*frames)
    assert (
        "says nothing" in str(refusal := caller.hear_of("refused")["refused"])
        or "mark names" in refusal
        or "say first" in refusal
    )
    assert caller.hear() == {}


def test_what_only_the_agent_knows_is_passed_over(place: AgentPlace, caller: Caller) -> None:
    """A job cannot tell of energy, nor of a time when it was not there; nor is what the kernel knows better believed."""
    window = {"meter": "boot/x~0", "start_ms": 0, "end_ms": 60_000, "energy_mj": 10**12, "method": "counter"}
    caller.say(
        HELLO,
        PROCESS,
        {
            "readings": [window],
            "uses": [window],
            "meters": [{}],
            "runs": [STARTED],
            "mark": {**MARK, "cpu_us": 1 << 60},
        },
    )
    assert caller.hear_of("kept") != {}
    spool = Path(place.environment["JOULEBOOK_SPOOL"])
    texts = [text_of(path) for path in spool.rglob(f"{os.getpid()}-*.segment")]
    assert any(RUN in text for text in texts)
    assert not any("1000000000000," in text or str(1 << 60) in text for text in texts)


def text_of(path: Path) -> str:
    """Return the text of a segment; empty where it was just sent and removed, as those of other callers may be."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text()
    return ""


@pytest.mark.parametrize("seed", range(8))
def test_noise_is_refused(place: AgentPlace, caller: Caller, seed: int) -> None:
    """Whatever it is."""
    caller.sock.sendall(random.Random(seed).randbytes(10_000) + b"\n")
    assert "a line is damaged" in caller.hear_of("refused")["refused"]


def test_a_line_without_end_is_refused(caller: Caller) -> None:
    """What waits for the rest of a line is bounded."""
    caller.say(HELLO, PROCESS)
    caller.sock.settimeout(5)
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        flood(caller, b"x" * LONGEST_LINE)


def test_a_flood_makes_its_sender_wait_and_nobody_else(place: AgentPlace, caller: Caller) -> None:
    """Who sends more than his share is not read for a while; another one is answered at once."""
    caller.say(HELLO, PROCESS)
    caller.sock.settimeout(0.2)
    score = {"run": RUN, "score": "s", "name": "n", "value": "1", "at_ms": 1, "step": None, "split": "", "unit": ""}
    with pytest.raises(TimeoutError):
        flood(caller, encode_frame({"scores": [score] * 100}))
    other = place.call()
    other.say(HELLO)
    assert "agent" in other.hear()
    other.close()


def test_who_is_not_listened_to_is_not_ended_for_his_silence(tmp_path: Path) -> None:
    """Another job of his user sent so much that this one has to wait longer than a silent one may stay."""
    jobs = Jobs(
        folder=str(tmp_path), ledger="", proc_root="/proc", most=9, most_per_user=9, log=Log(write=lambda _: None), ring=lambda: None,
        now_ms=lambda: 0,
    )  # fmt: skip
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = jobs.welcome(ours)
        assert isinstance(channel, JobChannel)
        jobs.spend(os.getuid(), 2 * BUDGET_BYTES)
        channel.on_bytes(encode_frame(HELLO))
        assert channel.until is not None
        assert time.monotonic() + 10 < channel.pause_until < channel.until


def flood(caller: Caller, data: bytes) -> None:
    """Send as much as is taken."""
    for _ in range(10_000):
        caller.sock.sendall(data)


def test_who_never_listens_and_who_never_speaks_hold_nobody_up(place: AgentPlace) -> None:
    """Hundreds of silent connections beside a job that is measured as ever."""
    silent = [place.call() for _ in range(300)]
    done = place.job("beside").run(
        BECOME + "with joulebook.track(model='m') as run:\n    print(run.session._link.reads)\n"
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
    for caller in silent:
        caller.close()
    wait_until(lambda: place.figure("joulebook_connections") < 300, "they are gone")


def test_too_many_are_told_so() -> None:
    """The bound is the configuration's; those who are there stay."""
    with agent_place() as place:
        place.start(JOULEBOOK_AGENT_MOST_CONNECTIONS="2")
        callers = [place.call() for _ in range(3)]
        for caller in callers[:2]:
            caller.say(HELLO)
            assert "agent" in caller.hear()
        assert "too many jobs are connected" in callers[2].hear_of("refused")["refused"]
        for caller in callers:
            caller.close()


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("HEAD /metrics HTTP/1.0\r\n\r\n", 200),
        ("GET /healthz?x=1 HTTP/1.1\n\n", 200),
        ("GET /readyz HTTP/1.1\r\n\r\n", 200),
        ("GET /etc/passwd HTTP/1.1\r\n\r\n", 404),
        ("POST /metrics HTTP/1.1\r\n\r\n", 405),
        ("nonsense\r\n\r\n", 400),
        ("GET /metrics HTTP/2\r\n\r\n", 400),
        ("GET /" + "x" * 20_000, 431),
        ("\xff\x00\r\n\r\n", 400),
    ],
)
def test_the_page_answers_what_it_understands(place: AgentPlace, request_text: str, status: int) -> None:
    """And ends the connection."""
    assert answer_to(place, request_text).startswith(f"HTTP/1.1 {status} ")


def test_a_head_has_no_body(place: AgentPlace) -> None:
    """Its length is told all the same."""
    head, _, body = answer_to(place, "HEAD /metrics HTTP/1.1\r\n\r\n").partition("\r\n\r\n")
    assert (body, "Content-Length: " in head) == ("", True)


def answer_to(place: AgentPlace, request_text: str) -> str:
    """Return all that the page answers."""
    host, _, port = place.wait_for("event=serving").partition("http://")[2].removesuffix("/metrics").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(request_text.encode("latin-1"))
        answer = b""
        while data := connection.recv(65_536):
            answer += data
    return answer.decode()
