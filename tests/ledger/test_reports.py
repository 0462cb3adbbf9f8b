"""Reports: every total is what an independent auditor finds, however rows are made and idle is spread."""

from itertools import product

import pytest
from auditor import Auditor
from books import HOUR, KWH, NOVEMBER, Plan, Story, realistic_batches, run_id
from hypothesis import given, settings
from hypothesis import strategies as st

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.wire import decode_batch
from joulebook_ledger.desk.entering import Place, init_batch, label_batch
from joulebook_ledger.figures.groups import RUNS, Group, spread_idle
from joulebook_ledger.queries import GROUPINGS, IDLE_RULES, ReportQuery
from joulebook_ledger.store.reads import MeterInfo
from joulebook_ledger.store.reads_amounts import Cell

ENERGY = 3_600_000_000
PLAN = Plan(runs=24, machines=2, minutes=7, pause_minutes=3)


@pytest.fixture
def audited(keeper):
    """Return a book of 24 runs on two machines, and an auditor who was told the same."""
    batches = [
        init_batch(keeper.entry(), Place(machine=machine, zone="FR", price_per_kwh="0.25", currency="EUR", pue="1.37"))
        for machine in ("m00", "m01")
    ]
    batches += realistic_batches(PLAN)
    keeper.tell(*batches)
    return keeper, Auditor(decode_batch(batch) for batch in batches).balances()


def found(balances, column, wanted=""):
    """Return what the auditor finds in a column of all accounts, or of one."""
    return sum(row[column] for (_, _, account, _), row in balances.items() if wanted in {"", account})


def test_rows_sum_to_what_the_auditor_finds(audited):
    """By any key and however idle is spread: the sum of rows is the total, and the total is the truth."""
    keeper, balances = audited
    keys = [*((key,) for key in GROUPINGS), ("tag:seed",), ("team", "model"), ("host", "day", "team")]
    for by, idle in product(keys, IDLE_RULES):
        body = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, by=by, idle=idle))
        for name, column, scale in (
            ("energy_kwh", "energy_it_mj", ENERGY),
            ("co2e_location_kg", "co2e_location", 10**9),
        ):
            truth = found(balances, column)
            assert sum(round(row[name] * scale) for row in body["rows"]) == truth, (by, idle)
            assert body["total"][name] == truth / scale
        cents = sum(round(float(row["cost"]) * 10**6) for row in body["rows"])
        assert cents == found(balances, "cost_energy"), (by, idle)


def test_idle_and_untracked_are_rows_of_their_own(audited):
    """With the auditor's figures, and runs are none of theirs."""
    keeper, balances = audited
    rows = {
        row["account"]: row for row in keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611))["rows"]
    }
    for account in ("idle", "untracked"):
        assert rows[account]["energy_kwh"] == found(balances, "energy_it_mj", account) / ENERGY
        assert (rows[account]["runs"], rows[account]["duration_s"], rows[account]["model"]) == (0, None, account)


def test_spread_idle_leaves_no_idle_row(audited):
    """Untracked stays apart: it was somebody."""
    keeper, _ = audited
    body = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, by=("team",), idle="proportional"))
    assert {row["team"] for row in body["rows"]} == {"vision", "language", "search", "untracked"}


def test_the_same_figures_as_of_the_newest_link(audited):
    """The slow way over entries and the quick way over balances agree, by month and by day."""
    keeper, _ = audited
    for by in (("model",), ("day", "device")):
        now = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, by=by))
        then = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, by=by, as_of=str(now["link"])))
        assert _without_names(now) == _without_names(then)


def test_both_bases_agree_while_nothing_is_closed(audited):
    """What is open is what is known."""
    keeper, _ = audited
    closed, current = (
        keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, basis=basis))
        for basis in ("closed", "current")
    )
    assert _without_names(closed) == _without_names(current)


def test_a_device_that_moves_is_reported_where_it_stood(keeper):
    """A GPU of its own UUID, one day in one machine, the next in another, and back: by host each day is its host's."""
    run = run_id("r")
    for day, machine in enumerate(["m1", "m2", "m1"]):
        start = NOVEMBER + 24 * HOUR * day
        story = Story(machine, reader=f"reader-{day}").meter("gpu", "gpu", device="GPU-1").run(run, start, start + HOUR)
        keeper.tell(story.reading("gpu", start, start + HOUR, (1 + day) * KWH, {run: KWH}).batch())
    body = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, by=("host",)))
    by_host = {}
    for row in body["rows"]:
        by_host[row["host"]] = by_host.get(row["host"], 0) + row["energy_kwh"]
    assert by_host == {"host-m1": 4.0, "host-m2": 2.0}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (ReportQuery(from_month=202611, to_month=202611, by=("colour",)), "model, version"),
        (ReportQuery(from_month=202611, to_month=202611, by=("tag:",)), "tag:KEY"),
        (ReportQuery(from_month=202611, to_month=202611, by=()), "one or more"),
        (ReportQuery(from_month=202611, to_month=202611, basis="guess"), "closed, current"),
        (ReportQuery(from_month=202611, to_month=202611, idle="hide"), "separate, proportional, uniform"),
        (ReportQuery(from_month=202612, to_month=202611), "before 2026-12"),
        (ReportQuery(from_month=202613, to_month=202613), "2026-13"),
        (ReportQuery(from_month=197001, to_month=202611), "50 years"),
    ],
)
def test_a_report_that_is_none_is_refused(sqlite_keeper, query, said):
    """The message lists what there is."""
    with pytest.raises(BadInput, match=said):
        sqlite_keeper.ledger.report(query)


class OneMeter:
    """A lens that knows nothing but processors."""

    def meter(self, source):
        """Return a meter of this name."""
        return MeterInfo(source, source, "cpu", "cpu", "device", "counted", "")


