"""Which team an account stands for, to which cost centre it belongs, and from when on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from books import HOUR, KWH, NOVEMBER, Story, run_id

from joulebook.maps import page
from joulebook.tables import Page
from joulebook_ledger.core.facts import Correction
from joulebook_ledger.core.names import Learnt, NameMap, Names
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import RESERVED_ACCOUNTS
from joulebook_ledger.desk.entering import Entry, correction_batch
from joulebook_ledger.desk.maps import map_batch
from joulebook_ledger.queries import ReportQuery, RunsQuery
from joulebook_ledger.store.shapes import key_text

if TYPE_CHECKING:
    from ledger.conftest import Bookkeeper

RUN = run_id("run")
SHEET = b"""kind,name,value,valid_from
account,vis01,vision,
account,vis01,vision and speech,2026-12-01
team,vision,CC-100,
cost_centre,CC-100,Example GmbH,
"""


def entry(number: int = 1) -> Entry:
    """Return an act at the desk."""
    return Entry(name=f"e{number}", at_ms=NOVEMBER + number, author="ada")


def line(kind: str, name: str, value: str, start: int = 0, known: int = 1) -> Learnt:
    """Return a line of the map."""
    return Learnt(NameMap(kind=kind, name=name, value=value, valid_from_ms=start, version=f"v{known}"), known)


def tell_a_run(keeper: Bookkeeper, **labels: str) -> None:
    """Let a run of an hour draw a kWh."""
    story = Story("m1").meter("package-0").run(RUN, NOVEMBER, NOVEMBER + HOUR, model="m", **labels)
    keeper.now_ms = NOVEMBER + 2 * HOUR
    keeper.tell(story.reading("package-0", NOVEMBER, NOVEMBER + HOUR, KWH, {RUN: KWH}).batch())


def rows_by(keeper: Bookkeeper, key: str) -> list[tuple[str | None, float | None]]:
    """Return what a report of November has by a key."""
    body = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, by=(key,)))
    return [(row.get(key), row["energy_kwh"]) for row in body["rows"] if row.get("account") not in RESERVED_ACCOUNTS]


def test_an_account_becomes_a_team_and_that_has_a_cost_centre_and_an_entity(keeper: Bookkeeper) -> None:
    """What the map says at the run's start, whenever it was entered; every view sees it."""
    tell_a_run(keeper, team="vis01", **{"tag:account": "vis01"})
    assert rows_by(keeper, "team") == [("vis01", 1.0)]
    keeper.tell(map_batch(entry(), SHEET))
    assert rows_by(keeper, "team") == [("vision", 1.0)]
    assert rows_by(keeper, "cost_centre") == [("CC-100", 1.0)]
    assert rows_by(keeper, "entity") == [("Example GmbH", 1.0)]
    (run,) = keeper.ledger.runs(RunsQuery(labels={"team": "vision"}))["items"]
    assert run["run"] == RUN


def test_what_was_known_then_is_shown_as_of_then(keeper: Bookkeeper) -> None:
    """A map that is entered later changes nothing of a report as of an earlier link."""
    tell_a_run(keeper, team="vis01", **{"tag:account": "vis01"})
    before = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, by=("team",)))
    keeper.tell(map_batch(entry(), SHEET))
    again = keeper.ledger.report(
        ReportQuery(from_month=202611, to_month=202611, by=("team",), as_of=str(before["link"]))
    )
    assert [row["team"] for row in before["rows"]] == [row["team"] for row in again["rows"]] == ["vis01"]


def test_a_line_can_be_voided_and_the_same_sheet_twice_is_told(keeper: Bookkeeper) -> None:
    """A correction voids a line; of one validity the line that was learnt last holds."""
    tell_a_run(keeper, team="vis01", **{"tag:account": "vis01"})
    keeper.tell(map_batch(entry(1), SHEET))
    keeper.tell(map_batch(entry(2), b"kind,name,value\naccount,vis01,sight\n"))
    assert rows_by(keeper, "team") == [("sight", 1.0)]
    key = key_text(("account", "vis01", 0, entry(2).version))
    keeper.tell(correction_batch(entry(3), [Correction(table="name_map", key=key, reason="a slip", author="ada")]))
    assert rows_by(keeper, "team") == [("vision", 1.0)]
    assert [item["value"] for item in keeper.ledger.maps()["items"]][:2] == ["vision", "vision and speech"]
    assert "account" in page(keeper.ledger.maps(), Page())
    assert keeper.ledger.verify()["ok"]


@pytest.mark.parametrize(
    ("labels", "team"),
    [
        ({"tag:account": "a"}, "mapped"),
        ({"team": "a", "tag:account": "a"}, "mapped"),
        ({"team": "said", "tag:account": "a"}, "said"),
        ({"tag:namespace": "n"}, "named"),
        ({"tag:group": "g"}, "labelled"),
        ({"team": "said", "tag:group": "g"}, "said"),
        ({"tag:account": "unknown"}, None),
    ],
)
def test_a_map_fills_what_the_run_left_empty(labels: dict[str, str], team: str | None) -> None:
    """A team that somebody gave stands; an account's own name was given by nobody."""
    names = Names(
        [line("account", "a", "mapped"), line("namespace", "n", "named"), line("label", "group=g", "labelled")]
    )
    assert names.filled(labels, 5).get("team") == team


def test_of_two_lines_the_one_that_began_last_holds_and_an_empty_one_ends_it() -> None:
    """From its first instant on."""
    names = Names([line("team", "t", "one"), line("team", "t", "two", 10), line("team", "t", "", 20)])
    assert [names.value("team", "t", at) for at in (0, 9, 10, 19, 20)] == ["one", "one", "two", "two", ""]


@pytest.mark.parametrize(
    ("sheet", "told"),
    [
        (b"", "the file is empty"),
        (b"kind,name,value\n", "no line below"),
        (b"kind,name\naccount,a\n", "lacks the column 'value'"),
        (b"kind,name,value,owner\n", "unknown column 'owner'"),
        (b"kind,name,value,name\n", "names the column 'name' twice"),
        (b"kind;name\n", "lacks the column 'value'"),
        (b"kind,name,value\naccount,a,t\nacount,b,t\n", "line 3, column 'kind'"),
        (b"kind,name,value\naccount,,t\n", "line 2, column 'name'"),
        (b"kind,name,value\naccount,a\n", "line 2 has 2 cells where the header has 3"),
        (b'kind,name,value\naccount,"a,t\n', "no CSV"),
        (b"kind,name,value,valid_from\naccount,a,t,1.12.2026\n", "line 2, column 'valid_from'"),
        (b"kind,name,value\nlabel,group,t\n", "KEY=VALUE"),
        (b"kind,name,value\naccount,a,t\naccount,a,u\n", "line 3, column 'name': account 'a' is mapped twice"),
        ("kind,name,value\naccount,a,für\n".encode("latin-1"), "line 2, byte 12 is not UTF-8"),
        ("kind,name,value\naccount,a,t\n".encode("utf-16-le"), "zero byte"),
    ],
)
def test_a_sheet_that_cannot_be_taken_is_refused_whole_with_line_and_column(sheet: bytes, told: str) -> None:
    """And nothing of it is entered."""
    with pytest.raises(BadInput, match=told.replace("(", "\\(")):
        map_batch(entry(), sheet)
