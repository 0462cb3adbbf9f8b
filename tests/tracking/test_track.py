"""`track()` as a script uses it: what it records, and that the job never notices."""

from __future__ import annotations

import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.tracked import Place, ready

from joulebook_ledger.core.events import RunEvent, Score
from joulebook_ledger.core.records import Meter, Window

pytestmark = pytest.mark.processes


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a spool and a home of the test's own."""
    return Place(tmp_path)


def test_a_run_is_recorded_with_labels_scores_facts_and_energy(place: Place) -> None:
    """Everything of a run reaches the ledger, and its figures add up."""
    program = """
    import joulebook
    with joulebook.track(model="resnet50", version="a1", task="imagenet", stage="training", tags={"grid": "b"}) as run:
        with run.phase("data"):
            sum(range(4_000_000))
        run.log(accuracy=0.761, params=25_557_032, split="test", step=3)
        run.count(requests=2, tokens_out=7, latency_s=0.42)
    print(run.id)
    """
    done = place.run(program)
    assert (done.returncode, done.stderr) == (0, "")
    keeper = place.deliver()
    keeper.assert_sound()
    started, ended = keeper.facts(RunEvent)
    assert started.run == done.stdout.strip()
    assert dict(started.labels) == {
        "model": "resnet50",
        "version": "a1",
        "task": "imagenet",
        "stage": "training",
        "tag:grid": "b",
    }
    assert (ended.status, {"phase:data_ms", "peak_memory_bytes"} <= set(ended.facts)) == ("finished", True)
    scores = {score.name: (score.value, score.split, score.step) for score in keeper.facts(Score)}
    assert scores == {"accuracy": ("0.761", "test", 3), "params": ("25557032", "test", 3)}
    assert {meter.component for meter in keeper.facts(Meter)} >= {"cpu", "dram", "time"}
    assert 0 < keeper.energy_mj(started.run) <= keeper.read_mj()


def test_the_end_of_a_run_is_said_in_one_line_with_what_would_supply_the_rest(place: Place) -> None:
    """Energy ± and method; where cost and CO2e are not known, the commands that supply them."""
    program = """
    import joulebook, time
    with joulebook.track(model="m"):
        time.sleep(0.1)
    """
    done = place.run(program, JOULEBOOK_QUIET="0")
    (line,) = done.stderr.splitlines()
    assert line.startswith("joulebook: ")
    assert all(
        word in line for word in ("Wh ±", "(modelled)", "joulebook init --price", "joulebook init --zone", "run ")
    )


def test_a_run_prints_itself_with_its_figures(place: Place) -> None:
    """print(run), _repr_html_ and run.footprint, which is provisional."""
    program = """
    import joulebook, time
    with joulebook.track(model="m<b>") as run:
        time.sleep(0.1)
    print(run)
    print(run._repr_html_())
    f = run.footprint
    print(f.energy_kwh > 0, f.cost, f.currency, f.co2e_location_kg, f.water_l, f.duration_s > 0.09, f.coverage, f.measured_share,
          f.known_share["cost"], f.provisional)
    """
    done = place.run(program)
    assert done.stderr == ""
    assert "energy" in done.stdout
    assert "m&lt;b&gt;" in done.stdout
    assert done.stdout.splitlines()[-1] == "True None None None None True 1.0 0.0 0.0 True"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("raise ValueError('mine')", 1),
        ("sys.exit(7)", 7),
        ("raise KeyboardInterrupt", -2),
        ("os._exit(5)", 5),
        ("os.kill(os.getpid(), 15)", -15),
    ],
    ids=["exception", "exit", "interrupt", "_exit", "terminated"],
)
def test_the_jobs_own_end_passes_through_unchanged(place: Place, body: str, code: int) -> None:
    """Exit code and traceback are the job's; the run did not finish."""
    done = place.run(f"import joulebook, os, sys\nwith joulebook.track(model='m'):\n    {body}")
    assert done.returncode == code
    assert ("ValueError: mine" in done.stderr) == ("ValueError" in body)
    (statuses,) = place.deliver().statuses.values()
    assert statuses == (["killed"] if code in {5, -15} else ["failed"])


