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

from joulebook_collectors.checkpoint import NOTES, Checkpoint, read_checkpoint
from joulebook_collectors.endings import DONE
from joulebook_collectors.folders import READER, read_frame
from joulebook_collectors.lines import MOST_BYTES, append_whole, frames_between
from joulebook_collectors.lock import is_held, open_once, read_file
from joulebook_collectors.segments import (
    NewerSpoolError,
    decode_frames,
    encode_frame,
    is_newer,
    remove_file,
    segment_names,
)
from joulebook_ledger.core.records import Reader
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.core.wire import READER_LISTS, encode_batch, from_wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from joulebook_collectors.segments import Frame
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


def deliver_spool(folder: str, door: Door, now_ms: int) -> int | None:
    """Send what one spool holds; return how many items were sent, or None where another process is delivering.

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
            return Delivery(folder, reader, notes).deliver(door, now_ms)
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


class Cut:
    """What a batch is made of.

    Attributes:
        sequence: Its number.
        start: Segment's name -> where it begins in it.
        end: Segment's name -> where it ends.
        state: active, or retired.
        complete_ms: All windows that end before it have been sent with this batch.
    """

    __slots__ = ("complete_ms", "end", "sequence", "start", "state")

    def __init__(self, sequence: int, start: dict[str, int], end: dict[str, int], state: str, complete_ms: int) -> None:
        self.sequence = sequence
        self.start = start
        self.end = end
        self.state = state
        self.complete_ms = complete_ms

    def to_json(self) -> list[Any]:
        """Return it as it is noted."""
        return [self.sequence, self.start, self.end, self.state, self.complete_ms]


class Delivery:
    """One delivery from one spool, by the holder of its second lock."""

    __slots__ = ("_complete_ms", "_folder", "_notes", "_offsets", "_reader", "_sequence", "_state", "_unanswered")

    def __init__(self, folder: str, reader: Reader, notes: Checkpoint) -> None:
        self._folder = folder
        self._reader = reader
        self._notes = notes
        stood = stand_of(folder)
        self._sequence: int = stood["sequence"]
        self._offsets: dict[str, int] = dict(stood["offsets"])
        self._state: str = stood["state"]
        self._unanswered: list[Any] | None = stood["unanswered"]
        self._complete_ms: int = stood.get("complete_ms", 0)

    def deliver(self, door: Door, now_ms: int) -> int:
        """Send what was cut before, then cut and send the rest; return how many items were sent.

        What is added while we send waits for the next time.
        """
        sent = 0
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
        for name, path in sources(self._folder):
            try:
                sizes[name] = os.stat(path).st_size
            except OSError:
                continue
        return sizes

    def _cut(self, limits: dict[str, int], now_ms: int) -> Cut | None:
        """Return what the next batch is made of; None where there is nothing to tell."""
        while True:
            is_idle = not _is_anybody_there(self._folder) and not _is_left_open(self._folder)
            complete_ms = now_ms if is_idle else _complete_until(self._folder, now_ms)
            end, number, is_all = self._reach(limits)
            is_whole = is_all and not newer_in(self._folder)
            if not is_whole:
                complete_ms = self._complete_ms  # what is still to come may be older
            state = RETIRED if is_idle and is_whole else ACTIVE
            if number or (state, self._state) == (RETIRED, ACTIVE):
                start = {name: self._offsets.get(name, 0) for name in end}
                return Cut(self._sequence + 1, start, end, state, complete_ms)
            self._offsets.update(end)  # lines that are for nobody but the reader, and damaged ones
            if is_all:
                return None

    def _reach(self, limits: dict[str, int]) -> tuple[dict[str, int], int, bool]:
        """Return how far a batch reaches into each segment, the number of its items, and whether that is all there is."""
        end: dict[str, int] = {}
        number = size = 0
        for name, path in sources(self._folder):
            start = self._offsets.get(name, 0)
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
        lists: Lists = {kind: [] for kind in READER_LISTS}
        for name, path in sources(self._folder):
            start = cut.start.get(name, 0)
            while start < cut.end.get(name, 0):
                frames, length = frames_between(path, start, cut.end[name])
                if not length:
                    break
                _add(lists, frames)
                start += length
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
        self._offsets.update(cut.end)
        self._note()
        return number

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
        append_whole(os.path.join(self._folder, name), b"".join(map(encode_frame, frames)))

    def _note(self) -> None:
        """Write how things stand; on the disk when this returns, for a batch once sent is never cut anew."""
        state = {
            "sequence": self._sequence,
            "offsets": self._offsets,
            "state": self._state,
            "unanswered": self._unanswered,
            "complete_ms": self._complete_ms,
        }
        self._notes.write(state, sync=True)

    def _clear(self) -> None:
        """Remove finished segments that were sent whole, unless a run that is still open may want to read them."""
        done = os.path.join(self._folder, DONE)
        needed_from = _oldest_live_ns(self._folder)
        for name in segment_names(done):
            path = os.path.join(done, name)
            try:
                status = os.stat(path)
            except OSError:
                continue
            if self._offsets.get(name, 0) >= status.st_size and status.st_mtime_ns < needed_from:
                remove_file(path)
        self._clear_retry()
        names = {name for name, _ in sources(self._folder)}
        if not names.issuperset(self._offsets):
            self._offsets = {name: offset for name, offset in self._offsets.items() if name in names}
            self._note()

    def _clear_retry(self) -> None:
        """Remove what was to be sent again and was; first the note of how far: whoever stops in between sends it once more."""
        path = os.path.join(self._folder, RETRY)
        try:
            size = os.stat(path).st_size
        except OSError:
            return
        if self._offsets.get(RETRY, 0) >= size:
            self._offsets.pop(RETRY, None)
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


def _is_anybody_there(folder: str) -> bool:
    return any(is_held(os.path.join(folder, name)) is not False for name in segment_names(folder))


def _is_left_open(folder: str) -> bool:
    """Tell whether windows of a reader wait for a successor, or for whoever recovers the spool."""
    checkpoint = read_checkpoint(folder)
    return checkpoint is not None and bool(checkpoint["open"] or checkpoint["closed"])


def _oldest_live_ns(folder: str) -> int:
    """Return when the oldest segment of a living process began, or the far future where none lives."""
    oldest = 1 << 63
    for name in segment_names(folder):
        path = os.path.join(folder, name)
        try:
            frames, _, _ = decode_frames(read_file(path))
        except OSError:
            continue
        times = [event["at_ms"] for frame in frames for event in frame.get("runs", ())]
        oldest = min(oldest, min(times, default=1 << 40) * 1_000_000)
    return oldest


def _complete_until(folder: str, now_ms: int) -> int:
    """Return the instant before which all windows stand in the segments: the start of the open ones."""
    checkpoint = read_checkpoint(folder)
    if checkpoint is None:
        return 0
    starts: list[int] = [watch[0] for watch in checkpoint["watches"]]
    closed: list[int] = [
        w["start_ms"] for frame in checkpoint["closed"] for kind in ("readings", "gaps") for w in frame.get(kind, ())
    ]
    return min([now_ms, *starts, *closed])
