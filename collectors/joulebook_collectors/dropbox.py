"""A folder as a ledger's letter box: sealed batch files, one writer per file, no locks; for homes on NFS, air gaps and notebooks.

A reader's files are numbered without a gap, so whoever ingests them remembers one number for each reader; files are left where they
are, for other books may ingest them too. A file that is not whole yet (its name carries its digest) waits for the next time.
"""

from __future__ import annotations

import json
import os

from joulebook_collectors.folders import write_file
from joulebook_collectors.identity import digest
from joulebook_ledger.core.refusals import BadInput, Unavailable
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


def ingest_dropbox(folder: str, ledger: Door, remembered: str = "") -> int:
    """Deliver every batch of a drop-box that was not delivered before; return how many items the ledger answered.

    Args:
        folder: The drop-box.
        ledger: The book.
        remembered: A file of one's own in which to remember how far each reader was read; without it all is delivered again, which
            changes nothing but takes its time.

    Raises:
        Unavailable: The ledger cannot be reached, or the folder cannot be read.
    """
    reached = _recall(remembered)
    stuck: set[str] = set()
    answered = 0
    for reader, sequence, path in _batches(folder):
        if reader in stuck or sequence <= reached.get(reader, 0):
            continue
        batch = _whole(path)
        if batch is None or not (answer := _deliver(ledger, batch)):
            stuck.add(reader)
            continue
        answered += sum(answer.counts.values())
        if answer.counts.get("retry_later"):
            stuck.add(reader)
        else:
            reached[reader] = sequence
    _remember(remembered, reached)
    return answered


def _deliver(ledger: Door, batch: bytes) -> Answer | None:
    """Return the ledger's answer; None where the file is no batch, which a person has to look at."""
    try:
        decode_batch(batch)
        return ledger.deliver(batch)
    except BadInput:
        return None


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
