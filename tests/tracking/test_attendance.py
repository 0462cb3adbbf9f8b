"""Work is counted once, for whoever was in force when it was done: of processes that come, go, and leave children behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.machines import Machine

from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.presence.span import Span
from joulebook_collectors.presence.tracked import Tracked, Work
from joulebook_collectors.spool.endings import move_to_done
from joulebook_collectors.spool.segments import Segment, create_segment

OUTER, INNER = "a" * 32, "b" * 32


class Crowd:
    """Processes as a /proc of the test's own shows them, and the segments of those that track."""

    def __init__(self, folder: Path) -> None:
        """Begin with nobody."""
        self.machine = Machine(folder / "machine")
        self.spool = folder / "spool"
        self.spool.mkdir()
        self.machine.write("proc/stat", "cpu  0 0 0 0 0 0 0 0\n")
        self.now_us = 1_000_000
        self.busy_ticks = 0
        self.span = Span()
        self.attendance = Attendance(str(self.spool), self.now_us, self.machine.proc_root)
        self.segments: dict[int, Segment] = {}

    def process(self, pid: int, parent: int, cpu_ms: int, waited_ms: int = 0, state: str = "S") -> None:
        """Let a process be there with so much CPU time, and so much of children it waited for."""
        self.machine.write(
            f"proc/{pid}/stat",
            f"{pid} (x) {state} {parent} 0 0 0 0 0 0 0 0 0 {cpu_ms // 10} 0 {waited_ms // 10} 0 20 0 1 0 {pid} 0\n",
        )
        self.machine.write(f"proc/{pid}/statm", "100 10 0 0 0 0 0\n")

    def gone(self, pid: int) -> None:
        """Let a process be gone."""
        self.machine.remove_folder(f"proc/{pid}")
        if pid in self.segments:
            self.segments.pop(pid).close()

    def mark(self, pid: int, *runs: str, cpu_ms: int, waited_ms: int = 0, ancestors: tuple[int, ...] = ()) -> None:
        """Let a process announce its runs."""
        if pid not in self.segments:
            self.segments[pid] = create_segment(str(self.spool), str(pid))
            self.segments[pid].append({"process": {"pid": pid, "started": pid, "ancestors": list(ancestors)}})
        mark = {
            "at_us": self.now_us,
            "cpu_us": cpu_ms * 1000,
            "waited_us": waited_ms * 1000,
            "memory": 1,
            "runs": list(runs),
        }
        self.segments[pid].append({"mark": mark})

    def look(self, busy_ms: int = 0, *, everywhere: bool = True) -> None:
        """Let a second pass, and the reader look."""
        self.now_us += 1_000_000
        self.busy_ticks += busy_ms // 10
        self.machine.write("proc/stat", f"cpu  {self.busy_ticks} 0 0 0 0 0 0 0\n")
        self.attendance.advance(self.now_us, [self.span])
        self.attendance._next_scan_us = 0
        self.attendance.look(self.now_us, [self.span], everywhere=everywhere)

    @property
    def work_ms(self) -> dict[str, int]:
        """Run -> the CPU time that was given to it, milliseconds."""
        return {run: amount // 1000 for run, amount in self.span.cpu.items()}


@pytest.fixture
def crowd(tmp_path: Path) -> Crowd:
    """Return a crowd of nobody."""
    return Crowd(tmp_path)


def test_work_before_a_run_is_not_the_runs(crowd: Crowd) -> None:
    """Its process began long ago; only what it does from the mark on counts."""
    crowd.process(10, 1, cpu_ms=5_000)
    crowd.mark(10, OUTER, cpu_ms=5_000)
    crowd.look()
    crowd.process(10, 1, cpu_ms=5_300)
    crowd.look(busy_ms=1_000)
    assert crowd.work_ms == {OUTER: 300}
    assert crowd.span.host["cpu"] == 1_000_000


def test_a_run_that_is_over_before_anybody_looked_has_its_work(crowd: Crowd) -> None:
    """Two marks say all that is to be known."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.now_us += 5_000
    crowd.mark(10, cpu_ms=170)
    crowd.look()
    assert crowd.work_ms == {OUTER: 70}
    assert crowd.span.holding[OUTER] * 1_005_000 == 5_000 * crowd.span.capacity


def test_what_a_process_said_last_is_heard_also_when_it_has_gone_since(crowd: Crowd) -> None:
    """It put its segment with the finished ones before anybody looked: the last of its work, and that its run ended, count."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.mark(10, cpu_ms=170)
    path = crowd.segments[10].path
    crowd.gone(10)
    move_to_done(path)
    assert crowd.attendance.advance(crowd.now_us, [crowd.span])
    assert crowd.work_ms == {OUTER: 70}
    crowd.look()
    assert not crowd.attendance.tracked


def test_a_process_that_came_and_went_between_two_looks_has_its_work(crowd: Crowd) -> None:
    """Its whole segment lies with the finished ones before anybody saw it: its time and work count, and once."""
    crowd.look()
    crowd.now_us += 100_000
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.now_us += 5_000
    crowd.mark(10, cpu_ms=170)
    path = crowd.segments[10].path
    crowd.gone(10)
    move_to_done(path)
    crowd.look()
    assert crowd.work_ms == {OUTER: 70}
    assert crowd.span.holding[OUTER] * crowd.span.length_us == 5_000 * crowd.span.capacity
    os.utime(crowd.spool / "done", ns=(1, 1))
    crowd.look()
    assert crowd.work_ms == {OUTER: 70}
    assert not crowd.attendance.tracked


def test_what_was_finished_before_the_first_look_is_not_counted(crowd: Crowd) -> None:
    """Another reader heard it, or none was there: and a folder that did not change is not listed again."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.mark(10, cpu_ms=170)
    path = crowd.segments[10].path
    crowd.gone(10)
    move_to_done(path)
    crowd.look()
    os.utime(crowd.spool / "done", ns=(1, 1))
    crowd.look()
    assert crowd.work_ms == {}
    (crowd.spool / "done" / "unseen.segment").touch()
    os.utime(crowd.spool / "done", ns=(1, 1))
    crowd.look()
    assert "unseen.segment" not in crowd.attendance._finished.heard


def test_a_child_that_lives_counts_once_also_when_it_was_waited_for(crowd: Crowd) -> None:
    """While it lives as its own time, then as its parent's time for children: the difference is new, the rest is known."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.process(11, 10, cpu_ms=400)
    crowd.look()
    assert crowd.work_ms == {OUTER: 400}
    crowd.gone(11)
    crowd.process(10, 1, cpu_ms=110, waited_ms=450)
    crowd.look()
    assert crowd.work_ms == {OUTER: 460}


def test_a_child_that_was_never_seen_counts_when_it_was_waited_for(crowd: Crowd) -> None:
    """It came and went between two looks."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.process(10, 1, cpu_ms=100, waited_ms=250)
    crowd.look(everywhere=False)
    assert crowd.work_ms == {OUTER: 250}


def test_a_child_that_was_there_before_the_run_brings_nothing_along(crowd: Crowd) -> None:
    """A worker of a pool that was started earlier: what it did until now is nobody's."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.process(11, 10, cpu_ms=9_000)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.process(11, 10, cpu_ms=9_050)
    crowd.look()
    assert crowd.work_ms == {OUTER: 50}


def test_a_child_whose_parent_ends_stays_the_runs(crowd: Crowd) -> None:
    """It belongs to init then; we still know whose it was."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.process(11, 10, cpu_ms=0)
    crowd.process(12, 11, cpu_ms=30)
    crowd.look()
    crowd.gone(11)
    crowd.process(12, 1, cpu_ms=90)
    crowd.look()
    assert crowd.work_ms == {OUTER: 90}


def test_a_tracked_process_below_another_takes_its_own_work(crowd: Crowd) -> None:
    """Before it tracked, its work was the outer run's; from then on its own; and the wait for it brings nothing twice."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.process(11, 10, cpu_ms=200)
    crowd.mark(11, INNER, cpu_ms=200, ancestors=(10,))
    crowd.look()
    assert crowd.work_ms == {OUTER: 200}
    crowd.process(11, 10, cpu_ms=700)
    crowd.mark(11, cpu_ms=700)
    crowd.look()
    assert crowd.work_ms == {OUTER: 200, INNER: 500}
    crowd.gone(11)
    crowd.process(10, 1, cpu_ms=100, waited_ms=700)
    crowd.look()
    assert crowd.work_ms == {OUTER: 200, INNER: 500}


def test_a_tracked_process_that_ended_is_not_counted_again_by_whom_waited_for_it(crowd: Crowd) -> None:
    """Both announced their ends before anybody looked."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.process(11, 10, cpu_ms=200)
    crowd.mark(11, INNER, cpu_ms=200, ancestors=(10,))
    crowd.look()
    crowd.mark(11, cpu_ms=900)
    crowd.gone(11)
    crowd.now_us += 1_000
    crowd.mark(10, cpu_ms=110, waited_ms=920)
    crowd.look()
    assert crowd.work_ms == {OUTER: 200 + 10 + 20, INNER: 700}


def test_what_a_living_child_did_before_the_run_ended_is_the_runs(crowd: Crowd) -> None:
    """It goes on afterwards, and that is nobody's."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.process(11, 10, cpu_ms=300)
    crowd.mark(10, cpu_ms=110)
    crowd.look()
    crowd.process(11, 10, cpu_ms=900)
    crowd.look()
    assert crowd.work_ms == {OUTER: 310}


def test_a_pid_used_anew_is_another_process(crowd: Crowd) -> None:
    """The same number with another start: its work is not the run's, and the run's process is gone."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.segments[10].close()
    crowd.machine.write("proc/10/stat", "10 (y) S 1 0 0 0 0 0 0 0 0 0 900 0 0 0 20 0 1 0 77777 0\n")
    crowd.look()
    assert crowd.work_ms == {}
    assert [Path(path).name for path, _ in crowd.attendance.gone] == ["10.segment"]
    assert crowd.attendance.runs == set()


def test_a_process_that_this_proc_does_not_show_lives_as_long_as_it_holds_its_lock(crowd: Crowd) -> None:
    """In a container with the host's /proc, for one: its time counts, its work is not known."""
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.look()
    assert crowd.attendance.runs == {OUTER}
    assert crowd.span.holding[OUTER] == crowd.span.capacity // 2 * 2 == crowd.span.capacity


def test_leftovers_of_dead_processes_are_not_there(crowd: Crowd) -> None:
    """A segment whose owner was gone before the reader began is for the one who finishes it."""
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.segments.pop(10).close()
    crowd.look()
    assert crowd.attendance.tracked == {}
    assert [seen for _, seen in crowd.attendance.gone] == [0]


def test_a_successor_knows_what_was_counted(crowd: Crowd) -> None:
    """Work, owed time and marks pass through the checkpoint: nothing counts twice."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.process(11, 10, cpu_ms=400)
    crowd.look()
    state = crowd.attendance.to_json()
    crowd.attendance = Attendance(str(crowd.spool), crowd.now_us, crowd.machine.proc_root)
    crowd.attendance.resume(state, [crowd.span], crowd.now_us)
    crowd.gone(11)
    crowd.process(10, 1, cpu_ms=120, waited_ms=430)
    crowd.look()
    assert crowd.work_ms == {OUTER: 450}


def test_what_a_parent_never_waits_for_never_hides_its_own_work() -> None:
    """A child that was counted and is owed takes nothing from what the parent does itself."""
    tracked = Tracked()
    tracked.pid = 1
    tracked.work = {1: Work(0, 1_000, 0, 0)}
    tracked.owed_us = 500_000
    assert tracked.update(1, 3_000, 0, 0) == 2_000
    assert tracked.update(1, 3_000, 600_000, 0) == 100_000


def test_a_process_and_its_parent_that_go_between_two_looks_count_once(crowd: Crowd) -> None:
    """Whoever waited for the parent shows both: what either was known for is no news."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.process(11, 10, cpu_ms=50)
    crowd.process(12, 11, cpu_ms=400)
    crowd.look()
    crowd.gone(11)
    crowd.gone(12)
    crowd.process(10, 1, cpu_ms=100, waited_ms=480)
    crowd.look()
    assert crowd.work_ms == {OUTER: 480}


def test_an_orphan_counts_once_whoever_waits_for_it(crowd: Crowd) -> None:
    """Its parent ended, another process of ours has taken it over and waited for it."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.process(11, 10, cpu_ms=50)
    crowd.process(12, 11, cpu_ms=20)
    crowd.process(13, 12, cpu_ms=400)
    crowd.look()
    crowd.gone(12)
    crowd.gone(13)
    crowd.process(11, 10, cpu_ms=50, waited_ms=20)
    crowd.process(10, 1, cpu_ms=100, waited_ms=430)
    crowd.look()
    assert crowd.work_ms == {OUTER: 500}


def test_what_a_zombie_did_counts_before_anybody_waits_for_it(crowd: Crowd) -> None:
    """It came and ended since the last look, and shows in no one's time yet; when it does, it is known."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.process(11, 10, cpu_ms=500, state="Z")
    crowd.look()
    assert crowd.work_ms == {OUTER: 500}
    crowd.gone(11)
    crowd.process(10, 1, cpu_ms=100, waited_ms=500)
    crowd.look()
    assert crowd.work_ms == {OUTER: 500}


def test_a_tracked_process_that_has_ended_is_gone_though_nobody_waits_for_it(crowd: Crowd) -> None:
    """Its segment is free: its run is over."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.look()
    crowd.segments.pop(10).close()
    crowd.process(10, 1, cpu_ms=150, state="Z")
    crowd.look()
    assert crowd.attendance.tracked == {}
    assert len(crowd.attendance.gone) == 1


def test_what_a_tracked_process_leaves_behind_goes_on_where_it_stood(crowd: Crowd) -> None:
    """Whoever started it inherits its children, and counts of them what is new."""
    crowd.process(10, 1, cpu_ms=100)
    crowd.mark(10, OUTER, cpu_ms=100)
    crowd.process(11, 10, cpu_ms=0)
    crowd.mark(11, INNER, cpu_ms=0, ancestors=(10,))
    crowd.look()
    crowd.process(12, 11, cpu_ms=300)
    crowd.look()
    crowd.gone(11)
    crowd.process(12, 10, cpu_ms=450)
    crowd.look()
    crowd.gone(12)
    crowd.process(10, 1, cpu_ms=100, waited_ms=460)
    crowd.look()
    assert crowd.work_ms == {INNER: 300, OUTER: 160}
