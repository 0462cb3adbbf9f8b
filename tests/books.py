"""Books for tests and benchmarks, made the only way a book is made: by batches through the one door.

`Story` tells one machine's life in a few lines; `realistic_batches` makes the life of a small team's machines, the same for a seed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from joulebook_ledger.core.records import Meter, Reader
from joulebook_ledger.core.wire import encode_batch, to_wire

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOVEMBER = 1_793_491_200_000  # 2026-11-01T00:00:00Z
KWH = 3_600_000_000  # millijoules
MODELS = ("resnet50", "resnet18", "vit-small", "bert-base", "gpt-nano", "gbdt", "forest", "mlp")
TEAMS = ("vision", "language", "search")


def run_id(name: str) -> str:
    """Return a run's id of the usual form, 26 lowercase letters and digits, made from a name."""
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16])
    return "".join(digits[number >> (5 * place) & 31] for place in range(26))


class Story:
    """What one reader on one machine says. Methods return the story, so that it reads as one sentence."""

    def __init__(self, machine: str = "m1", *, reader: str = "", rank: int = 0, boot: str = "") -> None:
        self.reader = Reader(
            reader=reader or f"reader-of-{machine}",
            machine=machine,
            boot=boot or f"boot-of-{machine}",
            host=f"host-{machine}",
            rank=rank,
        )
        self.sequence = 0
        self.events = 0
        self.complete_until_ms = 0
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.meters: dict[str, Meter] = {}

    def meter(self, name: str, component: str = "cpu", **attributes: Any) -> Story:
        """Give the machine a meter; `name` is its domain."""
        attributes.setdefault("max_power_mw", 0 if component == "time" else 100_000_000)
        attributes.setdefault("device", self.reader.boot)
        self.meters[name] = Meter(domain=name, component=component, **attributes)
        return self._add("meters", to_wire(self.meters[name]))

    def key(self, name: str) -> str:
        """Return the id of a meter."""
        return self.meters[name].key

    def run(
        self,
        run: str,
        start_ms: int,
        end_ms: int | None = None,
        *,
        status: str = "finished",
        scores: Mapping[str, str] | None = None,
        facts: Mapping[str, int | str] | None = None,
        **labels: str,
    ) -> Story:
        """Tell of a run from start to end; without an end it is still running."""
        self.event(run, "started", start_ms, labels=labels)
        for name, value in (scores or {}).items():
            self.score(run, name, value, at_ms=end_ms or start_ms)
        if end_ms is not None:
            self.event(run, "ended", end_ms, status=status, facts=dict(facts or {}))
        return self

    def event(self, run: str, kind: str, at_ms: int, **more: Any) -> Story:
        """Tell of one event of a run."""
        self.events += 1
        item = {"run": run, "event": f"{self.reader.reader}-{self.events}", "kind": kind, "at_ms": at_ms}
        return self._add("runs", {**item, **{name: value for name, value in more.items() if value}})

    def score(self, run: str, name: str, value: str, *, at_ms: int, **more: Any) -> Story:
        """Log a score of a run."""
        self.events += 1
        item = {"run": run, "score": f"s{self.events}", "name": name, "value": value, "at_ms": at_ms}
        return self._add("scores", {**item, **more})

    def count(self, run: str, start_ms: int, end_ms: int, **numbers: int) -> Story:
        """Count work that a run served."""
        self.events += 1
        return self._add(
            "counts", {"run": run, "count": f"c{self.events}", "start_ms": start_ms, "end_ms": end_ms, **numbers}
        )

    def reading(
        self,
        name: str,
        start_ms: int,
        end_ms: int,
        energy_mj: int,
        uses: Mapping[str, int | tuple[int, int] | tuple[int, int, int]] | None = None,
        *,
        method: str = "counter",
    ) -> Story:
        """Tell what a meter read, and who drew how much: energy, or (energy, time), or (energy, time, static)."""
        window = {
            "meter": self.key(name),
            "start_ms": start_ms,
            "end_ms": end_ms,
            "energy_mj": energy_mj,
            "method": method,
        }
        self._add("readings", window)
        self.complete_until_ms = max(self.complete_until_ms, end_ms)
        return self._uses(name, start_ms, end_ms, uses or {})

    def gap(
        self,
        name: str,
        start_ms: int,
        end_ms: int,
        reason: str = "read_failed",
        estimate_mj: int | None = None,
        uses: Mapping[str, tuple[int, int]] | None = None,
    ) -> Story:
        """Tell that a meter said nothing."""
        window = {"meter": self.key(name), "start_ms": start_ms, "end_ms": end_ms, "reason": reason}
        self._add("gaps", window if estimate_mj is None else {**window, "estimate_mj": estimate_mj})
        self.complete_until_ms = max(self.complete_until_ms, end_ms)
        return self._uses(name, start_ms, end_ms, uses or {})

    def batch(self, **envelope: Any) -> bytes:
        """Return what was told since the last batch."""
        self.sequence += 1
        lists, self.lists = self.lists, {}
        envelope.setdefault("complete_until_ms", self.complete_until_ms)
        return encode_batch(reader=self.reader, sequence=self.sequence, lists=lists, **envelope)

    def _uses(self, name: str, start_ms: int, end_ms: int, uses: Mapping[str, Any]) -> Story:
        for run, claimed in uses.items():
            energy, time, static = (*((claimed,) if isinstance(claimed, int) else claimed), None, None)[:3]
            use = {
                "meter": self.key(name),
                "start_ms": start_ms,
                "run": run,
                "energy_mj": energy,
                "static_mj": static or 0,
                "time_ms": end_ms - start_ms if time is None else time,
                "method": "cpu_time",
            }
            self._add("uses", use)
        return self

    def _add(self, name: str, item: dict[str, Any]) -> Story:
        self.lists.setdefault(name, []).append(item)
        return self


