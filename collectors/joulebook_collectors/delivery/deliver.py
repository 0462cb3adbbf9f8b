"""From a spool to its ledger: batches are cut from what the segments hold, sent, and struck off.

Whoever delivers holds the spool's second lock. Before a batch is sent, its number and what it is cut from are on the disk: from where
to where in each segment. Segments are only ever appended to, so the same cut gives the same bytes, and a batch is sent in the same
words until the ledger answers; this takes no room, which a full disk does not have. Of a batch that was answered only what the ledger
asked to have later is kept, and what it would not take is set aside, where `joulebook doctor` shows it: nothing is lost and nothing
blocks.
"""

from __future__ import annotations

import json
import os

from joulebook_collectors.host.lock import open_once, read_file
from joulebook_collectors.spool.checkpoint import NOTES, Checkpoint, read_checkpoint
from joulebook_collectors.spool.endings import DONE, MERGED
from joulebook_collectors.spool.folders import READER, read_frame
from joulebook_collectors.spool.lines import MOST_BYTES, append_whole, frames_between
from joulebook_collectors.spool.merging import is_rolled, merged, swap_in, windows_of, write_draft
from joulebook_collectors.spool.room import relieve, relieved
from joulebook_collectors.spool.segments import (
    NewerSpoolError,
    decode_frames,
    encode_frame,
    is_newer,
    remove_file,
    segment_names,
)
from joulebook_collectors.spool.standing import Cut, complete_until, is_anybody_there, is_left_open, oldest_live_ns
from joulebook_ledger.core.records import Reader
from joulebook_ledger.core.refusals import BadInput, Unavailable
from joulebook_ledger.core.vocabulary import RANKS
from joulebook_ledger.core.wire import READER_LISTS, encode_batch, from_wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from joulebook_collectors.spool.segments import Frame
    from joulebook_ledger.core.wire import Answer

    Lists = dict[str, list[dict[str, Any]]]

    class Door(Protocol):
        """Where batches go: a ledger, or a folder that a ledger will ingest."""

        def deliver(self, batch: bytes) -> Answer:
            """Take a batch."""


LOCK, RETRY, ASIDE = "delivery.lock", "retry", "aside"
MOST_ITEMS = 20_000
ACTIVE, RETIRED = "active", "retired"
RETRY_LATER = "retry_later"


def deliver_spool(folder: str, door: Door, now_ms: int, most_bytes: int = 0) -> int | None:
    """Send what one spool holds; return how many items were sent, or None where another process is delivering.

    Args:
        folder: The spool.
        door: Where to.
        now_ms: The present, milliseconds since the epoch.
        most_bytes: What may lie in the spool where it cannot be sent: beyond it, and on a full disk, windows are merged. 0 for any amount.

    Raises:
        Unavailable: The ledger cannot be reached; everything stays where it is.
        OSError: The spool cannot be written; nothing was sent that is not noted. Or a newer version wrote it: it is left as it is.
    """
    reader = reader_of(folder)
    if reader is None:
        return 0
    lock = open_once(os.path.join(folder, LOCK))
    if not lock.try_take():
        return None
    try:
        notes = Checkpoint(folder, NOTES)
        try:
            delivery = Delivery(folder, reader, notes, now_ms)
            try:
                return delivery.deliver(door, now_ms)
            except NewerSpoolError:
                raise
            except (Unavailable, OSError) as error:
                relieve(delivery, most_bytes, is_disk_full=isinstance(error, OSError))
                raise
        finally:
            notes.close()
    finally:
        lock.give()


def reader_of(folder: str) -> Reader | None:
    """Return who reads into a spool; None where it has no reader yet.

    Raises:
        NewerSpoolError: A newer version says more of it than we know.
    """
    path = os.path.join(folder, READER)
    frame = read_frame(path)
    try:
        return None if frame is None else from_wire("reader", Reader, dict(frame))
    except BadInput:
        raise NewerSpoolError(path) from None


