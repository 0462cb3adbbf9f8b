"""Hosts whose clocks the world moves, their devices, and the processes on them as the kernel shows them."""

from __future__ import annotations

import heapq
import shutil
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from joulebook_collectors.host.processes import HOST_PID_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from simulation.devices import Device

HOUR_US = 3_600_000_000
TICK_US = 10_000
START_MS = 1_790_000_000_000 // 86_400_000 * 86_400_000
PAGE = 4096


class World:
    """True time, and what is yet to happen in it.

    Attributes:
        now_us: True time since the world began.
        story: What happened, in words, for the one who has to understand a seed that failed.
    """

    def __init__(self, random: Random) -> None:
        """Begin."""
        self.random = random
        self.now_us = 0
        self.story: list[str] = []
        self._order = count()
        self._events: list[tuple[int, int, Callable[[], None]]] = []

    @property
    def now_ms(self) -> int:
        """True time of day."""
        return START_MS + self.now_us // 1_000

    def after(self, delay_us: int, action: Callable[[], None]) -> None:
        """Let something happen later."""
        heapq.heappush(self._events, (self.now_us + max(0, delay_us), next(self._order), action))

    def run_until(self, end_us: int) -> None:
        """Let everything happen that is due until then."""
        while self._events and self._events[0][0] <= end_us:
            self.now_us, _, action = heapq.heappop(self._events)
            action()
        self.now_us = end_us

    def tell(self, what: str) -> None:
        """Note what happened."""
        self.story.append(f"{self.now_us / 1e6:10.3f} s  {what}")


class Work:
    """What one process does: its CPU time, and how busy it keeps GPUs.

    Attributes:
        pid: Its id.
        parent: Its parent's.
        rate: CPU time per time, in thousandths of a core.
        busy: UUID of a GPU -> how busy it keeps it, per cent.
        began_us: When it began.
        waited_us: CPU time of its children that it waited for.
    """

    def __init__(self, world: World, pid: int, parent: int, rate: int, busy: dict[str, int]) -> None:
        """Begin now."""
        self._world = world
        self.pid = pid
        self.parent = parent
        self.rate = rate
        self.busy = busy
        self.began_us = world.now_us
        self.waited_us = 0

    @property
    def started(self) -> int:
        """When it started, in ticks."""
        return 1 + self.began_us // TICK_US

    @property
    def cpu_us(self) -> int:
        """Its CPU time."""
        return (self._world.now_us - self.began_us) * self.rate // 1_000


class Host:
    """A machine.

    Attributes:
        devices: Those of the present boot.
        reach: Folder below which its containers see /proc.
        steps: When its wall clock stepped and by how much, since the beginning.
        boots: When each of its boots began.
    """

    def __init__(self, world: World, name: str, folder: Path, devices: list[Device]) -> None:
        """Boot for the first time."""
        self.world = world
        self.name = name
        self.folder = folder
        self.devices = devices
        self.steps: list[tuple[int, int]] = []
        self.boots: list[int] = []
        self.rest_rate = world.random.randrange(0, 3_000)
        self._works: dict[int, tuple[Work, ProcTree]] = {}
        self._pids = count(world.random.randrange(300, 900))
        self._ended_us = 0
        self._offset_ms = world.random.choice((0, 0, -3_000, 40_000))
        self.boot_anew()

    @property
    def boot(self) -> str:
        """Id of the present boot."""
        return f"boot-{self.name}-{len(self.boots)}"

    @property
    def monotonic_us(self) -> int:
        """Its monotonic clock."""
        return 50_000_000 + self.world.now_us - self.boots[-1]

    @property
    def wall_ms(self) -> int:
        """Its wall clock."""
        return self.world.now_ms + self._offset_ms

    @property
    def offset_ms(self) -> int:
        """How far its wall clock is ahead of the truth."""
        return self._offset_ms

    def boot_anew(self) -> None:
        """Begin a new boot: nobody lives, and counters begin again."""
        self.boots.append(self.world.now_us)
        self._works.clear()
        self._ended_us = 0

    def step(self, step_ms: int) -> None:
        """Let the wall clock step."""
        self._offset_ms += step_ms
        self.steps.append((self.world.now_us, step_ms))

    def new_pid(self) -> int:
        """Return an id that no process had."""
        return next(self._pids)

    def begin(self, work: Work, tree: ProcTree) -> None:
        """A process begins."""
        self._works[work.pid] = (work, tree)
        tree.show(self, [work])

    def end(self, work: Work) -> None:
        """A process ends; its parent, if it lives, has waited for it."""
        self._ended_us += work.cpu_us
        parent = self._works.get(work.parent)
        if parent:
            parent[0].waited_us += work.cpu_us + work.waited_us
        _, tree = self._works.pop(work.pid)
        tree.forget(self, work)

    def working(self, tree: ProcTree | None = None) -> Iterator[Work]:
        """Yield the processes that live, or those that one container sees."""
        return (work for work, seen in self._works.values() if tree is None or seen is tree)

    @property
    def busy_us(self) -> int:
        """CPU time of the whole host since boot."""
        rest = (self.world.now_us - self.boots[-1]) * self.rest_rate // 1_000
        return rest + self._ended_us + sum(work.cpu_us for work in self.working())


