"""Runs that nobody announced: every Slurm job and every labelled pod of this host, and the serving processes that are configured.

The agent looks for them and lets the attendance count them like tracked processes. A `track()` inside refines: its processes, and the
time while it is open, are its own run's; the job keeps the rest. What a group's own counter says beyond its processes, because they
came and went between two looks, is the job's too.

Labels of a job or pod come from a note that a prolog left in the folder for them (only root or the agent may write there), and from
the variables of its processes, as far as the agent may read them: of those only the names of `presence_words` are looked at. An
account or a namespace becomes a team by the configuration.
"""

from __future__ import annotations

import os

from joulebook_collectors.host.cgroups import CGROUP_ROOT, groups_in, oom_kills, pids_in
from joulebook_collectors.host.identity import boot_id, digest
from joulebook_collectors.host.processes import all_processes
from joulebook_collectors.presence.jobs_seen import Job, note_jobs, settle
from joulebook_collectors.presence.unannounced_words import (
    PresenceSettings,
    labels_of,
    serving_pids,
    slurm_id,
    words_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from joulebook_collectors.host.cgroups import Group
    from joulebook_collectors.presence.attendance import Attendance
    from joulebook_collectors.presence.span import Span
    from joulebook_collectors.presence.tracked import Tracked

_ID_LENGTH = 32
_MOST_PIDS_ASKED = 8
# Not the endings of a process's own events: a run of a job outlives the agent that told of it.
APPEARED, LEFT = ".appeared", ".left"
FINISHED, FAILED = "finished", "failed"
OUT_OF_MEMORY = "out_of_memory"
SCHEDULER_STATE = "scheduler_state"
PATIENCE_MS = 10_000


class Presence:
    """Looks for jobs. The agent makes one and gives it to the attendance; `tell` writes frames of facts into the agent's segment."""

    def __init__(
        self, settings: PresenceSettings, tell: Callable[[dict[str, Any]], None], *, now_ms: Callable[[], int],
        proc_root: str = "/proc", cgroup_root: str = CGROUP_ROOT,
    ) -> None:  # fmt: skip
        """Look at nothing yet."""
        self._settings = settings
        self._tell = tell
        self._now_ms = now_ms
        self._proc_root = proc_root
        self._cgroup_root = cgroup_root
        self._boot = boot_id(proc_root)
        self._words: dict[str, dict[str, str]] = {}
        self._silent_ms: dict[str, int] = {}
        self._jobs: dict[str, Job] = {}

    def see(self, attendance: Attendance, now_us: int, spans: list[Span]) -> bool:
        """Let the attendance know the jobs of this moment, tell of those that came or went, and say whether any did."""
        known = {(entry.cgroup, entry.started): entry.runs[0] for entry in attendance.tracked.values() if entry.is_job}
        jobs = {job.run: job for job in self.look(known)}
        came, left = note_jobs(attendance, jobs, now_us, spans, self._proc_root)
        now_ms = self._now_ms()
        events = [self._left(entry, now_ms) for entry in left]
        events += [self._came(jobs[run], now_ms) for run in came]
        if events:
            self._tell({"runs": events})
        self._jobs = jobs
        return bool(events)

    def settle(self, attendance: Attendance, spans: list[Span]) -> None:
        """Give each job what its group's counter says beyond what its processes showed."""
        settle(attendance, spans)

    def look(self, known: Mapping[tuple[str, int], str]) -> list[Job]:
        """Return the jobs that are there now.

        Args:
            known: The runs of groups that were there before, by their folder and number.
        """
        groups = groups_in(self._cgroup_root)
        found = [job for group in groups if (job := self._job_of(group, known)) is not None]
        self._words = {job.folder: self._words[job.folder] for job in found if job.folder in self._words}
        self._silent_ms = {
            group.folder: at for group in groups if (at := self._silent_ms.get(group.folder)) is not None
        }
        return [*found, *self._serving({pid for job in found for pid in job.pids})]

    def _job_of(self, group: Group, known: Mapping[tuple[str, int], str]) -> Job | None:
        pids = pids_in(group.folder)
        words = self._words.get(group.folder) or self._words_of(group, pids)
        if words:
            self._words[group.folder] = words
        settings, place = self._settings, group.place
        if place.job and not settings.slurm:
            return None
        name = place.job and slurm_id(place.job, words)
        labels = labels_of(place, words, settings)
        number = _inode(group.folder)
        run = known.get((group.folder, number), "")
        if not run and place.job and not words and not self._is_silent_for_long(group.folder):
            return None
        if place.pod and (not settings.kubernetes or ("model" not in labels and not run)):
            return None
        key = ("slurm job", words.get("SLURM_CLUSTER_NAME") or settings.cluster, name) if name else ("pod", place.pod)
        return Job(
            run=run or _run_of(*key), name=f"{'slurm' if name else 'pod'} {name or place.pod}", labels=labels, folder=group.folder, pids=pids,
            number=number, oom_kills=oom_kills(group.memory_folder) or 0,
        )  # fmt: skip

    def _is_silent_for_long(self, folder: str) -> bool:
        """Tell whether a job had its time to say who it is. Its group is there before its first process shows its variables."""
        now_ms = self._now_ms()
        return now_ms - self._silent_ms.setdefault(folder, now_ms) >= PATIENCE_MS

    def _words_of(self, group: Group, pids: list[int]) -> dict[str, str]:
        """Return what is known of a job or pod: what the first process that shows its variables says, and its note, which holds over it."""
        place = group.place
        variables = () if place.job else self._settings.variables.values()
        note = words_of(
            f"{self._settings.notes}/{f'slurm-{place.job}' if place.job else f'pod-{place.pod}'}", more=variables
        )
        wanted = {"SLURM_JOB_ID"} if place.job else {"JOULEBOOK_MODEL", *variables}
        for pid in sorted(pids)[:_MOST_PIDS_ASKED]:
            words = words_of(f"{self._proc_root}/{pid}/environ", is_environment=True, more=variables)
            if not wanted.isdisjoint(words):
                return {**words, **note}
        return note

    def _serving(self, known: set[int]) -> Iterator[Job]:
        """Yield a job for each configured model that processes serve which belong to no other job. A restarted server is a new run."""
        rules = [rule for rule in self._settings.serving if rule.command or rule.port]
        if not rules:
            return
        states = all_processes(self._proc_root)
        for rule, pids in serving_pids(rules, sorted(states.keys() - known), self._proc_root):
            began = min(states[pid].started for pid in pids)
            labels = {"stage": "serving", **rule.labels}
            parts = (f"{name}={value}" for name, value in sorted(labels.items()))
            yield Job(
                run=_run_of("serving", self._boot, str(began), *parts), name=f"serving {rule.labels['model']}", labels=labels, folder="",
                pids=pids, number=began,
            )  # fmt: skip

    def _came(self, job: Job, now_ms: int) -> dict[str, Any]:
        return {
            "run": job.run, "event": f"{self._boot[:8]}.{job.number}{APPEARED}", "kind": "started", "at_ms": now_ms, "labels": job.labels,
            "facts": {"seen_as": job.name},
        }  # fmt: skip

    def _left(self, entry: Tracked, now_ms: int) -> dict[str, Any]:
        run = entry.runs[0]
        is_out_of_memory = run in self._jobs and self._jobs[run].oom_kills > 0
        return {
            "run": run, "event": f"{self._boot[:8]}.{entry.started}{LEFT}", "kind": "ended", "at_ms": now_ms,
            "status": FAILED if is_out_of_memory else FINISHED, "facts": {SCHEDULER_STATE: OUT_OF_MEMORY} if is_out_of_memory else {},
        }  # fmt: skip


def _run_of(*parts: str) -> str:
    """Return the id of a run that every host derives alike."""
    return digest("".join(f"{len(part)}:{part}" for part in parts))[:_ID_LENGTH]


def _inode(folder: str) -> int:
    """Return what tells this group from one of the same name before it."""
    try:
        return os.stat(folder).st_ino
    except OSError:
        return 0
