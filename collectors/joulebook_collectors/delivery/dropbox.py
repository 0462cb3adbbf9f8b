"""A folder as a ledger's letter box: sealed batch files, one writer per file, no locks; for homes on NFS, air gaps and notebooks.

A reader's files are numbered without a gap, so whoever ingests them remembers one number for each reader; files are left where they
are, for other books may ingest them too. A file that is not whole yet (its name carries its digest) waits for the next time, and those
after it too, for an hour: then it is held to be damaged, named, and blocks nothing any more.
"""

from __future__ import annotations

import json
import os

from joulebook_collectors.host.clock import wall_ms
from joulebook_collectors.host.identity import digest
from joulebook_collectors.spool.folders import write_file
from joulebook_ledger.core.refusals import BadInput, Unavailable
from joulebook_ledger.core.slotted import Slotted
from joulebook_ledger.core.wire import Answer, decode_batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Door(Protocol):
        """Where batches go."""

        def deliver(self, batch: bytes) -> Answer:
            """Take a batch."""


SCHEME = "file://"
ENDING = ".batch"
_DIGEST_DIGITS = 16
DAMAGED_AFTER_MS = 3_600_000
NOT_WHOLE = "it is not whole: the digest in its name is not that of its bytes. Copy it once more; what was taken already does no harm"


class DropBox:
    """A folder that takes batches in place of a ledger."""

    __slots__ = ("folder",)

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def deliver(self, batch: bytes) -> Answer:
        """Leave a batch as a sealed file; all of it counts as stored.

        Raises:
            Unavailable: The folder cannot be written.
        """
        body = json.loads(batch)
        number = sum(len(items) for items in body.values() if isinstance(items, list))
        name = file_name(body["reader"]["reader"], body["sequence"], batch)
        try:
            os.makedirs(self.folder, exist_ok=True)
            draft = os.path.join(self.folder, f".{name}.{os.getpid()}")
            write_file(draft, batch, sync=True)
            os.replace(draft, os.path.join(self.folder, name))
        except OSError as error:
            message = (
                f"the drop-box {self.folder} cannot be written: {error.strerror or error}; the spool keeps everything"
            )
            raise Unavailable(message) from None
        return Answer(counts={"stored": number})


def folder_of(url: str) -> str:
    """Return the folder that a drop-box's URL names.

    >>> folder_of("file:///shared/joulebook")
    '/shared/joulebook'
    """
    return url.removeprefix(SCHEME)


def file_name(reader: str, sequence: int, batch: bytes) -> str:
    """Return the name under which a batch is left."""
    safe = "".join(letter if letter.isalnum() else "-" for letter in reader)
    return f"{safe}_{sequence:010d}_{digest(batch.decode())[:_DIGEST_DIGITS]}{ENDING}"


class Taken(Slotted):
    """What was taken in.

    Attributes:
        counts: Outcome -> number of items.
        batches: How many batches were delivered.
        left: File -> why nothing, or not all, of it was taken; it is taken the next time, or a person looks at it.
    """

    __slots__ = ("batches", "counts", "left")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.batches = 0
        self.left: dict[str, str] = {}

    @property
    def items(self) -> int:
        """How many items the ledger answered."""
        return sum(self.counts.values())

    def deliver(self, ledger: Door, batch: bytes, path: str) -> bool:
        """Deliver a batch; tell whether the ledger is done with it.

        Raises:
            Unavailable: The ledger cannot be reached.
        """
        try:
            decode_batch(batch)
        except (BadInput, Unavailable) as error:  # no batch, or one of a newer version
            self.left[path] = str(error)
            return False
        try:
            answer = ledger.deliver(batch)
        except BadInput as error:
            self.left[path] = str(error)
            return False
        self.batches += 1
        for outcome, number in answer.counts.items():
            self.counts[outcome] = self.counts.get(outcome, 0) + number
        if answer.counts.get("retry_later"):
            self.left[path] = "some of it lies ahead of the ledger's clock: it is taken the next time"
            return False
        return True


def ingest_dropbox(folder: str, ledger: Door, remembered: str = "", taken: Taken | None = None) -> int:
    """Deliver every batch of a drop-box that was not delivered before; return how many items the ledger answered.

    Args:
        folder: The drop-box.
        ledger: The book.
        remembered: A file of one's own in which to remember how far each reader was read; without it all is delivered again, which
            changes nothing but takes its time.
        taken: Where to note what was taken, and what was not.

    Raises:
        Unavailable: The ledger cannot be reached, or the folder cannot be read.
    """
    taken = Taken() if taken is None else taken
    before = taken.items
    reached = _recall(remembered)
    stuck: set[str] = set()
    waiting: set[str] = set()
    for reader, sequence, path in _batches(folder):
        if reader in waiting or sequence <= reached.get(reader, 0):
            continue
        batch = _whole(path)
        if batch is None:
            taken.left[path] = NOT_WHOLE
            stuck.add(reader)
            if _is_fresh(path):
                waiting.add(reader)
        elif not taken.deliver(ledger, batch, path):
            stuck.add(reader)
        elif reader not in stuck:
            reached[reader] = sequence
    _remember(remembered, reached)
    return taken.items - before


def take_file(path: str, ledger: Door, taken: Taken) -> None:
    """Deliver one batch file.

    Raises:
        Unavailable: The ledger cannot be reached.
    """
    batch = _whole(path)
    if batch is None:
        taken.left[path] = NOT_WHOLE
    else:
        taken.deliver(ledger, batch, path)


def _is_fresh(path: str) -> bool:
    try:
        return wall_ms() - os.stat(path).st_mtime_ns // 1_000_000 < DAMAGED_AFTER_MS
    except OSError:
        return True


def _batches(folder: str) -> Iterator[tuple[str, int, str]]:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        message = f"the drop-box {folder} cannot be read: {error.strerror or error}"
        raise Unavailable(message) from None
    for name in names:
        reader, _, rest = name.removesuffix(ENDING).partition("_")
        number = rest.partition("_")[0]
        if name.endswith(ENDING) and not name.startswith(".") and number.isdecimal():
            yield reader, int(number), os.path.join(folder, name)


def _whole(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            batch = file.read()
        expected = path.removesuffix(ENDING).rpartition("_")[2]
        return batch if digest(batch.decode())[:_DIGEST_DIGITS] == expected else None
    except (OSError, UnicodeError):
        return None


def _recall(path: str) -> dict[str, int]:
    try:
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
    except (OSError, ValueError):
        return {}
    return {str(reader): int(sequence) for reader, sequence in known.items()} if isinstance(known, dict) else {}


def _remember(path: str, reached: dict[str, int]) -> None:
    if path:
        draft = f"{path}.{os.getpid()}"
        write_file(draft, json.dumps(reached, sort_keys=True).encode())
        os.replace(draft, path)
