"""Live providers against a server of this machine that plays their replies: what becomes a factor, and what becomes a reason."""

from __future__ import annotations

import gzip
import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from helpers.providers import Station, drips, says, says_much, says_nothing, station
from helpers.vectors import load

from joulebook_ledger.core.periods import parse_time
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.providers.answers import Nothing
from joulebook_ledger.providers.electricitymaps import ElectricityMaps
from joulebook_ledger.providers.entsoe import ZONES, Entsoe
from joulebook_ledger.providers.great_britain import GreatBritain
from joulebook_ledger.providers.settings import Access, load_provider_settings
from joulebook_ledger.providers.watttime import WattTime
from joulebook_ledger.providers.web import Web, base_url

FIXTURES = load("grid_api_fixtures")
TOKEN = "a-secret-that-nobody-shows"
ACCOUNT = "ann:secret"
HOUR = 3_600_000
AT = parse_time("2026-11-20T00:00:00Z")
NOW = AT + 12 * HOUR


@pytest.fixture
def web() -> Iterator[Web]:
    """Return a way to providers that waits for nothing for long."""
    with closing(Web(silence_seconds=0.3, longest_seconds=0.6, sleep=lambda _seconds: None)) as found:
        yield found


@pytest.fixture
def there() -> Iterator[Station]:
    """Return a provider."""
    with station() as found:
        yield found


def access(there: Station, name: str, token: str = TOKEN, **zones: str) -> Access:
    """Return how the provider of a test is asked."""
    return Access(name=name, url=there.url, token=token, zones=zones)


def maps(there: Station, web: Web, basis: str = "", now_ms: int = NOW) -> ElectricityMaps:
    """Return Electricity Maps, played."""
    return ElectricityMaps(web, access(there, "electricitymaps", DE="DE", AT="AT", FR="FR"), basis, now_ms)


def hour(value: Any, number: int = 0, zone: str = "DE", **more: Any) -> dict[str, Any]:
    """Return an hour as Electricity Maps writes it."""
    return {
        "zone": zone,
        "carbonIntensity": value,
        "datetime": f"2026-11-20T{number:02d}:00:00.000Z",
        "updatedAt": "2026-11-20T20:00:00.000Z",
        "emissionFactorType": "lifecycle",
        "isEstimated": False,
        **more,
    }


def of_maps(*items: dict[str, Any]) -> dict[str, Any]:
    """Return a reply of hours."""
    return {"zone": "DE", "data": list(items)}


def test_a_factor_says_where_it_comes_from(there, web):
    """Source, licence, version, level, basis, spread and the digest of the reply; the token is in none of it."""
    there.play(says(of_maps(hour(413), hour(400, 1))))
    first, second = maps(there, web).fetch("DE", AT, AT + 2 * HOUR)
    assert (first.kind, first.object, first.provider) == ("grid_location", "DE", "electricitymaps")
    assert (first.value, second.value, first.unit) == (413_000_000, 400_000_000, "ug/kWh")
    assert (first.valid_from_ms, first.valid_to_ms) == (AT, AT + HOUR)
    assert (first.state, first.basis, first.fallback, first.sigma_ppm) == ("final", "lifecycle", "exact", 70_000)
    assert first.licence
    assert len(first.evidence_digest) == 64
    assert first.version.startswith("2026-11-20T20:00:00.000Z.")
    assert f"{there.url}/v3/carbon-intensity/history?zone=DE" in first.source
    assert TOKEN not in repr(first)
    assert there.asked[0].headers["auth-token"] == TOKEN


def test_what_is_older_than_a_day_is_asked_as_a_range(there, web):
    """With the time that is wanted, and the basis where one is set."""
    there.play(says(of_maps(hour(413))))
    maps(there, web, "direct", AT + 72 * HOUR).fetch("DE", AT, AT + HOUR)
    assert there.asked[0].path == "/v3/carbon-intensity/past-range"
    assert there.asked[0].query == {
        "zone": "DE", "emissionFactorType": "direct", "start": "2026-11-20T00:00:00.000Z", "end": "2026-11-20T01:00:00.000Z",
    }  # fmt: skip


