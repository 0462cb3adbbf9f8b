"""Which run a process belongs to: ranks and nodes of one job find the same id without speaking to each other.

A run's id is 32 hexadecimal digits: random, or the hash of a key that all ranks of a launcher share. The key holds the labels too, so
that unlike labels never join. A launcher that names nothing (a plain shell, `sbatch` without `srun`) gives every process a run of
its own; one that names its ranks but not its job (torchrun without a rendezvous id, Hydra) joins the ranks that one process of this
boot started, and no others. What changes when a job is restarted (TORCHELASTIC_RESTART_COUNT, SLURM_RESTART_COUNT, the port of the
first rank under torchrun) is in no key: the run goes on.
"""

from __future__ import annotations

import os

from joulebook_collectors.host.identity import digest
from joulebook_ledger.core.slotted import Slotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

IDENTIFYING = ("model", "version", "stage")
RUN_ID = "JOULEBOOK_RUN_ID"
NO_RENDEZVOUS = "none"
# Who is the first of all ranks, and of those of one host, by the launcher nearest to the process.
RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
LOCAL_RANKS = ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PMI_LOCAL_RANK", "SLURM_LOCALID")
_SLURM_PMIX = "slurm.pmix."
_ID_LENGTH = 32
_HEXADECIMAL = frozenset("0123456789abcdef")


class Identity(Slotted):
    """Which run it is.

    Attributes:
        run: Its id.
        is_joined: Whether somebody else began it, or is to speak for it: another rank, `joulebook run`, another process.
    """

    __slots__ = ("is_joined", "run")

    def __init__(self, run: str, *, is_joined: bool) -> None:
        self.run = run
        self.is_joined = is_joined


def is_run_id(text: str) -> bool:
    """Tell whether a text has the form of a run's id."""
    return len(text) == _ID_LENGTH and _HEXADECIMAL.issuperset(text)


