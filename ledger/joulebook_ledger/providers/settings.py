"""Which providers are asked, in which order, and with what: from variables only, so that no file of a project can switch one on.

JOULEBOOK_PROVIDERS=NAME,NAME switches on, in the order in which they are asked. Per provider: JOULEBOOK_<NAME>_TOKEN or
JOULEBOOK_<NAME>_TOKEN_FILE, JOULEBOOK_<NAME>_ZONES=OURS=THEIRS,... for zones that it calls by another name, and
JOULEBOOK_<NAME>_URL where it is reached by another address. JOULEBOOK_GRID_BASIS=direct|lifecycle asks all of them for one basis.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from joulebook_ledger.catalogue.zones import WORLD, all_zones
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.providers import electricitymaps, entsoe, great_britain, watttime
from joulebook_ledger.providers.answers import UNKNOWN_ZONE, Nothing
from joulebook_ledger.providers.web import base_url

if TYPE_CHECKING:
    from collections.abc import Mapping

SWITCH = "JOULEBOOK_PROVIDERS"
BASIS = "JOULEBOOK_GRID_BASIS"
BASES = ("direct", "lifecycle")
URLS = {
    electricitymaps.NAME: electricitymaps.URL,
    entsoe.NAME: entsoe.URL,
    great_britain.NAME: great_britain.URL,
    watttime.NAME: watttime.URL,
}
NAMES = tuple(URLS)
WITHOUT_TOKEN = frozenset({great_britain.NAME})
LARGEST_TOKEN_FILE_BYTES = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How one provider is asked.

    Attributes:
        name: Of the provider.
        url: Its address.
        token: Secret; empty where there is none. Never shown.
        zones: Ours -> theirs.
    """

    name: str
    url: str
    token: str = field(default="", repr=False)
    zones: Mapping[str, str]

    def zone(self, ours: str) -> str | Nothing:
        """Return what the provider calls a zone of ours, or that it is not known: never a guess."""
        found = self.zones.get(ours)
        if found is None:
            return Nothing(
                reason=UNKNOWN_ZONE,
                text=f"it is not known what {self.name} calls zone {ours!r}: set {_variable(self.name, 'ZONES')}={ours}=THEIRS",
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Who is switched on.

    Attributes:
        accesses: In the order in which they are asked; empty where nobody is.
        basis: direct or lifecycle; empty for what each gives by itself.
    """

    accesses: tuple[Access, ...] = ()
    basis: str = ""


def load_provider_settings(environment: Mapping[str, str] | None = None) -> ProviderSettings:
    """Return who is switched on.

    Args:
        environment: Variables; the process's own by default.

    Raises:
        BadInput: A name, an address, a token or a zone cannot be taken. No token is shown.
    """
    variables = os.environ if environment is None else environment
    names = [name.strip() for name in variables.get(SWITCH, "").split(",") if name.strip()]
    for name in names:
        if name not in NAMES:
            raise BadInput(f"{SWITCH} names {name[:60]!r}, which is none of: {', '.join(NAMES)}")
    if len(set(names)) < len(names):
        raise BadInput(f"{SWITCH} names a provider twice: {', '.join(names)}")
    basis = variables.get(BASIS, "").strip()
    if basis and basis not in BASES:
        raise BadInput(f"{BASIS} is direct or lifecycle, not {basis[:60]!r}")
    return ProviderSettings(accesses=tuple(_access(name, variables) for name in names), basis=basis)


def _access(name: str, variables: Mapping[str, str]) -> Access:
    return Access(
        name=name,
        url=base_url(variables.get(_variable(name, "URL"), "") or URLS[name]),
        token="" if name in WITHOUT_TOKEN else _token(name, variables),
        zones={**_zones(name), **_own_zones(name, variables)},
    )


def _zones(name: str) -> Mapping[str, str]:
    if name == electricitymaps.NAME:  # it calls countries by the same two letters
        return {zone: zone for zone in all_zones() if zone != WORLD}
    return {
        entsoe.NAME: entsoe.ZONES,
        great_britain.NAME: great_britain.ZONES,
        watttime.NAME: watttime.ZONES,
    }[name]


def _own_zones(name: str, variables: Mapping[str, str]) -> dict[str, str]:
    variable = _variable(name, "ZONES")
    zones = {}
    for pair in variables.get(variable, "").split(","):
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if pair.strip():
            if not equals or not ours or not theirs:
                raise BadInput(f"{variable} is written as OURS=THEIRS,OURS=THEIRS, not {pair.strip()[:60]!r}")
            zones[ours] = theirs
    return zones


def _token(name: str, variables: Mapping[str, str]) -> str:
    plain, in_file = _variable(name, "TOKEN"), _variable(name, "TOKEN_FILE")
    token, said = variables.get(plain, ""), plain
    if not token and (path := variables.get(in_file, "")):
        said = in_file
        try:
            with Path(path).open("rb") as file:
                token = file.read(LARGEST_TOKEN_FILE_BYTES).decode("ascii").strip()
        except (OSError, UnicodeError):
            raise BadInput(f"{in_file} {path!r} cannot be read, or holds no token") from None
    if not token:
        raise BadInput(f"{name} wants a token: set {plain} or {in_file}")
    if not all("!" <= character <= "~" for character in token):
        raise BadInput(f"{said} holds a character that no token has")
    return token


def _variable(name: str, what: str) -> str:
    return f"JOULEBOOK_{name.upper()}_{what}"
