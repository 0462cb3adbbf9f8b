"""Whatever is changed straight in the file of a book, `verify` says so: every column of every fact, entry and close, made from the schema."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from books import HOUR, MINUTE, NOVEMBER, Story
from helpers.focus import focus_csv
from helpers.stored_book import NOW_MS, StoredBook, batch_of, entered, grid, pue, tariff

from joulebook_ledger.bills.importing import TakingBill, take_bill
from joulebook_ledger.bills.reading import rows_of_text
from joulebook_ledger.core.events import Count, RunEvent, Score
from joulebook_ledger.core.factors import Placement, Site
from joulebook_ledger.core.facts import Correction, Restatement, Retirement
from joulebook_ledger.core.instruments import Allocation, Instrument
from joulebook_ledger.core.names import NameMap
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.store import chain
from joulebook_ledger.store.checks import run_checks
from joulebook_ledger.store.checks_chain import KEPT
from joulebook_ledger.store.engine import open_book
from joulebook_ledger.store.rows import Rows, SqliteRows
from joulebook_ledger.store.shapes import SHAPES, key_text

UNIQUE = ("number", "sequence", "receipt", "link", "month", "revision", "entry", "day", "position")
OCTOBER = NOVEMBER - 24 * HOUR
JOURNAL = ("receipt", "link", "sealed_receipt", "entry", "posting", *chain.CLOSE_PARTS)
TABLES = (*SHAPES, *JOURNAL)


def fill(book: StoredBook) -> None:
    """Keep books of two machines over a month's end: priced, closed, late, corrected, revised, restated."""
    for number, machine in enumerate(("m1", "m2")):
        story = Story(machine).meter("time", "time").meter("cpu")
        for hour in (OCTOBER, OCTOBER + HOUR, NOVEMBER):
            at = hour + number * MINUTE
            story.reading("cpu", at, at + MINUTE, 1_000_000 + number, {f"run-{number}": (600_000, MINUTE, 100_000)})
            story.reading("time", at, at + MINUTE, 0, {f"run-{number}": (0, MINUTE)}, method="declared")
        story.gap("cpu", NOVEMBER + HOUR, NOVEMBER + HOUR + MINUTE, "read_failed")
        book.deliver(story.batch())
        key = {"run": f"run-{number}"}
        facts = [
            RunEvent(
                **key, event="e", kind="started", at_ms=OCTOBER, labels={"model": machine}, facts={"host": machine}
            ),
            Score(
                **key,
                score="s",
                name="accuracy",
                value="0.7",
                at_ms=OCTOBER,
                step=number,
                split="",
                unit="",
                lower_is_better=None,
            ),
            Count(
                **key,
                count="c",
                start_ms=OCTOBER,
                end_ms=OCTOBER + 1 + number,
                requests=number,
                tokens_in=1,
                tokens_out=2,
            ),
        ]
        book.deliver(batch_of(story.reader, 9, facts))
        site = Site(
            site=f"site-{number}",
            zone=("FR", "DE")[number],
            version="v1",
            provider="aws",
            region="eu",
            ownership="cloud",
        )
        place = Placement(machine=machine, site=site.site, version="v1")
        prices = (
            tariff(site.site),
            pue(site.site, 1_200_000),
            grid(site.zone, 50_000_000 + number, evidence_name="a.pdf", evidence_digest="d"),
        )
        team = NameMap(kind="team", name=machine, value="lab", version="v1")
        certificate = Instrument(
            issuer="registry",
            instrument=f"GO-{number}",
            version="v1",
            kind="certificate",
            market=site.zone,
            vintage_from_ms=OCTOBER,
            vintage_to_ms=NOVEMBER,
            energy_mj=10**9 + number,
        )
        assigned = Allocation(
            market=site.zone, year=2026, version="v1", state="provisional", content=f'{{"n":{number}}}', author="ada"
        )
        book.deliver(
            entered(
                10 + number,
                site,
                place,
                *prices,
                team,
                certificate,
                assigned,
                Retirement(reader=story.reader.reader, reason="gone", author="ada"),
            )
        )
    for number in range(2):
        lines = [
            {
                "ResourceId": name,
                "EffectiveCost": f"{number}.5",
                "BilledCost": "2",
                "BillingCurrency": "EUR",
                "InvoiceId": f"inv-{place}",
            }
            for place, name in enumerate(("disk", "m1"))
        ]
        act = TakingBill(f"bill-{number}", "ada", f"{number}.csv", str(number) * 64, f"d{number}")
        take_bill(book.book, act, rows_of_text(act.file, focus_csv(lines).decode()), NOW_MS)
    book.bring_up_to_date()
    book.close_month(202610)
    key = book.ask(
        "SELECT meter, reader, start_ms FROM meter_window WHERE energy_mj IS NOT NULL ORDER BY start_ms, meter LIMIT 2"
    )
    wrong = [
        Correction(table="meter_window", key=key_text(row), reason=f"test load {number}", author="ada")
        for number, row in enumerate(key)
    ]
    book.deliver(entered(20, *wrong, grid("FR", 40_000_000, version="v2"), grid("DE", 41_000_000, version="v2")))
    (link,) = book.ask("SELECT MAX(sequence) FROM link")[0]
    for number in range(2):
        restated = Restatement(
            restatement=f"r{number}",
            from_month=202610,
            to_month=202610,
            factors_known=link,
            reason="revised",
            author="ada",
        )
        book.deliver(entered(30 + number, restated))
        book.bring_up_to_date()


