"""docs/cli.md is what the commands say of themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from helpers.source import ROOT


def test_the_document_of_the_command_line_is_current() -> None:
    """Every --help, word for word."""
    maker = ROOT / "tests" / "helpers" / "cli_document.py"
    paths = os.pathsep.join(str(ROOT / room) for room in (".", "ledger", "collectors", "api"))
    made = subprocess.run(
        [sys.executable, maker], env={"PYTHONPATH": paths, "PYTHONUTF8": "1"}, capture_output=True, check=True
    ).stdout
    known = Path(ROOT / "docs" / "cli.md").read_bytes()
    assert made == known, f"run: python {maker.relative_to(ROOT)} > docs/cli.md"