def test_a_null_is_a_hole_and_no_zero(there, web):
    """Of three hours one has no value: two factors, and nothing for the third."""
    there.play(says(of_maps(hour(413), hour(None, 1), hour(0, 2))))
    found = maps(there, web).fetch("DE", AT, AT + 3 * HOUR)
    assert [(one.valid_from_ms, one.value) for one in found] == [(AT, 413_000_000), (AT + 2 * HOUR, 0)]


BAD = {
    "no JSON": "<html>",
    "half a reply": '{"data": [{"zone": "DE", "carbonInt',
    "a list": [],
    "no list": {"zone": "DE"},
    "not a number": of_maps(hour("413")),
    "true": of_maps(hour(True)),
    "negative": of_maps(hour(-1)),
    "NaN": '{"zone": "DE", "data": [{"zone": "DE", "carbonIntensity": NaN, "datetime": "2026-11-20T00:00:00Z"}]}',
    "in kg/MWh of another planet": of_maps(hour(413_000)),
    "another zone": of_maps(hour(413, zone="PL")),
    "no instant": of_maps(hour(413, datetime="yesterday")),
    "an instant without a zone": of_maps(hour(413, datetime="2026-11-20T00:00:00")),
    "of days": of_maps(hour(413, temporalGranularity="daily")),
    "one hour twice": of_maps(hour(413), hour(414)),
    "deep": "[" * 100_000,
    "not UTF-8": b'{"data": "\xff\xfe"}',
}


@pytest.mark.parametrize("reply", BAD.values(), ids=BAD.keys())
def test_a_reply_of_another_shape_is_not_understood(there, web, reply):
    """Whatever it is, it is one reason, and no factor."""
    there.play(says(reply))
    found = maps(there, web).fetch("DE", AT, AT + 2 * HOUR)
    assert isinstance(found, Nothing)
    assert found.reason == "not_understood"


@pytest.mark.parametrize(
    ("status", "reason", "questions"),
    [(401, "refused", 1), (403, "refused", 1), (400, "not_understood", 1), (429, "over_quota", 3), (500, "failing", 3),
     (503, "failing", 3), (204, "not_understood", 1)],
)  # fmt: skip
def test_a_status_is_a_reason(there, web, status, reason, questions):
    """What may pass is asked again, at most three times; what the provider says in it is not repeated."""
    there.play(says("" if status == 204 else f"you said {TOKEN}", status))
    found = maps(there, web).fetch("DE", AT, AT + HOUR)
    assert (found.reason, len(there.asked)) == (reason, questions)
    assert TOKEN not in found.text


def test_what_passes_is_answered(there, web):
    """A 500 and a 429 cost a moment."""
    there.play(says("", 500), says("", 429), says(of_maps(hour(413))))
    assert [one.value for one in maps(there, web).fetch("DE", AT, AT + HOUR)] == [413_000_000]


@pytest.mark.parametrize(
    "asked",
    [{"Retry_After": "7"}, {"Retry_After": "Fri, 20 Nov 2026 10:00:07 GMT", "Date": "Fri, 20 Nov 2026 10:00:00 GMT"}],
)
def test_a_wait_that_is_asked_for_is_kept(there, asked):
    """In seconds, or as an instant of the provider's own clock."""
    waited: list[float] = []
    there.play(says("", 429, **asked), says(of_maps(hour(413))))
    with closing(Web(sleep=waited.append)) as web:
        assert not isinstance(maps(there, web).fetch("DE", AT, AT + HOUR), Nothing)
    assert len(waited) == 1
    assert 7 <= waited[0] < 8


def test_nobody_waits_for_an_hour(there):
    """A wait beyond our patience ends the question at once, and is named."""
    waited: list[float] = []
    there.play(says("", 429, Retry_After="3600"))
    with closing(Web(sleep=waited.append)) as web:
        found = maps(there, web).fetch("DE", AT, AT + HOUR)
    assert (found.reason, waited, len(there.asked)) == ("over_quota", [], 1)
    assert "3600 seconds" in found.text


