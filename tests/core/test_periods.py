import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core import periods
from joulebook_ledger.core.periods import Interval
from joulebook_ledger.core.refusals import BadInput

instants = st.integers(min_value=0, max_value=4_102_444_800_000)


@given(instants)
def test_the_month_of_an_instant_is_the_one_of_the_utc_calendar(time_ms):
    """Independent of any local time zone."""
    moment = datetime.datetime.fromtimestamp(time_ms / 1000, tz=datetime.UTC)
    assert periods.month_of(time_ms) == moment.year * 100 + moment.month
    assert periods.day_of(time_ms) in periods.days_of_month(periods.month_of(time_ms))


@given(instants, st.integers(min_value=1, max_value=20_000_000))
def test_an_interval_cut_at_hours_loses_nothing_and_crosses_none(start, length):
    """Parts join without a hole; each lies in one hour."""
    parts = list(Interval(start_ms=start, end_ms=start + length).cut_at_hours())
    assert sum(part.length_ms for part in parts) == length
    assert [p.end_ms for p in parts[:-1]] == [p.start_ms for p in parts[1:]]
    assert all(periods.hour_of(p.start_ms) == periods.hour_of(p.end_ms - 1) for p in parts)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=6))
def test_the_union_of_intervals_counts_every_instant_once(pairs):
    """Compared with counting milliseconds one by one."""
    intervals = [Interval(start_ms=start, end_ms=start + length) for start, length in pairs]
    assert periods.union_ms(intervals) == len({t for i in intervals for t in range(i.start_ms, i.end_ms)})


@given(instants)
def test_a_time_reads_back_as_it_was_written(time_ms):
    """RFC 3339 in UTC, to the millisecond."""
    assert periods.parse_time(periods.time_text(time_ms)) == time_ms


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-0", "2026", "26-01", "2026-1", "", "٢٠٢٦-٠١", "2026-11-01", "-026-11"]
)
def test_a_text_that_is_no_month_is_refused_with_the_form_to_write(text):
    """The message shows the way out."""
    with pytest.raises(BadInput, match="YYYY-MM"):
        periods.parse_month(text)


def test_a_time_without_a_zone_is_refused():
    """A local time would mean another instant on another machine."""
    with pytest.raises(BadInput, match="time zone"):
        periods.parse_time("2026-11-22T10:00:00")


def test_an_interval_that_holds_nothing_is_refused():
    """Half-open: it ends after it starts."""
    with pytest.raises(BadInput):
        Interval(start_ms=5, end_ms=5)
