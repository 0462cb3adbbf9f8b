"""Before any command reads the book: what dead processes left behind is finished, and everything is delivered."""

from __future__ import annotations

import os
import shutil

from joulebook_collectors.delivery.deliver import ASIDE, deliver_spool, newer_in, stand_of, waiting_in
from joulebook_collectors.host.clock import wall_ms
from joulebook_collectors.host.guard import say_once
from joulebook_collectors.host.lock import is_held, open_once, read_file
from joulebook_collectors.reading.handover import close_checkpoint, last_seen, meters_of
from joulebook_collectors.reading.watcher import LOCK
from joulebook_collectors.spool.checkpoint import Checkpoint, read_checkpoint
from joulebook_collectors.spool.endings import finish, move_to_done, open_events
from joulebook_collectors.spool.folders import boot_folders, boot_name, ledger_folder, prepare
from joulebook_collectors.spool.segments import create_segment, decode_frames, newer_text, segment_names
from joulebook_ledger.core.slotted import Slotted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from joulebook_collectors.delivery.deliver import Door
    from joulebook_collectors.spool.segments import Frame
    from joulebook_ledger.settings import Settings


MEGABYTE = 1 << 20


class Recovered(Slotted):
    """What was done.

    Attributes:
        sent: Items that the ledger answered.
        is_busy: Whether another process was delivering one of the spools.
    """

    __slots__ = ("is_busy", "sent")

    def __init__(self, sent: int, *, is_busy: bool) -> None:
        self.sent = sent
        self.is_busy = is_busy


def recover_and_deliver(settings: Settings, ledger: Door, now_ms: int | None = None) -> Recovered:
    """Finish what dead processes left in this machine's spools for this ledger, and deliver all of it.

    Raises:
        Unavailable: The ledger cannot be reached; nothing was lost.
    """
    now_ms = wall_ms() if now_ms is None else now_ms
    _prepare(ledger_folder(settings))
    present = os.path.join(ledger_folder(settings), boot_name(settings.proc_root))
    sent, is_busy = 0, False
    for folder in boot_folders(settings):
        recover(folder)
        try:
            number = deliver_spool(folder, ledger, now_ms, int(settings.spool_megabytes * MEGABYTE))
        except OSError as error:
            say_once(f"the spool {folder} cannot be delivered just now ({error}); everything stays in it")
            continue
        for path in newer_in(folder):
            say_once(newer_text(path))
        is_busy = is_busy or number is None
        sent += number or 0
        if folder != present and number is not None:
            _remove_if_empty(folder, ledger_folder(settings))
    return Recovered(sent, is_busy=is_busy)


def recover(folder: str) -> None:
    """Finish what dead processes left in one spool: windows at the last checkpoint, runs as killed at their last sign of life.

    Where a reader lives, or a process that is about to become one, the windows are left to it.
    """
    try:
        lock = open_once(os.path.join(folder, LOCK))
        if not lock.try_take():
            return
    except OSError:
        return
    try:
        _recover(folder)
    except OSError as error:
        say_once(f"the spool {folder} cannot be recovered just now ({error})")
    finally:
        lock.give()


def _recover(folder: str) -> None:
    checkpoint = read_checkpoint(folder)
    seen = last_seen(checkpoint) if checkpoint else {}
    for path in _segments(folder):
        finish(path, seen.get(os.path.basename(path), 0))
    if checkpoint is None or not (checkpoint["open"] or checkpoint["closed"]):
        return
    if any(is_held(path) and open_events(_frames(path)) for path in _segments(folder)):
        return  # one of them is about to read, and goes on with the open windows itself
    frames = [frame for frame in [*checkpoint["closed"], close_checkpoint(checkpoint)] if frame]
    segment = create_segment(folder, f"recovered-{os.urandom(6).hex()}")
    segment.append({"meters": meters_of(checkpoint)}, *frames)
    written = segment.is_written
    if written:
        move_to_done(segment.path)
    segment.close(remove=not written)
    if written:
        files = Checkpoint(folder)
        files.write({**checkpoint, "open": False, "closed": []})
        files.close()


def _segments(folder: str) -> list[str]:
    return [os.path.join(folder, name) for name in segment_names(folder)]


def _frames(path: str) -> list[Frame]:
    try:
        return decode_frames(read_file(path))[0]
    except OSError:
        return []


def _prepare(folder: str) -> None:
    """Make the folder in which the snapshot is left, before any run was tracked."""
    try:
        for place in (os.path.dirname(os.path.dirname(folder)), os.path.dirname(folder), folder):
            prepare(place)
    except OSError as error:
        say_once(f"the spool cannot be written ({error}): runs that are tracked here will not be recorded")


def _remove_if_empty(folder: str, above: str) -> None:
    """Remove the spool of an earlier boot once all of it was sent; what the ledger did not take is kept beside."""
    is_waiting = waiting_in(folder)[0] or newer_in(folder) or stand_of(folder)["unanswered"] is not None
    if is_waiting or any(is_held(path) is not False for path in _segments(folder)):
        return
    try:
        aside = read_file(os.path.join(folder, ASIDE))
    except OSError:
        aside = b""
    if aside:
        descriptor = os.open(os.path.join(above, ASIDE), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, aside)
        os.close(descriptor)
    shutil.rmtree(folder, ignore_errors=True)
