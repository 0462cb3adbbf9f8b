"""`joulebook run -- CMD`: a command as a run, with its whole process tree; its exit code, and its signals, are its own.

Signals that ask us to end are passed on, and we end when the command has: nothing of the run is lost. A Ctrl-C at the terminal
reaches the command by itself, as it does without us. What the command starts and leaves behind becomes our child (Linux), so that its
work still counts as the run's.
"""

from __future__ import annotations

import os
import signal
import sys

from joulebook_collectors.host.guard import say
from joulebook_collectors.host.peaks import peak_memory_bytes
from joulebook_collectors.presence.launchers import RUN_ID
from joulebook_collectors.tracking.joining import join
from joulebook_collectors.tracking.sessions import session_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from joulebook_ledger.settings import Settings

NOT_FOUND, NOT_EXECUTABLE, SIGNALLED = 127, 126, 128
CLOSING_WAIT_SECONDS = 0.5
_PASSED_ON = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGWINCH")
_BY_THE_KERNEL = (
    0x80  # SI_KERNEL: not sent by a process, so the whole foreground group of the terminal got it (sigaction(2))
)
_PR_SET_CHILD_SUBREAPER = 36


def run_command(
    argv: Sequence[str],
    labels: Mapping[str, str],
    settings: Settings,
    closing: Callable[[str, str, float], None] | None = None,
) -> int:
    """Run a command as a run and return its exit code: 128 + n where signal n ended it, 127 where there is no such command.

    Args:
        argv: The command and its arguments.
        labels: Labels of the run, which hold over those that are set.
        settings: What is set.
        closing: Called at the end with the run's id, its spool folder and its duration in seconds, to say what it cost.
    """
    labels = {**settings.labels, **labels}
    mask = _hold_back_signals()  # before any thread starts: it would take them with its own mask
    try:
        session = None if settings.disable else session_of(settings)
        if session is None:
            return _run(argv, dict(os.environ), mask)
        _adopt_orphans()
        identity = join(labels, settings, session, {})
        opened = session.open(
            identity.run,
            labels,
            parent=None,
            bears_static=settings.scope == "host",
            is_joined=identity.is_joined,
            facts={},
        )
        code = _run(argv, environment_of(identity.run, labels), mask)
        session.close(opened, "finished" if code == 0 else "failed", _facts(code))
        if closing is not None and not identity.is_joined:
            session.await_windows(CLOSING_WAIT_SECONDS)
            closing(identity.run, session.folder, (session.now_ms() - opened.started_ms) / 1000)
        return code
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _facts(code: int) -> dict[str, int | str]:
    peak = peak_memory_bytes()
    return {"exit_code": code} if peak is None else {"exit_code": code, "peak_memory_bytes": peak}


def environment_of(run: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Return our variables with those by which the command's own `track()` finds the run, and its labels alike."""
    environment = dict(os.environ)
    environment[RUN_ID] = run
    tags = ",".join(f"{name.removeprefix('tag:')}={value}" for name, value in labels.items() if name.startswith("tag:"))
    for name, value in labels.items():
        if not name.startswith("tag:"):
            environment[f"JOULEBOOK_{name.upper()}"] = value
    if tags:
        environment["JOULEBOOK_TAGS"] = tags
    return environment


def _watched() -> set[signal.Signals]:
    return {signal.Signals[name] for name in (*_PASSED_ON, "SIGCHLD")}


def _hold_back_signals() -> set[signal.Signals | int] | None:
    """Keep the signals that we wait for from acting on us; return how they were, or None where they cannot be waited for."""
    if not (hasattr(os, "posix_spawnp") and hasattr(signal, "sigwaitinfo")):
        return None
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, _watched()))


def _run(argv: Sequence[str], environment: dict[str, str], mask: set[signal.Signals | int] | None) -> int:
    try:
        if mask is not None:
            return _run_and_pass_on(argv, environment, mask)
        return _run_simply(argv, environment)
    except FileNotFoundError:
        say(f"{argv[0]}: no such command")
        return NOT_FOUND
    except OSError as error:
        say(f"{argv[0]}: {error.strerror or error}")
        return NOT_EXECUTABLE


def _run_and_pass_on(argv: Sequence[str], environment: dict[str, str], mask: set[signal.Signals | int]) -> int:
    """Start the command, then wait for signals: those for it are passed on, those of children tell when it has ended."""
    pid = os.posix_spawnp(argv[0], list(argv), environment, setsigmask=mask)
    while True:
        told = signal.sigwaitinfo(_watched())
        if told.si_signo == signal.SIGCHLD:
            code = _reap(pid)
            if code is not None:
                return code
        elif told.si_code != _BY_THE_KERNEL:
            _send(pid, told.si_signo)


def _reap(pid: int) -> int | None:
    """Wait for every child that has ended, adopted ones too; return the exit code of `pid` once it has."""
    code = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if ended == 0:
            return code
        if ended == pid:
            code = _code_of(status)


def _code_of(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else SIGNALLED - code


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _run_simply(argv: Sequence[str], environment: dict[str, str]) -> int:
    """Run the command where signals cannot be waited for (macOS, Windows): those that ask us to end are passed on by handlers."""
    import subprocess

    with subprocess.Popen(list(argv), env=environment) as process:
        kept = {
            number: signal.signal(number, lambda number, _frame: process.send_signal(number))
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            code = process.wait()
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)
    return code if code >= 0 else SIGNALLED - code


def _adopt_orphans() -> None:
    """Ask the kernel that descendants whose parents end become our children (prctl(2))."""
    if sys.platform != "linux":
        return
    import ctypes

    try:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (OSError, AttributeError):
        return
