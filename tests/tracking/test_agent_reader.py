"""The reader of an agent goes on for as long as the host runs, also where no job is there and after its own death."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from helpers.agents import WATTS, AgentHost

from joulebook_collectors.delivery.recovery import recover
from joulebook_collectors.spool.segments import create_segment

SECOND_MS = 1_000


@pytest.fixture
def host(tmp_path: Path) -> Iterator[AgentHost]:
    """Return a host without jobs."""
    host = AgentHost(tmp_path)
    yield host
    host.close()


def test_without_any_job_the_meters_are_read(host: AgentHost) -> None:
    """What nobody announced is nobody's run, and still in the books."""
    reader = host.reader()
    host.pass_seconds(reader, 130)
    reader.end()
    assert host.total_mj() == 130 * WATTS * 1_000


@pytest.mark.parametrize("away_seconds", [2, 30, 4_000])
def test_a_killed_agent_books_what_the_counter_holds(host: AgentHost, away_seconds: int) -> None:
    """The energy of the time while it was away is there once, and untracked."""
    host.pass_seconds(host.reader(), 70)
    host.kill()
    host.move(away_seconds * SECOND_MS)
    reader = host.reader()
    host.pass_seconds(reader, 70)
    reader.end()
    windows = host.windows()
    assert host.total_mj() == (140 + away_seconds) * WATTS * 1_000
    assert all(a["end_ms"] == b["start_ms"] for a, b in pairwise(windows))
    if away_seconds > 5:
        assert host.uses()["untracked"] >= away_seconds * WATTS * 1_000


def test_a_clean_stop_leaves_the_counter_to_the_next_agent(host: AgentHost) -> None:
    """An update of the agent loses nothing, also where somebody recovered the spool meanwhile."""
    reader = host.reader()
    host.pass_seconds(reader, 10)
    reader.end()
    host.kill()
    recover(host.folder)
    host.move(60 * SECOND_MS)
    reader = host.reader()
    host.pass_seconds(reader, 10)
    reader.end()
    assert host.total_mj() == 80 * WATTS * 1_000


def test_what_a_job_left_behind_is_no_time_of_the_agent(host: AgentHost) -> None:
    """Hours before the first agent in which nobody read are not in the books."""
    reader = host.reader(is_agent=False)
    host.pass_seconds(reader, 10)
    reader.end()
    host.kill()
    host.move(3_600 * SECOND_MS)
    reader = host.reader()
    host.pass_seconds(reader, 10)
    reader.end()
    assert host.total_mj() == 20 * WATTS * 1_000


def test_the_listener_hears_every_window(host: AgentHost) -> None:
    """What the metrics page counts is what is in the books."""
    heard: list[dict[str, Any]] = []
    reader = host.reader(listener=lambda frame, _at_us: heard.append(frame))
    host.pass_seconds(reader, 90)
    ((description, open_mj), *_) = reader.open_energy
    told = sum(w["energy_mj"] for frame in heard for w in frame.get("readings", ()) if "/package-0~" in w["meter"])
    assert description.domain == "package-0"
    assert told + open_mj == 90 * WATTS * 1_000


def test_a_new_segment_changes_nothing_but_where_windows_are_written(host: AgentHost) -> None:
    """An agent that runs for years does not write one file for years."""
    reader = host.reader()
    host.pass_seconds(reader, 70)
    fresh = create_segment(host.folder, "fresh")
    assert reader.write_to(fresh)
    host.pass_seconds(reader, 70)
    reader.end()
    assert b"readings" in Path(fresh.path).read_bytes()
    assert host.total_mj() == 140 * WATTS * 1_000
    fresh.close()


@pytest.mark.parametrize("step_ms", [-7_200_000, -500, 500, 7_200_000])
def test_a_clock_that_steps_moves_no_energy(host: AgentHost, step_ms: int) -> None:
    """Forwards there is a gap, backwards it is walked off; the energy is there once either way."""
    reader = host.reader()
    host.pass_seconds(reader, 30)
    host.move(SECOND_MS, step_ms)
    reader.tick()
    host.pass_seconds(reader, 30)
    reader.end()
    windows = host.windows()
    gaps = [window for window in windows if "reason" in window]
    assert host.total_mj() == 61 * WATTS * 1_000
    assert [gap["reason"] for gap in gaps] == (["clock_step"] * len(gaps) if step_ms > 0 else [])
    assert bool(gaps) == (step_ms > 0)
    assert all(a["end_ms"] <= b["start_ms"] for a, b in pairwise(windows))


def test_a_suspended_host_has_a_gap(host: AgentHost) -> None:
    """The monotonic clock stands still meanwhile, the wall clock does not."""
    reader = host.reader()
    host.pass_seconds(reader, 30)
    host.move(0, 8 * 3_600_000)
    reader.tick()
    host.pass_seconds(reader, 30)
    reader.end()
    gaps = [window for window in host.windows() if "reason" in window]
    assert sum(gap["end_ms"] - gap["start_ms"] for gap in gaps) == 8 * 3_600_000
    assert host.total_mj() == 60 * WATTS * 1_000


def test_a_device_that_is_lost_and_comes_back(host: AgentHost) -> None:
    """The counter of the same boot makes good what it counted meanwhile; one that began anew is a gap."""
    reader = host.reader()
    host.pass_seconds(reader, 20)
    host.is_lost = True
    host.pass_seconds(reader, 20)
    host.is_lost = False
    host.pass_seconds(reader, 20)
    host.counted_from_us = host.monotonic_us
    host.pass_seconds(reader, 20)
    reader.end()
    reasons = {window.get("reason") for window in host.windows()}
    assert host.total_mj() == 79 * WATTS * 1_000
    assert reasons == {None, "counter_reset"}
