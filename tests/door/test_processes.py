"""The commands as people run them: processes of their own, on a real book."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.source import ROOT

pytestmark = pytest.mark.processes
HEAVY = (
    "alembic",
    "pydantic",
    "rich",
    "sqlalchemy",
    "sqlmodel",
    "psutil",
    "pynvml",
    "httpx2",
    "fastapi",
    "sklearn",
    "numpy",
)
SCRIPT = """
import joulebook
with joulebook.track(model="tiny", task="sums", stage="training", team="vision") as run:
    total = sum(i * i for i in range(8_000_000))
    run.log(accuracy=0.75, split="test")
    run.log(params=3)
"""


def joulebook(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "joulebook", *words], env={**os.environ, **variables}, capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


def answer(*words: str, **variables: str) -> dict[str, object]:
    """Return the JSON answer of a command that has to succeed."""
    done = joulebook(*words, "--json", **variables)
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert isinstance(body, dict)
    return body


def track_something(home: Path) -> None:
    """Let a script track a run."""
    script = home / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    subprocess.run([sys.executable, script], check=True, capture_output=True, cwd=ROOT)


def test_from_init_to_why_on_a_real_book(home: Path) -> None:
    """Every reading command answers for a run that a script tracked, on a pipe and as JSON; the book proves itself."""
    assert joulebook("init", "--zone", "FR", "--price", "0.25", "--currency", "EUR", "--yes").returncode == 0
    track_something(home)
    shown = answer("show")
    footprint = shown["footprint"]
    assert isinstance(footprint, dict)
    assert footprint["energy_kwh"] > 0
    assert None not in {footprint["cost"], footprint["co2e_location_kg"]}
    for words in (
        ["runs"],
        ["show"],
        ["report"],
        ["rank"],
        ["why", "last", "cost"],
        ["verify"],
        ["factors"],
        ["doctor"],
    ):
        done = joulebook(*words)
        assert (done.returncode, done.stderr) == (0, ""), words
        assert "\x1b" not in done.stdout
    assert answer("report")["rows"]


def test_everything_null_names_the_command_that_fills_it(home: Path) -> None:
    """Before anybody has said where the machine stands, and after each of the named commands was run."""
    track_something(home)
    reasons = answer("show")["footprint"]["reasons"]  # type: ignore[index]
    assert {"cost", "co2e_location_kg", "co2e_market_kg", "co2e_embodied_kg", "water_l"} <= set(reasons)
    given = [
        "--zone",
        "FR",
        "--price",
        "0.25",
        "--currency",
        "EUR",
        "--market",
        "grid",
        "--embodied",
        "250",
        "--water",
        "0.2",
        "--water-source",
        "1.5",
    ]
    assert joulebook("init", *given, "--yes").returncode == 0
    left = {name for name in answer("show")["footprint"]["reasons"] if not name.startswith("cost_")}  # type: ignore[index]
    assert left == set()


@pytest.mark.parametrize("words", [["runs"], ["show"], ["report"], ["rank"], ["why"]], ids=lambda words: words[0])
def test_a_reading_command_loads_nothing_heavy(home: Path, words: list[str]) -> None:
    """What a command loads is most of the time it takes."""
    track_something(home)
    joulebook("runs")  # delivers and books, which may load anything
    program = f"import sys; from joulebook.commands.main import main; main({words!r}); print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == "[]\n"


def test_a_closed_pipe_ends_a_command_quietly(home: Path) -> None:
    """`joulebook runs | head -1` says nothing on stderr."""
    track_something(home)
    program = f"'{sys.executable}' -m joulebook why last energy_kwh | head -c 1"
    done = subprocess.run(["/bin/sh", "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert (len(done.stdout), done.stderr) == (1, "")


def test_a_book_that_cannot_be_reached_is_one_line_and_exit_code_3(home: Path) -> None:
    """A service that is not there."""
    done = joulebook("runs", JOULEBOOK_LEDGER="http://127.0.0.1:9", JOULEBOOK_API_KEY="k" * 32)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("joulebook: ")
    assert done.stderr.count("\n") == 1


def test_a_setting_that_is_none_is_refused_before_anything_is_done(home: Path) -> None:
    """The variable, its value and what may stand there."""
    done = joulebook("runs", JOULEBOOK_LEDGER="mysql://books")
    assert done.returncode == 2
    assert "'mysql://books' is no ledger: write one of sqlite:///" in done.stderr
    assert not (home / "book.sqlite").exists()


def test_a_drop_box_has_no_reports_and_is_taken_in_by_a_book(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a reader left there is in the book once, however often it is taken in."""
    box = tmp_path / "box"
    monkeypatch.setenv("JOULEBOOK_LEDGER", f"file://{box}")
    track_something(home)
    done = joulebook("runs")
    assert done.returncode == 2
    assert f"joulebook import spool {box}" in done.stderr
    monkeypatch.delenv("JOULEBOOK_LEDGER")
    assert answer("import", "spool", str(box))["items"]
    assert answer("import", "spool", str(box))["items"] == 0
    assert [run["labels"]["model"] for run in answer("runs")["items"]] == ["tiny"]  # type: ignore[attr-defined]


