"""`joulebook run -- CMD`: the command's own end, and nothing of its run is lost."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from helpers.tracked import Keeper, Place, end_group, ready, wait_until

from joulebook_collectors.host.processes import host_time
from joulebook_ledger.core.events import RunEvent, Score
from joulebook_ledger.core.records import Meter, Use, Window

pytestmark = pytest.mark.processes

SUPERVISE = """
import sys
from joulebook_collectors.tracking.supervise import run_command
from joulebook_ledger.settings import load_settings
sys.exit(run_command(sys.argv[1:], {"model": "command"}, load_settings()))
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a spool and a home of the test's own."""
    return Place(tmp_path)


def ended(keeper: Keeper) -> tuple[str, object]:
    """Return how the command's run ended, and its exit code."""
    run = keeper.run_named("command")
    (event,) = [event for event in keeper.facts(RunEvent) if (event.run, event.kind) == (run, "ended")]
    return event.status, event.facts["exit_code"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -KILL $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["no such command"], 127),
        (["/"], 126),
    ],
    ids=["well", "exit 7", "killed", "terminated", "not found", "not a program"],
)
def test_the_exit_code_is_the_commands(place: Place, command: list[str], code: int) -> None:
    """128 + n where a signal ended it, 127 and 126 as a shell says; the run knows it too."""
    done = place.run(SUPERVISE, *command)
    assert done.returncode == code
    keeper = place.deliver()
    keeper.assert_sound()
    assert ended(keeper) == ("failed" if code else "finished", code)


