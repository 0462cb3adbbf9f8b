"""What the agent is told of jobs that nobody announces: its configuration, the notes of a prolog, and what jobs say of themselves.

Sections of the agent's TOML, each optional:

    [slurm]
    jobs = true                      # every job of this host is a run
    cluster = "hpc"                  # where the jobs do not name it
    notes = "/run/joulebook/jobs"    # where the prolog leaves a note of each job
    [slurm.teams]
    vis01 = "vision"                 # account -> team
    [slurm.models]
    "bert-*" = "bert"                # name of the job -> model
    [kubernetes]
    pods = true                      # every pod with a model is a run
    [kubernetes.teams]
    research = "vision"              # namespace -> team
    [kubernetes.labels]
    model = "MODEL_NAME"             # label <- variable of the pod that names it, where JOULEBOOK_MODEL does not
    [[serving]]
    model = "llama"
    command = "vllm serve"           # part of the command line, or port = 8000, or pod = "llama-*"
"""

from __future__ import annotations

import os
import stat
from fnmatch import fnmatchcase

from joulebook_collectors.host.identity import clean
from joulebook_collectors.host.processes import read_bytes
from joulebook_ledger.core.slotted import Slotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from joulebook_collectors.host.cgroups import Place

NOTES = "/run/joulebook/jobs"
LABELS = ("model", "version", "task", "stage", "project", "team", "base_model", "sweep", "name")
SAID = tuple(f"JOULEBOOK_{name.upper()}" for name in LABELS)
KNOWN = frozenset((
    *SAID, "SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_JOB_ACCOUNT", "SLURM_CLUSTER_NAME", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID",
    "SLURM_HET_JOB_ID", "POD_NAME", "POD_NAMESPACE",
))  # fmt: skip
_LONGEST_NOTE = 1 << 16
_LISTENING = b"0A"


class Rule(Slotted):
    """A process that serves a model.

    Attributes:
        labels: Labels of its run; a model at least.
        command: A part of its command line; empty for none.
        port: The port it listens on; 0 for none.
        pod: A pattern for the name of its pod; empty for none.
    """

    __slots__ = ("command", "labels", "pod", "port")

    def __init__(self, labels: dict[str, str], *, command: str = "", port: int = 0, pod: str = "") -> None:
        self.labels = labels
        self.command = command
        self.port = port
        self.pod = pod


