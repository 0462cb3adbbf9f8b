"""The code keeps the rules of the house, and each rule can tell right from wrong."""

from __future__ import annotations

import re
import tomllib

import pytest
from helpers.house_rules import BROAD_EXCEPTS, CLOCKS, RULES, Rule
from helpers.source import CORE, ROOT, Source, project

CORE_FILE = f"{CORE}booking.py"
STORE_FILE = "ledger/joulebook_ledger/store/facts.py"
CASE_FILE = "ledger/joulebook_ledger/book.py"
METER_FILE = "collectors/joulebook_collectors/meters/rapl.py"
DOOR_FILE = "joulebook/tables.py"
TEST_FILE = "tests/test_something.py"
LONG_FUNCTION = "def f():\n" + "    g()\n" * 60
UNFINISHED = "FIX" + "ME"

# rule, file, what breaks it there, and its nearest neighbour that does not
PLANTED = [
    ("file_is_short", CASE_FILE, "x = 1\n" * 401, "x = 1\n" * 400),
    ("functions_are_short", CASE_FILE, LONG_FUNCTION, LONG_FUNCTION.replace("    g()\n", "", 1)),
    ("packages_are_where_they_belong", "alembic/__init__.py", "", None),
    ("packages_are_where_they_belong", "tests/core/__init__.py", "", None),
    ("packages_are_where_they_belong", "ledger/joulebook_ledger/__init__.py", '"""A."""\nimport os', '"""A."""'),
    (
        "calls_are_allowed",
        CASE_FILE,
        "import datetime\ndatetime.datetime.utcnow()",
        "import datetime\ndatetime.date(1, 1, 1)",
    ),
    (
        "calls_are_allowed",
        TEST_FILE,
        "from datetime import datetime as d\nd.now()",
        "from datetime import datetime as d\nd.now(1)",
    ),
    (
        "calls_are_allowed",
        TEST_FILE,
        "from datetime import datetime\ndatetime.fromtimestamp(1)",
        "datetime.fromtimestamp(1, UTC)",
    ),
    ("calls_are_allowed", CASE_FILE, "import time\ntime.time_ns()", "import time\ntime.monotonic_ns()"),
    ("calls_are_allowed", METER_FILE, "print(1)", "sprint(1)"),
    ("calls_are_allowed", METER_FILE, "from fcntl import flock\nflock(1, 2)", "from fcntl import lockf\nlockf(1, 2)"),
    ("calls_are_allowed", CORE_FILE, "round(1)", "units.div_floor(1, 2)"),
    ("calls_are_allowed", CORE_FILE, "float('1')", "int('1')"),
    ("calls_are_allowed", CORE_FILE, "open('x')", "io_free('x')"),
    ("calls_are_allowed", TEST_FILE, "monkeypatch.setattr(a, 'b', 1)", "monkeypatch.setenv('A', 'b')"),
    ("imports_are_allowed", TEST_FILE, "from unittest import mock", "import unittest"),
    ("imports_are_allowed", TEST_FILE, "from unittest.mock import patch", "from unittest import TestCase"),
    ("imports_are_allowed", CASE_FILE, "import httpx", "import httpx2"),
    ("imports_are_allowed", CORE_FILE, "def f():\n    import os", "def f():\n    import math"),
    ("imports_are_allowed", CORE_FILE, "import sqlalchemy", "from joulebook_ledger.core.units import muldiv"),
    ("imports_are_allowed", CORE_FILE, "from joulebook_ledger import book", "from joulebook_ledger.core import units"),
    ("imports_are_allowed", CORE_FILE, "from . import units", "from joulebook_ledger.core import units"),
    (
        "imports_are_allowed",
        STORE_FILE,
        "from joulebook_ledger.book import book",
        "from joulebook_ledger.store import laws",
    ),
    ("imports_are_allowed", METER_FILE, "import pynvml", "import nvml"),
    ("imports_are_allowed", METER_FILE, "import joulebook_ledger.store.facts", "import joulebook_ledger.core.wire"),
    ("imports_are_allowed", METER_FILE, "from joulebook_api import app", "from joulebook_ledger import client"),
    ("imports_are_allowed", CASE_FILE, "from joulebook import track", "from joulebook_ledger.store import facts"),
    ("core_divides_integers", CORE_FILE, "a / b", "a // b"),
    ("core_divides_integers", CORE_FILE, "a /= b", "a //= b"),
    ("core_divides_integers", CORE_FILE, "x = 1.5", "x = 15"),
    ("excepts_are_narrow", CASE_FILE, "try:\n    f()\nexcept:\n    g()", "try:\n    f()\nexcept OSError:\n    g()"),
    (
        "excepts_are_narrow",
        CASE_FILE,
        "try:\n    f()\nexcept (OSError, Exception):\n    g()",
        "try:\n    f()\nfinally:\n    g()",
    ),
    (
        "excepts_are_narrow",
        CASE_FILE,
        "from contextlib import suppress as s\ns(Exception)",
        "from contextlib import suppress\nsuppress(OSError)",
    ),
    ("nothing_is_left_over", "docs/books.md", f"{UNFINISHED}: say more", "A fixme is a word"),
    ("no_address_of_one_machine", "scripts/test", "cd /ho" + "me/ada/joulebook", "cd ~/joulebook"),
    ("no_address_of_one_machine", "constraints.txt", "--index" + "-url https://example.org", "alembic==1.20.1"),
    (
        "no_address_of_one_machine",
        "README.md",
        "see https://example.org/sim" + "ple/",
        "see https://example.org/simplest",
    ),
    ("public_names_are_documented", CORE_FILE, '"""F."""\ndef f(): ...', '"""F."""\ndef _f(): ...'),
    ("public_names_are_documented", CORE_FILE, "x = 1", '"""F."""\nx = 1'),
    ("public_names_are_documented", DOOR_FILE, '"""F."""\nclass A:\n    """A."""\n    def b(self): ...', '"""F."""'),
]


