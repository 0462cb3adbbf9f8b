"""docs/service.md says what the service does, and its examples are run."""

from __future__ import annotations

import json
import re
from contextlib import closing
from typing import Any

import pytest
from helpers.service import TOKEN, asked_as_owner, deliver
from helpers.source import ROOT

from joulebook_api import problems
from joulebook_api.app import create_app
from joulebook_ledger.local import LocalLedger

DOCUMENT = (ROOT / "docs/service.md").read_text(encoding="utf-8")
NOW_MS = 1_800_000_000_000
ROW = re.compile(r"^\| `(GET|POST) (/\S+)` \| (.*?) \| (.*?) ?\|$", flags=re.MULTILINE)


@pytest.fixture(scope="module")
def pages() -> dict[tuple[str, str], dict[str, Any]]:
    """Return (method, path) -> operation, from the schema."""
    with asked_as_owner(create_app(None, TOKEN)) as client:  # type: ignore[arg-type]
        paths = client.get("/openapi.json").json()["paths"]
    return {(method.upper(), path): page for path, methods in paths.items() for method, page in methods.items()}


def test_every_page_and_its_parameters_are_written_down(pages: dict[tuple[str, str], dict[str, Any]]) -> None:
    """With the sentence that the schema has."""
    written = {
        (method, path): (text, set(re.findall(r"`(\w+)`", names)))
        for method, path, text, names in ROW.findall(DOCUMENT)
    }
    assert set(written) == set(pages)
    for key, page in pages.items():
        text, names = written[key]
        assert text.startswith(page["summary"])
        assert names == {parameter["name"] for parameter in page.get("parameters", []) if parameter["in"] == "query"}


def test_every_problem_is_written_down() -> None:
    """By the name that never changes."""
    names = set(
        re.findall(r"[a-z]+(?:-[a-z]+)+|unauthorized|unavailable", str(problems.__doc__).partition("one of")[2])
    )
    assert len(names) >= 13
    table = DOCUMENT.partition("| name | status | when |")[2]
    assert names - set(re.findall(r"`([a-z-]+)`", table)) == set()


def test_the_example_is_stored_as_it_says(sqlite_url: str) -> None:
    """The batch of the page, and the answer of the page."""
    sent, answered = re.findall(r"```json\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    with (
        closing(LocalLedger(sqlite_url, clock=lambda: NOW_MS)) as book,
        asked_as_owner(create_app(book, TOKEN)) as client,
    ):
        assert deliver(client, sent.encode()).json() == json.loads(answered)
