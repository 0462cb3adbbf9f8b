"""Rankings: medians per model version, the front first, nothing guessed, everybody left out named with the reason."""

import pytest
from books import HOUR, KWH, MINUTE, NOVEMBER, Story, run_id

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.queries import RankQuery


class Contest(Story):
    """A machine on which runs follow each other, each an hour."""

    def __init__(self) -> None:
        super().__init__()
        self.meter("cpu", label="EPYC")
        self.at_ms = NOVEMBER

    def entrant(self, name, kwh, scores, *, method="counter", status="finished", **labels):
        """Let a run take part."""
        run, start = run_id(name), self.at_ms
        self.at_ms += HOUR
        labels.setdefault("model", name)
        self.run(run, start, self.at_ms, status=status, scores=scores, task="digits", **labels)
        energy = round(kwh * KWH)
        self.reading("cpu", start, self.at_ms, energy, {run: energy}, method=method)
        return self


def models(body):
    """Return the models of a ranking in its order."""
    return [row["model"] for row in body["rows"]]


@pytest.fixture
def contest():
    """Return small, middle, large, and one that large beats in both."""
    return (
        Contest()
        .entrant("small", 1, {"accuracy": "0.80", "params": "10"})
        .entrant("middle", 2, {"accuracy": "0.90", "params": "20"})
        .entrant("large", 8, {"accuracy": "0.95", "params": "80"})
        .entrant("wasteful", 16, {"accuracy": "0.94", "params": "90"})
    )


def test_the_front_comes_first_then_the_ratio(keeper, contest):
    """What nothing beats in both stands on the front; who is beaten says by whom."""
    keeper.tell(contest.batch())
    body = keeper.ledger.rank(RankQuery())
    assert models(body) == ["small", "middle", "large", "wasteful"]
    assert [row["on_frontier"] for row in body["rows"]] == [True, True, True, False]
    assert (body["rows"][3]["dominated_by"], body["rows"][0]["ratio"]) == ("large", 0.8)
    assert (body["task"], body["score"], body["per"], body["lower_is_better"]) == (
        "digits",
        "accuracy",
        "energy",
        False,
    )


def test_a_ranking_is_per_any_resource(keeper, contest):
    """Cost, CO2e, time and size as well as energy."""
    keeper.place()
    keeper.tell(contest.batch())
    for per, unit, small in (
        ("co2e", "kg CO2e", 0.056039),
        ("cost", "EUR", 0.25),
        ("duration", "s", 3_600.0),
        ("params", "parameters", 10.0),
    ):
        row = next(row for row in keeper.ledger.rank(RankQuery(per=per))["rows"] if row["model"] == "small")
        assert (row["per_unit"], row["unit"]) == (small, unit)


def test_a_version_is_ranked_by_its_medians_and_failed_runs_stand_beside(keeper):
    """Three finished runs give the median; the failed one is left out and is in the total."""
    contest = Contest()
    for number, (kwh, accuracy) in enumerate([(1, "0.7"), (2, "0.9"), (9, "0.8")]):
        contest.entrant(f"m{number}", kwh, {"accuracy": accuracy}, model="m", version="a")
    contest.entrant("m3", 4, {"accuracy": "0.99"}, model="m", version="a", status="failed")
    keeper.tell(contest.batch())
    body = keeper.ledger.rank(RankQuery())
    row = body["rows"][0]
    assert (row["value"], row["per_unit"], row["runs"]) == (0.8, 2.0, 3)
    assert (row["total_runs"], row["total_per_unit"]) == (4, 16.0)
    assert body["excluded"][0] == {"run": run_id("m3"), "model": "m", "version": "a", "reason": "failed"}
    assert row["why"] == f"run:{run_id('m1')}#energy_kwh"


def test_less_is_better_for_a_loss(keeper):
    """By its name; the ranking says so."""
    contest = Contest().entrant("good", 1, {"val_loss": "0.2"}).entrant("bad", 2, {"val_loss": "0.4"})
    keeper.tell(contest.batch())
    body = keeper.ledger.rank(RankQuery())
    assert (models(body), body["lower_is_better"]) == (["good", "bad"], True)


def test_a_direction_that_nobody_said_is_asked_for(keeper):
    """Of an unknown score nothing is guessed."""
    keeper.tell(Contest().entrant("a", 1, {"zap": "1"}).batch())
    with pytest.raises(BadInput, match="lower_is_better"):
        keeper.ledger.rank(RankQuery())


def test_a_choice_that_the_book_leaves_is_listed(keeper, contest):
    """Two scores, two tasks: the message names them, and what is said settles it."""
    contest.entrant("other", 1, {"f1": "0.5"})
    contest.lists["runs"][-2]["labels"]["task"] = "letters"
    keeper.tell(contest.batch())
    with pytest.raises(BadInput, match="--task with one of digits, letters"):
        keeper.ledger.rank(RankQuery())
    assert models(keeper.ledger.rank(RankQuery(task="letters"))) == ["other"]
    assert keeper.ledger.rank(RankQuery(score="f1"))["task"] == "letters"


