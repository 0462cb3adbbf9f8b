"""An agent in a process of its own, and jobs of several users that announce themselves to it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.agents import BECOME, NOBODY, SOMEBODY, AgentPlace, agent_place, needs_root
from helpers.tracked import PATIENCE_SECONDS, Keeper, Place, kill, ready, wait_until

from joulebook_collectors.delivery.dropbox import ingest_dropbox

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="the agent's socket asks the kernel of Linux who is there"),
]

WORK = """
with joulebook.track(model=sys.argv[1]) as run:
    print("ready", flush=True)
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    sys.stdin.readline()
    run.log(accuracy=0.5)
print(run.session._watcher.has_read, run.footprint.energy_kwh is not None, flush=True)
"""
# Says at each line that it is sent who reads for it now.
TELL = """
with joulebook.track(model=sys.argv[1]) as run:
    print("ready", flush=True)
    for line in sys.stdin:
        print(run.session._link.reads, run.session._watcher.is_reading, flush=True)
"""


@pytest.fixture
def place() -> Iterator[AgentPlace]:
    """Return a place for an agent."""
    with agent_place() as place:
        yield place


def asked(process: subprocess.Popen[str]) -> str:
    """Ask a job that runs TELL: whether an agent reads for it, and whether it reads itself."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return ready(process)


@pytest.mark.parametrize("user", [0, pytest.param(NOBODY, marks=needs_root)])
def test_a_job_is_read_by_the_agent(place: AgentPlace, user: int) -> None:
    """It reads no meter itself, holds no lock, knows its footprint, and leaves nothing in its own spool that was handed over."""
    place.start()
    job = place.job("job", user)
    done = job.run(BECOME + WORK, "m")
    assert (done.stdout.split(), done.stderr, done.returncode) == (["ready", "False", "True"], "", 0)
    assert place.end() == 0
    keeper = place.books()
    run = keeper.run_named("m")
    keeper.assert_sound()
    assert keeper.statuses == {run: ["finished"]}
    assert keeper.energy_mj(run) > 0
    assert {batch.reader.rank for batch in keeper.batches} == {0}
    assert [path.name for path in job.spool.rglob("*.segment")] == []


def test_a_job_that_is_read_by_the_agent_loads_nothing_heavy(place: AgentPlace) -> None:
    """Neither `socket`, which loads ten times what it wraps, nor what reads meters at the driver."""
    place.start()
    program = """
    import sys
    before = set(sys.modules)
    import joulebook
    with joulebook.track(model="m") as run:
        is_open = run.session._link.is_open
    heavy = {"socket", "selectors", "enum", "re", "logging", "json.decoder", "dataclasses", "typing", "subprocess", "pynvml", "psutil"}
    print(is_open, sorted(heavy & (set(sys.modules) - before)))
    """
    done = place.job("job").run(program)
    assert (done.stdout, done.stderr) == ("True []\n", "")


def test_a_job_with_a_ledger_of_its_own_reads_too(place: AgentPlace, tmp_path: Path) -> None:
    """One spool feeds one ledger; the agent hears of the job all the same."""
    place.start()
    job = place.job("job", ledger=f"file://{tmp_path}/other")
    done = job.run(BECOME + WORK, "m")
    assert done.stdout.split() == ["ready", "True", "True"]
    place.end()
    own, agents = Keeper(), place.books()
    ingest_dropbox(f"{tmp_path}/other", own)
    assert own.energy_mj(own.run_named("m")) > 0
    assert agents.energy_mj(agents.run_named("m")) > 0


def test_a_job_in_the_agents_own_spool_needs_no_socket(place: AgentPlace) -> None:
    """There the lock keeps the order, and nothing is announced twice."""
    place.start()
    job = place.job("job")
    job.environment["JOULEBOOK_SPOOL"] = place.environment["JOULEBOOK_SPOOL"]
    program = "with joulebook.track(model='m') as run:\n    time.sleep(0.3)\n    print(run.session._link.is_open, run.session._watcher.is_reading)\n"
    done = job.run(BECOME + program, JOULEBOOK_HOME=place.environment["JOULEBOOK_HOME"])
    assert done.stdout.split() == ["False", "False"]
    place.end()
    keeper = place.books()
    keeper.assert_sound()
    assert keeper.statuses == {keeper.run_named("m"): ["finished"]}


