"""What may be offered to a person who says where a machine stands: never applied unless confirmed, and each with where it came from.

The time zone names a country by the tz database's own table (zone.tab, public domain); the locale names one by its territory.
Currencies by country are those of ISO 4217, of the countries that Joulebook's users are likeliest to be in; elsewhere none is offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

_CURRENCIES = {
    "EUR": "AT BE BG CY DE EE ES FI FR GR HR IE IT LT LU LV MT NL PT SI SK", "USD": "US EC SV PR", "GBP": "GB", "CHF": "CH LI",
    "SEK": "SE", "NOK": "NO", "DKK": "DK", "PLN": "PL", "CZK": "CZ", "HUF": "HU", "RON": "RO", "ISK": "IS", "UAH": "UA", "TRY": "TR",
    "CAD": "CA", "MXN": "MX", "BRL": "BR", "ARS": "AR", "CLP": "CL", "COP": "CO", "JPY": "JP", "CNY": "CN", "KRW": "KR", "TWD": "TW",
    "HKD": "HK", "SGD": "SG", "INR": "IN", "IDR": "ID", "MYR": "MY", "THB": "TH", "VND": "VN", "PHP": "PH", "AUD": "AU", "NZD": "NZ",
    "ZAR": "ZA", "EGP": "EG", "KES": "KE", "NGN": "NG", "MAD": "MA", "ILS": "IL", "AED": "AE", "SAR": "SA", "QAR": "QA",
}  # fmt: skip
_LOCALES = ("LC_ALL", "LC_MONETARY", "LANG")


class Offer(NamedTuple):
    """An answer that may be the right one.

    Attributes:
        value: The answer; empty where none can be offered.
        reason: What it was taken from, for people.
    """

    value: str = ""
    reason: str = ""


def zone_offer(environment: Mapping[str, str], etc_root: str = "/etc") -> Offer:
    """Return the country of the time zone, else of the locale, else nothing. A time zone such as UTC names no country."""
    zone_name = _time_zone(environment, Path(etc_root))
    if country := _country_of(zone_name):
        return Offer(country, f"from the time zone {zone_name}")
    for name in _LOCALES:
        language = environment.get(name, "").partition(".")[0]
        territory = language.partition("_")[2]
        if len(territory) == 2 and territory.isalpha() and territory.isupper():
            return Offer(territory, f"from the locale {language}")
    return Offer()


def currency_offer(zone: str) -> Offer:
    """Return the currency of a country."""
    for currency, countries in _CURRENCIES.items():
        if zone in countries.split():
            return Offer(currency, f"the currency of {zone}")
    return Offer()


def _time_zone(environment: Mapping[str, str], etc: Path) -> str:
    named = environment.get("TZ", "").removeprefix(":")
    if named:
        return named
    try:
        return (etc / "timezone").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        pass
    try:
        return str((etc / "localtime").readlink()).rpartition("zoneinfo/")[2]
    except OSError:
        return ""


def _country_of(zone_name: str) -> str:
    if not zone_name:
        return ""
    table = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    for line in table.splitlines():
        if not line.startswith("#"):
            country, _, name = line.split("\t")[:3]
            if name == zone_name:
                return country
    return ""
