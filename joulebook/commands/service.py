"""Run a service: serve, worker, agent, hosts, retire."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from joulebook.commands.options import SERVICE, Author, Json, door_of, examples, whole
from joulebook.commands.plain import PlainCommand
from joulebook_ledger.core.refusals import BadInput, Unavailable
from joulebook_ledger.settings import without_secret

app = typer.Typer()
LOOPBACK = "127.0.0.1"
PORT = "8420"
LARGEST_PORT = 65_535


@contextlib.contextmanager
def needing_the_service() -> Iterator[None]:
    """Say what to install where the service cannot be loaded.

    Raises:
        Unavailable: A library of it is not there.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").startswith("joulebook"):
            raise
        raise Unavailable(
            f"the service needs {error.name}, which is not installed: pip install 'joulebook[server]'"
        ) from None


@app.command(
    "serve", cls=PlainCommand, rich_help_panel=SERVICE,
    epilog=examples("joulebook serve", "joulebook serve --port 9000", "JOULEBOOK_LEDGER=http://127.0.0.1:8420 joulebook runs"),
)  # fmt: skip
def serve(
    context: typer.Context, *,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Loopback only, until there are keys.")] = LOOPBACK,
    port: Annotated[str, typer.Option("--port", metavar="N", help="Port; 0 takes a free one.")] = PORT,
) -> None:  # fmt: skip
    """Serve the book over HTTP on this machine, guarded by the token in JOULEBOOK_HOME/token."""
    number = whole(port, "--port", 0, LARGEST_PORT)
    with needing_the_service():
        from joulebook_api.serve import serve as run_service
    door = door_of(context)
    run_service(
        door.settings,
        host=host,
        port=number,
        announce=lambda url: door.say(f"{without_secret(door.settings.ledger)} is served at {url}"),
    )


@app.command(
    "worker", cls=PlainCommand, rich_help_panel=SERVICE,
    epilog=examples("joulebook worker", "joulebook worker --once", "joulebook worker --status --json"),
)  # fmt: skip
def worker(
    context: typer.Context, *,
    once: Annotated[bool, typer.Option("--once", help="Do what is due and end, for cron.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Say what was done, what waits and what failed.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Do what the clock brings, until SIGTERM: booking, sealing the chain, fetching factors, reminding of months that are not closed.

    `joulebook serve` does the same by itself. Of several on one book one leads, and another takes over when it is gone.
    """
    if once and status:
        raise BadInput("--once and --status exclude each other: give one of them")
    if json and not status:
        raise BadInput("--json is for --status: joulebook worker --status --json")
    door = door_of(context)
    if status:
        from joulebook.duties import page

        with door.ledger() as ledger:
            body = ledger.duties()
        door.answer(body, None if json else page(body, door.page))
        return
    with needing_the_service():
        from joulebook_api.worker import work
    work(door.settings, once=once, announce=door.tell)


@app.command(
    "agent", cls=PlainCommand, rich_help_panel=SERVICE,
    epilog=examples("joulebook agent --check", "joulebook agent --config /etc/joulebook/agent.toml", "systemctl enable --now joulebook-agent"),
)  # fmt: skip
def agent(
    context: typer.Context, *,
    config: Annotated[
        str, typer.Option("--config", metavar="FILE", help="TOML file.", show_default="/etc/joulebook/agent.toml, if it is there")
    ] = "",
    check: Annotated[bool, typer.Option("--check", help="Say whether configuration, spool, ledger and meters are in order, and end.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Read for two samples, deliver, and end.")] = False,
) -> None:  # fmt: skip
    """Be the one reader of this host, for jobs of every user, until SIGTERM.

    Becomes a process of its own kind, which loads none of what commands load.
    """
    if check and once:
        raise BadInput("--check and --once exclude each other: give one of them")
    words = [*(["--config", config] if config else []), *(["--check"] if check else []), *(["--once"] if once else [])]
    program = [sys.executable, "-P", "-m", "joulebook_collectors.agent", *words]
    os.execve(sys.executable, program, dict(door_of(context).environment))  # noqa: S606 - our own module


@app.command(
    "hosts", cls=PlainCommand, rich_help_panel=SERVICE, epilog=examples("joulebook hosts", "joulebook hosts --json"),
)  # fmt: skip
def hosts(context: typer.Context, *, json: Json = False) -> None:
    """List machines and who reads there: until when all was told, when it was heard of last, and which months it owes."""
    from joulebook.hosts import page

    door = door_of(context)
    with door.ledger() as ledger:
        body = ledger.hosts()
    door.answer(body, None if json else page(body, door.page))


@app.command(
    "retire", cls=PlainCommand, rich_help_panel=SERVICE,
    epilog=examples("joulebook retire 3f9c --reason 'the node was scrapped'", "joulebook retire node-17 --reason 'reinstalled without its spool'"),
)  # fmt: skip
def retire(
    context: typer.Context,
    reader: Annotated[str, typer.Argument(metavar="READER", help="A reader's id or its beginning, or a machine: all that still read there.")],
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why nobody waits for it any more.", show_default=False)] = "",
    author: Author = "",
    json: Json = False,
) -> None:  # fmt: skip
    """Say that a reader is gone for good and owes nothing more. What still comes of it is taken all the same."""
    from joulebook.hosts import page, readers_named
    from joulebook_ledger.desk.entering import retirement_batch

    door = door_of(context)
    with door.ledger() as ledger:
        named = [found["reader"] for found in readers_named(ledger.hosts(), reader)]
        door.enter(ledger, retirement_batch(door.entry(author), named, reason))
        body = ledger.hosts()
    door.answer(body, None if json else f"{len(named)} retired: {', '.join(named)}\n\n{page(body, door.page)}")