@dataclass(frozen=True)
class Plan:
    """How large a realistic book is.

    Attributes:
        runs: How many runs.
        machines: On how many machines, in turn.
        minutes: How long each run lasts.
        pause_minutes: How long a machine then is idle.
        gpus: How many GPUs each machine has.
        spread_days: Over how many days the runs are spread, with nobody watching in between; 0 for one after the other.
        start_ms: When it begins.
        seed: Same seed, same book.
    """

    runs: int = 1_000
    machines: int = 4
    minutes: int = 3
    pause_minutes: int = 2
    gpus: int = 1
    spread_days: int = 0
    start_ms: int = NOVEMBER
    seed: int = 0


def realistic_batches(plan: Plan = Plan()) -> Iterator[bytes]:
    """Yield the batches of a book of `plan.runs` runs; each machine's in order of time."""
    luck = random.Random(plan.seed)
    stories = [_machine(f"m{number:02d}", plan) for number in range(plan.machines)]
    clocks = [plan.start_ms] * plan.machines
    for number in range(plan.runs):
        story, place = stories[number % plan.machines], number % plan.machines
        turn = plan.start_ms + plan.spread_days * DAY * number // plan.runs
        clocks[place] = max(clocks[place], turn - turn % MINUTE)
        clocks[place] = _tell_run(story, number, clocks[place], plan, luck)
        if number % 50 == 49 or number >= plan.runs - plan.machines:
            yield story.batch()
    for story in stories:
        if story.lists:
            yield story.batch()


def _machine(name: str, plan: Plan) -> Story:
    story = Story(name).meter("time", "time").meter("package-0", "cpu", label="EPYC 9654").meter("dram", "dram")
    for gpu in range(plan.gpus):
        story.meter(f"gpu{gpu}", "gpu", device=f"GPU-{name}-{gpu}", label="NVIDIA H200", max_power_mw=700_000)
    return story


def _tell_run(story: Story, number: int, start_ms: int, plan: Plan, luck: random.Random) -> int:
    run = run_id(f"{plan.seed}/{number}")
    model = MODELS[number % len(MODELS)]
    size = 1 + number % len(MODELS)
    end_ms = start_ms + plan.minutes * MINUTE
    story.run(
        run,
        start_ms,
        end_ms,
        status="failed" if number % 17 == 16 else "finished",
        scores={
            "accuracy": f"0.{luck.randrange(600 + 30 * size, 960)}",
            "params": str(size * 1_000_000),
            "samples": "50000",
        },
        model=model,
        version=f"v{number % 3}",
        task="imagenet" if model in MODELS[:3] else "glue",
        stage="training",
        project="benchmarks",
        team=TEAMS[number % len(TEAMS)],
        **{"tag:seed": str(number % 5)},
    )
    until = end_ms + plan.pause_minutes * MINUTE
    for at in range(start_ms, until, MINUTE):
        _tell_minute(story, run if at < end_ms else "", at, size, plan, luck)
    return until


def _tell_minute(story: Story, run: str, at: int, size: int, plan: Plan, luck: random.Random) -> None:
    end = at + MINUTE
    story.reading("time", at, end, 0, {run: 0} if run else {}, method="declared")
    busy = luck.randrange(3_000_000, 5_000_000) + 500_000 * size if run else luck.randrange(1_800_000, 2_000_000)
    claims = (
        {run: (busy - 400_000, MINUTE, 1_000_000), "untracked": (100_000, 0)} if run else {"untracked": (50_000, 0)}
    )
    story.reading("package-0", at, end, busy, claims)
    story.reading("dram", at, end, 600_000, {run: (350_000, MINUTE)} if run else {})
    for gpu in range(plan.gpus):
        drawn = luck.randrange(20_000_000, 36_000_000) if run else 4_200_000
        story.reading(f"gpu{gpu}", at, end, drawn, {run: (drawn, MINUTE, 4_200_000)} if run else {})
