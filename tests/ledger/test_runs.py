"""Runs are found, listed and told: labels, status, attempts, scores."""

import pytest
from books import HOUR, KWH, MINUTE, NOVEMBER, Plan, Story, realistic_batches, run_id

from joulebook_ledger.core.names import Names
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.desk.entering import Place, init_batch, score_batch
from joulebook_ledger.figures.runfacts import run_facts
from joulebook_ledger.figures.scores import run_scores
from joulebook_ledger.queries import ReportQuery, RunsQuery
from joulebook_ledger.store.reads_runs import Event, ScoreValue

RUN = run_id("run")


def told(*events):
    """Return the facts of a run of which these events are known: (kind, at_ms) or (kind, at_ms, status)."""
    rows = [Event(RUN, str(n), kind, at, {}, (status or [""])[0], {}) for n, (kind, at, *status) in enumerate(events)]
    return run_facts(rows, Names())[RUN]


@pytest.mark.parametrize(
    ("events", "status", "ran_ms"),
    [
        ([("started", 0)], "running", 100),
        ([("started", 0), ("ended", 40, "finished")], "finished", 40),
        ([("started", 0), ("ended", 40, "killed")], "killed", 40),
        ([("started", 0), ("joined", 1), ("ended", 40, "finished"), ("ended", 41, "failed")], "failed", 41),
        ([("started", 0), ("joined", 1), ("ended", 40, "finished")], "running", 100),
        ([("started", 0), ("ended", 10, "killed"), ("started", 50), ("ended", 60, "finished")], "finished", 20),
        ([("started", 0), ("ended", 10, "killed"), ("ended", 40, "finished")], "finished", 40),
        ([("labelled", 5)], "unknown", 0),
        ([("ended", 5, "finished")], "finished", 0),
    ],
)
def test_the_status_and_the_time_follow_from_the_events(events, status, ran_ms):
    """Failed if any rank failed; a restart counts by its last attempt; who was thought dead and then ended by itself was not."""
    run = told(*events)
    assert (run.status, run.duration_ms(100)) == (status, ran_ms)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("timeout", "killed"), ("preempted", "killed"), ("out_of_memory", "failed"), ("completed", "finished"), ("node_fail", "killed"),
        ("a word of tomorrow", "failed"),
    ],
)  # fmt: skip
def test_the_schedulers_own_word_holds_over_what_the_ranks_saw(state, status):
    """A rank that a timeout ended may say that it failed; the word is of its attempt only, and shown with the run."""
    ranks = [
        Event(RUN, "a", "started", 0, {}, "", {}),
        Event(RUN, "b", "joined", 1, {}, "", {}),
        Event(RUN, "c", "ended", 40, {}, "failed", {}),
        Event(RUN, "d", "ended", 41, {}, "killed", {"scheduler_state": state}),
    ]
    run = run_facts(ranks, Names())[RUN]
    assert (run.status, run.facts["scheduler_state"]) == (status, state)
    again = [*ranks, Event(RUN, "e", "started", 50, {}, "", {}), Event(RUN, "f", "ended", 60, {}, "finished", {})]
    assert run_facts(again, Names())[RUN].status == "finished"
    assert run_facts(again[:-1], Names())[RUN].status == "running"


def test_peaks_keep_the_greatest_of_all_ranks():
    """Of other facts the last holds."""
    events = [
        Event(RUN, "a", "ended", 1, {}, "finished", {"peak_memory_bytes": 9, "exit_code": 1}),
        Event(RUN, "b", "ended", 2, {}, "finished", {"peak_memory_bytes": 5, "exit_code": 0}),
    ]
    assert run_facts(events, Names())[RUN].facts == {"peak_memory_bytes": 9, "exit_code": 0}


def test_a_run_is_found_by_a_unique_beginning(keeper):
    """Or by nothing at all: the last one."""
    story = Story().run("aaaa1111", NOVEMBER, NOVEMBER + 1).run("aaaa2222", NOVEMBER + 5, NOVEMBER + 6)
    keeper.tell(story.batch())
    assert keeper.ledger.run("")["run"] == "aaaa2222"
    assert keeper.ledger.run("aaaa1")["run"] == "aaaa1111"
    with pytest.raises(BadInput, match="aaaa1111, aaaa2222"):
        keeper.ledger.run("aaaa")
    with pytest.raises(BadInput, match="the nearest are aaaa2222"):
        keeper.ledger.run("aaaa2223")


def test_without_any_run_the_way_to_the_first_is_told(keeper):
    """An empty book is no dead end."""
    with pytest.raises(BadInput, match="joulebook run"):
        keeper.ledger.run("")
    assert keeper.ledger.runs(RunsQuery()) == {"items": [], "next_cursor": None}


