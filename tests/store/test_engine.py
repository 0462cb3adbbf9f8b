"""Where a book may lie, how it is opened, and how an older or a newer one is met."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from books import NOVEMBER, Story
from helpers.stored_book import StoredBook
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from joulebook_ledger.core.refusals import BadInput, Unavailable
from joulebook_ledger.store.engine import open_book, open_engine, writing
from joulebook_ledger.store.migration import migrate, migrations_folder
from joulebook_ledger.store.places import file_system, prepare
from joulebook_ledger.store.rows import read, sqlite_path
from joulebook_ledger.store.schema import NEWEST, SCHEMAS
from joulebook_ledger.store.shapes import SHAPES
from joulebook_ledger.store.tables import METADATA

MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
40 22 0:41 / /net rw shared:1 - nfs4 server:/users rw,vers=4.2
41 40 0:42 / /net/users/local rw - xfs /dev/sdb1 rw
42 22 0:43 / /mnt/big\\040disk rw - fuse.sshfs ada@host: rw
43 22 0:44 / /scratch rw - lustre 10.0.0.1@tcp:/fs rw
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """Return a table of mounts."""
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS)
    return path


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/net/users/book.sqlite", "nfs4"),
        ("/net/users/local/book.sqlite", "xfs"),
        ("/network/book.sqlite", "ext4"),
        ("/mnt/big disk/book.sqlite", "fuse.sshfs"),
        ("/scratch/x/y/z.sqlite", "lustre"),
        ("/var/book.sqlite", "ext4"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_innermost_mount(path: str, kind: str, mounts: Path) -> None:
    """Also of a file that is not there yet."""
    assert file_system(Path(path), mounts) == kind


@pytest.mark.parametrize("path", ["/net/users/book.sqlite", "/mnt/big disk/book.sqlite", "/scratch/x/y/z.sqlite"])
def test_a_book_on_a_network_file_system_is_refused_with_the_way_out(path: str, mounts: Path) -> None:
    """The drop-box is made for that; nothing is created."""
    with pytest.raises(BadInput, match=r"network file system.*JOULEBOOK_LEDGER=file:///"):
        prepare(Path(path), mounts)
    assert not Path(path).parent.exists()


def test_where_no_mounts_can_be_read_nothing_is_refused(tmp_path: Path) -> None:
    """MacOS has no /proc."""
    prepare(tmp_path / "book.sqlite", tmp_path / "none")
    assert file_system(tmp_path, tmp_path / "none") == ""


def test_a_book_is_closed_to_others(tmp_path: Path) -> None:
    """File 0600, folder 0700, and so its write-ahead log, whatever the umask."""
    before = os.umask(0)
    try:
        stored = StoredBook(f"sqlite:///{tmp_path / 'new' / 'home' / 'book.sqlite'}")
        stored.deliver(Story("m1").meter("cpu").batch())
    finally:
        os.umask(before)
    files = sorted((tmp_path / "new" / "home").iterdir())
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * len(files)
    assert stat.S_IMODE((tmp_path / "new" / "home").stat().st_mode) == 0o700
    stored.close()


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    """A book may be kept in a folder that others read."""
    tmp_path.chmod(0o755)
    open_book(f"sqlite:///{tmp_path / 'book.sqlite'}").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """With the variable that names another."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file/book.sqlite cannot be written .*JOULEBOOK_LEDGER"):
        open_book(f"sqlite:///{tmp_path / 'file' / 'book.sqlite'}")


@pytest.mark.parametrize(
    "url", ["mysql://host/db", "sqlite:///", "sqlite://", "sqlite:///:memory:", "postgresql://host/db", "book"]
)
def test_what_is_no_book_is_refused(url: str) -> None:
    """With what is one; a password in it is not repeated."""
    with pytest.raises(BadInput, match="is no book: give sqlite:///PATH"):
        open_book(url)
    with pytest.raises(BadInput) as refused:
        open_book("mysql://ada:secret@host/db")
    assert "secret" not in str(refused.value)


