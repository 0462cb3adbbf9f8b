"""Tables of factors, prices and sites: all of a table or nothing, once, and out again as it came in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from books import HOUR, KWH, NOVEMBER, Story, run_id
from hypothesis import given
from hypothesis import strategies as st
from strategies import factors

from joulebook_ledger.core.factors import FACTOR_UNITS, PRICE_KINDS, Factor
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.desk.sheet import read_sheet, written
from joulebook_ledger.queries import FactorsQuery, ReportQuery
from joulebook_ledger.register.rows import (
    FACTOR_COLUMNS,
    FACTOR_KINDS,
    PLACEMENT_COLUMNS,
    SITE_COLUMNS,
    Reading,
    row_of_factor,
)
from joulebook_ledger.register.taking import Taken, stored_factors, take_factors, take_placements, take_sites

if TYPE_CHECKING:
    from ledger.conftest import Bookkeeper

ALL = tuple(FACTOR_UNITS)
HEAD = "kind,of,value,unit,valid_from,valid_to\n"
GRID = "grid_location,FR,56.039,gCO2e/kWh"


def take(keeper: Bookkeeper, text: str | bytes, kinds: tuple[str, ...] = ALL) -> Taken:
    """Take a table of factors into the book, as a file called grid.csv."""
    data = text.encode() if isinstance(text, str) else text
    lines = read_sheet(data, FACTOR_COLUMNS[:4], FACTOR_COLUMNS[4:])
    return take_factors(keeper.ledger, keeper.entry(), lines, Reading("grid.csv", "00ff"), kinds)


def held(keeper: Bookkeeper) -> list[dict[str, str]]:
    """Return all factors of the book as rows."""
    return list(stored_factors(keeper.ledger, FactorsQuery()))


def test_a_table_is_in_the_book_with_its_source_and_evidence(keeper: Bookkeeper) -> None:
    """And what it does not say is as for anything declared."""
    assert take(keeper, f"{HEAD}{GRID},2026,2027\n") == Taken(1, 1, [])
    (item,) = held(keeper)
    shown = (
        "of",
        "value",
        "unit",
        "valid_from",
        "valid_to",
        "provider",
        "fallback",
        "source",
        "evidence_name",
        "evidence_digest",
    )
    assert [item[name] for name in shown] == [
        "FR", "56.039", "gCO2e/kWh", "2026-01-01T00:00Z", "2027-01-01T00:00Z", "desk", "declared", "file grid.csv", "grid.csv", "00ff",
    ]  # fmt: skip


def test_the_same_table_again_is_known_and_a_changed_row_is_a_revision(keeper: Bookkeeper) -> None:
    """Also one that takes the change back, which is no repetition of the first."""
    first, second = f"{HEAD}{GRID},2026,2027\n", f"{HEAD}{GRID.replace('56', '57')},2026,2027\n"
    told = []
    for text in (first, first, second, second, first):
        told.append(take(keeper, text).stored)
        keeper.now_ms += 60_000
    assert told == [1, 0, 1, 0, 1]
    assert len({item["version"] for item in held(keeper)}) == 3


def test_hours_without_an_end_end_where_the_next_begins(keeper: Bookkeeper) -> None:
    """The last one holds on, and that is said; an hour is an exact figure, and so is known better than a year's."""
    rows = "".join(f"grid_location,FR,{50 + hour},g/kWh,2026-11-01T0{hour}:00Z\n" for hour in range(4))
    taken = take(keeper, HEAD.replace(",valid_to", "") + rows)
    assert [(i["valid_from"][11:13], i["valid_to"][11:13], i["fallback"]) for i in held(keeper)] == [
        ("00", "01", "exact"), ("01", "02", "exact"), ("02", "03", "exact"), ("03", "", "declared"),
    ]  # fmt: skip
    assert "has no end and holds until another is known" in taken.notes[0]


def test_a_hole_and_a_time_without_a_zone_are_said(keeper: Bookkeeper) -> None:
    """Neither is filled, and neither is a mistake for sure."""
    text = f"{HEAD}{GRID},2026-11-01 00:00,2026-11-01T01:00Z\n{GRID},2026-11-01T02:00Z,2026-11-01T04:00+01:00\n"
    notes = take(keeper, text).notes
    assert "between its rows 1 times no value holds" in notes[0]
    assert notes[1] == "1 times without a time zone were taken as UTC"
    assert [item["valid_from"] for item in held(keeper)] == ["2026-11-01T00:00Z", "2026-11-01T02:00Z"]


