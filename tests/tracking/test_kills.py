"""Processes die, one by one and all at once: at most some seconds of evidence are lost, and the books stay sound."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.tracked import Keeper, Place, end_group, kill, reader_pid, ready, wait_until

from joulebook_collectors.spool.checkpoint import read_checkpoint
from joulebook_ledger.core.events import RunEvent, Score
from joulebook_ledger.core.records import Window

pytestmark = pytest.mark.processes

MOST_LOST_MS = 5_000
WORK = """
import joulebook, sys, time
with joulebook.track(model=sys.argv[1]) as run:
    run.log(accuracy=0.5)
    print("ready", flush=True)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        sum(range(50_000))
        time.sleep(0.02)
"""
FORKING = """
import joulebook, os, sys, time
with joulebook.track(model=sys.argv[1]):
    time.sleep(0.2)
    if os.fork() == 0:
        print("ready", flush=True)
        time.sleep(60)
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a spool and a home of the test's own."""
    return Place(tmp_path)


@pytest.fixture
def started(place: Place) -> Iterator[list[subprocess.Popen[str]]]:
    """Return a list for the processes of the test, whose groups are ended with it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        end_group(process)


def work(place: Place, started: list[subprocess.Popen[str]], model: str, program: str = WORK) -> subprocess.Popen[str]:
    """Start a tracked process, and wait until it tracks."""
    process = place.start(program, model)
    started.append(process)
    assert ready(process) == "ready"
    return process


def read_until(place: Place, milliseconds: int) -> None:
    """Wait until the reader's windows and checkpoints reach so far beyond now."""
    until_us = time.monotonic_ns() // 1_000 + milliseconds * 1_000
    wait_until(lambda: (read_checkpoint(str(place.boot)) or {"at_us": 0})["at_us"] >= until_us, "nobody reads")


def last_ms(keeper: Keeper) -> int:
    """Return the end of the last window."""
    return max(window.end_ms for window in keeper.facts(Window))


def test_a_killed_process_loses_at_most_seconds_and_its_run_is_killed(
    place: Place, started: list[subprocess.Popen[str]]
) -> None:
    """It was the reader too: its windows are closed at its last checkpoint."""
    process = work(place, started, "victim")
    read_until(place, 100)
    died_ms = time.time_ns() // 1_000_000
    kill(process)
    keeper = place.deliver()
    keeper.assert_sound()
    run = keeper.run_named("victim")
    (ended,) = [event for event in keeper.facts(RunEvent) if event.kind == "ended"]
    assert (ended.run, ended.status) == (run, "killed")
    assert died_ms - last_ms(keeper) < MOST_LOST_MS
    assert died_ms - ended.at_ms < MOST_LOST_MS
    assert [score.value for score in keeper.facts(Score)] == ["0.5"]
    assert keeper.energy_mj(run) > 0
    place.deliver(keeper)
    assert keeper.statuses == {run: ["killed"]}


def test_sigterm_under_track_is_as_sigkill(place: Place, started: list[subprocess.Popen[str]]) -> None:
    """We set no handler: the job dies as it would without us."""
    process = work(place, started, "victim")
    read_until(place, 100)
    kill(process, signal.SIGTERM)
    assert process.returncode == -signal.SIGTERM
    keeper = place.deliver()
    keeper.assert_sound()
    assert list(keeper.statuses.values()) == [["killed"]]


def test_when_the_reader_is_killed_another_reads_on_and_nothing_is_lost(
    place: Place, started: list[subprocess.Popen[str]]
) -> None:
    """The survivors' windows have no hole: the successor goes on from the checkpointed counters."""
    processes = {process.pid: process for process in (work(place, started, f"m{n}") for n in range(3))}
    read_until(place, 100)
    first = reader_pid(place)
    kill(processes.pop(first))
    wait_until(lambda: reader_pid(place) not in {0, first}, "nobody took over")
    read_until(place, 100)
    for process in processes.values():
        kill(process, signal.SIGKILL)
    keeper = place.deliver()
    keeper.assert_sound()
    assert sorted(status for its in keeper.statuses.values() for status in its) == ["killed"] * 3
    for meter in {window.meter for window in keeper.facts(Window) if "-model~" in window.meter}:
        windows = sorted((w.start_ms, w.end_ms) for w in keeper.facts(Window) if w.meter == meter)
        assert all(before[1] == after[0] for before, after in pairwise(windows))


