"""The `joulebook` command: finds the module of what is called, and turns errors into one clear line and an exit code.

Exit codes: 0 done; 1 looked and found wrong (`verify`, `doctor`), or the system refused (a full disk); 2 what was given cannot be
taken; 3 the ledger cannot be reached; 130 ended by Ctrl-C; 141 ended by a closed pipe; of `run` that of the command that was run.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
import typer.main

from joulebook import __version__
from joulebook.commands.plain import PlainGroup
from joulebook.wiring import Door
from joulebook_ledger.core.refusals import JoulebookError

PROGRAM = "joulebook"
INTERRUPTED = 130
# Module -> its commands. The modules hold the commands; what is called decides which of them is loaded.
PANELS = {
    "track": ("init", "run", "log", "label", "doctor", "quickstart"),
    "look": ("runs", "show", "report", "rank", "sci", "why"),
    "books": ("import", "maps", "close", "restate", "reconcile", "audit", "verify"),
    "correct": ("correct",),
    "register": ("factors", "prices", "sites", "export"),
    "market": ("instruments",),
    "service": ("serve", "worker", "agent", "hosts", "retire"),
}
_HELP = """Books of the energy, cost and CO2e of training and serving models.

Start with `joulebook init`, then `joulebook run -- python train.py`, then `joulebook show`.
Every command says more with --help, and every one that answers takes --json.
"""


def main(arguments: Sequence[str] | None = None, door: Door | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: Words after `joulebook`; the process's own by default.
        door: The command's surroundings; the process's own by default.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    used = Door() if door is None else door
    try:
        code = typer.main.get_command(_application(words)).main(
            words, prog_name=PROGRAM, standalone_mode=False, obj=used
        )
    except JoulebookError as error:
        used.tell(_line(str(error)))
        return error.exit_code
    except typer.TyperException as error:
        used.tell(_line(f"{error.format_message()}{_hint(words)}"))
        return error.exit_code
    except typer.Abort:
        used.tell(_line("nothing was changed"))
        return INTERRUPTED
    except OSError as error:
        used.tell(_line(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"))
        return 1
    return code if isinstance(code, int) else 0


def _application(words: Sequence[str]) -> typer.Typer:
    """Return the application with the command that is called, or with all of them where none is."""
    called = next((word for word in words if not word.startswith("-")), "")
    modules = [module for module, names in PANELS.items() if called in names] or list(PANELS)
    application = typer.Typer(
        cls=PlainGroup, help=_HELP, callback=_version, add_completion=False, invoke_without_command=True,
        rich_markup_mode="rich", pretty_exceptions_enable=False,
    )  # fmt: skip
    for module in modules:
        registered = importlib.import_module(f"joulebook.commands.{module}").app.registered_commands
        application.registered_commands.extend(r for r in registered if len(modules) > 1 or r.name == called)
    return application


def _version(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        context.obj.say(f"{PROGRAM} {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        context.get_help()  # Typer writes it by itself


def _line(text: str) -> str:
    return f"{PROGRAM}: {' '.join(text.split())}"


def _hint(words: Sequence[str]) -> str:
    called = next((word for word in words if not word.startswith("-")), "")
    known = any(called in names for names in PANELS.values())
    return f" (see {PROGRAM} {called + ' ' if known else ''}--help)"
