"""Check 1: links, receipts and entries against their digests."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from operator import itemgetter
from string import hexdigits

from joulebook_ledger.core import digest
from joulebook_ledger.core.booking import Target
from joulebook_ledger.core.periods import month_text, time_text
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.store import chain
from joulebook_ledger.store.findings import Check, Groups, found, many
from joulebook_ledger.store.rows import Row, Rows, one
from joulebook_ledger.store.shapes import SHAPES, facts_digest, row_text

KEPT = "head kept elsewhere"
SHORTEST_HEAD = 12
_AMOUNTS = ", ".join(COLUMNS)


def links(rows: Rows) -> list[Check]:
    """Check that every link follows the one before it and holds the receipts and entries that it sealed."""
    receipts = Groups(
        rows.stream(
            f"SELECT s.link, {', '.join(f'r.{column}' for column in chain.RECEIPT)}"
            " FROM sealed_receipt AS s JOIN receipt AS r ON r.number = s.receipt ORDER BY s.link"
        )
    )
    entries = Groups(rows.stream("SELECT link, digest FROM entry ORDER BY link, source, day, revision"))
    closes: dict[int, list[int]] = {}
    for sealed_by, month in rows.rows("SELECT link, month FROM month_close ORDER BY month"):
        closes.setdefault(sealed_by, []).append(month)
    sql = "SELECT sequence, previous, at_ms, receipts_digest, entries_digest, digest FROM link ORDER BY sequence"
    before = chain.Head(0, -1, digest.FIRST_PREVIOUS)
    for link in rows.stream(sql):
        of_entries = [row[0] for row in entries.of(link[0])]
        sealed = chain.close_digests(rows, link[0]) if link[0] in closes else []
        differs = _differs(link, before, receipts.of(link[0]), [*of_entries, *sealed], closes.get(link[0], []))
        if differs:
            return [Check("links", ok=False, detail=f"link {link[0]}: {differs}")]
        before = chain.Head(link[0], link[2], link[5])
    return [Check("links", ok=True, detail=f"{many(before.sequence, 'link')}, head {before.digest[:12]}")]


def kept_head(rows: Rows, head: str) -> Check:
    """Check that the chain still holds the link whose digest was kept elsewhere; that it is what it seals, other checks say."""
    wanted = head.strip().lower()
    if len(wanted) < SHORTEST_HEAD or not set(wanted) <= set(hexdigits):
        raise BadInput(
            f"{head[:80]!r} is no head: give the digest of a link as a close printed it, {SHORTEST_HEAD} hexadecimal digits of it or more"
        )
    sql = "SELECT sequence, at_ms FROM link WHERE SUBSTR(digest, 1, :length) = :head ORDER BY sequence DESC LIMIT 1"
    link = one(rows, sql, length=len(wanted), head=wanted)
    if link is None:
        lost = f"no link has the digest {wanted[:SHORTEST_HEAD]}…: the chain was cut or written anew since, or it is that of another book"
        return Check(KEPT, ok=False, detail=lost)
    newest = chain.head(rows).sequence
    return Check(KEPT, ok=True, detail=f"it is that of link {link[0]} of {newest}, made {time_text(link[1])}")


def _differs(link: Row, before: chain.Head, receipts: list[Row], sealed: list[str], months: list[int]) -> str:
    sequence, previous, at_ms, of_receipts, of_entries, text = link
    if (sequence, previous) != (before.sequence + 1, before.digest):
        return f"it does not follow link {before.sequence}"
    if at_ms <= before.at_ms:
        return f"it is not later than link {before.sequence}"
    if chain.receipts_digest(receipts) != of_receipts:
        return f"its {many(len(receipts), 'receipt')} are not those that it sealed"
    if digest.entries_digest(sealed) != of_entries:
        of_close = f" and the close of {', '.join(map(month_text, months))}" if months else ""
        return f"its {many(len(sealed) - len(months), 'entry')}{of_close} are not what it sealed"
    if (
        digest.link_digest(previous=previous, sequence=sequence, at_ms=at_ms, receipts=of_receipts, entries=of_entries)
        != text
    ):
        return "its digest is not that of what it says"
    return ""


def receipts(rows: Rows) -> list[Check]:
    """Check that the facts stored under every receipt are those that came with it."""
    facts = Groups(merge(*(_facts(rows, table) for table in SHAPES), key=itemgetter(0)))
    archived = one(rows, "SELECT 1 FROM archive_manifest LIMIT 1") is not None
    number = left_out = 0
    for receipt, said, expected, reader, sequence in rows.stream(
        "SELECT number, digest, facts, reader, sequence FROM receipt ORDER BY number"
    ):
        texts = [row[0] for row in facts.of(receipt)]
        number += 1
        if archived and len(texts) < expected:
            left_out += 1
        elif facts_digest(texts) != said:
            are = (
                f"{many(len(texts), 'fact')} where {expected} came"
                if len(texts) != expected
                else "other facts than those that came"
            )
            return [
                Check(
                    "receipts",
                    ok=False,
                    detail=f"receipt {receipt} (batch {sequence} of reader {reader!r}) holds {are}",
                )
            ]
    without = f", {left_out} of them with archived windows not compared" if left_out else ""
    return [Check("receipts", ok=True, detail=many(number, "receipt") + without)]


def _facts(rows: Rows, table: str) -> Iterator[Row]:
    columns = ", ".join(SHAPES[table].columns)
    for receipt, *row in rows.stream(f"SELECT receipt, {columns} FROM {table} ORDER BY receipt"):
        yield receipt, row_text(table, tuple(row))


def entries(rows: Rows) -> list[Check]:
    """Check that every entry and its postings are those that were booked."""
    postings = Groups(rows.stream(f"SELECT entry, account, method, {_AMOUNTS} FROM posting ORDER BY entry"))
    number = 0
    difference = None
    for row in rows.stream(
        f"SELECT number, source, day, revision, period, cause, known, link, digest, {_AMOUNTS} FROM entry ORDER BY number"
    ):
        entry, source, day, revision, period, cause, known, link, said, *leg = row
        fields = digest.EntryFields(
            source=source, day=day, revision=revision, period=period, cause=cause, known=known, link=link
        )
        target = Target(postings={p[:2]: p[2:] for p in postings.of(entry)}, leg=tuple(leg))
        number += 1
        if digest.entry_digest(fields, target) != said:
            difference = f"entry {entry} ({source}, day {day}, revision {revision}) is not what its digest says"
            break
    return [found("entries", difference, many(number, "entry"))]
