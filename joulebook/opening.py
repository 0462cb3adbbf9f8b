"""Opening a run: what is set and what it is called, its session and the run it joins.

What measures is loaded by the first run that is to be recorded, so that a job that only imports us, or that switched us off, pays for
next to nothing.
"""

from __future__ import annotations

import os
import threading

from joulebook.labels import labels_of, scope_of
from joulebook.run import Run
from joulebook_collectors.host.guard import harmless, say_once
from joulebook_collectors.host.identity import clean
from joulebook_ledger.settings import load_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from joulebook_collectors.presence.launchers import Identity
    from joulebook_collectors.tracking.session import Session
    from joulebook_ledger.settings import Settings

_loading = threading.RLock()
_handles: dict[str, Run] = {}
_numbers: dict[tuple[str, ...], int] = {}


def open_run(given: Mapping[str, object], tags: object, scope: object, ledger: object, parent: Run | None) -> Run:
    """Open a run of this process; one that is not recorded where nothing is to be measured, or no spool can be written.

    Args:
        given: Keyword of `track` -> what the caller gave.
        tags: Tags as the caller gave them.
        scope: Scope as the caller gave it.
        ledger: URL of another ledger than the one set; None for none.
        parent: The run in which it is nested.
    """
    settings = load_settings()
    if ledger is not None:
        settings = load_settings({**os.environ, "JOULEBOOK_LEDGER": str(ledger)})
    for problem in settings.problems:
        say_once(problem)
    labels = labels_of(given, tags, settings.labels)
    session = _session_of(settings)
    if session is None:
        return Run("", labels, settings)
    identity = _join(labels, settings, session, _numbers)
    budget = clean(str(given.get("budget") or settings.budget))
    facts: dict[str, int | str] = {"budget": budget} if budget else {}
    host = scope_of(scope, settings.scope)
    if host != "host":
        facts["scope"] = host
    opened = session.open(
        identity.run, labels, parent=parent.opened if parent is not None and parent.session is session else None,
        bears_static=host == "host", is_joined=identity.is_joined, facts=facts,
    )  # fmt: skip
    return Run(identity.run, labels, settings, session=session, opened=opened)


def outer_run() -> Run | None:
    """Return a handle on the run of JOULEBOOK_RUN_ID, which another process opened; None where there is none."""
    settings = load_settings()
    if not settings.run_id:
        return None
    session = _session_of(settings)
    if session is None:
        return None
    known = _handles.get(settings.run_id)
    if known is None or not known.is_mine:
        identity = _join(settings.labels, settings, session, {})
        known = _handles[settings.run_id] = Run(identity.run, settings.labels, settings, session=session)
    return known


@harmless(None)
def _session_of(settings: Settings) -> Session | None:
    if settings.disable:
        return None
    with _loading:
        from joulebook_collectors.tracking.sessions import session_of
    return session_of(settings)


def _join(
    labels: Mapping[str, str], settings: Settings, session: Session, numbers: dict[tuple[str, ...], int]
) -> Identity:
    with _loading:
        from joulebook_collectors.tracking.joining import join
    return join(labels, settings, session, numbers)


# A fork in the middle of an import would leave the child waiting for a thread that it does not have: it comes a moment later.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release)
