"""Watched meters become windows and uses that lose nothing and invent nothing."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from joulebook_collectors.meters.find import time_meter
from joulebook_collectors.meters.meter import CounterValue, MeterDescription, NoData, PowerValue
from joulebook_collectors.presence.span import Span
from joulebook_collectors.reading.handover import frame_of
from joulebook_collectors.reading.windows import HOUR_MS, Watch, meter_item, meter_key
from joulebook_ledger.core.attribution import FINE
from joulebook_ledger.core.records import Meter, Use, Window

START = 1_800_000_000_000 // HOUR_MS * HOUR_MS
CPU = MeterDescription(
    device="boot", domain="package-0", component="cpu", max_power_mw=500_000, label="CPU", method="counter"
)
RUN, OTHER = "a" * 32, "b" * 32


def watch(description: MeterDescription = CPU, start_ms: int = START) -> Watch:
    """Return a watch that begins at `start_ms`."""
    return Watch(None, description, start_ms=start_ms, max_gap_ms=1_500, span=Span())


def counter(microjoules: int) -> CounterValue:
    """Return what a counter of microjoules shows."""
    return CounterValue(microjoules, 1_000_000, 1 << 50)


def observe(watched: Watch, *answers: tuple[int, Any]) -> None:
    """Let a meter answer at seconds after the start."""
    for seconds, answer in answers:
        watched.observe(answer, START + seconds * 1_000)


def total_mj(windows: list[dict[str, Any]]) -> int:
    """Return the energy of windows."""
    return sum(window.get("energy_mj", 0) for window in windows)


def test_a_meters_id_is_the_one_of_the_books() -> None:
    """The measured path writes it without loading the records."""
    item = meter_item(CPU)
    assert meter_key(CPU) == Meter(**item).key


def test_a_failed_read_in_six_costs_a_counter_nothing() -> None:
    """300 J were drawn, one read failed: one window of 300 J, and no gap."""
    watched = watch()
    reads = [0, 50, None, 150, 200, 250, 300]
    observe(
        watched,
        *((n, NoData("read_failed") if joules is None else counter(joules * 10**6)) for n, joules in enumerate(reads)),
    )
    (window,) = watched.close(START + 6_000)
    assert (window["energy_mj"], window["end_ms"] - window["start_ms"]) == (300_000, 6_000)


def test_a_failed_read_in_six_costs_a_power_meter_a_gap() -> None:
    """200 J were measured, and two seconds are a gap with an estimate of 100 J beside it."""
    watched = watch()
    powers = [50_000, 50_000, None, 50_000, 50_000, 50_000, 50_000]
    observe(watched, *((n, NoData("read_failed") if mw is None else PowerValue(mw)) for n, mw in enumerate(powers)))
    windows = watched.close(START + 6_000)
    assert total_mj(windows) == 200_000
    assert [(w["reason"], w["estimate_mj"]) for w in windows if "reason" in w] == [("samples_too_far_apart", 100_000)]


def test_a_window_whose_last_read_failed_stays_open_until_the_next() -> None:
    """The counter still holds the energy: nothing is told before it is known."""
    watched = watch()
    observe(watched, (0, counter(0)), (1, counter(10**6)), (2, NoData("read_failed")))
    assert watched.close(START + 2_000) == []
    observe(watched, (3, counter(3 * 10**6)))
    (window,) = watched.close(START + 3_000)
    assert (window["start_ms"], window["energy_mj"]) == (START, 3_000)


def test_a_meter_that_never_answers_is_a_gap_all_the_time() -> None:
    """A device that is there and cannot be read: its time is a gap with the reason."""
    watched = watch()
    observe(watched, (1, NoData("permission_denied")))
    (gap,) = watched.close(START + 60_000)
    assert (gap["reason"], gap["start_ms"], gap["end_ms"]) == ("permission_denied", START, START + 60_000)


def test_a_counter_that_was_reset_is_a_gap_and_a_new_beginning() -> None:
    """Before it and after it is measured; between lies a gap, and its value is never energy."""
    watched = watch()
    observe(
        watched, (0, counter(9 * 10**9)), (1, counter(9 * 10**9 + 10**6)), (2, counter(500)), (3, counter(10**6 + 500))
    )
    windows = watched.close(START + 3_000)
    assert [w.get("energy_mj", w.get("reason")) for w in windows] == [1_000, "counter_reset", 1_000]


def test_a_difference_over_the_end_of_an_hour_is_cut_there_by_time() -> None:
    """What was counted before stays in its hour; only the difference that spans both is cut, and the parts are the whole."""
    watched = watch(start_ms=START + HOUR_MS - 2_000)
    watched.observe(counter(0), START + HOUR_MS - 2_000)
    watched.observe(counter(10 * 10**6), START + HOUR_MS - 1_000)
    watched.observe(counter(13 * 10**6 + 1_000), START + HOUR_MS + 2_000)
    windows = watched.close(START + HOUR_MS + 2_000)
    assert [(w["end_ms"] - w["start_ms"], w["energy_mj"]) for w in windows] == [(2_000, 11_000), (2_000, 2_001)]


def test_a_successor_goes_on_with_the_window_to_the_last_microjoule() -> None:
    """Counter value, rest and what was counted so far pass through the checkpoint."""
    first = watch()
    observe(first, (0, counter(123)), (1, counter(10**6 + 999)))
    second = watch()
    second.resume(first.to_json())
    observe(second, (2, counter(2 * 10**6 + 124)))
    (window,) = second.close(START + 2_000)
    assert (window["start_ms"], window["energy_mj"], second.to_json()[4]) == (START, 2_000, 1_000)


def test_a_window_that_is_given_up_ends_where_it_was_last_read() -> None:
    """Time in which nobody read is told of only where a read failed."""
    silent, failed = watch(), watch()
    for watched in (silent, failed):
        observe(watched, (0, counter(0)), (1, counter(10**6)))
    observe(failed, (2, NoData("device_lost")))
    assert [w["end_ms"] for w in silent.give_up(START + 3_000)] == [START + 1_000]
    assert [w.get("reason") for w in failed.give_up(START + 3_000)] == [None, "device_lost"]


def test_the_lowest_minute_becomes_the_static_power() -> None:
    """Where nobody declared it: the lowest one-minute mean seen in this boot, and the use says so."""
    watched = watch()
    watched.span.hold_host([(1, [RUN])], 60_000_000, 1)
    watched.span.length_us = 60_000_000
    joules = 0
    for second in range(200):
        joules += 100 if second < 100 else 20
        observe(watched, (second, counter(joules * 10**6)))
    (window,) = watched.close(START + 199_000)
    (use,) = [use for use in watched.uses(window, []) if use["run"] == RUN]
    assert use["method"] == "cpu_time, static 20000 mW observed"
    assert use["static_mj"] == 20 * 199 * 1_000


def test_runs_side_by_side_in_threads_share_equally_and_say_so() -> None:
    """Two runs in force in one process at once."""
    watched = watch()
    watched.span.hold_host([(1, [RUN, OTHER])], 1_000_000, 1)
    watched.span.length_us = 1_000_000
    watched.span.side_by_side = True
    watched.span.be_active(watched.span.cpu, [RUN, OTHER], 900)
    watched.span.host["cpu"] = 900
    observe(watched, (0, counter(0)), (1, counter(10**6)))
    (window,) = watched.close(START + 1_000)
    uses = watched.uses(window, [])
    assert [use["energy_mj"] for use in uses] == [500, 500]
    assert all("side by side" in use["method"] for use in uses)


def test_the_machines_time_is_shared_by_what_of_it_is_held() -> None:
    """Of two devices one is held by one run: half of the time is its, the rest is idle."""
    watched = Watch(None, time_meter("boot"), start_ms=START, max_gap_ms=1_500, span=Span())
    watched.span.length_us = 1_000_000
    watched.span.hold_host([(1, [RUN])], 1_000_000, 1)
    watched.span.hold([RUN], 1_000_000, "GPU-1")
    (window,) = watched.close(START + 1_000)
    assert [use["time_ms"] for use in watched.uses(window, ["GPU-1", "GPU-2"])] == [500]
    assert [use["time_ms"] for use in watched.uses(window, [])] == [1_000]


def test_a_run_with_the_scope_of_its_process_bears_no_static_part() -> None:
    """Its static part is nobody's: booking calls it idle."""
    described = MeterDescription(
        device="boot", domain="d", component="dram", max_power_mw=9_000, label="", method="model", static_power_mw=1_000
    )
    watched = watch(described)
    watched.span.length_us = 1_000_000
    watched.span.hold_host([(1, [RUN])], 1_000_000, 1)
    watched.span.apart.append(RUN)
    observe(watched, (0, counter(0)), (1, counter(10**6)))
    (window,) = watched.close(START + 1_000)
    (use,) = watched.uses(window, [])
    assert (window["energy_mj"], use["energy_mj"], use["static_mj"]) == (1_000, 0, 0)


