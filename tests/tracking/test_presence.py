"""Jobs that nobody announced are runs, which a track() inside refines; nothing counts twice, and nothing of a group is lost."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers.machines import Machine

from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.presence.span import Span
from joulebook_collectors.presence.unannounced import Presence
from joulebook_collectors.presence.unannounced_words import PresenceSettings, presence_settings, words_of
from joulebook_collectors.spool.segments import Segment, create_segment

INNER = "b" * 32
JOB = "cg/system.slice/slurmstepd.scope/job_42"
TASK = f"{JOB}/step_0/user/task_0"
UID = "5b0e5f0c-7f6a-4a53-8ec7-0b7f0c9d1e2f"
POD = f"cg/kubepods/burstable/pod{UID}"
ENVIRONMENT = {
    "SLURM_JOB_ID": "42",
    "SLURM_JOB_NAME": "bert-large",
    "SLURM_JOB_ACCOUNT": "vis01",
    "SLURM_CLUSTER_NAME": "hpc",
}
SLURM = presence_settings({"slurm": {"teams": {"vis01": "vision"}, "models": {"bert-*": "bert"}, "notes": "/nothing"}})


class Host:
    """A host whose processes and groups the test lays out, its attendance, and what the agent wrote of jobs."""

    def __init__(self, folder: Path, settings: PresenceSettings) -> None:
        """Begin with nobody."""
        self.machine = Machine(folder / "machine")
        self.spool = folder / "spool"
        self.spool.mkdir(exist_ok=True)
        self.machine.write("proc/stat", "cpu  0 0 0 0 0 0 0 0\n")
        self.machine.write("proc/sys/kernel/random/boot_id", "b001b001-0000-0000-0000-000000000000\n")
        self.settings = settings
        self.now_us = 1_000_000
        self.span = Span()
        self.told: list[dict[str, Any]] = []
        self.segments: dict[int, Segment] = {}
        self.begin()

    def begin(self) -> None:
        """Begin an agent."""
        self.attendance = Attendance(str(self.spool), self.now_us, self.machine.proc_root)
        self.presence = Presence(
            self.settings, lambda frame: self.told.extend(frame["runs"]), now_ms=lambda: self.now_us // 1000,
            proc_root=self.machine.proc_root, cgroup_root=f"{self.machine.folder}/cg",
        )  # fmt: skip
        self.attendance.presence = self.presence

    def process(
        self, pid: int, cpu_ms: int, *, parent: int = 1, words: dict[str, str] | None = None, command: str = "x"
    ) -> None:
        """Let a process be there with so much CPU time."""
        self.machine.write(
            f"proc/{pid}/stat", f"{pid} (x) S {parent} 0 0 0 0 0 0 0 0 0 {cpu_ms // 10} 0 0 0 20 0 1 0 {pid} 0\n"
        )
        self.machine.write(f"proc/{pid}/statm", "100 10 0 0 0 0 0\n")
        self.machine.write(f"proc/{pid}/cmdline", command.replace(" ", "\0"))
        self.machine.write(f"proc/{pid}/environ", "\0".join(f"{name}={value}" for name, value in (words or {}).items()))

    def group(self, path: str, used_ms: int, *pids: int, below: str = "") -> None:
        """Let a group be there with these processes, and so much CPU time in all."""
        self.machine.write(f"{path}/cpu.stat", f"usage_usec {used_ms * 1000}\n")
        self.machine.write(f"{path}{below}/cgroup.procs", "".join(f"{pid}\n" for pid in pids))

    def mark(self, pid: int, *runs: str, cpu_ms: int) -> None:
        """Let a process announce its runs."""
        if pid not in self.segments:
            self.segments[pid] = create_segment(str(self.spool), str(pid))
            self.segments[pid].append({"process": {"pid": pid, "started": pid, "ancestors": [1]}})
        mark = {"at_us": self.now_us, "cpu_us": cpu_ms * 1000, "waited_us": 0, "memory": 1, "runs": list(runs)}
        self.segments[pid].append({"mark": mark})

    def look(self) -> bool:
        """Let a second pass, and the agent look; tell whether the window would end."""
        self.now_us += 1_000_000
        ends = self.attendance.advance(self.now_us, [self.span])
        self.attendance._next_scan_us = 0
        self.attendance.look(self.now_us, [self.span], everywhere=True)
        return ends

    @property
    def work_ms(self) -> dict[str, int]:
        """Run -> CPU time given to it."""
        return {run: amount // 1000 for run, amount in self.span.cpu.items()}

    @property
    def held_ms(self) -> dict[str, int]:
        """Run -> time it held the host."""
        return {
            run: amount // (self.span.capacity // self.span.length_us) // 1000
            for run, amount in self.span.holding.items()
        }


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Return a host on which every Slurm job is a run."""
    return Host(tmp_path, SLURM)


