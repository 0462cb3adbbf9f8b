"""Lays text out for a terminal of any width, and for a pipe: grids, trees, wrapped sentences.

A pipe gets every column in full and no colour, so that what is read by programs and `grep` stays the same on every screen. Written
by hand rather than with rich, whose import alone takes a fifth of the time in which a reading command has to answer.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TextIO

GAP = "  "
_WORDS = re.compile(r"(?:`[^`]*`|\S)+")
NARROWEST_TEXT = 8
SHORTEST_PREFIX = 8
NARROW_TEXT = 16
NARROWEST_PAGE = 40
_CODES = {"bold": "1", "dim": "2", "green": "32", "yellow": "33", "red": "31", "cyan": "36"}


class Page(NamedTuple):
    """What is written on.

    Attributes:
        width: Columns of a terminal; 0 for a pipe or a file, where nothing is cut or left out.
        colour: Whether styles are shown.
    """

    width: int = 0
    colour: bool = False

    def styled(self, text: str, style: str) -> str:
        """Return the text in a style (of bold, dim, green, yellow, red, cyan, or none), where the page shows styles."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.colour and style and text else text


class Column(NamedTuple):
    """One column of a grid.

    Attributes:
        title: Its heading.
        right: Whether it is flush right, as numbers are.
        shrinks: Whether long texts in it may be cut.
        leaves: 0 for a column that always stays; of the others the greatest number leaves a narrow page first.
    """

    title: str
    right: bool = False
    shrinks: bool = False
    leaves: int = 0


def page_of(stream: TextIO, environment: Mapping[str, str]) -> Page:
    """Return the page that a stream is: a pipe has no width and no colour; NO_COLOR and TERM=dumb are respected."""
    if not stream.isatty():
        return Page()
    width = max(NARROWEST_PAGE, shutil.get_terminal_size((80, 24)).columns)
    dull = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
    return Page(width=width, colour=not dull)


