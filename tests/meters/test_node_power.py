"""The rest of a node: node less parts, nothing twice, never below 0, and never waiting for a controller."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.bmc import ipmitool
from helpers.machines import Machine
from hypothesis import given
from hypothesis import strategies as st

from joulebook_collectors.meters.meter import CounterValue, MeterDescription, NoData, PowerValue
from joulebook_collectors.meters.node_power import AcpiSource, NodeRestMeter
from joulebook_collectors.meters.node_source import configured_node
from joulebook_collectors.presence.span import Span
from joulebook_collectors.reading.windows import Watch
from joulebook_ledger.core.metering import COUNTER_RESET, Baseline, Measured, Missing, read_counter
from joulebook_ledger.core.refusals import BadInput

SECOND = 1_000
JOULE = 1_000_000


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        """Begin some time after the boot."""
        self.now_ms = 100_000

    def __call__(self) -> int:
        """Return the time."""
        return self.now_ms


class Source:
    """A node whose power is set by hand."""

    label = "made up"

    def __init__(self, power_w: int | str) -> None:
        """Draw so many watts; a word is a reason to say nothing."""
        self.power_w = power_w
        self.is_closed = False

    def power(self) -> PowerValue | NoData:
        """Answer the power now."""
        return NoData(self.power_w) if isinstance(self.power_w, str) else PowerValue(self.power_w * 1000)

    def close(self) -> None:
        """Be closed."""
        self.is_closed = True


class Part:
    """A part of the node with a counter in joules."""

    description = MeterDescription(
        device="b", domain="p", component="cpu", max_power_mw=1_000_000_000, label="", method="counter"
    )

    def __init__(self) -> None:
        """Begin somewhere."""
        self.joules = 7
        self.reason = ""

    def read(self) -> CounterValue | NoData:
        """Answer the counter, or the reason."""
        return NoData(self.reason) if self.reason else CounterValue(self.joules, 1, 0)

    def close(self) -> None:
        """Nothing is held."""


class Bench:
    """A node on a bench: a source, parts, and a meter that is asked by hand."""

    def __init__(self, power_w: int | str, parts: int = 1) -> None:
        """Begin with a first sample."""
        self.clock, self.source, self.parts = Clock(), Source(power_w), [Part() for _ in range(parts)]
        self.meter = NodeRestMeter(
            source=self.source, parts=self.parts, device="b", clock_ms=self.clock, starts_thread=False
        )
        self.meter.ask()
        self.first = self.meter.read()

    def pass_by(self, seconds: int, *joules: int) -> CounterValue | NoData:
        """Let time pass in which parts draw, ask the source, and read."""
        self.clock.now_ms += seconds * SECOND
        for part, drawn in zip(self.parts, joules, strict=False):
            part.joules += drawn
        self.meter.ask()
        return self.meter.read()

    def rest(self) -> int:
        """Return the microjoules beyond the parts so far."""
        answer = self.meter.read()
        assert isinstance(answer, CounterValue)
        assert isinstance(self.first, CounterValue)
        return answer.value - self.first.value


def test_the_rest_is_what_no_part_drew() -> None:
    """100 W for 10 s, of which two parts drew 700 J."""
    bench = Bench(100, parts=2)
    bench.pass_by(5, 300, 50)
    bench.pass_by(5, 300, 50)
    assert bench.rest() == 300 * JOULE
    description = bench.meter.description
    assert (description.component, description.boundary, description.method) == ("node_rest", "it", "sensor")


def test_a_deficit_is_carried_forward() -> None:
    """The parts are ahead of the node by 200 J: the rest stands still until the node has caught up, and never goes back."""
    bench = Bench(100)
    rests = []
    for drawn in (400, 700, 300, 300, 400):
        bench.pass_by(5, drawn)
        rests.append(bench.rest() // JOULE)
    assert rests == [100, 100, 100, 300, 400]


@given(st.lists(st.tuples(st.integers(1, 19), st.integers(1, 2_000), st.integers(0, 20_000)), min_size=1, max_size=30))
def test_rest_and_parts_are_the_node(steps: list[tuple[int, int, int]]) -> None:
    """Cumulatively rest + parts = node + what is still owed; nothing is owed wherever the rest has just grown.

    So it is the node wherever that is ahead, and the parts alone where the node never is: max(node, parts) at each such point.
    """
    bench = Bench(500)
    node_uj, parts_uj, before_w, most, shown = 0, 0, 500, 0, 0
    for seconds, power_w, drawn in steps:
        bench.source.power_w = power_w
        bench.clock.now_ms += seconds * SECOND
        bench.parts[0].joules += drawn
        bench.meter.ask()
        rest = bench.rest()
        node_uj += (before_w + power_w) * seconds * JOULE // 2
        parts_uj += drawn * JOULE
        before_w, most = power_w, max(most, node_uj - parts_uj)
        owed = most - (node_uj - parts_uj)
        assert rest + parts_uj == node_uj + owed
        assert rest >= shown
        if rest == 0 or rest > shown:
            assert rest + parts_uj == max(node_uj, parts_uj)
        shown = rest


def test_power_is_held_between_two_samples_and_put_right_by_the_next() -> None:
    """4 s at 100 W as held, then it was 60 W at the end: 80 W on average, so 80 J too much are owed and worked off."""
    bench = Bench(100)
    bench.clock.now_ms += 4 * SECOND
    assert bench.rest() == 400 * JOULE
    bench.source.power_w = 60
    bench.meter.ask()
    assert bench.rest() == 400 * JOULE
    bench.clock.now_ms += 2 * SECOND
    assert bench.rest() == 440 * JOULE


def test_a_source_that_is_away_makes_a_gap_and_no_zero() -> None:
    """Held for a while; then there is a reason, and what comes after begins below all that was shown: a reset, never a wrap."""
    bench = Bench(100)
    before = bench.pass_by(5, 0)
    bench.source.power_w = "read_failed"
    assert isinstance(bench.pass_by(5, 0), CounterValue)
    assert bench.pass_by(60, 0) == NoData("read_failed")
    bench.source.power_w = 100
    after = bench.pass_by(5, 0)
    assert isinstance(before, CounterValue)
    assert isinstance(after, CounterValue)
    _, said = read_counter(
        Baseline(before.value, 0), after.value, 70_000, per_joule=JOULE, wraps_at=0, max_power_mw=30_000_000
    )
    assert said == Missing(COUNTER_RESET)


def test_a_rest_of_nothing_is_also_seen_to_begin_anew() -> None:
    """A node whose parts drew it all shows the same value all the time: after a pause it is lower all the same."""
    bench = Bench(100)
    first = bench.pass_by(5, 500)
    bench.clock.now_ms += 60 * SECOND
    bench.meter.ask()
    second = bench.meter.read()
    assert isinstance(first, CounterValue)
    assert isinstance(second, CounterValue)
    assert second.value < first.value


def test_what_parts_draw_while_the_source_is_away_is_not_taken_from_later() -> None:
    """Both sides begin anew together."""
    bench = Bench(100)
    bench.pass_by(60, 9_000)
    bench.first = bench.meter.read()
    bench.pass_by(5, 100)
    assert bench.rest() == 400 * JOULE


def test_a_part_that_fails_for_a_while_is_taken_off_when_it_is_back() -> None:
    """Its counter holds all of it: nothing counts twice."""
    bench = Bench(100)
    bench.parts[0].reason = "device_lost"
    bench.pass_by(5, 200)
    bench.parts[0].reason = ""
    bench.pass_by(5, 200)
    bench.pass_by(5, 200)
    assert bench.rest() == 15 * 100 * JOULE - 600 * JOULE


def test_a_source_never_asked_says_so() -> None:
    """And one that only fails, why."""
    assert Bench("permission_denied").first == NoData("permission_denied")


def test_a_slow_source_keeps_nobody_waiting() -> None:
    """A controller that hangs is in a thread of its own, and closing does not wait for it either."""
    asked, goes_on = threading.Event(), threading.Event()

    class Slow(Source):
        def power(self) -> PowerValue | NoData:
            asked.set()
            goes_on.wait(20)
            return super().power()

    source = Slow(100)
    meter = NodeRestMeter(source=source, parts=(), device="b", sample_seconds=60)
    assert asked.wait(20)
    assert meter.read() == NoData("not_asked")
    meter.close()
    assert meter.read() == NoData("closed")
    assert not source.is_closed
    goes_on.set()
    for _ in range(2_000):
        if source.is_closed:
            break
        time.sleep(0.01)
    assert source.is_closed


def test_a_real_child_process_is_asked_by_the_thread(tmp_path: Path) -> None:
    """From the words of `ipmitool` to a counter that grows."""
    text = "    Instantaneous power reading:   500 Watts\n    Power reading state is:   activated\n"
    node = configured_node(
        {"source": "ipmi", "command": ipmitool(tmp_path / "bin", {"dcmi power reading": (0, text, "")})}
    )
    assert node is not None
    meter = NodeRestMeter(source=node.source, parts=(), device="b", sample_seconds=0.05)
    values = set()
    for _ in range(2_000):
        answer = meter.read()
        if isinstance(answer, CounterValue):
            values.add(answer.value)
        if len(values) > 2:
            break
        time.sleep(0.01)
    meter.close()
    assert len(values) > 2


def test_the_first_readings_are_plausible_to_the_books() -> None:
    """A step between two reads one second apart is never more than the meter's greatest power allows."""
    bench = Bench(10_000, parts=0)
    base: Baseline | None = None
    for _ in range(20):
        answer = bench.pass_by(1)
        assert isinstance(answer, CounterValue)
        base, said = read_counter(
            base,
            answer.value,
            bench.clock.now_ms,
            per_joule=answer.per_joule,
            wraps_at=answer.range,
            max_power_mw=bench.meter.description.max_power_mw,
        )
        assert said is None or said == Measured(10_000_000)


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("312000000", PowerValue(312_000)),
        ("0", NoData("read_failed")),
        ("-1", NoData("read_failed")),
        ("x", NoData("read_failed")),
    ],
)
def test_the_firmware_may_show_the_kernel(machine: Callable[[str], Machine], content: str, answer: object) -> None:
    """One meter is the node; of two nobody can tell."""
    server = machine("two_xeons")
    assert AcpiSource(server.sysfs_root).power() == NoData("not_found")
    server.write("sys/class/hwmon/hwmon0/name", "power_meter\n")
    server.write("sys/class/hwmon/hwmon0/power1_average", content)
    assert AcpiSource(server.sysfs_root).power() == answer
    server.write("sys/class/hwmon/hwmon1/name", "power_meter\n")
    assert AcpiSource(server.sysfs_root).power() == NoData("not_found")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"sourc": "ipmi"}, "no key 'sourc'"),
        ({"source": "bmc"}, "none of: none, acpi, ipmi, redfish"),
        ({"source": 5}, "none of"),
        ({"source": "ipmi", "sample_seconds": 0}, "from 1 to 300"),
        ({"source": "ipmi", "sample_seconds": True}, "from 1 to 300"),
        ({"source": "ipmi", "command": 5}, "must be a text"),
        ({"source": "redfish", "url": "https://h"}, "needs url and credentials_file"),
    ],
)
def test_a_configuration_that_cannot_be_taken_says_why(section: dict[str, object], words: str) -> None:
    """And what to write instead."""
    with pytest.raises(BadInput, match=words):
        configured_node(section)


