"""From labels and surroundings to the run that a `track()` is."""

from __future__ import annotations

import os

from joulebook_collectors.host.identity import boot_id
from joulebook_collectors.host.lock import read_file
from joulebook_collectors.host.processes import process_state
from joulebook_collectors.presence.launchers import IDENTIFYING, Identity, identify
from joulebook_collectors.spool.endings import DONE
from joulebook_collectors.spool.segments import decode_frames, segment_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from joulebook_collectors.tracking.session import Session
    from joulebook_ledger.settings import Settings


def join(
    labels: Mapping[str, str], settings: Settings, session: Session, numbers: dict[tuple[str, ...], int]
) -> Identity:
    """Return the run, and count it among those of this process with the same labels.

    Args:
        labels: Its labels.
        settings: What is set.
        session: Where this process writes.
        numbers: Model, version and stage -> how many runs with them this process had.
    """
    like = tuple(labels.get(name, "") for name in IDENTIFYING)
    numbers[like] = numbers.get(like, 0) + 1
    return identify(
        labels,
        run_id=settings.run_id,
        environment=os.environ,
        known_labels={**settings.labels, **known_labels(session.folder, settings.run_id)} if settings.run_id else {},
        number=numbers[like],
        host=boot_id(settings.proc_root),
        parent=_parent(settings.proc_root),
    )


def _parent(proc_root: str) -> str:
    """Return which process started this one: a pid alone is used anew."""
    pid = os.getppid()
    state = process_state(pid, proc_root)
    return f"{pid} {state.started}" if state else str(pid)


def known_labels(folder: str, run: str) -> dict[str, str]:
    """Return the labels under which a run is known in this spool so far: the first that anybody gave it hold."""
    events = []
    for place in (folder, os.path.join(folder, DONE)):
        for name in segment_names(place):
            try:
                frames, _, _ = decode_frames(read_file(os.path.join(place, name)))
            except OSError:
                continue
            events += [event for frame in frames for event in frame.get("runs", ()) if event["run"] == run]
    labels: dict[str, str] = {}
    for event in sorted(events, key=lambda event: int(event["at_ms"])):
        labels = {**event.get("labels", {}), **labels}
    return labels
