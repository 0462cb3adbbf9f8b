"""`verify`: a sound book passes every check, and each way of tampering is named by the check that sees it (CORE §9)."""

import sqlite3

import pytest
from books import HOUR, MINUTE, NOVEMBER, Story
from helpers.stored_book import StoredBook, entered, grid, pue, tariff
from hypothesis import HealthCheck, given, settings
from strategies import books

from joulebook_ledger.core.factors import Placement, Site
from joulebook_ledger.core.facts import Correction
from joulebook_ledger.store.checks import run_checks
from joulebook_ledger.store.rows import SqlRows, sqlite_path

DAY = NOVEMBER // 86_400_000


def failures(book: StoredBook) -> dict[str, str]:
    """Return the checks that fail, each with what it says."""
    with book.book.read() as rows:
        return {check.name: check.detail for check in run_checks(rows) if not check.ok}


def fill(book: StoredBook) -> StoredBook:
    """Book an hour of one machine, priced, in two links."""
    story = Story("m1").meter("time", "time").meter("cpu")
    for minute in range(3):
        at = NOVEMBER + minute * MINUTE
        story.reading("cpu", at, at + MINUTE, 1_000_000 + minute, {"run-1": (600_000, MINUTE, 100_000)})
        story.reading("time", at, at + MINUTE, 0, {"run-1": (0, MINUTE)}, method="declared")
    places = (Site(site="site-1", zone="FR", version="v1"), Placement(machine="m1", site="site-1", version="v1"))
    book.deliver(story.batch())
    book.bring_up_to_date()
    book.deliver(entered(1, tariff(), grid(), pue(value=1_200_000), *places))
    book.bring_up_to_date()
    return book


@pytest.fixture
def sound(stored: StoredBook) -> StoredBook:
    """Return a book with nothing wrong."""
    return fill(stored)


def test_a_sound_book_passes_every_check(sound: StoredBook) -> None:
    """And says how much it checked."""
    with sound.book.read() as rows:
        found = {check.name: check for check in run_checks(rows)}
    assert all(check.ok for check in found.values())
    assert list(found) == [
        "links", "receipts", "entries", "balance of entries", "booked", "balance", "usage", "readings", "targets", "closes",
        "nothing smuggled in",
    ]  # fmt: skip
    assert found["entries"].detail == "4 entries"
    assert found["links"].detail.startswith("2 links, head ")


def test_an_empty_book_passes_every_check(stored: StoredBook) -> None:
    """There is nothing wrong with nothing."""
    assert failures(stored) == {}


