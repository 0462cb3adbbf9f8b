"""The laws of closed months, whatever happens afterwards: acts drawn at random. That both engines hold the same, tests/store shows."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import NamedTuple

from books import DAY, HOUR, KWH, NOVEMBER, Story, run_id
from helpers.books_equal import summed
from helpers.stored_book import StoredBook
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from joulebook_ledger.core.factors import FACTOR_UNITS, Factor
from joulebook_ledger.core.periods import month_of_day
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.desk.entering import Place, factor_batch, init_batch, label_batch
from joulebook_ledger.queries import CloseQuery, ReportQuery, Restating

# One book for all examples of a test, emptied between them: each example is a life of several acts, and each act a booking.
LIVES = settings(
    max_examples=max(8, settings.default.max_examples // 12),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
SEPTEMBER_DAY, OCTOBER_DAY = NOVEMBER - 40 * DAY, NOVEMBER - DAY
DAYS = {202609: SEPTEMBER_DAY, 202610: OCTOBER_DAY, 202611: NOVEMBER + DAY}
RUNS = (run_id("one"), run_id("two"))
TEAMS = ("vision", "language", "search")
VALUES = {"grid_location": 400_000_000, "pue": 1_700_000, "tariff": 900_000, "grid_market": 120_000_000}
OBJECTS = {"grid_location": "FR", "grid_market": "FR", "pue": "m1", "tariff": "m1"}


class Act(NamedTuple):
    """Something that happens to a book: late, factor, label, move, restate, undo or close; with what it takes."""

    kind: str
    month: int = 202610
    number: int = 0


ACTS = st.lists(
    st.builds(
        Act,
        st.sampled_from(["late", "late", "factor", "factor", "label", "move", "restate", "undo", "close"]),
        st.sampled_from(list(DAYS)),
        st.integers(0, 11),
    ),
    min_size=2,
    max_size=6,
)
BUSY = [
    Act("factor", number=1), Act("restate"), Act("late"), Act("label", number=2), Act("move"), Act("undo"), Act("close"), Act("late", 202611),
    Act("label", number=1), Act("restate"),
]  # fmt: skip
"""Everything once at least, in an order that would show a sum carried into another month."""


class Life:
    """A book of three months: the first closed, the others open; what happens to it next is told act by act."""

    def __init__(self, keeper) -> None:
        book = StoredBook(keeper.url)
        book.empty()
        book.close()
        self.keeper = keeper
        keeper.now_ms = NOVEMBER + 40 * DAY
        keeper.place()
        keeper.tell(self._factor("grid_location", 56_000_000))
        self.story = Story().meter("cpu")
        self.hours: defaultdict[int, int] = defaultdict(int)
        for place, run in enumerate(RUNS):
            self.story.run(run, SEPTEMBER_DAY, NOVEMBER + 2 * DAY, model="m", team=TEAMS[place])
        for month in DAYS:
            self._hour(month, 1)
            self._hour(month, 2)
        keeper.tell(self.story.batch())
        self.restated: list[str] = []
        self.closed = 0
        self.do(Act("close"))

    def do(self, act: Act) -> None:
        """Let an act happen, and book what it makes due."""
        keeper = self.keeper
        match act.kind:
            case "late":
                self._hour(act.month, act.number)
                keeper.tell(self.story.batch())
            case "factor":
                kind = sorted(VALUES)[act.number % len(VALUES)]
                keeper.tell(self._factor(kind, VALUES[kind] + act.number))
            case "label":
                labels = {"team": TEAMS[act.number % len(TEAMS)]}
                keeper.tell(label_batch(keeper.entry(), [RUNS[act.number % 2]], labels))
            case "move":
                keeper.tell(
                    init_batch(keeper.entry(), Place(machine="m1", site="m1", zone=("DE", "FR")[act.number % 2]))
                )
            case "restate":
                keeper.acts += 1
                self.restated.append(f"r{keeper.acts}")
                keeper.ledger.restate(Restating(name=self.restated[-1], reason="revised", author="ann"))
            case "undo" if self.restated:
                keeper.acts += 1
                undone = self.restated.pop(act.number % len(self.restated))
                keeper.ledger.restate(Restating(name=f"u{keeper.acts}", undo=undone, reason="withdrawn", author="ann"))
            case "close" if self.closed < len(DAYS):
                self.closed += 1
                month = sorted(DAYS)[self.closed - 1]
                keeper.ledger.close_months(CloseQuery(month=month, tolerance_ppm=1_000_000, author="ann"))

    def report(self, first: int, last: int = 0, basis: str = "closed", by: str = "team") -> dict:
        """Return the report of a month, or of months."""
        return self.keeper.ledger.report(
            ReportQuery(from_month=first, to_month=last or first, basis=basis, by=tuple(by.split(",")))
        )

    def sealed(self) -> dict[tuple[int, str], str]:
        """Return the reports of all closed months as they are sent, by several keys."""
        months = sorted(DAYS)[: self.closed]
        return {
            (month, by): json.dumps(self.report(month, by=by)) for month in months for by in ("team", "run,day", "host")
        }

    def postings(self) -> list[tuple[int, int, tuple[int, ...]]]:
        """Return (period, month, amounts) of every posting, straight from the journal: no view, and no balance."""
        book = StoredBook(self.keeper.url)
        rows = book.ask(
            f"SELECT e.period, e.day, {', '.join(f'p.{column}' for column in COLUMNS)} FROM posting AS p"
            " JOIN entry AS e ON e.number = p.entry ORDER BY e.number"
        )
        book.close()
        return [(period, month_of_day(day), amounts) for period, day, *amounts in rows]

    def _hour(self, month: int, number: int) -> None:
        """Add the next hour of a month, borne by one of the runs and in part by nobody."""
        start, energy = DAYS[month] + self.hours[month] * HOUR, KWH + number
        self.hours[month] += 1
        self.story.reading("cpu", start, start + HOUR, energy, {RUNS[number % 2]: energy // (1 + number % 3)})

    def _factor(self, kind: str, value: int) -> bytes:
        self.keeper.acts += 1
        currency = "EUR" if kind == "tariff" else ""
        told = {"provider": "desk", "version": f"v{self.keeper.acts}", "unit": FACTOR_UNITS[kind], "source": "told"}
        factor = Factor(kind=kind, object=OBJECTS[kind], value=value, currency=currency, **told)
        return factor_batch(self.keeper.entry(), [factor])


@LIVES
@example(acts=BUSY)
@given(acts=ACTS)
def test_the_report_of_a_closed_month_never_changes_by_a_byte(sqlite_keeper, acts: list[Act]) -> None:
    """From its close on, whatever is told, revised, relabelled, moved, restated, undone or closed after it."""
    life = Life(sqlite_keeper)
    sealed = life.sealed()
    for act in acts:
        life.do(act)
        now = life.sealed()
        assert {key: now[key] for key in sealed} == sealed, act
        sealed = now


@LIVES
@example(acts=BUSY)
@given(acts=ACTS)
def test_carbon_of_one_month_never_enters_another_s_total(sqlite_keeper, acts: list[Act]) -> None:
    """A month's total is what the journal holds of it: as closed of what was booked in it too, as known today of all periods."""
    life = Life(sqlite_keeper)
    for act in acts:
        life.do(act)
    columns = [COLUMNS.index(name) for name in ("energy_it_mj", "co2e_location", "co2e_market", "water_site")]
    own: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0] * len(columns))
    for period, month, amounts in life.postings():
        for basis in ("closed", "current") if period == month else ("current",):
            sums = own[basis, month]
            sums[:] = [so_far + amounts[place] for so_far, place in zip(sums, columns, strict=True)]
    for (basis, month), (energy, location, market, water) in own.items():
        total = life.report(month, basis=basis)["total"]
        assert round((total["energy_kwh"] or 0) * KWH) == energy, (basis, month)
        assert round((total["co2e_location_kg"] or 0) * 10**9) == location, (basis, month)
        assert round((total["co2e_market_kg"] or 0) * 10**9) == market, (basis, month)
        assert round((total["water_l"] or 0) * 10**6) == water, (basis, month)


