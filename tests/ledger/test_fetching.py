"""What is fetched, from whom, and what is not asked for again: the book is the cache."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing

import pytest
from books import DAY, HOUR, KWH, NOVEMBER, Story
from helpers.providers import Play, Station, says, station

from joulebook.commands.main import main
from joulebook.wiring import Door
from joulebook_ledger.core.periods import time_text
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.providers.fetching import fetch_factors
from joulebook_ledger.providers.settings import load_provider_settings
from joulebook_ledger.providers.spans import questions, touches, without
from joulebook_ledger.providers.web import Web
from joulebook_ledger.queries import FetchQuery

AT = NOVEMBER + 39 * DAY  # the keeper's clock stands a day later
WINDOW = FetchQuery(zone="GB", from_ms=AT, to_ms=AT + 4 * HOUR)


@pytest.fixture
def web() -> Iterator[Web]:
    """Return a way to providers that never waits."""
    with closing(Web(sleep=lambda _seconds: None)) as found:
        yield found


@pytest.fixture
def first() -> Iterator[Station]:
    """Return the provider that is asked first: Electricity Maps, played."""
    with station(of_maps()) as found:
        yield found


@pytest.fixture
def second() -> Iterator[Station]:
    """Return the provider that is asked next: GB Carbon Intensity, played."""
    with station(of_gb()) as found:
        yield found


def of_maps(*values: int | None, estimated: bool = False, start_ms: int = AT) -> Play:
    """Answer with hours from `start_ms` on."""
    hours = [
        {"zone": "GB", "carbonIntensity": value, "datetime": time_text(start_ms + i * HOUR), "isEstimated": estimated}
        for i, value in enumerate(values)
    ]
    return says({"zone": "GB", "data": hours})


def of_gb(*values: int, start_ms: int = AT) -> Play:
    """Answer with actual values of hours (as two half-hours would be, but shorter to read)."""
    hours = [
        {
            "from": time_text(start_ms + i * HOUR),
            "to": time_text(start_ms + (i + 1) * HOUR),
            "intensity": {"forecast": 1, "actual": value},
        }
        for i, value in enumerate(values)
    ]
    return says({"data": hours})


@pytest.fixture
def fetch(keeper, first, second, web):
    """Return how the keeper's book fetches from the two."""
    settings = load_provider_settings(
        {
            "JOULEBOOK_PROVIDERS": "electricitymaps,gb",
            "JOULEBOOK_ELECTRICITYMAPS_TOKEN": "t",
            "JOULEBOOK_ELECTRICITYMAPS_URL": first.url,
            "JOULEBOOK_GB_URL": second.url,
        }
    )
    return lambda query=WINDOW: fetch_factors(keeper.ledger._book, query, settings, web, keeper.now_ms)


def outcomes(body):
    """Return who was asked, and what of it was new or why not."""
    return [(item["provider"], item["stored"] if item["reason"] is None else item["reason"]) for item in body["items"]]


def test_what_is_final_is_not_asked_for_again(fetch, first, second):
    """The second time nobody is asked."""
    first.play(of_maps(100, 110, 120, 130))
    assert (fetch()["stored"], fetch()["stored"]) == (4, 0)
    assert (len(first.asked), len(second.asked)) == (1, 0)


def test_the_next_provider_is_asked_for_the_hole_alone(fetch, first, second):
    """Of the hours the first has none for, and no other; what nobody has is named."""
    first.play(of_maps(100, None, None, 130))
    second.play(of_gb(55, start_ms=AT + HOUR))
    body = fetch()
    assert outcomes(body) == [("electricitymaps", 2), ("gb", 1)]
    assert second.asked[0].path.endswith(f"/{time_text(AT + HOUR)[:16]}Z/{time_text(AT + 3 * HOUR)[:16]}Z")
    assert body["holes"] == [
        {"kind": "grid_location", "zone": "GB", "from": time_text(AT + 2 * HOUR), "to": time_text(AT + 3 * HOUR)}
    ]


@pytest.mark.parametrize(("status", "reason"), [(401, "refused"), (429, "over_quota"), (500, "failing")])
def test_a_provider_that_fails_is_left_alone_and_the_next_is_asked(fetch, first, second, status, reason):
    """Its reason stands beside what the other gave."""
    first.play(says("", status))
    second.play(of_gb(50, 60, 70, 80))
    body = fetch()
    assert outcomes(body) == [("electricitymaps", reason), ("gb", 4)]
    assert body["holes"] == []


def test_a_provisional_value_is_asked_for_until_it_is_final(fetch, first, keeper):
    """The same estimate again is nothing new; a final value is a version of its own, and the newest holds."""
    first.play(of_maps(100, 110, 120, 130, estimated=True))
    assert [fetch()["stored"], fetch()["stored"]] == [4, 0]
    first.play(of_maps(100, 111, 120, 130))
    assert [fetch()["stored"], fetch()["stored"]] == [4, 0]
    assert len(first.asked) == 3
    with keeper.ledger._book.read() as rows:
        held = rows.rows(
            "SELECT valid_from_ms, value, state FROM factor WHERE provider = 'electricitymaps' ORDER BY receipt"
        )
    assert len(held) == 8
    assert {state for _, _, state in held[4:]} == {"final"}


