"""Spools, the jobs that announce their runs in them, and the turns in which one of the jobs reads for all."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulation.devices import Read, SimGpu, SimMeter
from simulation.disk import Disk, Killed, SimCheckpoint, SimSegment
from simulation.machine import ProcTree, Work

from joulebook_collectors.delivery.recovery import recover_and_deliver
from joulebook_collectors.host.clock import Clock
from joulebook_collectors.host.lock import open_once
from joulebook_collectors.meters.find import FoundMeters, time_meter
from joulebook_collectors.presence.attendance import Attendance
from joulebook_collectors.reading.handover import clock_after
from joulebook_collectors.reading.reader import Reader
from joulebook_collectors.reading.watcher import LOCK
from joulebook_collectors.reading.windows import meter_key
from joulebook_collectors.spool.checkpoint import read_checkpoint
from joulebook_collectors.spool.endings import ENDED, STARTED, move_to_done
from joulebook_collectors.spool.folders import READER, prepare_boot_folder, write_once
from joulebook_ledger.core.refusals import JoulebookError
from joulebook_ledger.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from simulation.devices import Device
    from simulation.machine import Host

    from joulebook_collectors.delivery.deliver import Door

MINUTE_MS, SNAP_MS = 60_000, 20


class SeenClock(Clock):
    """A reader's clock that tells which instant the reader gives to what it reads."""

    __slots__ = ("reached_ms", "step_ms", "told_ms")

    def __init__(self, clock: Clock, least_ms: int) -> None:
        """Be this clock."""
        self.reached_ms, self.step_ms, self.told_ms = least_ms, 0, 0
        for name in Clock.__slots__:
            setattr(self, name, getattr(clock, name))

    def now_ms(self) -> int:
        """Return the present."""
        self.told_ms = super().now_ms()
        return self.told_ms

    def follow(self) -> int:
        """Follow the wall clock."""
        self.step_ms = super().follow()
        return self.step_ms

    @property
    def label_ms(self) -> int:
        """The instant that what is read now gets: before a step that is just followed, and a full minute where it is near."""
        label_ms = self.told_ms - self.step_ms
        over_ms = label_ms % MINUTE_MS
        return max(label_ms - over_ms if over_ms <= SNAP_MS else label_ms, self.reached_ms)


@dataclass(kw_only=True)
class Life:
    """What truly became of a run in one process.

    Attributes:
        event: Id of the event that began it.
        began_us: When.
        ended_us: When; None while it is open.
        status: How.
        pid: The process.
        rate: CPU time per time of the process, in thousandths of a core.
        is_in_doubt: Whether the process died while it wrote of its begin or its end.
        told_us: When the disk took the word of its begin.
    """

    run: str
    event: str
    began_us: int
    pid: int
    rate: int
    ended_us: int | None = None
    status: str = ""
    is_in_doubt: bool = False
    told_us: int | None = None


@dataclass(kw_only=True)
class Sitting:
    """One spool during one boot, as it truly was: what its readers were answered, and which runs were open.

    Attributes:
        reader: The id under which it sends.
        host: Where.
        boot: Which boot.
        devices: Meter's id -> device.
        reads: Meter's id -> its answers.
        saves: When a checkpoint came out whole.
        turns: When somebody began to read, and when he was done.
        lives: The runs.
        pauses: When a reader was stopped, from and to.
        refusals: When the disk refused, from and to.
        sample_us: Time between two samples.
        works: Processes of jobs, their children too: pid of the job, what it did, and when it ended.
    """

    reader: str
    host: Host
    boot: str
    devices: dict[str, Device] = field(default_factory=dict)
    reads: dict[str, list[Read]] = field(default_factory=lambda: defaultdict(list))
    saves: list[int] = field(default_factory=list)
    turns: list[list[int | None]] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    pauses: list[tuple[int, int]] = field(default_factory=list)
    refusals: list[tuple[int, int]] = field(default_factory=list)
    sample_us: int = 0
    works: list[tuple[int, Work, int]] = field(default_factory=list)