def begin_job(host: Host) -> str:
    """Let job 42 be there and be seen; return its run."""
    host.process(10, 500, words=ENVIRONMENT)
    host.group(JOB, 700, 10, below="/step_0/user/task_0")
    assert host.look()
    return str(host.told[-1]["run"])


def test_a_slurm_job_is_a_run_from_when_it_is_seen_until_it_leaves(host: Host) -> None:
    """With its name, model and team; what it did before is not known to be within any window."""
    run = begin_job(host)
    assert host.told[0]["kind"] == "started"
    assert host.told[0]["labels"] == {"name": "bert-large", "model": "bert", "team": "vision", "tag:account": "vis01"}
    host.process(10, 900, words=ENVIRONMENT)
    host.group(JOB, 1_100, 10, below="/step_0/user/task_0")
    assert not host.look()
    assert host.work_ms == {run: 400}
    host.machine.remove_folder(JOB)
    host.machine.remove_folder("proc/10")
    assert host.look()
    assert (host.told[-1]["kind"], host.told[-1]["status"], host.told[-1]["run"]) == ("ended", "finished", run)
    assert not host.attendance.runs


def test_a_group_without_a_process_yet_is_not_told_of_before_it_says_who_it_is(host: Host) -> None:
    """A scheduler makes the group first: told of then, the job would have no model, no team and perhaps another run's id."""
    host.group(JOB, 0)
    assert not host.look()
    host.process(9, 0)
    host.group(JOB, 0, 9, below="/step_0")
    assert not host.look()
    begin_job(host)
    assert [event["labels"]["model"] for event in host.told] == ["bert"]


def test_a_job_that_never_says_who_it_is_is_a_run_all_the_same_and_stays_it(host: Host) -> None:
    """After ten seconds, without labels; what is read of it later does not make it another one."""
    host.process(9, 0)
    host.group(JOB, 0, 9, below="/step_0")
    looks = 1
    while not host.look():
        looks += 1
    assert (looks, host.told[0]["labels"]) == (11, {})
    host.process(10, 500, words={**ENVIRONMENT, "SLURM_CLUSTER_NAME": "another"})
    host.group(JOB, 700, 9, 10, below="/step_0")
    assert not host.look()
    assert len(host.told) == 1


def test_an_agent_that_restarts_while_a_job_is_silent_goes_on_with_it(host: Host) -> None:
    """Between two steps nobody in its group shows any variable."""
    begin_job(host)
    state = host.attendance.to_json()
    host.machine.remove_folder("proc/10")
    host.group(JOB, 800, below="/step_0/user/task_0")
    host.begin()
    host.attendance.resume(state, [host.span], host.now_us)
    host.look()
    assert [event["kind"] for event in host.told] == ["started"]


def test_what_came_and_went_between_two_looks_is_the_jobs(host: Host) -> None:
    """The group's counter knows of it."""
    run = begin_job(host)
    host.process(10, 600, words=ENVIRONMENT)
    host.group(JOB, 1_700, 10, below="/step_0/user/task_0")
    host.look()
    assert host.work_ms == {run: 1_000}


def test_a_track_inside_takes_its_processes_and_the_job_keeps_the_rest(host: Host) -> None:
    """Its work, and the time while it is open; before and after, both are the job's. Together they are what the group used."""
    job = begin_job(host)
    host.process(11, 100, parent=10, words=ENVIRONMENT)
    host.group(JOB, 800, 10, 11, below="/step_0/user/task_0")
    host.look()
    host.mark(11, INNER, cpu_ms=150)
    host.process(11, 150, parent=10)
    host.group(JOB, 860, 10, 11, below="/step_0/user/task_0")
    host.look()
    host.process(11, 950, parent=10)
    host.process(10, 530)
    host.group(JOB, 1_700, 10, 11, below="/step_0/user/task_0")
    host.look()
    assert host.work_ms == {job: 200, INNER: 800}
    assert host.held_ms == {job: 1_000, INNER: 2_000}
    host.mark(11, cpu_ms=950)
    host.look()
    host.group(JOB, 1_750, 10, 11, below="/step_0/user/task_0")
    host.look()
    assert host.work_ms == {job: 250, INNER: 800}
    assert host.held_ms == {job: 3_000, INNER: 2_000}


