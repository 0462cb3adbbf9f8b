from hypothesis import given
from hypothesis import strategies as st

from joulebook_ledger.core.billing import (
    QUANTA_PER_MICRO,
    Charge,
    There,
    billed_hour,
    charged_ms,
    lay_on_machine,
    lay_rest,
    merged,
    rest_of_day,
    unknown_day,
)
from joulebook_ledger.core.focus import QUANTUM, quanta
from joulebook_ledger.core.pricing import COLUMNS, Rate, Rates, price_hour
from joulebook_ledger.core.timeline import UsageRow

HOUR, DAY = 3_600_000, 86_400_000
COST, UNCOVERED = COLUMNS.index("cost_instance"), COLUMNS.index("unc_cost_instance_ms")


def of_hour(hour, amount, *, hours=1, prices=True, invoice="inv"):
    """Charge so many hours from one on."""
    return Charge(invoice, hour * HOUR, (hour + hours) * HOUR, prices, quanta(amount))


PERIODS = st.tuples(st.integers(0, 60), st.integers(1, 40))
CHARGES = st.lists(
    st.builds(
        lambda period, amount, prices, invoice: Charge(invoice, period[0] * HOUR, sum(period) * HOUR, prices, amount),
        PERIODS, st.integers(-(10**27), 10**27), st.booleans(), st.sampled_from(("a", "b")),
    ),
    max_size=12,
)  # fmt: skip
PRESENCE = st.dictionaries(st.tuples(st.integers(0, 100), st.sampled_from("xy")), st.integers(0, HOUR), max_size=30)


def presence(found):
    """Return when a machine was there, in order."""
    return [There(hour, source, time_ms) for (hour, source), time_ms in sorted(found.items())]


@given(CHARGES, CHARGES, PRESENCE, st.randoms())
def test_all_of_an_invoice_is_booked_once_in_whatever_order(of_machine, others, found, chance):
    """Machines and the rest come to the floor of each invoice; a shuffled delivery to the very same postings."""
    there = presence(found)
    laid = lay_on_machine(of_machine, there)
    rest = lay_rest([*of_machine, *others], [laid])
    exact = {name: sum(c.amount for c in (*of_machine, *others) if c.invoice == name) for name in "ab"}
    assert sum(laid.amounts.values()) + sum(rest.values()) == sum(
        amount // QUANTA_PER_MICRO for amount in exact.values()
    )
    assert all(found[hour, source] for (source, hour), amount in laid.amounts.items() if amount)
    shuffled = chance.sample(of_machine, len(of_machine)), chance.sample(others, len(others))
    again = lay_on_machine(shuffled[0], there)
    assert (again.amounts, again.priced) == (laid.amounts, laid.priced)
    assert lay_rest([*shuffled[1], *shuffled[0]], [again]) == rest


def test_a_charge_is_laid_by_the_time_the_machine_was_there():
    """Three quarters of the time, three quarters of the charge; an hour in which it was away bears nothing."""
    there = [There(0, "t", HOUR), There(1, "t", HOUR // 3), There(5, "t", HOUR)]
    laid = lay_on_machine([of_hour(0, "4", hours=3)], there)
    assert laid.amounts == {("t", 0): 3_000_000, ("t", 1): 1_000_000}
    assert laid.priced == {("t", 0), ("t", 1)}


def test_what_is_charged_while_the_machine_was_away_is_of_no_machine():
    """It is not lost: it stands with the lines that match none."""
    charges = [of_hour(0, "1.5"), of_hour(30, "2.5")]
    laid = lay_on_machine(charges, [There(0, "t", HOUR)])
    assert laid.amounts == {("t", 0): 1_500_000}
    assert lay_rest(charges, [laid]) == {1: 2_500_000}


def test_thousandths_of_a_micro_are_booked_when_they_have_become_one():
    """Each is too small to be booked by itself; together they are what the invoice says."""
    charges = [Charge("inv", n * HOUR, (n + 1) * HOUR, True, QUANTUM // 2_000_000) for n in range(48)]
    assert lay_rest(charges, []) == {0: 12, 1: 12}


def test_a_month_is_laid_over_its_days():
    """A fee for a period is of every day of it, and its parts are the whole."""
    fee = Charge("", 0, 3 * DAY, True, quanta("1"))
    assert lay_rest([fee], []) == {0: 333_333, 1: 333_333, 2: 333_334}
    assert charged_ms([fee, fee]) == {0: DAY, 1: DAY, 2: DAY}


def usage(account, time_ms):
    """Return a row of a machine's time."""
    return UsageRow(account, "declared", 0, 0, time_ms, 0)


def test_a_bill_stands_for_the_price_of_the_hour():
    """Price and bill are never added, and what had no price has one then."""
    rows = [usage("run", HOUR // 4), usage("idle", HOUR // 4)]
    for rates in (Rates(instance=Rate(8_000_000)), Rates()):
        changed = billed_hour(rows, 3_000_001, prices=True, rates=rates)
        both = [
            tuple(a + b for a, b in zip(one, two, strict=True))
            for one, two in zip(price_hour(rows, rates), changed, strict=True)
        ]
        assert [row[COST] for row in both] == [1_500_000, 1_500_001]
        assert [row[UNCOVERED] for row in both] == [0, 0]


def test_a_credit_comes_beside_the_price():
    """It takes from what the hour costs, and prices nothing."""
    rates = Rates(instance=Rate(8_000_000))
    (changed,) = billed_hour([usage("run", HOUR)], -1_000_000, prices=False, rates=rates)
    assert changed[COST] == -1_000_000
    assert not any(amount for place, amount in enumerate(changed) if place != COST)


def test_equal_periods_are_one_charge():
    """So the order of rows decides nothing."""
    assert merged([of_hour(1, "1"), of_hour(0, "2"), of_hour(1, "3")]) == [of_hour(0, "2"), of_hour(1, "4")]


def test_a_day_without_a_rate_of_its_currency_is_unknown_and_not_0():
    """Its time says how much nobody knows."""
    assert (unknown_day(DAY)[COST], unknown_day(DAY)[UNCOVERED]) == (0, DAY)
    assert (rest_of_day(7)[COST], rest_of_day(7)[UNCOVERED]) == (7, 0)