def rule_named(name: str) -> Rule:
    """Return a rule by its name."""
    return next(rule for rule in RULES if rule.__name__ == name)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(rule: Rule) -> None:
    """No file of the project gives a complaint."""
    complaints = [f"{source.path}:{complaint}" for source in project() for complaint in rule(source)]
    assert complaints == []


@pytest.mark.parametrize(("name", "path", "wrong", "right"), PLANTED)
def test_the_rule_sees_a_planted_violation(name: str, path: str, wrong: str, right: str | None) -> None:
    """Each rule complains of what breaks it, and of nothing that merely looks like it."""
    rule = rule_named(name)
    assert list(rule(Source(path=path, text=wrong))) != []
    assert right is None or list(rule(Source(path=path, text=right))) == []


def test_every_rule_has_a_planted_violation() -> None:
    """A rule that cannot fail keeps nothing."""
    assert {rule.__name__ for rule in RULES} == {name for name, *_ in PLANTED}


def test_no_exception_to_a_rule_outlives_its_reason() -> None:
    """Whatever is excepted by name still exists and still needs it."""
    broad = rule_named("excepts_are_narrow")
    by_path = {source.path: source for source in project()}
    assert [path for path in (*CLOCKS, *BROAD_EXCEPTS) if path not in by_path] == []
    assert all(reason for _, reason in BROAD_EXCEPTS.values())
    moved = [Source(path="joulebook/elsewhere.py", text=by_path[path].text) for path in BROAD_EXCEPTS]
    assert [source.path for source in moved if not list(broad(source))] == []


def test_the_change_log_begins_with_the_version_of_the_code() -> None:
    """One version: in pyproject.toml, on top of the change log, and wherever the code says it."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    said = {
        found
        for source in project()
        if source.is_product
        for found in re.findall(r'^__version__ = "(.+)"', source.text, flags=re.MULTILINE)
    }
    assert newest is not None
    assert {newest[1]} | said == {version}


def test_the_pins_name_exact_versions_and_nothing_else() -> None:
    """constraints.txt holds `name==version` lines: no address, no path, no range."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []


def test_the_scripts_are_short_programs() -> None:
    """Each script can be started, stops at the first error and fits on a screen and a half."""
    scripts = [
        source for source in project() if source.path.startswith(("scripts/", ".ci/")) and "." not in source.path[4:]
    ]
    assert {"scripts/test", "scripts/check", "scripts/quickstart", "scripts/bench", "scripts/serve", ".ci/run"} <= {
        s.path for s in scripts
    }
    for script in scripts:
        assert (ROOT / script.path).stat().st_mode & 0o111, script.path
        assert "set -euo pipefail" in script.text, script.path
        assert len(script.text.splitlines()) <= 90, script.path
