"""The laws of DESIGN §2 that core alone can keep, on random books, against an auditor that works them out in another way."""

from collections import defaultdict

from auditor import Auditor, Share
from helpers.pure_book import PureBook
from hypothesis import given
from hypothesis import strategies as st
from strategies import BOOKS, HOUR_MS, ONE_PROCESSOR, books, corrections_of, desks, lives

from joulebook_ledger.core.booking import add, delta, plus
from joulebook_ledger.core.pricing import NOTHING
from joulebook_ledger.core.timeline import lay_hour
from joulebook_ledger.core.wire import decode_batch


@BOOKS
@given(books())
def test_usage_is_what_the_auditor_works_out(deliveries):
    """Every account of every meter and hour has the energy, held energy, time and gap estimate that exact fractions give it."""
    batches = deliveries.batches()
    auditor = Auditor(batches)
    for (meter, hour), usage in PureBook(batches).usage().items():
        found = {(row.account, row.method): Share(*row[2:]) for row in usage.rows}
        assert found == auditor.usage(meter, hour)


@BOOKS
@given(books(meters=ONE_PROCESSOR))
def test_what_one_models_and_another_measures_is_what_the_auditor_works_out(deliveries):
    """Two packages and a model of both, by readers that cannot see each other."""
    batches = deliveries.batches()
    auditor = Auditor(batches)
    for (meter, hour), usage in PureBook(batches).usage().items():
        found = {(row.account, row.method): Share(*row[2:]) for row in usage.rows}
        assert found == auditor.usage(meter, hour)


@BOOKS
@given(books(meters=ONE_PROCESSOR))
def test_an_instant_is_modelled_once_and_only_where_nobody_measures_it(deliveries):
    """Of the processor's time each millisecond that anybody measured is measured, and each other one is modelled once at most."""
    book = PureBook(deliveries.batches())
    modelled, measured = defaultdict(set), defaultdict(set)
    for (_, _, start), window in book.windows.items():
        if not window.is_gap:
            of = modelled if window.method == "model" else measured
            of[start // HOUR_MS].add((start, window.end_ms))
    for hour in modelled:
        only = _length([*modelled[hour], *measured[hour]]) - _length(measured[hour])
        rows = [row for (_, of), usage in book.usage().items() if of == hour for row in usage.rows]
        assert sum(row.time_ms for row in rows if row.method == "model") == only


def _length(stretches):
    """Return how much time they cover together."""
    covered = reached = 0
    for start, end in sorted(stretches):
        covered += max(0, end - max(start, reached))
        reached = max(reached, end)
    return covered


@BOOKS
@given(books())
def test_balances_are_what_the_auditor_works_out(deliveries):
    """Every column of every balance is what the auditor prices by fractions, rounding only where the rule says so."""
    batches = deliveries.batches()
    assert PureBook(batches).balances() == Auditor(batches).balances()


@BOOKS
@given(books())
def test_energy_of_all_accounts_is_the_energy_laid(deliveries):
    """Law 1: per meter and hour nothing is lost or made; alone on its line, a reader's energy is laid whole."""
    book = PureBook(deliveries.batches())
    for (meter, hour), readers in book.hours().items():
        rows = lay_hour(hour, readers).rows
        energies = [sum(w.window.energy_mj or 0 for w in r.windows) for r in readers]
        laid = sum(row.energy_mj for row in rows)
        assert min(energies) <= laid <= sum(energies) if len(readers) > 1 else laid == energies[0], meter
        assert all(min(row[2:]) >= 0 for row in rows)
        assert all(row.held_mj <= row.energy_mj for row in rows)
        assert sum(row.time_ms for row in rows) <= HOUR_MS


@BOOKS
@given(books())
def test_postings_sum_to_the_source_leg_in_every_column(deliveries):
    """Law 1: per source and day the parts are exactly their whole, whatever the rates."""
    for target in PureBook(deliveries.batches()).targets().values():
        total = NOTHING
        for amounts in target.postings.values():
            total = add(total, amounts)
        assert total == target.leg


@BOOKS
@given(books(), st.randoms(use_true_random=False))
def test_the_order_and_number_of_deliveries_change_nothing(deliveries, random):
    """Law 2: batches of readers shuffled and sent twice give the same balances."""
    batches = deliveries.batches()
    desk, readers = batches[: len(deliveries.desk)], batches[len(deliveries.desk) :]
    again = [*readers, *random.sample(readers, random.randint(0, len(readers)))]
    random.shuffle(again)
    assert PureBook([*desk, *again]).balances() == PureBook(batches).balances()


@BOOKS
@given(books(), st.randoms(use_true_random=False))
def test_an_hour_is_the_same_in_whatever_order_its_readers_stand(deliveries, random):
    """Law 2: lay_hour knows no order of arrival, and a reader given twice adds nothing."""
    for (_, hour), readers in PureBook(deliveries.batches()).hours().items():
        shuffled = [*readers, *readers]
        random.shuffle(shuffled)
        assert lay_hour(hour, shuffled) == lay_hour(hour, readers)


@BOOKS
@given(books())
def test_booking_twice_posts_nothing(deliveries):
    """The difference between a target and itself is empty, and posting a difference reaches the target."""
    for target in PureBook(deliveries.batches()).targets().values():
        assert delta(target, target).is_empty
        first = delta(target, delta(target, target))
        assert first == target


@BOOKS
@given(books(), desks(2))
def test_restating_back_nets_to_nothing(deliveries, other_desk):
    """Booked under other factors and back again, the journal stands where it stood, and the two deltas cancel."""
    batches = deliveries.batches()
    restated = PureBook([*map(decode_batch, other_desk), *batches[len(deliveries.desk) :]]).targets()
    for key, target in PureBook(batches).targets().items():
        there = delta(restated[key], target)
        back = delta(target, plus(target, there))
        assert plus(plus(target, there), back) == target
        assert plus(there, back).is_empty
        assert not any(plus(there, back).leg)


@BOOKS
@given(books(), st.data())
def test_what_a_correction_voids_is_as_if_it_had_never_been_said(deliveries, data):
    """Law 4: another fact corrects a fact; the auditor, who leaves the voided ones out, has the same books."""
    batches = [*deliveries.batches(), *map(decode_batch, data.draw(corrections_of(deliveries)))]
    assert PureBook(batches).balances() == Auditor(batches).balances()


@BOOKS
@given(lives())
def test_closed_months_know_what_the_auditor_finds_in_the_books_of_that_day(life):
    """Whatever is closed, revised, voided, restated and undone, and in whatever order: every hour is priced by the version it knows."""
    assert PureBook(*life.sealed()).balances() == Auditor(*life.sealed()).balances()
