"""What stands below a report: rates that cannot be so, and what no figure covers."""

from __future__ import annotations

from collections.abc import Sequence

from joulebook.tables import Page, clean, sentence
from joulebook_ledger.bodies import ReportBody
from joulebook_ledger.measures.bodies import NotCovered


def paragraphs(body: ReportBody, page: Page) -> list[str]:
    """Return both, each where there is any."""
    doubted = "\n".join(sentence(f"! {clean(item['text'])}", page, "yellow") for item in body["implausible"])
    return [doubted, not_covered(body["not_covered"], page)]


def not_covered(items: Sequence[NotCovered], page: Page) -> str:
    """Return one line that names what is in no figure; `--json` says why and where it belongs."""
    return sentence(f"Not covered: {', '.join(item['what'] for item in items)}.", page, "dim") if items else ""
