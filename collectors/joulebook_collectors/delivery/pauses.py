"""How long to leave a ledger alone: longer after each failure, as long as it asks, and never in step with anybody else.

After an outage thousands of hosts have something to say. If they all came at the same instant, the ledger would fall once more.
"""

from __future__ import annotations

LONGEST_SECONDS = 600.0
LONGEST_ASKED_SECONDS = 3_600.0
_MOST_DOUBLINGS = 20


def pause_seconds(usual_seconds: float, failures: int, *, asked_seconds: float = 0.0, chance: float) -> float:
    """Return how long to wait before the next delivery.

    Args:
        usual_seconds: Between two deliveries that go well.
        failures: How many have failed since one went well.
        asked_seconds: How long the ledger asked to be left alone (Retry-After); more than an hour is not believed.
        chance: A random number from 0 to 1.
    """
    if not failures:
        return usual_seconds * (0.9 + chance / 5)
    grown = usual_seconds * 2.0 ** min(failures, _MOST_DOUBLINGS)
    seconds = min(grown, max(LONGEST_SECONDS, usual_seconds)) * (0.5 + chance / 2)
    asked = min(asked_seconds, LONGEST_ASKED_SECONDS)
    return max(seconds, asked * (1 + chance / 10)) if asked else seconds
