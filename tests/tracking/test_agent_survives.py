"""What happens to a host, and what the agent makes of it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest
from helpers.agents import BECOME, AgentPlace, agent_place, needs_root
from helpers.tracked import wait_until

from joulebook_collectors.agent.devices import fingerprint
from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.presence.span import Span
from joulebook_ledger.core.records import Meter, Use, Window

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="a host of this kind has a /proc"),
]

PROCESSES = 10_000
STAT = "{pid} (worker) S 1 1 1 0 -1 0 0 0 0 0 10 10 0 0 20 0 1 0 {pid} 0 0\n"


@pytest.fixture
def place() -> Iterator[AgentPlace]:
    """Return a place for an agent."""
    with agent_place() as place:
        yield place


def test_its_own_sigkill_loses_and_doubles_nothing(place: AgentPlace) -> None:
    """Killed and started again three times: its windows follow each other without a hole, and one reader tells it all."""
    for _ in range(3):
        place.start()
        seen = place.figure("joulebook_meter_energy_joules_total")
        wait_until(lambda seen=seen: place.figure("joulebook_meter_energy_joules_total") > seen, "it reads")
        place.end(signal.SIGKILL)
    place.start()
    assert place.end() == 0
    keeper = place.books()
    keeper.assert_sound()
    assert len({batch.reader.reader for batch in keeper.batches}) == 1
    for meter in {window.meter for window in keeper.facts(Window) if not window.is_gap}:
        windows = sorted((w.start_ms, w.end_ms) for w in keeper.facts(Window) if w.meter == meter)
        assert sum(end - start for start, end in windows) == windows[-1][1] - windows[0][0]


def test_a_job_that_dies_with_the_agent_is_killed(place: AgentPlace) -> None:
    """The next agent finds what the last one knew of it."""
    place.start()
    job = place.job("job")
    program = BECOME + "with joulebook.track(model='m'):\n    print('ready', flush=True)\n    sys.stdin.readline()\n"
    process = job.start(program)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    wait_until(lambda: place.figure("joulebook_runs_open") == 1, "it is heard")
    assert place.process is not None
    place.process.send_signal(signal.SIGSTOP)
    process.kill()
    place.end(signal.SIGKILL)
    place.start()
    place.end()
    keeper = place.books()
    assert keeper.statuses == {keeper.run_named("m"): ["killed"]}


def fill(file: FileIO) -> None:
    """Write until nothing more fits."""
    while True:
        file.write(b"x" * 4_096)


def test_what_was_sent_is_removed_though_a_run_goes_on(place: AgentPlace) -> None:
    """A training of months does not keep every window of those months on the host."""
    place.start(JOULEBOOK_AGENT_DELIVER_SECONDS="1")
    job = place.job("long")
    process = job.start(
        BECOME + "with joulebook.track(model='m'):\n    print('ready', flush=True)\n    sys.stdin.readline()\n"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert place.job("short").run(BECOME + "with joulebook.track(model='n'):\n    time.sleep(0.3)\n").returncode == 0
    spool = Path(place.environment["JOULEBOOK_SPOOL"])
    wait_until(lambda: place.books().statuses, "the end of the short run was sent")
    wait_until(lambda: not list(spool.rglob("done/*.segment")), "what was sent is removed")
    assert place.figure("joulebook_runs_open") == 1


@needs_root
def test_a_full_disk_stops_nothing_and_loses_nothing(place: AgentPlace) -> None:
    """What has no room waits in memory and in the checkpoint, and is written when there is some."""
    state = place.folder / "state"
    state.mkdir(mode=0o700)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", str(state).encode(), b"tmpfs", 0, b"size=256k,mode=0700") != 0:
        pytest.skip("no small file system can be mounted here")
    try:
        place.start()
        filler = state / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            fill(file)
        done = place.job("job").run(
            BECOME + "for n in range(30):\n    with joulebook.track(model='m'):\n        time.sleep(0.01)\n"
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert place.ask("/healthz") == (200, "ok\n")
        filler.unlink()
        wait_until(lambda: place.ask("/readyz")[0] == 200, "it goes on")
        assert place.end() == 0
    finally:
        libc.umount2(str(state).encode(), 2)
    keeper = place.books()
    keeper.assert_sound()
    assert list(keeper.statuses.values()) == [["finished"]] * 30
    for meter in {use.meter for use in keeper.facts(Use)}:
        windows = sorted((w.start_ms, w.end_ms) for w in keeper.facts(Window) if w.meter == meter)
        assert sum(end - start for start, end in windows) == windows[-1][1] - windows[0][0]


def test_ten_thousand_processes_are_not_looked_at_each_time(tmp_path: Path) -> None:
    """Where the kernel does not name children a look at all of them comes so seldom that it costs next to nothing."""
    proc = tmp_path / "proc"
    for pid in range(2, PROCESSES + 2):
        folder = proc / str(pid)
        folder.mkdir(parents=True)
        (folder / "stat").write_text(STAT.format(pid=pid))
    attendance = Attendance(str(tmp_path), 1_000_000, str(proc))
    spans = [Span()]
    asked: list[int] = []
    for second in range(2, 20):
        attendance.look(second * 1_000_000, spans, everywhere=True)
        asked.append(attendance._next_scan_us)
    assert len(set(asked)) < len(asked)
    assert asked[0] > 2_000_000


def test_a_node_is_read_beyond_its_parts(place: AgentPlace) -> None:
    """Its controller says 100 W; what no other meter counts of that is a meter of its own."""
    command = place.folder / "ipmitool"
    command.write_text(
        "#!/bin/sh\necho '    Instantaneous power reading:                   100 Watts'\n"
        "echo '    Power reading state is:                   activated'\n"
    )
    command.chmod(0o755)
    configuration = place.folder / "agent.toml"
    configuration.write_text(f"[node]\nsource = 'ipmi'\ncommand = '{command}'\n")
    place.start(JOULEBOOK_AGENT_CONFIG=str(configuration))
    name = 'joulebook_meter_energy_joules_total{component="node_rest",domain="node-rest"}'
    wait_until(
        lambda: name in place.ask("/metrics")[1] and f"{name} 0.0" not in place.ask("/metrics")[1],
        "the rest is counted",
    )
    assert place.end() == 0
    keeper = place.books()
    (rest,) = [meter for meter in keeper.facts(Meter) if meter.component == "node_rest"]
    assert sum(window.energy_mj or 0 for window in keeper.facts(Window) if window.meter == rest.key) > 0


def test_devices_that_come_and_go_are_seen(tmp_path: Path, place: AgentPlace) -> None:
    """By name, without asking any driver; the agent then looks for its meters anew and goes on."""
    (tmp_path / "dev").mkdir()
    bare = fingerprint(str(tmp_path / "sys"), str(tmp_path / "dev"))
    (tmp_path / "dev" / "nvidia0").touch()
    (tmp_path / "sys" / "class" / "powercap" / "intel-rapl:0").mkdir(parents=True)
    full = fingerprint(str(tmp_path / "sys"), str(tmp_path / "dev"))
    shutil.rmtree(tmp_path / "sys")
    assert len({bare, full, fingerprint(str(tmp_path / "sys"), str(tmp_path / "dev"))}) == 3
    process = place.start()
    before = len([line for line in place.lines if "event=reading" in line])
    os.kill(process.pid, signal.SIGHUP)
    wait_until(lambda: len([line for line in place.lines if "event=reading" in line]) > before, "it looked anew")
    assert place.end() == 0
    keeper = place.books()
    keeper.assert_sound()
    meter = keeper.facts(Window)[0].meter
    windows = sorted((w.start_ms, w.end_ms) for w in keeper.facts(Window) if w.meter == meter)
    assert sum(end - start for start, end in windows) == windows[-1][1] - windows[0][0]
