"""A batch is stored item by item, in one transaction; what comes again is known again (CORE §2, Ingest)."""

import pytest
from books import HOUR, MINUTE, NOVEMBER, Story
from helpers.stored_book import NOW_MS, StoredBook, batch_of, entered, grid, pue, tariff
from hypothesis import HealthCheck, given, settings
from strategies import books

from joulebook_ledger.core.events import RunEvent, Score
from joulebook_ledger.core.factors import Placement, Site
from joulebook_ledger.core.facts import Correction
from joulebook_ledger.core.records import Meter, Reader, Use, Window
from joulebook_ledger.core.wire import Answer, decode_batch

READER = Reader(reader="r1", machine="m1", boot="b1")
CPU = Meter(device="b1", domain="cpu", component="cpu", max_power_mw=100_000)
TIME = Meter(device="b1", domain="time", component="time", max_power_mw=0)


def reading(start_s: float, end_s: float, energy_mj: int = 1_000, meter: Meter = CPU) -> Window:
    """Return a reading of a stretch of the first of November, in seconds."""
    start, end = NOVEMBER + int(start_s * 1_000), NOVEMBER + int(end_s * 1_000)
    return Window(meter=meter.key, start_ms=start, end_ms=end, energy_mj=energy_mj, method="counter")


def use(start_s: float, energy_mj: int = 500, run: str = "run-1", meter: Meter = CPU, **more: int) -> Use:
    """Return a use of the window that begins there."""
    said = {"time_ms": 1_000} | more
    return Use(
        meter=meter.key,
        start_ms=NOVEMBER + int(start_s * 1_000),
        run=run,
        energy_mj=energy_mj,
        method="cpu_time",
        **said,
    )


def said(answer: Answer) -> list[tuple[str, int, str, str]]:
    """Return what was not simply stored, without the words for people."""
    return [(e.kind, e.index, e.outcome, e.reason) for e in answer.exceptions]


def test_a_batch_that_comes_again_is_already_stored(stored: StoredBook) -> None:
    """No row more, no receipt more, nothing due more."""
    batch = batch_of(READER, 1, [CPU, reading(0, 60), use(0)])
    first, again = stored.deliver(batch, batch)
    assert (first.counts, again.counts) == ({"stored": 3}, {"already_stored": 3})
    assert [stored.count(t) for t in ("receipt", "meter", "meter_window", "meter_use", "due")] == [1, 1, 1, 1, 2]


def test_the_same_facts_under_another_sequence_are_already_stored(stored: StoredBook) -> None:
    """A fact's key decides, not its batch; the receipt says that the batch came."""
    facts = [CPU, reading(0, 60), use(0)]
    _, again = stored.deliver(batch_of(READER, 1, facts), batch_of(READER, 2, facts, complete_until_ms=NOVEMBER))
    assert again.counts == {"already_stored": 3}
    assert stored.ask("SELECT sequence, facts, complete_until_ms FROM receipt ORDER BY number") == [
        (1, 4, 0),
        (2, 0, NOVEMBER),
    ]


def test_one_key_with_two_contents_is_kept_aside(stored: StoredBook) -> None:
    """The second is shown and never booked; sent again it is kept once."""
    other = batch_of(READER, 2, [reading(0, 60, 999), use(0, 499)])
    _, answer, _ = stored.deliver(batch_of(READER, 1, [CPU, reading(0, 60), use(0)]), other, other)
    assert said(answer) == [
        ("readings", 0, "conflicts_with_stored", "other_content"),
        ("uses", 0, "conflicts_with_stored", "other_content"),
    ]
    assert stored.ask("SELECT energy_mj FROM meter_window") == [(1_000,)]
    assert [row[0] for row in stored.ask("SELECT outcome FROM refused_fact")] == ["conflicts_with_stored"] * 2


def test_a_sequence_used_for_another_batch_conflicts_whole(stored: StoredBook) -> None:
    """What is new in it is kept aside; what is stored already is known again."""
    stored.deliver(batch_of(READER, 1, [CPU, reading(0, 60)]))
    (answer,) = stored.deliver(batch_of(READER, 1, [CPU, reading(60, 120)]))
    assert answer.counts == {"already_stored": 1, "conflicts_with_stored": 1}
    assert said(answer) == [("readings", 0, "conflicts_with_stored", "sequence_used_before")]
    assert stored.count("meter_window") == 1


