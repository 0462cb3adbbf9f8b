"""The commands in this process, in front of a ledger of fixed answers: what they ask, what they write, how they refuse."""

from __future__ import annotations

import json
import re

import pytest
from helpers.front_door import VERIFIED, FixedLedger, said

from joulebook.commands.main import PANELS
from joulebook_ledger.bodies import RunBody, VerifyBody
from joulebook_ledger.core.events import RunEvent, Score
from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.refusals import BadInput, Unavailable
from joulebook_ledger.queries import CloseQuery, RankQuery, ReportQuery, RunsQuery

COMMANDS = [name for names in PANELS.values() for name in names]
READING = [["runs"], ["show"], ["report"], ["rank"], ["sci"], ["why"], ["verify"], ["close"], ["factors"], ["hosts"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of each says what it is for and shows how it is called."""
    assert said([command, "--help"])[0] == 0
    out = capsys.readouterr().out
    assert f"Usage: joulebook {command}" in out
    assert re.search(rf"Examples:\s+\$ .*joulebook {command}", out)


def test_the_four_panels_hold_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`joulebook` alone, and `joulebook --help`, show them."""
    assert said(["--help"])[0] == 0
    out = capsys.readouterr().out
    assert [panel for panel in ("Track", "Look", "Books", "Run a service") if f" {panel} " not in out] == []
    assert [command for command in COMMANDS if f" {command} " not in out] == []
    assert said([])[0] == 0
    assert capsys.readouterr().out.strip() == out.strip()


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_every_reading_command_writes_its_body_as_json(words: list[str]) -> None:
    """With --json the answer is JSON and nothing else."""
    code, out, err = said([*words, "--json"])
    assert (code, err) == (0, "")
    assert isinstance(json.loads(out), dict)


def test_json_is_the_body_of_the_ledger_unrounded() -> None:
    """What REST sends is what --json prints."""
    ledger = FixedLedger()
    assert json.loads(said(["show", "--json"], ledger)[1]) == ledger.run("")


def test_questions_reach_the_ledger_as_they_were_asked() -> None:
    """Options become the query's fields; a run left out is the last one."""
    ledger = FixedLedger()
    said(
        ["runs", "--task", "imagenet", "--tag", "grid=b", "--status", "failed", "--sort", "cost", "--limit", "5"],
        ledger,
    )
    said(["show", "3f9c"], ledger)
    said(["show"], ledger)
    said(["rank", "--score", "top1", "--per", "co2e", "--min", "top1=0.5", "--best"], ledger)
    said(["why", "last", "cost"], ledger)
    assert ledger.asked == [
        RunsQuery(labels={"task": "imagenet", "tag:grid": "b", "status": "failed"}, sort="cost", limit=5), "3f9c", "",
        RankQuery(score="top1", per="co2e", least={"top1": "0.5"}, best=True), "last cost",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "first", "last"),
    [
        ([], 202611, 202611), (["--month", "2026-03"], 202603, 202603), (["--year", "2025"], 202501, 202512),
        (["--quarter", "2026-Q4"], 202610, 202612), (["--quarter", "2024-q1"], 202401, 202403),
        (["--from", "2026-01"], 202601, 202611), (["--to", "2026-02"], 202602, 202602), (["--from", "2026-01", "--to", "2026-02"], 202601, 202602),
    ],
)  # fmt: skip
def test_a_report_is_of_the_months_that_were_named(words: list[str], first: int, last: int) -> None:
    """This month where nothing is said."""
    ledger = FixedLedger()
    said(["report", "--by", "team, tag:grid", *words], ledger)
    assert ledger.asked == [ReportQuery(from_month=first, to_month=last, by=("team", "tag:grid"))]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["runs", "--stage", "trainin"], "stage 'trainin' is none of: training, finetuning, tuning, evaluation, serving, other"),
        (["runs", "--limit", "many"], "--limit must be a whole number from 1 to 1000, not 'many'"),
        (["report", "--month", "2026-13"], "'2026-13' is no month: write it as YYYY-MM, such as 2026-11"),
        (["report", "--from", "2026-05", "--to", "2026-04"], "--to 2026-04 is before --from 2026-05"),
        (["report", "--by", "colour"], "key 'colour' is none of: model, version"),
        (["report", "--month", "2026-01", "--year", "2026"], "give one of them"),
        (["report", "--quarter", "2026-Q1", "--year", "2026"], "give one of them"),
        (["report", "--quarter", "2026-Q5"], "'2026-Q5' is no quarter: write it as YYYY-QN"),
        (["report", "--quarter", "26-Q1"], "'26-Q1' is no quarter"),
        (["sci", "--per", "smile"], "--per 'smile' is none of: request, token"),
        (["sci", "--boundary", "mine"], "boundary 'mine' is none of: all, consumer, provider"),
        (["rank", "--per", "smell"], "--per 'smell' is none of: cost, co2e, energy"),
        (["rank", "--min", "accuracy"], "least score 'accuracy' has no value"),
        (["rank", "--min", "accuracy=nan"], "must be a finite number, not 'nan'"),
        (["log", "accuracy=nan"], "log a finite number, or nothing"),
        (["log", "3f9c"], "no score to log"),
        (["log", "accuracy=1", "--step", "-1"], "--step must be a whole number from 0"),
        (["label", "--model", "m" * 10_000], "has 10000 characters, 200 are allowed"),
        (["label"], "no label to give"),
        (["label", "--include", "--exclude", "why"], "give one of them"),
        (["label", "--tag", "grid"], "tag 'grid' has no value: write tags as key=value"),
        (["init", "--zone", "Frnace", "--yes"], "zone 'Frnace' does not exist; the nearest are FR (France)"),
        (["init", "--price", "0.25", "--currency", "euro", "--yes"], "is no ISO 4217 code"),
        (["init", "--price", "a lot", "--currency", "EUR", "--yes"], "must be a decimal number such as 0.25, not 'a lot'"),
        (["init", "--pue", "0.9", "--yes"], "a PUE is at least 1"),
        (["init", "--ownership", "rented", "--yes"], "ownership 'rented' is none of: owned, colocated, cloud"),
        (["factors", "set", "colour", "1"], "kind 'colour' is none of: grid_location"),
        (["factors", "set", "pue"], "factors set KIND VALUE"),
        (["serve", "--port", "70000"], "--port must be a whole number from 0 to 65535"),
        (["shwo"], "No such command 'shwo'. Did you mean 'show'?"),
        (["show", "--jsno"], "No such option: --jsno"),
        (["run"], "Missing argument"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)  # fmt: skip