def test_a_job_reads_while_there_is_no_agent_and_goes_back(place: AgentPlace) -> None:
    """The agent is killed in the middle of a run, and comes back: the run goes on throughout, and nothing counts twice."""
    place.start()
    job = place.job("job")
    process = job.start(BECOME + TELL, "m")
    assert ready(process) == "ready"
    wait_until(lambda: asked(process) == "True False", "the agent reads for it")
    place.end(signal.SIGKILL)
    wait_until(lambda: asked(process) == "False True", "the job reads by itself")
    place.start()
    wait_until(lambda: asked(process) == "True False", "the agent reads for it again")
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (out, err, process.returncode) == ("", "", 0)
    place.end()
    keeper = job.deliver(place.books())
    for reader in {batch.reader.reader for batch in keeper.batches}:
        its = Keeper()
        its.batches = [batch for batch in keeper.batches if batch.reader.reader == reader]
        its.assert_sound()
    run = keeper.run_named("m")
    assert keeper.conflicts == []
    assert keeper.statuses == {run: ["finished"]}
    assert 0 < keeper.energy_mj(run) < keeper.read_mj()


def test_a_killed_job_is_killed_in_the_books(place: AgentPlace) -> None:
    """The agent sees the connection end without a word; the job's own spool tells the same, and nobody contradicts anybody."""
    place.start()
    job = place.job("job")
    process = job.start(BECOME + TELL, "m")
    assert ready(process) == "ready"
    wait_until(lambda: asked(process) == "True False", "the agent reads for it")
    wait_until(lambda: place.figure("joulebook_runs_open") == 1, "the agent heard of it")
    kill(process)
    wait_until(lambda: place.figure("joulebook_runs_open") == 0, "the agent noticed")
    place.end()
    agents = place.books()
    assert agents.statuses == {agents.run_named("m"): ["killed"]}
    keeper = job.deliver(place.books())
    assert set(keeper.statuses[keeper.run_named("m")]) == {"killed"}
    assert keeper.conflicts == []


def test_children_that_are_left_behind_do_not_hold_the_line(place: AgentPlace) -> None:
    """A forked child lets go of what it inherits, and has a line of its own when it tracks."""
    place.start()
    program = """
    with joulebook.track(model="parent") as run:
        pid = os.fork()
        if not pid:
            with joulebook.track(model="child") as inner:
                mine = (inner.session._link.is_open, run.session._link.is_open)
            os._exit(0 if mine == (True, False) else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), run.session._link.is_open)
    """
    done = place.job("job").run(BECOME + textwrap.dedent(program), PYTHONWARNINGS="ignore")
    assert (done.stdout.split(), done.stderr) == (["0", "True"], "")
    place.end()
    keeper = place.books()
    assert keeper.statuses == {keeper.run_named("parent"): ["finished"], keeper.run_named("child"): ["finished"]}


@needs_root
def test_a_run_of_another_user_cannot_be_announced(place: AgentPlace) -> None:
    """Both sides say so in a clear line, and both jobs go on."""
    place.start()
    mine, his = place.job("mine", NOBODY), place.job("his", SOMEBODY)
    process = mine.start(BECOME + TELL, "m", JOULEBOOK_RUN_ID="ab" * 16)
    assert ready(process) == "ready"
    done = his.run(BECOME + WORK, "m", JOULEBOOK_RUN_ID="ab" * 16)
    assert done.returncode == 0
    assert "run abababababababababababababababab was announced by another user" in done.stderr
    assert "the job goes on and reads the meters itself" in done.stderr
    assert asked(process) == "True False"
    process.communicate(timeout=PATIENCE_SECONDS)
    line = place.wait_for("event=job_refused")
    assert f"reason=other_user uid={SOMEBODY}" in line
    assert place.figure("joulebook_connections_refused_total") >= 1
    place.end()
    assert {event for statuses in place.books().statuses.values() for event in statuses} == {"finished"}


@needs_root
def test_a_process_of_another_user_cannot_be_spoken_for(place: AgentPlace) -> None:
    """The kernel says who is at the other end; what he says of himself is not believed."""
    place.start()
    program = """
    import os, socket, sys
    sys.path[:0] = os.environ["PYTHONPATH"].split(":")
    from helpers.agents import Caller
    os.setuid(65534)
    caller = Caller(sys.argv[1])
    caller.say({"hello": {"form": 1, "pid_namespace": os.readlink("/proc/self/ns/pid")}})
    caller.hear()
    caller.say({"process": {"pid": int(sys.argv[2]), "started": 0, "ancestors": []}})
    print(caller.hear())
    """
    done = Place(place.folder).run(
        program, place.environment["JOULEBOOK_AGENT_SOCKET"], str(os.getpid()), PYTHONPATH=":".join(sys.path)
    )
    assert (
        f"process {os.getpid()} belongs to user id 0, and you are 65534: a job speaks for its own user" in done.stdout
    )
    assert "reason=other_user uid=65534" in place.wait_for("event=job_refused")


