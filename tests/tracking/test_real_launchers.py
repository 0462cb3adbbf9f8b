"""Ranks that a real Slurm and a real torchrun start are one run, with its scores once; a requeued job goes on in its run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.slurm import Slurm, missing, slurm
from helpers.tracked import Keeper

from joulebook_collectors.delivery.recovery import recover_and_deliver
from joulebook_ledger.core.events import RunEvent, Score
from joulebook_ledger.figures.scores import run_scores
from joulebook_ledger.settings import load_settings
from joulebook_ledger.store.reads_runs import ScoreValue

TORCH = "TEST_TORCH_PYTHON"
ROOT = Path(__file__).resolve().parents[2]
TRAIN = """
import os, joulebook
with joulebook.track(model="resnet", stage="training") as run:
    sum(n * n for n in range(200_000))
    rank = int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))
    run.log(accuracy=0.5 + rank, step=1)
"""
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


class Spool:
    """A spool that all ranks write, and what a ledger is told of it."""

    def __init__(self, folder: Path) -> None:
        """Lie below `folder`."""
        self.program = folder / "train.py"
        self.program.write_text(TRAIN)
        self.environment = {
            "JOULEBOOK_SPOOL": str(folder / "spool"),
            "JOULEBOOK_HOME": str(folder / "home"),
            "JOULEBOOK_LEDGER": f"sqlite:///{folder}/book.sqlite",
            "JOULEBOOK_QUIET": "1",
            "PYTHONPATH": os.pathsep.join(str(ROOT / room) for room in (".", "ledger", "collectors")),
        }

    def told(self) -> Keeper:
        """Return what is delivered now."""
        keeper = Keeper()
        recover_and_deliver(load_settings(self.environment, ""), keeper)
        return keeper


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Return a spool of the test's own."""
    return Spool(tmp_path)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    """Return a Slurm of one node."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with slurm() as running:
        yield running


def kinds_of(events: list[RunEvent]) -> list[str]:
    """Return the kinds of events in order of time."""
    return [event.kind for event in sorted(events, key=lambda event: event.at_ms)]


def taken(keeper: Keeper, run: str) -> list[str]:
    """Return the scores of a run as a book takes them, of all that its ranks logged."""
    logged = [score for score in keeper.facts(Score) if score.run == run]
    assert len(logged) == 2
    values = [
        ScoreValue(s.run, s.score, s.name, s.value, s.at_ms, s.step, s.split, s.unit, s.lower_is_better) for s in logged
    ]
    return [score.last for score in run_scores(sorted(values, key=lambda value: value.at_ms))]


def test_two_tasks_of_srun_are_one_run(cluster: Slurm, spool: Spool) -> None:
    """And those of the next srun are another."""
    for _ in range(2):
        cluster.call("srun", "-n2", "--overcommit", sys.executable, str(spool.program), environment=spool.environment)
    keeper = spool.told()
    events = keeper.facts(RunEvent)
    runs = sorted({event.run for event in events})
    assert len(runs) == 2
    for run in runs:
        assert sorted(event.kind for event in events if event.run == run) == ["ended", "ended", "joined", "started"]
        assert taken(keeper, run) == ["0.5"]


def test_a_requeued_job_goes_on_in_its_run(cluster: Slurm, spool: Spool, tmp_path: Path) -> None:
    """It is one run in two attempts; the second knows from Slurm that it is one."""
    script = tmp_path / "job.sh"
    train = f"srun -n1 {shlex.quote(sys.executable)} {shlex.quote(str(spool.program))}"
    script.write_text(
        f"#!/bin/bash\n{train}\n"
        f'if [ -z "$SLURM_RESTART_COUNT" ]; then scontrol requeue "$SLURM_JOB_ID"; sleep 60; fi\ntouch {tmp_path}/over\n'
    )
    cluster.call(
        "sbatch", "--requeue", "--begin=now", "-o", f"{tmp_path}/job.out", str(script), environment=spool.environment
    )
    cluster.wait_for((tmp_path / "over").exists, "the end of the requeued job")
    events = spool.told().facts(RunEvent)
    assert len({event.run for event in events}) == 1
    assert kinds_of(events) == ["started", "ended", "started", "ended"]


def test_two_ranks_of_torchrun_are_one_run(spool: Spool) -> None:
    """Without a rendezvous id two torchruns do not meet; with one, whoever says it does; a restart goes on."""
    python = os.environ.get(TORCH, "")
    if not python:
        pytest.skip(f"{TORCH} names no Python that has torch (a CPU build will do: Debian's python3-torch)")
    # Its defaults for the two last fail in torch 1.13 with Python 3.11, which Debian 12 has.
    launch = [python, "-m", "torch.distributed.run", "--nproc_per_node=2", "--redirects=1", "--tee=1"]
    environment = {**os.environ, **spool.environment}
    for more in ((), (), ("--rdzv_id=job-7", "--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0")):
        subprocess.run(
            [*launch, *more, str(spool.program)], env=environment, check=True, timeout=120, capture_output=True
        )
    keeper = spool.told()
    events = keeper.facts(RunEvent)
    runs = {event.run for event in events}
    assert len(runs) == 3
    for run in runs:
        assert sorted(event.kind for event in events if event.run == run) == ["ended", "ended", "joined", "started"]
        assert taken(keeper, run) == ["0.5"]