def test_a_process_that_dies_while_another_reads_is_ended_by_the_reader(
    place: Place, started: list[subprocess.Popen[str]]
) -> None:
    """No command is needed to see that it is gone."""
    processes = {process.pid: process for process in (work(place, started, f"m{n}") for n in range(2))}
    read_until(place, 100)
    (victim,) = set(processes) - {reader_pid(place)}
    kill(processes[victim])
    wait_until(lambda: len(list(place.boot.glob("done/*.segment"))) == 1, "it is still held to live")
    keeper = place.deliver()
    assert list(keeper.statuses.values()) == [["killed"]]


def test_the_whole_group_killed_at_once_loses_at_most_seconds(
    place: Place, started: list[subprocess.Popen[str]]
) -> None:
    """Nobody is left to take over; the next command finishes what they left."""
    processes = [work(place, started, f"m{n}") for n in range(3)]
    read_until(place, 100)
    died_ms = time.time_ns() // 1_000_000
    for process in processes:
        process.send_signal(signal.SIGKILL)
    for process in processes:
        kill(process)
    keeper = place.deliver()
    keeper.assert_sound()
    assert died_ms - last_ms(keeper) < MOST_LOST_MS
    assert list(keeper.statuses.values()) == [["killed"]] * 3


def test_a_killed_reader_hands_over_while_its_forked_children_live(
    place: Place, started: list[subprocess.Popen[str]]
) -> None:
    """A child by fork has its parent's files, and not its lock. The time is printed, and only a generous deadline asserted."""
    first = work(place, started, "forking", FORKING)
    second = work(place, started, "heir")
    wait_until(lambda: reader_pid(place) == first.pid, "the first does not read")
    first.send_signal(signal.SIGKILL)
    began = time.monotonic()
    wait_until(lambda: reader_pid(place) == second.pid, "nobody took over")
    print(f"hand-over after {1000 * (time.monotonic() - began):.1f} ms, as seen from outside every 5 ms")
    read_until(place, 100)


def test_a_reader_that_ends_in_peace_hands_over_without_a_hole(
    place: Place, started: list[subprocess.Popen[str]]
) -> None:
    """The first run ends; the second goes on being measured."""
    program = WORK.replace(
        'print("ready", flush=True)', 'print("ready", flush=True); sys.stdin.readline(); sys.exit(0)'
    )
    first = work(place, started, "first", program)
    second = work(place, started, "second", program)
    read_until(place, 50)
    first.communicate("\n", timeout=60)
    wait_until(lambda: reader_pid(place) == second.pid, "nobody took over")
    read_until(place, 50)
    second.communicate("\n", timeout=60)
    keeper = place.deliver()
    keeper.assert_sound()
    assert keeper.batches[-1].state == "retired"
    (meter,) = {window.meter for window in keeper.facts(Window) if "/cpu-model~" in window.meter}
    windows = sorted((w.start_ms, w.end_ms) for w in keeper.facts(Window) if w.meter == meter)
    assert all(before[1] == after[0] for before, after in pairwise(windows))


def test_a_command_beside_a_living_reader_takes_nothing_from_it(
    place: Place, started: list[subprocess.Popen[str]]
) -> None:
    """It delivers what is written so far; the open window stays the reader's."""
    process = work(place, started, "m")
    read_until(place, 50)
    keeper = place.deliver()
    assert (keeper.statuses, keeper.batches[-1].state) == ({}, "active")
    kill(process)
    place.deliver(keeper)
    keeper.assert_sound()
    assert list(keeper.statuses.values()) == [["killed"]]
