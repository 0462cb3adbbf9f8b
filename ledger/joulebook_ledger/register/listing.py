"""The register as bodies: factors and prices by the page, sites and placements whole."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, cast

from joulebook_ledger.core.factors import FACTOR_UNITS
from joulebook_ledger.core.pedigree import pedigree
from joulebook_ledger.core.periods import time_text
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.vocabulary import require_choice
from joulebook_ledger.register.rows import row_of_factor, row_of_placement, row_of_site
from joulebook_ledger.store import reads_register

if TYPE_CHECKING:
    from joulebook_ledger.bodies import FactorBody, FactorsBody, SitesBody
    from joulebook_ledger.core.factors import Factor
    from joulebook_ledger.queries import FactorsQuery
    from joulebook_ledger.store.rows import Rows


def list_factors(rows: Rows, query: FactorsQuery) -> FactorsBody:
    """Return a page of factors or prices that no correction voids, in the order of kind, object, provider, validity and version.

    Raises:
        BadInput: A kind or cursor that is none.
    """
    for kind in query.kinds:
        require_choice(kind, "kind", tuple(FACTOR_UNITS))
    wanted = reads_register.Wanted(
        query.kinds or tuple(FACTOR_UNITS), query.object, query.provider, query.at_ms, _place_of(query.cursor), query.limit + 1
    )  # fmt: skip
    found = reads_register.factors(rows, wanted)
    page, more = found[: query.limit], found[query.limit :]
    return {
        "items": [_factor_body(since.fact, since.received_ms) for since in page],
        "next_cursor": _cursor_of(page[-1].fact) if more else None,
        "currency": reads_register.currency(rows) or None,
    }


def list_sites(rows: Rows) -> SitesBody:
    """Return every site and where every machine stands, as they were entered; of one instant the latest holds."""
    return cast("SitesBody", {
        "items": [{**row_of_site(s.fact), "known_since": time_text(s.received_ms)} for s in reads_register.sites(rows)],
        "placements": [
            {**row_of_placement(s.fact), "known_since": time_text(s.received_ms)} for s in reads_register.placements(rows)
        ],
    })  # fmt: skip


def _factor_body(factor: Factor, received_ms: int) -> FactorBody:
    quality = pedigree(factor)
    known = {"known_since": time_text(received_ms), "grade": quality.grade, "pedigree": quality.words}
    return cast("FactorBody", {**row_of_factor(factor), **known})


def _cursor_of(factor: Factor) -> str:
    key = [factor.kind, factor.object, factor.provider, factor.valid_from_ms, factor.version]
    return urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode()


def _place_of(cursor: str) -> list[str | int]:
    if not cursor:
        return []
    try:
        key = json.loads(urlsafe_b64decode(cursor.encode()))
        kinds = [type(part) for part in key]
    except (ValueError, TypeError):
        kinds = []
    if kinds != [str, str, str, int, str]:
        raise BadInput(f"cursor {cursor[:60]!r} is none of this list: take it from next_cursor of the page before")
    return list(key)
