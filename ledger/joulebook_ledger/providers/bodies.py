"""What fetching answers, as JSON."""

from __future__ import annotations

# The schema of the service is made from these, which before Python 3.12 takes the newer TypedDict.
from typing_extensions import TypedDict

FetchedBody = TypedDict(
    "FetchedBody",
    {
        "provider": str, "kind": str, "zone": str, "from": str, "to": str, "stored": int, "reason": str | None, "detail": str | None,
    },
)  # fmt: skip
"""One question to a provider: of which time, how many factors of it were new, or why there are none."""

HoleBody = TypedDict("HoleBody", {"kind": str, "zone": str, "from": str, "to": str})
"""A stretch of time for which nobody that was asked has a value."""

FetchBody = TypedDict(
    "FetchBody",
    {"at": str, "from": str, "to": str, "stored": int, "items": list[FetchedBody], "holes": list[HoleBody]},
)
"""What was fetched."""