def test_every_host_finds_the_same_run_of_a_job(tmp_path: Path) -> None:
    """By cluster and job; a task of an array is a job, the parts of a heterogeneous one are one, another cluster is another."""
    runs = []
    cases: list[tuple[str, dict[str, str]]] = [
        ("42", {}), ("43", {"SLURM_HET_JOB_ID": "42"}), ("44", {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "1"}),
        ("45", {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "2"}), ("42", {"SLURM_CLUSTER_NAME": "other"}),
    ]  # fmt: skip
    for number, (job, more) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        host = Host(folder, SLURM)
        host.process(10, 0, words={**ENVIRONMENT, "SLURM_JOB_ID": job, **more})
        host.group(JOB.replace("42", job), 0, 10)
        host.look()
        runs.append(host.told[0]["run"])
    assert runs[0] == runs[1]
    assert len(set(runs)) == 4


def test_an_agent_that_restarts_goes_on_and_begins_no_job_twice(host: Host) -> None:
    """The entry passes through the checkpoint, and so does what it was given."""
    run = begin_job(host)
    state = host.attendance.to_json()
    host.begin()
    host.attendance.resume(state, [host.span], host.now_us)
    host.process(10, 800, words=ENVIRONMENT)
    host.group(JOB, 1_000, 10, below="/step_0/user/task_0")
    assert not host.look()
    assert host.work_ms == {run: 300}
    assert [event["kind"] for event in host.told] == ["started"]


def test_a_requeued_job_continues_its_run(host: Host) -> None:
    """Another group of the same job: the attempt before has ended, the next one begins."""
    run = begin_job(host)
    folder = host.machine.folder / JOB
    folder.rename(folder.with_name("kept"))  # so that the new folder cannot have its number
    host.group(JOB, 20, 10, below="/step_0/user/task_0")
    assert host.look()
    assert {event["run"] for event in host.told} == {run}
    assert [event["kind"] for event in host.told] == ["started", "ended", "started"]
    assert len({event["event"] for event in host.told}) == 3


def test_a_job_that_ran_out_of_memory_failed_by_the_kernels_word(host: Host) -> None:
    """The group's own count of kills tells."""
    begin_job(host)
    host.machine.write(f"{JOB}/memory.events", "oom 1\noom_kill 1\n")
    host.look()
    host.machine.remove_folder(JOB)
    host.look()
    assert (host.told[-1]["status"], host.told[-1]["facts"]) == ("failed", {"scheduler_state": "out_of_memory"})


def test_a_note_of_the_prolog_names_a_job_unless_others_may_write_it(tmp_path: Path) -> None:
    """A note that anybody may change is not believed: it would let a user speak for others."""
    settings = presence_settings({"slurm": {"notes": f"{tmp_path}/machine/notes"}})
    host = Host(tmp_path, settings)
    host.machine.write("notes/slurm-42", "SLURM_JOB_NAME=vit\nSLURM_JOB_ACCOUNT=nlp\nSECRET=x\n")
    host.machine.write("notes/slurm-43", "SLURM_JOB_NAME=forged\n", 0o666)
    host.process(10, 0, words={"SLURM_JOB_ID": "42", "SLURM_JOB_ACCOUNT": "mine", "JOULEBOOK_VERSION": "2"})
    host.group(JOB, 0, 10)
    host.group(JOB.replace("42", "43"), 0)
    for _ in range(11):
        host.look()
    assert [event["labels"] for event in host.told] == [
        {"version": "2", "name": "vit", "model": "vit", "team": "nlp", "tag:account": "nlp"},
        {},
    ]


def test_the_prolog_of_the_documents_leaves_a_note_and_the_epilog_takes_it_away(tmp_path: Path) -> None:
    """With the variables that Slurm 22.05 gives both; neither ever fails, whatever happens."""
    folder = Path(__file__).resolve().parents[2] / "deploy" / "slurm"
    given = {"SLURM_JOB_ID": "42", "SLURM_JOB_ACCOUNT": "vis01", "SLURM_CLUSTER_NAME": "hpc", "SLURM_JOB_USER": "ann"}
    surroundings = {"PATH": os.environ["PATH"], "JOULEBOOK_NOTES": str(tmp_path / "notes"), **given}
    subprocess.run(["/bin/sh", folder / "prolog.sh"], env=surroundings, check=True)
    del given["SLURM_JOB_USER"]
    assert words_of(str(tmp_path / "notes" / "slurm-42")) == given
    subprocess.run(["/bin/sh", folder / "epilog.sh"], env=surroundings, check=True)
    assert list((tmp_path / "notes").iterdir()) == []
    subprocess.run(
        ["/bin/sh", folder / "prolog.sh"], env={**surroundings, "JOULEBOOK_NOTES": "/proc/nothing"}, check=True
    )