class ProcTree:
    """What one container sees as /proc."""

    def __init__(self, folder: Path, *, is_hosts: bool) -> None:
        """Make the folder; the processes of other containers are not seen in it."""
        self.folder = folder
        (folder / "sys/kernel/random").mkdir(parents=True)
        (folder / "self/ns").mkdir(parents=True)
        (folder / "thread-self").mkdir()
        (folder / "thread-self/children").write_text("")
        (folder / "self/ns/pid").symlink_to(HOST_PID_NAMESPACE if is_hosts else "pid:[4026539999]")

    def boot(self, host: Host) -> None:
        """Show a new boot."""
        for entry in self.folder.iterdir():
            if entry.name.isdecimal():
                shutil.rmtree(entry)
        (self.folder / "sys/kernel/random/boot_id").write_text(f"{host.boot}\n")
        (self.folder / "sys/kernel/hostname").write_text(f"{host.name}\n")
        (self.folder / "meminfo").write_text("MemTotal: 64000000 kB\nMemFree: 1 kB\nMemAvailable: 32000000 kB\n")
        self.refresh(host)

    def refresh(self, host: Host) -> None:
        """Show how things stand now."""
        ticks = host.busy_us // TICK_US
        (self.folder / "stat").write_bytes(b"cpu  %d 0 0 0 0 0 0 0 0 0\n" % ticks)
        self.show(host, host.working(self))

    def show(self, host: Host, works: Iterator[Work] | list[Work]) -> None:
        """Show processes as they stand now."""
        children: dict[int, list[int]] = {}
        for work in host.working(self):
            children.setdefault(work.parent, []).append(work.pid)
        for work in list(works):
            place = self.folder / str(work.pid)
            if not place.exists():
                (place / "task" / str(work.pid)).mkdir(parents=True)
                (place / "statm").write_text("5000 2000 300 1 0 900 0\n")
                (place / "task" / str(work.pid) / "children").write_text("")
            (place / "stat").write_bytes(
                b"%d (job) S %d 1 1 0 -1 0 0 0 0 0 %d 0 %d 0 20 0 1 0 %d 0 0\n"
                % (work.pid, work.parent, work.cpu_us // TICK_US, work.waited_us // TICK_US, work.started)
            )
            self._name_children(work.pid, children.get(work.pid, []))

    def forget(self, host: Host, work: Work) -> None:
        """A process is gone."""
        shutil.rmtree(self.folder / str(work.pid))
        siblings = [other.pid for other in host.working(self) if other.parent == work.parent]
        if (self.folder / str(work.parent)).exists():
            self._name_children(work.parent, siblings)

    def _name_children(self, pid: int, children: list[int]) -> None:
        text = "".join(f"{child} " for child in children)
        place = self.folder / str(pid) / "task" / str(pid) / "children"
        if place.stat().st_size != len(text) or text:
            place.write_text(text)
