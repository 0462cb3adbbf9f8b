"""Who was there and who was active while a window was open: sums that become claims when it closes.

Holding is counted in microseconds times `FINE`, so that up to sixteen runs share one instant without a remainder. Everything here is
integers in plain dictionaries: the open span is written into the checkpoint each second as it stands.
"""

from __future__ import annotations

from joulebook_ledger.core.attribution import FINE, UNTRACKED, Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

CPU, MEMORY = "cpu", "memory"
UTILISATION, SLICES, MEMORY_HELD, HIDDEN = BASES = (
    "gpu_utilisation",
    "mig_compute_slices",
    "memory_held",
    "processes_hidden_by_the_driver",
)


class Span:
    """The sums since one window start.

    Attributes:
        holding: Run -> its time on this host, shared by all runs that were there at each instant, by what each may use of it.
        cpu: Run -> CPU time, microseconds.
        memory: Run -> resident bytes × microseconds.
        host: CPU and MEMORY -> the same of the whole host; 0 where the kernel does not say.
        held: Device -> run -> its time on that device, shared by all runs that held it.
        busy: Device -> how its activity was told -> account -> activity on that device.
        length_us: How long it is, microseconds.
        apart: Runs that bear no static part.
        is_unwatched: Whether nobody looked: then all of it is `untracked`.
        side_by_side: Whether runs of one process ran in threads side by side.
    """

    __slots__ = (
        "apart",
        "busy",
        "cpu",
        "held",
        "holding",
        "host",
        "is_unwatched",
        "length_us",
        "memory",
        "side_by_side",
    )

    def __init__(self) -> None:
        self.holding: dict[str, int] = {}
        self.cpu: dict[str, int] = {}
        self.memory: dict[str, int] = {}
        self.host: dict[str, int] = {CPU: 0, MEMORY: 0}
        self.held: dict[str, dict[str, int]] = {}
        self.busy: dict[str, dict[str, dict[str, int]]] = {}
        self.length_us = 0
        self.apart: list[str] = []
        self.is_unwatched = False
        self.side_by_side = False

    def to_json(self) -> dict[str, Any]:
        """Return all sums, to be read back by `from_json`."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, sums: Mapping[str, Any]) -> Span:
        """Return the span of these sums, which stay as they are."""
        span = cls()
        for name in cls.__slots__:
            setattr(span, name, _copied(sums.get(name, getattr(span, name))))
        return span

    @property
    def capacity(self) -> int:
        """The weight of holding that there was, whoever held."""
        return self.length_us * FINE

    def hold(self, runs: Iterable[str], length_us: int, device: str) -> None:
        """Share an instant of a device among the runs that were there."""
        present = sorted(set(runs))
        sums = self.held.setdefault(device, {})
        for run in present:
            sums[run] = sums.get(run, 0) + length_us * FINE // len(present)

    def hold_host(self, groups: Iterable[tuple[int, list[str]]], length_us: int, processors: int) -> None:
        """Share an instant of the host among groups of runs, by the processors that each group may use.

        Args:
            groups: Of each group how much of the processors it may use, and its runs, which share that equally.
            length_us: How long the instant is.
            processors: All processors of the host, in the same unit: where the groups may use less together, the rest is not held;
                where they may use more, they are cut to it in proportion.
        """
        groups = list(groups)
        whole = max(processors, sum(allotted for allotted, _ in groups))
        for allotted, runs in groups:
            for run in runs:
                held = length_us * FINE * allotted // (whole * len(runs))
                self.holding[run] = self.holding.get(run, 0) + held

    def be_active(self, what: dict[str, int], runs: Iterable[str], amount: int) -> None:
        """Share an amount of activity among the runs that were in force in a process, equally."""
        present = sorted(set(runs))
        for place, run in enumerate(present):
            part = amount * (place + 1) // len(present) - amount * place // len(present)
            what[run] = what.get(run, 0) + part

    def claims(self, component: str, device: str) -> tuple[list[Claim], str]:
        """Return the claims on a meter of this component, and by what its activity was told."""
        if component == "gpu":
            basis, activity = _best_basis(self.busy.get(device, {}))
            return self._claims(self.held.get(device, {}), activity), basis
        if component == "dram":
            return self._claims(self.holding, _with_rest(self.memory, self.host[MEMORY])), "resident_memory"
        if component == "cpu":
            return self._claims(self.holding, _with_rest(self.cpu, self.host[CPU])), "cpu_time"
        return self._claims(self.holding, {}), "holding"

    def claims_on_time(self, devices: Iterable[str]) -> tuple[list[Claim], int]:
        """Return the claims on the machine's time, and how many devices share it: its GPUs, else the host as one."""
        names = list(devices)
        if not names:
            return self._claims(self.holding, {}), 1
        sums = dict.fromkeys(self.holding, 0)
        for name in names:
            for run, amount in self.held.get(name, {}).items():
                sums[run] = sums.get(run, 0) + amount
        return self._claims(sums, {}), len(names)

    def _claims(self, holding: Mapping[str, int], activity: Mapping[str, int]) -> list[Claim]:
        accounts = {*holding, *activity}
        return [
            Claim(
                account,
                holding=holding.get(account, 0),
                activity=activity.get(account, 0),
                bears_static=account not in self.apart,
            )
            for account in accounts
            if account != UNTRACKED or activity.get(account)
        ]


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    return [*value] if isinstance(value, list) else value


def _best_basis(told: Mapping[str, dict[str, int]]) -> tuple[str, dict[str, int]]:
    """Return the activity that was told best: as utilisation, else by slices, else by memory held, else presumed."""
    for basis in BASES:
        if any(told.get(basis, {}).values()):
            return basis, told[basis]
    return "nobody_seen", {}


def _with_rest(runs: Mapping[str, int], host: int) -> dict[str, int]:
    """Return the activity of all accounts: what the host did and no run did is `untracked`."""
    return {**runs, UNTRACKED: max(0, host - sum(runs.values()))}