TAMPERINGS = {
    "UPDATE meter_window SET energy_mj = energy_mj + 1 WHERE energy_mj = 1000001": {"receipts", "usage", "readings", "targets"},
    "UPDATE meter_use SET static_mj = static_mj - 1": {"receipts", "usage", "readings", "targets"},
    "UPDATE factor SET value = -1": {"receipts", "usage", "readings", "targets"},
    "DELETE FROM meter_use": {"receipts", "usage", "targets"},
    "UPDATE reader SET rank = 2": {"receipts"},
    "UPDATE reader SET machine = 'm2'": {"receipts", "usage", "targets"},
    "UPDATE factor SET value = value + 50000 WHERE kind = 'grid_location'": {"receipts", "targets"},
    "UPDATE factor SET source = 'another' WHERE kind = 'grid_location'": {"receipts"},
    "UPDATE factor SET basis = 'direct' WHERE kind = 'grid_location'": {"receipts"},
    "UPDATE factor SET evidence_name = 'a file'": {"receipts"},
    "UPDATE site SET provider = 'aws'": {"receipts"},
    "UPDATE receipt SET complete_until_ms = 5 WHERE reader <> 'desk'": {"links"},
    "UPDATE receipt SET author = 'eve' WHERE reader = 'desk'": {"links"},
    "UPDATE sealed_receipt SET link = 1": {"links"},
    "UPDATE link SET at_ms = at_ms + 1 WHERE sequence = 2": {"links"},
    "UPDATE link SET digest = previous WHERE sequence = 1": {"links"},
    "UPDATE entry SET cause = 'late' WHERE number = 3": {"entries"},
    "UPDATE entry SET digest = 'x' WHERE number = 3": {"links", "entries"},
    "UPDATE entry SET cost_energy = cost_energy + 1 WHERE number = 3": {"entries", "balance of entries"},
    "UPDATE posting SET cost_energy = cost_energy + 1 WHERE entry = 3": {
        "entries", "balance of entries", "booked", "balance",
    },
    "UPDATE posting SET account = 'run-2' WHERE account = 'run-1' AND entry = 3": {"entries", "booked", "balance"},
    "DELETE FROM posting WHERE entry = 3": {"entries", "balance of entries", "booked", "balance"},
    "UPDATE booked SET held_mj = held_mj + 1": {"booked", "targets"},
    "DELETE FROM booked": {"booked", "targets"},
    "UPDATE balance SET held_mj = held_mj + 1": {"balance"},
    "UPDATE balance SET month = 202612": {"balance"},
    "UPDATE usage SET energy_mj = energy_mj + 1 WHERE account = 'idle' AND energy_mj > 0": {"usage", "readings"},
    "UPDATE usage SET overclaimed = 1": {"usage"},
    "DELETE FROM usage": {"usage", "readings"},
    "UPDATE placed SET machine = 'm9'": {"usage"},
    "DELETE FROM meter_window": {"receipts", "usage", "targets", "nothing smuggled in"},
    "DELETE FROM link WHERE sequence = 2": {"nothing smuggled in", "targets"},
    "DELETE FROM sealed_receipt": {"links", "targets", "nothing smuggled in"},
    "INSERT INTO close_total SELECT 202611, source, account, method, energy_it_mj, energy_facility_mj, held_mj, unmetered_mj, time_ms,"
    " metered_ms, cost_energy, cost_instance, co2e_location, co2e_market, co2e_embodied, water_site, water_source, unc_facility_mj,"
    " unc_cost_energy_mj, unc_cost_instance_ms, unc_co2e_location_mj, unc_co2e_market_mj, unc_co2e_embodied_ms, unc_water_site_mj,"
    " unc_water_source_mj FROM balance": {"closes"},
}  # fmt: skip


@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda text: text[:60])
def test_tampering_is_named_by_the_checks_that_see_it(sound: StoredBook, tampering: str) -> None:
    """Somebody lifts the laws, changes one thing and puts them back."""
    with sound.without_laws():
        if sound.book.engine.dialect.name != "sqlite":
            sound.run(
                "ALTER TABLE entry DROP CONSTRAINT entry_link_fkey",
                "ALTER TABLE sealed_receipt DROP CONSTRAINT sealed_receipt_link_fkey",
            )
            sound.run(tampering)
        else:
            attack(sound, tampering)
    assert set(failures(sound)) == TAMPERINGS[tampering]


def attack(book: StoredBook, *statements: str) -> None:
    """Run statements over a connection that does not set foreign_keys as ours do."""
    connection = sqlite3.connect(sqlite_path(book.book.url))
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_the_first_thing_that_differs_is_named(sound: StoredBook) -> None:
    """With its place in the book, so that a person can look."""
    reader = "'reader-of-m1'"
    with sound.without_laws():
        sound.run(
            f"DELETE FROM meter_window WHERE start_ms = {NOVEMBER}",
            "UPDATE posting SET time_ms = time_ms + 1 WHERE entry = 2",
        )
    found = failures(sound)
    assert found["receipts"] == f"receipt 1 (batch 1 of reader {reader}) holds 13 facts where 15 came"
    assert found["entries"].startswith("entry 2 (boot-of-m1/time~")
    assert found["balance of entries"].endswith(
        f"/time~{Story('m1').meter('time', 'time').key('time')[-8:]}, day {DAY}) do not sum to its leg"
    )


