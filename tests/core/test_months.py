from pathlib import Path

import pytest
from helpers.months import tell

MONTHS = sorted((Path(__file__).parent.parent / "months").glob("*.txt"))


@pytest.mark.parametrize("path", MONTHS, ids=lambda path: path.stem)
def test_a_month_told_is_a_month_booked(path):
    """Each file tells a book's life; what is posted and what stands must be what it says, to the last unit."""
    tables = list(tell(path.read_text()))
    assert tables, "a month that shows nothing"
    for line, expected, found in tables:
        assert found == expected, f"{path.name}:{line}"
