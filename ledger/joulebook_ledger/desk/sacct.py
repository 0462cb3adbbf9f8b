"""Past jobs of Slurm as declared facts, from what `sacct` prints: as rows (`--parsable2`) or as JSON (`--json`). Pure.

A job that is over becomes a run under the id that the agent gives it on every host, so that nothing is twice: of a run that the book
knows already only the scheduler's word is added. Energy comes along where Slurm says it (ConsumedEnergyRaw above 0), as declared. One
bad row refuses the whole file, with its line and column.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from joulebook_ledger.core.events import RunEvent
from joulebook_ledger.core.metering import cut_by_time
from joulebook_ledger.core.periods import Interval
from joulebook_ledger.core.records import Meter, Reader, Use, Window
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import RANKS
from joulebook_ledger.core.wire import encode_batch, list_of, to_wire
from joulebook_ledger.figures.runfacts import SCHEDULER_STATE, SCHEDULER_STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from joulebook_ledger.core.facts import Fact

COMMAND = (
    "SLURM_TIME_FORMAT=%s sacct --parsable2 --format=JobID,JobName,Account,Cluster,State,Start,End,ConsumedEnergyRaw"
)
NEEDED = ("JobID", "JobName", "Account", "Cluster", "State", "Start", "End")
ENERGY = "ConsumedEnergyRaw"
# Slurm writes one of these where a plugin did not measure.
_UNKNOWN_ENERGY = frozenset({"", "0", "4294967294", "18446744073709551614"})
_GREATEST_POWER_MW = 100_000_000
_ID_LENGTH = 32
_SECOND_MS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PastJob:
    """A job that is over.

    Attributes:
        job: Its id; of an array's task with the task.
        cluster: Name of the cluster.
        name: Its name.
        account: Its account.
        state: Slurm's last word on it, in small letters.
        start_ms: When it began.
        end_ms: When it ended.
        energy_mj: What Slurm says it drew, or None.
    """

    job: str
    cluster: str
    name: str
    account: str
    state: str
    start_ms: int
    end_ms: int
    energy_mj: int | None

    @property
    def run(self) -> str:
        """The run's id: the same as `collectors.presence` derives on every host."""
        parts = ("slurm job", self.cluster, self.job)
        return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()[:_ID_LENGTH]


def parse_sacct(text: str) -> list[PastJob]:
    """Return the jobs that are over; steps, and jobs that wait or run, are passed over.

    Raises:
        BadInput: It is no output of sacct, or a row cannot be taken; all of them are named.
    """
    rows = _json_rows(text) if text.lstrip().startswith("{") else _table_rows(text)
    jobs, problems = [], []
    for line, row in rows:
        try:
            job = _job_of(row)
        except BadInput as error:
            problems.append(f"line {line}: {error}")
            continue
        if job is not None:
            jobs.append(job)
    if problems:
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise BadInput(f"nothing was taken: {'; '.join(problems[:10])}{more}")
    return jobs


def job_batch(job: PastJob, *, team: Callable[[str], str] = str, is_known: bool = False) -> bytes:
    """Return the batch of a job: always the same bytes for the same job.

    Args:
        job: The job.
        team: Account -> team.
        is_known: Whether the book knows the run already: then only the scheduler's word is added.
    """
    facts: list[Fact] = [_event(job, "ended", job.end_ms, status=SCHEDULER_STATES.get(job.state, "failed"))]
    if not is_known:
        labels = {"name": job.name, "model": job.name}
        if job.account:
            labels |= {"team": team(job.account), "tag:account": job.account}
        facts.insert(
            0, _event(job, "started", job.start_ms, labels={name: value for name, value in labels.items() if value})
        )
        facts += _energy(job)
    lists: dict[str, list[dict[str, object]]] = {}
    for fact in facts:
        lists.setdefault(list_of(fact), []).append(to_wire(fact))
    kind = "state" if is_known else "job"
    reader = Reader(
        reader=f"sacct-{kind}-{job.run}",
        rank=RANKS["import"],
        machine=f"slurm-{job.cluster}",
        host=f"Slurm {job.cluster}",
    )
    return encode_batch(reader=reader, sequence=1, state="retired", complete_until_ms=job.end_ms, lists=lists)


def _event(
    job: PastJob, kind: str, at_ms: int, *, labels: Mapping[str, str] | None = None, status: str = ""
) -> RunEvent:
    facts = {SCHEDULER_STATE: job.state} if status else {"seen_as": f"slurm {job.job}"}
    return RunEvent(
        run=job.run,
        event=f"sacct.{job.start_ms}.{kind}",
        kind=kind,
        at_ms=at_ms,
        labels=labels or {},
        status=status,
        facts=facts,
    )


