"""Eight processes on one host are one host: runs, untracked and idle are what the meters read, to the millijoule."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.tracked import Place, reader_pid, ready, wait_until

from joulebook_ledger.core.records import Meter, Use, Window

pytestmark = pytest.mark.processes

WORK = """
import joulebook, sys, time
with joulebook.track(model=sys.argv[1]):
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        sum(range(20_000))
"""


def test_eight_processes_at_once_are_one_host(tmp_path: Path) -> None:
    """Every meter is read once, by one of them; all accounts together are what it read; and no time is counted twice."""
    place = Place(tmp_path)
    processes = [place.start(WORK, f"m{number}") for number in range(8)]
    for process in processes:
        assert ready(process) == "ready"
    assert reader_pid(place) in {process.pid for process in processes}
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=60) for process in processes]
    assert ends == [("", "")] * 8
    keeper = place.deliver()
    keeper.assert_sound()
    runs = [keeper.run_named(f"m{number}") for number in range(8)]
    assert keeper.statuses == {run: ["finished"] for run in runs}
    assert len({batch.reader.reader for batch in keeper.batches}) == 1
    assert sum(keeper.energy_mj(account) for account in (*runs, "untracked", "idle")) == keeper.read_mj()
    assert all(keeper.energy_mj(run) > 0 for run in runs)
    for meter in keeper.facts(Meter):
        windows = sorted((w.start_ms, w.end_ms) for w in keeper.facts(Window) if w.meter == meter.key)
        covered_ms = sum(end - start for start, end in windows)
        assert covered_ms == windows[-1][1] - windows[0][0]
        held_ms = sum(use.time_ms for use in keeper.facts(Use) if use.meter == meter.key)
        assert held_ms <= covered_ms


def test_two_spools_on_one_host_that_cannot_see_each_other_count_its_devices_once(tmp_path: Path) -> None:
    """As two containers: each has a reader, and the ledger lays both on one time line."""
    places = [Place(tmp_path / name) for name in ("one", "two")]
    for place in places:
        place.spool.parent.mkdir()
    processes = [place.start(WORK, "m") for place in places]
    for process in processes:
        assert ready(process) == "ready"
    for process in processes:
        assert process.communicate("\n", timeout=60) == ("", "")
    keeper = places[0].deliver()
    keeper = places[1].deliver(keeper)
    readers = {batch.reader.reader for batch in keeper.batches}
    assert len(readers) == 2
    meter = next(meter.key for meter in keeper.facts(Meter) if meter.component == "dram")
    windows = [
        fact for batch in keeper.batches for fact in batch.facts() if isinstance(fact, Window) and fact.meter == meter
    ]
    laid_mj = sum(row.energy_mj for (key, _), usage in keeper.usage().items() if key == meter for row in usage.rows)
    longest = max(windows, key=lambda window: window.energy_mj or 0)
    longest_mj = longest.energy_mj or 0
    # Windows begin and end in whole milliseconds: what two readers say of one stretch differs by what is drawn in those at its ends.
    ends_mj = 2 * longest_mj // (longest.end_ms - longest.start_ms) + 2
    assert longest_mj - ends_mj <= laid_mj < sum(w.energy_mj or 0 for w in windows) * 3 // 4


def test_the_children_of_a_run_are_the_run(tmp_path: Path) -> None:
    """What its process tree does is its own: what ends, what lives on for a while, and what a shell started."""
    place = Place(tmp_path)
    program = """
    import joulebook, subprocess, sys
    burn = [sys.executable, "-c", "import time; t = time.monotonic() + 1.0\\nwhile time.monotonic() < t: pass"]
    with joulebook.track(model="parent"):
        lasting = subprocess.Popen(burn)
        subprocess.run(["sh", "-c", '"$0" "$1" "$2"; true', *burn], check=True)
        lasting.wait()
    """
    assert place.run(program).stderr == ""
    keeper = place.deliver()
    keeper.assert_sound()
    cpu = next(meter.key for meter in keeper.facts(Meter) if meter.component == "cpu")
    run = keeper.run_named("parent")
    active_mj = sum(u.energy_mj - u.static_mj for u in keeper.facts(Use) if (u.meter, u.run) == (cpu, run))
    static_mj = sum(u.static_mj for u in keeper.facts(Use) if (u.meter, u.run) == (cpu, run))
    assert active_mj > static_mj // 2


def test_a_run_below_another_takes_only_its_own_part(tmp_path: Path) -> None:
    """A tracked process starts another one: each bears what it did itself, and nothing is borne twice."""
    place = Place(tmp_path)
    program = """
    import joulebook, subprocess, sys
    burn = "import time; t = time.process_time() + 0.7\\nwhile time.process_time() < t: pass"
    inner = f"import joulebook\\nwith joulebook.track(model='inner'):\\n    exec({burn!r})"
    with joulebook.track(model="outer"):
        subprocess.run([sys.executable, "-c", inner], check=True)
    """
    assert place.run(program).stderr == ""
    keeper = place.deliver()
    keeper.assert_sound()
    cpu = next(meter.key for meter in keeper.facts(Meter) if meter.component == "cpu")
    active = {
        model: sum(
            use.energy_mj - use.static_mj
            for use in keeper.facts(Use)
            if (use.meter, use.run) == (cpu, keeper.run_named(model))
        )
        for model in ("outer", "inner")
    }
    assert active["inner"] > active["outer"]


def test_the_reader_is_rung_when_a_run_ends_elsewhere(tmp_path: Path) -> None:
    """The window ends there and then, so that the run's last figures are there when it is over."""
    place = Place(tmp_path)
    reader = place.start(WORK, "reader")
    ready(reader)
    other = place.start(WORK, "other")
    ready(other)
    other.communicate("\n", timeout=60)
    wait_until(lambda: len(list(place.boot.glob("done/*.segment"))) == 1, "the reader did not notice the end")
    keeper = place.deliver()
    ended_ms = max(window.end_ms for window in keeper.facts(Window))
    reader.communicate("\n", timeout=60)
    keeper = place.deliver(keeper)
    keeper.assert_sound()
    assert any(window.end_ms == ended_ms for window in keeper.facts(Window))
    assert keeper.energy_mj(keeper.run_named("other")) > 0
