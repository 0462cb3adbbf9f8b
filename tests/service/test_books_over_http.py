"""The same facts give the same figures over HTTP as in the book itself, and bad ones lose nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from books import HOUR, KWH, MINUTE, NOVEMBER, Plan, Story, realistic_batches, run_id
from helpers.running import running
from helpers.service import TOKEN, asked_as_owner, deliver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import FIRST_HOUR, Deliveries, books

from joulebook_api.app import create_app
from joulebook_ledger.client import HttpLedger
from joulebook_ledger.core.periods import month_of_day
from joulebook_ledger.core.refusals import BadInput, JoulebookError, Malformed, NotFound, Refused
from joulebook_ledger.core.wire import Outcome
from joulebook_ledger.desk.entering import Entry, Place, init_batch
from joulebook_ledger.ledger import Ledger
from joulebook_ledger.local import LocalLedger
from joulebook_ledger.queries import RankQuery, ReportQuery, RunsQuery, SciQuery

MONTH = 202611
FIRST_MONTH = month_of_day(FIRST_HOUR // 24)
PLACE = Place(machine="m00", zone="FR", price_per_kwh="0.25", currency="EUR")
PLAN = Plan(runs=12, machines=2, seed=7)
Question = Callable[[Ledger], object]
QUESTIONS: dict[str, Question] = {
    "runs": lambda ledger: ledger.runs(RunsQuery(limit=5)),
    "runs of a team, by energy": lambda ledger: ledger.runs(RunsQuery(labels={"team": "vision"}, sort="energy_kwh")),
    "the last run": lambda ledger: ledger.run(""),
    "a run by its beginning": lambda ledger: ledger.run(ledger.run("")["run"][:12]),
    "report": lambda ledger: ledger.report(ReportQuery(from_month=MONTH, to_month=MONTH)),
    "report by team and day, idle spread": lambda ledger: ledger.report(
        ReportQuery(from_month=MONTH, to_month=MONTH, by=("team", "day"), basis="current", idle="proportional")
    ),
    "report as of a link": lambda ledger: ledger.report(ReportQuery(from_month=MONTH, to_month=MONTH, as_of="1")),
    "ranking": lambda ledger: ledger.rank(RankQuery(task=task_of(ledger), score="accuracy")),
    "ranking by cost with a bound": lambda ledger: ledger.rank(
        RankQuery(task=task_of(ledger), score="accuracy", per="cost", least={"accuracy": "0.1"}, best=True)
    ),
    "carbon per sample": lambda ledger: ledger.sci(
        SciQuery(from_month=MONTH, to_month=MONTH, per="sample", idle="uniform")
    ),
    "why": lambda ledger: ledger.why("last energy_kwh"),
    "why a row of a report": lambda ledger: ledger.why("report:2026-11#cost"),
    "snapshot": lambda ledger: ledger.snapshot("m00"),
    "verify": lambda ledger: ledger.verify(),
}


def task_of(ledger: Ledger) -> str:
    """Return the task of the last run."""
    return ledger.run("")["labels"]["task"]


def fill(ledger: Ledger, book: LocalLedger) -> list[object]:
    """Deliver a realistic book, book it, and return what was answered."""
    entry = Entry(name="act-1", at_ms=NOVEMBER, author="ann")
    answers: list[object] = [ledger.deliver(batch) for batch in (init_batch(entry, PLACE), *realistic_batches(PLAN))]
    book.book()
    return answers


def test_the_same_facts_give_the_same_figures_through_http(served: Any, tmp_path: Path) -> None:
    """One book was fed and asked over HTTP, the other in process: every answer is the same, to the last digit."""
    with closing(LocalLedger(f"sqlite:///{tmp_path}/plain.sqlite", clock=served.book._clock)) as plain:
        assert fill(served.remote, served.book) == fill(plain, plain)
        for name, question in QUESTIONS.items():
            assert question(served.remote) == question(plain), name


def test_facts_sent_again_and_by_many_at_once_count_once(served: Any, tmp_path: Path) -> None:
    """A retry never doubles, and neither do eight senders of the same spool."""
    batches = list(realistic_batches(PLAN))
    with ThreadPoolExecutor(max_workers=8) as threads:
        answers = list(threads.map(served.remote.deliver, [batch for batch in batches for _ in range(4)]))
    served.book.book()
    assert all(set(answer.counts) <= {"stored", "already_stored"} for answer in answers)
    with closing(LocalLedger(f"sqlite:///{tmp_path}/plain.sqlite", clock=served.book._clock)) as plain:
        for batch in batches:
            plain.deliver(batch)
        plain.book()
        query = ReportQuery(from_month=MONTH, to_month=MONTH, by=("run",))
        assert served.remote.report(query)["rows"] == plain.report(query)["rows"]


def story(machine: str) -> Story:
    """Return the story of one meter, whose device draws 100 W at most."""
    return Story(machine).meter("cpu", max_power_mw=100_000)


def change(content: dict[str, Any], **changes: Any) -> Callable[[Story], None]:
    """Return what adds an item, with some of its fields changed, to a story."""
    kind = content["kind"]
    item = {name: value for name, value in {**content, **changes}.items() if name != "kind"}
    return lambda told: told._add(kind, {**item, **({"meter": told.key("cpu")} if "meter" in item else {})}) and None


WINDOW = {
    "kind": "readings", "meter": "", "start_ms": NOVEMBER + MINUTE, "end_ms": NOVEMBER + 2 * MINUTE, "energy_mj": 5_000_000,
    "method": "counter",
}  # fmt: skip
SCORE = {"kind": "scores", "run": run_id("r"), "score": "s1", "name": "accuracy", "value": "0.7", "at_ms": NOVEMBER}


def started(**changes: Any) -> Callable[[Story], None]:
    """Return what adds the start of a run to a story."""
    item = {"run": run_id("r"), "event": "e1", "kind": "started", "at_ms": NOVEMBER, **changes}
    return lambda told: told._add("runs", item) and None


BAD_ITEMS = [
    (started(labels={"stage": "trainig"}), "refused", "unknown_stage", "'trainig' is none of: training"),
    (change(SCORE, value="NaN"), "refused", "score_is_not_a_finite_number", "'NaN'"),
    (change(SCORE, value=0.7), "refused", "not_a_text", '"0.7"'),
    (started(labels={"model": "m" * 10_240}), "refused", "text_too_long", "10240"),
    (change(WINDOW, energy_mj=-1), "refused", "negative", "-1"),
    (change(WINDOW, start_ms=NOVEMBER + HOUR - MINUTE, end_ms=NOVEMBER + HOUR + 1), "refused", "window_crosses_an_hour", "cut it"),
    (change(WINDOW, start_ms=NOVEMBER + 30_000, end_ms=NOVEMBER + 90_000), "refused", "window_overlaps", str(NOVEMBER)),
    (change(WINDOW, start_ms=NOVEMBER + 300 * 24 * HOUR, end_ms=NOVEMBER + 300 * 24 * HOUR + 1), "retry_later", "window_from_the_future", "clock"),
    (change(WINDOW, energy_mj=KWH), "refused", "implausible_power", "100000"),
    (change(WINDOW, energy_mj=5.5), "refused", "not_an_integer", "5.5"),
    (change(WINDOW, surprise=1), "refused", "unknown_field", "surprise"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("add", "outcome", "reason", "said"), BAD_ITEMS, ids=[f"{reason}-{number}" for number, (_, _, reason, _) in enumerate(BAD_ITEMS)]
)  # fmt: skip
def test_a_bad_item_is_decided_by_itself(
    shared: Any, add: Callable[[Story], None], outcome: str, reason: str, said: str
) -> None:
    """It is named with its value and the way out; the good ones beside it are stored, and the spool goes on."""
    told = story(f"{reason}{said}").reading("cpu", NOVEMBER, NOVEMBER + MINUTE, 1_000_000)
    add(told)
    answer = shared.remote.deliver(told.batch())
    (bad,) = answer.exceptions
    assert isinstance(bad, Outcome)
    assert (bad.outcome, bad.reason) == (outcome, reason)
    assert said in bad.detail
    assert answer.counts == {"stored": 2, outcome: 1}
    after = told.reading("cpu", NOVEMBER + 10 * MINUTE, NOVEMBER + 11 * MINUTE, 1_000_000).batch()
    assert shared.remote.deliver(after).counts == {"stored": 1}


def test_a_number_that_json_does_not_know_is_refused_by_itself(shared: Any) -> None:
    """NaN is no JSON, and some write it all the same."""
    told = story("not a number")
    change(SCORE, value="0.25")(told)
    answer = shared.remote.deliver(told.batch().replace(b'"0.25"', b"NaN"))
    assert answer.counts == {"stored": 1, "refused": 1}
    assert answer.exceptions[0].reason == "not_a_text"


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1,2]", b"\x00", b'{"wire":0}', b'{"wire":1,"wire":1}', b"[" * 100_000]
)
def test_a_malformed_batch_stores_nothing(shared: Any, content: bytes) -> None:
    """It is refused whole, by the same error as in the book itself."""
    before = shared.remote.runs(RunsQuery())
    with pytest.raises(Malformed) as remote:
        shared.remote.deliver(content)
    with pytest.raises(Malformed) as here:
        shared.book.deliver(content)
    assert str(remote.value) == str(here.value)
    assert shared.remote.runs(RunsQuery()) == before


@pytest.mark.parametrize(
    ("question", "error"),
    [
        (lambda ledger: ledger.rank(RankQuery(stage="trainig")), Refused),
        (lambda ledger: ledger.rank(RankQuery(per="watts")), BadInput),
        (lambda ledger: ledger.run("zzz"), NotFound),
        (lambda ledger: ledger.why("nothing#cost"), BadInput),
        (lambda ledger: ledger.why("run:zzz#cost"), NotFound),
        (lambda ledger: ledger.runs(RunsQuery(sort="colour")), BadInput),
        (lambda ledger: ledger.runs(RunsQuery(labels={"colour": "red"})), BadInput),
        (lambda ledger: ledger.runs(RunsQuery(limit=0)), BadInput),
        (lambda ledger: ledger.report(ReportQuery(from_month=MONTH, to_month=MONTH, by=("colour",))), BadInput),
        (lambda ledger: ledger.report(ReportQuery(from_month=MONTH, to_month=MONTH, as_of="99")), BadInput),
        (lambda ledger: ledger.report(ReportQuery(from_month=MONTH, to_month=MONTH, as_of="yesterday")), BadInput),
        (lambda ledger: ledger.report(ReportQuery(from_month=MONTH, to_month=202610)), BadInput),
    ],
)
def test_a_bad_question_is_bad_input_on_both_ways(shared: Any, question: Question, error: type[JoulebookError]) -> None:
    """Exit code 2 of a command, wherever its book lies."""
    for ledger in (shared.remote, shared.book):
        with pytest.raises(BadInput) as refusal:
            question(ledger)
        assert refusal.value.exit_code == 2
    with pytest.raises(error):
        question(shared.remote)


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(told=books(), order=st.randoms(use_true_random=False))
def test_random_facts_give_the_same_report_over_http(
    told: Deliveries, order: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Shuffled and doubled over HTTP, in order and once in process."""
    folder = tmp_path_factory.mktemp("random")
    # What people enter keeps its order: of two factors the one learnt last holds.
    mixed = [*told.readers, *told.readers, *told.desk]
    order.shuffle(mixed)
    batches, mixed = [*told.desk, *told.readers], [*told.desk, *mixed]
    with contextlib.ExitStack() as stack:
        plain, book = (
            stack.enter_context(closing(LocalLedger(f"sqlite:///{folder}/{name}"))) for name in ("plain", "behind")
        )
        url = stack.enter_context(running(create_app(book, TOKEN)))
        remote = stack.enter_context(closing(HttpLedger(url, TOKEN)))
        for ledger, sent in ((remote, mixed), (plain, batches)):
            for batch in sent:
                ledger.deliver(batch)
        assert plain.book() == book.book()
        query = ReportQuery(from_month=FIRST_MONTH, to_month=FIRST_MONTH, by=("run", "device"))
        assert remote.report(query)["rows"] == plain.report(query)["rows"]


