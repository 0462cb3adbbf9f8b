"""The documents point at what is there."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from helpers.source import ROOT, Source, project

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", flags=re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the anchors that headings make: lower case, spaces as dashes, other signs dropped."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def broken_links(source: Source) -> list[str]:
    """Return the links of a document that lead nowhere in this repository; addresses elsewhere are not followed."""
    folder = (ROOT / source.path).parent
    broken = []
    for link in LINK.findall(source.text):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = folder / path if path else ROOT / source.path
        text = source.text if not path else target.read_text(encoding="utf-8") if target.is_file() else ""
        if not target.exists() or (anchor and anchor not in anchors(text)):
            broken.append(link)
    return broken


def documents() -> list[Source]:
    """Return every Markdown file of the project."""
    return [source for source in project() if source.path.endswith(".md") and not source.path.startswith("tests/")]


@pytest.mark.parametrize("source", documents(), ids=lambda source: source.path)
def test_every_link_leads_somewhere(source: Source) -> None:
    """A file or a heading that a document points at exists."""
    assert broken_links(source) == []


@pytest.mark.parametrize("link", ["no/such/file.md", "#no-such-heading", "../LICENSE/../gone", "../README.md#gone"])
def test_a_link_that_leads_nowhere_is_seen(link: str) -> None:
    """The check above can fail."""
    assert broken_links(Source(path="docs/README.md", text=f"# Here\n[there]({link}) [here](#here)")) == [link]


def test_every_document_can_be_reached_from_the_index() -> None:
    """docs/README.md links to each page beside it."""
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    linked = {PurePosixPath("docs", link.partition("#")[0]).as_posix() for link in LINK.findall(index)}
    pages = {source.path for source in documents() if source.path.startswith("docs/")}
    assert pages - linked - {"docs/README.md"} == set()


def test_what_the_readme_tells_to_start_is_there() -> None:
    """Every script that a document names exists."""
    named = {name for source in documents() for name in re.findall(r"\bscripts/[a-z]+", source.text)}
    assert {name for name in named if not (ROOT / name).is_file()} == set()
