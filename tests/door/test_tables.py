"""Text for terminals of any width, and for pipes."""

from __future__ import annotations

import io
import os

import pytest
from helpers.front_door import Screen
from hypothesis import given
from hypothesis import strategies as st

from joulebook.tables import Column, Page, branches, clean, grid, page_of, pairs, width_of, wrapped, write

COLUMNS = [
    Column("NAME", shrinks=True),
    Column("KIND", leaves=2),
    Column("ENERGY", right=True),
    Column("NOTE", leaves=1),
]
CELLS = st.text(alphabet=st.characters(codec="utf-8"), max_size=40)


@given(st.lists(st.tuples(CELLS, CELLS, st.just("1.23 Wh"), CELLS), max_size=5), st.integers(40, 120))
def test_a_table_never_runs_over_a_terminal(rows: list[tuple[str, ...]], width: int) -> None:
    """Whatever the cells hold, columns shrink or leave until the lines fit."""
    lines = grid(COLUMNS, rows, Page(width=width)).split("\n")
    assert [line for line in lines if width_of(line) > width] == []
    assert len(lines) == len(rows) + 1


@given(st.lists(st.tuples(CELLS, CELLS, st.just("1.23 Wh"), CELLS), min_size=1, max_size=5))
def test_a_pipe_gets_everything_in_full(rows: list[tuple[str, ...]]) -> None:
    """Nothing is cut and no column is left out but an empty one."""
    lines = grid(COLUMNS, rows, Page()).split("\n")
    for line, row in zip(lines[1:], rows, strict=True):
        assert all(clean(cell).rstrip() in line for cell in row)


def test_numbers_leave_a_narrow_terminal_last() -> None:
    """The columns that may leave go first, in their order; long names are cut."""
    rows = [["a very long name of a model", "training", "1.23 Wh", "a note of some length"]]
    assert (
        grid(COLUMNS, rows, Page(width=40))
        == "NAME                          ENERGY\na very long name of a model  1.23 Wh"
    )
    assert grid(COLUMNS, [["n" * 60, "", "1.23 Wh", ""]], Page(width=40)).split("\n")[1] == "n" * 30 + "…  1.23 Wh"


def test_a_label_cannot_steer_the_terminal() -> None:
    """Escape sequences and marks that turn the line round are shown as what they are not."""
    assert clean("a\x1b[2Jb\u202ec\x9b") == "a�[2Jb�c�"


def test_wide_letters_take_two_columns() -> None:
    """Columns stay flush beside a Japanese model name."""
    table = grid([Column("MODEL"), Column("X")], [["電力", "1"], ["ab", "2"]], Page())
    assert table.split("\n")[1:] == ["電力   1", "ab     2"]


def test_words_wrap_and_a_command_stays_whole() -> None:
    """What is to be copied is never cut."""
    command = "`joulebook init --zone FR --price 0.25 --yes`"
    assert wrapped(f"write {command}, now", Page(width=40)) == ["write", f"{command},", "now"]
    assert pairs([("a", "one two"), ("bb", ""), ("ccc", "x")], Page()) == "a    one two\nccc  x"


def test_a_tree_shows_who_belongs_to_whom() -> None:
    """The last child closes its branch."""
    tree = [("root", [("one", [("deep", [])]), ("two", [])])]
    assert branches(tree, Page()) == ["└─ root", "   ├─ one", "   │  └─ deep", "   └─ two"]


def test_colour_is_for_people_who_look_and_did_not_refuse_it() -> None:
    """A pipe, NO_COLOR and a dumb terminal get none."""
    assert page_of(io.StringIO(), {}) == Page(width=0, colour=False)
    assert page_of(Screen(), {}).colour
    assert not page_of(Screen(), {"NO_COLOR": "1"}).colour
    assert not page_of(Screen(), {"TERM": "dumb"}).colour
    assert Page(colour=False).styled("x", "red") == "x"


def test_an_old_terminal_gets_what_it_can_show() -> None:
    """A letter outside its alphabet becomes a question mark, never an error."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    write("1 ± 2", stream)
    stream.seek(0)
    assert stream.read() == "1 ? 2\n"


def test_a_reader_who_leaves_ends_the_command_quietly() -> None:
    """Writing into a closed pipe ends with the status of SIGPIPE and no complaint."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream, pytest.raises(SystemExit) as ended:
        write("x" * 100_000, stream)
    assert ended.value.code == 141
