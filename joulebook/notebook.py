"""`%%track`: one cell, one run. `%load_ext joulebook` registers it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from joulebook.tracking import track
from joulebook_collectors.host.guard import say_once

if TYPE_CHECKING:
    from joulebook.run import Run

KEYWORDS = (
    "model", "version", "task", "stage", "project", "team", "name", "base_model", "sweep", "scope", "budget", "ledger", "tags",
)  # fmt: skip


def register(shell: Any) -> None:
    """Give a shell the magic."""
    shell.register_magic_function(lambda line, cell: run_cell(shell, line, cell), magic_kind="cell", magic_name="track")


def run_cell(shell: Any, line: str, cell: str) -> Run:
    """Run a cell as a run, and return it, so that the notebook shows it: `%%track model=resnet50 task=imagenet`."""
    tracker = track(**parse_line(line))
    with tracker as run:
        shell.run_cell(cell).raise_error()
    tracked: Run = run
    return tracked


def parse_line(line: str) -> dict[str, str]:
    """Return the keywords of a line such as `model=resnet50 task="image net"`; what is none is said and left out.

    >>> parse_line('model=resnet50 task="image net"')
    {'model': 'resnet50', 'task': 'image net'}
    """
    given = {}
    for part in shlex.split(line):
        name, equals, value = part.partition("=")
        if equals and name in KEYWORDS:
            given[name] = value
        else:
            say_once(f"%%track: {part!r} is none of: {', '.join(f'{keyword}=…' for keyword in KEYWORDS)}")
    return given
