"""`joulebook audit`: the archive of a year is written beside its place and moved there when it is whole."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulebook.tables import Page, clean, pairs
from joulebook_ledger.core.refusals import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from joulebook_ledger.ledger import Ledger


def write(ledger: Ledger, year: int, out: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Write the archive of a year and return what it holds, and where it lies; an archive that is half written never stands there.

    Raises:
        BadInput: Nothing is booked in that year, or the place cannot be written.
    """
    place = Path(out)
    shown = sys.stderr.isatty()
    try:
        with tempfile.NamedTemporaryFile(dir=place.absolute().parent, prefix=".joulebook-audit-", delete=False) as file:
            try:
                body = ledger.audit(year, file, tell if shown else lambda _: None)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(place)
            finally:
                Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror or error}") from None
    return {**body, "file": str(place)}


def page(body: Mapping[str, Any], paper: Page) -> str:
    """Return what was written for people."""
    told = [
        ("written", f"{clean(body['file'])}: {body['files']} files, {body['figures']} figures with their trees"),
        ("months", ", ".join(body["months"])),
        ("not closed", ", ".join(body["open"]) or "none"),
        (
            "book",
            "proves itself" if body["verified"] else "does NOT prove itself: `joulebook verify` names what differs",
        ),
        ("link", f"{body['link']}, head {body['head']}"),
        (
            "check it",
            f"unzip it anywhere, and run: python3 check.py   (or: python3 check.py {clean(Path(body['file']).name)})",
        ),
    ]
    return pairs(told, paper)
