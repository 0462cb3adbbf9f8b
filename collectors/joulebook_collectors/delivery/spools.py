"""What lies in the spools of this machine and user for one ledger: to be read, and to be told of."""

from __future__ import annotations

import os
import sys

from joulebook_collectors.host.lock import read_file
from joulebook_collectors.spool.checkpoint import read_checkpoint
from joulebook_collectors.spool.endings import DONE
from joulebook_collectors.spool.folders import SNAPSHOT, boot_folders, ledger_folder
from joulebook_collectors.spool.segments import NewerSpoolError, decode_frames, decode_line, newer_text, segment_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from joulebook_collectors.spool.segments import Frame
    from joulebook_ledger.settings import Settings

ASIDE = "aside"


def spool_folder(settings: Settings) -> str:
    """Return the folder in which the snapshot of factors and the spools of all boots lie."""
    return ledger_folder(settings)


def read_snapshot(settings: Settings) -> bytes:
    """Return the factors and prices that the last command left; empty where none did."""
    try:
        return read_file(os.path.join(ledger_folder(settings), SNAPSHOT))
    except OSError:
        return b""


def segment_paths(boot_folder: str) -> list[str]:
    """Return the segments of a boot, the finished ones first."""
    places = (os.path.join(boot_folder, DONE), boot_folder)
    return [os.path.join(place, name) for place in places for name in segment_names(place)]


def frames_about(boot_folder: str, run: str) -> Iterator[Frame]:
    """Yield the frames that name a run, and those that describe meters. Reading stays cheap: other lines are not even parsed."""
    mark = run.encode()
    for data in (*_contents(boot_folder), _echo_of(boot_folder)):
        for line in data.split(b"\n")[:-1]:
            if mark in line or b'"meters":' in line:
                frame = decode_line(line)
                if frame is not None:
                    yield frame


def _contents(boot_folder: str) -> Iterator[bytes]:
    for path in segment_paths(boot_folder):
        try:
            yield read_file(path)
        except OSError:
            continue


def _echo_of(boot_folder: str) -> bytes:
    """Return what the host's agent said of this process's runs, where one reads for it."""
    link = sys.modules.get("joulebook_collectors.reading.link")
    echo: bytes = link.echo_of(boot_folder) if link is not None else b""
    return echo


def state_of(settings: Settings) -> dict[str, Any]:
    """Return how the spools stand: their folder, how many records wait, and what the ledger would not take.

    Each item set aside has outcome, kind, reason, detail and the file that keeps it; a file that a newer version wrote is one of them.
    """
    waiting, damaged = 0, 0
    aside: list[dict[str, str]] = []
    for folder in boot_folders(settings):
        from joulebook_collectors.delivery.deliver import newer_in, reader_of, waiting_in

        try:
            reader_of(folder)
            read_checkpoint(folder)
            number, broken = waiting_in(folder)
            newer = newer_in(folder)
        except NewerSpoolError as error:
            number, broken, newer = 0, 0, []
            aside.append(_left_to_newer(folder, str(error)))
        aside += [_left_to_newer(path, newer_text(path)) for path in newer]
        waiting += number
        damaged += broken
        aside += _aside_of(os.path.join(folder, ASIDE))
    aside += _aside_of(os.path.join(ledger_folder(settings), ASIDE))
    return {"folder": ledger_folder(settings), "waiting": waiting, "damaged": damaged, "aside": aside}


def _left_to_newer(path: str, text: str) -> dict[str, str]:
    return {"outcome": "left", "kind": "spool", "reason": "newer_version", "detail": text, "file": path}


def _aside_of(path: str) -> list[dict[str, str]]:
    try:
        frames, _, _ = decode_frames(read_file(path))
    except OSError:
        return []
    names = ("outcome", "kind", "reason", "detail")
    return [{**{name: str(frame.get(name, "")) for name in names}, "file": path} for frame in frames]