@given(
    steps=st.lists(
        st.tuples(
            st.integers(min_value=1, max_value=4_000_000),
            st.one_of(st.none(), st.integers(min_value=0, max_value=400)),
            st.booleans(),
        ),
        min_size=1,
        max_size=40,
    ),
    holders=st.lists(st.sampled_from([RUN, OTHER, "c" * 32]), max_size=3),
    busy_us=st.integers(min_value=0, max_value=10**9),
    host_us=st.integers(min_value=0, max_value=10**9),
)
def test_whatever_is_read_windows_join_without_overlap_and_uses_never_exceed_them(
    steps: list[tuple[int, int | None, bool]], holders: list[str], busy_us: int, host_us: int
) -> None:
    """Any pauses, failures and hours: every window is a fact, they follow one another, and energy is what the counter passed."""
    watched = watch()
    watched.observe(counter(0), START)
    now, value = START, 0
    windows: list[dict[str, Any]] = []
    uses: list[dict[str, Any]] = []
    for pause_ms, power_w, ends in steps:
        now += pause_ms
        if power_w is None:
            watched.observe(NoData("read_failed"), now)
        else:
            value += power_w * pause_ms * 1_000
            watched.observe(counter(value), now)
        watched.span.length_us += pause_ms * 1_000
        watched.span.hold_host([(1, sorted(holders))] if holders else [], pause_ms * 1_000, 1)
        watched.span.be_active(watched.span.cpu, holders, busy_us)
        watched.span.host["cpu"] += host_us
        if ends:
            closed = watched.close(now)
            windows += closed
            for window in closed:
                uses += watched.uses(window, [])
            if closed:
                watched.span = Span()
    windows += watched.give_up(now)
    facts = [Window(**window) for window in windows]
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(facts))
    assert sum(fact.energy_mj or 0 for fact in facts) <= value // 1_000
    if all(power is not None for _, power, _ in steps):
        assert sum(fact.energy_mj or 0 for fact in facts) == value // 1_000
    claimed = {fact.start_ms: 0 for fact in facts}
    for use in uses:
        fact = Use(**use)
        claimed[fact.start_ms] += fact.energy_mj
    assert all(claimed[fact.start_ms] <= (fact.energy_mj or 0) for fact in facts)


def test_windows_and_uses_of_one_instant_are_one_frame() -> None:
    """So that no reading is ever read without its uses."""
    watched = watch()
    watched.span.length_us = 1_000_000
    watched.span.hold_host([(1, [RUN])], 1_000_000, 1)
    observe(watched, (0, counter(0)), (1, counter(10**6)))
    frame = frame_of([watched], [watched.close(START + 1_000)])
    assert sorted(frame) == ["readings", "uses"]
    assert frame_of([watched], [[]]) == {}
    assert FINE % 16 == 0
