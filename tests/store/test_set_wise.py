"""The set-wise SQL of the store gives the digits of the rule in `core`, on random books, on both engines."""

import pytest
from auditor import Auditor
from helpers.stored_book import StoredBook, shuffled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import ONE_PROCESSOR, books, corrections_of, lives

from joulebook_ledger.core.wire import decode_batch
from joulebook_ledger.store.checks import run_checks

# A database is slow beside Python: fewer examples than of pure functions, on one book that is emptied between them.
STORED = settings(
    max_examples=max(12, settings.default.max_examples // 10),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


@STORED
@given(books())
def test_the_books_hold_what_the_auditor_works_out(stored: StoredBook, deliveries):
    """Usage and every column of every balance are those that exact fractions give, digit for digit."""
    stored.empty()
    stored.deliver(*deliveries.desk, *deliveries.readers)
    stored.bring_up_to_date()
    auditor = Auditor(deliveries.batches())
    assert stored.booked() == auditor.balances()
    found = stored.ask("SELECT meter, hour, account, method, energy_mj, held_mj, time_ms, unmetered_mj FROM usage")
    for meter, hour in auditor.hours():
        if auditor.meters[meter].role == "check":
            continue
        mine = {row[2:4]: row[4:] for row in found if row[:2] == (meter, hour)}
        assert mine == {
            key: (share.energy_mj, share.held_mj, share.time_ms, share.unmetered_mj)
            for key, share in auditor.usage(meter, hour).items()
        }


@STORED
@given(books())
def test_sql_and_rule_make_the_same_chain(stored: StoredBook, deliveries):
    """Booked by SQL or by the Python of core, entries, postings and the link have the same digests."""
    chains = []
    for by_rule in (False, True):
        stored.empty()
        stored.deliver(*deliveries.desk, *deliveries.readers)
        stored.bring_up_to_date(by_rule=by_rule)
        chains.append((stored.ask("SELECT entries_digest, digest FROM link"), stored.journal()))
    assert chains[0] == chains[1]


@STORED
@given(books(), st.randoms(use_true_random=False))
def test_facts_in_any_order_and_number_give_the_same_balances(stored: StoredBook, deliveries, random):
    """Law 2: shuffled, repeated, and booked now and then on the way, the balances are the same."""
    stored.empty()
    stored.deliver(*deliveries.desk, *deliveries.readers)
    stored.bring_up_to_date()
    expected = stored.balances()
    stored.empty()
    stored.deliver(*deliveries.desk)
    for batch in shuffled(deliveries.readers, random):
        stored.deliver(batch)
        if random.random() < 0.3:
            stored.bring_up_to_date()
    stored.bring_up_to_date()
    assert stored.balances() == expected


@STORED
@given(books(meters=ONE_PROCESSOR), st.randoms(use_true_random=False), st.booleans())
def test_what_is_modelled_here_and_measured_there_counts_once_whatever_comes_first(
    stored: StoredBook, deliveries, random, by_rule
):
    """Booked now and then on the way: what has come since changes what is booked of other meters, and the book proves itself."""
    stored.empty()
    stored.deliver(*deliveries.desk)
    for batch in shuffled(deliveries.readers, random):
        stored.deliver(batch)
        with stored.book.read() as rows:
            assert [check for check in run_checks(rows) if not check.ok] == []
        if random.random() < 0.5:
            stored.bring_up_to_date(by_rule=by_rule)
    stored.bring_up_to_date(by_rule=by_rule)
    assert stored.booked() == Auditor(deliveries.batches()).balances()
    with stored.book.read() as rows:
        assert [check for check in run_checks(rows) if not check.ok] == []


@STORED
@given(books(), st.randoms(use_true_random=False))
def test_factors_that_come_late_reprice_what_is_booked(stored: StoredBook, deliveries, random):
    """A factor, site or placement entered after the booking changes it by the difference; booking again adds nothing."""
    stored.empty()
    stored.deliver(*deliveries.readers)
    stored.bring_up_to_date()
    for batch in deliveries.desk:
        stored.deliver(batch)
        if random.random() < 0.5:
            stored.bring_up_to_date()
    stored.bring_up_to_date()
    assert stored.booked() == Auditor(deliveries.batches()).balances()
    assert stored.bring_up_to_date().entries == 0


@STORED
@given(st.data())
def test_what_corrections_void_is_taken_back(stored: StoredBook, data):
    """Entered after or before the booking, by SQL or by the rule: what is left is what the auditor works out without it."""
    deliveries = data.draw(books())
    corrections = data.draw(corrections_of(deliveries))
    by_rule = data.draw(st.booleans())
    stored.empty()
    stored.deliver(*deliveries.desk, *deliveries.readers)
    if data.draw(st.booleans()):
        stored.bring_up_to_date(by_rule=not by_rule)
    for batch in corrections:
        assert stored.deliver(batch)[0].counts.get("refused", 0) == 0
    stored.bring_up_to_date(by_rule=by_rule)
    assert stored.booked() == Auditor([*deliveries.batches(), *map(decode_batch, corrections)]).balances()


@STORED
@given(lives())
def test_a_book_that_was_closed_and_restated_holds_what_the_auditor_works_out(stored: StoredBook, life):
    """By SQL and by the rule, with the same chain, digest by digest; and the book proves itself."""
    chains = []
    for by_rule in (False, True):
        stored.empty()
        stored.live(life, by_rule=by_rule)
        assert stored.booked() == Auditor(*life.sealed()).balances()
        chains.append((stored.ask("SELECT sequence, digest FROM link ORDER BY sequence"), stored.journal()))
    assert chains[0] == chains[1]
    with stored.book.read() as rows:
        assert [check for check in run_checks(rows) if not check.ok] == []


@pytest.mark.long
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(books(hours=30))
def test_the_books_of_days_hold_what_the_auditor_works_out(stored: StoredBook, deliveries):
    """The same over days: thirty hours, two or three UTC days."""
    stored.empty()
    stored.deliver(*deliveries.desk, *deliveries.readers)
    stored.bring_up_to_date()
    assert stored.booked() == Auditor(deliveries.batches()).balances()
