"""What happens to runs: events with labels, scores, and work counted (CORE §2)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from joulebook_ledger.core.refusals import Refused
from joulebook_ledger.core.vocabulary import (
    DEFAULT_SPLIT,
    EVENT_KINDS,
    LABELS,
    LONGEST_NAME,
    RESERVED_ACCOUNTS,
    STAGES,
    STATUSES,
    require_choice,
    require_text,
    require_whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """Something that happened to a run. Labels of the newest event by (at_ms, event) that names them hold.

    Attributes:
        run: The run's id.
        event: Id given by the client; with `run` its key.
        kind: started, labelled, joined or ended.
        at_ms: When.
        labels: model, version, task, stage, project, team, base_model, sweep, name, `tag:KEY`, `exclude`; only those it sets.
        status: finished, failed or killed, of an `ended` event.
        facts: Recorded without being asked: peak_gpu_bytes, peak_memory_bytes, exit_code, host, devices.
    """

    run: str
    event: str
    kind: str
    at_ms: int
    labels: Mapping[str, str] = field(default_factory=dict)
    status: str = ""
    facts: Mapping[str, int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check vocabulary, label names and lengths."""
        require_text(self.run, "run", longest=LONGEST_NAME)
        if self.run in RESERVED_ACCOUNTS:
            raise Refused("reserved_account", f"{self.run!r} names an account and no run")
        require_text(self.event, "event", longest=LONGEST_NAME)
        require_choice(self.kind, "kind", EVENT_KINDS)
        require_whole(self.at_ms, "at_ms")
        if (self.kind == "ended") != bool(self.status):
            raise Refused("status_of_an_end", "an `ended` event, and only that, has a status")
        if self.status:
            require_choice(self.status, "status", STATUSES)
        for name, value in self.labels.items():
            check_label(name, value)
        for name, fact in self.facts.items():
            require_text(name, "fact name", longest=LONGEST_NAME)
            if isinstance(fact, str):
                require_text(fact, name, empty=True)
            else:
                require_whole(fact, name, least=None)


def check_label(name: str, value: str) -> None:
    """Refuse a label of an unknown name, an unknown stage, or a text too long."""
    require_text(name, "label name", longest=LONGEST_NAME)
    if name not in {*LABELS, "exclude"} and not (name.startswith("tag:") and len(name) > len("tag:")):
        raise Refused(
            "unknown_label",
            f"label {name!r} is none of: {', '.join(LABELS)}, tag:KEY, exclude",
        )
    require_text(
        value,
        name,
        longest=LONGEST_NAME,
        empty=name in {"exclude", "version"} or name.startswith("tag:"),
    )
    if name == "stage":
        require_choice(value, "stage", STAGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A score or an efficiency fact of a run.

    Attributes:
        run: The run's id.
        score: Id given by the client; with `run` its key.
        name: Such as "accuracy" or "params".
        value: Decimal text of a finite number, exactly as given.
        at_ms: When; with `step` it orders values of one name.
        step: Training step, or None.
        split: Such as "test"; empty when not said.
        unit: Such as "1", "s".
        lower_is_better: The direction, or None where it is not known.
    """

    run: str
    score: str
    name: str
    value: str
    at_ms: int
    step: int | None = None
    split: str = DEFAULT_SPLIT
    unit: str = ""
    lower_is_better: bool | None = None

    def __post_init__(self) -> None:
        """Check that the value is a finite number."""
        require_text(self.run, "run", longest=LONGEST_NAME)
        require_text(self.score, "score", longest=LONGEST_NAME)
        require_text(self.name, "name", longest=LONGEST_NAME)
        require_text(self.split, "split", longest=LONGEST_NAME, empty=True)
        require_text(self.unit, "unit", longest=LONGEST_NAME, empty=True)
        require_whole(self.at_ms, "at_ms")
        if self.step is not None:
            require_whole(self.step, "step")
        if self.lower_is_better is not None and not isinstance(self.lower_is_better, bool):
            raise Refused(
                "not_a_bool",
                f"lower_is_better must be true, false or null, not {self.lower_is_better!r}",
            )
        require_text(self.value, "value", longest=64)
        try:
            finite = math.isfinite(float(self.value))
        except ValueError:
            finite = False
        if not finite:
            raise Refused(
                "score_is_not_a_finite_number",
                f"{self.name}={self.value!r}: log a finite number, or nothing",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Work served by a run in an interval: requests, tokens and a latency histogram (merged, never averaged).

    Attributes:
        run: The run's id.
        count: Id given by the client; with `run` its key.
        start_ms: Start of the interval.
        end_ms: End of the interval.
        requests: Requests answered.
        tokens_in: Tokens read.
        tokens_out: Tokens written.
        latency: Histogram: upper bound of the bucket in microseconds, as text -> how many.
    """

    run: str
    count: str
    start_ms: int
    end_ms: int
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    latency: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that all counts are at least 0."""
        require_text(self.run, "run", longest=LONGEST_NAME)
        require_text(self.count, "count", longest=LONGEST_NAME)
        for name in ("start_ms", "end_ms", "requests", "tokens_in", "tokens_out"):
            require_whole(getattr(self, name), name)
        if self.end_ms < self.start_ms:
            raise Refused("count_ends_before_it_starts", f"[{self.start_ms}, {self.end_ms})")
        for bound, number in self.latency.items():
            require_text(bound, "latency bucket", longest=20)
            if not bound.isdigit():
                raise Refused("bad_latency_bucket", f"{bound!r} is no upper bound in microseconds")
            require_whole(number, "latency count")