def test_a_provider_that_answers_provisionally_is_enough_for_now(fetch, first, second):
    """The next is asked where nothing is known, not where it could be known better."""
    first.play(of_maps(100, 110, 120, 130, estimated=True))
    fetch()
    assert second.asked == []


def test_hours_are_priced_by_what_was_fetched(fetch, first, keeper):
    """One kWh in each of two hours, at 100 and 300 g: 400 g, and the yearly average no longer counts there."""
    keeper.place(zone="GB")
    story = Story().meter("cpu")
    for hour in range(2):
        story.reading("cpu", AT + hour * HOUR, AT + (hour + 1) * HOUR, KWH)
    keeper.tell(story.batch())
    first.play(of_maps(100, 300, 120, 130))
    fetch()
    keeper.ledger.book()
    with keeper.ledger._book.read() as rows:
        ((booked,),) = rows.rows("SELECT CAST(SUM(co2e_location) AS BIGINT) FROM posting")
    assert booked == 400_000_000


def test_without_a_time_what_is_missing_since_the_first_reading_is_asked(fetch, first, keeper):
    """Of every zone that a machine stands in, to the hour that runs, at most 35 days back."""
    keeper.place(zone="GB")
    keeper.tell(Story().meter("cpu").reading("cpu", AT - DAY, AT - DAY + HOUR, KWH).batch())
    first.play(of_maps(100, start_ms=AT - DAY))
    body = fetch(FetchQuery())
    assert (body["from"], body["to"]) == (time_text(AT - DAY), time_text(keeper.now_ms))
    assert {item["zone"] for item in body["items"]} == {"GB"}


def test_nobody_is_asked_who_is_not_switched_on(keeper, web, first):
    """No switch, no question; a name that is not switched on is refused with the way out."""
    with pytest.raises(BadInput, match="JOULEBOOK_PROVIDERS=electricitymaps"):
        fetch_factors(keeper.ledger._book, WINDOW, load_provider_settings({}), web, keeper.now_ms)
    settings = load_provider_settings({"JOULEBOOK_PROVIDERS": "gb", "JOULEBOOK_GB_URL": first.url})
    query = FetchQuery(zone="GB", from_ms=AT, to_ms=AT + HOUR, provider="entsoe")
    with pytest.raises(BadInput, match="'entsoe' is not switched on"):
        fetch_factors(keeper.ledger._book, query, settings, web, keeper.now_ms)
    assert first.asked == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (FetchQuery(), "joulebook init"),
        (FetchQuery(zone="GB", from_ms=AT, to_ms=AT), "nothing to ask"),
        (FetchQuery(zone="GB", from_ms=AT + 10 * DAY, to_ms=AT + 11 * DAY), "nothing to ask"),
    ],
)
def test_what_cannot_be_asked_is_refused(fetch, query, named):
    """No zone, no time, or one that is yet to come."""
    with pytest.raises(BadInput, match=named):
        fetch(query)


def test_what_a_provider_says_besides_is_not_stored(fetch, first):
    """A reply may hold more hours than were asked for."""
    first.play(of_maps(90, 100, 110, 120, 130, 140, start_ms=AT - HOUR))
    assert fetch()["stored"] == 4


def test_spans():
    """What is left, in order; questions cover it, none too long."""
    assert without([(0, 10)], []) == [(0, 10)]
    assert without([(0, 10)], [(0, 10)]) == []
    assert without([(0, 4), (6, 10)], [(3, 7)]) == [(0, 3), (7, 10)]
    assert touches([(0, 4)], 3, 5)
    assert not touches([(0, 4)], 4, 5)
    assert list(questions([], 10)) == []
    assert list(questions([(0, 25)], 10)) == [(0, 10), (10, 20), (20, 25)]


def test_the_command_says_who_gave_what(sqlite_url, home, first, monkeypatch):
    """And, where nobody is switched on, how to switch somebody on."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setenv("JOULEBOOK_LEDGER", sqlite_url)
    words = ["factors", "fetch", "--of", "GB", "--from", "2020-01-01", "--until", "2020-01-01T01:00:00Z"]
    assert main(words, Door(out=out, err=err)) == 2
    assert "set JOULEBOOK_PROVIDERS" in err.getvalue()
    monkeypatch.setenv("JOULEBOOK_PROVIDERS", "gb")
    monkeypatch.setenv("JOULEBOOK_GB_URL", first.url)
    first.play(of_gb(50, start_ms=1_577_836_800_000))
    assert main(words, Door(out=out, err=err)) == 0
    assert main([*words, "--json"], Door(out=out, err=err)) == 0
    assert "2020-01-01T00:00" in out.getvalue()
    assert len(first.asked) == 1