class Table(NamedTuple):
    """A table as the file has it: its columns with their types, its key, and its rows in order of the key."""

    columns: dict[str, str]
    key: list[str]
    rows: list[dict[str, object]]


Attack = Callable[..., list[str]]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a book that proves itself, with two rows or more in every table."""
    path = tmp_path_factory.mktemp("sound") / "book.sqlite"
    book = StoredBook(f"sqlite:///{path}")
    fill(book)
    parts = (
        "INSERT INTO close_figure VALUES (202611, 'idle', '{}'), (202611, 'run-1', '{\"cost\":1}')",
        "INSERT INTO close_source VALUES (202611, 'm1', 1, 2, 'm1', 'one', 'site-0', '{}'), (202611, 'm2', 1, 2, 'm2', 'two', 'site-1', '{}')",
        "INSERT INTO close_label VALUES (202611, 'run-0', '{\"model\":\"m1\"}'), (202611, 'run-1', '{}')",
    )
    book.close_month(202611, parts=parts)
    assert failures(path) == []
    assert [table for table in TABLES if book.count(table) < 2] == []
    book.close()
    return path


def failures(path: Path, head: str = "") -> list[str]:
    """Return the names of the checks of a book that fail."""
    book = open_book(f"sqlite:///{path}")
    with book.read() as rows:
        return failed(rows, head)


def failed(rows: Rows, head: str) -> list[str]:
    """Return the names of the checks that fail; each says what differs."""
    wrong = [check for check in run_checks(rows, head) if not check.ok]
    assert all(check.detail for check in wrong)
    return [check.name for check in wrong]


@pytest.fixture(scope="module")
def lawless(sound: Path) -> Iterator[sqlite3.Connection]:
    """Return a copy of the book without its laws, as whoever owns the file can make it."""
    place = sound.with_name("lawless.sqlite")
    shutil.copy(sound, place)
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        yield connection


@pytest.fixture
def attacked(lawless: sqlite3.Connection) -> Attack:
    """Return what changes the book, names the checks that then fail, and takes the change back."""

    def attack(*statements: tuple[str, list[object]], head: str = "") -> list[str]:
        lawless.execute("BEGIN")
        try:
            for statement, values in statements:
                assert lawless.execute(statement, values).rowcount > 0, statement
            return failed(SqliteRows(lawless), head)
        finally:
            lawless.execute("ROLLBACK")

    return attack


def table_of(path: Path, table: str) -> Table:
    """Return a table of the book."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(f"PRAGMA table_info({table})").fetchall()
        columns = {row[1]: row[2] for row in found}
        key = [row[1] for row in sorted(found, key=lambda row: row[5]) if row[5]]
        rows = [
            dict(zip(columns, row, strict=True))
            for row in connection.execute(f"SELECT * FROM {table} ORDER BY {', '.join(key)}")
        ]
    return Table(columns, key, rows)


def at(table: Table, row: dict[str, object]) -> tuple[str, list[object]]:
    """Return the condition of a row, and its values."""
    return " AND ".join(f"{name} = ?" for name in table.key), [row[name] for name in table.key]


def changed(table: Table, row: dict[str, object], column: str) -> object:
    """Return a column's value changed by one, or by the least that the file takes where that one is another row's."""
    value = row[column]
    if table.columns[column] != "INTEGER":
        return f"{value or ''}x"
    taken = {other[column] for other in table.rows} if column in UNIQUE else set()
    return next(number for number in range((value or 0) + 1, 2**62) if number not in taken)


@pytest.mark.parametrize("name", TABLES)
def test_a_column_that_was_changed_by_one_is_seen(attacked: Attack, sound: Path, name: str) -> None:
    """Each column of the first row and of the last."""
    table = table_of(sound, name)
    unseen = []
    for row in (table.rows[0], table.rows[-1]):
        where, values = at(table, row)
        for column in table.columns:
            statement = f"UPDATE {name} SET {column} = ? WHERE {where}"
            if not attacked((statement, [changed(table, row, column), *values])):
                unseen.append((column, values))
    assert unseen == []


