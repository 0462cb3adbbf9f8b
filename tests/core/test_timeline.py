from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core.records import Use, Window
from joulebook_ledger.core.timeline import ReaderWindows, UsageRow, WindowUses, lay_hour


def window(start_ms, end_ms, energy_mj=None, *uses, method="counter", estimate_mj=None, meter="m"):
    """A reading, or a gap where no energy is given, and its uses as (run, energy, static, time)."""
    what = (
        {"reason": "read_failed", "estimate_mj": estimate_mj}
        if energy_mj is None
        else {"energy_mj": energy_mj, "method": method}
    )
    return WindowUses(
        window=Window(meter=meter, start_ms=start_ms, end_ms=end_ms, **what),
        uses=tuple(
            Use(meter=meter, start_ms=start_ms, run=run, energy_mj=e, static_mj=s, time_ms=t, method="cpu_time")
            for run, e, s, t in uses
        ),
    )


def reader(name, *windows, rank=1):
    """What one reader sent."""
    return ReaderWindows(rank=rank, reader=name, windows=windows)


def rows(*readers):
    """(account, method) -> (energy, held, time, estimate)."""
    return {(row.account, row.method): row[2:] for row in lay_hour(0, readers).rows}


def test_what_runs_did_not_use_is_idle():
    """100 J in a minute, of which a run used 60 J (10 of them held) and 40 s: 40 J and 20 s are idle."""
    laid = rows(reader("a", window(0, 60_000, 100_000, ("run", 60_000, 10_000, 40_000))))
    assert laid == {("run", "counter"): (60_000, 10_000, 40_000, 0), ("idle", "counter"): (40_000, 0, 20_000, 0)}


def test_two_readers_of_one_device_count_it_once():
    """Two containers see the same minute: the first in order counts, the other adds only the time it alone saw."""
    laid = rows(reader("b", window(30_000, 90_000, 60_000)), reader("a", window(0, 60_000, 100_000)))
    assert laid == {("idle", "counter"): (130_000, 0, 90_000, 0)}


def test_an_agent_stands_before_a_job_and_a_job_before_an_import():
    """Rank orders readers before their ids do."""
    laid = rows(
        reader("a", window(0, 1_000, 1), rank=2),
        reader("z", window(0, 1_000, 3), rank=0),
        reader("b", window(0, 1_000, 2)),
    )
    assert laid == {("idle", "counter"): (3, 0, 1_000, 0)}


def away(start_ms, end_ms, energy_mj):
    """What a counter passed while its reader was away."""
    use = Use(
        meter="m", start_ms=start_ms, run="untracked", energy_mj=energy_mj, static_mj=0, time_ms=end_ms - start_ms, method="unwatched"
    )  # fmt: skip
    return WindowUses(window=window(start_ms, end_ms, energy_mj).window, uses=(use,))


def test_a_reader_that_was_away_takes_nothing_from_one_that_was_there():
    """An agent comes back and finds 120 J of two minutes; of the first, a job read 60 J and its run used all of it."""
    agent = reader("a", away(0, 120_000, 120_000), rank=0)
    job = reader("j", window(0, 60_000, 60_000, ("run", 60_000, 0, 60_000)))
    usage = lay_hour(0, [agent, job])
    assert not usage.overclaimed
    assert usage.rows == (
        UsageRow("run", "counter", 60_000, 0, 60_000, 0),
        UsageRow("untracked", "counter", 60_000, 0, 60_000, 0),
    )


def test_of_two_readers_that_were_away_the_first_in_order_claims():
    """And the other only what is left."""
    usage = lay_hour(0, [reader("b", away(0, 60_000, 60)), reader("a", away(30_000, 90_000, 120))])
    assert usage.rows == (UsageRow("untracked", "counter", 150, 0, 90_000, 0),)


def model(start_ms, end_ms, energy_mj, *uses, meter="model"):
    """What a reader models of the whole component."""
    return window(start_ms, end_ms, energy_mj, *uses, method="model", meter=meter)


def test_what_is_measured_counts_and_a_model_only_where_nobody_measures():
    """The host measures 60 J of the second minute, a container models 200 J of two: 100 J of the first are left to the model."""
    host = reader("host", window(60_000, 120_000, 60_000))
    container = reader("container", model(0, 120_000, 200_000, ("run", 200_000, 0, 120_000)))
    assert lay_hour(0, [container], beside=[host]).rows == (UsageRow("run", "model", 100_000, 0, 60_000, 0),)