def _energy(job: PastJob) -> list[Fact]:
    """Return a meter of the job's own and its windows, cut at hours by time; nothing where Slurm does not say what it drew."""
    if not job.energy_mj or job.end_ms <= job.start_ms:
        return []
    meter = Meter(
        device=f"slurm-{job.cluster}", domain=f"job-{job.job}-{job.start_ms}", component="other", boundary="it",
        max_power_mw=_GREATEST_POWER_MW, label="Slurm's ConsumedEnergyRaw",
    )  # fmt: skip
    hours = list(Interval(start_ms=job.start_ms, end_ms=job.end_ms).cut_at_hours())
    facts: list[Fact] = [meter]
    parts = cut_by_time(job.energy_mj, [hours[0].start_ms, *(hour.end_ms for hour in hours)])
    for hour, energy in zip(hours, parts, strict=True):
        facts.append(
            Window(meter=meter.key, start_ms=hour.start_ms, end_ms=hour.end_ms, energy_mj=energy, method="declared")
        )
        facts.append(
            Use(
                meter=meter.key,
                start_ms=hour.start_ms,
                run=job.run,
                energy_mj=energy,
                time_ms=hour.length_ms,
                method="slurm job",
            )
        )
    return facts


def _table_rows(text: str) -> list[tuple[int, dict[str, str]]]:
    lines = text.splitlines()
    head = lines[0].split("|") if lines else []
    absent = [name for name in NEEDED if name not in head]
    if absent:
        raise BadInput(f"line 1: columns {', '.join(absent)} are missing: write it with `{COMMAND}`")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("|")
        if line.strip() and len(cells) != len(head):
            raise BadInput(
                f"nothing was taken: line {number}: {len(cells)} columns, the head has {len(head)} (a name with | in it?)"
            )
        if line.strip():
            rows.append((number, dict(zip(head, cells, strict=True))))
    return rows


def _json_rows(text: str) -> list[tuple[int, dict[str, str]]]:
    """Return the jobs of `sacct --json` as rows; a job's place in the list stands for its line."""
    try:
        jobs = json.loads(text)["jobs"]
        return [(number, _json_row(job)) for number, job in enumerate(jobs, 1)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"it is no output of `sacct --json` ({type(error).__name__}: {error})") from None


def _json_row(job: Mapping[str, Any]) -> dict[str, str]:
    state = job["state"]["current"]
    array = job.get("array", {})
    task = _number(array.get("task_id"))
    name = (
        f"{_number(array.get('job_id'))}_{task}"
        if task and _number(array.get("job_id")) not in {"", "0"}
        else str(job["job_id"])
    )
    drawn = [
        int(_number(step.get("statistics", {}).get("energy", {}).get("consumed")) or 0) for step in job.get("steps", ())
    ]
    return {
        "JobID": name, "JobName": job.get("name", ""), "Account": job.get("account", ""), "Cluster": job.get("cluster", ""),
        "State": state[0] if isinstance(state, list) else state, "Start": _number(job["time"]["start"]), "End": _number(job["time"]["end"]),
        ENERGY: str(sum(drawn)),
    }  # fmt: skip


def _number(value: object) -> str:
    """Return a number of Slurm's JSON, which newer versions wrap: {"set": true, "number": 5}."""
    if isinstance(value, dict):
        return str(value["number"]) if value.get("set") else ""
    return "" if value is None else str(value)


def _job_of(row: Mapping[str, str]) -> PastJob | None:
    if "." in row["JobID"]:
        return None
    state = row["State"].partition(" ")[0].lower()
    if state not in SCHEDULER_STATES:
        if state in {"pending", "running", "suspended", "resizing", "completing", "configuring"}:
            return None
        raise BadInput(f"column State: {row['State'][:60]!r} is no state of a job that Slurm has")
    if row["Start"] in {"", "0", "None", "Unknown"}:
        return None  # it was cancelled before it began
    start_ms, end_ms = _instant(row, "Start"), _instant(row, "End")
    if end_ms < start_ms:
        raise BadInput(f"column End: {row['End']!r} is before Start {row['Start']!r}")
    if not row["JobID"] or not row["Cluster"]:
        raise BadInput(f"column {'Cluster' if row['JobID'] else 'JobID'}: it is empty")
    return PastJob(
        job=row["JobID"], cluster=row["Cluster"], name=row["JobName"], account=row["Account"], state=state, start_ms=start_ms, end_ms=end_ms,
        energy_mj=_energy_of(row.get(ENERGY, "")),
    )  # fmt: skip


def _instant(row: Mapping[str, str], column: str) -> int:
    if not row[column].isdecimal():
        raise BadInput(
            f"column {column}: {row[column][:60]!r} is no number of seconds since 1970: write it with SLURM_TIME_FORMAT=%s"
        )
    return int(row[column]) * _SECOND_MS


def _energy_of(text: str) -> int | None:
    if text in _UNKNOWN_ENERGY:
        return None
    if not text.isdecimal():
        raise BadInput(f"column {ENERGY}: {text[:60]!r} is no number of joules")
    return int(text) * 1_000
