"""What was carried here by hand: a copied spool, a drop-box or one of its files, or an archive of any of these.

Nothing is changed where it lies. Of a copied spool all that stands in its segments is delivered, under the name of its own reader, so
that nothing counts twice if its machine delivers too. Its batches have numbers of their own, far above those of the machine, made of
what they hold: the same copy again is the same batch.

What was still open when the copy was made is left to the machine. Only where it is gone for good is the copy's copy recovered as the
machine would have done: windows are closed at the last checkpoint, and runs ended as killed.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile

from joulebook_collectors.delivery.deliver import MOST_ITEMS, RETIRED, newer_in, reader_of, sources
from joulebook_collectors.delivery.dropbox import ENDING, Taken, ingest_dropbox, take_file
from joulebook_collectors.delivery.recovery import recover
from joulebook_collectors.host.identity import digest
from joulebook_collectors.host.lock import read_file
from joulebook_collectors.spool.checkpoint import read_checkpoint
from joulebook_collectors.spool.endings import open_events
from joulebook_collectors.spool.folders import READER, read_frame
from joulebook_collectors.spool.lines import MOST_BYTES, frames_between
from joulebook_collectors.spool.merging import windows_of
from joulebook_collectors.spool.segments import NewerSpoolError, decode_frames, newer_text, segment_names
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.wire import READER_LISTS, encode_batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from joulebook_collectors.delivery.dropbox import Door
    from joulebook_collectors.spool.segments import Frame
    from joulebook_ledger.core.records import Reader

    Lists = dict[str, list[dict[str, Any]]]

# Of the numbers of carried batches; a machine that sends one each second comes here in 34,000 years.
FIRST_NUMBER = 1 << 40
_NUMBER_DIGITS = 10
_FAR = 1 << 62


class Carried(Taken):
    """What was taken in of what was carried here.

    Attributes:
        spools: How many spools were found.
        open_runs: Runs that were still open in them, and were left so.
    """

    __slots__ = ("open_runs", "spools")

    def __init__(self) -> None:
        super().__init__()
        self.spools = 0
        self.open_runs = 0


def take_in(path: str, ledger: Door, memory_of: Callable[[str], str], *, is_final: bool = False) -> Carried:
    """Deliver what lies at a path.

    Args:
        path: A folder, a batch file, or a tar archive.
        ledger: The book.
        memory_of: Gives, for a drop-box, the file in which to remember how far it was read.
        is_final: Whether the machines of copied spools are gone for good.

    Raises:
        BadInput: There is nothing of ours at the path.
        Unavailable: The ledger cannot be reached.
    """
    carried = Carried()
    if os.path.isdir(path):
        _take_folder(path, ledger, memory_of, carried, is_final=is_final)
    elif path.endswith(ENDING) and os.path.isfile(path):
        take_file(path, ledger, carried)
    elif os.path.isfile(path) and tarfile.is_tarfile(path):
        with tempfile.TemporaryDirectory() as folder:
            _unpack(path, folder)
            _take_folder(folder, ledger, lambda _: "", carried, is_final=is_final)
            carried.left = {os.path.relpath(name, folder): why for name, why in carried.left.items()}
    else:
        raise BadInput(f"{path!r} is neither a folder, nor a {ENDING} file, nor a tar archive of them")
    if not (carried.batches or carried.spools or carried.left) and not _has_batches(path):
        raise BadInput(
            f"nothing of a reader was found in {path!r}: name a drop-box (what stands after file:// in JOULEBOOK_LEDGER), or the copy of "
            "a spool folder (`joulebook doctor` says where it lies)"
        )
    return carried


def _take_folder(path: str, ledger: Door, memory_of: Callable[[str], str], carried: Carried, *, is_final: bool) -> None:
    for folder, _, names in sorted(os.walk(path)):
        if any(name.endswith(ENDING) for name in names):
            ingest_dropbox(folder, ledger, memory_of(folder), carried)
        if READER in names and read_frame(os.path.join(folder, READER)) is not None:
            carried.spools += 1
            try:
                _take_spool(folder, ledger, carried, is_final=is_final)
            except NewerSpoolError as error:
                carried.left[folder] = str(error)


def _take_spool(folder: str, ledger: Door, carried: Carried, *, is_final: bool) -> None:
    carried.left.update({newer: newer_text(newer) for newer in newer_in(folder)})
    if not is_final:
        carried.open_runs += _open_runs(folder)
        _deliver(folder, ledger, carried, state="active")
        return
    with tempfile.TemporaryDirectory() as place:
        copy = os.path.join(place, "spool")
        shutil.copytree(folder, copy, symlinks=True, ignore=_no_files)
        recover(copy)
        _deliver(copy, ledger, carried, state=RETIRED)


def _deliver(folder: str, ledger: Door, carried: Carried, state: str) -> None:
    reader = reader_of(folder)
    assert reader is not None
    parts = list(_parts(folder))
    known_until = _complete_until(folder, parts)
    for number, lists in enumerate(parts, start=1):
        is_last = number == len(parts)
        batch = _batch(reader, lists, state=state if is_last else "active", complete_ms=known_until if is_last else 0)
        carried.deliver(ledger, batch, folder)


def _batch(reader: Reader, lists: Lists, *, state: str, complete_ms: int) -> bytes:
    """Return a batch whose number is made of its content."""
    content = encode_batch(reader=reader, sequence=1, state=state, complete_until_ms=complete_ms, lists=lists)
    number = FIRST_NUMBER + int(digest(content.decode())[:_NUMBER_DIGITS], 16)
    return encode_batch(reader=reader, sequence=number, state=state, complete_until_ms=complete_ms, lists=lists)


def _parts(folder: str) -> Iterator[Lists]:
    """Yield all items of a spool, in parts that make a batch each."""
    lists: Lists = {kind: [] for kind in READER_LISTS}
    number = size = 0
    for _, path in sources(folder):
        start = 0
        while True:
            frames, length = frames_between(path, start, _FAR)
            if not length:
                break
            start += length
            size += length
            number += _add(lists, frames)
            if number >= MOST_ITEMS or size >= MOST_BYTES:
                yield lists
                lists = {kind: [] for kind in READER_LISTS}
                number = size = 0
    if number:
        yield lists


def _add(lists: Lists, frames: list[Frame]) -> int:
    number = 0
    for frame in frames:
        for kind in READER_LISTS:
            lists[kind].extend(frame.get(kind, ()))
            number += len(frame.get(kind, ()))
    return number


def _complete_until(folder: str, parts: list[Lists]) -> int:
    """Return until when the copy tells everything: to the end of its last window, or to the start of those that were open."""
    ends = [window["end_ms"] for window in windows_of(map(dict, parts))]
    checkpoint = read_checkpoint(folder)
    starts = [watch[0] for watch in checkpoint["watches"]] if checkpoint is not None and checkpoint["open"] else []
    until: int = min([max(ends, default=0), *starts])
    return until


def _open_runs(folder: str) -> int:
    paths = [os.path.join(folder, name) for name in segment_names(folder)]
    return sum(len(open_events(decode_frames(read_file(path))[0])) for path in paths)


def _no_files(folder: str, names: list[str]) -> list[str]:
    """Return what is neither a file nor a folder: the doorbell of a reader cannot be copied."""
    paths = ((name, os.path.join(folder, name)) for name in names)
    return [name for name, path in paths if not os.path.isfile(path) and not os.path.isdir(path)]


def _has_batches(path: str) -> bool:
    return os.path.isdir(path) and any(name.endswith(ENDING) for _, _, names in os.walk(path) for name in names)


def _unpack(path: str, folder: str) -> None:
    """Unpack the plain files of an archive, none of them outside the folder.

    Raises:
        BadInput: The archive is damaged, or holds what no spool holds.
    """
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.isfile() or member.isdir()]
            archive.extractall(folder, members, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise BadInput(f"{path!r} cannot be unpacked: {error}") from None
