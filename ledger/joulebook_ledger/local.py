"""The book itself as a `ledger.Ledger`: each question one snapshot and one use case, each delivery one transaction.

Reading loads neither SQLAlchemy nor SQLModel; what writes loads them when there is something to write.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from joulebook_ledger.core.units import MILLISECONDS_PER_DAY
from joulebook_ledger.settings import without_secret
from joulebook_ledger.store import reads
from joulebook_ledger.store.engine import open_book

if TYPE_CHECKING:
    from typing import IO

    from joulebook_ledger.bills.bodies import BillsBody, ReconciliationBody
    from joulebook_ledger.bills.importing import TakingBill
    from joulebook_ledger.bills.reading import FileRow
    from joulebook_ledger.bodies import (
        AuditBody,
        CloseBody,
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
    from joulebook_ledger.core.wire import Answer
    from joulebook_ledger.correcting.bodies import CorrectBody
    from joulebook_ledger.duties.bodies import DutiesBody
    from joulebook_ledger.duties.rounds import Rounds
    from joulebook_ledger.market.bodies import AllocationsBody, InstrumentsBody
    from joulebook_ledger.measures.bodies import SciBody
    from joulebook_ledger.providers.bodies import FetchBody
    from joulebook_ledger.queries import (
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


# A snapshot prices runs that begin by now, and those that still go on: of hourly factors more would only be carried about.
SNAPSHOT_PAST_MS = 35 * MILLISECONDS_PER_DAY
SNAPSHOT_FUTURE_MS = 7 * MILLISECONDS_PER_DAY


def now_ms() -> int:
    """Return this machine's time, milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class LocalLedger:
    """A book on SQLite or PostgreSQL. Made if it is not there yet, brought up to date if it is older."""

    def __init__(self, url: str, clock: Callable[[], int] = now_ms) -> None:
        """Open the book at a URL.

        Args:
            url: `sqlite:///PATH` or `postgresql+psycopg://…`.
            clock: The ledger's time, milliseconds since the epoch.

        Raises:
            BadInput: The URL names no place for a book.
            Unavailable: It cannot be reached, or was made by a newer version.
        """
        self._name = without_secret(url)
        self._book = open_book(url)
        self._clock = clock

    @property
    def name(self) -> str:
        """Its URL without secrets."""
        return self._name

    def deliver(self, batch: bytes) -> Answer:
        """Store the facts of a batch and say what became of each item."""
        from joulebook_ledger.ingest import deliver

        return deliver(self._book, batch, self._clock())

    def book(self) -> int:
        """Bring the journal up to date; return how many entries were added."""
        with self._book.read() as rows:
            if not reads.is_anything_due(rows):
                return 0
        from joulebook_ledger.store.journal import book

        return book(self._book.engine, self._clock()).entries

    def seal(self) -> int:
        """Put what was received into a chain link without booking it; return the number of the newest link."""
        from joulebook_ledger.store.journal import book

        return book(self._book.engine, self._clock(), wanted=frozenset()).link

    def runs(self, query: RunsQuery) -> RunsBody:
        """Return a page of runs."""
        from joulebook_ledger.views.runs import list_runs

        with self._book.read() as rows:
            return list_runs(rows, query)

    def run(self, run: str) -> RunBody:
        """Return one run."""
        from joulebook_ledger.views.runs import show_run

        with self._book.read() as rows:
            return show_run(rows, run)

    def report(self, query: ReportQuery) -> ReportBody:
        """Return a report."""
        from joulebook_ledger.views.reports import make_report

        with self._book.read() as rows:
            return make_report(rows, query)

    def rank(self, query: RankQuery) -> RankBody:
        """Return a ranking."""
        from joulebook_ledger.views.ranking import make_ranking

        with self._book.read() as rows:
            return make_ranking(rows, query)

    def sci(self, query: SciQuery) -> SciBody:
        """Return carbon per functional unit."""
        from joulebook_ledger.views.intensity import make_sci

        with self._book.read() as rows:
            return make_sci(rows, query)

    def why(self, figure: str) -> WhyBody:
        """Return the derivation of a figure."""
        from joulebook_ledger.views.why import explain

        with self._book.read() as rows:
            return explain(rows, figure)

    def hosts(self) -> HostsBody:
        """Return the machines and their readers."""
        from joulebook_ledger.figures.hosts import list_hosts

        with self._book.read() as rows:
            return list_hosts(rows, self._clock())

    def factors(self, query: FactorsQuery) -> FactorsBody:
        """Return a page of factors and prices."""
        from joulebook_ledger.register.listing import list_factors

        with self._book.read() as rows:
            return list_factors(rows, query)

    def sites(self) -> SitesBody:
        """Return the sites and placements."""
        from joulebook_ledger.register.listing import list_sites

        with self._book.read() as rows:
            return list_sites(rows)

    def maps(self) -> MapsBody:
        """Return the map of accounts, teams and cost centres."""
        from joulebook_ledger.desk.maps import list_maps

        with self._book.read() as rows:
            return list_maps(rows)

    def restate(self, act: Restating) -> RestateBody:
        """Price closed months by other factors, or undo that, or only say what it would change."""
        from joulebook_ledger.closing.restating import restate

        return restate(self._book, act, self._clock())

    def correct(self, act: Correcting) -> CorrectBody:
        """Void facts that were wrong and tell them again, or only say which that would be."""
        from joulebook_ledger.correcting.correct import correct

        return correct(self._book, act, self._clock())

    def check_close(self, query: CloseQuery) -> CloseBody:
        """Return the checklist of a close, and close nothing."""
        from joulebook_ledger.closing.close import check_close

        with self._book.read() as rows:
            return check_close(rows, query, self._clock())

    def close_months(self, query: CloseQuery) -> CloseBody:
        """Close the open months up to one, all or none; what instruments cover of them is assigned first."""
        from joulebook_ledger.closing.close import close_months
        from joulebook_ledger.market.allocating import allocate_for_close

        self.book()
        allocate_for_close(self._book, query, self._clock())
        return close_months(self._book, query, self._clock())

    def verify(self, head: str = "") -> VerifyBody:
        """Prove the book against itself, and against the digest of a link that was kept elsewhere."""
        from joulebook_ledger.verify import verify_book

        with self._book.read() as rows:
            return verify_book(rows, head)

    def audit(self, year: int, out: IO[bytes], told: Callable[[str], None]) -> AuditBody:
        """Write the audit archive of a year."""
        from joulebook_ledger.audit.archive import write_audit

        with self._book.read() as rows:
            return write_audit(rows, year, out, self._clock(), told)

    def snapshot(self, machine: str) -> bytes:
        """Return what prices a machine, as small JSON."""
        with self._book.read() as rows:
            now = self._clock()
            return reads.machine_book(rows, machine, now - SNAPSHOT_PAST_MS, now + SNAPSHOT_FUTURE_MS).to_bytes()

    def fetch_factors(self, query: FetchQuery) -> FetchBody:
        """Ask the live providers that are switched on for what the book lacks."""
        from contextlib import closing

        from joulebook_ledger.providers.fetching import fetch_factors
        from joulebook_ledger.providers.settings import load_provider_settings
        from joulebook_ledger.providers.web import Web

        settings = load_provider_settings()
        with closing(Web()) as web:
            return fetch_factors(self._book, query, settings, web, self._clock())

    def instruments(self) -> InstrumentsBody:
        """Return certificates, contracts and supplier rates."""
        from joulebook_ledger.market.listing import list_instruments

        with self._book.read() as rows:
            return list_instruments(rows)

    def allocate(self, query: AllocateQuery) -> AllocationsBody:
        """Assign a year's instruments to its months."""
        from joulebook_ledger.market.allocating import allocate

        return allocate(self._book, query, self._clock())

    def take_bill(self, act: TakingBill, rows: Iterable[FileRow], told: Callable[[str], None]) -> BillsBody:
        """Take the rows of a delivery of a bill in, all or none."""
        from joulebook_ledger.bills.importing import take_bill

        return take_bill(self._book, act, rows, self._clock(), told)

    def reconcile(self, month: int) -> ReconciliationBody:
        """Return the bills of a month beside what was metered."""
        from joulebook_ledger.bills.reconciling import reconcile

        with self._book.read() as rows:
            return reconcile(rows, month)

    def duties(self) -> DutiesBody:
        """Return how the work that the clock brings stands."""
        from joulebook_ledger.duties.standing import list_duties

        with self._book.read() as rows:
            return list_duties(rows, self._clock())

    def rounds(self) -> Rounds:
        """Return the worker of this book, which has not begun."""
        from joulebook_ledger.duties.wanted import rounds_of

        return rounds_of(self._book, self, self._clock)

    def close(self) -> None:
        """Let go of connections."""
        self._book.close()