class Spool:
    """The spool of one container of a host: those who share it share its lock."""

    def __init__(self, host: Host, name: str, place: Path, *, sees_host: bool, sample_seconds: float) -> None:
        """Make it."""
        self.host = host
        self.name = name
        self.tree = ProcTree(place / "proc", is_hosts=sees_host)
        self.settings = Settings(
            ledger="sqlite:///book", home=str(place), spool=str(place / "spool"), proc_root=str(place / "proc"),
            machine=host.name, sample_seconds=sample_seconds,
        )  # fmt: skip
        self.disk = Disk(lambda: host.wall_ms)
        self.sittings: list[Sitting] = []
        self.jobs: list[Job] = []
        self.queue: list[Job] = []
        self.turn: Turn | None = None

    def begin_boot(self) -> None:
        """Find the spool of a new boot."""
        self.tree.boot(self.host)
        self.folder = prepare_boot_folder(self.settings)
        reader = f"{self.host.world.random.getrandbits(64):016x}-{self.name}"
        self.sittings.append(Sitting(reader=reader, host=self.host, boot=self.host.boot))
        self.sitting.sample_us = int(self.settings.sample_seconds * 1_000_000)
        item = {"reader": reader, "machine": self.host.name, "boot": self.host.boot, "host": self.host.name, "rank": 1}
        write_once(f"{self.folder}/{READER}", item)
        self.lock = open_once(f"{self.folder}/{LOCK}")

    @property
    def sitting(self) -> Sitting:
        """The present one."""
        return self.sittings[-1]

    def want(self, job: Job) -> None:
        """A job would read, or waits for whoever reads to be done; or it rings."""
        if job not in self.queue and (self.turn is None or self.turn.job is not job):
            self.queue.append(job)
        self.ring()
        self.serve()

    def serve(self) -> None:
        """Let the next in line read, if nobody does."""
        if self.turn is None and self.queue:
            assert self.lock.try_take()
            self.turn = Turn(self, self.queue.pop(0))
            random = self.host.world.random
            self.host.world.after(random.choice((0, 500, 3_000, 40_000)), self.turn.begin)

    def ring(self) -> None:
        """Ring the bell at the reader's door."""
        if self.turn is not None and not self.turn.is_rung:
            self.turn.is_rung = True
            self.host.world.after(self.host.world.random.randrange(200, 4_000), self.turn.answer)

    def deliver(self, door: Door, now_ms: int | None = None) -> str:
        """Let a command run on this machine; return what went wrong."""
        try:
            recover_and_deliver(self.settings, door, self.host.wall_ms if now_ms is None else now_ms)
        except JoulebookError:
            return "out of reach"
        except Killed:
            return "killed"
        return ""


