"""The archive of a year: it checks itself without Joulebook, and sees a digit that was changed."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from books import DAY, Plan, realistic_batches
from helpers.stored_book import StoredBook

from joulebook.auditing import write
from joulebook_ledger.audit import check
from joulebook_ledger.audit.archive import contents_of, drawn
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.desk.entering import Entry, Place, init_batch
from joulebook_ledger.local import LocalLedger
from joulebook_ledger.queries import CloseQuery, ReportQuery

PLAN = Plan(runs=24, machines=2, gpus=1)
YEAR = 2026


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the archive of a year of which one month is closed."""
    place = tmp_path_factory.mktemp("audit")
    url = f"sqlite:///{place}/book.sqlite"
    stored = StoredBook(url)
    entry = Entry(name="place", at_ms=PLAN.start_ms, author="ada")
    for machine in ("m00", "m01"):
        where = Place(machine=machine, zone="FR", price_per_kwh="0.25", currency="EUR", embodied_kg_per_year="300")
        stored.deliver(init_batch(Entry(name=machine, at_ms=entry.at_ms), where))
    stored.deliver(*realistic_batches(PLAN))
    stored.bring_up_to_date()
    stored.close()
    ledger = LocalLedger(url, clock=lambda: PLAN.start_ms + 40 * DAY)
    ledger.close_months(CloseQuery(month=202611, tolerance_ppm=1_000_000, author="ada"))
    body = write(ledger, YEAR, str(place / "audit.zip"), lambda _: None)
    ledger.close()
    assert body["verified"]
    assert body["file"] == str(place / "audit.zip")
    return place / "audit.zip"


def run_check(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the archive's script with nothing but the standard library, and nothing of ours in reach."""
    return subprocess.run(
        [sys.executable, "-I", "-S", *arguments], capture_output=True, text=True, check=False, env={}, timeout=60
    )


def unpacked(archive: Path, place: Path) -> Path:
    """Return the archive as a folder."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(place)
    return place


def test_the_archive_checks_itself_without_joulebook(archive: Path, tmp_path: Path) -> None:
    """As a folder and as a zip, with an interpreter that finds no package at all."""
    folder = unpacked(archive, tmp_path)
    for arguments in ((str(folder / "check.py"),), (str(folder / "check.py"), str(archive))):
        done = run_check(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = done.stdout.splitlines()
        assert [line[:2] for line in lines[:-1]] == ["ok"] * 5
        assert "The archive proves itself" in lines[-1]


def test_it_holds_what_a_reviewer_asks_for(archive: Path) -> None:
    """Statements, journal, usage, facts, the sample with trees, the proof, and the head."""
    with zipfile.ZipFile(archive) as file:
        names = set(file.namelist())
        sample = json.loads(file.read("sample.json"))
        verified = json.loads(file.read("verify.json"))
        words = file.read("README.txt").decode()
        report = json.loads(file.read("statements/2026-11-by-model-version.json"))
    assert {
        "statements/2026-by-team.csv",
        "journal/entries.csv",
        "journal/close_total.csv",
        "usage/2026-11.csv",
        "facts/factor.csv",
    } <= names
    assert len(sample) == 25
    assert all(figure["tree"]["children"] or figure["value"] is None for figure in sample)
    assert verified["ok"]
    assert verified["head"] in words
    assert report["rows"]
    with archive.open("rb") as file:
        body = contents_of(file)
    assert (body["year"], body["open"], body["files"]) == (YEAR, [], len(names))


def test_the_same_book_gives_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    """Nothing of the present goes in."""
    ledger = LocalLedger(f"sqlite:///{archive.parent}/book.sqlite")
    write(ledger, YEAR, str(tmp_path / "again.zip"), lambda _: None)
    ledger.close()
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def changed(text: str, column: str) -> str:
    """Return a table with one digit of the first row changed."""
    rows = list(csv.DictReader(io.StringIO(text)))
    value = rows[0][column]
    rows[0][column] = str(int(value) + 1) if value.lstrip("-").isdigit() else f"{value}x"
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "column"),
    [
        (f"journal/{table}.csv", column)
        for table, columns in {
            "links": ("sequence", "previous", "at_ms", "receipts_digest", "entries_digest", "digest"),
            "receipts": ("reader", "sequence", "received_ms", "digest", "facts", "author"),
            "entries": (
                "source",
                "day",
                "revision",
                "period",
                "cause",
                "known",
                "link",
                "digest",
                "energy_it_mj",
                "co2e_location",
            ),
            "postings": ("entry", "account", "method", "energy_it_mj", "cost_energy"),
            "month_close": ("month", "closed_ms", "tolerance_ppm", "owed", "author"),
            "close_total": ("month", "source", "account", "method", "energy_it_mj", "time_ms"),
        }.items()
        for column in columns
    ]
    + [("usage/2026-11.csv", "time_ms")],
)
def test_one_digit_that_was_changed_is_named(
    archive: Path, tmp_path: Path, name: str, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In any table that figures stand on."""
    folder = unpacked(archive, tmp_path)
    path = folder / name
    path.write_text(changed(path.read_text(encoding="utf-8"), column), encoding="utf-8")
    assert check.main([str(folder)]) == 1
    assert "WRONG" in capsys.readouterr().out


@pytest.mark.parametrize("table", ["links", "receipts", "entries", "postings", "month_close", "close_total"])
def test_a_row_that_is_missing_is_named(
    archive: Path, tmp_path: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Out of the middle of a table."""
    path = unpacked(archive, tmp_path) / f"journal/{table}.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    del lines[max(1, len(lines) // 2 - 1)]
    path.write_text("".join(lines), encoding="utf-8")
    assert check.main([str(tmp_path)]) == 1
    assert "WRONG" in capsys.readouterr().out


def test_a_statement_that_says_something_else_is_named(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its total, and its rows."""
    path = unpacked(archive, tmp_path) / "statements/2026-11-by-team.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["total"]["energy_kwh"] += 1
    path.write_text(json.dumps(report), encoding="utf-8")
    assert check.main([str(tmp_path)]) == 1
    assert "kWh were sealed" in capsys.readouterr().out


def test_nobody_chooses_the_sample(archive: Path) -> None:
    """The head of the chain draws it: another head draws another one."""
    ledger = LocalLedger(f"sqlite:///{archive.parent}/book.sqlite")
    report = ledger.report(ReportQuery(from_month=202611, to_month=202611, by=("run",)))
    ledger.close()
    assert drawn([report], "a" * 64) == drawn([report], "a" * 64) != drawn([report], "b" * 64)


def test_a_year_without_anything_is_refused_and_nothing_is_left_behind(archive: Path, tmp_path: Path) -> None:
    """Nor is an archive that stands there already touched."""
    (tmp_path / "audit.zip").write_bytes(b"older")
    ledger = LocalLedger(f"sqlite:///{archive.parent}/book.sqlite")
    with pytest.raises(BadInput, match="nothing is booked in 1999"):
        write(ledger, 1999, str(tmp_path / "audit.zip"), lambda _: None)
    with pytest.raises(BadInput, match="cannot be written"):
        write(ledger, YEAR, str(tmp_path / "nowhere" / "audit.zip"), lambda _: None)
    ledger.close()
    assert [path.name for path in tmp_path.iterdir()] == ["audit.zip"]
    assert (tmp_path / "audit.zip").read_bytes() == b"older"