@pytest.mark.postgres
def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """Nothing is wrong with the input; the text is one line without a password."""
    with pytest.raises(Unavailable, match="PostgreSQL cannot be used now") as unavailable:
        open_book(f"postgresql+psycopg://ada:secret@/db?host={tmp_path}")
    assert "secret" not in str(unavailable.value)
    assert "\n" not in str(unavailable.value)


def test_a_file_that_is_no_book_is_unavailable(tmp_path: Path) -> None:
    """And stays as it is."""
    path = tmp_path / "book.sqlite"
    path.write_text("this is no database, but long enough to be taken for one" * 20)
    before = path.read_bytes()
    with pytest.raises(Unavailable, match="file is not a database"):
        open_book(f"sqlite:///{path}")
    assert path.read_bytes() == before


# --- schema ---


def test_the_code_knows_every_migration() -> None:
    """SCHEMAS is told by hand, so that opening a book loads no alembic; here alembic says the same."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(revisions)) == SCHEMAS


def test_the_migrations_make_the_tables_that_the_code_names(stored: StoredBook) -> None:
    """Column by column, key by key, index by index, on both engines."""
    is_sqlite = stored.book.engine.dialect.name == "sqlite"
    with stored.book.engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": not is_sqlite}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []


def test_ingest_names_the_columns_that_the_tables_have() -> None:
    """`shapes` says in short what the tables say at length."""
    said = {"receipt"}
    for table, shape in SHAPES.items():
        columns = METADATA.tables[table].columns
        assert set(shape.columns) == {column.name for column in columns} - said
        assert set(shape.key) == {column.name for column in METADATA.tables[table].primary_key.columns}
        assert shape.numbers == {column.name for column in columns if column.type.python_type is int} - said


def test_all_numbers_are_of_64_bits(stored: StoredBook) -> None:
    """On every engine: no column of a table of ours is an integer of 32 bits, and none a float."""
    stored.run(
        f"INSERT INTO due (scope, object, first_day, last_day, cause, receipt) VALUES ('source', 'x', {2**62}, 0, '', 0)"
    )
    assert stored.ask("SELECT first_day FROM due") == [(2**62,)]
    if stored.book.engine.dialect.name != "sqlite":
        kinds = stored.ask(
            "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
        )
        assert set(kinds) == {("bigint",), ("text",)}


def test_accounts_sort_by_their_bytes(stored: StoredBook) -> None:
    """Never by the language of the database, which would put `b` before `Z`."""
    stored.run(*(f"INSERT INTO placed VALUES ('{name}', 1, '')" for name in ("b", "Z", "a", "é", "_")))
    assert [row[0] for row in stored.ask("SELECT source FROM placed ORDER BY source")] == ["Z", "_", "a", "b", "é"]


# --- upgrade ---


NEXT = """
import sqlalchemy
from alembic import op

revision = "next"
down_revision = "{newest}"


def upgrade():
    op.add_column("reader", sqlalchemy.Column("note", sqlalchemy.Text(), nullable=False, server_default=""))
    {then}