@pytest.mark.parametrize("second", [reading(59, 61), reading(0, 0.5), reading(10, 20), reading(0.5, 0.6)])
def test_windows_of_one_reader_never_overlap(stored: StoredBook, second: Window) -> None:
    """Neither in one batch nor with what is stored; a window of another reader may lie there."""
    start = Window(meter=CPU.key, start_ms=NOVEMBER + 1, end_ms=NOVEMBER + MINUTE, energy_mj=5, method="counter")
    (answer,) = stored.deliver(batch_of(READER, 1, [CPU, start, second]))
    assert said(answer) == [("readings", 1, "refused", "window_overlaps")]
    (answer,) = stored.deliver(batch_of(READER, 2, [second]))
    assert said(answer) == [("readings", 0, "refused", "window_overlaps")]
    (answer,) = stored.deliver(batch_of(Reader(reader="r2", machine="m1", boot="b1"), 1, [second]))
    assert answer.counts == {"stored": 1}


def test_windows_that_touch_do_not_overlap(stored: StoredBook) -> None:
    """Intervals are half-open; a window between two others fits exactly, in any order."""
    (answer,) = stored.deliver(batch_of(READER, 1, [CPU, reading(0, 60), reading(120, 180), reading(60, 120)]))
    assert answer.counts == {"stored": 4}


def test_a_window_from_the_future_waits_in_its_spool(stored: StoredBook) -> None:
    """With its uses, and until the ledger's clock has come near: then the same batch stores it, under a further part."""
    batch = batch_of(READER, 1, [CPU, reading(0, 60), reading(3_540, 3_600), use(3_540)])
    (answer,) = stored.deliver(batch, now_ms=NOVEMBER + HOUR - 5 * MINUTE - 1)
    assert answer.counts == {"stored": 2, "retry_later": 2}
    assert {e.reason for e in answer.exceptions} == {"window_from_the_future"}
    assert stored.count("refused_fact") == 0
    (answer,) = stored.deliver(batch, now_ms=NOVEMBER + HOUR - 5 * MINUTE)
    assert answer.counts == {"already_stored": 2, "stored": 2}
    assert stored.ask("SELECT part, facts FROM receipt ORDER BY part") == [(0, 3), (1, 2)]


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ([reading(0, 60)], ("readings", 0, "refused", "unknown_meter")),
        ([use(0)], ("uses", 0, "refused", "unknown_meter")),
        ([CPU, use(0)], ("uses", 0, "refused", "use_without_window")),
        ([CPU, reading(0, 10), use(1)], ("uses", 0, "refused", "use_without_window")),
        ([CPU, reading(0, 10, 1_200_001)], ("readings", 0, "refused", "implausible_power")),
        ([CPU, reading(0, 10), use(0, 1_200_001)], ("uses", 0, "refused", "implausible_power")),
        ([CPU, reading(0, 0.001, 120_001)], ("readings", 0, "refused", "implausible_power")),
        ([TIME, reading(0, 10, 1, meter=TIME)], ("readings", 0, "refused", "implausible_power")),
        ([CPU, reading(0, 10), use(0, time_ms=HOUR + 1)], ("uses", 0, "refused", "time_above_an_hour")),
        (
            [Meter(device="x", domain="y", component="gpu", max_power_mw=10**12 + 1)],
            ("meters", 0, "refused", "implausible_power"),
        ),
        (
            [Meter(device="日" * 200, domain="本" * 200, component="gpu", max_power_mw=1)],
            ("meters", 0, "refused", "key_too_long"),
        ),
    ],
)
def test_what_its_neighbours_forbid_is_refused(stored: StoredBook, facts: list, outcome: tuple) -> None:
    """By name, alone: everything else of the batch is stored, and what was refused is kept aside."""
    (answer,) = stored.deliver(batch_of(READER, 1, facts))
    assert said(answer) == [outcome]
    assert answer.counts.get("stored", 0) == len(facts) - 1
    assert stored.ask("SELECT kind, position, outcome, reason FROM refused_fact") == [outcome]


@pytest.mark.parametrize("energy_mj", [1_200_000, 0])
def test_a_device_may_overshoot_a_little(stored: StoredBook, energy_mj: int) -> None:
    """Up to 120 % of its greatest power; and 0 is a reading like any other."""
    (answer,) = stored.deliver(batch_of(READER, 1, [CPU, reading(0, 10, energy_mj), use(0, energy_mj)]))
    assert answer.counts == {"stored": 3}


