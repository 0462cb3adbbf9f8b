"""The one protocol that the book on this machine and the client of a service both fulfil; commands know nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
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


class Ledger(Protocol):
    """A book: facts go in by one door, bodies come out. Every method may raise `BadInput` or `Unavailable`."""

    @property
    def name(self) -> str:
        """What a person would call it: its URL without secrets."""
        ...

    def deliver(self, batch: bytes) -> Answer:
        """Store the facts of a batch in one transaction and say what became of each item (`core.wire`)."""
        ...

    def book(self) -> int:
        """Bring the books up to date; return how many entries were added. A service books by itself and answers 0."""
        ...

    def runs(self, query: RunsQuery) -> RunsBody:
        """Return a page of runs with their footprints."""
        ...

    def run(self, run: str) -> RunBody:
        """Return one run by id, unique prefix, or "" for the last one; an unknown one names the nearest."""
        ...

    def report(self, query: ReportQuery) -> ReportBody:
        """Return a report."""
        ...

    def rank(self, query: RankQuery) -> RankBody:
        """Return a ranking with its Pareto front."""
        ...

    def sci(self, query: SciQuery) -> SciBody:
        """Return carbon per functional unit by model."""
        ...

    def why(self, figure: str) -> WhyBody:
        """Return the derivation of a figure such as `run:R#cost`, or `last cost`."""
        ...

    def hosts(self) -> HostsBody:
        """Return the machines, their readers, and who owes which month."""
        ...

    def factors(self, query: FactorsQuery) -> FactorsBody:
        """Return a page of factors and prices."""
        ...

    def sites(self) -> SitesBody:
        """Return the sites, and which machine stands where."""
        ...

    def maps(self) -> MapsBody:
        """Return the map of accounts, teams and cost centres."""
        ...

    def restate(self, act: Restating) -> RestateBody:
        """Price closed months by other factors, or undo that, or only say what it would change."""

    def correct(self, act: Correcting) -> CorrectBody:
        """Void facts that were wrong and tell them again, or only say which that would be."""

    def check_close(self, query: CloseQuery) -> CloseBody:
        """Return the checklist of a close, and close nothing."""
        ...

    def close_months(self, query: CloseQuery) -> CloseBody:
        """Close the open months up to one, all or none."""
        ...

    def verify(self, head: str = "") -> VerifyBody:
        """Prove the book against itself, and against the digest of a link that was kept elsewhere."""
        ...

    def audit(self, year: int, out: IO[bytes], told: Callable[[str], None]) -> AuditBody:
        """Write the audit archive of a year, telling the name of each file, and return what it holds."""
        ...

    def snapshot(self, machine: str) -> bytes:
        """Return the factors, prices and placement of a machine as one small JSON text, for footprints away from the book."""
        ...

    def fetch_factors(self, query: FetchQuery) -> FetchBody:
        """Ask the live providers that are switched on, here or at the service, for the factors that the book lacks."""
        ...

    def instruments(self) -> InstrumentsBody:
        """Return certificates, contracts and supplier rates, each with what was assigned of it or why it is not used."""
        ...

    def allocate(self, query: AllocateQuery) -> AllocationsBody:
        """Assign a year's instruments to its months, which gives each month its market-based factor."""
        ...

    def take_bill(self, act: TakingBill, rows: Iterable[FileRow], told: Callable[[str], None]) -> BillsBody:
        """Take the rows of a delivery of a bill in, all or none, telling now and then how far it is."""
        ...

    def reconcile(self, month: int) -> ReconciliationBody:
        """Return the bills of a month (yyyymm) beside what was metered, with the causes of the difference."""
        ...

    def duties(self) -> DutiesBody:
        """Return how the work that the clock brings stands: what was done last, what waits, what failed and why."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