def test_no_page_of_a_real_book_fails_on_odd_words(sqlite_url: str) -> None:
    """What a person may type in any parameter is answered or refused, by the book itself as well."""
    with closing(LocalLedger(sqlite_url)) as book, asked_as_owner(create_app(book, TOKEN)) as client:
        fill(book, book)
        words = [
            "",
            "0",
            "-1",
            "9" * 40,
            "%",
            "_",
            "\\",
            "'",
            '"',
            "' OR 1=1 --",
            ":x",
            "%s",
            "{}",
            "é",
            "last",
            "run:#",
            "a=b",
            "#",
            "2026-11",
        ]
        for page in ("runs?model=", "runs?tag=a=", "runs?sort=", "runs?cursor=", "runs?status=", "runs/", "footprint?run=", "reports/",
                     "footprint?from=2026-11&team=", "reports?from=2026-11&by=", "reports?from=2026-11&as_of=", "rank?task=", "rank?score=",
                     "rank?split=", "rank?min=accuracy=", "rank?min=a=", "why?figure=", "why?figure=run:", "why?figure=report:2026-11/model=",
                     "snapshot?machine="):  # fmt: skip
            for word in words:
                answer = client.get(f"/v1/{page}" + "".join(f"%{byte:02X}" for byte in word.encode()))
                assert answer.status_code < 500, (page, word, answer.text)
        assert deliver(client, b"{").status_code == 400