def clean(text: str) -> str:
    """Return the text without what could steer a terminal: labels come from outside."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "�" for letter in text)


def width_of(text: str) -> int:
    """Return how many columns a text takes on a terminal.

    >>> width_of("Wh"), width_of("電力")
    (2, 4)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def grid(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], page: Page, styles: Mapping[int, str] | None = None,
) -> str:  # fmt: skip
    """Return a table with a heading.

    Args:
        columns: Its columns; one without any text is left out.
        rows: Cells as texts, one per column.
        page: What it is written on.
        styles: Number of a row -> its style.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max([width_of(c.title), *(width_of(row[i]) for row in cells)]) for i, c in enumerate(columns)]
    kept = [i for i in range(len(columns)) if any(row[i] for row in cells)]
    kept = _fitting(columns, widths, kept, page.width)
    heading = _line([(columns[i].title, widths[i], columns[i].right) for i in kept])
    lines = [page.styled(heading, "dim")]
    for number, row in enumerate(cells):
        line = _line([(_cut(row[i], widths[i]), widths[i], columns[i].right) for i in kept])
        lines.append(page.styled(line, (styles or {}).get(number, "")))
    return "\n".join(lines)


def pairs(items: Iterable[tuple[str, str]], page: Page, indent: str = "") -> str:
    """Return name and value in two columns; values wrap under themselves, an empty value leaves its line out."""
    shown = [(name, clean(value)) for name, value in items if value]
    widest = max((width_of(name) for name, _ in shown), default=0)
    lines = []
    for name, value in shown:
        first = f"{indent}{name}{' ' * (widest - width_of(name))}{GAP}"
        head, *rest = wrapped(value, page, taken=width_of(first))
        lines.append(f"{page.styled(first, 'dim')}{head}")
        lines.extend(f"{' ' * width_of(first)}{line}" for line in rest)
    return "\n".join(lines)


def wrapped(text: str, page: Page, taken: int = 0) -> list[str]:
    """Return a text in lines that fit beside what is taken; a `command` and a long word stay whole, so that they can be copied."""
    room = max(NARROWEST_PAGE // 2, page.width - taken)
    if not page.width or width_of(text) <= room:
        return [text]
    lines: list[str] = []
    line = ""
    for word in _WORDS.findall(text):
        longer = f"{line} {word}" if line else word
        if line and width_of(longer) > room:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line]


def sentence(text: str, page: Page, style: str = "") -> str:
    """Return a sentence, wrapped and styled."""
    return "\n".join(page.styled(line, style) for line in wrapped(clean(text), page))


def branches(children: Sequence[tuple[str, Sequence[object]]], page: Page, stem: str = "") -> list[str]:
    """Return the lines of a tree below its root.

    Args:
        children: Text of a node, and its own children in the same form.
        page: What it is written on.
        stem: What stands before every line.
    """
    lines: list[str] = []
    for number, (text, below) in enumerate(children):
        last = number == len(children) - 1
        head, *rest = wrapped(clean(text), page, taken=len(stem) + 3)
        lines.append(f"{stem}{'└─ ' if last else '├─ '}{head}")
        deeper = f"{stem}{'   ' if last else '│  '}"
        lines.extend(f"{deeper}{line}" for line in rest)
        lines.extend(branches(below, page, deeper))  # type: ignore[arg-type]  # mypy cannot say a tree of tuples
    return lines


def shortest_prefixes(ids: Sequence[str]) -> dict[str, str]:
    """Return the shortest beginning of each id that no other of them shares, of at least 8 characters.

    >>> shortest_prefixes(["aaaabbbbccccd", "aaaabbbbcccce", "zzzzzzzzzzzz"])
    {'aaaabbbbccccd': 'aaaabbbbccccd', 'aaaabbbbcccce': 'aaaabbbbcccce', 'zzzzzzzzzzzz': 'zzzzzzzz'}
    """
    ordered = sorted(set(ids))
    prefixes = {}
    for number, name in enumerate(ordered):
        beside = ordered[max(0, number - 1) : number] + ordered[number + 1 : number + 2]
        shared = max((_shared(name, other) for other in beside), default=0)
        prefixes[name] = name[: max(SHORTEST_PREFIX, shared + 1)]
    return prefixes


def write(text: str, stream: TextIO) -> None:
    """Write a text and a newline; where whoever read has left (`| head`), end quietly as any filter does.

    Raises:
        SystemExit: With the status of a program that a closed pipe ended.
    """
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except UnicodeEncodeError:
        stream.write(f"{text}\n".encode(stream.encoding or "ascii", "replace").decode(stream.encoding or "ascii"))
        stream.flush()
    except BrokenPipeError:
        _leave_quietly(stream)


def _leave_quietly(stream: TextIO) -> None:
    """Point the stream at nothing, so that the interpreter's own flush at exit does not complain either."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    raise SystemExit(141)  # 128 + SIGPIPE, as a shell reports it


def _fitting(columns: Sequence[Column], widths: list[int], kept: list[int], width: int) -> list[int]:
    """Return which columns stay, and narrow in `widths` those that shrink: a little first, far only once no column can leave."""
    while width:
        over = sum(widths[i] for i in kept) + len(GAP) * (len(kept) - 1) - width
        if over <= 0:
            break
        leaving = max((i for i in kept if columns[i].leaves), key=lambda i: columns[i].leaves, default=None)
        least = NARROWEST_TEXT if leaving is None else NARROW_TEXT
        slack = {i: widths[i] - max(least, width_of(columns[i].title)) for i in kept if columns[i].shrinks}
        if leaving is not None and sum(max(0, room) for room in slack.values()) < over:
            kept = [i for i in kept if i != leaving]
        elif any(room > 0 for room in slack.values()):
            widths[max((i for i in slack if slack[i] > 0), key=lambda i: widths[i])] -= 1
        else:
            break
    return kept


def _cut(text: str, width: int) -> str:
    if width_of(text) <= width:
        return text
    kept = ""
    for letter in text:
        if width_of(kept + letter) > width - 1:
            break
        kept += letter
    return f"{kept}…"


def _line(cells: Iterable[tuple[str, int, bool]]) -> str:
    laid = []
    for text, width, right in cells:
        space = " " * (width - width_of(text))
        laid.append(f"{space}{text}" if right else f"{text}{space}")
    return GAP.join(laid).rstrip()


def _shared(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
