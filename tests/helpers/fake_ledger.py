"""A ledger in memory that fulfils the protocol: it keeps whole batches, remembers what it was asked, and answers samples."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Callable
from typing import IO, Any

from joulebook_ledger.bodies import (
    AuditBody,
    CloseBody,
    FactorBody,
    FactorsBody,
    HostsBody,
    MapsBody,
    RankBody,
    ReportBody,
    RestateBody,
    RunBody,
    RunsBody,
    SitesBody,
    VerifyBody,
    WhyBody,
)
from joulebook_ledger.core.refusals import BadInput, JoulebookError, NotFound
from joulebook_ledger.core.wire import Answer, Outcome, Rejected, decode_batch
from joulebook_ledger.correcting.bodies import CorrectBody
from joulebook_ledger.duties.bodies import DutiesBody
from joulebook_ledger.market.bodies import AllocationsBody, InstrumentsBody
from joulebook_ledger.measures.bodies import SciBody
from joulebook_ledger.providers.bodies import FetchBody
from joulebook_ledger.queries import (
    RESOURCES,
    AllocateQuery,
    CloseQuery,
    Correcting,
    FactorsQuery,
    FetchQuery,
    RankQuery,
    ReportQuery,
    Restating,
    RunsQuery,
    SciQuery,
)

RUN = "01jd0000000000000000000000"


class FakeLedger:
    """A book of one run.

    Attributes:
        delivered: Batches that were stored, by (reader, sequence).
        asked: Every question, in order.
        failure: Raised by the next question, where set.
        booked: How often booking was asked for.
        stored: How many factors the next fetching brings.
    """

    def __init__(self) -> None:
        self.delivered: dict[tuple[str, int], bytes] = {}
        self.asked: list[Any] = []
        self.failure: Exception | None = None
        self.booked = 0
        self.stored = 0

    @property
    def name(self) -> str:
        """What a person would call it."""
        return "fake"

    def deliver(self, batch: bytes) -> Answer:
        """Keep a batch as a whole; items that are no facts are refused."""
        self._hear("deliver")
        content = decode_batch(batch)
        key = (content.reader.reader, content.sequence)
        word = "already_stored" if key in self.delivered else "stored"
        self.delivered[key] = batch
        counts: Counter[str] = Counter()
        exceptions = []
        for item in content.items:
            if isinstance(item.fact, Rejected):
                reason, detail = item.fact.reason, item.fact.detail
                exceptions.append(
                    Outcome(kind=item.kind, index=item.index, outcome="refused", reason=reason, detail=detail)
                )
            counts["refused" if isinstance(item.fact, Rejected) else word] += 1
        return Answer(counts=counts, exceptions=tuple(exceptions))

    def book(self) -> int:
        """Count the booking."""
        self._hear("book")
        self.booked += 1
        return 0

    def runs(self, query: RunsQuery) -> RunsBody:
        """Return the one run."""
        self._hear(query)
        return {"items": [run_body()], "next_cursor": None}

    def run(self, run: str) -> RunBody:
        """Return the one run by a prefix of its id."""
        self._hear(("run", run))
        if not RUN.startswith(run):
            raise NotFound(f"no run {run!r}: the nearest is {RUN}")
        return run_body()

    def report(self, query: ReportQuery) -> ReportBody:
        """Return a report of one row."""
        self._hear(query)
        row: Any = {"model": "m", "energy_kwh": 0.1}
        return {
            "from_month": "2026-11", "to_month": "2026-11", "by": list(query.by), "basis": query.basis, "idle": query.idle, "link": 3,
            "head": "ab" * 32, "as_of": None, "booked_until": "2026-11-22T10:00:00.000Z", "rows": [row],
            "total": {"energy_kwh": 0.1 + 0.2}, "adjustments": [], "machines": [], "implausible": [], "not_covered": [], "notes": [],
        }  # fmt: skip

    def rank(self, query: RankQuery) -> RankBody:
        """Return an empty ranking."""
        self._hear(query)
        if query.per not in RESOURCES:
            raise BadInput(f"per {query.per!r} is none of: {', '.join(RESOURCES)}")
        return {
            "task": query.task, "score": query.score, "per": query.per, "stage": query.stage, "split": query.split,
            "lower_is_better": False, "rows": [], "excluded": [], "notes": [],
        }  # fmt: skip

    def sci(self, query: SciQuery) -> SciBody:
        """Return no intensity."""
        self._hear(query)
        return {
            "from_month": "2026-11", "to_month": "2026-11", "standard": "ISO/IEC 21031:2024", "per": query.per, "boundary": query.boundary,
            "intensity": "location-based", "idle": query.idle, "link": 3, "head": "ab" * 32, "rows": [], "not_covered": [], "notes": [],
        }  # fmt: skip

    def why(self, figure: str) -> WhyBody:
        """Return a tree of one node."""
        self._hear(("why", figure))
        return {"figure": figure, "value": "0.1", "unit": "kWh", "tree": {"text": "one reading", "children": []}}

    def hosts(self) -> HostsBody:
        """Return no machine."""
        self._hear("hosts")
        return {"at": "2026-11-22T10:00:00.000Z", "machines": []}

    def factors(self, query: FactorsQuery) -> FactorsBody:
        """Return one factor."""
        self._hear(query)
        return {"items": [factor_body()], "next_cursor": None, "currency": "EUR"}

    def sites(self) -> SitesBody:
        """Return no site."""
        self._hear("sites")
        return {"items": [], "placements": []}

    def maps(self) -> MapsBody:
        """Return no line."""
        self._hear("maps")
        return {"items": []}

    def restate(self, act: Restating) -> RestateBody:
        """Return an effect on one month."""
        self._hear(act)
        return restate_body(act)

    def correct(self, act: Correcting) -> CorrectBody:
        """Return one fact that is voided."""
        self._hear(act)
        return correct_body(act)

    def check_close(self, query: CloseQuery) -> CloseBody:
        """Return an empty checklist."""
        self._hear(("check", query))
        return {"closed": False, "months": [], "link": 3, "head": "ab" * 32}

    def close_months(self, query: CloseQuery) -> CloseBody:
        """Say that it is closed."""
        self._hear(("close", query))
        return {"closed": True, "months": [], "link": 4, "head": "cd" * 32}

    def verify(self, head: str = "") -> VerifyBody:
        """Return a clean bill."""
        self._hear(f"verify {head}".strip())
        checks = [{"name": "links", "ok": True, "detail": ""}]
        return {"ok": True, "checks": checks, "link": 3, "head": "ab" * 32, "warnings": [], "cannot_prove": "nothing"}  # type: ignore[typeddict-item]

    def audit(self, year: int, out: IO[bytes], told: Callable[[str], None]) -> AuditBody:
        """Write an empty archive."""
        self._hear(("audit", year))
        told("contents.json")
        body: AuditBody = {
            "year": year, "files": 1, "months": [], "open": [], "figures": 0, "verified": True, "link": 3, "head": "ab" * 32,
        }  # fmt: skip
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("contents.json", json.dumps(body))
        return body

    def snapshot(self, machine: str) -> bytes:
        """Return a small text."""
        self._hear(("snapshot", machine))
        return b'{"factors":[]}'

    def fetch_factors(self, query: FetchQuery) -> FetchBody:
        """Fetch nothing."""
        self._hear(query)
        at = "2026-11-22T10:00:00.000Z"
        return {"at": at, "from": at, "to": at, "stored": self.stored, "items": [], "holes": []}

    def instruments(self) -> InstrumentsBody:
        """Return none."""
        self._hear("instruments")
        return {"items": [], "markets": []}

    def allocate(self, query: AllocateQuery) -> AllocationsBody:
        """Assign nothing."""
        self._hear(query)
        return {"dry_run": query.dry_run, "items": []}

    def duties(self) -> DutiesBody:
        """Return no work."""
        self._hear("duties")
        return {"at": "2026-11-22T10:00:00.000Z", "jobs": [], "months_not_closed": []}

    def close(self) -> None:
        """Remember it."""
        self.asked.append("close")

    def _hear(self, question: object) -> None:
        self.asked.append(question)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure


class Secretive(JoulebookError):
    """An error of no known kind, with a text that nobody outside may read."""


def correct_body(act: Correcting) -> CorrectBody:
    """Return what voiding one score says."""
    was: dict[str, int | str | None] = {"run": RUN, "score": "s1", "name": "accuracy", "value": "0.7", "at_ms": 1}
    return {
        "kind": act.kind, "reason": act.reason, "author": act.author, "dry_run": act.dry_run,
        "facts": [{"was": was, "now": {**was, **act.changes} if act.changes else None}], "entries": 0,
        "link": None if act.dry_run else 3, "head": None if act.dry_run else "ab" * 32,
    }  # fmt: skip


def restate_body(act: Restating) -> RestateBody:
    """Return what restating one month changes."""
    figures = {
        "facility_energy_kwh": 1.2,
        "cost": "0.3",
        "co2e_location_kg": 0.06,
        "co2e_market_kg": None,
        "co2e_embodied_kg": 0.01,
        "water_l": 2.0,
    }
    effect: Any = {
        "period": "2026-10", "before": figures, "after": {**figures, "co2e_location_kg": 0.05},
        "change": {**dict.fromkeys(figures, 0.0), "cost": "0", "co2e_location_kg": -0.01, "co2e_market_kg": None},
    }  # fmt: skip
    year: Any = {**effect, "period": "2026"}
    return {
        "restatement": act.undo or act.name, "undone": bool(act.undo), "dry_run": act.dry_run, "from_month": "2026-10",
        "to_month": "2026-10", "kind": act.kind, "object": act.object, "provider": act.provider, "factors_known": 3,
        "reason": act.reason, "author": act.author, "currency": "EUR", "months": [effect], "years": [year],
        "entries": 1, "link": None if act.dry_run else 4, "head": None if act.dry_run else "d" * 64,
    }  # fmt: skip


def factor_body() -> FactorBody:
    """Return one factor."""
    return {
        "kind": "grid_location", "of": "FR", "value": "56.039", "unit": "gCO2e/kWh", "currency": "", "valid_from": "", "valid_to": "",
        "provider": "owid", "version": "2023.2", "state": "final", "fallback": "country", "sigma_percent": "25", "basis": "lifecycle",
        "source": "a table", "licence": "CC BY 4.0", "evidence_name": "", "evidence_digest": "", "known_since": "2026-11-22T10:00:00.000Z", "grade": "C", "pedigree": "reliability 2",
    }  # fmt: skip


def run_body() -> RunBody:
    """Return the one run."""
    return {
        "run": RUN, "status": "finished", "started_at": "2026-11-22T10:00:00.000Z", "ended_at": "2026-11-22T10:01:00.000Z",
        "labels": {"model": "m"}, "facts": {}, "hosts": ["h"], "scores": [], "footprint": {"energy_kwh": 0.1, "cost": "0.02"},
        "provisional": False,
    }  # fmt: skip