@LIVES
@example(acts=BUSY)
@given(acts=ACTS)
def test_a_year_is_the_sum_of_its_months_by_team(sqlite_keeper, acts: list[Act]) -> None:
    """Row by row: the months as closed, with what stands beneath each of them, are the year as known today."""
    life = Life(sqlite_keeper)
    for act in acts:
        life.do(act)
    months: defaultdict[str, tuple[int, ...]] = defaultdict(lambda: (0, 0, 0))
    for month in [*DAYS, 202612]:
        for team, its in summed(life.report(month), "team").items():
            months[team] = tuple(a + b for a, b in zip(months[team], its, strict=True))
    year = summed(life.report(202601, 202612, "current"), "team")
    assert {team: its for team, its in months.items() if any(its)} == year


@LIVES
@example(acts=BUSY, number=1)
@given(acts=ACTS, number=st.integers(0, 11))
def test_restating_and_undoing_it_nets_to_zero_in_every_column(sqlite_keeper, acts: list[Act], number: int) -> None:
    """Whatever came before: of what the two booked, nothing is left in any column of any month, and the books stand as before."""
    life = Life(sqlite_keeper)
    for act in acts:
        life.do(act)
    life.do(Act("factor", number=number))
    book = StoredBook(sqlite_keeper.url)
    before, postings = book.booked(), len(life.postings())
    life.do(Act("restate"))
    name = life.restated[-1]
    sqlite_keeper.ledger.restate(Restating(name=f"back-{name}", undo=name, reason="withdrawn", author="ann"))
    assert book.booked() == before
    book.close()
    net: defaultdict[int, list[int]] = defaultdict(lambda: [0] * len(COLUMNS))
    for _, month, amounts in life.postings()[postings:]:
        net[month] = [a + b for a, b in zip(net[month], amounts, strict=True)]
    assert not any(any(its) for its in net.values())
    assert sqlite_keeper.ledger.verify()["ok"]
