"""Bodies as pages for people: every page as it looks on a pipe and on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from helpers.front_door import (
    NO_PRICE,
    VERIFIED,
    WHY,
    FixedLedger,
    footprint,
    rank_body,
    report_body,
    run_body,
    sci_body,
)

from joulebook import intensity, pages
from joulebook.tables import Page, shortest_prefixes, width_of
from joulebook_ledger.queries import RunsQuery

TERMINAL = Page(width=80)
ALL = [
    (pages.runs, FixedLedger(runs=3).runs(RunsQuery())), (pages.run, run_body()), (pages.report, report_body()),
    (pages.rank, rank_body()), (intensity.page, sci_body()), (pages.why, WHY), (pages.verify, VERIFIED),
]  # fmt: skip


@pytest.mark.parametrize(("page", "body"), ALL, ids=lambda value: getattr(value, "__name__", ""))
def test_every_page_fits_on_eighty_columns(page: Callable[..., str], body: Any) -> None:
    """No line runs over."""
    assert [line for line in page(body, TERMINAL).split("\n") if width_of(line) > 80] == []


@pytest.mark.parametrize(("page", "body"), ALL, ids=lambda value: getattr(value, "__name__", ""))
def test_colour_changes_nothing_but_colour(page: Callable[..., str], body: Any) -> None:
    """With its codes taken out, a coloured page is the plain one."""
    coloured = page(body, Page(width=80, colour=True))
    for code in ("0", "1", "2", "31", "32", "33", "36"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == page(body, TERMINAL)


def test_a_run_says_what_it_used_and_how_sure_that_is() -> None:
    """Energy with its spread, cost, CO2e, scores, the one sentence, and the command for what is missing."""
    text = pages.run(run_body(), TERMINAL)
    assert "1.23 Wh ± 6 %" in text
    assert "0.000312 EUR ± 6 %" in text
    assert "69.4 mg ± 50 % location-based" in text
    assert "Grade B: 98 % complete, 91 % metered, ± 6 %" in text
    assert "? water: the site's water per kWh is not set: `joulebook init --water 0.2`" in text


def test_an_unknown_cost_is_a_question_mark_and_a_command() -> None:
    """Never 0, and the page says what supplies it, once for all rows."""
    body = run_body(footprint=footprint(cost=None, currency=None, reasons={"cost": NO_PRICE}))
    lines = pages.runs({"items": [body, body], "next_cursor": None}, TERMINAL).split("\n")
    assert [line.split()[-3] for line in lines[1:3]] == ["?", "?"]
    assert lines[4:] == ["? cost: no price of electricity is set:", "`joulebook init --price 0.25 --currency EUR`"]


def test_a_report_shows_idle_and_untracked_as_rows_and_the_total_last() -> None:
    """What nobody used is nobody's, and not left out."""
    lines = pages.report(report_body(), Page()).split("\n")
    assert [line.split()[0] for line in lines[3:8]] == ["resnet50", "vgg16", "untracked", "idle", "total"]


def test_a_column_of_which_nothing_is_known_is_left_to_the_footer() -> None:
    """Market-based CO2e that nobody supplied takes no room; as soon as one row has it, it does."""
    assert "CO2e market" not in pages.report(report_body(), Page())
    assert "CO2e market" in pages.report(report_body(rows=[footprint(model="a", co2e_market_kg=0.1)]), Page())


def test_a_report_of_tags_shows_runs_without_the_tag() -> None:
    """The key column is headed by the tag, and what lacks it is a dash."""
    rows = [footprint(**{"tag:grid": "b"}), footprint(**{"tag:grid": None})]
    lines = pages.report(report_body(by=["tag:grid"], rows=rows), Page()).split("\n")
    assert [line.split()[0] for line in lines[2:5]] == ["GRID", "b", "-"]


def test_a_ranking_shows_the_front_and_who_beats_the_rest() -> None:
    """A ratio at resource 0 is unknown, not infinite."""
    lines = pages.rank(rank_body(), Page()).split("\n")
    assert lines[3].split() == ["*", "resnet50", "a1", "0.976", "1.20", "Wh", "813.3", "2", "of", "3", "4.00", "Wh"]
    assert lines[4].split()[:7] == ["-", "vgg16", "a1", "0.95", "0", "Wh", "?"]
    assert lines[4].endswith("resnet50 a1")


def test_an_empty_book_says_how_to_begin() -> None:
    """Each page of nothing names the next step."""
    assert pages.runs({"items": [], "next_cursor": None}, Page()).startswith("No runs yet. Track one: joulebook run")
    assert "No energy is booked in this period." in pages.report(report_body(rows=[]), Page())
    assert "Nothing to rank." in pages.rank(rank_body(rows=[]), Page())


def test_runs_are_named_by_the_shortest_beginning_that_is_theirs_alone() -> None:
    """At least eight characters, and more where two begin alike; a pipe gets the whole."""
    prefixes = shortest_prefixes(["aaaaaaaaaab", "aaaaaaaaaac", "bbbbbbbbbbbbbb"])
    assert prefixes == {"aaaaaaaaaab": "aaaaaaaaaab", "aaaaaaaaaac": "aaaaaaaaaac", "bbbbbbbbbbbbbb": "bbbbbbbb"}
    assert "0" * 32 in pages.runs(FixedLedger().runs(RunsQuery()), Page())
    assert "0" * 9 not in pages.runs(FixedLedger().runs(RunsQuery()), TERMINAL)


def test_an_intensity_shows_what_is_missing_and_what_no_figure_covers() -> None:
    """A model that nobody counted has no figure, and says why once."""
    lines = intensity.page(sci_body(), Page()).split("\n")
    assert lines[0] == "Carbon per token  2026-11, boundary: consumer"
    assert "Software carbon intensity (ISO/IEC 21031:2024), location-based." in lines
    assert lines[3].split() == ["llama", "3", "50,000,000,000", "5.00", "t", "1.50", "t", "130", "µg", "40", "%"]
    assert lines[4].split() == ["-", "3", "?", "5.00", "t", "1.50", "t", "?"]
    assert "? no token was counted in the period" in lines
    assert "not all is known" not in "\n".join(lines)
    assert lines[-1] == "Not covered: refrigerants."
