"""Which run a process belongs to: ranks and nodes of one job find the same id without speaking to each other.

A run's id is 32 hexadecimal digits: random, or the hash of a key that all ranks of a launcher share. The key holds the labels too, so
that unlike labels never join. A launcher that names nothing (a plain shell, `sbatch` without `srun`) gives every process a run of
its own.
"""

from __future__ import annotations

import os

from joulebook_collectors.identity import digest
from joulebook_ledger.core.slotted import Slotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

IDENTIFYING = ("model", "version", "stage")
RUN_ID = "JOULEBOOK_RUN_ID"
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


def identify(
    labels: Mapping[str, str],
    *,
    run_id: str,
    environment: Mapping[str, str],
    known_labels: Mapping[str, str],
    number: int,
    host: str,
) -> Identity:
    """Return the run that a `track()` with these labels is.

    Args:
        labels: Its labels.
        run_id: What JOULEBOOK_RUN_ID says; empty for nothing.
        environment: The process's variables.
        known_labels: Labels under which the run of `run_id` is known already; what is not among them is no contradiction.
        number: How many runs with the same model, version and stage this process had before, plus 1.
        host: Id of this boot, for launchers that have no name for a job beyond one machine.
    """
    like = [labels.get(name, "") for name in IDENTIFYING]
    if run_id:
        if not is_run_id(run_id):
            return Identity(_hash("id", run_id, *like), is_joined=not _is_first_rank(environment))
        if all(not mine or known_labels.get(name, mine) == mine for name, mine in zip(IDENTIFYING, like, strict=True)):
            return Identity(run_id, is_joined=True)
        return Identity(_hash("below", run_id, *like, str(number)), is_joined=not _is_first_rank(environment))
    key = _torchrun_key(environment, host) or _slurm_key(environment)
    if key:
        return Identity(_hash(*key, *like, str(number)), is_joined=not _is_first_rank(environment))
    return Identity(random_run_id(), is_joined=False)


def _torchrun_key(environment: Mapping[str, str], host: str) -> tuple[str, ...]:
    """Return the key of a torchrun job: its rendezvous, else, on one machine, the agent that started all its ranks.

    Without a rendezvous id several machines cannot tell their job from the next one, so there each machine has a run of its own.
    """
    rendezvous = environment.get("TORCHELASTIC_RUN_ID", "")
    if rendezvous and rendezvous != "none":
        return "torchrun", rendezvous
    if rendezvous:
        return "torchrun", host, str(os.getppid()), environment.get("MASTER_PORT", "")
    return ()


def _slurm_key(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the key of a Slurm step. A batch script without `srun` has no ranks: what runs in it one after another stays apart."""
    step = environment.get("SLURM_STEP_ID", "")
    job = environment.get("SLURM_ARRAY_JOB_ID") or environment.get("SLURM_JOB_ID", "")
    if not job or not step:
        return ()
    return "slurm", environment.get("SLURM_CLUSTER_NAME", ""), job, environment.get("SLURM_ARRAY_TASK_ID", ""), step


def _is_first_rank(environment: Mapping[str, str]) -> bool:
    for name in ("RANK", "SLURM_PROCID"):
        if name in environment:
            return environment[name] == "0"
    return True


def _hash(*parts: str) -> str:
    """Return the id of a key; every part is written with its length, so that no two keys look alike."""
    return digest("".join(f"{len(part)}:{part}" for part in parts))[:_ID_LENGTH]