def test_a_pod_with_a_model_is_a_run_and_another_is_not(tmp_path: Path) -> None:
    """Its labels are variables of its processes, by the downward API; its namespace becomes a team."""
    host = Host(tmp_path, presence_settings({"kubernetes": {"teams": {"research": "vision"}, "notes": "/nothing"}}))
    words = {"JOULEBOOK_MODEL": "llama", "JOULEBOOK_VERSION": "3", "POD_NAME": "llama-0", "POD_NAMESPACE": "research"}
    host.process(20, 0, words={**words, "PASSWORD": "x"})
    host.process(21, 0, words={"POD_NAME": "web-0"})
    host.group(POD, 0, 20, below="/" + "c" * 64)
    host.group(POD.replace("5b0e", "ffff"), 0, 21, below="/" + "d" * 64)
    host.look()
    assert [event["labels"] for event in host.told] == [
        {"model": "llama", "version": "3", "name": "llama-0", "team": "vision", "tag:namespace": "research"}
    ]


def test_a_pod_is_known_by_the_variables_that_are_configured(tmp_path: Path) -> None:
    """Those that its makers gave it already; what it says by ours holds over them, and of no other variable is a word kept."""
    labels = {"model": "MODEL_NAME", "team": "SQUAD"}
    host = Host(tmp_path, presence_settings({"kubernetes": {"labels": labels, "notes": "/nothing"}}))
    host.process(20, 0, words={"MODEL_NAME": "llama", "SQUAD": "vision", "JOULEBOOK_TEAM": "speech", "PASSWORD": "x"})
    host.process(21, 0, words={"SQUAD": "vision"})
    host.group(POD, 0, 20, below="/" + "c" * 64)
    host.group(POD.replace("5b0e", "ffff"), 0, 21, below="/" + "d" * 64)
    host.look()
    assert [event["labels"] for event in host.told] == [{"model": "llama", "team": "speech"}]


def test_a_serving_process_is_known_by_its_command_line_or_port(tmp_path: Path) -> None:
    """Its tree belongs to it; a restarted server is a new run."""
    rules = [{"model": "llama", "command": "vllm serve"}, {"model": "bert", "port": 8000}]
    host = Host(tmp_path, presence_settings({"serving": rules}))
    host.process(30, 100, command="python vllm serve llama")
    host.process(31, 50, command="gunicorn")
    (Path(host.machine.proc_root) / "31/fd").mkdir()
    (Path(host.machine.proc_root) / "31/fd/3").symlink_to("socket:[777]")
    host.machine.write(
        "proc/net/tcp",
        "  sl  local_address rem_address st\n   0: 0100007F:1F40 00000000:0000 0A 0:0 00:0 0 0 0 777 1\n",
    )
    host.look()
    assert {event["labels"]["model"] for event in host.told} == {"llama", "bert"}
    host.process(30, 400, command="python vllm serve llama")
    host.process(31, 150, command="gunicorn")
    host.look()
    assert sorted(host.work_ms.values()) == [100, 300]
    host.machine.remove_folder("proc/30")
    host.look()
    host.process(32, 0, command="python vllm serve llama")
    host.look()
    kinds = [event["kind"] for event in host.told]
    assert (kinds.count("started"), kinds.count("ended")) == (3, 1)
    assert len({event["run"] for event in host.told}) == 3


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"slurm": {"job": True}}, r"\[slurm\] has no key 'job'"),
        ({"slurm": {"jobs": "yes"}}, r"\[slurm\] jobs must be a bool"),
        ({"slurm": 1}, r"write \[slurm\]"),
        ({"kubernetes": {"labels": {"modle": "X"}}}, r"\[kubernetes.labels\] 'modle' is no label: there are model"),
        ({"kubernetes": {"labels": {"model": 1}}}, "model must be the name of a variable, not 1"),
        ({"serving": [{"model": "x"}]}, "one of command, port, pod"),
        ({"serving": [{"command": "x"}]}, "needs a model"),
        ({"serving": [{"model": "x", "port": "80"}]}, "port is a number"),
        ({"serving": [{"model": "x", "prot": 80}]}, "no key 'prot'"),
    ],
)
def test_what_cannot_be_taken_of_the_configuration_is_named(sections: dict[str, Any], problem: str) -> None:
    """With the key and the way out; the rest holds."""
    (told,) = presence_settings(sections).problems
    assert re.search(problem, told)


def test_without_any_section_nothing_is_looked_for() -> None:
    """An agent that was not told to makes no runs of its own."""
    assert presence_settings({}).is_empty
    assert not SLURM.is_empty
