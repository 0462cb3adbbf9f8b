"""A row's text: what receipts are digests of, the same in every version."""

from __future__ import annotations

import pytest
from helpers.stored_book import grid

from joulebook_ledger.core.factors import Site
from joulebook_ledger.core.facts import Fact
from joulebook_ledger.core.wire import to_wire
from joulebook_ledger.store.shapes import row_of, row_text

GRID = "factor,13:grid_location,2:FR,4:desk,0,2:v1,,50000000,6:ug/kWh,5:final,5:exact,0,6:a test,0:,0:"
SITE = "site,2:s1,0,1:1,2:FR,5:owned"


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (grid(), GRID),
        (grid(basis="direct"), f"{GRID},basis=6:direct"),
        (
            grid(evidence_name="a.csv", evidence_digest="00ff"),
            f"{GRID},evidence_name=5:a.csv,evidence_digest=4:00ff",
        ),
        (Site(site="s1", zone="FR", version="1"), SITE),
        (Site(site="s1", zone="FR", version="1", region="eu-west-3"), f"{SITE},region=9:eu-west-3"),
    ],
)
def test_what_came_later_is_said_only_where_it_is_not_empty(fact: Fact, text: str) -> None:
    """So the receipts of books that were kept before it existed are what they were."""
    shape, row = row_of(fact, "desk")
    assert row_text(shape.table, row) == text


def test_a_fact_of_before_is_sent_as_before() -> None:
    """And so are its batches."""
    assert set(to_wire(grid())) == {"kind", "object", "provider", "version", "value", "unit", "source"}