def test_a_silent_provider_and_one_that_drips_are_too_slow(there, web):
    """Neither holds us for ever."""
    over = threading.Event()
    for play in (says_nothing(over), drips(over)):
        there.play(play)
        assert maps(there, web).fetch("DE", AT, AT + HOUR).reason == "too_slow"
    over.set()


def test_a_hundred_megabytes_are_not_taken(there):
    """Reading ends soon after the limit, packed or not."""
    packed = gzip.compress(b" " * (100 << 20))
    with closing(Web(sleep=lambda _seconds: None)) as web:
        for play in (says_much(100), says(packed, Content_Encoding="gzip")):
            there.play(play)
            assert maps(there, web).fetch("DE", AT, AT + HOUR).reason == "too_large"


def test_what_is_called_packed_and_is_not(there, web):
    """One reason more."""
    there.play(says("{}", Content_Encoding="gzip"))
    assert maps(there, web).fetch("DE", AT, AT + HOUR).reason == "not_understood"


def test_no_redirect_is_followed(there, web):
    """The token goes to the one address that was named."""
    with station(says(of_maps(hour(1)))) as elsewhere:
        there.play(says("", 302, Location=f"{elsewhere.url}/v3/carbon-intensity/history?zone=DE"))
        assert maps(there, web).fetch("DE", AT, AT + HOUR).reason == "redirected"
        assert elsewhere.asked == []


def test_a_provider_that_is_not_there(web):
    """Nobody listens."""
    with station(says("")) as gone:
        pass
    found = maps(gone, web).fetch("DE", AT, AT + HOUR)
    assert found.reason == "unreachable"


def test_an_unknown_zone_is_a_reason_and_no_guess(there, web):
    """Nothing is asked."""
    found = maps(there, web).fetch("XK", AT, AT + HOUR)
    assert (found.reason, there.asked) == ("unknown_zone", [])
    assert "JOULEBOOK_ELECTRICITYMAPS_ZONES=XK=THEIRS" in found.text


# --- GB Carbon Intensity


def half_hour(forecast: Any, actual: Any, start: str = "00:00", end: str = "00:30") -> dict[str, Any]:
    """Return a half-hour as NESO writes it."""
    return {
        "from": f"2026-11-20T{start}Z",
        "to": f"2026-11-20T{end}Z",
        "intensity": {"forecast": forecast, "actual": actual},
    }


def test_of_great_britain_the_forecast_stands_in_until_there_is_an_actual_value(there, web):
    """Provisional, then final; without either, a hole."""
    there.play(
        says(
            {
                "data": [
                    half_hour(146, None),
                    half_hour(150, 148, "00:30", "01:00"),
                    half_hour(None, None, "01:00", "01:30"),
                ]
            }
        )
    )
    found = GreatBritain(web, access(there, "gb", "", GB="GB"), "").fetch("GB", AT, AT + 2 * HOUR)
    assert [(one.value, one.state, one.basis) for one in found] == [
        (146_000_000, "provisional", "direct"),
        (148_000_000, "final", "direct"),
    ]
    assert there.asked[0].path == "/intensity/2026-11-20T00:00Z/2026-11-20T02:00Z"
    assert TOKEN not in str(there.asked[0].headers)


def test_great_britain_does_not_give_what_it_does_not_have(there, web):
    """Asked for lifecycle figures, it says that it has none."""
    found = GreatBritain(web, access(there, "gb", "", GB="GB"), "lifecycle").fetch("GB", AT, AT + HOUR)
    assert (found.reason, there.asked) == ("other_basis", [])


@pytest.mark.parametrize("item", [{}, {"intensity": 5}, half_hour(1, 1, "00:30", "00:00"), half_hour("1", None)])
def test_a_half_hour_of_another_shape(there, web, item):
    """It is not understood."""
    there.play(says({"data": [item]}))
    found = GreatBritain(web, access(there, "gb", "", GB="GB"), "").fetch("GB", AT, AT + HOUR)
    assert found.reason == "not_understood"


