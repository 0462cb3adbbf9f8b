"""The book as a ledger: what goes wrong with its database is said in one sentence, and nothing that reads loads what writes."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from books import HOUR, KWH, NOVEMBER, Plan, Story, realistic_batches, run_id

import joulebook_ledger
from joulebook_ledger.core.refusals import BadInput, Malformed, Unavailable
from joulebook_ledger.local import LocalLedger
from joulebook_ledger.queries import RunsQuery


def test_a_file_that_is_no_book_is_unavailable(tmp_path):
    """The sentence names the file; nothing is overwritten."""
    path = tmp_path / "book.sqlite"
    path.write_bytes(b"my thesis, do not delete" * 100)
    with pytest.raises(Unavailable, match=r"book\.sqlite"):
        LocalLedger(f"sqlite:///{path}")
    assert path.read_bytes().startswith(b"my thesis")


def test_a_book_that_somebody_else_writes_for_too_long_is_unavailable(sqlite_url, tmp_path):
    """Whoever waits in vain is told so, and may come again."""
    ledger = LocalLedger(sqlite_url)
    ledger.deliver(Story().meter("cpu").batch())
    Path(sqlite_url.removeprefix("sqlite:///")).rename(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        ledger.runs(RunsQuery())


def test_what_is_no_batch_stores_nothing(sqlite_url):
    """Malformed bytes are refused whole."""
    ledger = LocalLedger(sqlite_url)
    with pytest.raises(Malformed):
        ledger.deliver(b"{}")
    assert ledger.book() == 0


def test_a_name_shows_no_password(postgres_url):
    """A URL with a secret is shown without it."""
    secret = postgres_url.replace("postgres@", "postgres:hush@", 1)
    ledger = LocalLedger(secret)
    assert "hush" not in ledger.name
    ledger.close()


def test_a_place_for_no_book_is_bad_input():
    """The message says what a book's URL looks like."""
    with pytest.raises(BadInput, match="sqlite:///PATH"):
        LocalLedger("mysql://books")


def test_facts_twice_and_in_any_order_give_the_same_report(keeper, tmp_path):
    """Two books, one told in order and one backwards and twice: the same rows."""
    batches = list(realistic_batches(Plan(runs=8, machines=2)))
    keeper.tell(*batches)
    other = LocalLedger(f"sqlite:///{tmp_path / 'other.sqlite'}", clock=lambda: keeper.now_ms)
    for batch in [*reversed(batches), *batches]:
        other.deliver(batch)
        other.book()
    ours, theirs = (ledger.runs(RunsQuery())["items"] for ledger in (keeper.ledger, other))
    assert ours == theirs


def test_reading_loads_neither_sqlalchemy_nor_pydantic(sqlite_url):
    """A reading command answers before either would be loaded."""
    ledger = LocalLedger(sqlite_url)
    run = run_id("r")
    story = Story().meter("cpu").run(run, NOVEMBER, NOVEMBER + HOUR, model="m", scores={"accuracy": "1"})
    ledger.deliver(story.reading("cpu", NOVEMBER, NOVEMBER + HOUR, KWH, {run: KWH}).batch())
    ledger.book()
    ledger.close()
    code = f"""
import sys
from joulebook_ledger.local import LocalLedger
from joulebook_ledger.queries import RankQuery, ReportQuery, RunsQuery
ledger = LocalLedger({sqlite_url!r})
assert ledger.book() == 0
ledger.runs(RunsQuery()), ledger.run(""), ledger.report(ReportQuery(from_month=202611, to_month=202611))
ledger.rank(RankQuery()), ledger.why("last energy"), ledger.snapshot("m1")
print([m for m in ("sqlalchemy", "sqlmodel", "pydantic", "alembic", "psycopg") if m in sys.modules])
"""
    folder = Path(joulebook_ledger.__file__).parents[1]
    answer = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_book_is_a_plain_file_that_anybody_can_read(sqlite_url):
    """No format of our own: the tables are there under their names."""
    LocalLedger(sqlite_url).close()
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert {"meter_window", "entry", "posting", "link"} <= names