def test_bad_input_is_one_line_that_names_the_value_and_the_way_out(words: list[str], expected: str) -> None:
    """Exit code 2, one line on stderr, nothing on stdout, nothing delivered."""
    ledger = FixedLedger(placed=False)
    code, out, err = said(words, ledger)
    assert (code, out) == (2, "")
    assert err.startswith("joulebook: ")
    assert err.count("\n") == 1
    assert expected in err
    assert ledger.given == []


@pytest.mark.parametrize(("trouble", "code"), [(BadInput("no run 'x'"), 2), (Unavailable("the book is away"), 3)])
def test_the_exit_code_is_the_errors(trouble: BadInput | Unavailable, code: int) -> None:
    """What cannot be taken is 2, what cannot be reached is 3."""
    assert said(["show"], FixedLedger(trouble=trouble)) == (code, "", f"joulebook: {trouble}\n")


def test_ctrl_c_ends_a_command_with_130_and_no_complaint() -> None:
    """As a shell expects."""

    class Impatient(FixedLedger):
        def run(self, run: str) -> RunBody:
            raise KeyboardInterrupt(run)

    assert said(["show"], Impatient()) == (130, "", "")


def test_a_book_that_does_not_prove_itself_is_exit_code_1() -> None:
    """The answer is written all the same."""

    class Tampered(FixedLedger):
        def verify(self, head: str = "") -> VerifyBody:
            assert not head
            return {**VERIFIED, "ok": False, "checks": [{"name": "links", "ok": False, "detail": "link 3 differs"}]}

    code, out, err = said(["verify"], Tampered())
    assert (code, err) == (1, "")
    assert "WRONG  links: link 3 differs" in out
    assert "does NOT prove itself" in out


