"""What tests of the front door stand on: a ledger of fixed answers, a screen, and commands run in this process."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any, cast

from helpers.fake_ledger import correct_body, restate_body

from joulebook.commands.main import main
from joulebook.wiring import Door
from joulebook_ledger.bodies import (
    CloseBody,
    FactorsBody,
    FootprintRow,
    HostsBody,
    MonthCloseBody,
    RankBody,
    RankRow,
    ReportBody,
    RestateBody,
    RunBody,
    RunsBody,
    ScoreBody,
    SitesBody,
    VerifyBody,
    WhyBody,
)
from joulebook_ledger.core.factors import Factor, Placement, Site
from joulebook_ledger.core.refusals import JoulebookError
from joulebook_ledger.core.resolution import FactorBook
from joulebook_ledger.core.versions import Known
from joulebook_ledger.core.wire import Answer, Batch, decode_batch
from joulebook_ledger.correcting.bodies import CorrectBody
from joulebook_ledger.ledger import Ledger
from joulebook_ledger.measures.bodies import SciBody
from joulebook_ledger.queries import (
    CloseQuery,
    Correcting,
    FactorsQuery,
    RankQuery,
    ReportQuery,
    Restating,
    RunsQuery,
    SciQuery,
)
from joulebook_ledger.register.rows import row_of_factor, row_of_placement, row_of_site

TIME = "2026-11-22T10:00:00.000Z"

NOW_MS = 1_795_374_432_000  # 2026-11-22T19:07:12Z
NO_PRICE = "no price of electricity is set: `joulebook init --price 0.25 --currency EUR`"
NO_WATER = "the site's water per kWh is not set: `joulebook init --water 0.2`"


def footprint(**changes: Any) -> FootprintRow:
    """Return a footprint of about one watt-hour."""
    row: dict[str, Any] = {
        "figure": "run:3f9c0000", "energy_kwh": 0.0012345, "facility_energy_kwh": 0.0014814, "unmetered_estimate_kwh": 0.0,
        "held_unused_kwh": 0.0002, "cost": "0.000312", "currency": "EUR", "cost_energy": "0.000312", "cost_instance": None,
        "co2e_location_kg": 0.0000694, "co2e_market_kg": None, "co2e_embodied_kg": None, "water_l": None, "duration_s": 12.34,
        "device_hours": 0.0034, "coverage": 0.98, "measured_share": 0.91, "known_share": {"cost": 1.0},
        "uncertainty": {"energy_kwh": 0.03, "cost": 0.03, "co2e_location_kg": 0.25}, "runs": 1, "reasons": {"water_l": NO_WATER},
        "grade": "B", "sentence": "98 % complete, 91 % metered, ± 6 %",
    }  # fmt: skip
    return cast("FootprintRow", row | changes)


def score(**changes: Any) -> ScoreBody:
    """Return a score."""
    known: dict[str, Any] = {
        "name": "accuracy", "split": "test", "value": 0.97222, "best": 0.98, "unit": "", "step": 3, "lower_is_better": False,
    }  # fmt: skip
    return cast("ScoreBody", known | changes)


def run_body(**changes: Any) -> RunBody:
    """Return a finished run."""
    body: dict[str, Any] = {
        "run": "3f9c5b0e9a0d4c61b8a2f00000000001", "status": "finished", "started_at": "2026-11-22T19:07:00.000Z",
        "ended_at": "2026-11-22T19:07:12.340Z", "labels": {"model": "resnet50", "version": "a1", "task": "imagenet", "team": "vision"},
        "facts": {"peak_memory_bytes": 734003200, "exit_code": 0}, "hosts": ["node-a"], "scores": [score()],
        "footprint": footprint(), "provisional": False,
    }  # fmt: skip
    return cast("RunBody", body | changes)


def report_body(**changes: Any) -> ReportBody:
    """Return a report of one month with idle and untracked."""
    rows = [
        footprint(model="resnet50", runs=3), footprint(model="vgg16", runs=1, energy_kwh=1.5, cost=None, reasons={"cost": NO_PRICE}),
        footprint(account="untracked", model="untracked", runs=0), footprint(account="idle", model="idle", runs=0, energy_kwh=0.5),
    ]  # fmt: skip
    body: dict[str, Any] = {
        "from_month": "2026-11", "to_month": "2026-11", "by": ["model"], "basis": "closed", "idle": "separate", "link": 12,
        "head": "abcdef0123456789", "as_of": None, "booked_until": "2026-11-22T19:00:00.000Z", "rows": rows,
        "total": footprint(account="total", energy_kwh=2.5, runs=4), "adjustments": [], "machines": [], "implausible": [], "not_covered": [], "notes": ["A note."],
    }  # fmt: skip
    return cast("ReportBody", body | changes)


def rank_row(**changes: Any) -> RankRow:
    """Return a row of a ranking."""
    row: dict[str, Any] = {
        "model": "resnet50", "version": "a1", "score": "accuracy", "value": 0.976, "per_unit": 0.0012, "unit": "kWh", "ratio": 813.3,
        "runs": 2, "total_runs": 3, "total_per_unit": 0.004, "on_frontier": True, "dominated_by": None, "robust": True,
        "uncertainty": 0.03, "why": "",
    }  # fmt: skip
    return cast("RankRow", row | changes)


def rank_body(**changes: Any) -> RankBody:
    """Return a ranking of two models."""
    rows = [
        rank_row(),
        rank_row(model="vgg16", value=0.95, on_frontier=False, dominated_by="resnet50 a1", ratio=None, per_unit=0.0),
    ]
    body: dict[str, Any] = {
        "task": "imagenet", "score": "accuracy", "per": "energy", "stage": "", "split": "test", "lower_is_better": False, "rows": rows,
        "excluded": [{"model": "lenet", "reason": "no accuracy"}], "notes": [],
    }  # fmt: skip
    return cast("RankBody", body | changes)


def sci_body(**changes: Any) -> SciBody:
    """Return the intensity of a model that is counted, and of one that nobody counted."""
    row: dict[str, Any] = {
        "model": "llama", "units": 50_000_000_000, "units_from": "counted", "operational_kg": 5_000.0, "embodied_kg": 1_500.0,
        "operational_g": 0.0001, "embodied_g": 0.00003, "sci_g": 0.00013, "known_share": {"operational_kg": 1.0, "embodied_kg": 1.0},
        "uncertainty": 0.2, "runs": 3, "reasons": {},
    }  # fmt: skip
    unknown = {"units": None, "operational_g": None, "embodied_g": None, "sci_g": None, "uncertainty": None}
    reasons = {"units": "no token was counted in the period", "sci_g": "not all is known"}
    body: dict[str, Any] = {
        "from_month": "2026-11", "to_month": "2026-11", "standard": "ISO/IEC 21031:2024", "per": "token", "boundary": "consumer",
        "intensity": "location-based", "idle": "separate", "link": 12, "head": "abcdef0123456789",
        "rows": [row, {**row, **unknown, "model": None, "reasons": reasons}],
        "not_covered": [{"what": "refrigerants", "belongs_to": "scope 1", "why": "leaks"}], "notes": ["A note."],
    }  # fmt: skip
    return cast("SciBody", body | changes)


WHY: WhyBody = {
    "figure": "run:3f9c#cost", "value": "0.000312", "unit": "EUR",
    "tree": {"text": "energy of the facility", "value": "1.48 Wh", "children": [
        {"text": "cpu package-0", "value": "1.2 Wh", "source": "counter"}, {"text": "tariff", "value": "0.25 EUR/kWh", "source": "declared"},
    ]},
}  # fmt: skip
HOSTS: HostsBody = {
    "at": "2026-11-22T19:07:12.000Z", "machines": [{
        "machine": "m1", "host": "node-a", "state": "lost", "complete_until": "2026-10-03T04:05:06.000Z",
        "last_heard": "2026-10-03T04:06:00.000Z", "owing": ["2026-10"], "readers": [
            {"reader": "feed" * 8, "rank": "agent", "boot": "b2", "state": "lost", "complete_until": "2026-10-03T04:05:06.000Z",
             "last_heard": "2026-10-03T04:06:00.000Z", "owing": ["2026-10"], "retired_because": None, "retired_by": None},
            {"reader": "cafe" * 8, "rank": "job", "boot": "b1", "state": "retired", "complete_until": "2026-09-03T04:05:06.000Z",
             "last_heard": "2026-09-03T04:06:00.000Z", "owing": [], "retired_because": "scrapped", "retired_by": "ann"},
        ]}],
}  # fmt: skip
CLOSING: CloseBody = {
    "closed": False, "link": 12, "head": "abcdef0123456789", "months": [{
        "month": "2026-10", "energy_kwh": 12.5, "cost": "3.125", "currency": "EUR", "missing_kwh": 2.0, "missing_cost": "0.5",
        "missing_share": 0.13793103448275862, "tolerance": 0.01, "can_close": False,
        "owing": [{"reader": "feed" * 8, "machine": "m1", "host": "node-a", "complete_until": None, "missing_kwh": 2.0}],
        "items": [
            {"name": "complete", "ok": False, "blocks": True, "detail": "node-a owes about 2 kWh", "command": "joulebook retire feedfeed --reason TEXT"},
            {"name": "priced: water_l", "ok": False, "blocks": False, "detail": "known for 0.0%", "command": ""},
            {"name": "labelled", "ok": True, "blocks": False, "detail": "every run has a team or a project", "command": ""},
        ]}],
}  # fmt: skip
VERIFIED: VerifyBody = {
    "ok": True, "checks": [{"name": "chain", "ok": True, "detail": "12 links"}], "link": 12, "head": "abcdef", "warnings": [], "cannot_prove": "That.",
}  # fmt: skip


class FixedLedger:
    """A ledger of fixed answers that remembers what it was asked and given."""

    name = "sqlite:///book.sqlite"

    def __init__(self, *, placed: bool = True, trouble: JoulebookError | None = None, runs: int = 1) -> None:
        self.asked: list[object] = []
        self.given: list[Batch] = []
        self._placed = placed
        self._trouble = trouble
        self._runs = runs

    def deliver(self, batch: bytes) -> Answer:
        """Keep the batch."""
        self.given.append(decode_batch(batch))
        return Answer(counts={"stored": len(self.given[-1].items)})

    def book(self) -> int:
        """Answer that nothing was due."""
        return 0

    def runs(self, query: RunsQuery) -> RunsBody:
        """Answer with so many runs."""
        self._ask(query)
        return {
            "items": [run_body(run=f"{number:08x}" + "0" * 24) for number in range(self._runs)],
            "next_cursor": None,
        }

    def run(self, run: str) -> RunBody:
        """Answer with one run."""
        self._ask(run)
        return run_body()

    def report(self, query: ReportQuery) -> ReportBody:
        """Answer with one report."""
        self._ask(query)
        return report_body()

    def rank(self, query: RankQuery) -> RankBody:
        """Answer with one ranking."""
        self._ask(query)
        return rank_body()

    def sci(self, query: SciQuery) -> SciBody:
        """Answer with one intensity."""
        self._ask(query)
        return sci_body()

    def why(self, figure: str) -> WhyBody:
        """Answer with one derivation."""
        self._ask(figure)
        return WHY

    def hosts(self) -> HostsBody:
        """Answer with one machine and its reader."""
        self._ask("hosts")
        return HOSTS

    def restate(self, act: Restating) -> RestateBody:
        """Answer with the effect on one month."""
        self._ask(act)
        return restate_body(act)

    def correct(self, act: Correcting) -> CorrectBody:
        """Answer with one score that is voided."""
        self._ask(act)
        return correct_body(act)

    def check_close(self, query: CloseQuery) -> CloseBody:
        """Answer with one month that lacks something."""
        self._ask(query)
        return CLOSING

    def close_months(self, query: CloseQuery) -> CloseBody:
        """Answer that it is closed, with nothing missing."""
        self._ask(query)
        month: MonthCloseBody = {
            **CLOSING["months"][0],
            "owing": [],
            "items": CLOSING["months"][0]["items"][1:],
            "can_close": True,
        }
        return {**CLOSING, "closed": True, "months": [month]}

    def verify(self, head: str = "") -> VerifyBody:
        """Answer that all is well."""
        self._ask(f"verify {head}".strip())
        return VERIFIED

    def factors(self, query: FactorsQuery) -> FactorsBody:
        """Answer with what stands there, and what was entered since."""
        self._ask(query)
        book = FactorBook.from_bytes(self.snapshot("m"))
        items = [
            row_of_factor(known.fact) | {"known_since": TIME, "grade": "C", "pedigree": "reliability 2"}
            for known in book.factors
        ]
        return {
            "items": [i for i in items if i["kind"] in (query.kinds or (i["kind"],))],
            "next_cursor": None,
            "currency": "EUR",
        }  # type: ignore[typeddict-item]

    def sites(self) -> SitesBody:
        """Answer with the place in France, or with none."""
        self._ask("sites")
        book = FactorBook.from_bytes(self.snapshot("m"))
        return {
            "items": [row_of_site(known.fact) | {"known_since": TIME} for known in book.sites],  # type: ignore[misc]
            "placements": [row_of_placement(known.fact) | {"known_since": TIME} for known in book.placements],  # type: ignore[misc]
        }

    def snapshot(self, machine: str) -> bytes:
        """Answer with a place in France, or with none, and with what was entered since."""
        facts: list[Any] = [fact for batch in self.given for fact in batch.facts()]
        if self._placed:
            facts = [*_standing(machine), *facts]
        book = FactorBook(
            *([Known(fact, known) for known, fact in enumerate(facts) if isinstance(fact, kind)] for kind in (Factor, Site, Placement))
        )  # fmt: skip
        return book.to_bytes()

    def close(self) -> None:
        """Hold nothing."""

    def _ask(self, question: object) -> None:
        self.asked.append(question)
        if self._trouble is not None:
            raise self._trouble


class Screen(io.StringIO):
    """A terminal of a given width."""

    def isatty(self) -> bool:
        """Say that a person looks at it."""
        return True


class FixedDoor(Door):
    """A door behind which a ledger of fixed answers stands."""

    __slots__ = ("_ledger",)

    def __init__(self, ledger: Ledger, *, keys: str = "", screen: bool = False, sysfs_root: str = "/nowhere") -> None:
        super().__init__(
            {"JOULEBOOK_SYSFS_ROOT": sysfs_root}, out=Screen() if screen else io.StringIO(), err=Screen() if screen else io.StringIO(),
            keys=Screen(keys) if screen else io.StringIO(keys), now_ms=NOW_MS,
        )  # fmt: skip
        self._ledger = ledger

    @contextlib.contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """Give the ledger as it is."""
        yield self._ledger


def said(
    words: list[str], ledger: Ledger | None = None, *, keys: str = "", screen: bool = False
) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code, its answer and what else it said."""
    door = FixedDoor(FixedLedger() if ledger is None else ledger, keys=keys, screen=screen)
    code = main(words, door)
    assert isinstance(door.out, io.StringIO)
    assert isinstance(door.err, io.StringIO)
    return code, door.out.getvalue(), door.err.getvalue()


def environment_of(home: str, **more: str) -> Mapping[str, str]:
    """Return the variables of a user whose home is a folder of the test."""
    return {"JOULEBOOK_HOME": home, **more}


def _standing(machine: str) -> list[object]:
    return [
        Site(site="lab", zone="FR", version="1"), Placement(machine=machine, site="lab", version="1"),
        Factor(kind="grid_location", object="FR", provider="owid", version="1", value=56_000_000, unit="ug/kWh", source="table", sigma_ppm=250_000),
        Factor(kind="pue", object="lab", provider="desk", version="1", value=1_200_000, unit="ppm", source="declared"),
        Factor(kind="tariff", object="lab", provider="desk", version="1", value=250_000, unit="micro/kWh", source="declared", currency="EUR"),
    ]  # fmt: skip
