"""Booking: target − booked, in one transaction, alone; nothing lost, nothing twice (CORE §5)."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from books import DAY, HOUR, MINUTE, NOVEMBER, Story
from helpers.stored_book import NOW_MS, StoredBook, batch_of, entered, grid, pue, tariff
from sqlalchemy import text

from joulebook_ledger.core.factors import Placement, Site
from joulebook_ledger.core.facts import Correction
from joulebook_ledger.core.records import Meter, Reader, Use, Window
from joulebook_ledger.core.wire import decode_batch
from joulebook_ledger.store import journal
from joulebook_ledger.store.checks import run_checks
from joulebook_ledger.store.facts import store_batch
from joulebook_ledger.store.journal import Booked, book

CPU = Meter(device="b1", domain="cpu", component="cpu", max_power_mw=1_000_000)
FIRST_DAY = NOVEMBER // DAY


def told(machine: str = "m1", at_ms: int = NOVEMBER, energy_mj: int = 3_600_000, reader: str = "") -> bytes:
    """Return the batch of one machine's minute."""
    story = Story(machine, reader=reader).meter("cpu", max_power_mw=10**9)
    return story.reading("cpu", at_ms, at_ms + MINUTE, energy_mj, {"run-1": energy_mj // 2}).batch()


PLACES = (
    Site(site="site-1", zone="FR", version="v1"), Placement(machine="m1", site="site-1", version="v1"), tariff(), grid(), pue(),
)  # fmt: skip


def energy(book: StoredBook) -> int:
    """Return all energy that is booked."""
    return sum(row["energy_it_mj"] for row in book.booked().values())


def test_booking_again_changes_nothing(stored: StoredBook) -> None:
    """No entry, no link; the head is what it was."""
    stored.deliver(told(), entered(1, *PLACES))
    first, again = stored.bring_up_to_date(), stored.bring_up_to_date()
    assert first == Booked(link=1, entries=1, booked_until_ms=NOW_MS)
    assert again == Booked(link=1, entries=0, booked_until_ms=NOW_MS)
    assert stored.count("due") == 0


def test_a_link_is_later_than_the_one_before(stored: StoredBook) -> None:
    """Also where the clock stood still or went back."""
    for number, machine in enumerate(("m1", "m2", "m3")):
        stored.deliver(told(machine))
        stored.bring_up_to_date(now_ms=NOW_MS - number)
    assert stored.ask("SELECT at_ms FROM link ORDER BY sequence") == [(NOW_MS,), (NOW_MS + 1,), (NOW_MS + 2,)]


def test_receipts_that_change_no_balance_are_sealed_too(stored: StoredBook) -> None:
    """A label, a score or an empty batch goes into the chain with a link of its own."""
    stored.deliver(batch_of(Reader(reader="r1", machine="m1"), 1, [], state="retired"))
    assert stored.bring_up_to_date() == Booked(link=1, entries=0, booked_until_ms=NOW_MS)
    assert stored.ask("SELECT receipt, link FROM sealed_receipt") == [(1, 1)]


def test_a_late_reading_is_booked_as_a_revision(stored: StoredBook) -> None:
    """Of the same source and day, with the difference and no more."""
    stored.deliver(told())
    stored.bring_up_to_date()
    stored.deliver(told(at_ms=NOVEMBER + HOUR, energy_mj=100, reader="second"))
    stored.bring_up_to_date()
    assert stored.ask("SELECT revision, cause, energy_it_mj FROM entry ORDER BY revision") == [
        (1, "first", 3_600_000),
        (2, "first", 100),
    ]


def test_a_reading_taken_back_nets_to_nothing(stored: StoredBook) -> None:
    """A correction of all there was books its mirror, in every column."""
    stored.deliver(told(), entered(1, *PLACES))
    stored.bring_up_to_date()
    ((meter, reader),) = stored.ask("SELECT meter, reader FROM meter_window")
    key = f'["{meter}","{reader}",{NOVEMBER}]'
    stored.deliver(entered(2, Correction(table="meter_window", key=key, reason="a test load", author="ada")))
    stored.bring_up_to_date()
    assert stored.booked() == {}
    assert stored.ask("SELECT cause FROM entry ORDER BY revision") == [("first",), ("correction",)]
    assert stored.count("usage") == 0


def test_a_use_taken_back_goes_to_idle(stored: StoredBook) -> None:
    """The reading stays; who drew it is no longer claimed."""
    stored.deliver(told())
    stored.bring_up_to_date()
    ((meter, reader),) = stored.ask("SELECT meter, reader FROM meter_window")
    key = f'["{meter}","{reader}",{NOVEMBER},"run-1"]'
    stored.deliver(entered(1, Correction(table="meter_use", key=key, reason="not its own", author="ada")))
    stored.bring_up_to_date()
    assert [(row[2], row[3]) for row in stored.booked()] == [("idle", "counter")]
    assert energy(stored) == 3_600_000


def test_a_check_meter_is_not_booked_by_a_correction_either(stored: StoredBook) -> None:
    """It is compared and never booked; what a correction voids of it changes no balance."""
    check = Meter(device="b1", domain="psu", component="node_rest", role="check", max_power_mw=1_000_000)
    windows = [
        Window(meter=check.key, start_ms=NOVEMBER + n, end_ms=NOVEMBER + n + 1, energy_mj=5, method="counter")
        for n in range(2)
    ]
    stored.deliver(batch_of(Reader(reader="r1", machine="m1"), 1, [check, *windows]))
    key = f'["{check.key}","r1",{NOVEMBER}]'
    stored.deliver(entered(1, Correction(table="meter_window", key=key, reason="a test load", author="ada")))
    assert stored.bring_up_to_date().entries == 0
    assert (stored.booked(), stored.count("usage"), stored.count("due")) == ({}, 0, 0)


def test_of_several_causes_the_last_in_order_is_named(stored: StoredBook) -> None:
    """first, late, correction, factor, bill, allocation, restatement."""
    stored.deliver(told())
    stored.bring_up_to_date()
    stored.deliver(entered(1, *PLACES), told(at_ms=NOVEMBER + MINUTE, reader="second"))
    stored.bring_up_to_date()
    assert stored.ask("SELECT cause FROM entry ORDER BY revision") == [("first",), ("factor",)]


def test_a_factor_touches_the_days_of_its_validity_only(stored: StoredBook) -> None:
    """Sources of other zones and days outside it stay as they are."""
    stored.deliver(
        *(told(at_ms=NOVEMBER + day * DAY, reader=f"r{day}") for day in range(3)), told("m2"), entered(1, *PLACES)
    )
    stored.deliver(
        entered(2, Site(site="site-2", zone="DE", version="v1"), Placement(machine="m2", site="site-2", version="v1"))
    )
    stored.bring_up_to_date()
    before = stored.count("entry")
    second = NOVEMBER + DAY
    stored.deliver(entered(3, grid(value=60_000_000, version="v2", valid_from_ms=second, valid_to_ms=second + HOUR)))
    assert stored.bring_up_to_date().entries == 1
    assert stored.ask("SELECT day, cause FROM entry WHERE number > :before", before=before) == [
        (FIRST_DAY + 1, "factor")
    ]


def test_only_what_is_wanted_is_booked(stored: StoredBook) -> None:
    """The rest stays due, and `booked_until` says up to when nothing is missing."""
    stored.deliver(told(), told(at_ms=NOVEMBER + DAY, reader="second"))
    ((meter,),) = stored.ask("SELECT meter FROM meter")
    done = book(stored.book.engine, NOW_MS, wanted={(meter, FIRST_DAY + 1)})
    assert done == Booked(link=1, entries=1, booked_until_ms=NOVEMBER)
    assert stored.bring_up_to_date() == Booked(link=2, entries=1, booked_until_ms=NOW_MS + 1)


def test_sealing_alone_books_nothing_and_loses_no_mark(stored: StoredBook) -> None:
    """The leader seals each minute and books each hour."""
    stored.deliver(told(), entered(1, *PLACES))
    assert book(stored.book.engine, NOW_MS, wanted=frozenset()).entries == 0
    assert stored.count("sealed_receipt") == 2
    assert stored.bring_up_to_date().entries == 1
    assert stored.booked() != {}


def test_postings_of_a_source_never_mix_with_those_of_another(stored: StoredBook) -> None:
    """Two machines of one name of meter stay two sources, each with an entry of its own."""
    stored.deliver(told(), told("m2", energy_mj=50))
    assert stored.bring_up_to_date().entries == 2
    assert stored.ask("SELECT energy_it_mj FROM entry ORDER BY source") == [(3_600_000,), (50,)]


def test_an_hour_beyond_64_bit_products_is_priced_to_the_digit(stored: StoredBook) -> None:
    """A gigawatt for an hour, at the dearest rates there may be: SQL and rule agree, and the database takes it."""
    big = Meter(device="b1", domain="plant", component="other", max_power_mw=10**12)
    windows = [
        Window(
            meter=big.key,
            start_ms=NOVEMBER + n * MINUTE,
            end_ms=NOVEMBER + (n + 1) * MINUTE,
            energy_mj=72 * 10**12,
            method="counter",
        )
        for n in range(60)
    ]
    dear = (tariff(value=10**9), grid(value=2 * 10**9), pue(value=5_000_000), *PLACES[:2])
    results = []
    for by_rule in (False, True):
        stored.empty()
        stored.deliver(batch_of(Reader(reader="r1", machine="m1"), 1, [big, *windows]), entered(1, *dear))
        stored.bring_up_to_date(by_rule=by_rule)
        results.append(stored.booked())
    assert results[0] == results[1]
    (row,) = results[0].values()
    assert row["co2e_location"] == 60 * 72 * 10**12 * 5 * 2 * 10**9 // 3_600_000_000


def test_a_gap_estimate_beyond_64_bit_products_goes_by_the_rule(stored: StoredBook) -> None:
    """Splitting it by milliseconds in SQL would overflow; Python's integers do not."""
    big = Meter(device="b1", domain="plant", component="other", max_power_mw=10**12)
    gap = Window(meter=big.key, start_ms=NOVEMBER, end_ms=NOVEMBER + HOUR, reason="read_failed", estimate_mj=4 * 10**15)
    half = Use(meter=big.key, start_ms=NOVEMBER, run="run-1", energy_mj=0, time_ms=HOUR // 2 + 1, method="cpu_time")
    stored.deliver(batch_of(Reader(reader="r1", machine="m1"), 1, [big, gap, half]))
    stored.bring_up_to_date()
    shares = {key[2]: row["unmetered_mj"] for key, row in stored.booked().items()}
    assert shares["run-1"] == 4 * 10**15 * (HOUR // 2 + 1) // HOUR
    assert sum(shares.values()) == 4 * 10**15


def test_two_bookers_at_once_book_once(stored: StoredBook) -> None:
    """The lock lets one work; the other finds nothing left."""
    stored.deliver(*(told(f"m{n}") for n in range(4)))
    with ThreadPoolExecutor(4) as pool:
        done = [work.result() for work in [pool.submit(book, stored.book.engine, NOW_MS) for _ in range(4)]]
    assert sorted(d.entries for d in done) == [0, 0, 0, 4]
    assert stored.count("link") == 1


@pytest.mark.postgres
@pytest.mark.parametrize("stored", ["postgres"], indirect=True)
def test_a_second_booker_that_passed_the_lock_is_refused(stored: StoredBook) -> None:
    """Its snapshot is as old as ours; (source, day, revision) and the link's number are unique."""
    stored.deliver(told())
    with stored.book.engine.connect() as rival:
        rival.execution_options(isolation_level="REPEATABLE READ")
        with rival.begin():
            rival.execute(text("SELECT COUNT(*) FROM due"))
            stored.bring_up_to_date()
            assert rival.execute(text("SELECT COUNT(*) FROM link")).scalar() == 0
            with pytest.raises(Exception, match=r"duplicate key|link follows"):
                rival.execute(text(f"INSERT INTO link VALUES (1, '{'0' * 64}', 1, '', '', 'rival')"))


def deliver_while_booking(stored: StoredBook, writers: int, batches: int) -> None:
    """Let writers deliver while one booker books again and again until they are done."""
    done = threading.Event()

    def write(writer: int) -> None:
        reader = Reader(reader=f"r{writer}", machine="m1", boot="b1")
        for number in range(batches):
            at = NOVEMBER + writer * 2 * HOUR + number * MINUTE
            window = Window(meter=CPU.key, start_ms=at, end_ms=at + MINUTE, energy_mj=1_000, method="counter")
            with stored.book.write() as connection:
                store_batch(connection, decode_batch(batch_of(reader, number + 1, [CPU, window])), NOW_MS)

    def keep_booking() -> None:
        while not done.is_set():
            book(stored.book.engine, NOW_MS)

    with ThreadPoolExecutor(writers + 1) as pool:
        booker = pool.submit(keep_booking)
        try:
            for writer in [pool.submit(write, number) for number in range(writers)]:
                writer.result()
        finally:
            done.set()
        booker.result()


def test_facts_committed_during_a_booking_are_booked(stored: StoredBook) -> None:
    """The booker deletes exactly the marks it saw: none of six writers' readings is ever forgotten (prototypes.md §4)."""
    deliver_while_booking(stored, writers=6, batches=15)
    stored.bring_up_to_date()
    assert energy(stored) == 6 * 15 * 1_000
    with stored.book.read() as rows:
        assert [check for check in run_checks(rows) if not check.ok] == []


@pytest.mark.postgres
@pytest.mark.parametrize("stored", ["postgres"], indirect=True)
def test_a_mark_committed_after_the_snapshot_survives_it(stored: StoredBook) -> None:
    """The same, step by step: facts come between the booker's snapshot and its commit."""
    stored.deliver(told())
    with journal.alone(stored.book.engine, journal.BOOK_LOCK) as connection:
        seen = [row[0] for row in connection.execute(text("SELECT number FROM due"))]
        stored.deliver(told(at_ms=NOVEMBER + HOUR, reader="second"))
        connection.execute(text("DELETE FROM due"))
    left = stored.ask("SELECT number FROM due")
    assert len(seen) == len(left) == 2
    assert not {row[0] for row in left} & set(seen)


def test_ranks_that_send_the_same_new_facts_at_once_store_them_once(stored: StoredBook) -> None:
    """Eight readers of one host send its meter and one run's event at the same instant."""
    start = threading.Barrier(8)

    def send(number: int) -> dict[str, int]:
        story = Story("m1", reader=f"rank-{number}").meter("cpu").event("run-1", "started", NOVEMBER, event="e1")
        batch = decode_batch(story.batch())
        start.wait()
        with stored.book.write() as connection:
            return dict(store_batch(connection, batch, NOW_MS).counts)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert sorted(map(str, answers)) == sorted([str({"stored": 2}), *[str({"already_stored": 2})] * 7])
