"""The market-based method in a book: certificates come in, months get their factor, the year's end makes it final."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from books import DAY, HOUR, KWH, NOVEMBER, Story, run_id

from joulebook.instruments import allocation_page, listing_page
from joulebook.tables import Page
from joulebook_ledger.core.factors import FACTOR_UNITS, Factor
from joulebook_ledger.core.facts import Correction
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.desk.entering import Entry, Place, correction_batch, factor_batch, init_batch
from joulebook_ledger.desk.sheet import read_sheet
from joulebook_ledger.duties.wanted import ALLOCATE, jobs_of
from joulebook_ledger.market.sheet import NEEDED, OTHERS, instrument_batch, vintage_of
from joulebook_ledger.queries import AllocateQuery, CloseQuery, ReportQuery
from joulebook_ledger.store.shapes import key_text

if TYPE_CHECKING:
    from ledger.conftest import Bookkeeper

    from joulebook_ledger.desk.sheet import Line

RUN = run_id("run")
HEADER = "issuer,instrument,kind,market,vintage,energy_mwh,g_per_kwh,retired_for,retired_at,attributes,sole\n"
GO = "AIB,GO-1,certificate,FR,2026,0.004,0,Example GmbH,2026-12-01,,\n"
OLD = "AIB,GO-2025,certificate,FR,2025,9,0,Example GmbH,2026-01-15,,\n"
AWAY = "AIB,GO-DE,certificate,DE,2026,9,0,Example GmbH,2026-12-01,,\n"
BY_US = "EDF,rate-1,supplier_rate,FR,2026,,100,,,yes,\n"
DECEMBER = NOVEMBER + 30 * DAY
NEXT_YEAR = NOVEMBER + 61 * DAY


def sheet(*rows: str) -> list[Line]:
    """Return a sheet of instruments."""
    return read_sheet((HEADER + "".join(rows)).encode(), NEEDED, OTHERS)


def residual(keeper: Bookkeeper, g_per_kwh: int = 500) -> bytes:
    """Return the batch of a residual mix of France."""
    kind = "residual_mix"
    mix = Factor(
        kind=kind, object="FR", provider="aib", version="1", value=g_per_kwh * 1_000_000, unit=FACTOR_UNITS[kind], source="AIB 2025",
    )  # fmt: skip
    return factor_batch(keeper.entry(), [mix])


def draw(keeper: Bookkeeper, november_kwh: int = 6, december_kwh: int = 2) -> None:
    """Let a machine in France, at a PUE of 1, draw so much in two hours, one of each month, and be idle in part."""
    keeper.tell(init_batch(keeper.entry(), Place(machine="m1", zone="FR", pue="1")))
    story = Story("m1").meter("package-0").run(RUN, NOVEMBER, DECEMBER + HOUR, model="m")
    for start, energy in ((NOVEMBER, november_kwh), (DECEMBER, december_kwh)):
        story.reading("package-0", start, start + HOUR, energy * KWH, {RUN: energy * KWH // 2})
    keeper.now_ms = DECEMBER + DAY
    keeper.tell(story.batch())


def enter(keeper: Bookkeeper, *rows: str) -> None:
    """Take in a sheet."""
    keeper.tell(instrument_batch(keeper.entry(), sheet(*rows), "certificates.csv", "ab" * 32))


def allocate(keeper: Bookkeeper, **query: object) -> dict:
    """Allocate and book; return what was assigned in France."""
    body = keeper.ledger.allocate(AllocateQuery(**query))
    keeper.ledger.book()
    return next((one for one in body["items"] if one["market"] == "FR"), {})


def market_kg(keeper: Bookkeeper, month: int = 202611) -> float | None:
    """Return the market-based CO2e of a month, idle included."""
    return keeper.ledger.report(ReportQuery(from_month=month, to_month=month))["total"]["co2e_market_kg"]


def test_certificates_are_laid_on_the_months_and_the_residual_mix_prices_the_rest(keeper: Bookkeeper) -> None:
    """4 kWh of certificates over 6 and 2 kWh: 3 and 1; the rest at 500 g/kWh. Doing it again changes nothing."""
    draw(keeper)
    assert market_kg(keeper) is None
    enter(keeper, GO)
    keeper.tell(residual(keeper))
    found = allocate(keeper)
    assert [(month["month"], month["parts"][0]["energy_kwh"], month["rest_kwh"]) for month in found["months"]] == [
        ("2026-11", 3.0, 3.0),
        ("2026-12", 1.0, 1.0),
    ]
    assert (market_kg(keeper), market_kg(keeper, 202612)) == (1.5, 0.5)
    assert not allocate(keeper)["changed"]
    assert keeper.ledger.verify()["ok"]
    (one,) = keeper.ledger.instruments()["items"]
    assert [its["energy_kwh"] for its in one["assigned"]] == [3.0, 1.0]
    assert (one["left_kwh"], one["reason"], len(one["evidence_digest"])) == (0.0, None, 64)


def test_certificates_larger_than_the_load_stay_over(keeper: Bookkeeper) -> None:
    """Nothing below zero, nothing above the load; the excess is shown."""
    draw(keeper)
    enter(keeper, GO.replace("0.004", "1"))
    found = allocate(keeper)
    assert found["left"] == [{"issuer": "AIB", "instrument": "GO-1", "energy_kwh": 992.0}]
    assert (market_kg(keeper), market_kg(keeper, 202612)) == (0.0, 0.0)
    assert "left over" in allocation_page({"dry_run": False, "items": [found]}, Page())


def test_of_the_wrong_year_or_market_nothing_is_used_and_the_list_says_why(keeper: Bookkeeper) -> None:
    """Shown apart, never netted."""
    draw(keeper)
    enter(keeper, OLD, AWAY)
    found = allocate(keeper)
    assert [month["parts"] for month in found["months"]] == [[], []]
    body = keeper.ledger.instruments()
    assert {one["instrument"]: one["reason"] for one in body["items"]} == {
        "GO-2025": "other_vintage",
        "GO-DE": "other_market",
    }
    assert body["markets"] == ["FR"]
    assert "vintage lies in no month" in listing_page(body, Page())


def test_without_a_residual_mix_the_grid_s_average_stands_in_and_says_so(keeper: Bookkeeper) -> None:
    """The location-based mean of the same load."""
    draw(keeper)
    found = allocate(keeper)
    total = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611))["total"]
    assert total["co2e_market_kg"] == total["co2e_location_kg"]
    assert found["months"][0]["rest_kind"] == "grid_average"
    assert "no residual mix" in found["months"][0]["rest_source"]


def test_a_supplier_s_rate_takes_what_certificates_leave(keeper: Bookkeeper) -> None:
    """All of it where no volume is said, so that no residual mix is needed."""
    draw(keeper)
    enter(keeper, GO, BY_US)
    assert [month["rest_kwh"] for month in allocate(keeper)["months"]] == [0.0, 0.0]
    assert market_kg(keeper) == 0.3


def test_what_is_shown_before_is_what_is_done_then(keeper: Bookkeeper) -> None:
    """A dry run stores nothing."""
    draw(keeper)
    enter(keeper, GO, BY_US)
    shown = allocate(keeper, dry_run=True)
    assert market_kg(keeper) is None
    assert allocate(keeper) == shown


def test_a_voided_or_corrected_instrument_is_not_counted(keeper: Bookkeeper) -> None:
    """Of its versions the one learnt last; a voided one gives way to the one before."""
    draw(keeper)
    enter(keeper, GO, BY_US)
    enter(keeper, GO.replace("0.004", "0.008"))
    version = next(one["version"] for one in keeper.ledger.instruments()["items"] if one["instrument"] == "GO-1")
    allocate(keeper)
    assert market_kg(keeper) == 0.0
    slip = Correction(table="instrument", key=key_text(("AIB", "GO-1", version)), reason="a slip", author="ann")
    keeper.tell(correction_batch(keeper.entry(), [slip]))
    allocate(keeper)
    assert market_kg(keeper) == 0.3


def test_the_year_s_end_makes_it_final_once_and_a_later_final_one_stays_final(keeper: Bookkeeper) -> None:
    """Before the year is over it cannot be final."""
    draw(keeper)
    enter(keeper, GO, BY_US)
    with pytest.raises(BadInput, match="not over"):
        allocate(keeper, final=True)
    keeper.now_ms = NEXT_YEAR
    assert allocate(keeper, year=2026)["state"] == "provisional"
    final = allocate(keeper, year=2026, final=True)
    assert (final["state"], final["changed"]) == ("final", True)
    enter(keeper, GO.replace("0.004", "0.002"))
    assert allocate(keeper, year=2026)["state"] == "final"
    assert market_kg(keeper) == 0.45


def test_the_clock_assigns_anew_until_a_person_calls_the_year_final(keeper: Bookkeeper) -> None:
    """Each day, what was drawn or came in since; in January still of the year before; a book without instruments is left as it is."""
    draw(keeper)
    (job,) = (its for its in jobs_of(keeper.ledger._book, keeper.ledger, lambda: keeper.now_ms) if its.name == ALLOCATE)
    assert not job.is_wanted()
    enter(keeper, GO, BY_US)
    assert job.is_wanted()
    assert job.work(0) == "FR 2026"
    assert market_kg(keeper) == pytest.approx(0.3)
    assert job.work(0) == "nothing changed"
    keeper.now_ms = NEXT_YEAR
    enter(keeper, GO.replace("0.004", "0.001"))
    assert job.work(0) == "FR 2026"
    assert market_kg(keeper) == pytest.approx(0.525)
    allocate(keeper, year=2026, final=True)
    enter(keeper, GO)
    assert job.work(0) == "nothing changed"
    assert market_kg(keeper) == pytest.approx(0.525)
    assert keeper.ledger.verify()["ok"]


def test_a_close_assigns_what_is_known_and_the_final_one_is_trued_up_in_the_open_month(keeper: Bookkeeper) -> None:
    """Fewer certificates than was thought: the closed month stays as it was reported, and the earliest open one bears the difference."""
    draw(keeper, december_kwh=0)
    enter(keeper, GO, BY_US)
    keeper.ledger.close_months(CloseQuery(month=202611, tolerance_ppm=1_000_000))
    assert market_kg(keeper) == pytest.approx(0.2)
    closed = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611))
    enter(keeper, GO.replace("0.004", "0.001"))
    keeper.now_ms = NEXT_YEAR + DAY
    allocate(keeper, year=2026, final=True)
    assert keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611)) == closed
    december = keeper.ledger.report(ReportQuery(from_month=202612, to_month=202612))
    late = [its for its in december["adjustments"] if its["cause"] == "allocation"]
    assert sum(its["co2e_market_kg"] for its in late) == pytest.approx(0.3)
    current = ReportQuery(from_month=202611, to_month=202611, basis="current")
    assert keeper.ledger.report(current)["total"]["co2e_market_kg"] == pytest.approx(0.5)
    assert keeper.ledger.verify()["ok"]


def test_a_figure_of_the_desk_stands_before_and_the_grid_s_stand_in_gives_way(keeper: Bookkeeper) -> None:
    """What a person declares by hand is nearest; the average that only stands in is not."""
    draw(keeper)
    keeper.tell(init_batch(keeper.entry(), Place(machine="m1", zone="FR", pue="1", market_g_per_kwh="grid")))
    assert market_kg(keeper)
    enter(keeper, BY_US)
    assert allocate(keeper)["notes"] == []
    assert market_kg(keeper) == 0.6
    keeper.tell(init_batch(keeper.entry(), Place(machine="m1", zone="FR", pue="1", market_g_per_kwh="7")))
    enter(keeper, GO)
    assert "declared at the desk" in allocate(keeper)["notes"][0]
    assert market_kg(keeper) == 0.042


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("AIB,x,voucher,FR,2026,1,0,us,2026-12-01,,\n", "line 2, column 'kind'"),
        ("AIB,x,certificate,FR,2026,1,0,us,2026-12-01,maybe,\n", "column 'attributes': 'maybe' is neither yes nor no"),
        ('AIB,x,certificate,FR,2026,"1,5",0,us,2026-12-01,,\n', "column 'energy_mwh': '1,5' has a comma"),
        ("AIB,x,certificate,FR,2026,,0,us,2026-12-01,,\n", "column 'energy_mwh'"),
        ("AIB,x,certificate,FR,2026,1,-1,us,2026-12-01,,\n", "column 'g_per_kwh'"),
        ("AIB,x,certificate,FR,2026,1,2001,us,2026-12-01,,\n", "column 'g_per_kwh'"),
        ("AIB,x,certificate,FR,summer,1,0,us,2026-12-01,,\n", "column 'vintage'"),
        ("AIB,x,certificate,FR,2026-12/2026-01,1,0,us,2026-12-01,,\n", "column 'vintage'"),
        ("AIB,x,certificate,FR,2026-12/2027-01,1,0,us,2027-12-01,,\n", "column 'vintage'"),
        ("AIB,x,certificate,FR,2026,1,0,us,,,\n", "column 'retired_at'"),
        ("AIB,x,certificate,FR,2026,1,0,us,yesterday,,\n", "column 'retired_at'"),
        ("AIB,,certificate,FR,2026,1,0,us,2026-12-01,,\n", "column 'instrument'"),
        (GO + GO, "line 3, column 'instrument': 'GO-1' of 'AIB' is given twice"),
        ("", "no row below"),
    ],
)
def test_a_sheet_that_cannot_be_taken_is_refused_whole_with_row_and_column(rows: str, told: str) -> None:
    """And nothing of it is entered."""
    with pytest.raises(BadInput) as refusal:
        instrument_batch(Entry(name="e", at_ms=1), sheet(rows), "f.csv")
    assert told in str(refusal.value)


def test_a_vintage_is_a_year_a_month_or_months() -> None:
    """The last month is within."""
    assert vintage_of("2026-11/2026-12")[0] == NOVEMBER == vintage_of("2026-11")[0]
    assert vintage_of("2026-11")[1] == DECEMBER
    assert vintage_of("2026")[1] == vintage_of("2026-11/2026-12")[1] == NEXT_YEAR
