"""An agent in a process of its own finds what nobody announced."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.agents import AgentPlace, agent_place
from helpers.tracked import PATIENCE_SECONDS, wait_until

from joulebook_collectors.host.cgroups import cpu_us
from joulebook_ledger.core.events import RunEvent
from joulebook_ledger.core.records import Use

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="the agent's socket asks the kernel of Linux who is there"),
]
GROUPS = Path("/sys/fs/cgroup")
JOB = """
import sys, threading
told = threading.Thread(target=sys.stdin.readline)
told.start()
print("ready", flush=True)
while told.is_alive():
    sum(range(1_000_000))
"""
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


@contextlib.contextmanager
def group(path: str) -> Iterator[Path]:
    """Make a control group of the kernel, of either version, and remove it with those above it that were made for it."""
    old = [root for name in ("cpuacct", "cpu,cpuacct") if (root := GROUPS / name).is_dir()]
    made: list[Path] = []
    folder = old[0] if old else GROUPS
    try:
        for name in path.split("/"):
            folder /= name
            if not folder.is_dir():
                try:
                    folder.mkdir()
                except OSError as error:
                    pytest.skip(f"no control group can be made here: {error}")
                made.append(folder)
        yield folder
    finally:
        for folder in reversed(made):
            folder.rmdir()


@pytest.mark.parametrize("kind", ["slurm", "kubernetes"])
def test_a_job_or_pod_in_a_group_of_the_kernel_is_a_run(place: AgentPlace, kind: str) -> None:
    """The real tree, not a copy of one: what ran in the group is found, credited with the group's CPU time, and ended when it is gone."""
    number = str(900_000_000 + os.getpid())
    config = place.folder / "agent.toml"
    if kind == "slurm":
        path = f"slurm/uid_0/job_{number}/step_0"
        config.write_text('[slurm]\njobs = true\ncluster = "hpc"\n[slurm.teams]\nvision = "cv"\n')
        words = {"SLURM_JOB_ID": number, "SLURM_JOB_NAME": "resnet", "SLURM_JOB_ACCOUNT": "vision"}
    else:
        path = f"kubepods/burstable/pod{uuid.uuid4()}/{os.urandom(32).hex()}"
        config.write_text('[kubernetes]\npods = true\n[kubernetes.labels]\nmodel = "POD_MODEL"\nteam = "POD_TEAM"\n')
        words = {"POD_MODEL": "resnet", "POD_TEAM": "cv"}
    with group(path) as folder:
        place.start("--config", str(config))
        enter = f"open({str(folder / 'cgroup.procs')!r}, 'w').write('0');"
        work = subprocess.Popen(
            [sys.executable, "-c", enter + JOB], env={**os.environ, **words}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )  # fmt: skip
        with work:
            assert work.stdout is not None
            assert work.stdout.readline() == "ready\n"
            wait_until(lambda: place.figure("joulebook_runs_open") == 1, "the run")
            seen_us = cpu_us(str(folder)) or 0
            wait_until(
                lambda: (cpu_us(str(folder)) or 0) > seen_us + 5_000_000, "work that the agent looks at in between"
            )
            work.communicate("\n", PATIENCE_SECONDS)
    wait_until(lambda: place.figure("joulebook_runs_open") == 0, "its end, which is that of the group")
    assert place.end() == 0
    books = place.books()
    events = sorted(books.facts(RunEvent), key=lambda event: event.kind, reverse=True)
    assert [event.kind for event in events] == ["started", "ended"]
    assert (events[0].labels["model"], events[0].labels["team"]) == ("resnet", "cv")
    assert sum(use.energy_mj - use.static_mj for use in books.facts(Use) if use.run == events[0].run) > 0


def test_what_cannot_be_taken_is_said_with_section_and_key(place: AgentPlace) -> None:
    """An agent that was told nonsense does not start, and names the way out."""
    config = place.folder / "agent.toml"
    config.write_text("[slurm]\njob = true\n")
    place.begin("--config", str(config))
    assert "no key 'job': there are cluster, jobs" in place.wait_for("event=bad_input")
