"""The service as a process: one address on this machine, one token, one worker, one book."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from joulebook_api.app import create_app
from joulebook_api.ending import ending_on_signal
from joulebook_api.guard import is_loopback
from joulebook_api.log import LOG_SETTINGS
from joulebook_api.worker import Worker, require_book
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.readiness import check_ready
from joulebook_ledger.settings import TOKEN_FILE
from joulebook_ledger.transport.token_file import ensure_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import FastAPI

    from joulebook_ledger.settings import Settings

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8420
GRACE_SECONDS = 20
LONGEST_QUEUE = 256
_LOG = logging.getLogger("joulebook.service")


def serve(
    settings: Settings,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    announce: Callable[[str], None] = lambda _url: None,
) -> None:
    """Serve the book of the settings until the process is told to end (SIGTERM, Ctrl-C); then finish what is under way.

    Args:
        settings: Whose ledger is a book, SQLite or PostgreSQL, and whose home holds the token.
        host: A loopback name or address; anything else is refused until there are keys.
        port: 0 for any that is free.
        announce: Is told the URL once requests are taken there; the log says it too.

    Raises:
        BadInput: The host, the port, the token file or the ledger cannot be taken.
        Unavailable: The book cannot be reached, or was made by a newer version.
    """
    address = loopback_address(host)
    require_book(settings)
    from joulebook_ledger.local import LocalLedger  # brings SQLAlchemy, which a refusal need not wait for

    token_file = Path(settings.home) / TOKEN_FILE
    token = ensure_token(token_file)
    with ending_on_signal(), contextlib.closing(LocalLedger(settings.ledger)) as ledger:
        worker = Worker(ledger.rounds())
        app = create_app(
            ledger,
            token,
            check_ready=lambda: check_ready(settings.ledger),
            book_soon=worker.book_soon,
            lifespan=worker.at_work,
        )
        server = server_of(app, LOG_SETTINGS)
        with listening(address, port) as listener:
            _LOG.info("event=serving url=%s ledger=%s token_file=%s", url_of(listener), ledger.name, token_file)
            announce(url_of(listener))
            server.run(sockets=[listener])


def loopback_address(host: str) -> str:
    """Return the address of a loopback host.

    >>> loopback_address("localhost")
    '127.0.0.1'

    Raises:
        BadInput: The host can be reached from other machines; the text names ways that are safe.
    """
    if not is_loopback(host):
        raise BadInput(
            f"host {host!r} can be reached from other machines, and this service has no keys yet: use 127.0.0.1, and from "
            f"another machine `ssh -L {DEFAULT_PORT}:127.0.0.1:{DEFAULT_PORT}` or a drop-box (JOULEBOOK_LEDGER=file:///shared/folder)"
        )
    return DEFAULT_HOST if host.lower() == "localhost" else str(ipaddress.ip_address(host))


@contextlib.contextmanager
def listening(address: str, port: int) -> Iterator[socket.socket]:
    """Give a socket that listens at an address of this machine.

    Raises:
        BadInput: The port is no port, or is taken.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once; without, each waits 40 ms for a delayed acknowledgement.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        if sys.platform != "win32":  # there the option would let a second service share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
            listener.listen(LONGEST_QUEUE)
        except (OSError, OverflowError) as error:
            raise BadInput(f"port {port} of {address} cannot be had ({error}): choose another with --port") from None
        yield listener


def url_of(listener: socket.socket) -> str:
    """Return the URL of a service behind a socket."""
    address, port = listener.getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def server_of(app: FastAPI, log_settings: dict[str, Any] | None = None) -> uvicorn.Server:
    """Return the HTTP server of an application; the guard logs its requests, without queries.

    Args:
        app: The application.
        log_settings: How this process writes its log from now on; None leaves it as it is.
    """
    config = uvicorn.Config(
        app, http="h11", loop="asyncio", ws="none", lifespan="on", access_log=False, server_header=False, proxy_headers=False,
        log_config=log_settings, timeout_graceful_shutdown=GRACE_SECONDS,
    )  # fmt: skip
    return uvicorn.Server(config)