def test_a_model_that_yields_lends_its_shares():
    """The run did a quarter of what the container modelled of both packages: a quarter of what each measured is its own."""
    container = reader("container", model(0, 60_000, 200_000, ("run", 50_000, 10_000, 30_000)))
    for measured_mj in (60_000, 20_000):
        usage = lay_hour(0, [reader("host", window(0, 60_000, measured_mj))], beside=[container])
        assert usage.rows == (
            UsageRow("run", "counter", measured_mj // 4, measured_mj // 20, 30_000, 0),
            UsageRow("idle", "counter", measured_mj * 3 // 4, 0, 30_000, 0),
        )


def test_who_measured_a_run_knows_better_than_who_modelled_it():
    """The use of the reader that measured counts, the lent one only where the first says nothing of the run."""
    container = reader("container", model(0, 60_000, 200_000, ("run", 200_000, 0, 60_000), ("other", 100_000, 0, 0)))
    laid = lay_hour(0, [reader("host", window(0, 60_000, 60_000, ("run", 20_000, 0, 60_000)))], beside=[container])
    assert {(row.account, row.energy_mj) for row in laid.rows} == {("run", 20_000), ("other", 30_000), ("idle", 10_000)}


def test_of_two_models_the_first_counts_and_the_other_lends():
    """Two containers with other tables of TDP: one component, modelled once."""
    first = reader("z", model(0, 60_000, 100_000, ("a", 50_000, 0, 0), meter="model-1"), rank=2)
    second = reader("y", model(0, 60_000, 80_000, ("b", 20_000, 0, 0), meter="model-2"))
    assert lay_hour(0, [second], beside=[first]).rows == ()
    laid = lay_hour(0, [first], beside=[second])
    assert {(row.account, row.energy_mj) for row in laid.rows} == {("a", 50_000), ("b", 25_000), ("idle", 25_000)}


def test_where_a_model_watched_an_absent_reader_claims_nothing():
    """The agent was away two minutes; of the first a container modelled who did what, and only the second is nobody's."""
    container = reader("container", model(0, 60_000, 200_000, ("run", 150_000, 0, 60_000)))
    usage = lay_hour(0, [reader("agent", away(0, 120_000, 120_000), rank=0)], beside=[container])
    assert not usage.overclaimed
    assert {(row.account, row.energy_mj) for row in usage.rows} == {
        ("run", 45_000),
        ("untracked", 60_000),
        ("idle", 15_000),
    }


def test_what_is_declared_yields_to_nobody_and_nobody_yields_to_it():
    """A scheduler's word on a job is of that job alone."""
    declared = reader("import", window(0, 60_000, 10_000, method="declared", meter="job"))
    counter, modelled = reader("a", window(0, 60_000, 10_000)), reader("b", model(0, 60_000, 10_000))
    for one, other in ((declared, counter), (declared, modelled), (modelled, declared), (counter, declared)):
        assert sum(row.energy_mj for row in lay_hour(0, [one], beside=[other]).rows) == 10_000


def test_a_use_seen_by_two_readers_counts_once_and_runs_seen_by_one_each_both_count():
    """Each container reports its own run; both runs are on the device's line."""
    one = reader("a", window(0, 60_000, 100_000, ("run-1", 40_000, 0, 30_000)))
    other = reader("b", window(0, 60_000, 100_000, ("run-2", 50_000, 0, 30_000), ("run-1", 99_000, 0, 30_000)))
    assert rows(one, other) == {
        ("run-1", "counter"): (40_000, 0, 30_000, 0),
        ("run-2", "counter"): (50_000, 0, 30_000, 0),
        ("idle", "counter"): (10_000, 0, 0, 0),
    }


def test_claims_above_the_reading_are_cut_to_it_in_proportion_and_marked():
    """10 mJ claimed as 10 and 5: floor(10·10/15) and the rest, held energy in the same proportion."""
    usage = lay_hour(0, [reader("a", window(0, 1_000, 10, ("run-1", 10, 5, 500), ("run-2", 5, 5, 500)))])
    assert usage.overclaimed
    assert usage.rows == (UsageRow("run-1", "counter", 6, 3, 500, 0), UsageRow("run-2", "counter", 4, 4, 500, 0))


def test_claims_that_exhaust_the_reading_are_not_overclaimed():
    """Exactly all of it is not too much, one millijoule more is."""
    exact = lay_hour(0, [reader("a", window(0, 1_000, 10, ("run", 10, 0, 1_000)))])
    above = lay_hour(0, [reader("a", window(0, 1_000, 10, ("run", 11, 0, 1_000)))])
    assert not exact.overclaimed
    assert above.overclaimed
    assert exact.rows == above.rows == (UsageRow("run", "counter", 10, 0, 1_000, 0),)


def test_time_claimed_twice_is_cut_to_the_time_there_was():
    """Two runs claim the whole minute each: half each, and the hour is overclaimed."""
    usage = lay_hour(0, [reader("a", window(0, 60_000, 0, ("run-1", 0, 0, 60_000), ("run-2", 0, 0, 60_000)))])
    assert usage.overclaimed
    assert [row.time_ms for row in usage.rows] == [30_000, 30_000]


def test_a_gap_takes_no_time_from_a_reading():
    """A reader of higher rank that failed to read gives way to one that did not, and only the rest is a gap."""
    failed = reader("a", window(0, 60_000, None, estimate_mj=600), rank=0)
    read = reader("b", window(0, 40_000, 100), rank=1)
    assert rows(failed, read) == {("idle", "counter"): (100, 0, 40_000, 0), ("idle", "none"): (0, 0, 20_000, 200)}


def test_what_a_gap_may_have_drawn_is_shared_by_time_and_is_no_energy():
    """An estimate of 90 mJ over a minute that a run held for 20 s: 30 mJ beside the run, 60 beside idle."""
    laid = rows(reader("a", window(0, 60_000, None, ("run", 0, 0, 20_000), estimate_mj=90)))
    assert laid == {("run", "none"): (0, 0, 20_000, 30), ("idle", "none"): (0, 0, 40_000, 60)}


def test_a_gap_of_which_nothing_is_known_still_takes_its_time():
    """No estimate is not an estimate of nothing: the time is there, unmetered."""
    (row,) = lay_hour(0, [reader("a", window(0, 60_000))]).rows
    assert (row.account, row.time_ms, row.metered_ms, row.unmetered_mj) == ("idle", 60_000, 0, 0)


def test_methods_are_kept_apart():
    """A run metered in one half of an hour and modelled in the other has a row of each."""
    first = window(0, 1_000, 100, ("run", 60, 0, 1_000))
    second = window(1_000, 2_000, 50, ("run", 20, 0, 1_000), method="model")
    assert rows(reader("a", first, second)) == {
        ("run", "counter"): (60, 0, 1_000, 0),
        ("run", "model"): (20, 0, 1_000, 0),
        ("idle", "counter"): (40, 0, 0, 0),
        ("idle", "model"): (30, 0, 0, 0),
    }


def test_accounts_stand_in_the_order_of_their_bytes_then_untracked_then_idle():
    """Upper case before lower case, as the bytes do; idle last."""
    usage = lay_hour(0, [reader("a", window(0, 1_000, 9, *((run, 1, 0, 1) for run in ("untracked", "b", "B", "a"))))])
    assert [row.account for row in usage.rows] == ["B", "a", "b", "untracked", "idle"]


def test_a_claim_of_nothing_says_looked_and_leaves_no_row():
    """Zero use is a fact, not a posting."""
    assert rows(reader("a", window(0, 1_000, 5, ("run", 0, 0, 0)))) == {("idle", "counter"): (5, 0, 1_000, 0)}


@given(
    st.integers(0, 10**12),
    st.integers(0, 3_599_998),
    st.integers(1, 3_600_000),
    st.sets(st.integers(0, 3_600_000), max_size=6),
)
def test_the_pieces_of_a_reading_cut_anywhere_sum_to_it(energy, start, length, cuts):
    """Windows of a first reader with holes between: the second reader's energy falls into the holes, and with all holes covered it is whole."""
    end = min(3_600_000, start + length)
    bounds = sorted({start, end, *(cut for cut in cuts if start < cut < end)})
    stretches = [window(a, b, 0, method="model") for a, b in pairwise(bounds)]
    whole = window(start, end, energy)
    odd, even = reader("a", *stretches[0::2], rank=0), reader("a", *stretches[1::2], rank=0)
    parts = [lay_hour(0, [half, reader("b", whole)]).rows for half in (odd, even)]
    assert sum(row.energy_mj for half in parts for row in half if row.method == "counter") == energy


def test_a_window_of_another_hour_is_a_mistake_of_the_caller():
    """The caller groups by hour; a window that does not belong is no input of a person."""
    with pytest.raises(AssertionError):
        lay_hour(1, [reader("a", window(0, 1_000, 5))])
