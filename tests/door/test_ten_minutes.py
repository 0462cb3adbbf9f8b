"""The first ten minutes, as docs/first-ten-minutes.md tells them, happen here too."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from helpers import ten_minutes
from helpers.source import ROOT

pytestmark = [
    pytest.mark.processes, pytest.mark.skipif(os.name != "posix", reason="needs the terminals of POSIX"),
]  # fmt: skip
PAGE = ROOT / "docs" / "first-ten-minutes.md"


def test_the_page_tells_the_steps_that_are_replayed() -> None:
    """No other commands, in no other order, and at most five of them to a footprint."""
    told = list(ten_minutes.transcript(PAGE.read_text(encoding="utf-8")))
    assert told == [step.command for step in ten_minutes.STEPS]
    first = next(number for number, command in enumerate(told, 1) if command.startswith("joulebook run"))
    assert first <= ten_minutes.COMMANDS_TO_A_FOOTPRINT


def test_the_first_ten_minutes_go_as_the_page_tells(tmp_path: Path) -> None:
    """Every command but `pip install .` is run again; it says the same, but for numbers and names of this machine."""
    told = ten_minutes.transcript(PAGE.read_text(encoding="utf-8"))
    del told[ten_minutes.INSTALL]
    said = ten_minutes.replay(tmp_path, bin_folder=Path(sys.executable).parent)
    assert ten_minutes.shape(said) == ten_minutes.shape(told)


def test_nothing_on_the_way_is_null_without_the_command_that_fills_it() -> None:
    """Energy, cost and CO2e are there after three commands; each `?` of the page names a command."""
    told = ten_minutes.transcript(PAGE.read_text(encoding="utf-8"))
    run, shown = told[ten_minutes.STEPS[2].command], told["joulebook show"]
    closing = run.splitlines()[-1]
    assert "Wh" in closing
    assert " EUR " in closing
    assert "g CO2e" in closing
    unknown = shown.partition("\n? ")[2].split("\n? ")
    assert [reason for reason in unknown if "`joulebook " not in reason] == []
