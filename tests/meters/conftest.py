"""Machines that tests of meters ask for."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.machines import Machine, lay_out


@pytest.fixture
def machine() -> Iterator[Callable[[str], Machine]]:
    """Return what lays out a recorded machine, where every user may reach it."""
    folder = Path(tempfile.mkdtemp(prefix="joulebook-machine-"))
    folder.chmod(0o755)
    yield lambda name: lay_out(name, folder)
    shutil.rmtree(folder)
