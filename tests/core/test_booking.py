from joulebook_ledger.core.booking import Target, add, delta, plus, target_of_day
from joulebook_ledger.core.pricing import COLUMNS, NOTHING, Rate, Rates
from joulebook_ledger.core.timeline import UsageRow

DEAR = Rates(pue=Rate(1_000_000), location=Rate(400_000_000), tariff=Rate(300_000))
CHEAP = Rates(pue=Rate(1_000_000), location=Rate(50_000_000), tariff=Rate(300_000))
KWH = 3_600_000_000


def usage(account, kwh):
    """A metered row of so many kWh."""
    return UsageRow(account, "counter", kwh * KWH, 0, 1, 0)


def column(target, name):
    """A column of every posting."""
    return {account: amounts[COLUMNS.index(name)] for (account, _), amounts in target.postings.items()}


def test_a_day_is_the_sum_of_its_hours_each_at_its_own_rates():
    """1 kWh in a dirty hour and 1 in a clean one: 450 g; a flat mean times the day would be right only by luck."""
    target = target_of_day({0: [usage("run", 1)], 1: [usage("run", 1)]}, lambda hour: CHEAP if hour else DEAR)
    assert column(target, "co2e_location") == {"run": 450_000_000}
    assert target.leg == target.postings["run", "counter"]


def test_a_late_reading_posts_only_the_difference():
    """Booked at 1 kWh, known at 3: the delta is 2 kWh, and what did not change has no row."""
    booked = target_of_day({0: [usage("run-1", 1), usage("run-2", 5)]}, lambda _: DEAR)
    target = target_of_day({0: [usage("run-1", 3), usage("run-2", 5)]}, lambda _: DEAR)
    late = delta(target, booked)
    assert column(late, "energy_it_mj") == {"run-1": 2 * KWH}
    assert late.leg[COLUMNS.index("energy_it_mj")] == 2 * KWH


def test_a_revised_factor_posts_only_what_it_changes():
    """The grid was cleaner than thought: CO2e goes down, energy and cost stay."""
    before = target_of_day({0: [usage("run", 1)]}, lambda _: DEAR)
    after = target_of_day({0: [usage("run", 1)]}, lambda _: CHEAP)
    (amounts,) = delta(after, before).postings.values()
    assert {c: v for c, v in zip(COLUMNS, amounts, strict=True) if v} == {"co2e_location": -350_000_000}


def test_energy_that_moves_between_accounts_leaves_the_leg_alone():
    """A use that arrives late takes from idle what it gives to its run."""
    booked = target_of_day({0: [usage("idle", 3)]}, lambda _: DEAR)
    target = target_of_day({0: [usage("run", 2), usage("idle", 1)]}, lambda _: DEAR)
    moved = delta(target, booked)
    assert column(moved, "energy_it_mj") == {"run": 2 * KWH, "idle": -2 * KWH}
    assert moved.leg[0] == 0
    assert not moved.is_empty


def test_what_is_voided_is_taken_back_whole():
    """A source and day without facts any more has an empty target: the delta is the mirror of what stood."""
    booked = target_of_day({0: [usage("run", 1)]}, lambda _: DEAR)
    gone = delta(Target(), booked)
    assert plus(booked, gone) == Target()
    assert add(gone.leg, booked.leg) == NOTHING


def test_postings_stand_in_account_order_whatever_order_the_hours_come_in():
    """Runs by bytes, then untracked, then idle; then by method."""
    rows = [usage("run-b", 1), usage("untracked", 1), usage("idle", 1)]
    hours = {1: rows, 0: [usage("run-a", 1), UsageRow("run-a", "model", 1, 0, 1, 0), *rows]}
    target = target_of_day(hours, lambda _: DEAR)
    assert list(target.postings) == [
        ("run-a", "counter"),
        ("run-a", "model"),
        ("run-b", "counter"),
        ("untracked", "counter"),
        ("idle", "counter"),
    ]
