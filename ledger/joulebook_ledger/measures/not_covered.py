"""What no figure of Joulebook covers, named in every report, inventory and audit: one list, said once. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from joulebook_ledger.measures.bodies import NotCovered

NOT_COVERED: tuple[NotCovered, ...] = (
    {"what": "fuel burnt on site", "belongs_to": "scope 1", "why": "generators have no meter here"},
    {"what": "refrigerants", "belongs_to": "scope 1", "why": "leaks of cooling are a matter of the building"},
    {"what": "network beyond the host", "belongs_to": "scope 3, category 1", "why": "others' switches and lines are not metered"},
    {"what": "storage beyond the host", "belongs_to": "scope 3, category 1", "why": "shared file systems and object stores are not metered"},
    {"what": "buildings", "belongs_to": "scope 3, category 2", "why": "only hardware that computes has an embodied rate"},
    {"what": "end of life of hardware", "belongs_to": "scope 3, category 5", "why": "an embodied rate is from cradle to gate"},
    {"what": "people's devices and travel", "belongs_to": "scope 3, categories 6, 7 and 11", "why": "no reader runs there"},
)  # fmt: skip
"""Left out of every figure, whatever is set."""