class Delivery:
    """One delivery from one spool, by the holder of its second lock."""

    __slots__ = (
        "_complete_ms", "_notes", "_reader", "_sent_until", "_sequence", "_state", "_swap", "_unanswered", "folder", "offsets",
    )  # fmt: skip

    def __init__(self, folder: str, reader: Reader, notes: Checkpoint, now_ms: int = 0) -> None:
        """Begin where the last delivery stopped.

        Args:
            folder: The spool.
            reader: Whose it is.
            notes: Its notes.
            now_ms: The present; of what an older version may have sent before it, nothing is merged.
        """
        self.folder = folder
        self._reader = reader
        self._notes = notes
        stood = stand_of(folder)
        self._sequence: int = stood["sequence"]
        self.offsets: dict[str, int] = dict(stood["offsets"])
        self._state: str = stood["state"]
        self._unanswered: list[Any] | None = stood["unanswered"]
        self._complete_ms: int = stood.get("complete_ms", 0)
        self._sent_until: dict[str, int] = dict(stood.get("sent_until", {"": now_ms} if self._sequence else {}))
        self._swap: list[Any] | None = stood.get("swap")

    def deliver(self, door: Door, now_ms: int) -> int:
        """Send what was cut before, then cut and send the rest; return how many items were sent.

        What is added while we send waits for the next time.
        """
        sent = 0
        self._finish_swap()
        relieved(self.folder)
        if self._unanswered is not None:
            sent += self._send(Cut(*self._unanswered), door)
        limits = self._sizes()
        while (cut := self._cut(limits, now_ms)) is not None:
            self._unanswered = cut.to_json()
            self._note()
            sent += self._send(cut, door)
        self._clear()
        return sent

    def _sizes(self) -> dict[str, int]:
        sizes = {}
        for name, path in sources(self.folder):
            try:
                sizes[name] = os.stat(path).st_size
            except OSError:
                continue
        return sizes

    def _cut(self, limits: dict[str, int], now_ms: int) -> Cut | None:
        """Return what the next batch is made of; None where there is nothing to tell."""
        while True:
            is_idle = not is_anybody_there(self.folder) and not is_left_open(self.folder)
            complete_ms = max(self._complete_ms, now_ms if is_idle else complete_until(self.folder, now_ms))
            end, number, is_all = self._reach(limits)
            is_whole = is_all and not newer_in(self.folder)
            if not is_whole:
                complete_ms = self._complete_ms  # what is still to come may be older
            state = RETIRED if is_idle and is_whole else ACTIVE
            if number or (state, self._state) == (RETIRED, ACTIVE):
                start = {name: self.offsets.get(name, 0) for name in end}
                return Cut(self._sequence + 1, start, end, state, complete_ms)
            self.offsets.update(end)  # lines that are for nobody but the reader, and damaged ones
            if is_all:
                return None

    def _reach(self, limits: dict[str, int]) -> tuple[dict[str, int], int, bool]:
        """Return how far a batch reaches into each segment, the number of its items, and whether that is all there is."""
        end: dict[str, int] = {}
        number = size = 0
        for name, path in sources(self.folder):
            start = self.offsets.get(name, 0)
            while start < limits.get(name, 0):
                if number >= MOST_ITEMS or size >= MOST_BYTES:
                    return end, number, False
                frames, length = frames_between(path, start, limits[name])
                if not length:
                    break  # a last line that is still being written
                start += length
                size += length
                number += _add({kind: [] for kind in READER_LISTS}, frames)
                end[name] = start
        return end, number, True

    def _send(self, cut: Cut, door: Door) -> int:
        """Send one batch, and strike off what the ledger answered; return the number of its items."""
        lists = self._lists_of(cut)
        batch = encode_batch(
            reader=self._reader,
            sequence=cut.sequence,
            state=cut.state,
            complete_until_ms=cut.complete_ms,
            lists=lists,
        )
        number = 0
        try:
            answer = door.deliver(batch)
        except BadInput as error:
            told = {"outcome": "refused", "kind": "batch", "reason": "malformed", "detail": str(error), "item": lists}
            self._append(ASIDE, [told])
        else:
            number = sum(answer.counts.values())
            self._keep(answer, batch)
        self._sequence, self._state, self._unanswered = cut.sequence, cut.state, None
        self._complete_ms = cut.complete_ms
        self.offsets.update(cut.end)
        for window in windows_of([dict(lists)]):
            meter = window["meter"]
            self._sent_until[meter] = max(self._sent_until.get(meter, 0), window["end_ms"])
        self._note()
        return number

    def _lists_of(self, cut: Cut) -> Lists:
        lists: Lists = {kind: [] for kind in READER_LISTS}
        for name, path in sources(self.folder):
            start = cut.start.get(name, 0)
            while start < cut.end.get(name, 0):
                frames, length = frames_between(path, start, cut.end[name])
                if not length:
                    break
                _add(lists, frames)
                start += length
        return lists

    def merge(self, names: list[str]) -> None:
        """Let one segment take the place of several finished ones, of which none is in a batch that was not answered.

        Raises:
            OSError: The disk refuses; all is as it was.
        """
        frames: list[Frame] = []
        for name in names:
            start = self.offsets.get(name, 0)
            data = read_file(os.path.join(self.folder, DONE, name), start)
            frames += decode_frames(data)[0]
        told = self._told_elsewhere()
        floor = self._sent_until.get("", 0)

        def may_merge(window: dict[str, Any]) -> bool:
            key = (window["meter"], window["start_ms"])
            return window["start_ms"] >= max(floor, self._sent_until.get(key[0], 0)) and key not in told

        name = write_draft(self.folder, merged(frames, may_merge))
        self._swap = [name, names]
        self._note()
        self._finish_swap()

    def in_batch(self) -> set[str]:
        """Return the segments of which something is in a batch that was not answered."""
        return set(self._unanswered[2]) if self._unanswered is not None else set()

    def _told_elsewhere(self) -> set[tuple[str, int]]:
        """Return the windows that are in a batch, or that a successor may have written once more: those of no rolled segment."""
        frames: list[Frame] = []
        if self._unanswered is not None:
            frames.append(dict(self._lists_of(Cut(*self._unanswered))))
        for name, path in sources(self.folder):
            if not name.startswith(MERGED) and not is_rolled(path):
                try:
                    frames += decode_frames(read_file(path))[0]
                except OSError:
                    continue
        checkpoint = read_checkpoint(self.folder)
        frames += checkpoint["closed"] if checkpoint is not None else []
        return {(window["meter"], window["start_ms"]) for window in windows_of(frames)}

    def _finish_swap(self) -> None:
        if self._swap is not None:
            swap_in(self.folder, *self._swap)
            for name in self._swap[1]:
                self.offsets.pop(name, None)
            self._swap = None
            self._note()

    def _keep(self, answer: Answer, batch: bytes) -> None:
        """Keep what is to be sent again, and set aside what was not taken."""
        if not answer.exceptions:
            return
        body = json.loads(batch)
        again: list[Frame] = []
        aside: list[Frame] = []
        for outcome in answer.exceptions:
            item = body[outcome.kind][outcome.index]
            if outcome.outcome == RETRY_LATER:
                again.append({outcome.kind: [item]})
            else:
                told = {name: getattr(outcome, name) for name in ("outcome", "kind", "reason", "detail")}
                aside.append({**told, "item": item})
        self._append(RETRY, again)
        self._append(ASIDE, aside)

    def _append(self, name: str, frames: list[Frame]) -> None:
        if not frames:
            return
        append_whole(os.path.join(self.folder, name), b"".join(map(encode_frame, frames)))

    def _note(self) -> None:
        """Write how things stand; on the disk when this returns, for a batch once sent is never cut anew."""
        state = {
            "sequence": self._sequence,
            "offsets": self.offsets,
            "state": self._state,
            "unanswered": self._unanswered,
            "complete_ms": self._complete_ms,
            "sent_until": self._sent_until,
            "swap": self._swap,
        }
        self._notes.write(state, sync=True)

    def _clear(self) -> None:
        """Remove finished segments that were sent whole, unless a run that is still open may want to read them.

        No job reads an agent's spool: it is told what its runs used.
        """
        done = os.path.join(self.folder, DONE)
        needed_from = 1 << 63 if self._reader.rank == RANKS["agent"] else oldest_live_ns(self.folder)
        for name in segment_names(done):
            path = os.path.join(done, name)
            try:
                status = os.stat(path)
            except OSError:
                continue
            if self.offsets.get(name, 0) >= status.st_size and status.st_mtime_ns < needed_from:
                remove_file(path)
        self._clear_retry()
        names = {name for name, _ in sources(self.folder)}
        if not names.issuperset(self.offsets):
            self.offsets = {name: offset for name, offset in self.offsets.items() if name in names}
            self._note()

    def _clear_retry(self) -> None:
        """Remove what was to be sent again and was; first the note of how far: whoever stops in between sends it once more."""
        path = os.path.join(self.folder, RETRY)
        try:
            size = os.stat(path).st_size
        except OSError:
            return
        if self.offsets.get(RETRY, 0) >= size:
            self.offsets.pop(RETRY, None)
            self._note()
            remove_file(path)


