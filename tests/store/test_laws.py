"""What the database itself refuses, tried with plain SQL on both engines (CORE §1, §5)."""

import pytest
from books import NOVEMBER, Story
from helpers.stored_book import NOW_MS, StoredBook, entered, tariff
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from joulebook_ledger.core.digest import FIRST_PREVIOUS
from joulebook_ledger.core.events import Count, Score
from joulebook_ledger.core.factors import Placement, Site
from joulebook_ledger.core.facts import Correction
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.store.laws import FACTS, JOURNAL, LATER_CLOSE_PARTS
from joulebook_ledger.store.shapes import SHAPES

JOURNAL = JOURNAL | LATER_CLOSE_PARTS
TABLES = sorted(FACTS | JOURNAL)
ON_SQLITE = pytest.mark.parametrize("shared", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("shared", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
SPARE = {  # a row for tables that no command fills yet
    "retirement": "('r', 'gone', 'ada', 1)",
    "asset": "('a', 0, 'v1', 'm1', 'meter', 0, NULL, '', '', '', 1)",
    "name_map": "('team', 'vision', 0, 'v1', 'research', 1)",
    "instrument": "('issuer', 'i', 'v1', 'certificate', 'FR', 0, 1, 1, 0, '', NULL, '{}', '', '', 1)",
    "bill_delivery": "('aws', 'acc', 202611, 'd1', 1, 1, 'EUR', '', '', 1, '[]', '[]', 0, 1)",
    "bill_row": "('aws', 'acc', 202611, 'd1', 1, 'i-1', 0, 1, 'Usage', '1', '1', '[]', 1, '')",
    "restatement": "('s', 202601, 202602, '', '', '', 1, 'why', 'ada', 1)",
    "allocation": "('FR', 2026, 'v1', 'provisional', '{}', 'ada', 1)",
    "archive_manifest": "(1, 'windows/day=1970-01-02', 1, 1, 'd', 1)",
    "refused_fact": "('r', 1, 'uses', 0, 'd', '', 'refused', 'why', '', 1)",
    "close_total": f"(202601, 's', 'a', 'counter'{', 0' * len(COLUMNS)})",
    "close_figure": "(202601, 'a', '{}')",
    "close_label": "(202601, 'r', '{}')",
    "close_source": "(202601, 's', 1, 1, 'm', 'h', '', '{}')",
}


def fill(book: StoredBook) -> StoredBook:
    """Put at least one row into every table that the laws protect."""
    story = Story("m1").meter("time", "time").meter("cpu")
    run = "run-1"
    story.run(run, NOVEMBER, NOVEMBER + 60_000, model="m")
    story.reading("cpu", NOVEMBER, NOVEMBER + 60_000, 1_000, {run: (600, 60_000)})
    score = Score(run=run, score="s1", name="accuracy", value="0.9", at_ms=NOVEMBER)
    work = Count(run=run, count="c1", start_ms=NOVEMBER, end_ms=NOVEMBER + 1)
    site, placement = Site(site="site-1", zone="FR", version="v1"), Placement(machine="m1", site="site-1", version="v1")
    voided = Correction(table="score", key='["run-1","s1"]', reason="wrong set", author="ada")
    book.deliver(story.batch(), entered(1, tariff(), site, placement, score, work), entered(2, voided))
    book.bring_up_to_date()
    book.run(*(f"INSERT INTO {table} VALUES {row}" for table, row in SPARE.items()))
    book.run(
        "INSERT INTO month_close VALUES (202601, 1, 0, '{}', 'ada', 2)",
        f"INSERT INTO link SELECT 2, digest, {NOW_MS + 1}, '', '', 'second' FROM link WHERE sequence = 1",
    )
    return book


@pytest.fixture(scope="module")
def full(shared: StoredBook) -> StoredBook:
    """Return a filled book for attacks that are refused, and so leave it as it was."""
    return fill(shared)


@pytest.fixture
def own(stored: StoredBook) -> StoredBook:
    """Return a filled book for tests that change it."""
    return fill(stored)


def refusal(book: StoredBook, *statements: str) -> str:
    """Return what the database says as it refuses statements in one transaction; nothing of them may stay."""
    with pytest.raises((IntegrityError, ProgrammingError, DBAPIError)) as refused:
        book.run(*statements)
    return str(refused.value.orig)


def test_every_protected_table_is_tried(full: StoredBook) -> None:
    """The cases below mean something only where there is a row to attack; a table without laws is a projection."""
    assert [table for table in TABLES if full.count(table) == 0] == []
    assert set(SHAPES) <= set(FACTS)
    sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
    if full.book.engine.dialect.name != "sqlite":
        sql = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename !~ '_[0-9]{4}_[0-9]{2}_'"
    assert {row[0] for row in full.ask(sql)} - set(TABLES) == {
        "usage",
        "placed",
        "booked",
        "balance",
        "due",
        "task",
        "alembic_version",
    }


@pytest.mark.parametrize("table", TABLES)
def test_update_is_refused(full: StoredBook, table: str) -> None:
    """No fact and no posting is ever changed."""
    column = (FACTS | JOURNAL)[table][0][0]
    assert f"append-only: UPDATE of {table}" in refusal(full, f"UPDATE {table} SET {column} = {column}")


@pytest.mark.parametrize("table", TABLES)
def test_delete_is_refused(full: StoredBook, table: str) -> None:
    """No fact and no posting is ever deleted."""
    before = full.count(table)
    assert f"append-only: DELETE of {table}" in refusal(full, f"DELETE FROM {table}")
    assert full.count(table) == before


@ON_POSTGRES
@pytest.mark.parametrize("table", TABLES)
def test_truncate_is_refused(full: StoredBook, table: str) -> None:
    """TRUNCATE fires no row trigger; it is refused by one of its own, also with CASCADE and on a day's partition."""
    assert "TRUNCATE" in refusal(full, f"TRUNCATE {table} CASCADE")


@ON_SQLITE
@pytest.mark.parametrize("table", TABLES)
def test_replace_changes_nothing(full: StoredBook, table: str) -> None:
    """INSERT OR REPLACE deletes unseen by any trigger on DELETE: of a fact it is ignored, of the journal an error."""
    columns = [row[0] for row in full.ask(f"SELECT name FROM pragma_table_info('{table}')")]
    for key in (FACTS | JOURNAL)[table]:
        changed = ", ".join(c if c in key else "901" if _is_number(full, table, c) else "'attack'" for c in columns)
        attack = f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) SELECT {changed} FROM {table} LIMIT 1"
        before = full.ask(f"SELECT * FROM {table}")
        if table in JOURNAL:
            refusal(full, attack)
        else:
            full.run(attack)
        assert full.ask(f"SELECT * FROM {table}") == before


def _is_number(book: StoredBook, table: str, column: str) -> bool:
    return book.ask(f"SELECT type FROM pragma_table_info('{table}') WHERE name = '{column}'") == [("INTEGER",)]


@ON_SQLITE
def test_no_row_can_be_replaced_through_its_rowid(full: StoredBook) -> None:
    """A table with a text key has no rowid of its own, by which REPLACE could push out a row of another key."""
    for table in TABLES:
        numbered = {"receipt", "entry", "link", "month_close"}
        if table not in numbered:
            assert "no column named rowid" in refusal(full, f"INSERT OR REPLACE INTO {table} (rowid) VALUES (1)")


@ON_SQLITE
def test_a_float_is_no_amount(full: StoredBook) -> None:
    """A column of integers takes nothing else."""
    values = "'m', 5, 'r', 10, 1.5, 'counter', '', NULL, 1"
    names = "meter, start_ms, reader, end_ms, energy_mj, method, reason, estimate_mj, receipt"
    assert "INTEGER" in refusal(full, f"INSERT INTO meter_window ({names}) VALUES ({values})")


@ON_POSTGRES
def test_the_laws_hold_on_a_day_partition_too(full: StoredBook) -> None:
    """Whoever goes past the parent table meets the same triggers."""
    for verb in ("UPDATE {} SET end_ms = 0", "DELETE FROM {}", "TRUNCATE {}"):
        assert "append-only" in refusal(full, verb.format("meter_window_2026_11_01"))


@ON_POSTGRES
def test_the_laws_hold_where_triggers_are_switched_off_for_a_session(full: StoredBook) -> None:
    """A superuser who plays the replica skips ordinary triggers, and not these."""
    said = refusal(full, "SET LOCAL session_replication_role = replica", "DELETE FROM posting")
    assert "append-only" in said


@ON_POSTGRES
def test_a_service_needs_no_right_but_insert_and_select(full: StoredBook) -> None:
    """A role that owns no table makes a day's partition by the function, stores into it, and cannot drop a law."""
    role = "joulebook_test_service"
    full.run(f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    full.run(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role}")
    row = "'m', 86400000, 'r', 86400001, 1, 'counter', '', NULL, 1"
    names = "meter, start_ms, reader, end_ms, energy_mj, method, reason, estimate_mj, receipt"
    full.run(
        f"SET LOCAL ROLE {role}", "SELECT make_window_day(1)", f"INSERT INTO meter_window ({names}) VALUES ({row})"
    )
    for attack in (
        "DELETE FROM meter_window",
        "DROP TABLE meter_window",
        "ALTER TABLE link DISABLE TRIGGER ALL",
        "TRUNCATE link",
    ):
        assert (
            "permission denied" in (said := refusal(full, f"SET LOCAL ROLE {role}", attack)) or "must be owner" in said
        )
    full.run(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_windows_of_an_archived_day_may_go(own: StoredBook) -> None:
    """Only a day that stands in the archive manifest, and never may they be changed."""
    day = NOVEMBER // 86_400_000
    own.run(f"INSERT INTO archive_manifest VALUES ({day}, 'windows', 1, 1, 'd', 1)")
    assert "UPDATE" in refusal(own, "UPDATE meter_window SET end_ms = end_ms")
    own.run("DELETE FROM meter_use", "DELETE FROM meter_window")
    assert own.count("meter_window") == 0


ZEROS = ", 0" * (len(COLUMNS) - 1)


def entry(number: int = 90, *, revision: int = 90, period: int = 202611, link: int = 3, energy: int = 7) -> str:
    """Return the INSERT of an entry that only `energy_it_mj` makes interesting."""
    names = "number, source, day, revision, period, cause, known, link, digest"
    return (
        f"INSERT INTO entry ({names}, {', '.join(COLUMNS)})"
        f" VALUES ({number}, 's', 20000, {revision}, {period}, 'first', 1, {link}, 'd', {energy}{ZEROS})"
    )


def posting(of: int = 90, energy: int = 7, account: str = "idle") -> str:
    """Return the INSERT of a posting."""
    return f"INSERT INTO posting (entry, account, method, {', '.join(COLUMNS)}) VALUES ({of}, '{account}', 'counter', {energy}{ZEROS})"


def link(sequence: int = 3, previous: str = "'second'", at_ms: int = NOW_MS + 2) -> str:
    """Return the INSERT of a link."""
    return f"INSERT INTO link VALUES ({sequence}, {previous}, {at_ms}, '', '', 'third')"


def test_a_balanced_entry_with_its_link_is_taken(own: StoredBook) -> None:
    """The cases below differ from this one in one thing each."""
    before = own.count("posting")
    own.run(entry(), posting(energy=4), posting(energy=3, account="untracked"), link())
    assert own.count("posting") == before + 2


@pytest.mark.parametrize(
    "statements",
    [
        [entry(), posting(energy=6), link()],
        [entry(), link()],
        [entry(energy=0), posting(energy=1), link()],
        [entry(), posting(), entry(91, revision=91), posting(91, energy=8), link()],
    ],
    ids=["part missing", "no posting", "leg missing", "second of two"],
)
def test_an_entry_that_does_not_balance_is_refused(full: StoredBook, statements: list[str]) -> None:
    """Checked for all entries of a link at once, as the link is added."""
    assert "does not balance" in refusal(full, *statements)


@pytest.mark.parametrize("column", COLUMNS)
def test_the_balance_is_checked_in_every_column(full: StoredBook, column: str) -> None:
    """One unit too many in one column is enough."""
    unbalanced = posting().replace(
        f"VALUES (90, 'idle', 'counter', 7{ZEROS})", f"SELECT 90, 'idle', 'counter', {_one_more(column)}"
    )
    assert "does not balance" in refusal(full, entry(), unbalanced, link())


def _one_more(column: str) -> str:
    return ", ".join(str(int(c == column) + 7 * int(c == COLUMNS[0])) for c in COLUMNS)


def test_no_commit_goes_without_its_link(full: StoredBook) -> None:
    """entry.link is a deferred foreign key: the transaction fails as it is committed."""
    assert "foreign key" in refusal(full, entry(), posting()).lower()


def test_no_receipt_is_sealed_by_a_link_that_is_not_there(own: StoredBook) -> None:
    """The same for sealed receipts and closes."""
    own.deliver(Story("m2").meter("cpu").batch())
    number = own.ask("SELECT MAX(number) FROM receipt")[0][0]
    assert "foreign key" in refusal(own, f"INSERT INTO sealed_receipt VALUES ({number}, 3)").lower()
    assert "foreign key" in refusal(own, "INSERT INTO month_close VALUES (202602, 1, 0, '{}', 'ada', 3)").lower()


def test_a_posting_for_a_sealed_link_is_refused(full: StoredBook) -> None:
    """Also of zeros, which would still balance; and in the transaction that sealed it."""
    zeros = posting(1, energy=0, account="late")
    assert "not sealed" in refusal(full, zeros)
    assert "not sealed" in refusal(full, entry(), posting(), link(), posting(energy=0, account="late"))


def test_a_posting_without_an_entry_is_refused(full: StoredBook) -> None:
    """Nobody bears what no source says."""
    assert "needs an entry" in refusal(full, posting(77))


def test_an_entry_or_receipt_for_a_sealed_link_is_refused(own: StoredBook) -> None:
    """A link is added last and then holds what it holds."""
    assert "sealed" in refusal(own, entry(link=2, energy=0))
    own.deliver(Story("m2").meter("cpu").batch())
    assert "sealed" in refusal(own, "INSERT INTO sealed_receipt SELECT MAX(number), 2 FROM receipt")


def test_an_entry_with_its_period_in_a_closed_month_is_refused(own: StoredBook) -> None:
    """202601 is closed: nothing may be booked in it or before it any more."""
    for period in (202601, 202512):
        assert "closed" in refusal(own, entry(period=period), posting(), link())
    own.run(entry(period=202602), posting(), link())


def test_months_are_closed_in_order_and_sealed(full: StoredBook) -> None:
    """No month twice, none before one that is closed, and nothing added to a sealed close."""
    assert "order" in refusal(full, "INSERT INTO month_close VALUES (202512, 1, 0, '{}', 'ada', 3)")
    for table, row in (("close_figure", "(202601, 'b', '{}')"), ("close_label", "(202601, 'q', '{}')")):
        assert "sealed" in refusal(full, f"INSERT INTO {table} VALUES {row}")


@pytest.mark.parametrize(
    "wrong",
    [link(4), link(2), link(previous=f"'{FIRST_PREVIOUS}'"), link(at_ms=NOW_MS + 1)],
    ids=["leaves one out", "again", "not the newest before it", "not later"],
)
def test_a_link_that_does_not_follow_is_refused(full: StoredBook, wrong: str) -> None:
    """By number, by the digest of the one before, by time."""
    assert refusal(full, wrong)


def test_a_second_revision_of_one_number_is_refused(full: StoredBook) -> None:
    """(source, day, revision) is unique: of two bookers that passed the lock one fails."""
    assert refusal(full, entry(), posting(), entry(91), posting(91), link())
