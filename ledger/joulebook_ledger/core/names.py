"""Which team an account, a namespace or a label stands for, and to which cost centre and entity a team belongs, from when on (CORE §2).

A map is a view: what was recorded with a run stands as it is, and a map fills what it leaves empty, as of the run's start. So a team
that moves to another cost centre takes its new runs along, and not its past.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from joulebook_ledger.core.vocabulary import LONGEST_NAME, require_choice, require_text, require_whole

TEAM, COST_CENTRE, ENTITY = "team", "cost_centre", "entity"
RESOURCE = "resource"
MAP_KINDS = {
    "account": TEAM,
    "namespace": TEAM,
    "label": TEAM,
    TEAM: COST_CENTRE,
    COST_CENTRE: ENTITY,
    RESOURCE: "machine",
}
"""What is mapped, and what it is mapped to."""
GROUPS = ("account", "namespace")
"""Kinds whose name is kept as a tag of the run. Where nobody said more, an account or a namespace is its own team."""
TAG = "tag:"


@dataclass(frozen=True, slots=True, kw_only=True)
class NameMap:
    """One line of the map.

    Attributes:
        kind: What is mapped: a key of MAP_KINDS.
        name: Its name; of a label KEY=VALUE.
        value: What it stands for; empty where it no longer stands for anything.
        valid_from_ms: First instant it holds; 0 means always.
        version: Given by the client; of one validity the latest entry holds.
    """

    kind: str
    name: str
    value: str
    valid_from_ms: int = 0
    version: str

    def __post_init__(self) -> None:
        """Check kind and names."""
        require_choice(self.kind, "kind", tuple(MAP_KINDS))
        require_text(self.name, "name", longest=LONGEST_NAME)
        require_text(self.value, "value", longest=LONGEST_NAME, empty=True)
        require_text(self.version, "version", longest=LONGEST_NAME)
        require_whole(self.valid_from_ms, "valid_from_ms")


class Learnt(NamedTuple):
    """A line of the map, and the number of the receipt by which it was learnt."""

    fact: NameMap
    known: int


class Names:
    """All lines of the map."""

    def __init__(self, known: Iterable[Learnt] = ()) -> None:
        """Take them in any order."""
        self._lines: defaultdict[tuple[str, str], list[Learnt]] = defaultdict(list)
        for line in known:
            self._lines[line.fact.kind, line.fact.name].append(line)

    def value(self, kind: str, name: str, at_ms: int) -> str:
        """Return what a name stands for at an instant: of the lines that hold, the one that began last; of them the one learnt last."""
        holding = [line for line in self._lines.get((kind, name), ()) if line.fact.valid_from_ms <= at_ms]
        if not holding:
            return ""
        return max(holding, key=lambda line: (line.fact.valid_from_ms, line.known, line.fact.version)).fact.value

    def filled(self, labels: Mapping[str, str], at_ms: int) -> dict[str, str]:
        """Return the labels of a run that began at an instant, with team, cost centre and entity where the map says them."""
        if not self._lines:
            return dict(labels)
        found = dict(labels)
        if team := self._team(labels, at_ms):
            found[TEAM] = team
        for kind in (TEAM, COST_CENTRE):
            to = MAP_KINDS[kind]
            if kind in found and to not in found and (value := self.value(kind, found[kind], at_ms)):
                found[to] = value
        return found

    def _team(self, labels: Mapping[str, str], at_ms: int) -> str:
        """Return the team of a run that was given none, or just its account's or namespace's name for one."""
        said = labels.get(TEAM, "")
        for kind in GROUPS:
            name = labels.get(TAG + kind, "")
            if name and said in {"", name} and (team := self.value(kind, name, at_ms)):
                return team
        if said:
            return ""
        tags = sorted((key.removeprefix(TAG), value) for key, value in labels.items() if key.startswith(TAG))
        return next((team for key, value in tags if (team := self.value("label", f"{key}={value}", at_ms))), "")