def test_a_clean_stop_closes_retires_and_says_so(place: AgentPlace) -> None:
    """The service manager hears of it all; the ledger hears that this reader owes nothing any more."""
    path = str(place.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(PATIENCE_SECONDS)
        place.start(NOTIFY_SOCKET=path, WATCHDOG_USEC="300000")
        told = manager.recv(4096).decode()
        assert told.startswith("READY=1\nSTATUS=reading ")
        assert manager.recv(4096) == b"WATCHDOG=1"
        assert place.end() == 0
        manager.setblocking(False)
        rest = []
        while not rest or rest[-1] != b"STOPPING=1":
            rest.append(manager.recv(4096))
    assert not Path(place.environment["JOULEBOOK_AGENT_SOCKET"]).exists()
    assert "event=stopped all_sent=yes" in place.wait_for("event=stopped")
    assert place.books().batches[-1].state == "retired"


def test_the_agent_loads_no_library_of_commands_and_stays_small(place: AgentPlace) -> None:
    """Neither typer, pydantic nor SQLAlchemy, also where it delivers over HTTP; at most 50 MB at its peak."""
    program = """
    import sys
    from joulebook_collectors.agent.daemon import main
    code = main(["--once"])
    heavy = {"typer", "click", "pydantic", "sqlalchemy", "sqlmodel", "alembic", "fastapi", "rich", "numpy", "psutil", "asyncio", "sqlite3"}
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(code, sorted(heavy & set(sys.modules)), "httpx2" in sys.modules, peak < 50_000)
    """
    settings = {**place.environment, "JOULEBOOK_LEDGER": "http://127.0.0.1:9", "JOULEBOOK_API_KEY": "secret"}
    done = Place(place.folder).run(program, **settings)
    assert done.stdout == "0 [] True True\n"
    assert "event=ledger_out_of_reach" in done.stderr


@pytest.mark.parametrize(
    ("environment", "code", "told"),
    [
        ({"JOULEBOOK_LEDGER": "ftp://x"}, 2, "is no ledger: write one of"),
        ({"JOULEBOOK_AGENT_METRICS": "8421"}, 2, "is no address"),
        ({"JOULEBOOK_AGENT_CONFIG": "/nowhere/agent.toml"}, 2, "/nowhere/agent.toml cannot be read"),
        ({"NODE": "source = 'redfihs'"}, 2, "[node] source 'redfihs' is none of"),
        ({"JOULEBOOK_LEDGER": "http://127.0.0.1:9"}, 2, "no token for the service"),
        ({"JOULEBOOK_AGENT_SOCKET": "/dev/null/agent.sock"}, 3, "the socket /dev/null/agent.sock cannot be made"),
        ({"JOULEBOOK_SPOOL": "/dev/null/spool"}, 1, "level=error event=refused"),
    ],
)
def test_a_broken_configuration_is_refused_with_the_remedy(
    place: AgentPlace, environment: dict[str, str], code: int, told: str
) -> None:
    """One line for each mistake; nothing is begun."""
    if "NODE" in environment:
        configuration = place.folder / "agent.toml"
        configuration.write_text(f"[node]\n{environment['NODE']}\n")
        environment = {"JOULEBOOK_AGENT_CONFIG": str(configuration)}
    place.begin(**environment)
    assert place.process is not None
    assert place.process.wait(PATIENCE_SECONDS) == code
    place.end()
    assert told in "\n".join(place.lines)


def test_a_second_agent_says_what_to_do(place: AgentPlace) -> None:
    """The first one goes on."""
    place.start()
    first = place.process
    place.begin()
    assert place.process is not None
    assert place.process.wait(PATIENCE_SECONDS) == 3
    assert "another agent listens at" in place.wait_for("event=bad_input")
    assert first is not None
    assert first.poll() is None
    kill(first)
    assert first.stderr is not None
    first.stderr.close()


def test_the_check_reads_nothing_and_says_how_things_stand(place: AgentPlace) -> None:
    """Configuration, spool, ledger, socket, meters: a line each."""
    place.begin("--check")
    assert place.process is not None
    assert place.process.wait(PATIENCE_SECONDS) == 0
    place.end()
    told = {line.split("event=")[1].split()[0] for line in place.lines}
    assert {"configuration", "spool", "ledger", "socket", "meter"} <= told
    assert not stat.S_ISSOCK(0)
    assert not (place.folder / "box").exists()