@pytest.mark.parametrize("stored", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("smuggled", "what"),
    [
        ("INSERT INTO entry SELECT 9, source, day, 9, period, cause, known, 9, digest" + ", 0" * 21 + " FROM entry WHERE number = 1",
         "entry without its link: (9, "),
        ("INSERT INTO sealed_receipt VALUES (77, 9)", "sealed receipt without its link: (77, 9)"),
        ("INSERT INTO month_close VALUES (202610, 1, 0, '{}', 'eve', 9)", "close without its link: (202610)"),
        ("INSERT INTO score VALUES ('run-1', 's', 'accuracy', '1', 0, NULL, '', '', NULL, 99)", "score without its receipt: (run-1, s)"),
        ("INSERT INTO receipt VALUES (9, 'r', 1, 0, 0, '', '', 0, 'active', 0, '')", "receipt that no link seals and nothing marks: (9, r, 1)"),
        ("INSERT INTO meter_use VALUES ('m', 0, 'r', 'run-1', 1, 0, 1, 0, 'x', 1)", "use without its window: (m, r, 0, run-1)"),
        ("INSERT INTO meter_window VALUES ('m', 0, 'r', 9, 1, 'counter', '', NULL, 1)", "window of a meter that is not there: (m, r, 0)"),
        (f"INSERT INTO meter_window SELECT meter, start_ms + 1, reader, end_ms, 1, 'counter', '', NULL, 1 FROM meter_window WHERE start_ms = {NOVEMBER}",
         "windows of one reader that overlap: (boot-of-m1/"),
    ],
)  # fmt: skip
def test_what_is_smuggled_in_without_foreign_keys_is_named(sound: StoredBook, smuggled: str, what: str) -> None:
    """The triggers hold for every connection; foreign keys only where they are switched on: `verify` sees what came in."""
    attack(sound, smuggled)
    assert failures(sound)["nothing smuggled in"].startswith(what)


def test_what_is_due_is_left_out_and_counted(sound: StoredBook) -> None:
    """Facts that wait to be booked are no difference."""
    story = Story("m1", reader="second").meter("cpu").reading("cpu", NOVEMBER + HOUR, NOVEMBER + HOUR + MINUTE, 7)
    sound.deliver(story.batch(), entered(2, grid(value=1, version="v2")))
    with sound.book.read() as rows:
        found = {check.name: check for check in run_checks(rows)}
    assert all(check.ok for check in found.values())
    assert found["targets"].detail == "0 days of meters, 2 more wait to be booked"


def test_archived_days_are_checked_by_their_hours(sound: StoredBook) -> None:
    """Their windows are gone; what is booked of them still follows from the hours, and receipts say what is not compared."""
    sound.run(f"INSERT INTO archive_manifest VALUES ({DAY}, 'windows', 6, 6, 'd', 1)")
    sound.run("DELETE FROM meter_use", "DELETE FROM meter_window")
    sound.deliver(entered(2, grid(value=70_000_000, version="v2")))
    sound.bring_up_to_date()
    with sound.book.read() as rows:
        found = {check.name: check for check in run_checks(rows)}
    assert all(check.ok for check in found.values())
    assert found["receipts"].detail == "3 receipts, 1 of them with archived windows not compared"
    with sound.without_laws():
        sound.run("UPDATE usage SET energy_mj = energy_mj + 50000 WHERE energy_mj > 0")
    assert set(failures(sound)) == {"targets"}


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(books())
def test_random_books_pass_every_check(stored: StoredBook, deliveries) -> None:
    """Booked once, in any number of links; also read over a connection that writes."""
    stored.empty()
    for batch in (*deliveries.readers, *deliveries.desk):
        stored.deliver(batch)
    stored.bring_up_to_date()
    assert failures(stored) == {}
    with stored.book.write() as connection:
        assert all(check.ok for check in run_checks(SqlRows(connection)))


def test_voided_facts_are_left_out(sound: StoredBook) -> None:
    """A correction takes a window back: with its uses, from usage and journal."""
    (key,) = sound.ask("SELECT meter, reader FROM meter_window WHERE energy_mj = 1000001")
    text = f'["{key[0]}","{key[1]}",{NOVEMBER + MINUTE}]'
    before = sum(row["energy_it_mj"] for row in sound.booked().values())
    sound.deliver(entered(2, Correction(table="meter_window", key=text, reason="a test load", author="ada")))
    sound.bring_up_to_date()
    assert before - sum(row["energy_it_mj"] for row in sound.booked().values()) == 1_000_001
    assert failures(sound) == {}
    assert ("correction",) in sound.ask("SELECT cause FROM entry ORDER BY number DESC LIMIT 1")
