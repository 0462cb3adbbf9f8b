"""The small records of the measured path."""

from __future__ import annotations

from joulebook_collectors.host.processes import HostMemory, HostTime
from joulebook_collectors.meters.meter import CounterValue, NoData


def test_records_are_equal_by_kind_and_content() -> None:
    """Two kinds with the same numbers are not the same."""
    assert CounterValue(1, 1_000, 0) == CounterValue(1, 1_000, 0)
    assert CounterValue(1, 1_000, 0) != CounterValue(1, 1_000, None)
    assert HostTime(1, 2) != HostMemory(1, 2)
    assert len({NoData("closed"), NoData("closed"), NoData("read_failed")}) == 2


def test_a_record_shows_what_it_holds() -> None:
    """For whoever reads a failing test."""
    assert repr(NoData("closed")) == "NoData(reason='closed')"
