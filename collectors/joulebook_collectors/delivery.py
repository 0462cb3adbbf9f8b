"""From a spool to its ledger: batches are cut from what the segments hold, sent, and struck off.

Whoever delivers holds the spool's second lock. A batch stands on the disk, with its number and with what it was cut from, before it
is sent; it is sent until the ledger answers, and never cut anew. Of a batch that was answered only what the ledger asked to have
later is kept, and what it would not take is set aside, where `joulebook doctor` shows it: nothing is lost and nothing blocks.
"""

from __future__ import annotations

import os

from joulebook_collectors.checkpoint import read_checkpoint
from joulebook_collectors.endings import DONE
from joulebook_collectors.folders import READER, prepare, read_frame, write_file
from joulebook_collectors.lock import is_held, open_once, read_file
from joulebook_collectors.segments import decode_frames, decode_line, encode_frame, remove_file, segment_names
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


LOCK, DELIVERED, OUTBOX, RETRY, ASIDE = "delivery.lock", "delivered", "outbox", "retry", "aside"
MOST_ITEMS = 20_000
MOST_BYTES = 4 << 20
ACTIVE, RETIRED = "active", "retired"
RETRY_LATER = "retry_later"


def deliver_spool(folder: str, door: Door, now_ms: int) -> int | None:
    """Send what one spool holds; return how many items were sent, or None where another process is delivering.

    Raises:
        Unavailable: The ledger cannot be reached; everything stays where it is.
    """
    reader = read_frame(os.path.join(folder, READER))
    if reader is None:
        return 0
    lock = open_once(os.path.join(folder, LOCK))
    if not lock.try_take():
        return None
    try:
        return Delivery(folder, from_wire("reader", Reader, dict(reader))).deliver(door, now_ms)
    finally:
        lock.give()


