"""What readers say: who they are, what a meter is, its windows, and who used them (CORE §2).

Frozen, keyword-only, checked on creation: a record that exists keeps its own rules. Rules that need the neighbours (overlaps, what
a device can draw) are checked at ingest.

Field units: `_ms` milliseconds (instants since the epoch, UTC), `_mj` millijoules, `_mw` milliwatts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from joulebook_ledger.core.periods import hour_of
from joulebook_ledger.core.refusals import Refused
from joulebook_ledger.core.vocabulary import (
    BOUNDARIES,
    COMPONENTS,
    IDLE,
    LONGEST_NAME,
    METHODS,
    RANKS,
    ROLES,
    UNALLOCATED,
    require_choice,
    require_text,
    require_whole,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who sends: one per (machine, boot, spool folder), or `desk` for what people enter.

    Attributes:
        reader: Random id.
        machine: Stable id of the machine whose boot it watched; empty for the desk.
        boot: The kernel's boot id; empty for the desk.
        host: Name for people.
        rank: 0 an agent, 1 inside a job, 2 an import (or the desk): readers of one meter are laid in this order.
        author: Who entered it, for the desk.
    """

    reader: str
    machine: str = ""
    boot: str = ""
    host: str = ""
    rank: int = 1
    author: str = ""

    def __post_init__(self) -> None:
        """Check lengths and the rank."""
        require_text(self.reader, "reader", longest=LONGEST_NAME)
        for name in ("machine", "boot", "host", "author"):
            require_text(getattr(self, name), name, longest=LONGEST_NAME, empty=True)
        if self.rank not in RANKS.values():
            raise Refused(
                "unknown_rank",
                f"rank {self.rank!r} is none of 0 (agent), 1 (job), 2 (import)",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """What a meter is. A changed attribute is a new meter: its id carries a digest of them.

    Attributes:
        device: UUID of the device where it is unique in the world, else the kernel's boot id.
        domain: Which of the device's meters, such as "gpu", "package-0", "dram", "cpu-model", "time".
        component: gpu, cpu, dram, node_rest, facility, time, other.
        boundary: device, it or facility.
        role: counted, or check (compared, never booked).
        max_power_mw: Greatest power it can draw, milliwatts; 0 for `time`.
        label: Hardware model for people, such as "NVIDIA H200"; errors of one model are correlated.
    """

    device: str
    domain: str
    component: str
    boundary: str = "device"
    role: str = "counted"
    max_power_mw: int
    label: str = ""

    def __post_init__(self) -> None:
        """Check the vocabulary and the power."""
        require_text(self.device, "device", longest=LONGEST_NAME)
        require_text(self.domain, "domain", longest=LONGEST_NAME)
        require_text(self.label, "label", longest=LONGEST_NAME, empty=True)
        require_choice(self.component, "component", COMPONENTS)
        require_choice(self.boundary, "boundary", BOUNDARIES)
        require_choice(self.role, "role", ROLES)
        require_whole(self.max_power_mw, "max_power_mw")

    @property
    def key(self) -> str:
        """The meter's id."""
        return meter_id(
            self.device,
            self.domain,
            self.component,
            self.boundary,
            self.role,
            self.max_power_mw,
            self.label,
        )


def meter_id(
    device: str,
    domain: str,
    component: str,
    boundary: str,
    role: str,
    max_power_mw: int,
    label: str,
) -> str:
    """Return `device/domain~digest`, the digest being of the other attributes."""
    attributes = f"{component}|{boundary}|{role}|{max_power_mw}|{label}"
    return f"{device}/{domain}~{hashlib.sha256(attributes.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What a meter says of one stretch of time: a reading (energy_mj set) or a gap (reason set, energy unknown).

    Attributes:
        meter: The meter's id.
        start_ms: Start of the window; with meter and reader its key.
        end_ms: End; the window crosses no UTC hour.
        energy_mj: Energy of a reading, or None.
        method: counter, sensor, model or declared; empty for a gap.
        reason: Why a gap says nothing; empty for a reading.
        estimate_mj: What a gap may have drawn, shown beside the energy and never in it; None when unknown.
    """

    meter: str
    start_ms: int
    end_ms: int
    energy_mj: int | None = None
    method: str = ""
    reason: str = ""
    estimate_mj: int | None = None

    def __post_init__(self) -> None:
        """Check that it is either a reading or a gap, within one UTC hour."""
        require_text(self.meter, "meter")
        require_whole(self.start_ms, "start_ms")
        require_whole(self.end_ms, "end_ms")
        if self.end_ms <= self.start_ms:
            raise Refused("window_ends_before_it_starts", f"[{self.start_ms}, {self.end_ms})")
        if hour_of(self.start_ms) != hour_of(self.end_ms - 1):
            raise Refused(
                "window_crosses_an_hour",
                f"[{self.start_ms}, {self.end_ms}): cut it at the UTC hour",
            )
        if self.energy_mj is None:
            require_text(self.reason, "reason", longest=LONGEST_NAME)
            if self.method:
                raise Refused(
                    "gap_with_a_method",
                    f"a gap has a reason and no method, not {self.method!r}",
                )
            if self.estimate_mj is not None:
                require_whole(self.estimate_mj, "estimate_mj")
        else:
            require_whole(self.energy_mj, "energy_mj")
            require_choice(self.method, "method", METHODS)
            if self.reason or self.estimate_mj is not None:
                raise Refused(
                    "reading_with_a_reason",
                    "a reading has neither a reason nor an estimate",
                )

    @property
    def is_gap(self) -> bool:
        """Whether nothing is known of the window's energy."""
        return self.energy_mj is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A claim of who drew the energy of a window. Zero is allowed and says "I looked".

    Attributes:
        meter: The meter's id.
        start_ms: Start of the window it belongs to.
        run: A run's id, or `untracked`.
        energy_mj: What it drew, of it static_mj held and not used.
        static_mj: Its share of the static power.
        time_ms: Its share of the window's time, of it active_ms active.
        active_ms: Time it was active.
        method: How the split was made, such as "cpu_time" or "gpu_utilisation".
    """

    meter: str
    start_ms: int
    run: str
    energy_mj: int
    static_mj: int = 0
    time_ms: int
    active_ms: int = 0
    method: str

    def __post_init__(self) -> None:
        """Check that the parts are not above their whole."""
        require_text(self.meter, "meter")
        require_text(self.run, "run", longest=LONGEST_NAME)
        require_text(self.method, "method", longest=LONGEST_NAME)
        if self.run in {IDLE, UNALLOCATED}:
            raise Refused(
                "reserved_account",
                f"{self.run!r} is derived by booking and cannot be claimed",
            )
        require_whole(self.start_ms, "start_ms")
        for name in ("energy_mj", "static_mj", "time_ms", "active_ms"):
            require_whole(getattr(self, name), name)
        if self.static_mj > self.energy_mj:
            raise Refused(
                "static_above_energy",
                f"static_mj {self.static_mj} > energy_mj {self.energy_mj}",
            )
        if self.active_ms > self.time_ms:
            raise Refused(
                "active_above_time",
                f"active_ms {self.active_ms} > time_ms {self.time_ms}",
            )