# --- WattTime


def rates(*values: Any, **meta: Any) -> dict[str, Any]:
    """Return marginal rates as WattTime writes them."""
    data = [{"point_time": f"2026-11-20T00:{5 * i:02d}:00+00:00", "value": value} for i, value in enumerate(values)]
    told = {
        "region": "CAISO_NORTH",
        "signal_type": "co2_moer",
        "units": "lbs_co2_per_mwh",
        "data_point_period_seconds": 300,
    }
    return {"data": data, "meta": {**told, **meta}}


def watttime(there: Station, web: Web, token: str = ACCOUNT) -> WattTime:
    """Return WattTime, played."""
    return WattTime(web, access(there, "watttime", token, CAISO_NORTH="CAISO_NORTH"))


def test_marginal_rates_are_a_kind_of_their_own(there, web):
    """Pounds per MWh become micrograms per kWh exactly; the password is shown at the login alone."""
    there.play(says({"token": "bearer"}), says(rates(870, None, 412.5)))
    first, third = watttime(there, web).fetch("CAISO_NORTH", AT, AT + HOUR)
    assert (first.kind, first.value, first.valid_to_ms - first.valid_from_ms) == ("grid_marginal", 394_625_362, 300_000)
    assert third.value == 187_106_853
    assert there.asked[0].headers["Authorization"] == "Basic YW5uOnNlY3JldA=="
    assert there.asked[1].headers["Authorization"] == "Bearer bearer"
    assert "secret" not in repr(first)


def test_a_bearer_token_that_is_over_is_asked_for_anew(there, web):
    """Once; a password that is not known there is a reason."""
    there.play(
        says({"token": "one"}), says(rates(870)), says("", 401), says({"token": "two"}), says(rates(870)), says("", 401)
    )
    provider = watttime(there, web)
    assert provider.fetch("CAISO_NORTH", AT, AT + HOUR)
    assert not isinstance(provider.fetch("CAISO_NORTH", AT, AT + HOUR), Nothing)
    assert [one.headers["Authorization"] for one in there.asked][-1] == "Bearer two"
    assert watttime(there, web).fetch("CAISO_NORTH", AT, AT + HOUR).reason == "refused"


@pytest.mark.parametrize(
    "meta", [{"units": "g_per_kwh"}, {"region": "ERCOT"}, {"signal_type": "co2_aoer"}, {"data_point_period_seconds": 0}]
)
def test_marginal_rates_of_something_else_are_not_taken(there, web, meta):
    """Unit, region, signal and period are what was asked for."""
    there.play(says({"token": "bearer"}), says(rates(870, **meta)))
    assert watttime(there, web).fetch("CAISO_NORTH", AT, AT + HOUR).reason == "not_understood"


# --- ENTSO-E


def plant(psr: str, quantities: str, *, start: str = "00:00", end: str = "01:00", **more: str) -> str:
    """Return one kind of plant; quantities by quarter-hour, `-` for a point that is left out."""
    told = {"unit": "MAW", "area": "10Y1001A1001A83F", "curve": "A01", "resolution": "PT15M", "way": "in", **more}
    points = "".join(
        f"<Point><position>{i}</position><quantity>{quantity}</quantity></Point>"
        for i, quantity in enumerate(quantities.split(), start=1)
        if quantity != "-"
    )
    return (
        f"<TimeSeries><{told['way']}BiddingZone_Domain.mRID>{told['area']}</{told['way']}BiddingZone_Domain.mRID>"
        f"<quantity_Measure_Unit.name>{told['unit']}</quantity_Measure_Unit.name><curveType>{told['curve']}</curveType>"
        f"<MktPSRType><psrType>{psr}</psrType></MktPSRType><Period><timeInterval><start>2026-11-20T{start}Z</start>"
        f"<end>2026-11-20T{end}Z</end></timeInterval><resolution>{told['resolution']}</resolution>{points}</Period></TimeSeries>"
    )