"""


def next_version(folder: Path, then: str = "") -> Path:
    """Return the migrations of a version of Joulebook that does not exist yet: one more, and what it does then."""
    shutil.copytree(migrations_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "next.py").write_text(NEXT.format(newest=NEWEST, then=then))
    return folder


def test_an_older_book_with_rows_is_copied_and_brought_up_to_date(stored: StoredBook, tmp_path: Path, capsys) -> None:
    """The rows stay, the laws stay, the copy is the old book, closed to others, and its path is said."""
    stored.deliver(Story("m1").meter("cpu").reading("cpu", NOVEMBER, NOVEMBER + 1_000, 7).batch())
    stored.bring_up_to_date()
    before = stored.journal()
    copy = migrate(stored.book.url, next_version(tmp_path / "next"), (*SCHEMAS, "next"))
    assert (stored.journal(), stored.ask("SELECT note FROM reader")) == (before, [("",)])
    with pytest.raises(IntegrityError):
        stored.run("UPDATE reader SET note = 'x'")
    if stored.book.engine.dialect.name != "sqlite":
        assert copy is None
        return
    assert str(copy) in capsys.readouterr().err
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with read(f"sqlite:///{copy}") as rows:
        assert rows.rows("SELECT version_num FROM alembic_version") == [(NEWEST,)]
        assert rows.rows("SELECT COUNT(*) FROM meter_window") == [(1,)]


def test_this_version_leaves_the_book_of_the_next_alone(stored: StoredBook, tmp_path: Path) -> None:
    """It names the version that made it."""
    migrate(stored.book.url, next_version(tmp_path / "next"), (*SCHEMAS, "next"))
    with pytest.raises(Unavailable, match=r"schema next.*run joulebook [0-9.]+ or newer"):
        open_book(stored.book.url)


def test_an_upgrade_that_fails_changes_nothing(stored: StoredBook, tmp_path: Path) -> None:
    """The schema changes in one transaction, on SQLite too; a second copy never overwrites the first."""
    broken = next_version(tmp_path / "broken", "op.execute('SELECT broken FROM nowhere')")
    for _ in range(2):
        with pytest.raises((OperationalError, ProgrammingError)):
            migrate(stored.book.url, broken, (*SCHEMAS, "next"))
    assert stored.ask("SELECT version_num FROM alembic_version") == [(NEWEST,)]
    with pytest.raises(Exception, match="note"), stored.book.read() as rows:
        rows.rows("SELECT note FROM reader")
    if stored.book.engine.dialect.name == "sqlite":
        path = Path(sqlite_path(stored.book.url))
        assert sorted(p.name for p in path.parent.glob("*.schema-*")) == [
            f"{path.name}.schema-{NEWEST}",
            f"{path.name}.schema-{NEWEST}.2",
        ]


def test_a_newer_book_is_left_alone_and_the_version_named(stored: StoredBook) -> None:
    """An older command says which version to run, and changes nothing."""
    stored.run(
        "UPDATE alembic_version SET version_num = '9999'", "INSERT INTO book_setting VALUES ('schema 9999', '7.1.0')"
    )
    before = stored.ask("SELECT * FROM book_setting ORDER BY name")
    with pytest.raises(
        Unavailable, match=r"schema 9999.*run joulebook 7\.1\.0 or newer; nothing was changed"
    ) as refusal:
        open_book(stored.book.url)
    assert refusal.value.exit_code == 3
    with pytest.raises(Unavailable, match=r"joulebook 7\.1\.0"):
        migrate(stored.book.url)
    assert stored.ask("SELECT * FROM book_setting ORDER BY name") == before


def test_a_new_book_needs_no_copy_and_an_up_to_date_one_no_upgrade(sqlite_url: str) -> None:
    """Nothing lies beside them."""
    assert migrate(sqlite_url) is None
    assert migrate(sqlite_url) is None
    assert not list(Path(sqlite_path(sqlite_url)).parent.glob("*.schema-*"))


def test_it_is_written_down_which_version_made_a_schema(stored: StoredBook) -> None:
    """So that an older command can name it."""
    ((name, value),) = stored.ask("SELECT name, value FROM book_setting")
    assert (name, value.count(".")) == (f"schema {NEWEST}", 2)


@pytest.mark.processes
@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_several_processes_make_one_book(engine: str, request: pytest.FixtureRequest) -> None:
    """The first four commands on a machine start at once: one makes the book, all find it made."""
    url = request.getfixturevalue(f"{engine}_url")
    program = f"from joulebook_ledger.store.engine import open_book; open_book({url!r}).close()"
    together = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", program], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [process.communicate()[1] for process in together]
    assert (said, [process.returncode for process in together]) == ([""] * 4, [0] * 4)
    with read(url) as rows:
        assert rows.rows("SELECT version_num FROM alembic_version") == [(NEWEST,)]


@pytest.mark.processes
def test_opening_a_book_loads_neither_alembic_nor_sqlalchemy(sqlite_url: str) -> None:
    """Reading commands answer at once; what writes loads what it needs."""
    open_book(sqlite_url).close()
    program = (
        f"import sys; from joulebook_ledger.store.engine import open_book\nwith open_book({sqlite_url!r}).read() as rows:\n"
        "    rows.rows('SELECT 1 FROM link')\nprint(sorted({'alembic', 'sqlalchemy', 'sqlmodel', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_a_reader_of_one_snapshot_sees_no_later_commit(stored: StoredBook) -> None:
    """A report is of one moment."""
    with stored.book.read() as rows:
        assert rows.rows("SELECT COUNT(*) FROM meter") == [(0,)]
        stored.deliver(Story("m1").meter("cpu").batch())
        assert rows.rows("SELECT COUNT(*) FROM meter") == [(0,)]
    assert stored.count("meter") == 1


def test_every_connection_of_ours_keeps_foreign_keys(sqlite_url: str) -> None:
    """And waits for a writer rather than failing."""
    open_book(sqlite_url).close()
    engine = open_engine(sqlite_url)
    with engine.connect() as connection:
        found = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("foreign_keys", "journal_mode", "busy_timeout")
        }
    engine.dispose()
    assert found == {"foreign_keys": 1, "journal_mode": "wal", "busy_timeout": 30_000}


def test_a_transaction_that_fails_leaves_nothing(stored: StoredBook) -> None:
    """All of a batch, or none of it."""
    with pytest.raises(IntegrityError):
        stored.run("INSERT INTO placed VALUES ('s', 1, 'm')", "INSERT INTO placed VALUES ('s', 1, 'm')")
    assert stored.count("placed") == 0


def test_a_book_that_another_process_holds_is_unavailable(sqlite_url: str) -> None:
    """After a while, in one line; delivering waits for its turn before that."""
    open_book(sqlite_url).close()
    engine = open_engine(sqlite_url, wait_seconds=0)
    with closing(sqlite3.connect(sqlite_path(sqlite_url), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(Unavailable, match=r"book\.sqlite cannot be used now \(database is locked\)"),
            writing(engine),
        ):
            pass
    engine.dispose()


def test_a_fault_of_a_statement_stays_a_fault(stored: StoredBook) -> None:
    """Only trouble with the database is told as unavailable: a fault of ours must be seen."""
    with pytest.raises((OperationalError, ProgrammingError)):
        stored.run("SELECT broken FROM nowhere")
    with pytest.raises(Exception, match="nowhere"), stored.book.read() as rows:
        rows.rows("SELECT broken FROM nowhere")


def test_opening_a_book_twice_drops_no_lock_of_the_first(sqlite_url: str) -> None:
    """What another process writes is seen: a descriptor closed here would end SQLite's own locks, and with them the write-ahead log."""
    first = open_book(sqlite_url)
    with first.write() as connection:
        connection.exec_driver_sql("INSERT INTO book_setting VALUES ('a', 'here')")
    second = open_book(sqlite_url)
    assert second.engine
    path = sqlite_url.removeprefix("sqlite:///")
    program = f"import sqlite3; c = sqlite3.connect({path!r}); c.execute(\"INSERT INTO book_setting VALUES ('b', 'there')\"); c.commit()"
    subprocess.run([sys.executable, "-c", program], check=True)
    with first.read() as rows:
        found = rows.rows("SELECT value FROM book_setting WHERE name IN ('a', 'b') ORDER BY name")
    first.close()
    second.close()
    assert found == [("here",), ("there",)]
