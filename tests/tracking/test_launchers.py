"""Ranks and nodes of one job find one run, and nobody else does."""

from __future__ import annotations

import pytest

from joulebook_collectors.presence.launchers import Identity, identify, is_run_id, random_run_id

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
    parent: str = "100 5",
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
        parent=parent,
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


# What launchers put into the environment of their ranks (by their documentation and sources), without what plays no part.
ACCELERATE = {**TORCHRUN, "ACCELERATE_MIXED_PRECISION": "no", "TORCHELASTIC_RUN_ID": "none", "LOCAL_RANK": "0"}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_LOCAL_RANK": "0", "OMPI_COMM_WORLD_SIZE": "4", "PMIX_NAMESPACE": "2683109377",
    "PMIX_RANK": "0", "OMPI_MCA_ess_base_jobid": "2683109377", "OMPI_MCA_orte_hnp_uri": "2683109376.0;tcp://10.0.0.1:41234",
}  # fmt: skip
OPEN_MPI_5 = {"OMPI_COMM_WORLD_RANK": "0", "PMIX_NAMESPACE": "prterun-node0-4242@1", "PMIX_RANK": "0"}
HYDRA = {"PMI_RANK": "0", "PMI_SIZE": "4", "PMI_FD": "7", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "4"}
SLURM_PMIX = {**SLURM, "PMIX_NAMESPACE": "slurm.pmix.42.0", "PMIX_RANK": "0"}
SLURM_PMI2 = {**SLURM, "PMI_RANK": "0", "PMI_SIZE": "4", "PMI_FD": "17"}
RAY = {
    "RAY_JOB_ID": "01000000", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "42531",
}  # fmt: skip
DEEPSPEED = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
HET = {**SLURM, "SLURM_HET_JOB_ID": "42", "SLURM_HET_JOB_OFFSET": "0"}


@pytest.mark.parametrize(
    ("first", "other"),
    [
        pytest.param(OPEN_MPI, {"OMPI_COMM_WORLD_RANK": "3", "PMIX_RANK": "3"}, id="Open MPI 4"),
        pytest.param(OPEN_MPI_5, {"OMPI_COMM_WORLD_RANK": "3", "PMIX_RANK": "3"}, id="Open MPI 5"),
        pytest.param(
            {**OPEN_MPI, "SLURM_JOB_ID": "42"},
            {"OMPI_COMM_WORLD_RANK": "2", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0"},
            id="mpirun that starts its daemons by srun",
        ),
        pytest.param(SLURM_PMIX, {"PMIX_RANK": "2", "SLURM_PROCID": "2"}, id="srun --mpi=pmix"),
        pytest.param(SLURM_PMI2, {"PMI_RANK": "2", "PMI_FD": "19", "SLURM_PROCID": "2"}, id="srun --mpi=pmi2"),
        pytest.param(RAY, {"RANK": "3", "LOCAL_RANK": "1"}, id="Ray trainer"),
        pytest.param(HET, {"SLURM_JOB_ID": "43", "SLURM_HET_JOB_OFFSET": "1", "SLURM_PROCID": "1"}, id="heterogeneous job"),
        pytest.param(
            {**TORCHRUN, **SLURM, "TORCHELASTIC_RUN_ID": "none"}, {"RANK": "5", "SLURM_PROCID": "1"}, id="srun torchrun, unnamed"
        ),
        pytest.param({**TORCHRUN, **SLURM}, {"RANK": "5", "SLURM_PROCID": "1"}, id="srun torchrun, named"),
    ],
)  # fmt: skip
def test_ranks_on_many_hosts_join(first: dict[str, str], other: dict[str, str]) -> None:
    """Whatever the launcher is: every rank finds the run, and only the first begins it."""
    one = identity(first)
    two = identity({**first, **other}, host="another boot", parent="7 7")
    assert one.run == two.run
    assert (one.is_joined, two.is_joined) == (False, True)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        pytest.param(HYDRA, {"PMI_RANK": "3", "PMI_FD": "9", "MPI_LOCALRANKID": "3"}, id="Hydra"),
        pytest.param(ACCELERATE, {"RANK": "3", "LOCAL_RANK": "3"}, id="accelerate launch"),
        pytest.param(DEEPSPEED, {"RANK": "3", "LOCAL_RANK": "3"}, id="DeepSpeed"),
        pytest.param({**RAY, "LOCAL_WORLD_SIZE": "4"}, {"RANK": "3", "LOCAL_RANK": "3"}, id="Ray on one machine"),
    ],
)
def test_ranks_of_a_job_without_a_name_join_on_one_host_only(first: dict[str, str], other: dict[str, str]) -> None:
    """One process started them; what another process starts, here or elsewhere, is another job. Each host's first rank speaks."""
    one = identity(first)
    assert identity({**first, **other}) == Identity(one.run, is_joined=True)
    assert identity(first, parent="200 9").run != one.run
    elsewhere = identity(first, host="another boot")
    assert elsewhere.run != one.run
    assert not elsewhere.is_joined


