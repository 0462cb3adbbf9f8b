"""What is installed at a user's: the wheel, built here and looked into."""

from __future__ import annotations

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers.source import ROOMS, ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_brings_four_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Nothing of ours can collide with a user's own `api`, `ledger` or `alembic`."""
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(ROOMS)


def test_every_file_of_the_rooms_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    """Modules, data files and the marks of typed packages are all there."""
    wanted = {
        f"{package}/{path.relative_to(ROOT / room).as_posix()}"
        for package, room in ROOMS.items()
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {f"{package}/py.typed" for package in ROOMS} <= wanted
    assert wanted - set(wheel.namelist()) == set()


def test_the_wheel_carries_the_migrations(wheel: zipfile.ZipFile) -> None:
    """An installed Joulebook can make and upgrade a book without the repository."""
    migrations = {path.name for path in (ROOT / "alembic/versions").glob("*.py")}
    carried = {Path(name).name for name in wheel.namelist() if name.startswith("joulebook_ledger/migrations/versions/")}
    assert migrations
    assert carried == migrations
    assert "joulebook_ledger/migrations/env.py" in wheel.namelist()


def test_the_command_of_the_wheel_leads_to_a_function_that_is_there(wheel: zipfile.ZipFile) -> None:
    """`joulebook` starts something."""
    meta = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    entry = configparser.ConfigParser()
    entry.read_string(wheel.read(meta).decode())
    module, _, function = entry["console_scripts"]["joulebook"].partition(":")
    source = wheel.read(f"{module.replace('.', '/')}.py").decode()
    assert f"def {function}(" in source


def test_the_licence_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    """The Apache licence asks for it."""
    name = next(name for name in wheel.namelist() if name.endswith("licenses/LICENSE"))
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()
