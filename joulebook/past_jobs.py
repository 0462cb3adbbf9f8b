"""`joulebook import slurm`: past jobs of a cluster, from what sacct prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulebook.tables import Page, sentence
from joulebook_ledger.core.refusals import BadInput, NotFound, Unavailable
from joulebook_ledger.desk.sacct import job_batch, parse_sacct

if TYPE_CHECKING:
    from joulebook_ledger.ledger import Ledger

STANDARD_INPUT = "-"
_LARGEST_BYTES = 1 << 28


def read(source: str) -> str:
    """Return the text of a file, or of standard input for "-".

    Raises:
        BadInput: It cannot be read, or is far too large.
    """
    try:
        if source == STANDARD_INPUT:
            return sys.stdin.read(_LARGEST_BYTES)
        if Path(source).stat().st_size > _LARGEST_BYTES:
            raise BadInput(f"{source} has more than {_LARGEST_BYTES} bytes: ask sacct for a month at a time (-S, -E)")
        return Path(source).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadInput(f"{source} cannot be read: {error.strerror or error}") from None


def take_in(text: str, ledger: Ledger) -> dict[str, Any]:
    """Enter all jobs of a text that are over, or none; return what was done.

    Raises:
        BadInput: A row cannot be taken, or the book holds other content for a job.
        Unavailable: The book asks to be given a part of it later.
    """
    jobs = parse_sacct(text)
    known = {run for run in {job.run for job in jobs} if _is_known(ledger, run)}
    counts: dict[str, int] = {}
    for job in jobs:
        answer = ledger.deliver(job_batch(job, is_known=job.run in known))
        for outcome in answer.exceptions:
            told = f"job {job.job}: {outcome.detail or outcome.reason or outcome.outcome}"
            raise Unavailable(told) if outcome.outcome == "retry_later" else BadInput(told)
        for name, number in answer.counts.items():
            counts[name] = counts.get(name, 0) + number
    return {
        "ledger": ledger.name, "jobs": len(jobs), "known_before": len(known), "with_energy": sum(job.energy_mj is not None for job in jobs),
        "outcomes": dict(sorted(counts.items())), "entries_booked": ledger.book(),
    }  # fmt: skip


def page(body: dict[str, Any], paper: Page) -> str:
    """Return the same for people."""
    known = f"{body['known_before']} of them it knew already: of those only Slurm's word on their end was added."
    told = [
        f"{body['jobs']} jobs that are over were taken into {body['ledger']}; {known} {body['entries_booked']} entries booked."
    ]
    unknown = body["jobs"] - body["with_energy"]
    if unknown:
        told.append(f"Slurm does not say what {unknown} of them drew: they have time and no energy.")
    return "\n".join(sentence(line, paper) for line in told)


def _is_known(ledger: Ledger, run: str) -> bool:
    try:
        ledger.run(run)
    except NotFound:
        return False
    return True
