"""Ranks and nodes of one job find one run, and nobody else does."""

from __future__ import annotations

from joulebook_collectors.launchers import Identity, identify, is_run_id, random_run_id

LABELS = {"model": "resnet", "version": "1", "stage": "training"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "job-7", "RANK": "0", "MASTER_ADDR": "node0", "MASTER_PORT": "29500"}
SLURM = {"SLURM_CLUSTER_NAME": "hpc", "SLURM_JOB_ID": "42", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0"}


def identity(
    environment: dict[str, str] | None = None,
    *,
    run_id: str = "",
    number: int = 1,
    known: dict[str, str] | None = None,
    host: str = "boot",
    **labels: str,
) -> Identity:
    """Return which run a process with these surroundings is in."""
    return identify(
        {**LABELS, **labels},
        run_id=run_id,
        environment=environment or {},
        known_labels=known or {},
        number=number,
        host=host,
    )


def test_a_plain_process_has_a_run_of_its_own() -> None:
    """Two processes with the same labels are two runs."""
    first, second = identity(), identity()
    assert first.run != second.run
    assert is_run_id(first.run)
    assert not first.is_joined


def test_ranks_of_torchrun_join_on_every_node() -> None:
    """The rendezvous names the job; the first rank speaks for it."""
    first = identity(TORCHRUN)
    other = identity({**TORCHRUN, "RANK": "9", "LOCAL_RANK": "1"}, host="another boot")
    assert first.run == other.run
    assert (first.is_joined, other.is_joined) == (False, True)


def test_a_restart_of_the_same_job_continues_its_run() -> None:
    """TORCHELASTIC_RESTART_COUNT changes; the run does not."""
    assert identity({**TORCHRUN, "TORCHELASTIC_RESTART_COUNT": "3"}).run == identity(TORCHRUN).run


def test_torchrun_without_a_rendezvous_joins_the_ranks_of_one_machine() -> None:
    """A rendezvous of "none" is no name: the agent that started all ranks stands in for it, and only on its own machine."""
    unnamed = {**TORCHRUN, "TORCHELASTIC_RUN_ID": "none"}
    assert identity(unnamed).run == identity({**unnamed, "RANK": "3"}).run
    assert identity(unnamed).run != identity(unnamed, host="another boot").run
    assert identity(unnamed).run != identity(TORCHRUN).run


def test_tasks_of_a_slurm_step_join() -> None:
    """Whatever node they are on; another step, job, array task or cluster is another run."""
    run = identity(SLURM).run
    assert identity({**SLURM, "SLURM_PROCID": "5"}).run == run
    others = [
        {"SLURM_STEP_ID": "1"},
        {"SLURM_JOB_ID": "43"},
        {"SLURM_CLUSTER_NAME": "x"},
        {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "1"},
        {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "2"},
    ]
    runs = [identity({**SLURM, **other}).run for other in others]
    assert len({run, *runs}) == 1 + len(others)


def test_what_runs_one_after_another_in_a_batch_script_stays_apart() -> None:
    """Without srun there is no step, and no ranks: a loop over learning rates is several runs."""
    batch = {name: value for name, value in SLURM.items() if name != "SLURM_STEP_ID"}
    assert identity(batch).run != identity(batch).run


def test_unlike_labels_never_join() -> None:
    """Model, version and stage tell runs of one job apart, and so does the n-th track() with the same ones."""
    runs = [
        identity(TORCHRUN).run,
        identity(TORCHRUN, model="vit").run,
        identity(TORCHRUN, version="2").run,
        identity(TORCHRUN, stage="evaluation").run,
        identity(TORCHRUN, number=2).run,
    ]
    assert len(set(runs)) == len(runs)


def test_a_run_id_joins_whoever_has_like_labels() -> None:
    """A run's own id joins it, whatever is not known of it; unlike labels get a run below it."""
    run = random_run_id()
    assert identity(run_id=run) == Identity(run, is_joined=True)
    assert identity(run_id=run, known={"model": "resnet", "team": "x"}).run == run
    unlike = identity(run_id=run, known={"model": "vit"})
    assert unlike.run != run
    assert unlike.run == identity(run_id=run, known={"model": "vit"}).run


def test_any_text_can_be_a_run_id() -> None:
    """It is hashed with the labels, so that every rank that says it finds the same run."""
    assert identity(run_id="my run").run == identity({"RANK": "1"}, run_id="my run").run
    assert identity(run_id="my run").run != identity(run_id="my run", model="vit").run
    assert is_run_id(identity(run_id="my run").run)


def test_no_two_keys_look_alike() -> None:
    """Parts are written with their length: "a","bc" is not "ab","c"."""
    first = identity({"TORCHELASTIC_RUN_ID": "a"}, model="bc").run
    assert first != identity({"TORCHELASTIC_RUN_ID": "ab"}, model="c").run
