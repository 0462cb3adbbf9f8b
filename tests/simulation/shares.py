"""What each run truly did, beside what the books give it of the processor and of GPUs."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from simulation.devices import Device
    from simulation.reading import Sitting

    from joulebook_ledger.core.records import Use, Window

UNTRACKED = "untracked"
MOMENT_US = 1_000_000


def true_work(sitting: Sitting, device: Device, start_us: int, end_us: int) -> Counter[str]:
    """Return run -> work on a device, of its processes and their children: CPU time, or how busy they kept a GPU; the rest is `untracked`.

    Runs that are open side by side in one process share its work equally.
    """
    work: Counter[str] = Counter()
    work[UNTRACKED] += 0 if device.name else sitting.host.rest_rate * (end_us - start_us)
    for pid, process, ended_us in sitting.works:
        rate = process.busy.get(device.name, 0) if device.name else process.rate
        a, b = max(start_us, process.began_us), min(end_us, ended_us)
        if a < b and rate:
            for from_us, to_us, runs in _in_force(sitting, pid, a, b):
                for run in runs or [UNTRACKED]:
                    work[run] += rate * (to_us - from_us) // max(1, len(runs))
    return work


def _in_force(sitting: Sitting, pid: int, start_us: int, end_us: int) -> Iterator[tuple[int, int, list[str]]]:
    lives = [life for life in sitting.lives if life.pid == pid]
    bounds = {
        bound for life in lives for bound in (life.began_us, life.ended_us or end_us) if start_us < bound < end_us
    }
    ordered = [start_us, *sorted(bounds), end_us]
    for a, b in pairwise(ordered):
        yield a, b, sorted({life.run for life in lives if life.began_us <= a and b <= (life.ended_us or end_us)})


def compared(
    sitting: Sitting, meter: str, windows: Mapping[int, Window], uses: Mapping[int, Mapping[str, Use]]
) -> Iterator[tuple[str, int, int]]:
    """Yield run, the active energy it was given of a window, and what it did in truth, in millijoules."""
    reads = sorted((read.label_ms, read.at_us) for read in sitting.reads[meter] if read.is_good)
    for start_ms, window in windows.items():
        mine = uses.get(start_ms, {})
        first, last = bisect_left(reads, (start_ms, 0)), bisect_left(reads, (window.end_ms, 0))
        if window.is_gap or not mine or last >= len(reads):
            continue
        if (
            reads[first][0] != start_ms
            or reads[last][0] != window.end_ms
            or any(u.method == "unwatched" for u in mine.values())
        ):
            continue
        active = {run: use.energy_mj - use.static_mj for run, use in mine.items()}
        whole = sum(active.values())
        work = true_work(sitting, sitting.devices[meter], reads[first][1], reads[last][1])
        total = sum(work.values())
        if not any(true_work(sitting, sitting.devices[meter], reads[first][1], reads[last][1] - MOMENT_US).values()):
            continue  # all that was done was begun as the window closed: the device's draw of the whole window is not its doing
        for run in {*active, *work}:
            yield run, active.get(run, 0), whole * work[run] // total if total else 0
