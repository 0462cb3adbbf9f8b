"""Replays the first ten minutes of somebody who has never seen Joulebook, and writes them down.

    python tests/helpers/ten_minutes.py [--install] > docs/first-ten-minutes.md

Every command is run for real, at a terminal of its own, in a home of its own; with --install also `pip install .`, into an empty
environment. A test replays the same commands and compares what they say, but for the numbers.
"""

from __future__ import annotations

import os
import platform
import pty
import re
import struct
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 96
PROSE_WIDTH = 120
_IN_WORDS = ("none", "one", "two", "three", "four", "five")
INSTALL = "pip install ."
COMMANDS_TO_A_FOOTPRINT = 5


class Step(NamedTuple):
    """One command and the words that introduce it."""

    words: str
    command: str


STEPS = [
    Step("An empty environment, and this repository:", INSTALL),
    Step(
        "Where the machine stands and what its electricity costs. Without options `joulebook init` asks, with offers from time zone and "
        "locale; either way nothing is guessed, and every figure keeps its source.",
        "joulebook init --zone FR --price 0.25 --currency EUR --yes",
    ),
    Step(
        "Any command can be measured as it is. This one trains a small neural net in plain Python and logs its held-out accuracy with "
        "`joulebook.log(accuracy=…)`; the last line is its footprint: energy with its uncertainty and method, cost, CO2e.",
        "joulebook run --model net-8 --task moons --stage training -- python examples/train.py 8",
    ),
    Step("A second model, to have something to compare:", "joulebook run --model net-64 --task moons --stage training -- python examples/train.py 64"),
    Step("The last run. What is not known is named, with the command that supplies it:", "joulebook show"),
    Step("Which model is worth its energy? The book leaves no choice of task or score, so nothing need be said:", "joulebook rank"),
    Step("And where does a figure come from?", "joulebook why last cost"),
]  # fmt: skip
_TITLE = """\
# The first ten minutes

From an empty environment to a footprint with energy, cost and CO2e in {number} commands. Written down by
`tests/helpers/ten_minutes.py` from what the commands really said{where}; a test replays it.
`scripts/tour` replays all of it on your machine, `pip install .` included.
"""
_CLOSING = """\
Nothing was measured on this machine but its processor's and memory's load, for it is a virtual one: a model stands in, and every
figure says so (`modelled`, 0 % metered, grade C). `joulebook doctor` says what each meter of your machine needs.

How long an answer takes, interpreter start included, on a book of 1,000 runs: in SQLite 0.13 s for `show`, `runs` and `why`, 0.20 s
for `report` and `rank`; in PostgreSQL on the same machine 0.25 to 0.34 s (wall clock, medians of seven by
`benchmarks/reading_commands.py [--postgres]`, on a virtual machine of 2 cores with nothing else to do).

To measure from inside a script instead, see [the README](../README.md); for real models, `joulebook quickstart`.
"""


def replay(folder: Path, *, bin_folder: Path, install: bool = False) -> dict[str, str]:
    """Run the commands in order and return what each wrote at its terminal.

    Raises:
        RuntimeError: One of them failed; the text says which and how.
    """
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("LANG", "PYTHONPATH", "TMPDIR") if name in os.environ}
    environment = {
        **kept,
        "HOME": str(home),
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "NO_COLOR": "1",
        "TERM": "xterm",
    }
    if install:
        environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        environment["HOME"] = os.environ.get("HOME", str(home))  # pip's own settings lie there
        environment |= {
            "JOULEBOOK_HOME": f"{home}/.local/share/joulebook",
            "JOULEBOOK_SPOOL": f"{home}/.local/state/joulebook",
        }
    said = {}
    for step in STEPS:
        if step.command != INSTALL:
            said[step.command] = _clean(at_a_terminal(step.command, environment), home)
        elif install:
            at_a_terminal(f"{INSTALL} --quiet", environment)
            said[step.command] = ""
    return said


def at_a_terminal(command: str, environment: Mapping[str, str]) -> str:
    """Run a command of the shell at a terminal and return what was written there."""
    import fcntl
    import termios

    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 40, WIDTH, 0, 0))
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
        env=dict(environment),
        cwd=ROOT,
    )
    os.close(writing)
    written = b""
    while True:
        try:
            piece = os.read(reading, 65_536)
        except OSError:  # Linux ends a terminal that nobody holds any more in this way
            break
        if not piece:
            break
        written += piece
    os.close(reading)
    text = written.decode().replace("\r\n", "\n")
    if process.wait():
        raise RuntimeError(f"$ {command}\n{text}\nended with {process.returncode}")
    return text


def document(said: Mapping[str, str], where: str) -> str:
    """Return the transcript as a page."""
    to_footprint = next(number for number, step in enumerate(STEPS, 1) if step.command.startswith("joulebook run"))
    parts = [_TITLE.format(number=_IN_WORDS[to_footprint], where=where)]
    for step in STEPS:
        words = textwrap.fill(step.words, PROSE_WIDTH, break_on_hyphens=False)
        parts.append(f"{words}\n\n```console\n$ {step.command}\n{said.get(step.command, '')}```\n")
    return "\n".join([*parts, _CLOSING])


def transcript(page: str) -> dict[str, str]:
    """Return the commands of a page and what stands below each."""
    blocks = re.findall(r"^```console\n\$ (.+)\n((?:.*\n)*?)```$", page, flags=re.MULTILINE)
    return dict(blocks)


def shape(said: Mapping[str, str]) -> dict[str, str]:
    """Return a transcript with whatever differs between machines and times taken out."""
    host = re.search(r"^ +site +(\S+): ", said[STEPS[1].command], flags=re.MULTILINE)
    assert host is not None, "init says which site it made"
    shaped = {
        command: _without_numbers(re.sub(rf"\b{re.escape(host[1])}\b", "HOST", text)) for command, text in said.items()
    }
    why = STEPS[-1].command  # how it goes on depends on the meters of the machine
    return shaped | {why: " ".join(shaped[why].split(" ")[:9])}


def _without_numbers(text: str) -> str:
    for pattern, instead in (
        (r"\n +recorded .*", ""),
        (r"\bm-[0-9a-f]{32}\b", "MACHINE"),
        (r"\b[0-9a-f]{8,}\b", "ID"),
        (r"(\d[\d.]* (min|h|d|s)\b ?)+", "TIME"),
        (r"<?\d[\d,.]*(e-\d+)?", "#"),
        (r"# [nµmk]?(Wh|g|l)\b", r"# \1"),
        (r"\((modelled|measured|# % measured)\)", "(METHOD)"),
        (r"Grade [A-E]", "Grade X"),
        (r"; # .*", ""),
        (r"\s+", " "),
    ):
        text = re.sub(pattern, instead, text)
    return text


def _clean(text: str, home: Path) -> str:
    return text.replace(str(home), "…").replace("…/.local/share", "…").rstrip("\n") + "\n"


def main() -> int:
    """Replay and print the page."""
    install = "--install" in sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="joulebook-tour-") as name:
        folder = Path(name)
        bin_folder = Path(sys.executable).parent
        if install:
            subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
            bin_folder = folder / "venv" / "bin"
        said = replay(folder, bin_folder=bin_folder, install=install)
    where = f" (Python {platform.python_version()}, {platform.system()})"
    sys.stdout.write(document(said, where))
    return 0


if __name__ == "__main__":
    sys.exit(main())