def random_run_id() -> str:
    """Return a new run id."""
    return os.urandom(_ID_LENGTH // 2).hex()


class Key(Slotted):
    """What all ranks of a job share.

    Attributes:
        parts: Launcher, and what names the job.
        is_of_host: Whether it names a job of one boot only: then the first rank of the host speaks for it.
    """

    __slots__ = ("is_of_host", "parts")

    def __init__(self, *parts: str, is_of_host: bool = False) -> None:
        self.parts = parts
        self.is_of_host = is_of_host


def identify(
    labels: Mapping[str, str],
    *,
    run_id: str,
    environment: Mapping[str, str],
    known_labels: Mapping[str, str],
    number: int,
    host: str,
    parent: str = "",
) -> Identity:
    """Return the run that a `track()` with these labels is.

    Args:
        labels: Its labels.
        run_id: What JOULEBOOK_RUN_ID says; empty for nothing.
        environment: The process's variables.
        known_labels: Labels under which the run of `run_id` is known already; what is not among them is no contradiction.
        number: How many runs with the same model, version and stage this process had before, plus 1.
        host: Id of this boot, for launchers that have no name for a job beyond one machine.
        parent: Which process started this one: its id and its start.
    """
    like = [labels.get(name, "") for name in IDENTIFYING]
    if run_id:
        is_joined = not _is_first(environment, RANKS)
        if not is_run_id(run_id):
            return Identity(_hash("id", run_id, *like), is_joined=is_joined)
        if all(not mine or known_labels.get(name, mine) == mine for name, mine in zip(IDENTIFYING, like, strict=True)):
            return Identity(run_id, is_joined=True)
        return Identity(_hash("below", run_id, *like, str(number)), is_joined=is_joined)
    key = job_key(environment, host=host, parent=parent)
    if key is None:
        return Identity(random_run_id(), is_joined=False)
    is_joined = not _is_first(environment, LOCAL_RANKS if key.is_of_host else RANKS)
    return Identity(_hash(*key.parts, *like, str(number)), is_joined=is_joined)


def job_key(environment: Mapping[str, str], *, host: str, parent: str) -> Key | None:
    """Return what the ranks of this process's job share; None where no launcher says that there are ranks.

    The launcher nearest to the process counts: `srun torchrun` is torchrun within a step, and mpirun starts its daemons through srun.
    """
    return (
        _torchrun_key(environment, host, parent)
        or _ray_key(environment, host, parent)
        or _mpi_key(environment)
        or _slurm_key(environment)
        or _nameless_key(environment, host, parent)
    )


def _torchrun_key(environment: Mapping[str, str], host: str, parent: str) -> Key | None:
    """Return the key of a torchrun job (`accelerate launch` with several processes is one too): its rendezvous within its Slurm step.

    The default rendezvous is called "none" everywhere: then a Slurm step names the job, else the agent that started the ranks of this
    machine. Without either, several machines cannot tell their job from the next one, so each machine has a run of its own.
    """
    rendezvous = environment.get("TORCHELASTIC_RUN_ID", "")
    if not rendezvous:
        return None
    step = _slurm_key(environment)
    if rendezvous != NO_RENDEZVOUS:
        return Key("torchrun", rendezvous, *(step.parts if step else ()))
    return step or Key("torchrun", host, parent, is_of_host=True)


def _ray_key(environment: Mapping[str, str], host: str, parent: str) -> Key | None:
    """Return the key of the workers of a Ray trainer. Tasks and actors have no ranks, and so runs of their own.

    Ray's job ids begin anew with each cluster; the first worker's address and port, which Ray chose, tell two trainers of a job
    apart. On one machine the daemon that started the workers names the cluster.
    """
    job, port = environment.get("RAY_JOB_ID", ""), environment.get("MASTER_PORT", "")
    if not job or not port or "RANK" not in environment:
        return None
    if environment.get("LOCAL_WORLD_SIZE", "") == environment.get("WORLD_SIZE", ""):
        return Key("ray", job, port, host, parent, is_of_host=True)
    return Key("ray", job, port, environment.get("MASTER_ADDR", ""))


def _mpi_key(environment: Mapping[str, str]) -> Key | None:
    """Return the key of an MPI job that mpirun or prterun started: its namespace, and where its head process answers.

    Under `srun` the namespace is Slurm's, and the step names the job as well.
    """
    namespace = environment.get("PMIX_NAMESPACE", "") or environment.get("OMPI_MCA_ess_base_jobid", "")
    if not namespace or namespace.startswith(_SLURM_PMIX):
        return None
    if not any(name in environment for name in ("OMPI_COMM_WORLD_RANK", "PMIX_RANK")):
        return None
    head = environment.get("OMPI_MCA_orte_hnp_uri", "")
    return Key("mpi", environment.get("SLURM_CLUSTER_NAME", ""), _slurm_job(environment), namespace, head)


def _slurm_key(environment: Mapping[str, str]) -> Key | None:
    """Return the key of a Slurm step. A batch script without `srun` has no ranks: what runs in it one after another stays apart.

    Ids of jobs repeat across clusters. The components of a heterogeneous job are one job, and so are a job and its requeued self.
    """
    step, job = environment.get("SLURM_STEP_ID", ""), _slurm_job(environment)
    if not job or not step:
        return None
    cluster, task = environment.get("SLURM_CLUSTER_NAME", ""), environment.get("SLURM_ARRAY_TASK_ID", "")
    return Key("slurm", cluster, job, task, step)


def _slurm_job(environment: Mapping[str, str]) -> str:
    for name in ("SLURM_HET_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_JOB_ID"):
        if environment.get(name):
            return environment[name]
    return ""


def _nameless_key(environment: Mapping[str, str], host: str, parent: str) -> Key | None:
    """Return the key of ranks whose launcher has no name for their job (Hydra, DeepSpeed, a script): one process started them all."""
    if environment.get("PMI_RANK") and (environment.get("PMI_FD") or environment.get("PMI_PORT")):
        return Key("pmi", host, parent, is_of_host=True)
    if environment.get("RANK") and environment.get("WORLD_SIZE", "1") != "1":
        return Key("ranks", host, parent, environment.get("MASTER_PORT", ""), is_of_host=True)
    return None


def _is_first(environment: Mapping[str, str], names: tuple[str, ...]) -> bool:
    for name in names:
        if name in environment:
            return environment[name] == "0"
    return names is RANKS or _is_first(environment, RANKS)


def _hash(*parts: str) -> str:
    """Return the id of a key; every part is written with its length, so that no two keys look alike."""
    return digest("".join(f"{len(part)}:{part}" for part in parts))[:_ID_LENGTH]