@pytest.mark.parametrize(
    ("job", "changes"),
    [
        ({**TORCHRUN, "TORCHELASTIC_RUN_ID": "none"}, {"TORCHELASTIC_RESTART_COUNT": "1", "MASTER_PORT": "30111"}),
        (TORCHRUN, {"TORCHELASTIC_RESTART_COUNT": "1", "MASTER_PORT": "30111"}),
        (SLURM, {"SLURM_RESTART_COUNT": "1", "SLURM_NODELIST": "node[7-8]"}),
        ({**TORCHRUN, **SLURM}, {"SLURM_RESTART_COUNT": "1", "MASTER_ADDR": "node7"}),
    ],
)
def test_a_restart_continues_the_run(job: dict[str, str], changes: dict[str, str]) -> None:
    """An elastic restart chooses a new port, a requeued job new nodes; neither is a new training."""
    assert identity({**job, **changes}).run == identity(job).run


def test_twenty_trainings_in_one_allocation_are_twenty_runs() -> None:
    """With the usual rendezvous id, which is that of the allocation, the step tells them apart; without a step, their launchers."""
    steps = {identity({**TORCHRUN, **SLURM, "SLURM_STEP_ID": str(step)}).run for step in range(20)}
    batch = {**SLURM, **TORCHRUN, "TORCHELASTIC_RUN_ID": "none"}
    del batch["SLURM_STEP_ID"]
    unnamed = {identity(batch, parent=f"{pid} {pid}").run for pid in range(20)}
    assert (len(steps), len(unnamed), len(steps | unnamed)) == (20, 20, 40)


@pytest.mark.parametrize(
    ("job", "changes"),
    [
        (OPEN_MPI, {"PMIX_NAMESPACE": "2683109378"}),
        (OPEN_MPI, {"OMPI_MCA_orte_hnp_uri": "2683109376.0;tcp://10.0.0.9:41234"}),
        ({**OPEN_MPI, "SLURM_JOB_ID": "42"}, {"SLURM_JOB_ID": "43"}),
        (RAY, {"MASTER_PORT": "42532"}),
        (RAY, {"RAY_JOB_ID": "02000000"}),
        (HET, {"SLURM_STEP_ID": "1"}),
        (HET, {"SLURM_HET_JOB_ID": "44"}),
        (DEEPSPEED, {"MASTER_PORT": "29501"}),
    ],
)
def test_other_jobs_do_not_meet(job: dict[str, str], changes: dict[str, str]) -> None:
    """Another namespace, head, job, trainer, step or port is another run."""
    assert identity({**job, **changes}).run != identity(job).run


@pytest.mark.parametrize(
    "alone",
    [
        {},
        {"RAY_JOB_ID": "01000000"},
        {"RANK": "0", "WORLD_SIZE": "1", "MASTER_PORT": "29500"},
        {"SLURM_JOB_ID": "42", "SLURM_ARRAY_JOB_ID": "42", "SLURM_ARRAY_TASK_ID": "1"},
        {"PMI_RANK": "0"},
        {"PMIX_NAMESPACE": "left behind"},
    ],
)
def test_a_process_without_ranks_has_a_run_of_its_own(alone: dict[str, str]) -> None:
    """A task of Ray, a world of one, a task of an array without srun: what runs one after another stays apart."""
    assert identity(alone).run != identity(alone).run
