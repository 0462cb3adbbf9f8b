"""What a job and the agent say to each other over the host's socket: the same checked lines as in a segment.

The job begins with `hello` (form of the lines, its ledger's digest, its pid namespace). The agent answers with `agent` (its own form,
ledger and spool folder), or with `refused` and a sentence, after which the connection ends. Then the job sends what it also writes
into its own segment: `process`, `runs` and `mark`, `scores`, `counts`. The agent answers with `kept` (how many bytes of the job's
lie in its spool) and with the windows of the job's runs, so that the job can tell what it used.
"""

from __future__ import annotations

from joulebook_collectors.host.identity import digest
from joulebook_ledger.settings import without_secret

FORM = 1
LONGEST_LINE = 1 << 18
# Facts that a job may tell. What was measured only the agent knows.
KINDS = ("runs", "scores", "counts")


def ledger_digest(url: str) -> str:
    """Return what two sides compare to know whether they write for one ledger; it tells nobody which that is."""
    return digest(without_secret(url))[:12]