def test_a_short_window_may_hold_a_whole_step_of_the_counter(stored: StoredBook) -> None:
    """A counter moves some ten times a second; a window of a millisecond is judged as a second."""
    (answer,) = stored.deliver(batch_of(READER, 1, [CPU, reading(0, 0.001, 120_000)]))
    assert answer.counts == {"stored": 2}


def test_a_use_may_follow_its_window_in_a_later_batch(stored: StoredBook) -> None:
    """And one that came too early is taken when it comes again."""
    early = batch_of(READER, 2, [use(0)])
    outcomes = stored.deliver(batch_of(READER, 1, [CPU]), early, batch_of(READER, 3, [reading(0, 60)]), early)
    assert [a.counts for a in outcomes] == [{"stored": 1}, {"refused": 1}, {"stored": 1}, {"stored": 1}]


def test_a_use_of_another_readers_window_is_refused(stored: StoredBook) -> None:
    """A reader claims of what it has seen itself."""
    other = Reader(reader="r2", machine="m1", boot="b1")
    _, answer = stored.deliver(batch_of(READER, 1, [CPU, reading(0, 60)]), batch_of(other, 1, [use(0)]))
    assert said(answer) == [("uses", 0, "refused", "use_without_window")]


def test_a_reader_that_names_another_machine_is_refused(stored: StoredBook) -> None:
    """Its windows would be placed at two sites; the desk has no machine and many authors."""
    _, answer = stored.deliver(
        batch_of(READER, 1, [CPU]), batch_of(Reader(reader="r1", machine="m2", boot="b1"), 2, [reading(0, 60)])
    )
    assert said(answer) == [("readings", 0, "refused", "reader_changed")]
    desk = [Reader(reader="desk", rank=rank, author=who) for rank, who in ((2, "ada"), (1, "bob"))]
    answers = stored.deliver(batch_of(desk[0], 1, [tariff()]), batch_of(desk[1], 2, [grid()]))
    assert [a.counts for a in answers] == [{"stored": 1}] * 2


def test_the_first_price_sets_the_books_currency_for_ever(stored: StoredBook) -> None:
    """A price in another is refused, and so is one in the same batch; factors have none."""
    first = entered(1, grid(), tariff(), tariff(version="v2", currency="USD"))
    answer, later = stored.deliver(first, entered(2, tariff(site="s2", currency="USD"), tariff(site="s2")))
    assert said(answer) == [("factors", 2, "refused", "other_currency")]
    assert said(later) == [("factors", 0, "refused", "other_currency")]
    assert dict(stored.ask("SELECT name, value FROM book_setting WHERE name NOT LIKE 'schema%'")) == {
        "currency": "EUR",
        "money_scale": "1000000",
    }


def test_an_item_that_is_no_fact_is_refused_by_its_own_rule(stored: StoredBook) -> None:
    """The batch goes on without it."""
    story = Story("m1").meter("cpu").reading("cpu", NOVEMBER, NOVEMBER + MINUTE, 5)
    story.lists["readings"].append({"meter": "x"})
    (answer,) = stored.deliver(story.batch())
    assert said(answer) == [("readings", 1, "refused", "missing_field")]
    assert answer.counts == {"stored": 2, "refused": 1}


def test_windows_of_a_closed_month_are_stored_and_say_so(stored: StoredBook) -> None:
    """They will be booked in the earliest open month, with cause late."""
    stored.run(
        "INSERT INTO month_close VALUES (202611, 1, 0, '{}', 'ada', 1)",
        f"INSERT INTO link VALUES (1, '{'0' * 64}', 1, '', '', 'd')",
    )
    (answer,) = stored.deliver(batch_of(READER, 1, [CPU, reading(0, 60), use(0)]))
    assert answer.counts == {"stored": 1, "stored_after_close": 2}
    assert stored.ask("SELECT cause FROM due WHERE scope = 'source'") == [("late",)]
    stored.bring_up_to_date()
    assert stored.ask("SELECT period, cause FROM entry") == [(202612, "late")]
    assert [key[:2] for key in stored.balances()] == [(202612, 202611)] * 2


def test_a_run_event_is_known_by_run_and_event(stored: StoredBook) -> None:
    """Whoever of a run's ranks sends it; other content under its key is a conflict, also within one batch."""
    event = RunEvent(run="run-1", event="e1", kind="started", at_ms=NOVEMBER, labels={"model": "m", "tag:a": "é"})
    other = RunEvent(run="run-1", event="e1", kind="started", at_ms=NOVEMBER + 1)
    (answer,) = stored.deliver(batch_of(READER, 1, [event, event, other]))
    assert answer.counts == {"stored": 1, "already_stored": 1, "conflicts_with_stored": 1}
    (answer,) = stored.deliver(batch_of(Reader(reader="r2", machine="m1"), 1, [event]))
    assert answer.counts == {"already_stored": 1}
    assert stored.ask("SELECT labels FROM run_event") == [('{"model":"m","tag:a":"é"}',)]