BAD = [
    (f"{HEAD}{GRID},2026,2027\n{GRID},2026-06,2028\n", "line 3, column 'valid_from': it overlaps line 2"),
    (f"{HEAD}{GRID},2026,\n{GRID},2026,\n", "line 3, column 'valid_from': it overlaps line 2"),
    (f"{HEAD}grid_location,FR,-5,g/kWh,,\n", "line 2, column 'value': -5 is negative"),
    (f"{HEAD}grid_location,Frnace,5,g/kWh,,\n", r"line 2, column 'of': zone 'Frnace' does not exist; the nearest are FR \(France\)"),
    (f"{HEAD}grid_location,USA-CAL,5,g/kWh,,\n", "a part of a country begins with its code, such as US-CAL-CISO"),
    (f'{HEAD}grid_location,FR,"56,039",g/kWh,,\n', "line 2, column 'value': '56,039' has a comma"),
    (f"{HEAD}grid_location,FR,56,039,g/kWh,,\n", "line 2 has 7 cells where the header has 6: is the file cut off, or a comma"),
    (f"{HEAD}grid_location,FR,381,kgCO2e/kWh,,\n", "line 2, column 'value': .*implausible.*per MWh"),
    (f"{HEAD}grid_location,FR,816,lb/kWh,,\n", "per MWh"),
    (f"{HEAD}grid_location,FR,56,,,\n", "line 2, column 'unit': the unit is empty"),
    (f"{HEAD}{GRID},2026,2027\ngrid_location,FR,56", "line 3 has 3 cells where the header has 6: is the file cut off"),
    (f'{HEAD}{GRID},2026,"2027', "is the file cut off"),
    (f"{HEAD}{GRID},1.12.2026,\n", "line 2, column 'valid_from': '1.12.2026' is no instant"),
    (f"{HEAD}{GRID},2027,2026\n", "line 2: validity_ends_before_it_starts|line 2: .1798761600000, 1767225600000"),
    (f"{HEAD}wind,FR,5,g/kWh,,\n", "line 2, column 'kind': 'wind' is none of"),
    ("kind,of,value,unit,kind\n", "names the column 'kind' twice"),
    ("kind,of,value\n", "lacks the column 'unit'"),
    ("kind,of,value,unit,valid_form\n", "unknown column 'valid_form', perhaps 'valid_from'"),
    ("", "the file is empty"),
    (f"{HEAD}grid_location,F\xe9,5,g/kWh,,\n".encode("latin-1"), "line 2, byte 16 is not UTF-8"),
    (HEAD.encode("utf-16-le"), "zero byte, as UTF-16"),
    (json.dumps({"items": [{"kind": "pue"}]})[:-4], "line 1, column 2[0-9]: .*is the file cut off"),
    (json.dumps([{"kind": "pue", "of": "s", "value": ["1.2"], "unit": "1"}]), "item 1, column 'value'.*neither a text nor a number"),
    ('[{"kind": "pue", "kind": "pue", "of": "s", "value": 1.2, "unit": "1"}]', "names 'kind' twice"),
    (f"{HEAD}tariff,s,0.25,EUR/kWh,,\ntariff,s2,0.25,USD/kWh,,\n", "this book is kept in EUR, not USD"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "why"), BAD)
def test_a_bad_table_is_refused_whole_with_row_and_column(
    sqlite_keeper: Bookkeeper, text: str | bytes, why: str
) -> None:
    """Nothing of it is in the book."""
    sqlite_keeper.place()
    before = held(sqlite_keeper)
    with pytest.raises(BadInput, match=why):
        take(sqlite_keeper, text)
    assert held(sqlite_keeper) == before


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_is_sure_is_read(sqlite_keeper: Bookkeeper, encoding: str, delimiter: str) -> None:
    """A byte order mark says what the bytes are, the header what parts the cells; a number of JSON stays what was written."""
    text = f"{HEAD}{GRID},2026,2027\n".replace(",", delimiter)
    assert take(sqlite_keeper, text.encode(encoding)).stored == 1
    item = (
        '{"kind": "grid_location", "of": "FR", "value": 56.039, "unit": "g/kWh", "valid_from": 2026, "valid_to": 2027}'
    )
    assert take(sqlite_keeper, f'{{"items": [{item}]}}').stored == 0