def test_restate_shows_before_and_after_and_says_how_to_undo_it() -> None:
    """With --dry-run it says that nothing was written."""
    words = ["restate", "--kind", "grid_location", "--object", "FR", "--reason", "revised by RTE"]
    code, out, err = said([*words, "--dry-run"], FixedLedger())
    assert (code, err) == (0, "")
    assert "Restating 2026-10, grid_location FR as known at link 3: revised by RTE" in out
    assert ["2026-10", "0.060", "0.050", "-0.010"] in [line.split() for line in out.splitlines()]
    assert "Nothing was written" in out
    code, out, err = said(words, FixedLedger())
    assert "To undo it: joulebook restate --undo" in out
    assert said(["restate", "--kind", "colour"], FixedLedger())[0] == 2


def test_correct_shows_what_was_wrong_and_what_is_said_instead() -> None:
    """With --dry-run it says that nothing was written; what is no COLUMN=VALUE, or is given twice, is refused."""
    words = ["correct", "score", "name=accuracy", "--reason", "of the wrong split", "--author", "ann"]
    code, out, err = said([*words, "--set", "value=0.9", "--dry-run"], FixedLedger())
    assert (code, err) == (0, "")
    assert "Correcting 1 score: of the wrong split (ann)" in out
    assert "value=0.9" in out
    assert "Nothing was written" in out
    assert "void" in said(words, FixedLedger())[1]
    for wrong in ("accuracy", "name=loss"):
        assert said([*words[:3], wrong, *words[3:]], FixedLedger())[0] == 2


def test_init_writes_what_is_new_and_nothing_else() -> None:
    """The place is known already; only the price is new, and the site stays where it is."""
    ledger = FixedLedger()
    code, out, _ = said(["init", "--price", "0.31", "--currency", "EUR", "--yes", "--json"], ledger)
    facts = [fact for batch in ledger.given for fact in batch.facts()]
    assert code == 0
    assert [(fact.kind, fact.object, fact.value) for fact in facts if isinstance(fact, Factor)] == [
        ("tariff", "lab", 310_000)
    ]
    assert len(facts) == 1
    assert json.loads(out)["not_set"]["water_site"] == "joulebook init --water L_PER_KWH --yes"


def test_init_of_a_new_machine_places_it_and_names_the_source_of_every_figure() -> None:
    """Site, placement, grid with its table, tariff, and a PUE that is said to be declared."""
    ledger = FixedLedger(placed=False)
    said(["init", "--zone", "fra", "--price", "0.25", "--currency", "EUR", "--site", "lab", "--yes"], ledger)
    facts = [fact for batch in ledger.given for fact in batch.facts()]
    assert [fact.zone for fact in facts if isinstance(fact, Site)] == ["FR"]
    assert [fact.site for fact in facts if isinstance(fact, Placement)] == ["lab"]
    assert {fact.kind: bool(fact.source) for fact in facts if isinstance(fact, Factor)} == {
        "grid_location": True,
        "pue": True,
        "tariff": True,
    }


def test_init_again_changes_nothing() -> None:
    """What holds already is not entered twice."""
    ledger = FixedLedger(placed=False)
    words = ["init", "--zone", "FR", "--price", "0.25", "--currency", "EUR", "--pue", "1.2", "--yes"]
    said(words, ledger)
    _, out, _ = said(words, ledger)
    assert len(ledger.given) == 1
    assert "nothing was changed" in out


def test_init_applies_nothing_that_nobody_confirmed() -> None:
    """Without a person and without --yes it refuses and says what to write; a person's no changes nothing."""
    ledger = FixedLedger(placed=False)
    code, _, err = said(["init", "--zone", "FR"], ledger)
    assert code == 2
    assert "nobody is here to confirm it: joulebook init --zone FR --price PER_KWH --currency EUR --yes" in err
    code, _, err = said(["init"], ledger, keys="FR\nowned\n0.25\nEUR\nn\n", screen=True)
    assert code == 130
    assert err.endswith("joulebook: nothing was changed\n")
    assert ledger.given == []


def test_init_asks_again_when_an_answer_cannot_be_taken() -> None:
    """The answer's own refusal is shown; `-` leaves a thing unknown."""
    ledger = FixedLedger(placed=False)
    code, _, err = said(["init"], ledger, keys="Frnace\nFR\n\n-\ny\n", screen=True)
    assert code == 0
    assert "zone 'Frnace' does not exist; the nearest are FR (France)" in err
    assert [fact.kind for fact in ledger.given[0].facts() if isinstance(fact, Factor)] == ["grid_location", "pue"]


