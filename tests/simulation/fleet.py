"""A fleet made from a seed: hosts, containers, devices, jobs, and everything that may go wrong with them."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from simulation.devices import DEVICE_TROUBLES, Device
from simulation.disk import Disk
from simulation.machine import Host, World
from simulation.post import Post
from simulation.reading import Job, Spool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from joulebook_ledger.core.wire import Answer

SECOND_US = 1_000_000
MOST_JOBS = 4


class Fleet:
    """Hosts and what happens to them.

    Attributes:
        length_us: How long it is watched.
        hosts: The machines.
        spools: Those of all hosts.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        """Make the fleet of a seed."""
        self.random = Random(seed)
        self.world = World(self.random)
        self.length_us = self.random.randrange(100, 500) * SECOND_US
        if self.random.random() < 0.5:  # an hour ends while it is watched
            self.world.now_us = 3_600 * SECOND_US - self.random.randrange(self.length_us)
        self.runs = [f"{number:x}" * 32 for number in range(1, 4)]
        self.hosts: list[Host] = []
        self.spools: list[Spool] = []
        self.begun_us = self.world.now_us
        for number in range(self.random.choice((1, 1, 2, 3))):
            self._add_host(f"h{seed}n{number}", folder / f"host{number}")

    def live(self, take: Callable[[bytes], Answer]) -> Post:
        """Let everything happen, then let all that is left be delivered; return the post that took it."""
        post = Post(self.random, take, self.random.choice((0, 20, 60)))
        for host in self.hosts:
            self._next(host, post)
        self.world.run_until(self.begun_us + self.length_us)
        self._end(post)
        return post

    def _add_host(self, name: str, folder: Path) -> None:
        random = self.random
        host = Host(self.world, name, folder, self._devices(name))
        self.hosts.append(host)
        for number in range(random.choice((1, 1, 1, 2, 3))):
            spool = Spool(
                host, f"{name}s{number}", folder / f"spool{number}", sees_host=number == 0 or random.random() < 0.3,
                sample_seconds=random.choice((1.0, 1.0, 2.0, 5.0)),
            )  # fmt: skip
            spool.begin_boot()
            self.spools.append(spool)

    def _devices(self, name: str) -> list[Device]:
        random = self.random
        devices = []
        for number in range(random.choice((0, 1, 1, 2))):
            has_counter = random.random() < 0.7
            devices.append(
                Device(
                    name=f"GPU-{name}-{number}",
                    domain="gpu",
                    component="gpu",
                    max_power_mw=700_000,
                    per_joule=1_000 * has_counter,
                    range=0,
                )
            )
        for domain, component, most_mw in (("package-0", "cpu", 250_000), ("dram-0", "dram", 40_000)):
            if component == "cpu" or random.random() < 0.4:
                wraps_at = random.choice((262_143_328_850, 65_532_610_987, 20_000_000_000))
                devices.append(
                    Device(
                        name="",
                        domain=domain,
                        component=component,
                        max_power_mw=most_mw,
                        per_joule=1_000_000,
                        range=wraps_at,
                    )
                )
        for device in devices:
            device.begin(self._power(device), random.randrange(10**9, 3 * 10**11))
            device.failing_percent = random.choice((0, 0, 0, 2, 20))
        return devices

    def _power(self, device: Device) -> int:
        return self.random.randrange(device.max_power_mw // 20, device.max_power_mw)

    # --- what happens ---

    def _next(self, host: Host, post: Post) -> None:
        def happen() -> None:
            self._happen(host, post)
            self._next(host, post)

        self.world.after(int(self.random.expovariate(1 / 6) * SECOND_US), happen)

    def _happen(self, host: Host, post: Post) -> None:
        spool = self.random.choice([spool for spool in self.spools if spool.host is host])
        deliver = partial(self._somebody_delivers, post)
        actions: tuple[Callable[[Spool], None], ...] = (
            self._job_comes, self._run_opens, self._run_ends, self._job_leaves, self._job_dies, self._job_will_die, self._power_changes,
            self._device_trouble, self._counter_set_back, self._clock_steps, self._disk_refuses, deliver,
            self._reader_is_stopped, self._child_comes_or_goes, self._host_boots,
        )  # fmt: skip
        (action,) = self.random.choices(actions, (16, 16, 12, 6, 6, 5, 10, 3, 1, 3, 2, 10, 3, 6, 0.7))
        action(spool)

    def _job_comes(self, spool: Spool) -> None:
        if len(spool.jobs) >= MOST_JOBS:
            return
        gpus = [device.name for device in spool.host.devices if device.name]
        busy = {name: self.random.randrange(5, 100) for name in gpus if self.random.random() < 0.6}
        try:
            job = Job(spool, self.random.randrange(50, 4_000), busy, is_named=self.random.random() < 0.3)
        except OSError:
            return
        self.world.tell(f"{spool.name}: process {job.work.pid} comes")
        if job.is_alive:
            job.open(self.random.choice(self.runs), is_joined=False)

    def _run_opens(self, spool: Spool) -> None:
        if spool.jobs:
            job = self.random.choice(spool.jobs)
            if len(job.open_lives) < 2:
                job.open(self.random.choice(self.runs), is_joined=self.random.random() < 0.3)

    def _run_ends(self, spool: Spool) -> None:
        if spool.jobs:
            job = self.random.choice(spool.jobs)
            if job.open_lives:
                self.world.tell(f"{spool.name}: a run of process {job.work.pid} ends")
                job.close(self.random.choice(job.open_lives), self.random.choice(("finished", "failed")))

    def _job_leaves(self, spool: Spool) -> None:
        if spool.jobs:
            job = self.random.choice(spool.jobs)
            self.world.tell(f"{spool.name}: process {job.work.pid} leaves")
            job.leave("finished")

    def _job_dies(self, spool: Spool) -> None:
        if spool.jobs:
            self.random.choice(spool.jobs).die("killed")

    def _job_will_die(self, spool: Spool) -> None:
        spool.disk.writes_to_live = self.random.randrange(6)
        spool.disk.cut = self.random.choice((0, 999, 1_001, self.random.randrange(1_000), self.random.randrange(1_000)))

    def _power_changes(self, spool: Spool) -> None:
        device = self.random.choice(spool.host.devices)
        device.draw(self.world.now_us, self._power(device))

    def _device_trouble(self, spool: Spool) -> None:
        device = self.random.choice(spool.host.devices)
        why = self.random.choice(DEVICE_TROUBLES)
        length_us = self.random.choice((2, 7, 70)) * SECOND_US
        self.world.tell(f"{spool.host.name}: {device.domain} answers {why} for {length_us // SECOND_US} s")
        device.outages.append((self.world.now_us, self.world.now_us + length_us, why))
        if why == DEVICE_TROUBLES[0]:
            self.world.after(length_us - 1, lambda: device.set_back(self.world.now_us))

    def _counter_set_back(self, spool: Spool) -> None:
        device = self.random.choice(spool.host.devices)
        self.world.tell(f"{spool.host.name}: {device.domain} is set back")
        device.set_back(self.world.now_us)

    def _clock_steps(self, spool: Spool) -> None:
        step_ms = self.random.choice((-150, 150, -900, 900, -20_000, 20_000, 3_700_000, -3_700_000))
        self.world.tell(f"{spool.host.name}: the clock steps by {step_ms} ms")
        spool.host.step(step_ms)

    def _disk_refuses(self, spool: Spool) -> None:
        def recover() -> None:
            disk.is_full = disk.is_broken = False

        disk = spool.disk
        length_us = self.random.choice((2, 20, 100)) * SECOND_US
        spool.sitting.refusals.append((self.world.now_us, self.world.now_us + length_us))
        disk.is_full, disk.is_broken = True, self.random.random() < 0.4
        self.world.tell(f"{spool.name}: the disk {'is broken' if disk.is_broken else 'is full'}")
        self.world.after(length_us, recover)

    def _somebody_delivers(self, post: Post, spool: Spool) -> None:
        went_wrong = spool.deliver(post)
        self.world.tell(f"{spool.name}: delivered {went_wrong}")
        if self.random.random() < 0.3:
            post.bring_late()

    def _reader_is_stopped(self, spool: Spool) -> None:
        if spool.turn is not None:
            length_us = self.random.choice((3, 8, 40)) * SECOND_US
            self.world.tell(f"{spool.name}: the reader is stopped for {length_us // SECOND_US} s")
            spool.turn.paused_until_us = self.world.now_us + length_us
            spool.sitting.pauses.append((self.world.now_us, self.world.now_us + length_us))

    def _child_comes_or_goes(self, spool: Spool) -> None:
        if spool.jobs:
            job = self.random.choice(spool.jobs)
            if job.child is None:
                job.spawn(self.random.randrange(50, 3_000))
            else:
                job.reap()

    def _host_boots(self, spool: Spool) -> None:
        host = spool.host
        self.world.tell(f"{host.name}: boots anew")
        mine = [one for one in self.spools if one.host is host]
        self._end_all(mine, lambda job: job.die("with its host"))
        for device in host.devices:
            device.set_back(self.world.now_us)
        host.boot_anew()
        for one in mine:
            one.disk = Disk(lambda: host.wall_ms)
            one.begin_boot()

    def _end(self, post: Post) -> None:
        """Let every job end, every disk work and every batch arrive."""
        for spool in self.spools:
            spool.disk.is_full = spool.disk.is_broken = False
            spool.disk.writes_to_live = None
        self._end_all(
            self.spools, lambda job: job.leave("finished") if self.random.random() < 0.6 else job.die("at the end")
        )
        post.bring_late()
        post.percent = 0
        self.world.now_us += 3 * 3_600 * SECOND_US
        for spool in self.spools * 3:
            assert not spool.deliver(post)

    @staticmethod
    def _end_all(spools: list[Spool], end: Callable[[Job], None]) -> None:
        for spool in spools:
            while spool.jobs:
                end(spool.jobs[-1])