def test_prices_and_factors_are_told_apart(sqlite_keeper: Bookkeeper) -> None:
    """Each command names the other."""
    with pytest.raises(BadInput, match="tariff is a price: `joulebook import prices`"):
        take(sqlite_keeper, "kind,of,value,unit\ntariff,s,0.25,EUR/kWh\n", FACTOR_KINDS)
    with pytest.raises(BadInput, match="pue is a factor: `joulebook import factors`"):
        take(sqlite_keeper, "kind,of,value,unit\npue,s,1.2,1\n", PRICE_KINDS)


def test_a_version_that_is_named_has_one_content(sqlite_keeper: Bookkeeper) -> None:
    """Given again it is known; with another content it is refused before anything is stored."""
    head = "kind,of,value,unit,version\n"
    assert take(sqlite_keeper, f"{head}pue,s,1.2,1,audit\n").stored == 1
    assert take(sqlite_keeper, f"{head}pue,s,1.2,1,audit\n").stored == 0
    with pytest.raises(
        BadInput, match="line 3, column 'version': the book holds 'audit' of pue of s with another content"
    ):
        take(sqlite_keeper, f"{head}pue,t,1.2,1,audit\npue,s,1.3,1,audit\n")
    assert [item["of"] for item in held(sqlite_keeper)] == ["s"]


@given(st.lists(factors(hours=3, version="v"), max_size=12))
def test_what_is_written_out_is_read_in_without_loss(drawn: list[Factor]) -> None:
    """Every field, to the last unit, but for the order in which they were learnt."""
    rows = [row_of_factor(factor) for factor in drawn]
    lines = read_sheet(written(rows, FACTOR_COLUMNS).encode(), FACTOR_COLUMNS[:4], FACTOR_COLUMNS[4:])
    for line, factor in zip(lines, drawn, strict=True):
        try:
            assert Reading("f").factor(line, ALL) == factor
        except BadInput as refusal:
            assert "implausible" in str(refusal)  # noqa: PT017 - what no table may hold is said


def test_a_book_is_written_out_and_read_into_another(keeper: Bookkeeper, sqlite_url: str) -> None:
    """And priced alike there: a revision stays the later one."""
    from ledger.conftest import Bookkeeper as Keeper

    first, second = f"{HEAD}{GRID},2026,2027\n", f"{HEAD}{GRID.replace('56', '57')},2026,2027\n"
    take(keeper, first)
    keeper.now_ms += 60_000
    take(keeper, second)
    columns = FACTOR_COLUMNS
    other = Keeper(f"{sqlite_url}-other")
    take(other, written(held(keeper), columns))
    assert [{name: item[name] for name in columns} for item in held(other)] == [
        {name: item[name] for name in columns} for item in held(keeper)
    ]
    other.ledger.close()


def test_pages_of_a_list_hold_everything_once(sqlite_keeper: Bookkeeper) -> None:
    """However small they are; a filter leaves out the rest."""
    rows = "".join(
        f"grid_location,{zone},{hour},g/kWh,2026-11-0{hour}\n" for zone in ("FR", "DE") for hour in range(1, 6)
    )
    take(sqlite_keeper, HEAD.replace(",valid_to", "") + rows)
    cursor, seen = "", []
    while True:
        body = sqlite_keeper.ledger.factors(FactorsQuery(limit=3, cursor=cursor))
        seen += [(item["of"], item["value"]) for item in body["items"]]
        cursor = body["next_cursor"] or ""
        if not cursor:
            break
    assert seen == [(zone, str(hour)) for zone in ("DE", "FR") for hour in range(1, 6)]
    at_noon = FactorsQuery(object="FR", at_ms=NOVEMBER + HOUR * 36)
    assert [item["value"] for item in sqlite_keeper.ledger.factors(at_noon)["items"]] == ["2"]
    with pytest.raises(BadInput, match="cursor 'zzz' is none of this list"):
        sqlite_keeper.ledger.factors(FactorsQuery(cursor="zzz"))


def places(keeper: Bookkeeper, text: str) -> Taken:
    """Take a table of sites into the book."""
    return take_sites(
        keeper.ledger, keeper.entry(), read_sheet(text.encode(), SITE_COLUMNS[:1], SITE_COLUMNS[1:]), Reading("f")
    )


def test_a_cloud_region_has_the_zone_of_its_country_or_none(keeper: Bookkeeper) -> None:
    """A region that is in no table leaves the zone unknown, and what to do is said."""
    taken = places(keeper, "site,provider,region\nparis,aws,eu-west-3\nmoon,aws,moon-1\n")
    sites = {item["site"]: item for item in keeper.ledger.sites()["items"]}
    assert (sites["paris"]["zone"], sites["paris"]["ownership"]) == ("FR", "cloud")
    assert sites["moon"]["zone"] == ""
    assert taken.notes == [
        "the zone of moon is not known, so nothing is priced in CO2e there: `joulebook sites set SITE --zone CODE`"
    ]
    assert places(keeper, "site,provider,region\nparis,aws,eu-west-3\n").stored == 0