def test_of_two_splits_one_must_be_said(keeper):
    """The held-out value is not the training value."""
    contest = Contest().entrant("a", 1, {})
    for split in ("test", "train"):
        contest.score(run_id("a"), "accuracy", "0.9", at_ms=NOVEMBER, split=split)
    keeper.tell(contest.batch())
    with pytest.raises(BadInput, match="--split with one of test, train"):
        keeper.ledger.rank(RankQuery())
    assert keeper.ledger.rank(RankQuery(split="test"))["split"] == "test"


def test_who_does_not_reach_the_least_score_is_left_out_and_named(keeper, contest):
    """At least 0.85."""
    keeper.tell(contest.batch())
    body = keeper.ledger.rank(RankQuery(least={"accuracy": "0.85"}))
    assert "small" not in models(body)
    assert body["excluded"][0]["reason"] == "accuracy 0.8 is below 0.85"


def test_the_best_value_ranks_only_when_asked_for(keeper):
    """The last value is what one has at the end."""
    contest = Contest().entrant("a", 1, {"accuracy": "0.9"})
    contest.score(run_id("a"), "accuracy", "0.7", at_ms=NOVEMBER + HOUR + MINUTE)
    keeper.tell(contest.batch())
    assert keeper.ledger.rank(RankQuery())["rows"][0]["value"] == 0.7
    assert keeper.ledger.rank(RankQuery(best=True))["rows"][0]["value"] == 0.9


def test_a_ratio_at_no_resource_is_null(keeper):
    """Division by nothing is no number; the row stays."""
    keeper.tell(Contest().entrant("free", 0, {"accuracy": "0.5"}).entrant("paid", 1, {"accuracy": "0.9"}).batch())
    rows = {row["model"]: row for row in keeper.ledger.rank(RankQuery())["rows"]}
    assert (rows["free"]["ratio"], rows["free"]["on_frontier"]) == (None, True)


def test_what_was_not_priced_is_left_out_with_the_command(keeper, contest):
    """A ranking by cost without a price has no rows and says why."""
    keeper.tell(contest.batch())
    body = keeper.ledger.rank(RankQuery(per="cost"))
    assert body["rows"] == []
    assert "joulebook init --price" in body["excluded"][0]["reason"]


def test_a_book_without_scores_says_how_to_log_one(keeper):
    """Bare and empty, it is no error."""
    assert "run.log(" in keeper.ledger.rank(RankQuery())["notes"][0]


def test_an_error_that_both_share_tells_them_apart_all_the_same(keeper):
    """One counter, one grid: 8 % more is more, though each is only known to ± 10 %."""
    keeper.tell(Contest().entrant("a", 1, {"accuracy": "0.9"}).entrant("b", 1.08, {"accuracy": "0.9"}).batch())
    assert [row["robust"] for row in keeper.ledger.rank(RankQuery())["rows"]] == [True, True]


def test_measured_against_modelled_8_percent_is_nothing(keeper):
    """Here the errors differ, and the ranking says that it is not robust."""
    contest = Contest().entrant("a", 1, {"accuracy": "0.9"})
    contest.entrant("b", 1.08, {"accuracy": "0.9"}, method="model")
    keeper.tell(contest.batch())
    body = keeper.ledger.rank(RankQuery())
    assert [row["robust"] for row in body["rows"]] == [False, False]
    assert any("not robust" in note for note in body["notes"])


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (RankQuery(per="beauty"), "energy"),
        (RankQuery(stage="early"), "finetuning"),
        (RankQuery(task="none"), "digits"),
        (RankQuery(score="none"), "accuracy"),
        (RankQuery(least={"none": "1"}), "accuracy"),
        (RankQuery(least={"accuracy": "much"}), "must be a number"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(sqlite_keeper, contest, query, said):
    """Each refusal lists the choices."""
    sqlite_keeper.tell(contest.batch())
    with pytest.raises(BadInput, match=said):
        sqlite_keeper.ledger.rank(query)


def test_of_a_score_where_less_is_better_the_bound_is_the_most(keeper):
    """At least as good as 0.3: a loss above it is left out."""
    contest = Contest().entrant("good", 1, {"val_loss": "0.2"}).entrant("bad", 2, {"val_loss": "0.4"})
    keeper.tell(contest.batch())
    body = keeper.ledger.rank(RankQuery(least={"val_loss": "0.3"}))
    assert models(body) == ["good"]
    assert body["excluded"][0]["reason"] == "val_loss 0.4 is above 0.3"
