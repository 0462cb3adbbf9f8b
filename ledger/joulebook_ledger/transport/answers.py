"""The JSON form of what a ledger says to a batch, for those who ask over HTTP and those who are asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from joulebook_ledger.core.wire import Answer, Outcome


class OutcomeBody(TypedDict):
    """One item that was not simply stored: where it stands in the batch, what became of it, and why."""

    kind: str
    index: int
    outcome: str
    reason: str
    detail: str


class AnswerBody(TypedDict):
    """What became of a batch: the number of items per outcome, and every item neither stored nor already stored."""

    counts: dict[str, int]
    exceptions: list[OutcomeBody]


def body_of(answer: Answer) -> AnswerBody:
    """Return an answer as its JSON body."""
    return {"counts": dict(answer.counts), "exceptions": [_outcome_body(outcome) for outcome in answer.exceptions]}


def _outcome_body(outcome: Outcome) -> OutcomeBody:
    return {
        "kind": outcome.kind, "index": outcome.index, "outcome": outcome.outcome, "reason": outcome.reason, "detail": outcome.detail,
    }  # fmt: skip


def answer_of(body: Mapping[str, Any]) -> Answer:
    """Return the answer of a JSON body; a body of another form raises KeyError, TypeError or ValueError."""
    return Answer(
        counts={str(outcome): int(number) for outcome, number in body["counts"].items()},
        exceptions=tuple(
            Outcome(
                kind=str(item["kind"]), index=int(item["index"]), outcome=str(item["outcome"]), reason=str(item["reason"]),
                detail=str(item["detail"]),
            )
            for item in body["exceptions"]
        ),
    )  # fmt: skip
