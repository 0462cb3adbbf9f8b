"""The one door: bytes in, an outcome per item out; nothing of a malformed batch is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulebook_ledger.core.wire import decode_batch
from joulebook_ledger.store.facts import store_batch

if TYPE_CHECKING:
    from joulebook_ledger.core.wire import Answer
    from joulebook_ledger.store.engine import Book


def deliver(book: Book, batch: bytes, now_ms: int) -> Answer:
    """Store the facts of a batch in one transaction and say what became of each item.

    Raises:
        Malformed: The bytes are no batch.
    """
    decoded = decode_batch(batch)
    with book.write() as connection:
        return store_batch(connection, decoded, now_ms)
