"""Run a service: serve, agent."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from joulebook.commands.options import SERVICE, door_of, examples, whole
from joulebook.commands.plain import PlainCommand
from joulebook_ledger.core.refusals import BadInput, Unavailable
from joulebook_ledger.settings import without_secret

app = typer.Typer()
LOOPBACK = "127.0.0.1"
PORT = "8420"
LARGEST_PORT = 65_535


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
    try:
        from joulebook_api.serve import serve as run_service
    except ImportError as error:
        if (error.name or "").startswith("joulebook"):
            raise
        raise Unavailable(
            f"the service needs {error.name}, which is not installed: pip install 'joulebook[server]'"
        ) from None
    door = door_of(context)
    run_service(
        door.settings,
        host=host,
        port=number,
        announce=lambda url: door.say(f"{without_secret(door.settings.ledger)} is served at {url}"),
    )


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