class Delivery:
    """One delivery from one spool, by the holder of its second lock.

    Attributes:
        offsets: Segment's name -> how far it was put into batches.
        sequence: Number of the last batch that was cut.
    """

    __slots__ = ("_folder", "_reader", "_state", "offsets", "sequence")

    def __init__(self, folder: str, reader: Reader) -> None:
        self._folder = folder
        self._reader = reader
        stood = read_frame(os.path.join(folder, DELIVERED)) or {"sequence": 0, "offsets": {}, "state": ""}
        self.sequence: int = stood["sequence"]
        self.offsets: dict[str, int] = dict(stood["offsets"])
        self._state: str = stood["state"]
        prepare(os.path.join(folder, OUTBOX))

    def deliver(self, door: Door, now_ms: int) -> int:
        """Send what was cut before, then cut and send the rest; return how many items were sent."""
        sent = 0
        for left in self._outbox():
            sent += self._send(left, door)
        limits = {name: size for name, size in self._sizes().items() if size > self.offsets.get(name, 0)}
        while (path := self._cut(limits, now_ms)) is not None:
            sent += self._send(path, door)
        self._clear()
        return sent

    @property
    def is_retired(self) -> bool:
        """Whether the ledger was told that no more is to come."""
        return self._state == RETIRED

    def _outbox(self) -> list[str]:
        folder = os.path.join(self._folder, OUTBOX)
        return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".batch")]

    def _sizes(self) -> dict[str, int]:
        """Return every file that items come from, with its size now: what is added while we send waits for the next time."""
        sizes = {}
        for name, path in self._sources():
            try:
                sizes[name] = os.stat(path).st_size
            except OSError:
                continue
        return sizes

    def _sources(self) -> list[tuple[str, str]]:
        places = (self._folder, os.path.join(self._folder, DONE))
        found = {name: os.path.join(place, name) for place in places for name in segment_names(place)}
        return [(RETRY, os.path.join(self._folder, RETRY)), *sorted(found.items())]

    def _cut(self, limits: dict[str, int], now_ms: int) -> str | None:
        """Write the next batch into the outbox; None where there is nothing to tell."""
        is_idle = not _is_anybody_there(self._folder)
        complete_ms = now_ms if is_idle else _complete_until(self._folder, now_ms)
        lists: Lists = {kind: [] for kind in READER_LISTS}
        offsets, is_all = self._gather(limits, lists)
        state = RETIRED if is_idle and is_all else ACTIVE
        if not any(lists.values()) and (state, self._state) != (RETIRED, ACTIVE):
            if offsets != self.offsets:
                self.offsets = offsets
                self._note(self._state)
            return None if is_all else self._cut(limits, now_ms)
        sequence = self.sequence + 1
        batch = encode_batch(
            reader=self._reader, sequence=sequence, state=state, complete_until_ms=complete_ms, lists=lists
        )
        head = encode_frame({"sequence": sequence, "offsets": offsets, "state": state})
        path = os.path.join(self._folder, OUTBOX, f"{sequence:010d}.batch")
        _write_whole(path, head + batch, sync=True)
        return path

    def _gather(self, limits: dict[str, int], lists: Lists) -> tuple[dict[str, int], bool]:
        """Fill the lists with what was not sent yet, up to the size of a batch; return how far, and whether that is all."""
        offsets = dict(self.offsets)
        number = size = 0
        for name, path in self._sources():
            start = offsets.get(name, 0)
            while start < limits.get(name, 0):
                if number >= MOST_ITEMS or size >= MOST_BYTES:
                    return offsets, False
                frames, length = _some_frames(path, start, limits[name] - start)
                if not length:
                    break  # a last line that is still being written
                start += length
                size += length
                number += _add(lists, frames)
                offsets[name] = start
        return offsets, True

    def _send(self, path: str, door: Door) -> int:
        """Send one batch, and strike off what the ledger answered; return the number of its items."""
        head, _, batch = read_file(path).partition(b"\n")
        cut = decode_line(head)
        if cut is None:
            os.replace(path, path + ".damaged")
            return 0
        number = 0
        try:
            answer = door.deliver(batch)
        except BadInput as error:
            os.link(path, path + ".refused")
            told = {"outcome": "refused", "kind": "batch", "reason": "malformed", "detail": str(error)}
            self._append(ASIDE, [told])
        else:
            number = sum(answer.counts.values())
            self._keep(answer, batch)
        self.sequence, self.offsets = cut["sequence"], cut["offsets"]
        self._note(cut["state"])
        remove_file(path)
        return number

    def _keep(self, answer: Answer, batch: bytes) -> None:
        """Keep what is to be sent again, and set aside what was not taken."""
        if not answer.exceptions:
            return
        import json

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
        descriptor = os.open(os.path.join(self._folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, b"".join(map(encode_frame, frames)))
        finally:
            os.close(descriptor)

    def _note(self, state: str) -> None:
        self._state = state
        frame = {"sequence": self.sequence, "offsets": self.offsets, "state": state}
        _write_whole(os.path.join(self._folder, DELIVERED), encode_frame(frame))

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
            if self.offsets.get(name, 0) >= status.st_size and status.st_mtime_ns < needed_from:
                remove_file(path)
        names = {name for name, _ in self._sources()}
        if not names.issuperset(self.offsets):
            self.offsets = {name: offset for name, offset in self.offsets.items() if name in names}
            self._note(self._state)


def waiting_in(folder: str) -> tuple[int, int]:
    """Return how many records of a spool were not sent yet, and how many lines are damaged."""
    stood = read_frame(os.path.join(folder, DELIVERED)) or {"offsets": {}}
    waiting = damaged = 0
    for place in (folder, os.path.join(folder, DONE)):
        for name in segment_names(place):
            try:
                frames, broken, _ = decode_frames(read_file(os.path.join(place, name), stood["offsets"].get(name, 0)))
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


def _some_frames(path: str, start: int, most: int) -> tuple[list[Frame], int]:
    """Return frames from `start` on, and how many bytes they are: whole lines, not much more than one batch takes.

    Of a finished segment a last line without an end is passed over: nobody will ever write the rest of it.
    """
    try:
        data = read_file(path, start)[: min(most, MOST_BYTES)]
    except OSError:
        return [], 0
    if len(data) == most and os.path.basename(os.path.dirname(path)) == DONE and not data.endswith(b"\n"):
        frames, _, _ = decode_frames(data + b"\n")
        return frames, len(data)
    frames, _, length = decode_frames(data)
    return frames, length


def _is_anybody_there(folder: str) -> bool:
    return any(is_held(os.path.join(folder, name)) is not False for name in segment_names(folder))


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


def _write_whole(path: str, data: bytes, *, sync: bool = False) -> None:
    write_file(path + ".new", data, sync=sync)
    os.replace(path + ".new", path)
