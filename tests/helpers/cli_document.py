"""Makes docs/cli.md from the commands themselves: `python tests/helpers/cli_document.py > docs/cli.md`."""

from __future__ import annotations

import contextlib
import io
import os
import sys

WIDTH = "100"
TITLES = {"track": "Track", "look": "Look", "books": "Books", "service": "Run a service"}
INTRODUCTION = """\
# The command line

Made from the commands themselves by `tests/helpers/cli_document.py`; a test keeps it current.

- Answers go to stdout, everything else to stderr. On a terminal tables fit its width; in a pipe they are whole and without colour.
- `--json` writes the body that REST sends, unrounded. RUN is a run's id or its beginning, and the last run where it is left out.
- Before it answers, a command recovers and delivers what this host's readers left in the spool, and books it.
- Exit codes: 0 done; 1 looked and found wrong (`verify`, `doctor`), or the system refused; 2 what was given cannot be taken;
  3 the ledger cannot be reached; 130 ended by Ctrl-C; 141 ended by a closed pipe. The exit code of `joulebook run` is that of its command.
- `JOULEBOOK_LEDGER` names the book: `sqlite:///…`, `postgresql+psycopg://…`, `http(s)://…`, or a drop-box `file:///…` that readers
  write into and that has no reports of its own.
"""


def document() -> str:
    """Return the document."""
    from joulebook.commands.main import PANELS

    parts = [INTRODUCTION, _help([])]
    for panel, names in PANELS.items():
        if panel in TITLES:
            parts.append(f"## {TITLES[panel]}\n")
        parts += [f"### joulebook {name}\n\n{_help([name])}" for name in names]
    return "\n".join(parts)


def _help(words: list[str]) -> str:
    from joulebook.commands.main import main

    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        main([*words, "--help"])
    text = "\n".join(line.rstrip() for line in written.getvalue().strip("\n").splitlines()).strip("\n")
    return f"```text\n{text}\n```\n"


if __name__ == "__main__":
    os.environ.update(COLUMNS=WIDTH, TERM="dumb", NO_COLOR="1", _TYPER_FORCE_DISABLE_TERMINAL="1")
    sys.stdout.buffer.write(document().encode())