def stand_of(folder: str) -> Frame:
    """Return how far a spool was delivered."""
    return read_checkpoint(folder, NOTES) or {"sequence": 0, "offsets": {}, "state": "", "unanswered": None}


def sources(folder: str) -> list[tuple[str, str]]:
    """Return name and path of every file that items come from, in an order that is always the same."""
    places = (folder, os.path.join(folder, DONE))
    found = {name: os.path.join(place, name) for place in places for name in segment_names(place)}
    known = sorted((name, path) for name, path in found.items() if not is_newer(path))
    return [(RETRY, os.path.join(folder, RETRY)), *known]


def newer_in(folder: str) -> list[str]:
    """Return the segments that a newer version wrote: they wait until this one was updated."""
    paths = [
        os.path.join(place, name) for place in (folder, os.path.join(folder, DONE)) for name in segment_names(place)
    ]
    return [path for path in paths if is_newer(path)]


def waiting_in(folder: str) -> tuple[int, int]:
    """Return how many records of a spool were not sent yet, and how many of its lines are damaged."""
    offsets = stand_of(folder)["offsets"]
    waiting = damaged = 0
    for name, path in sources(folder):
        try:
            frames, broken, _ = decode_frames(read_file(path, offsets.get(name, 0)))
        except OSError:
            continue
        damaged += broken
        waiting += sum(len(frame.get(kind, ())) for frame in frames for kind in READER_LISTS)
    return waiting, damaged


def _add(lists: Lists, frames: list[Frame]) -> int:
    number = 0
    for frame in frames:
        for kind in READER_LISTS:
            items = frame.get(kind, ())
            lists[kind].extend(items)
            number += len(items)
    return number