def test_pages_follow_each_other_without_a_gap(keeper):
    """Thirteen runs in pages of five, newest first."""
    keeper.tell(*realistic_batches(Plan(runs=13, machines=1)))
    seen, cursor = [], ""
    while cursor is not None:
        page = keeper.ledger.runs(RunsQuery(limit=5, cursor=cursor))
        seen += [item["started_at"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == 13
    assert seen == sorted(seen, reverse=True)


def test_runs_are_filtered_by_labels_and_status(keeper):
    """All of what is asked for must hold."""
    keeper.tell(*realistic_batches(Plan(runs=17, machines=1)))
    failed = keeper.ledger.runs(RunsQuery(labels={"status": "failed", "model": "resnet50"}))["items"]
    assert [item["status"] for item in failed] == ["failed"]
    tagged = keeper.ledger.runs(RunsQuery(labels={"tag:seed": "3"}))["items"]
    assert {item["labels"]["tag:seed"] for item in tagged} == {"3"}


def test_runs_are_sorted_by_a_figure_greatest_first(keeper):
    """By any figure of the row."""
    keeper.place("m00")
    keeper.tell(*realistic_batches(Plan(runs=9, machines=1)))
    for sort in ("energy_kwh", "cost", "duration_s", "held_unused_kwh", "coverage"):
        values = [float(item["footprint"][sort]) for item in keeper.ledger.runs(RunsQuery(sort=sort))["items"]]
        assert len(values) == 9
        assert values == sorted(values, reverse=True), sort


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (RunsQuery(labels={"colour": "red"}), "colour"),
        (RunsQuery(labels={"status": "late"}), "finished, failed, killed"),
        (RunsQuery(sort="beauty"), "energy_kwh"),
        (RunsQuery(limit=0), "from 1 to"),
        (RunsQuery(cursor="nowhere"), "next_cursor"),
    ],
)
def test_a_question_that_is_none_is_refused(sqlite_keeper, query, said):
    """The message lists what there is."""
    with pytest.raises(BadInput, match=said):
        sqlite_keeper.ledger.runs(query)


def test_the_last_value_of_a_score_counts_and_the_best_is_shown(keeper):
    """By step, then by time; the best where the name or the log says which way is better."""
    story = Story().run(RUN, NOVEMBER, NOVEMBER + HOUR)
    for step, loss in [(0, "0.9"), (2, "0.5"), (1, "0.4")]:
        story.score(RUN, "val_loss", loss, at_ms=NOVEMBER, step=step)
        story.score(RUN, "zap", loss, at_ms=NOVEMBER, step=step, lower_is_better=False, split="test", unit="z")
    keeper.tell(story.batch())
    loss, zap = keeper.ledger.run(RUN)["scores"]
    assert (loss["name"], loss["value"], loss["best"], loss["step"], loss["lower_is_better"]) == (
        "val_loss",
        0.5,
        0.4,
        2,
        True,
    )
    assert (zap["value"], zap["best"], zap["split"], zap["unit"]) == (0.5, 0.9, "test", "z")


def test_a_score_can_be_logged_after_the_fact(keeper):
    """As an act at the desk."""
    keeper.tell(Story().run(RUN, NOVEMBER, NOVEMBER + HOUR).batch())
    keeper.tell(score_batch(keeper.entry(), RUN, {"accuracy": "0.93"}))
    assert keeper.ledger.run(RUN)["scores"][0]["value"] == 0.93


def test_energy_of_a_run_without_events_is_shown_all_the_same(keeper):
    """Its events may still be on their way; its energy is in the books."""
    story = Story().meter("cpu").reading("cpu", NOVEMBER, NOVEMBER + HOUR, KWH, {RUN: KWH})
    keeper.tell(story.batch())
    body = keeper.ledger.run(RUN[:8])
    assert (body["status"], body["started_at"], body["footprint"]["energy_kwh"]) == ("unknown", None, 1.0)
    assert [item["run"] for item in keeper.ledger.runs(RunsQuery())["items"]] == [RUN]
    report = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611))
    assert any("not their labels" in note for note in report["notes"])


def test_what_is_due_is_shown_before_it_is_booked(keeper):
    """Target minus booked, in memory: after booking the figures are the same to the digit, and no longer provisional."""
    keeper.place()
    story = Story().meter("time", "time").meter("cpu", label="EPYC").run(RUN, NOVEMBER, NOVEMBER + MINUTE, model="m")
    story.reading("cpu", NOVEMBER, NOVEMBER + MINUTE, KWH // 60, {RUN: (KWH // 61, MINUTE, 1000)})
    keeper.deliver(story.batch())
    before = keeper.ledger.run(RUN)
    keeper.ledger.book()
    after = keeper.ledger.run(RUN)
    assert (before["provisional"], after["provisional"]) == (True, False)
    assert before["footprint"]["energy_kwh"] == after["footprint"]["energy_kwh"] > 0
    assert before["footprint"] == after["footprint"]
    assert before["hosts"] == after["hosts"] == ["host-m1"]


def test_a_price_that_waits_to_be_booked_is_shown_too(keeper):
    """A factor makes days due whose hours stand."""
    keeper.place()
    story = Story().meter("cpu").run(RUN, NOVEMBER, NOVEMBER + HOUR)
    keeper.tell(story.reading("cpu", NOVEMBER, NOVEMBER + HOUR, KWH, {RUN: KWH}).batch())
    keeper.deliver(init_batch(keeper.entry(), Place(machine="m1", zone="FR", price_per_kwh="0.5", currency="EUR")))
    assert keeper.ledger.run(RUN)["footprint"]["cost"] == "0.5"
    keeper.ledger.book()
    assert keeper.ledger.run(RUN)["footprint"]["cost"] == "0.5"


def test_scores_that_every_rank_logs_are_taken_once():
    """Of one step that of the process which began the run, whoever was last; of ranks alone the last."""
    values = [
        ScoreValue(RUN, "a.1", "loss", "0.9", 10, 1, "", "", None),
        ScoreValue(RUN, "b.1~", "loss", "0.7", 12, 1, "", "", None),
        ScoreValue(RUN, "b.2~", "top1", "0.5", 13, 1, "", "", None),
        ScoreValue(RUN, "c.2~", "top1", "0.6", 14, 1, "", "", None),
    ]
    assert [(score.name, score.last, score.best) for score in run_scores(values)] == [
        ("loss", "0.9", "0.9"),
        ("top1", "0.6", "0.6"),
    ]
