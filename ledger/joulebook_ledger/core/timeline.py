"""From windows and uses to hourly usage: one time line per meter, on which every millisecond counts once (CORE §3).

Readers are laid in the order (rank, id), never in the order of arrival. A window adds only the time that no reader before it has
covered, a use only the time that no use of the same run has; of what is cut at t it counts floor(X·(t − start)/(end − start)), taken
as differences, so that the pieces of a whole window sum to it. Gaps are laid after all readings: a gap takes no time from a reading.
Readings of time in which their reader was away (`unwatched`) are laid after those of readers who were there, whatever the rank, and
claim just what they add: an agent that comes back takes nothing from the runs whose jobs read for themselves meanwhile.

A model speaks of a whole component of a device, a meter that measures perhaps of a part of it, such as one package of a processor. Where
one reader models what another one measures, what is measured counts and the model yields; of two models that of the first meter, by the
bytes of its id, counts. What yields lends its shares: its uses claim in proportion of the energy that counts, as if they were of it.

Claims are cut per (hour, method of the reading): where the uses of a method exceed its energy E, account i keeps
floor(E·S_i/S) − floor(E·S_{i−1}/S) with S_i cumulative in account order, and the hour is overclaimed. Time alike. The rest is idle.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from joulebook_ledger.core.attribution import UNWATCHED
from joulebook_ledger.core.periods import hour_of
from joulebook_ledger.core.records import Use, Window
from joulebook_ledger.core.units import muldiv, split_cumulatively
from joulebook_ledger.core.vocabulary import IDLE, MEASURED_METHODS, MODEL, account_order

_Pieces = list[tuple[int, int]]
"""Stretches of time, milliseconds, that neither meet nor overlap."""
NO_METHOD = "none"
"""Method of usage rows that carry the time and the estimates of gaps; never of a reading."""


class UsageRow(NamedTuple):
    """What one account drew of one meter in one hour, by one method.

    Attributes:
        account: A run's id, `untracked` or `idle`.
        method: counter, sensor, model or declared; `none` for the time and the estimates of gaps.
        energy_mj: Energy, millijoules.
        held_mj: Of it, the static part: held and not used.
        time_ms: Share of the covered time, milliseconds.
        unmetered_mj: Share, by time, of what gaps may have drawn; beside the energy and never in it.
    """

    account: str
    method: str
    energy_mj: int
    held_mj: int
    time_ms: int
    unmetered_mj: int

    @property
    def metered_ms(self) -> int:
        """The time of it that readings cover, milliseconds."""
        return 0 if self.method == NO_METHOD else self.time_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowUses:
    """A window and the uses that its reader claims of it."""

    window: Window
    uses: tuple[Use, ...] = ()

    @property
    def is_unwatched(self) -> bool:
        """Whether its reader was away and can name nobody."""
        return bool(self.uses) and all(use.method == UNWATCHED for use in self.uses)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderWindows:
    """The windows of one meter and hour that one reader sent.

    Attributes:
        rank: 0 an agent, 1 inside a job, 2 an import.
        reader: The reader's id.
        windows: In any order; they do not overlap.
    """

    rank: int
    reader: str
    windows: tuple[WindowUses, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HourUsage:
    """The usage of one meter in one hour.

    Attributes:
        rows: In account order, then by method; a row that is 0 throughout is left out.
        overclaimed: Whether claims of energy or time were cut to what there was.
    """

    rows: tuple[UsageRow, ...]
    overclaimed: bool


def lay_hour(hour: int, readers: Iterable[ReaderWindows], beside: Iterable[ReaderWindows] = ()) -> HourUsage:
    """Return the usage of one meter in one hour; the same for any order of the readers and of their windows.

    Args:
        hour: Hour since the epoch; every window lies in it.
        readers: What each reader sent for this meter and hour.
        beside: What each reader sent in this hour of the other meters of the same component of the same device.
    """
    windows = _in_line(hour, readers)
    others = _Others(windows[0].window.meter if windows else "", _in_line(hour, beside))
    laid = list(_lay_windows(windows, others))
    supplies = _supplies(laid)
    claims = _lay_uses(laid, others)
    rows: list[UsageRow] = []
    overclaimed = False
    for method in sorted(supplies.keys() | claims.keys()):
        shared, cut = _share(method, supplies[method], claims.get(method, {}))
        rows += shared
        overclaimed = overclaimed or cut
    rows.sort(key=lambda row: (account_order(row.account), row.method))
    return HourUsage(rows=tuple(rows), overclaimed=overclaimed)


def _in_line(hour: int, readers: Iterable[ReaderWindows]) -> list[WindowUses]:
    """Return windows in the order in which they are laid: readings, those of nobody who was there, gaps; each kind by reader."""
    said = sorted(((sent, one) for sent in readers for one in sent.windows), key=_place_in_line)
    assert all(hour_of(one.window.start_ms) == hour == hour_of(one.window.end_ms - 1) for _, one in said), hour
    return [one for _, one in said]


def _place_in_line(said: tuple[ReaderWindows, WindowUses]) -> tuple[bool, bool, int, bytes, int, bytes]:
    reader, one = said
    window = one.window
    return window.is_gap, one.is_unwatched, reader.rank, reader.reader.encode(), window.start_ms, window.meter.encode()


class _Supply:
    """What readings (or gaps) of one method bring: energy, time, and what gaps may have drawn."""

    __slots__ = ("energy_mj", "estimate_mj", "time_ms")

    def __init__(self) -> None:
        self.energy_mj = self.estimate_mj = self.time_ms = 0


class _Claim:
    """What one account claims of one method."""

    __slots__ = ("energy_mj", "held_mj", "time_ms")

    def __init__(self) -> None:
        self.energy_mj = self.held_mj = self.time_ms = 0


class _Line:
    """A time line: which stretches of it are covered, disjoint and in order."""

    __slots__ = ("_covered",)

    def __init__(self) -> None:
        self._covered: list[tuple[int, int]] = []

    def free(self, start_ms: int, end_ms: int) -> _Pieces:
        """Return the pieces of [start_ms, end_ms) that are not covered."""
        free: _Pieces = []
        reached = start_ms
        first = max(0, bisect_right(self._covered, (start_ms, end_ms)) - 1)
        for start, end in self._covered[first:]:
            if start >= end_ms:
                break
            if start > reached:
                free.append((reached, start))
            reached = max(reached, end)
        if reached < end_ms:
            free.append((reached, end_ms))
        return free

    def cover(self, pieces: Iterable[tuple[int, int]]) -> _Pieces:
        """Cover pieces and return what of them was free."""
        found: _Pieces = []
        for piece in pieces:
            free = self.free(*piece)
            for one in free:
                insort(self._covered, one)
            found += free
        return found


class _Others:
    """What is said of the other meters of the same component of the same device."""

    __slots__ = ("_after", "_before", "_models")

    def __init__(self, meter: str, windows: Sequence[WindowUses]) -> None:
        """Stand beside a meter: what a model of it yields to, and which models yield to what is said of it."""
        models = [one for one in windows if one.window.method == MODEL]
        first = [one for one in models if one.window.meter.encode() < meter.encode()]
        self._before = _Line()
        self._before.cover(_time(one) for one in windows if one.window.method in MEASURED_METHODS)
        self._before.cover(_time(one) for one in first)
        self._models = [one for one in models if not one.is_unwatched]
        self._after = [one for one in self._models if one not in first]

    def leave(self, window: Window) -> _Pieces:
        """Return the time that others leave to a window."""
        if window.method == MODEL:
            return self._before.free(window.start_ms, window.end_ms)
        return [(window.start_ms, window.end_ms)]

    def lenders(self, window: Window) -> list[WindowUses]:
        """Return the models that yield to a window, and whose readers were there."""
        if window.method == MODEL:
            return self._after
        return self._models if window.method in MEASURED_METHODS else []


def _time(one: WindowUses) -> tuple[int, int]:
    return one.window.start_ms, one.window.end_ms


def _within(pieces: _Pieces, window: Window) -> _Pieces:
    return [
        (max(a, window.start_ms), min(b, window.end_ms)) for a, b in pieces if a < window.end_ms and window.start_ms < b
    ]


def _part(whole: int, window: Window, pieces: Iterable[tuple[int, int]]) -> int:
    """Return how much of `whole` falls into pieces of the window, by time, taken as differences of floors."""
    start, length = window.start_ms, window.end_ms - window.start_ms
    return sum(muldiv(whole, b - start, length) - muldiv(whole, a - start, length) for a, b in pieces)


class _Laid(NamedTuple):
    """A window, the time that it adds, and the time of which its uses may claim."""

    one: WindowUses
    added: _Pieces
    claimable: _Pieces


def _lay_windows(windows: Sequence[WindowUses], others: _Others) -> Iterator[_Laid]:
    line = _Line()
    for one in windows:
        left = others.leave(one.window)
        added = line.cover(left)
        if one.is_unwatched:
            watched = _Line()
            watched.cover(_time(lender) for lender in others.lenders(one.window))
            yield _Laid(one, added, [free for piece in added for free in watched.free(*piece)])
        else:
            yield _Laid(one, added, left)


def _supplies(laid: Iterable[_Laid]) -> defaultdict[str, _Supply]:
    supplies: defaultdict[str, _Supply] = defaultdict(_Supply)
    for one, pieces, _ in laid:
        window = one.window
        supply = supplies[window.method or NO_METHOD]
        supply.time_ms += sum(b - a for a, b in pieces)
        supply.energy_mj += _part(window.energy_mj or 0, window, pieces)
        supply.estimate_mj += _part(window.estimate_mj or 0, window, pieces)
    return supplies


def _lay_uses(laid: Sequence[_Laid], others: _Others) -> dict[str, dict[str, _Claim]]:
    lines: defaultdict[str, _Line] = defaultdict(_Line)
    claims: defaultdict[str, defaultdict[str, _Claim]] = defaultdict(lambda: defaultdict(_Claim))
    for one, _, claimable in laid:
        window = one.window
        for use in one.uses:
            pieces = lines[use.run].cover(claimable)
            claim = claims[window.method or NO_METHOD][use.run]
            claim.energy_mj += _part(use.energy_mj, window, pieces)
            claim.held_mj += _part(use.static_mj, window, pieces)
            claim.time_ms += _part(use.time_ms, window, pieces)
    for one, added, _ in laid:
        for lender in others.lenders(one.window):
            lent = _within(added, lender.window)
            for use in lender.uses:
                _claim_lent(
                    claims[one.window.method][use.run], one.window, lender.window, use, lines[use.run].cover(lent)
                )
    return {method: dict(by_run) for method, by_run in claims.items()}


def _claim_lent(claim: _Claim, window: Window, lender: Window, use: Use, pieces: _Pieces) -> None:
    """Claim of a window's energy what a use has of the model's that yielded to it."""
    energy_mj = _part(window.energy_mj or 0, window, pieces)
    if lender.energy_mj:
        claim.energy_mj += muldiv(energy_mj, use.energy_mj, lender.energy_mj)
        claim.held_mj += muldiv(energy_mj, use.static_mj, lender.energy_mj)
    claim.time_ms += _part(use.time_ms, lender, pieces)


def _share(method: str, supply: _Supply, claims: dict[str, _Claim]) -> tuple[list[UsageRow], bool]:
    accounts = sorted(claims, key=account_order)
    asked = [claims[account] for account in accounts]
    energies, energy_cut = _cut_to(supply.energy_mj, [claim.energy_mj for claim in asked])
    times, time_cut = _cut_to(supply.time_ms, [claim.time_ms for claim in asked])
    held = [
        muldiv(claim.held_mj, energy, claim.energy_mj) if claim.energy_mj else 0
        for claim, energy in zip(asked, energies, strict=True)
    ]
    accounts.append(IDLE)
    energies.append(supply.energy_mj - sum(energies))
    times.append(supply.time_ms - sum(times))
    held.append(0)
    estimates = split_cumulatively(supply.estimate_mj, times) if supply.time_ms else [0] * len(times)
    rows = list(_rows(method, accounts, energies, held, times, estimates))
    return rows, energy_cut or time_cut


def _rows(method: str, accounts: list[str], *figures: list[int]) -> Iterator[UsageRow]:
    for account, energy, held, time, estimate in zip(accounts, *figures, strict=True):
        if energy or held or time or estimate:
            yield UsageRow(account, method, energy, held, time, estimate)


def _cut_to(supply: int, claims: list[int]) -> tuple[list[int], bool]:
    """Return the claims, cut in proportion where they exceed the supply, and whether they were."""
    if sum(claims) <= supply:
        return list(claims), False
    return split_cumulatively(supply, claims), True