def test_log_adds_scores_to_the_last_run_or_to_the_one_named() -> None:
    """The first word is a run where it is no score."""
    ledger = FixedLedger()
    said(["log", "accuracy=0.76", "loss=0.9", "--split", "test", "--step", "7", "--lower-is-better"], ledger)
    said(["log", "3f9c", "accuracy=0.77"], ledger)
    assert ledger.asked[0] == ""
    assert ledger.asked[2] == "3f9c"
    scores = [fact for fact in ledger.given[0].facts() if isinstance(fact, Score)]
    assert [(s.name, s.value, s.split, s.step, s.lower_is_better) for s in scores] == [
        ("accuracy", "0.76", "test", 7, True), ("loss", "0.9", "test", 7, True),
    ]  # fmt: skip


def test_label_changes_labels_and_excludes_with_a_reason() -> None:
    """A label is an event of its own; --include takes an exclusion back."""
    ledger = FixedLedger()
    said(["label", "3f9c", "81aa", "--team", "vision", "--exclude", "wrong data"], ledger)
    said(["label", "--include"], ledger)
    events = [[fact for fact in batch.facts() if isinstance(fact, RunEvent)] for batch in ledger.given]
    assert [dict(event.labels) for event in events[0]] == [{"team": "vision", "exclude": "wrong data"}] * 2
    assert [dict(event.labels) for event in events[1]] == [{"exclude": ""}]


def test_factors_set_says_what_it_is_of_by_itself() -> None:
    """A PUE is of the machine's site, a grid of its zone; the value is in the units of people."""
    ledger = FixedLedger()
    said(["factors", "set", "pue", "1.15", "--source", "operator, 2026"], ledger)
    said(["factors", "set", "grid_location", "32.5", "--from", "2026-11-01"], ledger)
    factors = [fact for batch in ledger.given for fact in batch.facts() if isinstance(fact, Factor)]
    assert [(f.kind, f.object, f.value, f.valid_from_ms) for f in factors] == [
        ("pue", "lab", 1_150_000, 0), ("grid_location", "FR", 32_500_000, 1_793_491_200_000),
    ]  # fmt: skip
    assert factors[0].source == "operator, 2026"


def test_a_factor_of_a_machine_that_stands_nowhere_is_refused() -> None:
    """The way out is named."""
    code, _, err = said(["factors", "set", "pue", "1.15"], FixedLedger(placed=False))
    assert code == 2
    assert "joulebook init --zone CODE" in err


def test_a_checklist_names_what_is_missing_and_the_command_that_fixes_it() -> None:
    """Exit code 1 where something stands in the way, so that a script can wait for it."""
    ledger = FixedLedger()
    code, out, _ = said(["close", "2026-10", "--check", "--tolerance", "0.5"], ledger)
    assert code == 1
    assert "MISSING complete: node-a owes about 2 kWh\n        joulebook retire feedfeed --reason TEXT" in out
    assert "look    priced: water_l" in out
    assert "ok      labelled" in out
    assert "Not to be closed yet" in out
    assert ledger.asked == [CloseQuery(month=202610, tolerance_ppm=5_000, author=ledger.asked[0].author)]


def test_a_close_prints_its_head_and_takes_author_and_reason() -> None:
    """The same lines as the checklist, then what is to be kept elsewhere."""
    ledger = FixedLedger()
    code, out, _ = said(["close", "--through", "2026-10", "--author", "Ann", "--reason", "scrapped"], ledger)
    assert code == 0
    assert "Closed 2026-10  12.5 kWh, 3.12 EUR" in out
    assert "Sealed  link 12, head abcdef0123456789" in out
    assert ledger.asked == [CloseQuery(month=202610, author="Ann", reason="scrapped")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["close", "2026-13"], "'2026-13' is no month"),
        (["close", "2026-10", "--through", "2026-11"], "MONTH and --through say the same"),
        (["close", "--tolerance", "101"], "is no share of the month's energy"),
        (["close", "--tolerance", "-1"], "is no share of the month's energy"),
        (["close", "--tolerance", "much"], "tolerance"),
    ],
)
def test_a_close_that_cannot_be_meant_is_refused(words: list[str], message: str) -> None:
    """By value, before anything is asked of the ledger."""
    code, _, err = said(words)
    assert code == 2
    assert message in err
