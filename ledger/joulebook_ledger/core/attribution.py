"""Who drew the energy of one window: the static part to its holders, the active part to whoever was active (CORE §10).

The static part is borne by the holders by share of holding; where nobody holds the device, or the holder's scope is its own process
only, it stays unclaimed and booking calls it idle. The active part is shared by activity among all processes on the device, those of
no run as `untracked`. The window's time is shared by holding. Shares are rounded cumulatively in account order, so that they never
exceed the window. On the measured path: integers in, small records out.
"""

from __future__ import annotations

from joulebook_ledger.core.slotted import Slotted

UNTRACKED = "untracked"
UNWATCHED = "unwatched"
"""Method of a use that names nobody: a counter went on while its reader was away, and what it passed is `untracked`."""
FINE = 720_720  # the least number that 1 to 16 divide: so many may share a weight of 1 without a remainder


class Claim(Slotted):
    """What an account has to do with a device during one window. One claim per account.

    Attributes:
        account: A run's id, or `untracked`.
        activity: Weight of its activity: CPU time, per cent of a GPU's time, resident bytes. 0 says "looked, and it was not active".
        bears_static: False where the run's scope is its own process: its static part is then idle.
        holding: Weight of its holding; runs that hold alike weigh alike. 0 where it does not hold the device.
    """

    __slots__ = ("account", "activity", "bears_static", "holding")

    def __init__(self, account: str, *, holding: int, activity: int, bears_static: bool = True) -> None:
        """Take the weights, at least 0."""
        self.account = account
        self.holding = holding
        self.activity = activity
        self.bears_static = bears_static


class Share(Slotted):
    """What an account drew of one window: a use, before it has a window.

    Attributes:
        account: A run's id, or `untracked`.
        active_ms: Of its time, when it was active.
        energy_mj: Energy, of it static_mj held and not used.
        static_mj: Its share of the static part.
        time_ms: Its share of the window's time.
    """

    __slots__ = ("account", "active_ms", "energy_mj", "static_mj", "time_ms")

    def __init__(self, account: str, energy_mj: int, static_mj: int, time_ms: int, active_ms: int) -> None:
        """Take the figures."""
        self.account = account
        self.energy_mj = energy_mj
        self.static_mj = static_mj
        self.time_ms = time_ms
        self.active_ms = active_ms


def split_window(
    energy_mj: int, static_mj: int, length_ms: int, claims: list[Claim], *, capacity: int = 0
) -> list[Share]:
    """Return the share of every claim, in account order; what they do not add up to is idle.

    Args:
        energy_mj: The window's energy; 0 for a gap and for a machine's time.
        static_mj: Of it, what the device draws when idle; more than the energy is taken as the energy.
        length_ms: The window's length.
        claims: One per account, in any order.
        capacity: Weight of holding of the whole device where that is more than all claims hold: the machine has eight devices and
            its runs hold two of them. The rest is idle.
    """
    ordered = sorted(claims, key=lambda claim: (claim.account == UNTRACKED, claim.account.encode()))
    static_mj = min(static_mj, energy_mj)
    active_mj = energy_mj - static_mj
    held_by_all = max(capacity, sum(claim.holding for claim in ordered))
    active_of_all = sum(claim.activity for claim in ordered)
    shares: list[Share] = []
    held = active = 0
    for claim in ordered:
        static = _step(static_mj, held, claim.holding, held_by_all) if claim.bears_static else 0
        time = _step(length_ms, held, claim.holding, held_by_all)
        used = _step(active_mj, active, claim.activity, active_of_all)
        shares.append(Share(claim.account, static + used, static, time, time if claim.activity else 0))
        held += claim.holding
        active += claim.activity
    return shares


def method_text(basis: str, static_power_mw: int, origin: str) -> str:
    """Return how a split was made, as it is written into the use.

    Args:
        basis: What activity was measured by, such as "cpu_time", "gpu_utilisation", "memory_held" or "resident_memory".
        static_power_mw: The static power that was taken, milliwatts.
        origin: "declared", or "observed" (the lowest one-minute mean that this reader has seen in this boot).

    >>> method_text("cpu_time", 12_000, "declared")
    'cpu_time, static 12000 mW declared'
    """
    return f"{basis}, static {static_power_mw} mW {origin}"


def _step(whole: int, before: int, weight: int, total: int) -> int:
    """Return the part of `whole` for the next weight, rounded cumulatively; nothing where there is no weight at all."""
    if not total:
        return 0
    return whole * (before + weight) // total - whole * before // total