_AMOUNTS = st.lists(st.integers(0, 10**12), min_size=21, max_size=21).map(tuple)
_SOURCES = st.sampled_from(["a", "b", "c"])


@given(
    used=st.lists(st.lists(st.tuples(_SOURCES, _AMOUNTS), min_size=1, max_size=3), min_size=1, max_size=4),
    idle=st.lists(st.tuples(_SOURCES, _AMOUNTS), min_size=1, max_size=4),
    rule=st.sampled_from(["proportional", "uniform"]),
)
@settings(max_examples=60)
def test_spreading_idle_keeps_every_column_of_every_source(used, idle, rule):
    """Not a unit is gained or lost, whoever used what."""
    groups = [
        Group(
            account=RUNS, keys=(str(n),), cells=[Cell(f"r{n}", s, "counter", 0, 0, a) for s, a in cells], runs={f"r{n}"}
        )
        for n, cells in enumerate(used)
    ]
    groups.append(Group(account="idle", keys=("idle",), cells=[Cell("idle", s, "counter", 0, 0, a) for s, a in idle]))
    before = _by_source(groups)
    after = spread_idle(groups, ("model",), rule, OneMeter())
    assert all(its.account == RUNS for its in after)
    assert _by_source(after) == before


def _by_source(groups):
    sums = {}
    for its in groups:
        for cell in its.cells:
            sums[cell.source] = [a + b for a, b in zip(sums.get(cell.source, [0] * 21), cell.amounts, strict=True)]
    return {source: amounts for source, amounts in sums.items() if any(amounts)}


def _without_names(body):
    """Return rows and total without the names that say how they were asked for; runs of one size in a fixed order."""
    rows = [{key: value for key, value in row.items() if key != "figure"} for row in [*body["rows"], body["total"]]]
    return sorted(rows, key=str)


def three_runs():
    """Return an hour of two runs of model a and one of model b on one processor: 2, 2 and 4 kWh, 3 kWh idle, half of the time nobody's."""
    story = Story().meter("time", "time").meter("cpu")
    claims, shares = {}, {}
    for name, kwh in (("a1", 2), ("a2", 2), ("b1", 4)):
        story.run(run_id(name), NOVEMBER, NOVEMBER + HOUR, model=name[0])
        claims[run_id(name)] = (kwh * KWH, HOUR // 6)
        shares[run_id(name)] = (0, HOUR // 8 if name == "b1" else HOUR // 4)
    claims["untracked"] = (KWH, 0)
    story.reading("time", NOVEMBER, NOVEMBER + HOUR, 0, shares, method="declared")
    return story.reading("cpu", NOVEMBER, NOVEMBER + HOUR, 12 * KWH, claims)


@pytest.mark.parametrize(
    ("idle", "a", "b"), [("separate", 4.0, 4.0), ("proportional", 5.5, 5.5), ("uniform", 6.0, 5.0)]
)
def test_idle_is_spread_by_energy_or_alike_to_every_run(keeper, idle, a, b):
    """Of 3 kWh idle each model bears half by energy; of three runs two are model a's."""
    keeper.tell(three_runs().batch())
    body = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, idle=idle))
    rows = {row["model"]: row["energy_kwh"] for row in body["rows"]}
    assert (rows["a"], rows["b"], rows["untracked"]) == (a, b, 1.0)


def test_idle_hours_are_spread_by_time(keeper):
    """The machine's hours at 8 EUR: 5/8 are held, 3/8 idle; model a holds 4/5 of what is held."""
    keeper.place("m1", zone="FR", ownership="cloud", price_per_hour="8", currency="EUR")
    keeper.tell(three_runs().batch())
    body = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, idle="proportional"))
    assert {row["model"]: row["cost"] for row in body["rows"]} == {"a": "6.4", "b": "1.6", "untracked": None}


def test_what_no_link_seals_is_in_no_report(keeper):
    """A label that was delivered and not sealed yet does not count: as of this link later, the report is to be the same."""
    keeper.tell(three_runs().batch())
    before = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611))
    keeper.deliver(label_batch(keeper.entry(), [run_id("b1")], {"model": "c"}))
    assert keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611)) == before
    keeper.ledger.book()
    after = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611))
    assert (after["link"], {row["model"] for row in after["rows"]}) == (
        before["link"] + 1,
        {"a", "c", "untracked", "idle"},
    )


def test_by_scope_a_run_that_bears_activity_only_stands_apart(keeper):
    """A run says its scope when it starts; who says nothing bears what it holds."""
    story = three_runs()
    story.event(run_id("b1"), "joined", NOVEMBER, facts={"scope": "process"})
    keeper.tell(story.batch())
    body = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611, by=("scope",)))
    assert {row["scope"]: row["runs"] for row in body["rows"]} == {"host": 2, "process": 1, "untracked": 0, "idle": 0}


def test_a_report_says_until_when_everything_is_booked(keeper):
    """Until what readers say is complete; where a day waits, until its midnight."""
    story = Story().meter("cpu")
    keeper.tell(story.reading("cpu", NOVEMBER + 24 * HOUR, NOVEMBER + 25 * HOUR, KWH).batch())
    query = ReportQuery(from_month=202611, to_month=202611)
    assert keeper.ledger.report(query)["booked_until"] == "2026-11-02T01:00:00.000Z"
    keeper.deliver(story.reading("cpu", NOVEMBER + HOUR, NOVEMBER + 2 * HOUR, KWH).batch())
    waiting = keeper.ledger.report(query)
    assert waiting["booked_until"] == "2026-11-01T00:00:00.000Z"
    assert any("more has arrived" in note for note in waiting["notes"])
