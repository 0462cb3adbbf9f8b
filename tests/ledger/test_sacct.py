"""Past jobs of Slurm are declared facts, entered once, all of a file or none of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from books import MINUTE, NOVEMBER

from joulebook import past_jobs
from joulebook_collectors.presence.unannounced import _run_of
from joulebook_ledger.core.events import RunEvent
from joulebook_ledger.core.records import Reader
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.wire import encode_batch, to_wire
from joulebook_ledger.desk.sacct import parse_sacct

if TYPE_CHECKING:
    from ledger.conftest import Bookkeeper

HEAD = "JobID|JobName|Account|Cluster|State|Start|End|ConsumedEnergyRaw"
START = NOVEMBER // 1000


def table(*rows: str) -> str:
    """Return what sacct prints."""
    return "\n".join([HEAD, *rows]) + "\n"


def row(
    job: str = "42",
    *,
    state: str = "COMPLETED",
    start: object = START,
    end: object = START + 5_400,
    energy: str = "7200000",
) -> str:
    """Return a row of it."""
    return f"{job}|bert|vis01|hpc|{state}|{start}|{end}|{energy}"


def test_a_past_job_is_a_run_with_its_declared_energy(keeper: Bookkeeper) -> None:
    """2 kWh of an hour and a half, over two hours by time; steps and jobs that still run are passed over."""
    text = table(row(), row("42.batch"), row("42.0"), row("43", state="RUNNING", end="Unknown"))
    body = past_jobs.take_in(text, keeper.ledger)
    assert (body["jobs"], body["known_before"], body["with_energy"]) == (1, 0, 1)
    run = keeper.ledger.run(_run_of("slurm job", "hpc", "42"))
    assert run["status"] == "finished"
    assert run["labels"] == {"model": "bert", "team": "vis01", "name": "bert", "tag:account": "vis01"}
    assert run["footprint"]["energy_kwh"] == 2.0
    assert run["footprint"]["measured_share"] == 0.0
    assert run["footprint"]["duration_s"] == 5_400
    assert keeper.ledger.verify()["ok"]


def test_entering_a_file_again_changes_nothing(sqlite_keeper: Bookkeeper) -> None:
    """Every fact is known already."""
    past_jobs.take_in(table(row(), row("43")), sqlite_keeper.ledger)
    before = sqlite_keeper.ledger.run(_run_of("slurm job", "hpc", "42"))
    body = past_jobs.take_in(table(row(), row("43")), sqlite_keeper.ledger)
    assert (body["known_before"], body["entries_booked"], set(body["outcomes"])) == (2, 0, {"already_stored"})
    assert sqlite_keeper.ledger.run(before["run"]) == before


@pytest.mark.parametrize("energy", ["", "0", "18446744073709551614"])
def test_a_job_whose_energy_slurm_does_not_know_has_time_and_no_energy(sqlite_keeper: Bookkeeper, energy: str) -> None:
    """Nothing is zero because nobody measured it."""
    past_jobs.take_in(table(row(energy=energy)), sqlite_keeper.ledger)
    footprint = sqlite_keeper.ledger.run("")["footprint"]
    assert (footprint["duration_s"], footprint["energy_kwh"]) == (5_400, None)


def test_of_a_run_that_was_measured_only_the_schedulers_word_is_taken(sqlite_keeper: Bookkeeper) -> None:
    """Its energy is in the books already; that it ran into its time limit only Slurm knows."""
    run = _run_of("slurm job", "hpc", "42")
    events = [
        RunEvent(run=run, event="agent.appeared", kind="started", at_ms=NOVEMBER, labels={"model": "mine"}),
        RunEvent(run=run, event="agent.left", kind="ended", at_ms=NOVEMBER + 90 * MINUTE, status="finished"),
    ]
    reader = Reader(reader="r1", machine="m1", boot="b1")
    sqlite_keeper.deliver(encode_batch(reader=reader, sequence=1, lists={"runs": [to_wire(event) for event in events]}))
    past_jobs.take_in(table(row(state="TIMEOUT")), sqlite_keeper.ledger)
    told = sqlite_keeper.ledger.run(run)
    assert (told["status"], told["facts"]["scheduler_state"], told["labels"]["model"]) == ("killed", "timeout", "mine")
    assert told["footprint"]["energy_kwh"] is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: columns JobID"),
        ("JobID|State\n1|COMPLETED\n", "columns JobName, Account, Cluster, Start, End are missing"),
        (table(row(), "42|x|y"), "line 3: 3 columns, the head has 8"),
        (table(row(), row(start="2026-11-01T00:00:00")), "line 3: column Start: '2026-11-01T00:00:00'"),
        (table(row(end=START - 1)), "line 2: column End"),
        (table(row(energy="7.2M")), "line 2: column ConsumedEnergyRaw"),
        (table(row(state="EXPLODED")), "line 2: column State"),
        (table(row().replace("|hpc|", "||")), "line 2: column Cluster"),
        ("{}", "no output of `sacct --json`"),
    ],
)
def test_a_bad_row_refuses_the_whole_file_by_line_and_column(sqlite_keeper: Bookkeeper, text: str, told: str) -> None:
    """And nothing of it is entered."""
    with pytest.raises(BadInput) as refusal:
        past_jobs.take_in(text, sqlite_keeper.ledger)
    assert told in str(refusal.value)
    assert sqlite_keeper.ledger.hosts()["machines"] == []


def test_the_json_of_sacct_says_the_same() -> None:
    """Numbers may be wrapped, as newer versions do; a task of an array has a name of its own."""
    job: dict[str, Any] = {
        "job_id": 42, "name": "bert", "account": "vis01", "cluster": "hpc", "state": {"current": ["CANCELLED"]},
        "time": {"start": {"set": True, "number": START}, "end": START + 5_400}, "array": {"job_id": 0, "task_id": {"set": False, "number": 0}},
        "steps": [{"statistics": {"energy": {"consumed": {"set": True, "number": 7_000_000}}}}, {"statistics": {"energy": {"consumed": 200_000}}}],
    }  # fmt: skip
    task = {**job, "array": {"job_id": 40, "task_id": {"set": True, "number": 3}}, "steps": []}
    first, second = parse_sacct(json.dumps({"jobs": [job, task]}))
    assert [first] == parse_sacct(table(row(state="CANCELLED by 1000")))
    assert (second.job, second.energy_mj) == ("40_3", None)


def test_a_job_that_never_began_is_no_run() -> None:
    """It was cancelled in the queue."""
    assert parse_sacct(table(row(state="CANCELLED by 0", start="Unknown", end=START))) == []