def document(*plants: str) -> str:
    """Return a reply of the platform."""
    return f'<?xml version="1.0"?><GL_MarketDocument xmlns="urn:x">{"".join(plants)}</GL_MarketDocument>'


def entsoe(there: Station, web: Web, basis: str = "", now_ms: int = NOW) -> Entsoe:
    """Return the platform, played."""
    return Entsoe(web, access(there, "entsoe", DE="10Y1001A1001A83F"), basis, now_ms)


def test_a_mix_becomes_an_intensity(there, web):
    """100 MW of coal and 300 MW of wind over an hour; what pumps draw and give back is left out."""
    reply = document(
        plant("B05", "100 100 100 100"), plant("B19", "200 300 300 400"), plant("B10", "50 50 50 50"),
        plant("B10", "70 70 70 70", way="out"),
    )  # fmt: skip
    there.play(says(reply))
    (found,) = entsoe(there, web).fetch("DE", AT, AT + HOUR)
    assert (found.value, found.basis, found.state) == (
        (100 * 820 + 300 * 11) * 1_000_000 // 400,
        "lifecycle",
        "provisional",
    )
    assert there.asked[0].query["periodStart"] == "202611200000"
    assert there.asked[0].query["securityToken"] == TOKEN
    assert TOKEN not in repr(found)
    (found,) = entsoe(there, web, "direct", NOW + 96 * HOUR).fetch("DE", AT, AT + HOUR)
    assert (found.value, found.basis, found.state) == (100 * 760 * 1_000_000 // 400, "direct", "final")


def test_an_hour_of_which_a_part_is_missing_has_no_mix(there, web):
    """A quarter-hour left out under A01 is unknown; under A03 it repeats the one before."""
    there.play(says(document(plant("B05", "100 - 100 100"), plant("B19", "300 300 300 300"))))
    assert entsoe(there, web).fetch("DE", AT, AT + HOUR).reason == "no_values"
    there.play(says(document(plant("B05", "100 - 100 100", curve="A03"), plant("B19", "300 300 300 300"))))
    assert len(entsoe(there, web).fetch("DE", AT, AT + HOUR)) == 1
    there.play(
        says(
            document(plant("B05", "100 " * 8, end="02:00"), plant("B19", "300 300 300 300", start="01:00", end="02:00"))
        )
    )
    (found,) = entsoe(there, web).fetch("DE", AT, AT + 2 * HOUR)
    assert found.valid_from_ms == AT + HOUR


def test_a_grid_that_generates_nothing_has_no_intensity(there, web):
    """0 MW is no grid of 0 g."""
    there.play(says(document(plant("B05", "0 0 0 0"))))
    assert entsoe(there, web).fetch("DE", AT, AT + HOUR).reason == "no_values"


BAD_XML = {
    "no XML": "{}",
    "half": document(plant("B05", "1 1 1 1"))[:-40],
    "entities": '<!DOCTYPE x [<!ENTITY a "aaaa">]>' + document().removeprefix('<?xml version="1.0"?>'),
    "another area": document(plant("B05", "1 1 1 1", area="10YFR-RTE------C")),
    "another unit": document(plant("B05", "1 1 1 1", unit="KWH")),
    "an unknown plant": document(plant("B99", "1 1 1 1")),
    "an unknown resolution": document(plant("B05", "1", resolution="P1D")),
    "a point outside": document(plant("B05", "1 1 1 1 1")),
    "negative": document(plant("B05", "1 -1 1 1")),
    "no number": document(plant("B05", "1 x 1 1")),
    "not finite": document(plant("B05", "1 NaN 1 1")),
    "refused": "<Acknowledgement_MarketDocument><Reason><code>A01</code></Reason></Acknowledgement_MarketDocument>",
}


@pytest.mark.parametrize("reply", BAD_XML.values(), ids=BAD_XML.keys())
def test_a_document_of_another_shape_is_not_understood(there, web, reply):
    """Whatever it is, it is one reason, and no factor."""
    there.play(says(reply))
    assert entsoe(there, web).fetch("DE", AT, AT + HOUR).reason == "not_understood"


def test_the_platform_says_that_there_is_nothing(there, web):
    """Its reason 999 is an answer."""
    reply = "<Acknowledgement_MarketDocument><Reason><code>999</code></Reason></Acknowledgement_MarketDocument>"
    there.play(says(reply))
    assert entsoe(there, web).fetch("DE", AT, AT + HOUR).reason == "no_values"


def test_the_token_stands_in_no_log(there, web, caplog):
    """Not even where everything is logged, and the platform wants it in the address."""
    there.play(says(document(plant("B05", "1 1 1 1"))))
    with caplog.at_level(logging.DEBUG):
        entsoe(there, web).fetch("DE", AT, AT + HOUR)
    assert there.asked[0].query["securityToken"] == TOKEN
    assert any("httpx2" in record.name for record in caplog.records)
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("code", ZONES.values(), ids=ZONES.keys())
def test_the_codes_of_areas_have_their_check_character(code):
    """The last character of an EIC code is made of the fifteen before it (EIC reference manual)."""
    digits = {character: value for value, character in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-")}
    total = sum(digits[character] * (16 - place) for place, character in enumerate(code[:15]))
    assert "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"[36 - (total - 1) % 37] == code[15]


# --- what is switched on


def test_nobody_is_switched_on_by_default():
    """And a token alone switches nobody on."""
    assert load_provider_settings({}).accesses == ()
    assert load_provider_settings({"JOULEBOOK_ENTSOE_TOKEN": TOKEN}).accesses == ()


def test_who_is_switched_on_is_asked_in_that_order(tmp_path):
    """With a token of the environment or of a file, and zones of one's own."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    found = load_provider_settings(
        {
            "JOULEBOOK_PROVIDERS": "entsoe, gb",
            "JOULEBOOK_ENTSOE_TOKEN_FILE": str(file),
            "JOULEBOOK_GRID_BASIS": "direct",
            "JOULEBOOK_ENTSOE_ZONES": "DE-TENNET=10YDE-EON------1",
        }
    )
    first, second = found.accesses
    assert (first.name, first.token, first.zone("DE-TENNET")) == ("entsoe", TOKEN, "10YDE-EON------1")
    assert (second.name, second.token, second.url) == ("gb", "", "https://api.carbonintensity.org.uk")
    assert found.basis == "direct"
    assert TOKEN not in repr(found)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"JOULEBOOK_PROVIDERS": "entso"}, "'entso'"),
        ({"JOULEBOOK_PROVIDERS": "gb,gb"}, "twice"),
        ({"JOULEBOOK_PROVIDERS": "entsoe"}, "JOULEBOOK_ENTSOE_TOKEN_FILE"),
        ({"JOULEBOOK_PROVIDERS": "entsoe", "JOULEBOOK_ENTSOE_TOKEN": "a b"}, "JOULEBOOK_ENTSOE_TOKEN"),
        ({"JOULEBOOK_PROVIDERS": "entsoe", "JOULEBOOK_ENTSOE_TOKEN_FILE": "/nowhere/token"}, "/nowhere/token"),
        ({"JOULEBOOK_PROVIDERS": "gb", "JOULEBOOK_GRID_BASIS": "both"}, "'both'"),
        ({"JOULEBOOK_PROVIDERS": "gb", "JOULEBOOK_GB_ZONES": "GB"}, "'GB'"),
        ({"JOULEBOOK_PROVIDERS": "gb", "JOULEBOOK_GB_URL": "http://example.org"}, "https://HOST"),
    ],
)
def test_what_is_set_badly_is_named(variables, named):
    """Before anybody is asked."""
    with pytest.raises(BadInput, match=named):
        load_provider_settings(variables)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "https://ann:secret@example.org",
        "https://example.org?token=secret",
        "ftp://x",
        "https://",
        "",
    ],
)
def test_an_address_that_would_show_a_token_is_refused(url):
    """And not repeated."""
    with pytest.raises(BadInput) as refused:
        base_url(url)
    assert "secret" not in str(refused.value)
