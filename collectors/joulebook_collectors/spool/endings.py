"""The end of a segment: runs whose process went without a word are ended as killed, at its last sign of life.

Whoever can take the lock of a segment knows that its owner is gone, and is the only one who finishes it. A finished segment is moved
to the folder `done`, where it waits for delivery and is read by nobody else.
"""

from __future__ import annotations

import os

from joulebook_collectors.host.lock import LockedFile, adopt, forget, is_ours, read_file
from joulebook_collectors.host.processes import is_alive
from joulebook_collectors.spool.segments import decode_frames, encode_frame, is_newer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from joulebook_collectors.spool.segments import Frame

DONE = "done"
# Begins the name of a segment that was made of several finished ones.
MERGED = "merged-"
STARTED, ENDED = ".started", ".ended"
# In a segment that an agent keeps for a process: whose user said so.
SPOKEN = "spoken"
BY_AGENT = ".agent"


def finish(path: str, seen_ms: int) -> bool:
    """End what is open in the segment of a process that is gone, and put the segment with the finished ones.

    Args:
        path: The segment.
        seen_ms: When the process was last seen alive; 0 where nobody saw it: then the last write of its segment counts.

    Returns:
        False where the owner lives, or somebody else is just doing this, or the disk refuses: then it is tried again later.
    """
    if is_ours(path) or is_newer(path):
        return False
    try:
        file = adopt(os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)))
    except OSError:
        return False
    try:
        return _is_gone(path, file) and _finish(path, file, seen_ms)
    except OSError:
        return False
    finally:
        forget(file)


def open_events(frames: Iterable[Frame]) -> list[dict[str, Any]]:
    """Return the events that began a run, or joined one, and that no end followed."""
    begun: dict[str, dict[str, Any]] = {}
    for frame in frames:
        for event in frame.get("runs", ()):
            name = event["event"]
            if name.endswith(STARTED):
                begun[name.removesuffix(STARTED)] = event
            elif name.endswith(ENDED):
                begun.pop(name.removesuffix(ENDED), None)
    return list(begun.values())


def move_to_done(path: str) -> None:
    """Put a finished segment with the others.

    Raises:
        OSError: It cannot be moved.
    """
    folder = os.path.join(os.path.dirname(path), DONE)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.rename(path, os.path.join(folder, os.path.basename(path)))


def _is_gone(path: str, file: LockedFile) -> bool:
    try:
        return file.try_take()
    except OSError:  # a file system without locks
        frames, _, _ = decode_frames(read_file(path))
        process = next((frame["process"] for frame in frames if "process" in frame), None)
        return process is not None and not is_alive(process["pid"], process["started"])


def _finish(path: str, file: LockedFile, seen_ms: int) -> bool:
    data = read_file(path)
    # A last line may lack nothing but its end: it is given one, and then counts.
    torn = b"" if data.endswith(b"\n") or not data else b"\n"
    frames, _, _ = decode_frames(data + torn)
    seen_ms = seen_ms or os.fstat(file.descriptor).st_mtime_ns // 1_000_000
    events = [] if _lives_on(frames) else [_killed(event, seen_ms, frames) for event in open_events(frames)]
    rest = torn + (encode_frame({"runs": events}) if events else b"")
    if rest and os.write(file.descriptor, rest) < len(rest):
        os.ftruncate(file.descriptor, len(data))
        return False
    move_to_done(path)
    return True


def _lives_on(frames: list[Frame]) -> bool:
    """Tell whether an agent that is gone wrote this segment for a process that lives: its runs go on without it."""
    process = next((frame["process"] for frame in frames if SPOKEN in frame), None)
    return process is not None and is_alive(process["pid"], process["started"])


def killed_id(event: dict[str, Any], *, by_agent: bool) -> str:
    """Return the id of the event that ends what this one began. An agent's has its own: the job's own spool may tell of the same end."""
    began: str = event["event"]
    return began.removesuffix(STARTED) + (BY_AGENT if by_agent else "") + ENDED


def _killed(event: dict[str, Any], seen_ms: int, frames: list[Frame]) -> dict[str, Any]:
    return {
        "run": event["run"],
        "event": killed_id(event, by_agent=any(SPOKEN in frame for frame in frames)),
        "kind": "ended",
        "at_ms": max(event["at_ms"], seen_ms),
        "status": "killed",
    }