class Job:
    """A process that tracks."""

    def __init__(self, spool: Spool, rate: int, busy: dict[str, int], *, is_named: bool) -> None:
        """Begin, and say who it is."""
        host = spool.host
        self.spool = spool
        self.work = Work(host.world, host.new_pid(), 1, rate, busy)
        self.child: Work | None = None
        self.is_named = is_named
        self.is_alive = True
        self.lives: list[Life] = []
        self._number = 0
        self._token = f"{self.work.pid}-{host.world.random.getrandbits(40):x}"
        self._clock = Clock(wall_ms=lambda: host.wall_ms, monotonic_ms=lambda: host.monotonic_us // 1_000)
        host.begin(self.work, spool.tree)
        self.segment = SimSegment(spool.folder, self._token, spool.disk, self._told)
        spool.jobs.append(self)
        self.write({"process": {"pid": self.work.pid, "started": self.work.started, "ancestors": [1]}})

    @property
    def open_lives(self) -> list[Life]:
        """The runs that are open here."""
        return [life for life in self.lives if life.ended_us is None]

    def write(self, frame: dict[str, object]) -> None:
        """Write a frame, or die of it."""
        try:
            self.segment.append(frame)
        except Killed:
            self.die("in the middle of a frame")

    def _told(self) -> None:
        for life in self.open_lives:
            life.told_us = life.told_us or self.spool.host.world.now_us

    def open(self, run: str, *, is_joined: bool) -> None:
        """Open a run."""
        self._number += 1
        prefix = f"{self._token}.{self._number}"
        now_us = self.spool.host.world.now_us
        life = Life(run=run, event=prefix, began_us=now_us, pid=self.work.pid, rate=self.work.rate)
        self.lives.append(life)
        event = {
            "run": run, "event": prefix + STARTED, "kind": "joined" if is_joined else "started", "at_ms": self._now_ms(),
            "labels": {"model": run}, "facts": {},
        }  # fmt: skip
        self.spool.sitting.lives.append(life)
        self.write({"runs": [event], "mark": self._mark()})
        if self.is_alive:
            self.spool.want(self)
        else:
            life.is_in_doubt = True  # the frame that tells of it may be whole or not

    def close(self, life: Life, status: str) -> None:
        """End a run; if it was the last one and this process reads, the windows end now."""
        life.ended_us = self.spool.host.world.now_us
        event = {
            "run": life.run, "event": life.event + ENDED, "kind": "ended", "at_ms": self._now_ms(), "status": status, "facts": {},
        }  # fmt: skip
        self.write({"runs": [event], "mark": self._mark()})
        if not self.is_alive:
            life.status, life.is_in_doubt = "killed", True
            return
        life.status = status
        turn = self.spool.turn
        if self.open_lives or turn is None or turn.job is not self:
            if not self.open_lives and self in self.spool.queue:
                self.spool.queue.remove(self)
            self.spool.ring()
        else:
            turn.end()

    def spawn(self, rate: int) -> None:
        """Start a child."""
        self.child = Work(self.spool.host.world, self.spool.host.new_pid(), self.work.pid, rate, {})
        self.spool.host.begin(self.child, self.spool.tree)

    def reap(self) -> None:
        """Wait for the child."""
        if self.child is not None:
            self._record(self.child)
            self.spool.host.end(self.child)
            self.child = None

    def leave(self, status: str) -> None:
        """End as a process does."""
        self.reap()
        for life in self.open_lives[::-1]:
            if self.is_alive:
                self.close(life, status)
        if self.is_alive:
            try:
                if self.segment.is_written:
                    move_to_done(self.segment.path)
            except OSError:
                pass
            self._go()

    def die(self, how: str) -> None:
        """Die without a word: whatever is open stays open."""
        if not self.is_alive:
            return
        self.spool.host.world.tell(f"{self.spool.name}: process {self.work.pid} dies {how}")
        for life in self.open_lives:
            life.ended_us, life.status = self.spool.host.world.now_us, "killed"
        self.reap()
        self._go()

    def _go(self) -> None:
        self.is_alive = False
        spool = self.spool
        self._record(self.work)
        spool.host.end(self.work)
        spool.jobs.remove(self)
        if self in spool.queue:
            spool.queue.remove(self)
        self.segment.close()
        if spool.turn is not None and spool.turn.job is self:
            spool.turn.stop()

    def _record(self, work: Work) -> None:
        now_us = self.spool.host.world.now_us
        self.spool.sitting.works.append((self.work.pid, work, now_us))

    def _now_ms(self) -> int:
        self._clock.follow()
        return self._clock.now_ms()

    def _mark(self) -> dict[str, object]:
        mark = {
            "at_us": self.spool.host.monotonic_us, "cpu_us": self.work.cpu_us, "waited_us": self.work.waited_us, "memory": 8_192_000,
            "runs": sorted({life.run for life in self.open_lives}),
        }  # fmt: skip
        if self.is_named:
            mark["visible"] = [",".join(sorted(self.work.busy)), None]
        return mark


class Turn:
    """The time in which one job reads for all of its spool."""

    def __init__(self, spool: Spool, job: Job) -> None:
        """Hold the lock, and begin soon."""
        self.spool = spool
        self.job = job
        self.is_rung = False
        self.paused_until_us = 0
        self._reader: Reader | None = None
        self._checkpoint: SimCheckpoint | None = None
        self._serial = 0
        self._record: list[int | None] = [spool.host.world.now_us, None]
        spool.sitting.turns.append(self._record)

    def begin(self) -> None:
        """Read for the first time."""
        if self.spool.turn is not self:
            return
        spool, host = self.spool, self.spool.host
        before = read_checkpoint(spool.folder)
        self._checkpoint = SimCheckpoint(
            spool.folder, spool.disk, lambda: spool.sitting.saves.append(host.world.now_us)
        )
        clock = clock_after(
            spool.folder, before, wall_ms=lambda: host.wall_ms, monotonic_ms=lambda: host.monotonic_us // 1_000
        )
        self._clock = SeenClock(clock, before["reached"] if before else 0)
        meters = self._find()
        spool.tree.refresh(host)
        reader = self._reader = Reader(
            found=FoundMeters(
                meters=tuple(meters), gpus=tuple(m for m in meters if isinstance(m, SimGpu)), time=time_meter(host.boot), absent=()
            ),
            attendance=Attendance(spool.folder, host.monotonic_us, spool.settings.proc_root),
            segment=self.job.segment, checkpoint=self._checkpoint, clock=self._clock,
            sample_seconds=spool.settings.sample_seconds, monotonic_us=lambda: host.monotonic_us,
            proc_root=spool.settings.proc_root,
        )  # fmt: skip
        if self._do(lambda: reader.begin(before)):
            self._wait()

    def answer(self) -> None:
        """Answer the bell."""
        if self.spool.turn is self and self._reader is not None:
            if self.spool.host.world.now_us < self.paused_until_us:
                self.spool.host.world.after(self.paused_until_us - self.spool.host.world.now_us, self.answer)
                return
            self.is_rung = False
            self._tick(rung=True)
        else:
            self.is_rung = False

    def end(self) -> None:
        """The job has no run any more: end the windows, and let the next one read."""
        if self._reader is None:
            self.stop()
            return
        self.spool.tree.refresh(self.spool.host)
        if self._do(self._reader.end):
            self.stop()

    def stop(self) -> None:
        """Read no more, whatever is open."""
        self._record[1] = self.spool.host.world.now_us
        if self._checkpoint is not None:
            self._checkpoint.close()
        self.spool.turn = None
        self.spool.lock.give()
        self.spool.serve()

    def _find(self) -> list[SimMeter]:
        """Return the meters that this reader finds."""
        host, sitting = self.spool.host, self.spool.sitting
        meters: list[SimMeter] = []
        for device in host.devices:
            key = meter_key(device.described(host.boot))
            sitting.devices[key] = device
            if device.name:
                index = sum(isinstance(meter, SimGpu) for meter in meters)
                meters.append(SimGpu(index, device, host, self._clock, sitting.reads[key], host.world.random))
            else:
                meters.append(SimMeter(device, host, self._clock, sitting.reads[key], host.world.random))
        return meters

    def _do(self, action: Callable[[], object]) -> bool:
        """Do what may kill the process; tell whether it lives."""
        try:
            action()
        except Killed:
            self.job.die("in the middle of a write, while it read")
            return False
        self._clock.reached_ms = self._reader._reached_ms if self._reader else 0
        return True

    def _wait(self) -> None:
        self._serial += 1
        assert self._reader is not None
        serial, world = self._serial, self.spool.host.world
        sample_ms = int(self.spool.settings.sample_seconds * 1_000)
        delay_us = int(self._reader.seconds_to_next(sample_ms) * 1_000_000)
        world.after(delay_us + world.random.choice((60, 300, 900, 6_000)), lambda: self._come(serial))

    def _come(self, serial: int) -> None:
        if self.spool.turn is not self or serial != self._serial:
            return
        now_us = self.spool.host.world.now_us
        if now_us < self.paused_until_us:
            self.spool.host.world.after(self.paused_until_us - now_us, lambda: self._come(serial))
            return
        self._tick(rung=False)

    def _tick(self, *, rung: bool) -> None:
        self.spool.tree.refresh(self.spool.host)
        reader = self._reader
        assert reader is not None
        if self._do(lambda: reader.tick(rung=rung)):
            self._wait()
