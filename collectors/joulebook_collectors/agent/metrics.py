"""What the agent tells Prometheus: few series, base units (joules, bytes, seconds), totals that only grow.

The reader's thread leaves a picture after each tick, and the page is made from that picture: a total never goes back because a window
was just ending.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter

from joulebook_collectors.host.processes import read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from joulebook_collectors.meters.meter import MeterDescription
    from joulebook_collectors.spool.segments import Frame

MILLIJOULES_PER_JOULE = MILLISECONDS_PER_SECOND = 1_000
TIME = "time"
OUTCOMES = ("stored", "stored_after_close", "already_stored", "conflicts_with_stored", "refused", "retry_later")
Labels = tuple[tuple[str, str], ...]


class Series:
    """One metric: its name, type, what it is, and its values by labels."""

    __slots__ = ("help", "kind", "name", "values")

    def __init__(self, name: str, kind: str, text: str, values: Mapping[Labels, float | int]) -> None:
        self.name = name
        self.kind = kind
        self.help = text
        self.values = values


class Metrics:
    """Counts what the agent did. Written by the reader and the deliverer, read by the page."""

    def __init__(self, version: str) -> None:
        """Count from 0."""
        self._guard = threading.Lock()
        self._version = version
        self._closed: Counter[Labels] = Counter()
        self._energy: dict[Labels, int] = {}
        self._components: dict[str, Labels] = {}
        self._windows: Counter[Labels] = Counter()
        self._gaps: Counter[Labels] = Counter()
        self._gap_ms: Counter[Labels] = Counter()
        self._items: Counter[Labels] = Counter({(("outcome", name),): 0 for name in OUTCOMES})
        self._failures = 0
        self._gauges: dict[str, float] = {}
        self._refused: dict[str, int] = {}
        self._jobs = (0, 0)

    def hear(self, frame: Frame) -> None:
        """Count windows that have ended."""
        for kind in ("readings", "gaps"):
            for window in frame.get(kind, ()):
                labels = self._components.get(window["meter"], ())
                component = (("component", dict(labels).get("component", "")),)
                self._windows[component] += 1
                self._closed[labels] += window.get("energy_mj", 0)
                if "reason" in window:
                    reason = (*component, ("reason", window["reason"]))
                    self._gaps[reason] += 1
                    self._gap_ms[reason] += window["end_ms"] - window["start_ms"]

    def know(self, key: str, description: MeterDescription) -> None:
        """Learn what a meter is."""
        self._components[key] = (("component", description.component), ("domain", description.domain))

    def take(self, open_energy: Iterable[tuple[MeterDescription, int]], *, runs: int, processes: int) -> None:
        """Take a picture of the present; by the reader's thread, between two ticks."""
        energy: Counter[Labels] = Counter(self._closed)
        for description, open_mj in open_energy:
            energy[("component", description.component), ("domain", description.domain)] += open_mj
        with self._guard:
            self._energy = {labels: value for labels, value in energy.items() if ("component", TIME) not in labels}
            self._jobs = (runs, processes)

    def delivered(self, outcomes: Mapping[str, int]) -> None:
        """Count what the ledger answered."""
        for name, number in outcomes.items():
            self._items[("outcome", name),] += number

    def failed(self) -> None:
        """Count a delivery that did not reach the ledger."""
        self._failures += 1

    def set(self, name: str, value: float) -> None:
        """Set a figure that goes up and down."""
        self._gauges[name] = value

    def page(self, *, connections: int, refused: Mapping[str, int]) -> str:
        """Return the page."""
        with self._guard:
            energy, (runs, processes) = dict(self._energy), self._jobs
        joules = {labels: value / MILLIJOULES_PER_JOULE for labels, value in energy.items()}
        gap_seconds = {labels: value / MILLISECONDS_PER_SECOND for labels, value in dict(self._gap_ms).items()}
        turned_away: dict[Labels, int] = {(("reason", reason),): number for reason, number in dict(refused).items()}
        series = [
            Series(
                "joulebook_build_info", "gauge", "1, with the version of the agent.", {(("version", self._version),): 1}
            ),
            Series(
                "joulebook_meter_energy_joules_total",
                "counter",
                "Energy that the meters counted since the agent began.",
                joules,
            ),
            Series(
                "joulebook_windows_total", "counter", "Windows that have ended, gaps among them.", dict(self._windows)
            ),
            Series(
                "joulebook_gaps_total", "counter", "Windows of which nothing is known, by reason.", dict(self._gaps)
            ),
            Series("joulebook_gap_seconds_total", "counter", "Time of which nothing is known, by reason.", gap_seconds),
            Series("joulebook_runs_open", "gauge", "Runs in force on this host.", {(): runs}),
            Series("joulebook_processes_tracked", "gauge", "Processes that announced themselves.", {(): processes}),
            Series(
                "joulebook_connections", "gauge", "Jobs that are connected to the agent's socket.", {(): connections}
            ),
            Series(
                "joulebook_connections_refused_total", "counter", "Jobs that were turned away, by reason.", turned_away
            ),
            Series(
                "joulebook_delivery_items_total",
                "counter",
                "Items that the ledger answered, by outcome.",
                dict(self._items),
            ),
            Series(
                "joulebook_delivery_failures_total",
                "counter",
                "Deliveries that did not reach the ledger.",
                {(): self._failures},
            ),
            *(Series(name, "gauge", GAUGES[name], {(): self._gauges.get(name, 0)}) for name in GAUGES),
            *_of_this_process(),
        ]
        return "".join(_text_of(one) for one in series)


GAUGES = {
    "joulebook_spool_bytes": "Bytes that the spool takes on the disk.",
    "joulebook_spool_oldest_unsent_seconds": "Time since all was delivered; 0 where nothing waits.",
    "joulebook_delivery_last_success_timestamp_seconds": "When a delivery reached the ledger last; 0 for never.",
}


def _of_this_process() -> list[Series]:
    times = os.times()
    pages = (read_bytes("/proc/self/statm", 256) or b"").split()
    resident = int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if len(pages) > 1 else 0
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    return [
        Series(
            "process_cpu_seconds_total", "counter", "CPU time of the agent itself.", {(): times.user + times.system}
        ),
        Series("process_resident_memory_bytes", "gauge", "Memory of the agent itself.", {(): resident}),
        Series("process_open_fds", "gauge", "Files that the agent holds open.", {(): files}),
    ]


def _text_of(series: Series) -> str:
    lines = [f"# HELP {series.name} {series.help}", f"# TYPE {series.name} {series.kind}"]
    for labels, value in sorted(series.values.items()):
        inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
        lines.append(f"{series.name}{'{' + inside + '}' if inside else ''} {value}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Pulse:
    """Whether the reader is at work: it says so after each tick."""

    __slots__ = ("_at", "_longest_seconds", "_now", "is_ready")

    def __init__(self, longest_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        """Hold it dead after so many seconds of silence."""
        self._longest_seconds = longest_seconds
        self._now = now
        self._at = now()
        self.is_ready = False

    def beat(self) -> None:
        """The reader is at work."""
        self._at = self._now()

    def health(self) -> tuple[bool, str]:
        """Answer /healthz."""
        silent = self._now() - self._at
        well = silent <= self._longest_seconds
        return well, "ok\n" if well else f"the reader has said nothing for {silent:.0f} seconds\n"

    def readiness(self) -> tuple[bool, str]:
        """Answer /readyz."""
        well, text = self.health()
        return (well, text) if self.is_ready or not well else (False, "not reading yet, or stopping\n")
