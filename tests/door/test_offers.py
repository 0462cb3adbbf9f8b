"""What is offered to a person, and where it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulebook.offers import Offer, currency_offer, zone_offer
from joulebook_ledger.catalogue.zones import all_zones


@pytest.mark.parametrize(
    ("environment", "offer"),
    [
        ({"TZ": "Europe/Berlin"}, Offer("DE", "from the time zone Europe/Berlin")),
        ({"TZ": ":Asia/Tokyo"}, Offer("JP", "from the time zone Asia/Tokyo")),
        ({"TZ": "UTC", "LANG": "fr_CH.UTF-8"}, Offer("CH", "from the locale fr_CH")),
        ({"TZ": "UTC", "LANG": "C.UTF-8"}, Offer()),
        ({"TZ": "nonsense/../..", "LC_ALL": "POSIX"}, Offer()),
    ],
)  # fmt: skip
def test_a_zone_is_offered_from_time_zone_or_locale(environment: dict[str, str], offer: Offer, tmp_path: Path) -> None:
    """A time zone that names no country, and a locale without a territory, offer nothing."""
    assert zone_offer(environment, etc_root=str(tmp_path)) == offer


def test_the_machines_own_time_zone_is_read_where_no_variable_says_it(tmp_path: Path) -> None:
    """By its name, else by what localtime points at."""
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/America/New_York")
    assert zone_offer({}, etc_root=str(tmp_path)).value == "US"
    (tmp_path / "timezone").write_text("Europe/Paris\n", encoding="utf-8")
    assert zone_offer({}, etc_root=str(tmp_path)).value == "FR"


def test_every_currency_is_offered_for_zones_that_exist() -> None:
    """And nothing is offered where the country is not listed."""
    offered = {zone: currency_offer(zone).value for zone in all_zones()}
    assert offered["DE"] == "EUR"
    assert offered["WORLD"] == ""
    assert {code for code in offered.values() if code and (len(code) != 3 or not code.isupper())} == set()
    assert len(list(filter(None, offered.values()))) >= 60
