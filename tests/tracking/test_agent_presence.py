"""An agent in a process of its own finds what nobody announced."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from helpers.agents import AgentPlace, agent_place
from helpers.tracked import PATIENCE_SECONDS, wait_until

from joulebook_ledger.core.events import RunEvent
from joulebook_ledger.core.records import Use

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="the agent's socket asks the kernel of Linux who is there"),
]
SERVE = "import sys; print('ready', flush=True); sys.stdin.readline()"


@pytest.fixture
def place() -> Iterator[AgentPlace]:
    """Return a place for an agent."""
    with agent_place() as place:
        yield place


def test_a_serving_process_is_a_run_without_a_changed_line(place: AgentPlace) -> None:
    """By the agent's configuration; its energy is told, and its end."""
    config = place.folder / "agent.toml"
    config.write_text('[[serving]]\nmodel = "llama"\nteam = "chat"\ncommand = "served-by-test-of-presence"\n')
    serving = subprocess.Popen(
        [sys.executable, "-c", SERVE, "served-by-test-of-presence"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with serving:
        assert serving.stdout is not None
        assert serving.stdout.readline() == "ready\n"
        place.start("--config", str(config))
        wait_until(lambda: place.figure("joulebook_runs_open") == 1, "the run")
        serving.communicate("\n", PATIENCE_SECONDS)
        wait_until(lambda: place.figure("joulebook_runs_open") == 0, "its end")
    assert place.end() == 0
    books = place.books()
    events = sorted(books.facts(RunEvent), key=lambda event: event.kind, reverse=True)
    assert [event.kind for event in events] == ["started", "ended"]
    assert events[0].labels == {"stage": "serving", "model": "llama", "team": "chat"}
    assert events[0].run in {use.run for use in books.facts(Use)}


def test_what_cannot_be_taken_is_said_with_section_and_key(place: AgentPlace) -> None:
    """An agent that was told nonsense does not start, and names the way out."""
    config = place.folder / "agent.toml"
    config.write_text("[slurm]\njob = true\n")
    place.begin("--config", str(config))
    assert "no key 'job': there are cluster, jobs" in place.wait_for("event=bad_input")
