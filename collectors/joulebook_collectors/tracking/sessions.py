"""The sessions of this process, one per spool folder, and what becomes of them at a fork and at the end."""

from __future__ import annotations

import atexit
import os
import sys
import threading

from joulebook_collectors.host import lock
from joulebook_collectors.host.guard import harmless, say_once
from joulebook_collectors.tracking.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from joulebook_ledger.settings import Settings

_sessions: dict[tuple[str, str], Session] = {}
_guard = threading.Lock()


def session_of(settings: Settings) -> Session | None:
    """Return this process's session for the ledger and spool that are set, made if need be; None where there is no spool to write."""
    key = (settings.ledger, settings.spool)
    with _guard:
        known = _sessions.get(key)
        if known is not None:
            return known
        try:
            session = Session(settings)
        except OSError as error:
            say_once(f"nothing is recorded of this run: the spool cannot be written ({error})")
            return None
        if not _sessions:
            atexit.register(_finish_all)
        _sessions[key] = session
        return session


def failed_status() -> str:
    """Return how a run ends that the end of the process ends: failed where an exception ended it, as far as can be seen."""
    return "failed" if getattr(sys, "last_type", None) is not None or hasattr(sys, "last_exc") else "finished"


@harmless(None)
def _finish_all() -> None:
    for session in list(_sessions.values()):
        for opened in session.runs:
            session.close(opened, failed_status(), {})
        session.finish()
    _sessions.clear()


def _begin_anew() -> None:
    """In a forked child nothing of the parent's is ours: neither its segment nor its locks."""
    global _guard  # noqa: PLW0603 - a lock that another thread of the parent held stays locked for ever in the child
    _guard = threading.Lock()
    for session in _sessions.values():
        session.leave_in_child()
    _sessions.clear()
    lock.forget_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
