"""The ledger behind a service, asked over HTTP: the same protocol as the book on this machine.

Every request may be sent again, since facts count once however often they arrive. So a service that is restarting costs a moment
and no facts; where it stays away, the answer is `Unavailable`, and the sender keeps what it has.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from joulebook_ledger.core.periods import month_text, time_text
from joulebook_ledger.core.refusals import BadInput, Malformed, Unavailable
from joulebook_ledger.core.wire import LARGEST_BATCH_BYTES
from joulebook_ledger.transport.addresses import (
    LONGEST_ECHO,
    WHICH_TOKEN,
    WHICH_URL,
    checked_token,
    checked_url,
    is_loopback,
    path_part,
)
from joulebook_ledger.transport.packing import LEAST_PACKED_BYTES, content_headers, packed
from joulebook_ledger.transport.problems import bad_input, json_object
from joulebook_ledger.transport.waits import AgainLater, asked_wait, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO

    import httpx2

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

    Parameters = list[tuple[str, str]]

TIMEOUT_SECONDS, CONNECT_SECONDS = 60.0, 5.0
VERIFY_SECONDS, FETCH_SECONDS = 3600.0, 1800.0
PATIENCE_SECONDS = 8.0
ATTEMPTS = 4
FIRST_WAIT_SECONDS = 0.2
PROBLEM_PREFIX = "urn:joulebook:problem:"
_AGAIN_LATER = frozenset({429, 502, 503})
_OF_PACKING = frozenset({400, 415})
_OF_THE_WAY = frozenset({401, 403, 421})


class HttpLedger:
    """A book behind a service. Its methods raise what the book itself would, and `Unavailable` for all that lies between.

    No redirect is followed and the token goes to the one address given. May be used by several threads.
    """

    def __init__(
        self, url: str, token: str, *, timeout_seconds: float = TIMEOUT_SECONDS, patience_seconds: float = PATIENCE_SECONDS,
        sleep: Callable[[float], None] = time.sleep, transport: httpx2.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        """Make a client; nothing is sent yet.

        Args:
            url: Address of the service, http or https.
            token: Secret of the service.
            timeout_seconds: Longest silence of the service within one request.
            patience_seconds: Longest time to spend on waiting before another attempt.
            sleep: Waits so many seconds; an event's `wait` lets a thread be stopped meanwhile.
            transport: Another way than the network, for tests.
        """
        import ssl

        import httpx2

        self._url = checked_url(url)
        is_here = is_loopback(self._url)
        self._patience_seconds = patience_seconds
        self._sleep = sleep
        self._packs = True
        self._timeout = httpx2.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds))
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {checked_token(token)}", "User-Agent": "joulebook", "Accept-Encoding": "identity"},
            follow_redirects=False,
            timeout=self._timeout,
            transport=transport,
            # A proxy of the environment must not see the token of a service on this machine.
            trust_env=not is_here,
            # To read all certificates of the world takes 0.1 s; where no TLS is spoken, a context that trusts nobody is enough.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_here and self._url.startswith("http://") else True,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """The address of the service; it holds no secret."""
        return self._url

    def __repr__(self) -> str:
        """Return a text without the token."""
        return f"HttpLedger({self._url!r})"

    def deliver(self, batch: bytes) -> Answer:
        """Store the facts of a batch and say what became of each item; a batch sent again changes nothing."""
        from joulebook_ledger.transport.answers import answer_of

        if len(batch) > LARGEST_BATCH_BYTES:
            raise Malformed(f"a batch has at most {LARGEST_BATCH_BYTES} bytes, not {len(batch)}: send it in parts")
        body = self._posted(batch)
        try:
            return answer_of(body)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Unavailable(f"{self._url} answers a batch as no Joulebook service does: {WHICH_URL}") from None

    def book(self) -> int:
        """Return 0: a service keeps its books up to date by itself."""
        return 0

    def runs(self, query: RunsQuery) -> RunsBody:
        """Return a page of runs."""
        parameters = [("sort", query.sort), ("limit", str(query.limit)), ("cursor", query.cursor)]
        for name, value in query.labels.items():
            is_tag = name.startswith("tag:")
            parameters.append(("tag", f"{name.removeprefix('tag:')}={value}") if is_tag else (name, value))
        return cast("RunsBody", self._body("GET", "/v1/runs", parameters))

    def run(self, run: str) -> RunBody:
        """Return one run by id, unique prefix, or "" for the last one."""
        return cast("RunBody", self._body("GET", f"/v1/runs/{path_part(run or 'last')}"))

    def report(self, query: ReportQuery) -> ReportBody:
        """Return a report."""
        parameters = [
            ("from", month_text(query.from_month)), ("to", month_text(query.to_month)), ("by", ",".join(query.by)),
            ("basis", query.basis), ("idle", query.idle), ("as_of", query.as_of),
        ]  # fmt: skip
        return cast("ReportBody", self._body("GET", "/v1/reports", parameters))

    def rank(self, query: RankQuery) -> RankBody:
        """Return a ranking."""
        parameters = [
            ("task", query.task), ("score", query.score), ("per", query.per), ("stage", query.stage), ("split", query.split),
            ("best", "true" if query.best else ""), *(("min", f"{name}={value}") for name, value in query.least.items()),
        ]  # fmt: skip
        return cast("RankBody", self._body("GET", "/v1/rank", parameters))

    def sci(self, query: SciQuery) -> SciBody:
        """Return carbon per functional unit by model."""
        parameters = [
            ("from", month_text(query.from_month)), ("to", month_text(query.to_month)), ("per", query.per), ("model", query.model),
            ("boundary", query.boundary), ("units", query.units), ("idle", query.idle), ("utilisation", query.utilisation),
        ]  # fmt: skip
        return cast("SciBody", self._body("GET", "/v1/sci", parameters))

    def why(self, figure: str) -> WhyBody:
        """Return the derivation of a figure."""
        return cast("WhyBody", self._body("GET", "/v1/why", [("figure", figure)]))

    def hosts(self) -> HostsBody:
        """Return the machines and their readers."""
        return cast("HostsBody", self._body("GET", "/v1/hosts"))

    def factors(self, query: FactorsQuery) -> FactorsBody:
        """Return a page of factors and prices."""
        parameters = [
            *(("kind", kind) for kind in query.kinds), ("of", query.object), ("provider", query.provider),
            ("at", "" if query.at_ms is None else time_text(query.at_ms)), ("limit", str(query.limit)), ("cursor", query.cursor),
        ]  # fmt: skip
        return cast("FactorsBody", self._body("GET", "/v1/factors", parameters))

    def sites(self) -> SitesBody:
        """Return the sites, and which machine stands where."""
        return cast("SitesBody", self._body("GET", "/v1/sites"))

    def maps(self) -> MapsBody:
        """Return the map of accounts, teams and cost centres."""
        return cast("MapsBody", self._body("GET", "/v1/maps"))

    def restate(self, act: Restating) -> RestateBody:
        """Price closed months by other factors, or undo that, or only say what it would change; of a large book that takes minutes."""
        return cast("RestateBody", self._act("/v1/restatements", act))

    def correct(self, act: Correcting) -> CorrectBody:
        """Void facts that were wrong and tell them again, or only say which that would be."""
        return cast("CorrectBody", self._act("/v1/corrections", act))

    def _act(self, page: str, act: Restating | Correcting) -> object:
        return self._body("POST", page, content=json.dumps(asdict(act)).encode(), silence_seconds=VERIFY_SECONDS)

    def check_close(self, query: CloseQuery) -> CloseBody:
        """Return the checklist of a close, and close nothing."""
        return cast("CloseBody", self._body("GET", f"/v1/periods/{query.page}/close", query.limits))

    def close_months(self, query: CloseQuery) -> CloseBody:
        """Close the open months up to one, all or none."""
        page = f"/v1/periods/{query.page}/close"
        said = [*query.limits, ("author", query.author), ("reason", query.reason)]
        return cast("CloseBody", self._body("POST", page, said, content=b"{}", silence_seconds=VERIFY_SECONDS))

    def verify(self, head: str = "") -> VerifyBody:
        """Prove the book against itself; on a large book that takes minutes."""
        return cast("VerifyBody", self._body("GET", "/v1/verify", [("head", head)], silence_seconds=VERIFY_SECONDS))

    def audit(self, year: int, out: IO[bytes], told: Callable[[str], None]) -> AuditBody:
        """Fetch the audit archive of a year; on a large book that takes minutes."""
        from joulebook_ledger.audit.archive import contents_of

        told(f"the archive of {year} from {self._url}")
        out.write(self._ask("GET", f"/v1/audit/{year}", silence_seconds=VERIFY_SECONDS))
        return contents_of(out)

    def snapshot(self, machine: str) -> bytes:
        """Return what a machine needs to price its own runs."""
        return self._ask("GET", "/v1/snapshot", [("machine", machine)])

    def fetch_factors(self, query: FetchQuery) -> FetchBody:
        """Have the service ask the live providers that are switched on there."""
        instants = [("from", query.from_ms), ("to", query.to_ms)]
        parameters = [(name, time_text(at_ms)) for name, at_ms in instants if at_ms is not None]
        parameters += [("zone", query.zone), ("provider", query.provider)]
        answer = self._body("POST", "/v1/factors/fetch", parameters, content=b"{}", silence_seconds=FETCH_SECONDS)
        return cast("FetchBody", answer)

    def instruments(self) -> InstrumentsBody:
        """Return certificates, contracts and supplier rates."""
        return cast("InstrumentsBody", self._body("GET", "/v1/instruments"))

    def allocate(self, query: AllocateQuery) -> AllocationsBody:
        """Have the service assign a year's instruments to its months."""
        asked = [(name, "true" if value is True else str(value or "")) for name, value in asdict(query).items()]
        return cast("AllocationsBody", self._body("POST", "/v1/instruments/allocate", asked, content=b"{}"))

    def take_bill(self, act: TakingBill, rows: Iterable[FileRow], told: Callable[[str], None]) -> BillsBody:
        """Send the rows of a delivery of a bill, in one body."""
        from joulebook_ledger.bills.sending import body_of_bill

        content = body_of_bill(act, rows)
        told(f"{len(content)} bytes to {self._url}")
        packs = self._packs
        answer = self._body(
            "POST", "/v1/bills", content=packed(content) if packs else content, encoding="gzip" if packs else "",
            silence_seconds=VERIFY_SECONDS,
        )  # fmt: skip
        return cast("BillsBody", answer)

    def reconcile(self, month: int) -> ReconciliationBody:
        """Return the bills of a month beside what was metered."""
        return cast("ReconciliationBody", self._body("GET", f"/v1/reconciliation/{month_text(month)}"))

    def duties(self) -> DutiesBody:
        """Return how the work that the clock brings stands."""
        return cast("DutiesBody", self._body("GET", "/v1/duties"))

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _posted(self, batch: bytes) -> dict[str, Any]:
        """Send a batch packed, or as it is to a service that is older than packing, or behind something that garbles it."""
        if self._packs and len(batch) >= LEAST_PACKED_BYTES:
            try:
                return self._body("POST", "/v1/facts", content=packed(batch), encoding="gzip")
            except _NotPackedPleaseError:
                self._packs = False
        return self._body("POST", "/v1/facts", content=batch)

    def _body(
        self, method: str, path: str, parameters: Parameters | None = None, *, content: bytes | None = None, encoding: str = "",
        silence_seconds: float | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        answer = self._ask(
            method, path, parameters, content=content, encoding=encoding, silence_seconds=silence_seconds
        )
        body = json_object(answer)
        if body is None:
            raise Unavailable(f"{self._url} answers {path} as no Joulebook service does: {WHICH_URL}")
        return body

    def _ask(
        self, method: str, path: str, parameters: Parameters | None = None, *, content: bytes | None = None, encoding: str = "",
        silence_seconds: float | None = None,
    ) -> bytes:  # fmt: skip
        import httpx2
        import tenacity

        timeout = self._timeout if silence_seconds is None else httpx2.Timeout(silence_seconds, connect=CONNECT_SECONDS)
        try:
            request = self._client.build_request(
                method,
                self._url + path,
                params=[(name, value) for name, value in parameters or [] if value],
                content=content,
                headers=content_headers(content, encoding),
                timeout=timeout,
            )
        except (httpx2.InvalidURL, UnicodeEncodeError) as error:
            raise BadInput(f"a value cannot be part of an address: {str(error)[:LONGEST_ECHO]}") from None
        backoff = tenacity.wait_random_exponential(FIRST_WAIT_SECONDS, max=self._patience_seconds)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(AgainLater),
            stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_before_delay(self._patience_seconds),
            wait=lambda state: backoff(state) + asked_wait(state),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._send, request)
        except AgainLater as error:
            raise Unavailable(str(error), wait_seconds=error.wait_seconds) from None

    def _send(self, request: httpx2.Request) -> bytes:
        import httpx2

        try:
            response = self._client.send(request)
        except (httpx2.ReadTimeout, httpx2.WriteTimeout):
            seconds = request.extensions["timeout"]["read"]
            raise Unavailable(f"{self._url} said nothing for {seconds:g} seconds: {_NOTHING_LOST}") from None
        except httpx2.TransportError as error:
            reason = f"{type(error).__name__}: {str(error)[:LONGEST_ECHO]}".rstrip(": ")
            raise AgainLater(f"{self._url} does not answer ({reason}): {_START_IT}; {_NOTHING_LOST}") from None
        if response.status_code == 200:
            return response.content
        raise self._error_of(response)

    def _error_of(self, response: httpx2.Response) -> Exception:
        """Return what an answer other than 200 means to the one who asked."""
        status, problem = response.status_code, json_object(response.content) or {}
        detail = str(problem.get("detail", ""))
        kind = str(problem.get("type", ""))
        if status in _AGAIN_LATER:
            said = detail or f"answers {status}"
            return AgainLater(f"{self._url}: {said}; {_NOTHING_LOST}", retry_after(response.headers))
        if response.request.headers.get("content-encoding") and status in _OF_PACKING:
            return _NotPackedPleaseError(detail)
        if 300 <= status < 400:
            place = response.headers.get("location", "")[:LONGEST_ECHO]
            return Unavailable(f"{self._url} sends on to {place!r}, where the token is not sent: {WHICH_URL}")
        if not kind.startswith(PROBLEM_PREFIX):
            return Unavailable(f"{self._url} answers {status}, and not as a Joulebook service does: {WHICH_URL}")
        name = kind.removeprefix(PROBLEM_PREFIX)
        if status == 401:
            return Unavailable(f"{self._url} does not know this token: {WHICH_TOKEN}; {_NOTHING_LOST}")
        if status in _OF_THE_WAY or status >= 500 or name in {"no-such-page", "method-not-allowed"}:
            request_id = problem.get("request_id", "")
            return Unavailable(f"{self._url}: {detail} (status {status}, request {request_id}); {_NOTHING_LOST}")
        return bad_input(name, detail)


class _NotPackedPleaseError(Exception):
    """The service does not take a packed body; it may take the same one as it is."""


_NOTHING_LOST = "nothing is lost, what was measured stays in the spool"
_START_IT = "start it with `joulebook serve`, or check JOULEBOOK_LEDGER"
