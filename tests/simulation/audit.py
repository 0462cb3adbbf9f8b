"""An auditor who knows the truth: what every device drew, when it was read, what was set back, and which runs were open.

Of the code under test he sees the facts that came into the books, and nothing else. Of every reading he works out from the true energy
what it has to be, to the millijoule; of every gap and every stretch of which nothing is told, whether the world gave cause for it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, NamedTuple

from auditor import Auditor
from helpers.pure_book import PureBook
from simulation.shares import compared

from joulebook_collectors.meters.meter import DEVICE_LOST, READ_FAILED
from joulebook_ledger.core.events import RunEvent
from joulebook_ledger.core.metering import COUNTER_RESET, IMPLAUSIBLE_JUMP, RANGE_EXCEEDED, SAMPLES_TOO_FAR_APART
from joulebook_ledger.core.records import Use, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.devices import Device
    from simulation.reading import Sitting, Spool

    from joulebook_ledger.core.wire import Batch

HOUR_MS = 3_600_000
NANOJOULES_PER_MILLIJOULE = 1_000_000
CLOCK_STEP, NOT_READ = "clock_step", "not_read"
BELL_US = 50_000
LEAST_US = 1_000
LOOK_SECONDS = {"cpu": 3, "gpu": 5}
MINUTE_SNAP_US = 21_000


@dataclass(kw_only=True)
class Told:
    """What one reader told of one meter, beside what is true.

    Attributes:
        watched: Stretches of true time of which something is told, readings and gaps.
        measured: Stretches of true time whose energy is told.
    """

    sitting: Sitting
    meter: str
    device: Device
    windows: list[Window]
    watched: list[tuple[int, int]] = field(default_factory=list)
    measured: list[tuple[int, int]] = field(default_factory=list)


class Audit:
    """The truth beside the books.

    Attributes:
        complaints: What is wrong.
        sums: Millijoules booked, true energy watched, true energy of gaps; and how many readings, gaps, runs.
    """

    def __init__(self, spools: list[Spool], arrived: list[Batch]) -> None:
        """Compare."""
        self.complaints: list[str] = []
        self.sums: Counter[str] = Counter()
        self._spools = spools
        self._arrived = arrived
        self._sittings = {sitting.reader: sitting for spool in spools for sitting in spool.sittings}
        self._windows: dict[tuple[str, str], dict[int, Window]] = defaultdict(dict)
        self._uses: dict[tuple[str, str, int], dict[str, Use]] = defaultdict(dict)
        self._events: dict[str, dict[str, RunEvent]] = defaultdict(dict)
        for batch in arrived:
            for fact in batch.facts():
                self._take(batch.reader.reader, fact)
        told = [self._told(reader, meter) for reader, meter in sorted(self._windows) if "/time~" not in meter]
        for one in told:
            self._judge(one)
        self._judge_books(told)
        for sitting in self._sittings.values():
            self._judge_runs(sitting)
            self._judge_shares(sitting)
        self._judge_uses()

    def _take(self, reader: str, fact: object) -> None:
        if isinstance(fact, Window):
            self._windows[reader, fact.meter].setdefault(fact.start_ms, fact)
        elif isinstance(fact, Use):
            self._uses[reader, fact.meter, fact.start_ms].setdefault(fact.run, fact)
        elif isinstance(fact, RunEvent):
            self._events[reader].setdefault(fact.event, fact)

    def _told(self, reader: str, meter: str) -> Told:
        windows = self._windows[reader, meter]
        sitting = self._sittings[reader]
        ordered = [windows[start] for start in sorted(windows)]
        return Told(sitting=sitting, meter=meter, device=sitting.devices[meter], windows=ordered)

    def complain(self, told: Told | Sitting, what: str) -> None:
        """Say what is wrong."""
        where = f"{told.sitting.reader} {told.meter}" if isinstance(told, Told) else told.reader
        self.complaints.append(f"{where}: {what}")

    # --- one reader, one meter ---

    def _judge(self, told: Told) -> None:
        for before, after in pairwise(told.windows):
            if before.end_ms > after.start_ms:
                self.complain(told, f"{after} overlaps {before}")
        if told.device.per_joule:
            Counted(self, told).judge()
            self._sum_up(told)
        else:
            Sensed(self, told).judge()
        self._judge_holes(told)

    def _sum_up(self, told: Told) -> None:
        """Of all that a counter's reader watched: what is told is the truth minus the gaps, but for what is less than a millijoule."""
        read_mj = sum(window.energy_mj or 0 for window in told.windows)
        true_nj, watched_nj = (
            sum(told.device.true_nj(end) - told.device.true_nj(start) for start, end in union(stretches))
            for stretches in (told.measured, told.watched)
        )
        self.sums["read_mj"] += read_mj
        self.sums["watched_mj"] += watched_nj // NANOJOULES_PER_MILLIJOULE
        self.sums["gap_mj"] += (watched_nj - true_nj) // NANOJOULES_PER_MILLIJOULE
        if abs(read_mj - true_nj // NANOJOULES_PER_MILLIJOULE) > 2 * len(told.measured) + 1:
            self.complain(told, f"told {read_mj} of {true_nj // NANOJOULES_PER_MILLIJOULE} mJ")

    def _judge_holes(self, told: Told) -> None:
        """Of time in which a run was open throughout, and known to be, something is told."""
        watched = union(told.watched)
        for (_, end_us), (start_us, _) in pairwise(watched):
            if start_us - end_us < LEAST_US:
                continue  # two reads in one millisecond have one label: between them nothing can be told
            saved_us = self._last_save(told.sitting, end_us, start_us)
            for life in told.sitting.lives:
                ended_us = life.ended_us or start_us
                if life.told_us and life.told_us < saved_us - BELL_US and ended_us > start_us + BELL_US:
                    self.complain(told, f"nothing told of {end_us}..{start_us}, when {life.event} was open")
        for life in told.sitting.lives:
            self._judge_evidence(told, watched, life.began_us, life.ended_us or life.began_us)

    def _judge_evidence(self, told: Told, watched: list[tuple[int, int]], began_us: int, ended_us: int) -> None:
        """At most a sample and a moment of a run are lost where a reader dies, disks that refuse and stopped readers left aside."""
        for start_us, end_us in holes(watched, began_us, ended_us):
            trouble = [*told.sitting.pauses, *told.sitting.refusals]
            if any(a <= end_us and start_us - told.sitting.sample_us <= b for a, b in trouble):
                continue
            if end_us - start_us > told.sitting.sample_us + 400_000:
                self.complain(
                    told, f"of a run that was open {began_us}..{ended_us} nothing is told of {start_us}..{end_us}"
                )

    def _last_save(self, sitting: Sitting, end_us: int, start_us: int) -> int:
        """Return until when those who were told of are known to whoever read at `start_us`.

        Where somebody else read before: when the last checkpoint before that turn came out whole.
        """
        turn_us = max((began for began, _ in sitting.turns if began is not None and began <= start_us), default=0)
        if turn_us <= end_us:
            return end_us
        n = bisect_left(sitting.saves, turn_us)  # not its own first one, which may come at the same instant
        return sitting.saves[n - 1] if n else 0

    # --- the books ---

    def _judge_books(self, told: list[Told]) -> None:
        book, other = PureBook(self._arrived), Auditor(self._arrived)
        usage = book.usage()
        by_meter: dict[str, list[Told]] = defaultdict(list)
        for one in told:
            by_meter[one.meter].append(one)
        for meter, readers in by_meter.items():
            booked = sum(row.energy_mj for (of, _), hour in usage.items() if of == meter for row in hour.rows)
            self.sums["booked_mj"] += booked
            again = sum(
                share.energy_mj for of, hour in usage if of == meter for share in other.usage(of, hour).values()
            )
            if booked != again:
                self.complaints.append(f"{meter}: booked {booked}, and by the other way {again}")
            if len(readers) == 1:
                read = sum(window.energy_mj or 0 for window in readers[0].windows)
                if booked != read:
                    self.complaints.append(f"{meter}: booked {booked}, but read {read}")
                overclaimed = [hour for (of, hour), laid in usage.items() if of == meter and laid.overclaimed]
                if overclaimed:
                    self.complaints.append(f"{meter}: more claimed than there is in {overclaimed}")
            else:
                self._judge_shared(meter, booked, readers)

    def _judge_shared(self, meter: str, booked_mj: int, readers: list[Told]) -> None:
        """Several readers that share no lock read one meter: its energy is in the books once.

        Where one's windows are cut at another's bounds they are cut by time: how far that is from the truth is known from the
        power. Where a clock stepped back, readers may disagree about the time itself; then only what is too much is told of.
        """
        host = readers[0].sitting.host
        device = readers[0].device
        if not device.per_joule or any(step < 0 for _, step in host.steps):
            self.sums["unsure"] += 1
            return
        measured = union([stretch for one in readers for stretch in one.measured])
        true_mj = (
            sum(device.true_nj(end) - device.true_nj(start) for start, end in measured) // NANOJOULES_PER_MILLIJOULE
        )
        slack_mj = len(measured) + sum(self._slack_mj(one, readers) for one in readers)
        slack_mj += sum(step > 0 for _, step in host.steps) * len(readers) * device.max_power_mw * 6
        self.sums["shared"] += 1
        if abs(booked_mj - true_mj) > slack_mj:
            self.complaints.append(f"{meter}: booked {booked_mj} of {true_mj} ± {slack_mj}")

    def _slack_mj(self, told: Told, readers: list[Told]) -> int:
        """Return how far the energy of windows that another reader's bounds cut may be from the truth."""
        slack_nj = 0
        bounds = sorted(
            {bound for one in readers if one is not told for w in one.windows for bound in (w.start_ms, w.end_ms)}
        )
        reads = sorted((read.label_ms, read.at_us) for read in told.sitting.reads[told.meter] if read.is_good)
        for window in told.windows:
            if bisect_right(bounds, window.start_ms) == bisect_right(bounds, window.end_ms - 1) or not reads:
                continue
            first = max(0, bisect_right(reads, (window.start_ms, 1 << 62)) - 1)
            last = min(len(reads) - 1, bisect_right(reads, (window.end_ms - 1, 1 << 62)))
            powers = told.device.powers_between(reads[first][1], reads[last][1])
            slack_nj += (max(powers) - min(powers)) * (reads[last][1] - reads[first][1])
            slack_nj += max(powers) * 2 * MINUTE_SNAP_US
        return slack_nj // NANOJOULES_PER_MILLIJOULE

    # --- runs ---

    def _judge_runs(self, sitting: Sitting) -> None:
        events = self._events[sitting.reader]
        for life in sitting.lives:
            self.sums["runs"] += 1
            began, ended = events.get(f"{life.event}.started"), events.get(f"{life.event}.ended")
            if (began is None) != (ended is None):
                self.complain(sitting, f"{life.event}: began {began}, ended {ended}")
            if life.is_in_doubt or sitting.refusals:
                continue
            if began is None or ended is None:
                self.complain(sitting, f"{life.event}: not told of")
            elif ended.status != life.status:
                self.complain(sitting, f"{life.event}: {ended.status}, and in truth {life.status}")

    def _judge_shares(self, sitting: Sitting) -> None:
        """The active energy of processor and GPUs goes to who did the work, as far as looks every few seconds can tell."""
        if sitting.refusals or sitting.pauses or sum(spool.host is sitting.host for spool in self._spools) > 1:
            return
        for meter, device in sitting.devices.items():
            if device.component == "dram" or (device.name and device.outages):
                continue
            uses = {k[2]: used for k, used in self._uses.items() if k[:2] == (sitting.reader, meter)}
            told: Counter[str] = Counter()
            true: Counter[str] = Counter()
            for run, told_mj, true_mj in compared(sitting, meter, self._windows[sitting.reader, meter], uses):
                told[run] += told_mj
                true[run] += true_mj
            died = sum(life.status == "killed" for life in sitting.lives)
            slack_mj = sum(true.values()) // 20 + device.max_power_mw * LOOK_SECONDS[device.component] * (1 + died)
            for run in told | true:
                self.sums[f"{device.component}_active_mj"] += true[run]
                self.sums[f"{device.component}_elsewhere_mj"] += abs(told[run] - true[run])
                if abs(told[run] - true[run]) > slack_mj:
                    self.complain(
                        sitting, f"{run[:8]} was given {told[run]} mJ, and in truth did {true[run]} ± {slack_mj}"
                    )

    def _judge_uses(self) -> None:
        for (reader, meter, start_ms), uses in self._uses.items():
            window = self._windows[reader, meter].get(start_ms)
            if window is None:
                self.complaints.append(f"{reader} {meter}: uses of {start_ms}, of which there is no window")
                continue
            energy = sum(use.energy_mj for use in uses.values())
            if (
                energy > (window.energy_mj or 0)
                or sum(u.time_ms for u in uses.values()) > window.end_ms - window.start_ms
            ):
                self.complaints.append(f"{reader} {meter}: more used than {window} has")


class Stretch(NamedTuple):
    """What a power meter's reader told of a stretch of time; a gap has a reason."""

    start_ms: int
    end_ms: int
    energy_mj: int
    reason: str


class Counted:
    """The windows of a counter: each has what the counter truly passed between the reads at its ends."""

    def __init__(self, audit: Audit, told: Told) -> None:
        """Begin before the first."""
        self._audit = audit
        self._told = told
        self._device = told.device
        self._at: dict[int, list[int]] = defaultdict(list)
        self._asked: dict[int, int] = {}
        for read in told.sitting.reads[told.meter]:
            self._asked[read.label_ms] = read.at_us
            if read.is_good:
                self._at[read.label_ms].append(read.at_us)
        self._labels = sorted(self._at)
        self._begun = {began for began, _ in told.sitting.turns}
        self._paths: list[tuple[int, int]] = []
        self._settled_us: set[int] = set()
        self._reached_ms = -1

    def judge(self) -> None:
        """Walk through the windows."""
        gap_ms = None
        for window, after in zip_longest(self._told.windows, self._told.windows[1:]):
            if not window.is_gap:
                self._reading(window)
            else:
                gap_ms = gap_ms or window.start_ms
                is_cut = after and after.reason == window.reason and after.start_ms == window.end_ms
                if not is_cut or window.end_ms % HOUR_MS:
                    self._gap(window, gap_ms)
                    gap_ms = None
            self._reached_ms = window.end_ms

    def _reading(self, window: Window) -> None:
        """Hold a reading against the truth: since its reader's first read, and so with what was less than a millijoule before.

        Where a turn began at the very instant, or under the same label, its reader may have gone on from the other's rest or begun with
        none: what is told later decides.
        """
        self._audit.sums["readings"] += 1
        bases = self._at.get(window.start_ms, [])
        if not self._paths or window.start_ms != self._reached_ms:
            self._paths = [(base, 0) for base in bases]
            if not bases:
                self._audit.complain(self._told, f"{window} begins where nothing was read")
        else:
            self._paths += [(base, 0) for base in bases if base in self._begun or base not in self._settled_us]
        self._paths = [(base, told_mj + (window.energy_mj or 0)) for base, told_mj in dict.fromkeys(self._paths)]
        ends = self._at.get(window.end_ms)
        if ends is not None and self._settle(ends):
            return
        if window.end_ms % HOUR_MS == 0:
            return  # a longer reading was cut there by time
        if ends is None:
            self._audit.complain(self._told, f"{window} ends where nothing was read")
            return
        possible = {base: [self._passed_mj(base, end) for end in ends] for base, _ in self._paths}
        self._audit.complain(self._told, f"{window}: told since {self._paths}, in truth {possible}")
        self._paths = [(base, window.energy_mj or 0) for base in bases]

    def _settle(self, ends: list[int]) -> bool:
        """Tell whether what was told up to here is what passed; keep every way in which it can be."""
        good = [
            (base, told_mj, end)
            for base, told_mj in self._paths
            for end in ends
            if self._passed_mj(base, end) == told_mj
        ]
        if not good:
            return False
        self._paths = [(base, told_mj) for base, told_mj, _ in good]
        self._settled_us = {end for *_, end in good}
        base, _, end = good[0]
        for stretches in (self._told.measured, self._told.watched):
            if stretches is self._told.measured and stretches and stretches[-1][0] == base:
                stretches[-1] = (base, end)
            else:
                stretches.append((base, end))
        return True

    def _passed_mj(self, start_us: int, end_us: int) -> int | None:
        if end_us < start_us or self._device.has_break(start_us, end_us):
            return None
        return (self._device.units(end_us) - self._device.units(start_us)) * 1_000 // self._device.per_joule

    def _gap(self, window: Window, start_ms: int) -> None:
        self._audit.sums["gaps"] += 1
        host = self._told.sitting.host
        if window.reason == CLOCK_STEP:
            if not any(step > 0 for _, step in host.steps):
                self._audit.complain(self._told, f"no clock stepped: {window}")
            # The step is laid where the open window begins: what a failing meter was asked since then was asked at these labels too.
            self._at[window.end_ms] = self._at.get(start_ms, [])
            self._asked[window.end_ms] = self._asked.get(start_ms, 0)
            step_ms = window.end_ms - start_ms
            self._asked |= {
                label + step_ms: at
                for label, at in self._asked.items()
                if label > start_ms and label + step_ms not in self._asked
            }
            return
        self._paths = []
        before = [t for label in self._labels[: bisect_right(self._labels, start_ms)][-1:] for t in self._at[label]]
        after = self._at.get(window.end_ms, [])
        end_us = after[-1] if after else self._asked.get(window.end_ms, 0)
        start_us = before[0] if before else min(self._asked.get(start_ms, end_us), end_us)
        self._told.watched.append((min(self._asked.get(start_ms, start_us), end_us), end_us))
        if not self._is_caused(window, start_us, end_us):
            self._audit.complain(self._told, f"no cause for {window}, read at {before} and {after}")

    def _is_caused(self, window: Window, start_us: int, end_us: int) -> bool:
        device = self._device
        if window.reason in {COUNTER_RESET, IMPLAUSIBLE_JUMP}:
            return device.has_break(start_us, end_us)
        if window.reason == RANGE_EXCEEDED:
            most_uj = device.max_power_mw * 120 * ((end_us - start_us) // 1_000 + 1_200) // 100
            return bool(device.range) and most_uj * device.per_joule // 1_000_000 >= device.range
        if window.reason == READ_FAILED:
            return bool(device.failing_percent or any(why == READ_FAILED for _, _, why in device.outages))
        if window.reason == DEVICE_LOST:
            return any(why == DEVICE_LOST for _, _, why in device.outages)
        return False


class Sensed:
    """The windows of a power meter: the truth, as far as samples with steps between them can tell."""

    def __init__(self, audit: Audit, told: Told) -> None:
        """Take the samples."""
        self._audit = audit
        self._told = told
        self._at: dict[int, list[int]] = defaultdict(list)
        for read in told.sitting.reads[told.meter]:
            self._at[read.label_ms].append(read.at_us)
        self._times = sorted(read.at_us for read in told.sitting.reads[told.meter] if read.is_good)

    def judge(self) -> None:
        """Compare each window with the truth."""
        for window in self._joined():
            if window.reason == CLOCK_STEP:
                self._at.setdefault(window.end_ms, self._at.get(window.start_ms, []))
            pairs = [
                (a, b) for a in self._at.get(window.start_ms, ()) for b in self._at.get(window.end_ms, ()) if a < b
            ]
            if not pairs:
                continue
            self._told.watched.append((min(pairs)[0], min(pairs)[1]))
            if window.reason:
                self._audit.sums["gaps"] += 1
                if window.reason not in {SAMPLES_TOO_FAR_APART, DEVICE_LOST, READ_FAILED, CLOCK_STEP}:
                    self._audit.complain(self._told, f"no cause for {window}")
                continue
            self._audit.sums["sensed"] += 1
            off = [self._off_mj(window, start_us, end_us) for start_us, end_us in pairs]
            best = min(range(len(pairs)), key=lambda n: off[n])
            self._told.measured.append(pairs[best])
            if off[best] > 0:
                self._audit.complain(self._told, f"{window}, off by {off[best]}")

    def _joined(self) -> list[Stretch]:
        """Return the windows, those put together again that were cut at the end of an hour where nothing was read."""
        joined: list[Stretch] = []
        for window in self._told.windows:
            stretch = Stretch(window.start_ms, window.end_ms, window.energy_mj or 0, window.reason)
            last = joined[-1] if joined else stretch
            is_cut = stretch.start_ms % HOUR_MS == 0 and stretch.start_ms not in self._at
            if is_cut and (last.end_ms, last.reason) == (stretch.start_ms, stretch.reason):
                joined[-1] = last._replace(end_ms=stretch.end_ms, energy_mj=last.energy_mj + stretch.energy_mj)
            else:
                joined.append(stretch)
        return joined

    def _off_mj(self, window: Stretch, start_us: int, end_us: int) -> int:
        """Return how much further from the truth a window is than samples may be."""
        true_nj = self._told.device.true_nj(end_us) - self._told.device.true_nj(start_us)
        off_nj = abs(window.energy_mj * NANOJOULES_PER_MILLIJOULE - true_nj) - self._slack_nj(start_us, end_us)
        return off_nj // NANOJOULES_PER_MILLIJOULE

    def _slack_nj(self, start_us: int, end_us: int) -> int:
        device = self._told.device
        inner = self._times[bisect_right(self._times, start_us) - 1 : bisect_right(self._times, end_us)]
        slack = 0
        for a, b in pairwise(inner):
            powers = device.powers_between(a, b)
            slack += (max(powers) - min(powers)) * (b - a) + max(powers) * ((b - a) // 19 + 2_000)
        return slack + device.max_power_mw * 2 * MINUTE_SNAP_US


def union(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return stretches that neither meet nor overlap."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def holes(stretches: list[tuple[int, int]], start_us: int, end_us: int) -> Iterator[tuple[int, int]]:
    """Yield what of a stretch of time is in none of these."""
    for a, b in stretches:
        if b <= start_us or a >= end_us:
            continue
        if a > start_us:
            yield start_us, a
        start_us = max(start_us, b)
    if start_us < end_us:
        yield start_us, end_us