@pytest.mark.parametrize(
    ("table", "key", "reason"),
    [
        ("posting", "[1]", "cannot_be_voided"),
        ("meter", '["x"]', "cannot_be_voided"),
        ("score", '["run-1","s9"]', "no_such_fact"),
        ("score", '["run-1", "s1"]', "no_such_fact"),
        ("score", '["run-1"]', "no_such_fact"),
        ("score", '["run-1",1]', "no_such_fact"),
        ("score", '["run-1",null]', "no_such_fact"),
        ("score", "run-1", "no_such_fact"),
        ("site", '["s","0","v1"]', "no_such_fact"),
        ("site", '["s",true,"v1"]', "no_such_fact"),
    ],
)
def test_a_correction_names_a_fact_that_is_there(stored: StoredBook, table: str, key: str, reason: str) -> None:
    """By the key as the store prints it; what is no fact, or unknown, is refused with the form that a key has."""
    score = Score(run="run-1", score="s1", name="accuracy", value="1", at_ms=0)
    _, answer = stored.deliver(
        entered(1, score, Site(site="s", version="v1")),
        entered(2, Correction(table=table, key=key, reason="r", author="a")),
    )
    assert said(answer) == [("corrections", 0, "refused", reason)]


def test_every_fact_that_changes_a_price_marks_what_it_touches(stored: StoredBook) -> None:
    """By zone, site or machine, from the first day of its validity to the last; open ends stay open."""
    day = NOVEMBER // 86_400_000
    stored.deliver(
        entered(
            1,
            grid(valid_from_ms=NOVEMBER, valid_to_ms=NOVEMBER + 24 * HOUR),
            tariff(valid_from_ms=NOVEMBER),
            Site(site="s", version="v1", valid_from_ms=NOVEMBER),
            Placement(machine="m", site="s", version="v1"),
        ),
        entered(
            2, Correction(table="factor", key=f'["tariff","site-1","desk",{NOVEMBER},"v1"]', reason="r", author="a")
        ),
        entered(3, Correction(table="placement", key='["m",0,"v1"]', reason="r", author="a")),
    )
    marks = stored.ask(
        "SELECT scope, object, first_day, last_day, cause FROM due WHERE scope <> 'chain' ORDER BY number"
    )
    assert sorted(marks[:4]) == [
        ("machine", "m", 0, 1_000_000, "factor"),
        ("site", "s", day, 1_000_000, "factor"),
        ("site", "site-1", day, 1_000_000, "factor"),
        ("zone", "FR", day, day, "factor"),
    ]
    assert marks[4:] == [("site", "site-1", day, 1_000_000, "correction"), ("machine", "m", 0, 1_000_000, "correction")]


def test_check_meters_are_never_due(stored: StoredBook) -> None:
    """They are compared and never booked."""
    check = Meter(device="b1", domain="psu", component="node_rest", role="check", max_power_mw=100_000)
    stored.deliver(batch_of(READER, 1, [check, reading(0, 60, meter=check)]))
    assert stored.ask("SELECT scope FROM due") == [("chain",)]


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(books())
def test_every_item_of_a_random_book_gets_one_outcome(stored: StoredBook, deliveries) -> None:
    """And the counts add up to the items, the first time and the second."""
    stored.empty()
    for batch in (*deliveries.desk, *deliveries.readers):
        first, again = stored.deliver(batch, batch)
        items = len(decode_batch(batch).items)
        assert sum(first.counts.values()) == sum(again.counts.values()) == items
        assert again.counts.get("stored", 0) == 0


def test_a_pue_and_a_far_day_are_stored(stored: StoredBook) -> None:
    """Any day has a place, also long ago: on PostgreSQL its partition is made as the batch comes."""
    assert stored.deliver(entered(1, pue()))[0].counts == {"stored": 1}
    old = Window(meter=CPU.key, start_ms=86_400_000, end_ms=86_460_000, energy_mj=1, method="counter")
    new = Window(meter=CPU.key, start_ms=NOW_MS - MINUTE, end_ms=NOW_MS, energy_mj=1, method="counter")
    assert stored.deliver(batch_of(READER, 1, [CPU, old, new]))[0].counts == {"stored": 3}