@pytest.mark.postgres
def test_the_same_commands_on_postgresql(home: Path, postgres_url: str) -> None:
    """One URL, and everything else stays."""
    assert joulebook("init", "--zone", "FR", "--yes", JOULEBOOK_LEDGER=postgres_url).returncode == 0
    assert answer("factors", JOULEBOOK_LEDGER=postgres_url)["items"]
    assert answer("runs", JOULEBOOK_LEDGER=postgres_url) == {"items": [], "next_cursor": None}


@pytest.mark.slow
def test_the_quickstart_trains_real_models_into_a_book_of_its_own_and_never_guesses_where(home: Path) -> None:
    """At least six, each with its footprint, in this month's report with idle, and ranked; without a zone CO2e stays unknown."""
    done = joulebook("quickstart")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("trained ") >= 6
    for words in (
        "naive Bayes",
        "large neural net",
        "idle",
        "Ranking of digits by accuracy per kWh",
        "with joulebook.track(",
    ):
        assert words in done.stdout
    assert "CO2e is unknown: no grid zone is set, and a location is never guessed." in done.stdout
    url = f"sqlite:///{home}/quickstart/book.sqlite"
    assert f"This tour's book: {url}" in done.stdout
    assert not (home / "book.sqlite").exists()
    assert answer("report", JOULEBOOK_LEDGER=url)["total"]["co2e_location_kg"] is None  # type: ignore[index]
    assert joulebook("init", "--zone", "FR", "--yes", JOULEBOOK_LEDGER=url).returncode == 0
    assert answer("report", JOULEBOOK_LEDGER=url)["total"]["co2e_location_kg"] > 0  # type: ignore[index]
    assert any(row["on_frontier"] for row in answer("rank", JOULEBOOK_LEDGER=url)["rows"])  # type: ignore[attr-defined]


def test_a_service_answers_as_the_book_does(home: Path, tmp_path: Path) -> None:
    """The same commands through `joulebook serve`: the same bodies, and what is entered there is in the book."""
    pytest.importorskip("uvicorn")
    assert joulebook("init", "--zone", "FR", "--price", "0.25", "--currency", "EUR", "--yes").returncode == 0
    track_something(home)
    joulebook("runs")  # delivers what this book's spool holds
    command = [sys.executable, "-m", "joulebook", "serve", "--port", "0"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT) as service,
    ):
        assert service.stdout is not None
        url = service.stdout.readline().rstrip("\n").rpartition(" ")[2]
        try:
            for words in (["runs"], ["show"], ["report"], ["rank"], ["why", "last", "cost"], ["factors"]):
                assert answer(*words, JOULEBOOK_LEDGER=url) == answer(*words), words
            assert joulebook("label", "--team", "search", JOULEBOOK_LEDGER=url).returncode == 0
        finally:
            service.terminate()
    assert answer("show")["labels"]["team"] == "search"  # type: ignore[index]


def test_joulebook_run_ends_as_its_command_ends(home: Path) -> None:
    """Exit code and output are the command's; a setting that is none is said and does not keep it from running."""
    done = joulebook("run", "--model", "sh", "--", "sh", "-c", "echo out; exit 7", JOULEBOOK_SCOPE="planet")
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert done.stderr.startswith("joulebook: scope 'planet' is none of: host, process\n")
    assert answer("show")["status"] == "failed"
    assert joulebook("run", "--stage", "trainin", "--", "touch", str(home / "ran")).returncode == 2
    assert not (home / "ran").exists()
