"""Worked closes as tables, in the words of an accountant: tests/closings says the language and holds them."""

from pathlib import Path

import pytest
from helpers.closings import tell

FILES = sorted((Path(__file__).parent.parent / "closings").glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_close_gives_what_an_accountant_expects(path: Path, book_url: str) -> None:
    """Every table of the file, row by row."""
    tables = 0
    for line, expected, found in tell(path.read_text(encoding="utf-8"), book_url):
        assert found == expected, f"{path.name}:{line}"
        tables += 1
    assert tables