@pytest.mark.parametrize("name", [table for table in chain.CLOSE_PARTS if table != "month_close"])
def test_of_a_close_the_month_is_named(lawless: sqlite3.Connection, name: str) -> None:
    """Whatever of it is gone."""
    lawless.execute("BEGIN")
    try:
        lawless.execute(f"DELETE FROM {name} WHERE month = 202611")
        (links,) = (check for check in run_checks(SqliteRows(lawless)) if check.name == "links")
    finally:
        lawless.execute("ROLLBACK")
    assert not links.ok
    assert "the close of 2026-11" in links.detail


@pytest.mark.parametrize("name", TABLES)
def test_a_row_that_was_removed_is_seen(attacked: Attack, sound: Path, name: str) -> None:
    """The first and the last."""
    table = table_of(sound, name)
    for row in (table.rows[0], table.rows[-1]):
        where, values = at(table, row)
        assert attacked((f"DELETE FROM {name} WHERE {where}", values))


@pytest.mark.parametrize("name", TABLES)
def test_two_rows_that_were_swapped_are_seen(attacked: Attack, sound: Path, name: str) -> None:
    """Two rows that differ say what the other said, each under its own key."""
    table = table_of(sound, name)
    others = [column for column in table.columns if column not in table.key]
    one = table.rows[0]
    other = next(row for row in reversed(table.rows) if any(row[c] != one[c] for c in others))
    swaps = [
        (f"DELETE FROM {name} WHERE {where}", values) for where, values in (at(table, row) for row in (one, other))
    ]
    added = f"INSERT INTO {name} VALUES ({', '.join('?' for _ in table.columns)})"
    for row, said in ((one, other), (other, one)):
        swaps.append((added, [(row if column in table.key else said)[column] for column in table.columns]))
    assert attacked(*swaps)


def cut(path: Path, link: int) -> list[tuple[str, list[object]]]:
    """Return how somebody who knows the house cuts the chain before a link, so that what is left proves itself."""
    receipts = f"SELECT receipt FROM sealed_receipt WHERE link >= {link}"
    with closing(sqlite3.connect(path)) as connection:
        months = [row[0] for row in connection.execute(f"SELECT month FROM month_close WHERE link >= {link}")]
    gone = [f"DELETE FROM {table} WHERE receipt IN ({receipts})" for table in SHAPES if table != "reader"]
    gone += [f"DELETE FROM {table} WHERE month >= {min(months, default=999912)}" for table in chain.CLOSE_PARTS]
    gone += [
        f"DELETE FROM posting WHERE entry IN (SELECT number FROM entry WHERE link >= {link})",
        f"DELETE FROM entry WHERE link >= {link}",
        f"DELETE FROM reader WHERE receipt IN ({receipts})",
        f"DELETE FROM receipt WHERE number IN ({receipts})",
        f"DELETE FROM sealed_receipt WHERE link >= {link}",
        f"DELETE FROM link WHERE sequence >= {link}",
    ]
    return [(statement, []) for statement in gone]


def test_a_chain_that_was_cut_is_seen_by_a_head_that_was_kept(sound: Path, tmp_path: Path) -> None:
    """Cut with all that was sealed since, and its projections made again, a book proves itself: only the head shows it."""
    links = table_of(sound, "link").rows
    place = tmp_path / "book.sqlite"
    shutil.copy(sound, place)
    assert failures(place, links[-1]["digest"]) == []
    assert failures(place, links[0]["digest"][:12].upper()) == []
    last = links[-1]["sequence"]
    with closing(sqlite3.connect(place, isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement, _ in cut(place, last):
            connection.execute(statement)
    assert failures(place) == []
    assert failures(place, links[-2]["digest"]) == []
    assert failures(place, links[-1]["digest"]) == [KEPT]


@pytest.mark.parametrize("sequence", [1, 2, 4])
def test_a_link_cut_out_of_the_chain_is_seen(attacked: Attack, sequence: int) -> None:
    """Alone, or with the ones after it numbered anew."""
    assert attacked(("DELETE FROM link WHERE sequence = ?", [sequence]))
    assert attacked(
        ("DELETE FROM link WHERE sequence = ?", [sequence]),
        ("UPDATE link SET sequence = sequence + 1000 WHERE sequence > ?", [sequence]),
        ("UPDATE link SET sequence = sequence - 1001 WHERE sequence > 1000", []),
    )


@pytest.mark.parametrize("head", ["5f0c", "not a digest", "0" * 11 + "g"])
def test_what_is_no_head_is_refused(sound: Path, head: str) -> None:
    """With what would be one."""
    with pytest.raises(BadInput, match="12 hexadecimal digits of it or more"):
        failures(sound, head)


def test_the_currency_of_a_book_is_not_changed_unseen(attacked: Attack) -> None:
    """It stands in every price, and bills in another one are not booked."""
    failing = attacked(("UPDATE book_setting SET value = 'USD' WHERE name = 'currency'", []))
    assert failing == ["targets", "nothing smuggled in"]
