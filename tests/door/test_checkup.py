"""`joulebook doctor`: what is well in a line, what is not with the way out."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from helpers.front_door import environment_of

from joulebook import checkup
from joulebook.tables import Page, width_of
from joulebook.wiring import Door

FOUND: dict[str, Any] = {
    "joulebook": "0.1.0", "python": "3.11.7",
    "machine": {"id": "m-1", "host": "node-a", "processor": "EPYC", "logical_cpus": 64, "memory_bytes": 2**36, "virtual": False},
    "settings": {"ledger": "sqlite:///book", "home": "/h", "problems": ["scope 'x' is none of: host, process"]},
    "meters": [
        {"name": "gpu gpu", "component": "gpu", "is_present": True, "method": "counter", "detail": "NVIDIA H200, at most 700 W",
         "reason": "", "why": "", "remedy": ""},
        {"name": "RAPL package-0", "component": "cpu", "is_present": False, "method": "", "detail": "", "reason": "permission_denied",
         "why": "The kernel lets root alone read it.", "remedy": "sudo one\nsudo two"},
    ],
    "ledger": {"name": "sqlite:///book", "reachable": False, "detail": "the book was made by a newer version", "warning": "2 boots were up at one time", "not_set": {"pue": "joulebook init --pue NUMBER"}},
    "spool": {"folder": "/s", "waiting": 3, "damaged": 1, "aside": [
        {"outcome": "conflicts_with_stored", "kind": "readings", "reason": "conflict", "detail": "two contents under one key", "file": "/s/aside"},
    ]},
}  # fmt: skip


def examined(tmp_path: Path, **more: str) -> dict[str, Any]:
    """Return what the doctor finds for a fresh home."""
    environment = environment_of(str(tmp_path / "home"), JOULEBOOK_SPOOL=str(tmp_path / "spool"), **more)
    return checkup.examine(Door(environment, out=io.StringIO(), err=io.StringIO(), keys=io.StringIO()))


def test_an_absent_meter_comes_with_why_and_the_exact_remedy() -> None:
    """The remedy stands in lines of its own, to be copied."""
    text = checkup.page(FOUND, Page(width=80))
    assert (
        "no  RAPL package-0: permission_denied\n      The kernel lets root alone read it.\n      > sudo one\n      > sudo two"
        in text
    )
    assert "yes gpu gpu: counter, NVIDIA H200, at most 700 W" in text
    assert [line for line in text.splitlines() if width_of(line) > 80] == []


def test_what_waits_and_what_was_refused_is_shown() -> None:
    """Nothing that the ledger would not take disappears from sight."""
    text = checkup.page(FOUND, Page())
    assert "/s: 3 records wait to be delivered; 1 damaged lines were passed over" in text
    assert "- conflicts_with_stored: readings: two contents under one key (kept in /s/aside)" in text
    assert "- scope 'x' is none of: host, process" in text
    assert "NOT in reach" in text
    assert "- the book was made by a newer version" in text
    assert "- 2 boots were up at one time" in text
    assert not checkup.is_sound(FOUND)


def test_the_doctor_examines_a_fresh_home(tmp_path: Path) -> None:
    """There are meters, or models that say so; nothing waits; what is not set is named."""
    body = examined(tmp_path)
    assert checkup.is_sound(body)
    assert {finding["component"] for finding in body["meters"] if finding["is_present"]} >= {"cpu", "dram"}
    assert body["ledger"]["not_set"]["grid_location"] == "joulebook init --zone CODE"
    assert body["spool"]["waiting"] == 0


def test_the_doctor_answers_where_settings_and_ledger_are_wrong(tmp_path: Path) -> None:
    """That is when it is asked; it never raises for what it is there to tell."""
    body = examined(
        tmp_path, JOULEBOOK_SCOPE="planet", JOULEBOOK_LEDGER="http://127.0.0.1:9", JOULEBOOK_API_KEY="k" * 32
    )
    assert body["settings"]["problems"] == ["scope 'planet' is none of: host, process"]
    assert not body["ledger"]["reachable"]
    assert "127.0.0.1:9" in body["ledger"]["detail"]


def test_a_setting_that_is_none_does_not_put_the_ledger_out_of_reach(tmp_path: Path) -> None:
    """Each trouble is told once, at its own place."""
    body = examined(tmp_path, JOULEBOOK_SCOPE="planet")
    assert body["settings"]["problems"]
    assert body["ledger"]["reachable"]
    assert not checkup.is_sound(body)


def test_a_drop_box_is_in_reach_and_prices_nothing(tmp_path: Path) -> None:
    """What is to be set is set in the book that takes it in."""
    body = examined(tmp_path, JOULEBOOK_LEDGER=f"file://{tmp_path}/box")
    assert body["ledger"] == {
        "name": f"file://{tmp_path}/box",
        "reachable": True,
        "detail": "",
        "warning": "",
        "not_set": {},
    }