def test_decorated_functions_of_every_kind_are_runs(place: Place) -> None:
    """Plain, generator, coroutine and asynchronous generator: each call is a run, and the value is the function's."""
    program = """
    import asyncio, joulebook
    @joulebook.track
    def bare(): return 1
    @joulebook.track(model="plain")
    def plain(x): return joulebook.current().id and x
    @joulebook.track(model="generator")
    def generator():
        got = yield 1
        return got
    @joulebook.track(model="coroutine")
    async def coroutine(x):
        await asyncio.sleep(0)
        return joulebook.current().id and x
    @joulebook.track(model="stream")
    async def stream():
        for n in range(3): yield n
    async def main():
        async with joulebook.track(model="async with") as run:
            return await coroutine(5), [n async for n in stream()], run.id != joulebook.current().id
    print(bare(), plain(2), plain(3), sum(generator() and [1]), asyncio.run(main()), plain.__name__, joulebook.current())
    g = generator(); next(g)
    try: g.send(9)
    except StopIteration as stop: print(stop.value)
    """
    done = place.run(program)
    assert (done.stderr, done.stdout.splitlines()) == ("", ["1 2 3 1 (5, [0, 1, 2], False) plain None", "9"])
    keeper = place.deliver()
    models = sorted(e.labels.get("model", "") for e in keeper.facts(RunEvent) if e.kind == "started")
    assert models == ["", "async with", "coroutine", "generator", "plain", "plain", "stream"]
    assert [status for its in keeper.statuses.values() for status in its] == ["finished"] * 7


def test_the_inner_of_two_nested_runs_takes_the_time_and_the_outer_keeps_the_rest(place: Place) -> None:
    """No time is counted twice."""
    program = """
    import joulebook, time
    with joulebook.track(model="outer"):
        time.sleep(0.3)
        with joulebook.track(model="inner"):
            time.sleep(0.6)
        time.sleep(0.3)
    """
    assert place.run(program).stderr == ""
    keeper = place.deliver()
    keeper.assert_sound()
    hours = [usage for (meter, _), usage in keeper.usage().items() if "/time~" in meter]
    held = {}
    for usage in hours:
        for row in usage.rows:
            held[row.account] = held.get(row.account, 0) + row.time_ms
    outer, inner = held[keeper.run_named("outer")], held[keeper.run_named("inner")]
    assert held.get("idle", 0) + outer + inner > 0
    assert abs(outer - inner) < (outer + inner) / 3


def test_runs_side_by_side_in_threads_share_equally(place: Place) -> None:
    """Neither is nested in the other; both say how they were split."""
    program = """
    import joulebook, threading
    barrier = threading.Barrier(2)
    def work(name):
        with joulebook.track(model=name):
            barrier.wait()
            sum(range(3_000_000))
            barrier.wait()
    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    """
    assert place.run(program).stderr == ""
    keeper = place.deliver()
    keeper.assert_sound()
    one, two = (keeper.energy_mj(keeper.run_named(name)) for name in ("one", "two"))
    assert min(one, two) > 0.6 * max(one, two)


def test_a_job_that_holds_the_interpreter_from_its_first_line_on_is_measured_from_there(place: Place) -> None:
    """The meters are read before the body begins, not when it first lets another thread run."""
    program = """
    import joulebook
    with joulebook.track(model="greedy"):
        sum(range(20_000_000))
    """
    assert place.run(program).stderr == ""
    keeper = place.deliver()
    keeper.assert_sound()
    run = keeper.run_named("greedy")
    start, end = (event.at_ms for event in sorted(keeper.facts(RunEvent), key=lambda event: event.at_ms))
    hours = [usage for (meter, _), usage in keeper.usage().items() if "/time~" in meter]
    watched_ms = sum(row.time_ms for usage in hours for row in usage.rows if row.account == run)
    assert watched_ms > 0.8 * (end - start) > 0


def test_a_forked_child_neither_hangs_nor_counts_twice_and_tracks_afresh(place: Place) -> None:
    """It leaves the `with` of its parent without a word; its own track() is a run of its own."""
    program = """
    import joulebook, os, sys
    with joulebook.track(model="parent") as run:
        pid = os.fork()
        if pid == 0:
            run.log(accuracy=1.0)
            assert joulebook.current() is None
            with joulebook.track(model="child") as mine:
                mine.log(accuracy=0.5)
        else:
            os.waitpid(pid, 0)
    sys.exit(0)
    """
    done = place.run(program)
    assert done.returncode == 0
    keeper = place.deliver()
    keeper.assert_sound()
    assert [score.value for score in keeper.facts(Score)] == ["0.5"]
    assert {model: keeper.statuses[keeper.run_named(model)] for model in ("parent", "child")} == {
        "parent": ["finished"],
        "child": ["finished"],
    }


