"""Room in a spool whose ledger is away: windows of one meter that follow each other within an hour become one, and nothing is lost.

Only what was never in a batch is merged, and only where no copy of it may come by another way: a merged window must not overlap one
that a ledger may hold. So only segments are merged that their reader has left in good order (`ROLLED` is their last line): what a
reader wrote just before it died, its successor may have written once more. Readings of one method are merged with each other, and gaps of one reason; uses are added up per run, so that
every sum is what it was. That it was merged stands in the method of its uses; a window that nobody used gets one of nothing that
says so.
"""

from __future__ import annotations

import os

from joulebook_collectors.host.lock import read_file
from joulebook_collectors.spool.endings import DONE, MERGED
from joulebook_collectors.spool.folders import write_file
from joulebook_collectors.spool.segments import ENDING, FORM, ROLLED, encode_frame, remove_file
from joulebook_ledger.core.vocabulary import LONGEST_NAME, UNTRACKED
from joulebook_ledger.core.wire import READER_LISTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from joulebook_collectors.spool.segments import Frame

    Item = dict[str, Any]
    Key = tuple[str, int]

HOUR_MS = 3_600_000
DRAFT = ".draft"
_LAST_LINE = encode_frame(ROLLED)
_SUMS = ("energy_mj", "static_mj", "time_ms", "active_ms")
_WINDOWS = ("readings", "gaps")


def merged(frames: Iterable[Frame], may_merge: Callable[[Item], bool]) -> list[Frame]:
    """Return frames that hold the same in as few windows as may be, each with its uses.

    Args:
        frames: What was spooled; a window that is there twice is one.
        may_merge: Whether a window may become a part of another.
    """
    windows: dict[str, dict[int, Item]] = {}
    uses: dict[Key, dict[str, Item]] = {}
    others: dict[str, list[Any]] = {}
    for frame in frames:
        for kind, items in frame.items():
            for item in items if kind in READER_LISTS else ():
                if kind in _WINDOWS and is_window(item):
                    windows.setdefault(item["meter"], {})[item["start_ms"]] = item
                elif kind == "uses" and _is_use(item):
                    uses.setdefault((item["meter"], item["start_ms"]), {})[item["run"]] = item
                elif kind != "meters" or item not in others.get(kind, ()):
                    others.setdefault(kind, []).append(item)
    result: list[Frame] = [{"form": FORM, **others}]
    for meter in sorted(windows):
        for chain in _chains([windows[meter][start] for start in sorted(windows[meter])], may_merge):
            its_uses = [uses.pop((meter, window["start_ms"]), {}) for window in chain]
            result += [_one(chain, its_uses)]
    left = [use for by_run in uses.values() for use in by_run.values()]
    return [*result, {"uses": left}] if left else result


def is_window(item: Any) -> bool:
    """Tell whether an item is as our readers write windows; what is not is passed on as it is, for the ledger to judge."""
    return (
        isinstance(item, dict)
        and isinstance(item.get("meter"), str)
        and all(isinstance(item.get(name), int) for name in ("start_ms", "end_ms"))
        and all(isinstance(item.get(name), int | None) for name in ("energy_mj", "estimate_mj"))
    )


def windows_of(frames: Iterable[Frame]) -> list[Item]:
    """Return the windows of frames."""
    return [item for frame in frames for kind in _WINDOWS for item in frame.get(kind, ()) if is_window(item)]


def _is_use(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and all(isinstance(item.get(name), str) for name in ("meter", "run", "method"))
        and isinstance(item.get("start_ms"), int)
        and all(isinstance(item.get(name, 0), int) for name in _SUMS)
    )


def is_rolled(path: str) -> bool:
    """Tell whether a reader has left a segment in good order, and wrote nothing there since."""
    try:
        return read_file(path, max(0, os.stat(path).st_size - len(_LAST_LINE))) == _LAST_LINE
    except OSError:
        return False


def swap_in(folder: str, name: str, old: list[str]) -> None:
    """Put a merged segment in the place of those it was made of; may be done again at any point.

    Raises:
        OSError: The disk refuses.
    """
    done = os.path.join(folder, DONE)
    draft = os.path.join(done, name + DRAFT)
    if os.path.exists(draft):
        os.replace(draft, os.path.join(done, name))
    for each in old:
        remove_file(os.path.join(done, each))


def write_draft(folder: str, frames: list[Frame]) -> str:
    """Write a merged segment under a name that nobody reads yet; return the name it will have.

    Raises:
        OSError: The disk refuses; nothing of it is left.
    """
    name = f"{MERGED}{os.urandom(6).hex()}{ENDING}"
    path = os.path.join(folder, DONE, name + DRAFT)
    try:
        write_file(path, b"".join(map(encode_frame, frames)), sync=True)
    except OSError:
        remove_file(path)
        raise
    return name


def _chains(windows: list[Item], may_merge: Callable[[Item], bool]) -> list[list[Item]]:
    chains: list[list[Item]] = []
    for window in windows:
        if chains and _follows(chains[-1][-1], window) and may_merge(window) and may_merge(chains[-1][0]):
            chains[-1].append(window)
        else:
            chains.append([window])
    return chains


def _follows(before: Item, window: Item) -> bool:
    """Tell whether two windows may be one: without a hole, within an hour, and of one kind."""
    is_next = before["end_ms"] == window["start_ms"]
    is_same_hour = before["start_ms"] // HOUR_MS == window["start_ms"] // HOUR_MS
    return is_next and is_same_hour and _kind(before) == _kind(window)


def _kind(window: Item) -> tuple[str, str, bool]:
    return window.get("method", ""), window.get("reason", ""), window.get("estimate_mj") is None


def _one(chain: list[Item], uses: list[dict[str, Item]]) -> Frame:
    """Return the one window of a chain, with its uses."""
    window = {**chain[0], "end_ms": chain[-1]["end_ms"]}
    for name in ("energy_mj", "estimate_mj"):
        if window.get(name) is not None:
            window[name] = sum(part[name] for part in chain)
    kind = "readings" if window.get("energy_mj") is not None else "gaps"
    if len(chain) == 1:
        own = list(uses[0].values())
        return {kind: [window], **({"uses": own} if own else {})}
    runs = sorted({run for part in uses for run in part}) or [UNTRACKED]
    return {
        kind: [window],
        "uses": [_use(window, run, [part[run] for part in uses if run in part], len(chain)) for run in runs],
    }


def _use(window: Item, run: str, parts: list[Item], number: int) -> Item:
    methods = [part["method"] for part in parts]
    told = f"merged of {number} windows for want of room"
    method = f"{max(methods, key=methods.count)[: LONGEST_NAME - len(told) - 2]}, {told}" if methods else told
    sums = {name: sum(part.get(name, 0) for part in parts) for name in _SUMS}
    return {"meter": window["meter"], "start_ms": window["start_ms"], "run": run, **sums, "method": method}