def test_a_table_of_sites_is_refused_whole(sqlite_keeper: Bookkeeper) -> None:
    """With row and column."""
    for text, why in (
        ("site,zone\na,FR\nb,XX\n", "line 3, column 'zone': zone 'XX' does not exist"),
        ("site,ownership\na,rented\n", "line 2, column 'ownership'"),
        ("site,zone\na,FR\na,DE\n", "line 3, column 'site': 'a' stands in line 2 already"),
    ):
        with pytest.raises(BadInput, match=why):
            places(sqlite_keeper, text)
    assert sqlite_keeper.ledger.sites()["items"] == []


def test_machines_are_placed_by_a_table(keeper: Bookkeeper) -> None:
    """And a site that nobody described is named."""
    lines = read_sheet(b"machine,site\nm1,hall\nm2,hall\n", PLACEMENT_COLUMNS[:2], PLACEMENT_COLUMNS[2:])
    taken = take_placements(keeper.ledger, keeper.entry(), lines, Reading("f"))
    assert (taken.stored, taken.notes) == (2, ["nobody has described hall yet: `joulebook sites set SITE --zone CODE`"])
    assert [(p["machine"], p["site"]) for p in keeper.ledger.sites()["placements"]] == [("m1", "hall"), ("m2", "hall")]


def test_a_year_by_the_hour_prices_every_hour_with_its_own_value(keeper: Bookkeeper) -> None:
    """A kWh in each of two hours, at 100 and at 300 g."""
    run = run_id("run")
    story = Story("m1").meter("package-0").run(run, NOVEMBER, NOVEMBER + 2 * HOUR, model="m")
    for hour in range(2):
        start = NOVEMBER + hour * HOUR
        story.reading("package-0", start, start + HOUR, KWH, {run: KWH})
    keeper.now_ms = NOVEMBER + 3 * HOUR
    keeper.tell(story.batch())
    keeper.place()
    rows = "".join(
        f"grid_location,FR,{100 + 200 * (hour % 2)},g/kWh,2026-{month:02d}-01T{hour:02d}:00Z\n"
        for month in range(1, 13)
        for hour in range(24)
    )
    take(keeper, HEAD.replace(",valid_to", "") + rows)
    keeper.ledger.book()
    total = keeper.ledger.report(ReportQuery(from_month=202611, to_month=202611))["total"]
    assert total["co2e_location_kg"] == pytest.approx(0.4)


def test_a_missing_factor_leaves_the_amount_unknown_and_nothing_stands_in(keeper: Bookkeeper) -> None:
    """A zone of which nothing is known has no CO2e, whatever other zones and the world have; the world is taken where it is asked for."""
    run = run_id("run")
    story = Story("m1").meter("package-0").run(run, NOVEMBER, NOVEMBER + HOUR, model="m")
    keeper.now_ms = NOVEMBER + 2 * HOUR
    keeper.tell(story.reading("package-0", NOVEMBER, NOVEMBER + HOUR, KWH, {run: KWH}).batch())
    places(keeper, "site,provider,region\nmoon,aws,moon-1\n")
    placed = read_sheet(b"machine,site\nm1,moon\n", PLACEMENT_COLUMNS[:2], PLACEMENT_COLUMNS[2:])
    take_placements(keeper.ledger, keeper.entry(), placed, Reading("f"))
    take(keeper, "kind,of,value,unit\ngrid_location,WORLD,475,g/kWh\ngrid_location,FR,56,g/kWh\npue,moon,1,1\n")
    keeper.ledger.book()
    query = ReportQuery(from_month=202611, to_month=202611)
    total = keeper.ledger.report(query)["total"]
    assert (total["co2e_location_kg"], total["known_share"]["co2e_location_kg"]) == (None, 0.0)
    assert total["reasons"]["co2e_location_kg"] == "the site has no grid zone: `joulebook init --zone FR`"
    keeper.now_ms += 60_000
    places(keeper, "site,zone\nmoon,WORLD\n")
    keeper.ledger.book()
    assert keeper.ledger.report(query)["total"]["co2e_location_kg"] == pytest.approx(0.475)
