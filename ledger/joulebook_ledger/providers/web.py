"""Asking a provider over the web, within bounds: of time, of bytes, of attempts, and of whom a token is shown to.

No redirect is followed. A token in an address is put on at the last moment and never stands in what we keep, say or log.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
import tenacity

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.providers.answers import (
    FAILING,
    NOT_UNDERSTOOD,
    OVER_QUOTA,
    REDIRECTED,
    REFUSED,
    TOO_LARGE,
    TOO_SLOW,
    UNREACHABLE,
    Nothing,
    Reply,
)
from joulebook_ledger.transport.waits import AgainLater, asked_wait, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LARGEST_REPLY_BYTES = 16 << 20
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 20.0
LONGEST_SECONDS = 60.0
PATIENCE_SECONDS = 30.0
ATTEMPTS = 3
FIRST_WAIT_SECONDS = 0.5
_AGAIN = frozenset({429, 500, 502, 503, 504})
_TOO_MANY = 429
_OF_THE_TOKEN = frozenset({401, 403})


class Web:
    """The way to providers. May be used by one thread at a time."""

    def __init__(
        self, *, silence_seconds: float = SILENCE_SECONDS, longest_seconds: float = LONGEST_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        """Make a client; nothing is sent yet.

        Args:
            silence_seconds: Longest time without a byte.
            longest_seconds: Longest time that one reply may take as a whole.
            patience_seconds: Longest time to spend on waiting before another attempt.
            sleep: Waits so many seconds.
        """
        self._longest_seconds = longest_seconds
        self._patience_seconds = patience_seconds
        self._sleep = sleep
        self._client = httpx2.Client(
            headers={"User-Agent": "joulebook"}, follow_redirects=False,
            timeout=httpx2.Timeout(silence_seconds, connect=min(CONNECT_SECONDS, silence_seconds)),
        )  # fmt: skip
        _log_no_queries()

    def get(
        self, url: str, parameters: Mapping[str, str] | None = None, *, secret: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply | Nothing:  # fmt: skip
        """Return what a provider replies with status 200, or why there is none.

        Args:
            url: Without a query.
            parameters: Of the query.
            secret: More of them, which are never named afterwards.
            headers: They may hold a token.
        """
        request = self._client.build_request(
            "GET", url, params={**(parameters or {}), **(secret or {})}, headers=headers
        )
        asked = str(httpx2.URL(url, params=parameters or {})).rstrip("?")
        backoff = tenacity.wait_random_exponential(FIRST_WAIT_SECONDS, max=self._patience_seconds)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_AgainLater),
            stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_before_delay(self._patience_seconds),
            wait=lambda state: backoff(state) + asked_wait(state),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._ask, request, asked)
        except _AgainLater as error:
            return error.nothing

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _ask(self, request: httpx2.Request, asked: str) -> Reply | Nothing:
        host = request.url.host
        try:
            response = self._client.send(request, stream=True)
            try:
                if response.status_code != 200:
                    return _refusal(response, host)
                return self._taken(response, host, asked)
            finally:
                response.close()
        except (httpx2.ReadTimeout, httpx2.WriteTimeout, httpx2.PoolTimeout):
            return Nothing(reason=TOO_SLOW, text=f"{host} said nothing for too long")
        except httpx2.DecodingError:
            return Nothing(reason=NOT_UNDERSTOOD, text=f"{host} sends what it calls packed and is not")
        except httpx2.TransportError as error:
            nothing = Nothing(reason=UNREACHABLE, text=f"{host} cannot be reached ({type(error).__name__})")
            raise _AgainLater(nothing) from None

    def _taken(self, response: httpx2.Response, host: str, asked: str) -> Reply | Nothing:
        until = time.monotonic() + self._longest_seconds
        content = bytearray()
        for part in response.iter_bytes():
            content += part
            if len(content) > LARGEST_REPLY_BYTES:
                return Nothing(reason=TOO_LARGE, text=f"{host} sends more than {LARGEST_REPLY_BYTES} bytes")
            if time.monotonic() > until:
                return Nothing(
                    reason=TOO_SLOW, text=f"{host} was still sending after {self._longest_seconds:g} seconds"
                )
        return Reply(content=bytes(content), asked=asked)


class _AgainLater(AgainLater):
    """The same with the reason to give where no more attempt is made."""

    def __init__(self, nothing: Nothing, wait_seconds: float = 0.0) -> None:
        super().__init__(nothing.text, wait_seconds)
        self.nothing = nothing


class _NoQueries(logging.Filter):
    """Takes the query off every address in a record: a provider may want its token there."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                arg.copy_with(query=None) if isinstance(arg, httpx2.URL) else arg for arg in record.args
            )
        return True


def base_url(text: str) -> str:
    """Return the address of a provider without a slash at its end.

    Raises:
        BadInput: It is none, holds a secret, or would show the token to whoever listens on the way.
    """
    parts = urlsplit(text)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    if not is_safe or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc or not text.isascii():
        raise BadInput(
            "the address of a provider is written as https://HOST or https://HOST/PATH, without a user, password or query "
            "(plain http only to this machine itself)"
        )
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _log_no_queries() -> None:
    logger = logging.getLogger("httpx2")
    if not any(isinstance(one, _NoQueries) for one in logger.filters):
        logger.addFilter(_NoQueries())


def _refusal(response: httpx2.Response, host: str) -> Nothing:
    """Return what a status other than 200 means. What else the provider says is not repeated: it may quote the question.

    Raises:
        _AgainLater: It may be another one in a moment.
    """
    status = response.status_code
    if status in _AGAIN:
        wait_seconds = retry_after(response.headers)
        asks = f" and asks to wait {wait_seconds:g} seconds" if wait_seconds else ""
        reason = OVER_QUOTA if status == _TOO_MANY else FAILING
        raise _AgainLater(Nothing(reason=reason, text=f"{host} answers {status}{asks}"), wait_seconds)
    if 300 <= status < 400:
        return Nothing(reason=REDIRECTED, text=f"{host} sends on to another address, which is not followed")
    if status in _OF_THE_TOKEN:
        return Nothing(
            reason=REFUSED, text=f"{host} answers {status}: the token is not known there, or may not ask this"
        )
    return Nothing(reason=NOT_UNDERSTOOD, text=f"{host} answers {status} to this question")