def test_a_configuration_may_ask_for_nothing(tmp_path: Path) -> None:
    """Or for a controller, with credentials that lie apart."""
    assert configured_node({}) is None
    assert configured_node({"source": "none"}) is None
    assert isinstance(configured_node({"source": "acpi"}).source, AcpiSource)  # type: ignore[union-attr]
    secret = tmp_path / "bmc"
    secret.write_text("u\np\n")
    secret.chmod(0o600)
    node = configured_node(
        {"source": "redfish", "url": "https://h", "credentials_file": str(secret), "sample_seconds": 2}
    )
    assert node is not None
    assert (node.source.label, node.sample_seconds) == ("Redfish", 2.0)
    node.source.close()


def test_the_books_get_the_node_once() -> None:
    """Through the reader's own windows: what part and rest are laid to their hours with is what the node drew."""
    bench = Bench(300)
    watches = [
        Watch(meter, meter.description, start_ms=bench.clock.now_ms, max_gap_ms=1_500, span=Span())
        for meter in (bench.parts[0], bench.meter)
    ]
    for second in range(61):
        if second:
            bench.pass_by(1, 180)
        for watch in watches:
            watch.sample(bench.clock.now_ms)
    assert [watch.open_mj for watch in watches] == [60 * 180_000, 60 * 120_000]