class PresenceSettings(Slotted):
    """What is configured.

    Attributes:
        slurm: Whether every Slurm job is a run.
        kubernetes: Whether every pod with a model is a run.
        variables: Label -> the variable by which pods name it, where they do not by ours.
        cluster: Name of the Slurm cluster where jobs do not say it.
        notes: Folder of notes.
        teams: Account or namespace -> team.
        models: Pattern for a job's name -> model.
        serving: Processes that serve.
        problems: What could not be taken, one sentence each.
    """

    __slots__ = ("cluster", "kubernetes", "models", "notes", "problems", "serving", "slurm", "teams", "variables")

    def __init__(
        self, *, slurm: bool = False, kubernetes: bool = False, cluster: str = "", notes: str = NOTES, teams: Mapping[str, str] | None = None,
        models: Mapping[str, str] | None = None, variables: Mapping[str, str] | None = None, serving: Sequence[Rule] = (),
        problems: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.slurm = slurm
        self.kubernetes = kubernetes
        self.cluster = cluster
        self.notes = notes
        self.teams = dict(teams or {})
        self.models = dict(models or {})
        self.variables = dict(variables or {})
        self.serving = tuple(serving)
        self.problems = tuple(problems)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be looked for."""
        return not (self.slurm or self.kubernetes or self.serving)


def presence_settings(sections: Mapping[str, Any]) -> PresenceSettings:
    """Return what the agent's sections say; what cannot be taken is named in `problems`, and the rest holds."""
    problems: list[str] = []
    slurm = _section(
        sections, "slurm", {"jobs": bool, "cluster": str, "notes": str, "teams": dict, "models": dict}, problems
    )
    pods = _section(sections, "kubernetes", {"pods": bool, "teams": dict, "notes": str, "labels": dict}, problems)
    teams = {f"account/{key}": str(value) for key, value in slurm.get("teams", {}).items()}
    teams.update({f"namespace/{key}": str(value) for key, value in pods.get("teams", {}).items()})
    return PresenceSettings(
        slurm=slurm.get("jobs", bool(slurm)), kubernetes=pods.get("pods", bool(pods)), cluster=slurm.get("cluster", ""),
        notes=slurm.get("notes", "") or pods.get("notes", "") or NOTES, teams=teams,
        models={str(key): str(value) for key, value in slurm.get("models", {}).items()},
        variables=_variables(pods.get("labels", {}), problems), serving=_rules(sections.get("serving", []), problems), problems=problems,
    )  # fmt: skip


def words_of(path: str, *, is_environment: bool = False, more: Collection[str] = ()) -> dict[str, str]:
    """Return the known words of a note, or of a process's variables, and `more`; nothing where it cannot be read.

    A note is believed only where nobody but its owner may write it, and that is root or ourselves: else a user could speak for others.
    """
    if not is_environment and not _is_trusted(path):
        return {}
    text = read_bytes(path, _LONGEST_NOTE) or b""
    words = {}
    for part in text.split(b"\0" if is_environment else b"\n"):
        name, equals, value = part.decode("utf-8", "replace").partition("=")
        if equals and (name.strip() in KNOWN or name.strip() in more) and clean(value):
            words[name.strip()] = clean(value)
    return words


def labels_of(place: Place, words: Mapping[str, str], settings: PresenceSettings) -> dict[str, str]:
    """Return the labels of a job or pod: what it says itself, else what account, namespace and name stand for."""
    labels = {name: words[said] for name, said in zip(LABELS, SAID, strict=True) if said in words}
    for label, variable in settings.variables.items() if place.pod else ():
        if variable in words:
            labels.setdefault(label, words[variable])
    name = words.get("SLURM_JOB_NAME" if place.job else "POD_NAME", "")
    group = words.get("SLURM_JOB_ACCOUNT" if place.job else "POD_NAMESPACE", "")
    if name:
        labels.setdefault("name", name)
        if place.job:
            patterns = (model for pattern, model in settings.models.items() if fnmatchcase(name, pattern))
            labels.setdefault("model", next(patterns, name))
    for rule in settings.serving if place.pod and name else ():
        if rule.pod and fnmatchcase(name, rule.pod):
            labels = {"stage": "serving", **labels, **rule.labels}
    if group:
        kind = "account" if place.job else "namespace"
        team = settings.teams.get(f"{kind}/{group}", group)
        labels.setdefault("team", team)
        labels[f"tag:{kind}"] = group
    return labels


def slurm_id(job: str, words: Mapping[str, str]) -> str:
    """Return what names a job on all its hosts: the task of an array is a job, the parts of a heterogeneous one are one."""
    array, task = words.get("SLURM_ARRAY_JOB_ID", ""), words.get("SLURM_ARRAY_TASK_ID", "")
    return f"{array}_{task}" if array and task else words.get("SLURM_HET_JOB_ID") or job


def serving_pids(rules: Sequence[Rule], pids: Sequence[int], proc_root: str) -> list[tuple[Rule, list[int]]]:
    """Return which processes serve by which rule: each by the first that fits."""
    sockets = _listeners(proc_root, {rule.port for rule in rules if rule.port})
    found: list[list[int]] = [[] for _ in rules]
    for pid in pids:
        command = (read_bytes(f"{proc_root}/{pid}/cmdline") or b"").replace(b"\0", b" ").decode("utf-8", "replace")
        ports = {sockets[inode] for inode in _sockets_of(pid, proc_root) if inode in sockets} if sockets else set()
        for rule, its in zip(rules, found, strict=True):
            if (rule.command and rule.command in command) or (rule.port and rule.port in ports):
                its.append(pid)
                break
    return [(rule, its) for rule, its in zip(rules, found, strict=True) if its]


def _is_trusted(path: str) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    ours = status.st_uid in {0, os.geteuid()}
    return ours and stat.S_ISREG(status.st_mode) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _section(sections: Mapping[str, Any], name: str, keys: Mapping[str, type], problems: list[str]) -> dict[str, Any]:
    table = sections.get(name, {})
    if not isinstance(table, dict):
        problems.append(f"{name} must be a section: write [{name}], and its keys below")
        return {}
    taken = {}
    for key, value in table.items():
        if key not in keys:
            problems.append(f"[{name}] has no key {key!r}: there are {', '.join(sorted(keys))}")
        elif not isinstance(value, keys[key]):
            problems.append(f"[{name}] {key} must be a {keys[key].__name__}, not {value!r}")
        else:
            taken[key] = value
    return taken


def _variables(table: Mapping[str, Any], problems: list[str]) -> dict[str, str]:
    taken = {}
    for label, variable in table.items():
        if label not in LABELS:
            problems.append(f"[kubernetes.labels] {label!r} is no label: there are {', '.join(LABELS)}")
        elif not (isinstance(variable, str) and variable):
            problems.append(f"[kubernetes.labels] {label} must be the name of a variable, not {variable!r}")
        else:
            taken[label] = variable
    return taken


def _rules(entries: object, problems: list[str]) -> list[Rule]:
    rules = []
    for number, entry in enumerate(entries if isinstance(entries, list) else [], 1):
        given = entry if isinstance(entry, dict) else {}
        labels = {name: clean(str(given[name])) for name in LABELS if given.get(name)}
        command, port, pod = given.get("command", ""), given.get("port", 0), given.get("pod", "")
        unknown = [name for name in given if name not in {*LABELS, "command", "port", "pod"}]
        if unknown:
            problems.append(
                f"[[serving]] {number} has no key {unknown[0]!r}: there are command, port, pod, {', '.join(LABELS)}"
            )
        elif "model" not in labels or not (command or port or pod):
            problems.append(
                f"[[serving]] {number} needs a model, and one of command, port, pod to know its processes by"
            )
        elif not (isinstance(command, str) and isinstance(port, int) and isinstance(pod, str)):
            problems.append(f"[[serving]] {number}: command and pod are texts, port is a number")
        else:
            rules.append(Rule(labels, command=command, port=port, pod=pod))
    return rules


def _listeners(proc_root: str, ports: set[int]) -> dict[str, int]:
    """Return inode of a listening socket -> its port (proc(5), net/tcp)."""
    found = {}
    for name in ("tcp", "tcp6") if ports else ():
        for line in (read_bytes(f"{proc_root}/net/{name}", 1 << 22) or b"").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTENING:
                port = int(fields[1].rpartition(b":")[2], 16)
                if port in ports:
                    found[fields[9].decode()] = port
    return found


def _sockets_of(pid: int, proc_root: str) -> list[str]:
    folder = f"{proc_root}/{pid}/fd"
    found = []
    try:
        for name in os.listdir(folder):
            target = os.readlink(f"{folder}/{name}")
            if target.startswith("socket:["):
                found.append(target[8:-1])
    except OSError:
        return found
    return found