def test_a_fork_while_another_thread_opens_the_first_run_leaves_the_child_able_to_track(place: Place) -> None:
    """The first run loads what measures; a child that is forked in the middle of that would wait for ever for its end."""
    program = """
    import joulebook, os, sys, threading, time
    loading = threading.Event()
    class Slow:
        def find_spec(self, name, path, target=None):
            if name == "joulebook_collectors.tracking.session":
                loading.set()
                time.sleep(0.3)
    sys.meta_path.insert(0, Slow())
    def work():
        with joulebook.track(model="parent"): pass
    thread = threading.Thread(target=work)
    thread.start()
    loading.wait()
    pid = os.fork()
    if pid == 0:
        with joulebook.track(model="child"): pass
        sys.exit(0)
    thread.join()
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    done = place.run(program)
    assert (done.returncode, done.stderr) == (0, "")
    keeper = place.deliver()
    assert {model: keeper.statuses[keeper.run_named(model)] for model in ("parent", "child")} == {
        "parent": ["finished"],
        "child": ["finished"],
    }


def test_what_cannot_be_loaded_does_not_harm_the_job(place: Place) -> None:
    """It is said once, and each run is one that nothing is recorded of."""
    program = """
    import joulebook, sys
    sys.modules["joulebook_collectors.tracking.session"] = None
    for _ in range(2):
        with joulebook.track(model="m") as run:
            run.log(accuracy=1)
            run.count(requests=1)
            with run.phase("p"): pass
            assert joulebook.current() is run
    assert joulebook.current() is None
    assert run.footprint.energy_kwh is None and run.id == "" and str(run) and run.status == "finished"
    """
    done = place.run(program)
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("joulebook: log: ")]
    assert len(said) == 1
    assert "joulebook_collectors.tracking.session" in said[0]
    assert "the job goes on" in said[0]
    assert not place.spool.exists()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_come_and_go_as_without_us(place: Place, method: str) -> None:
    """Every start method of multiprocessing; their work is the run's."""
    program = """
    import joulebook, multiprocessing, sys
    if __name__ == "__main__":
        with joulebook.track(model="m"):
            with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
                print(pool.map(abs, range(-3, 0)))
    """
    (place.spool.parent / "job.py").write_text(textwrap.dedent(program))
    done = place.run(
        "import runpy, sys; sys.argv = ['job.py', sys.argv[1]]; runpy.run_path('job.py', run_name='__main__')", method
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[3, 2, 1]\n", "")
    (statuses,) = place.deliver().statuses.values()
    assert statuses == ["finished"]


def test_start_and_stop_need_no_with_and_the_end_of_the_process_ends_what_was_started(place: Place) -> None:
    """For notebooks; a run that nobody stopped is ended at exit, as failed where an exception ended the process."""
    program = """
    import joulebook, sys
    first = joulebook.start(model="first")
    joulebook.log(accuracy=0.5)
    assert joulebook.stop() is first
    joulebook.start(model=sys.argv[1])
    if sys.argv[1] == "broken": raise RuntimeError("mine")
    """
    place.run(program, "whole")
    place.run(program, "broken")
    keeper = place.deliver()
    assert keeper.statuses[keeper.run_named("whole")] == ["finished"]
    assert keeper.statuses[keeper.run_named("broken")] == ["failed"]


def test_a_cell_of_a_notebook_is_a_run(place: Place) -> None:
    """%load_ext joulebook, then %%track: the cell's error is the notebook's."""
    program = """
    import joulebook
    class Result:
        error = None
        def raise_error(self):
            if self.error: raise self.error
    class Shell:
        def register_magic_function(self, function, magic_kind, magic_name):
            assert (magic_kind, magic_name) == ("cell", "track")
            self.magic = function
        def run_cell(self, cell):
            result = Result()
            try: exec(cell)
            except Exception as error: result.error = error
            return result
    shell = Shell()
    joulebook.load_ipython_extension(shell)
    run = shell.magic("model=cell task='two words'", "joulebook.log(accuracy=0.5)")
    print(run.labels, run.status)
    try: shell.magic("model=broken", "1 / 0")
    except ZeroDivisionError: print("theirs")
    """
    done = place.run(program)
    assert (done.stderr, done.stdout) == ("", "{'model': 'cell', 'task': 'two words'} finished\ntheirs\n")
    keeper = place.deliver()
    assert keeper.statuses[keeper.run_named("broken")] == ["failed"]


def test_a_run_can_be_asked_what_it_cost_so_far(place: Place) -> None:
    """In the middle of it, without waiting for the end of a minute."""
    program = """
    import joulebook, time
    with joulebook.track(model="m") as run:
        time.sleep(0.3)
        print(run.footprint.energy_kwh > 0, run.footprint.provisional)
    """
    done = place.run(program)
    assert (done.stderr, done.stdout) == ("", "True True\n")


def test_bad_input_is_said_once_and_the_rest_is_kept(place: Place) -> None:
    """An unknown stage, a score that is no number, a name of 10 kB, a setting that is none: the job goes on."""
    program = """
    import joulebook
    for _ in range(2):
        with joulebook.track(model="m" * 10_000, stage="trainig", scope="galaxy", tags=7) as run:
            run.log(loss=float("nan"), accuracy="high", step=-1, good=1)
            joulebook.log({"odd name": 2})
    """
    done = place.run(program, JOULEBOOK_SAMPLE_SECONDS="often")
    assert done.returncode == 0
    said = done.stderr.splitlines()
    assert all(line.startswith("joulebook: ") for line in said)
    for word in (
        "stage 'trainig'",
        "loss='nan'",
        "accuracy='high'",
        "10000 characters",
        "scope 'galaxy'",
        "tags",
        "step",
        "often",
    ):
        assert sum(word in line for line in said) == 1, (word, said)
    keeper = place.deliver()
    labels = {tuple(event.labels.items()) for event in keeper.facts(RunEvent) if event.kind == "started"}
    assert labels == {(("model", "m" * 200), ("stage", "other"))}
    assert sorted(score.name for score in keeper.facts(Score)) == ["good", "good", "odd name", "odd name"]


def test_nothing_is_recorded_where_measuring_is_switched_off(place: Place) -> None:
    """JOULEBOOK_DISABLE=1: every call is there and does nothing, and no spool is made."""
    program = """
    import joulebook
    with joulebook.track(model="m") as run:
        run.log(accuracy=1)
        with run.phase("x"): pass
    print(run.footprint.energy_kwh, run)
    """
    done = place.run(program, JOULEBOOK_DISABLE="1", JOULEBOOK_QUIET="0")
    assert (done.returncode, place.spool.exists()) == (0, False)
    assert done.stdout.startswith("None m · finished")


def test_another_ledger_has_a_spool_of_its_own(place: Place, tmp_path: Path) -> None:
    """One spool feeds one ledger."""
    program = """
    import joulebook, sys
    with joulebook.track(model="mine"): pass
    with joulebook.track(model="other", ledger=sys.argv[1]): pass
    """
    other = f"sqlite:///{tmp_path}/other.sqlite"
    assert place.run(program, other).returncode == 0
    elsewhere = Place(tmp_path, other)
    for its, model in ((place, "mine"), (elsewhere, "other")):
        (event,) = [event for event in its.deliver().facts(RunEvent) if event.kind == "started"]
        assert event.labels["model"] == model


def test_ranks_on_one_host_are_one_run(place: Place) -> None:
    """Eight ranks of torchrun: one run, one closing line, and every rank's end."""
    program = """
    import joulebook, time
    with joulebook.track(model="m") as run:
        time.sleep(0.2)
    """
    ranks = [place.start(program, TORCHELASTIC_RUN_ID="job", RANK=str(rank), JOULEBOOK_QUIET="0") for rank in range(8)]
    said = [rank.communicate(timeout=60)[1] for rank in ranks]
    assert sum(bool(line) for line in said) == 1
    keeper = place.deliver()
    keeper.assert_sound()
    assert list(keeper.statuses.values()) == [["finished"] * 8]


def test_a_run_of_a_few_milliseconds_in_another_process_than_the_reader_is_seen(place: Place) -> None:
    """It announced itself, its time and its work: the reader need not have been looking."""
    program = """
    import joulebook, sys
    with joulebook.track(model="long"):
        print("ready", flush=True)
        sys.stdin.readline()
    """
    reader = place.start(program)
    ready(reader)
    short = """
    import joulebook
    with joulebook.track(model="short"):
        sum(range(6_000_000))
    """
    assert place.run(short).stderr == ""
    reader.communicate("\n", timeout=60)
    keeper = place.deliver()
    keeper.assert_sound()
    assert keeper.energy_mj(keeper.run_named("short")) > 0


def test_windows_cover_the_run_without_a_hole(place: Place) -> None:
    """From its first sample to its end every meter has windows that follow one another."""
    program = """
    import joulebook, time
    with joulebook.track(model="m"):
        for _ in range(4):
            with joulebook.track(model="step"): time.sleep(0.1)
    """
    place.run(program)
    keeper = place.deliver()
    keeper.assert_sound()
    for meter in {window.meter for window in keeper.facts(Window)}:
        its = sorted((w.start_ms, w.end_ms) for w in keeper.facts(Window) if w.meter == meter)
        assert all(before[1] == after[0] for before, after in pairwise(its))