def test_input_output_and_arguments_are_the_commands_own(place: Place) -> None:
    """Nothing stands between it and its terminal."""
    process = place.start(SUPERVISE, "sh", "-c", 'cat; echo "$0" >&2', "an argument")
    assert process.communicate("hello\n", timeout=60) == ("hello\n", "an argument\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_is_passed_on_and_nothing_of_the_run_is_lost(place: Place, number: signal.Signals) -> None:
    """The command has the last word; then the run ends, with its last window."""
    command = 'trap "exit 5" TERM INT HUP USR1; echo ready; while :; do sleep 0.05; done'
    process = place.start(SUPERVISE, "sh", "-c", command)
    assert ready(process) == "ready"
    process.send_signal(number)
    assert process.wait(60) == 5
    end_group(process)
    keeper = place.deliver()
    keeper.assert_sound()
    assert ended(keeper) == ("failed", 5)
    (event,) = [event for event in keeper.facts(RunEvent) if event.kind == "ended"]
    last_ms = max(window.end_ms for window in keeper.facts(Window))
    assert last_ms >= event.at_ms - 5


def test_a_command_that_ends_by_the_signal_itself_shows_it(place: Place) -> None:
    """Slurm and Kubernetes send SIGTERM; the exit code says so, and the run is whole."""
    process = place.start(SUPERVISE, "sh", "-c", "echo ready; exec sleep 60")
    assert ready(process) == "ready"
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM
    end_group(process)
    assert ended(place.deliver()) == ("failed", 143)


def test_sigterm_to_the_whole_group_loses_nothing_either(place: Place) -> None:
    """As a terminal or a scheduler sends it."""
    process = place.start(SUPERVISE, "sh", "-c", "echo ready; exec sleep 60")
    assert ready(process) == "ready"
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    end_group(process)
    assert ended(place.deliver()) == ("failed", 143)


def test_a_killed_supervisor_leaves_the_command_alone(place: Place) -> None:
    """The job is not ours to kill; its run is ended by the next command."""
    process = place.start(SUPERVISE, "sh", "-c", "echo ready; read line; echo done")
    assert ready(process) == "ready"
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert ready(process) == "done"
    end_group(process)
    keeper = place.deliver()
    keeper.assert_sound()
    assert keeper.statuses == {keeper.run_named("command"): ["killed"]}


def test_what_the_command_tracks_and_logs_is_the_same_run(place: Place) -> None:
    """Like labels join; unlike ones are a run below it, whose time is its own."""
    program = """
import joulebook
joulebook.log(loss=0.25)
with joulebook.track(model="command") as run: run.log(accuracy=0.5)
with joulebook.track(model="another"): joulebook.log(accuracy=0.75)
"""
    assert place.run(SUPERVISE, sys.executable, "-c", program).returncode == 0
    keeper = place.deliver()
    keeper.assert_sound()
    run, other = keeper.run_named("command"), keeper.run_named("another")
    assert {(score.run, score.name, score.value) for score in keeper.facts(Score)} == {
        (run, "loss", "0.25"),
        (run, "accuracy", "0.5"),
        (other, "accuracy", "0.75"),
    }
    assert sorted(map(tuple, keeper.statuses.values())) == [("finished",), ("finished", "finished")]


def test_a_script_of_several_programs_with_unlike_labels_is_several_runs(place: Place) -> None:
    """The first to say what the run is, says it; the others are runs of their own below it."""
    track = "import joulebook, sys\nwith joulebook.track(model='m', stage=sys.argv[1]): pass"
    supervise = SUPERVISE.replace('{"model": "command"}', "{}")
    script = '"$0" -c "$1" training; "$0" -c "$1" evaluation'
    assert place.run(supervise, "sh", "-c", script, sys.executable, track).returncode == 0
    keeper = place.deliver()
    stages = {event.run: event.labels["stage"] for event in keeper.facts(RunEvent) if "stage" in event.labels}
    assert sorted(stages.values()) == ["evaluation", "training"]


def test_what_the_command_leaves_behind_is_still_its_own(place: Place) -> None:
    """A grandchild whose parent ended becomes our child, and its work the run's: half a second of a processor."""
    burn = "import time\nwhile time.process_time() < 0.5: pass\nprint('burnt', flush=True)"
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])"
    script = '"$0" -c "$1"; read line'
    before_ms = busy_ms()
    process = place.start(SUPERVISE, "sh", "-c", script, sys.executable, program)
    assert ready(process) == "burnt"
    process.communicate("\n", timeout=60)
    host_ms = busy_ms() - before_ms
    keeper = place.deliver()
    keeper.assert_sound()
    cpu = next(meter.key for meter in keeper.facts(Meter) if meter.component == "cpu")
    uses = [use for use in keeper.facts(Use) if use.meter == cpu]
    active_mj = {use.run: 0 for use in uses}
    for use in uses:
        active_mj[use.run] += use.energy_mj - use.static_mj
    assert active_mj[keeper.run_named("command")] > sum(active_mj.values()) * 300 // host_ms


def busy_ms() -> int:
    """Return for how long the processors of this machine were busy since boot."""
    times = host_time()
    assert times is not None
    return times.busy_ms


def test_a_spool_that_cannot_be_written_changes_nothing_for_the_command(place: Place) -> None:
    """It runs, and its exit code is its own."""
    place.spool.write_text("not a folder")
    done = place.run(SUPERVISE, "sh", "-c", "echo hello; exit 4")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (4, "hello\n", 1)


def test_ctrl_c_at_a_terminal_reaches_the_command_once(place: Place, tmp_path: Path) -> None:
    """The terminal sends it to the whole foreground group: passing it on as well would be a second one."""
    import pty

    counted = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print("ready", flush=True)
told = [signal.sigwaitinfo([signal.SIGINT])]
while again := signal.sigtimedwait([signal.SIGINT], 0.5): told.append(again)
open(sys.argv[1], "w").write(str(len(told)))
"""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(place.environment)
        argv = [sys.executable, "-c", SUPERVISE, sys.executable, "-c", counted, str(tmp_path / "n")]
        os.execv(sys.executable, argv)  # noqa: S606 - no shell is wanted
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 100)
    os.write(terminal, b"\x03")
    wait_until(lambda: (tmp_path / "n").exists() and (tmp_path / "n").read_text(), "the command did not end")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert (tmp_path / "n").read_text() == "1"
