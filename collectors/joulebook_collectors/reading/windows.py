"""Meters watched: from their answers to windows, each a reading or a gap, and their uses (CORE §2).

A counter is a difference of two values: an answer that fails is made good by the next one, and only what no difference can tell is a
gap. Of a power meter every pause that is too long is a gap. A window is cut at UTC hours, by time, and stays what it was.
"""

from __future__ import annotations

from joulebook_collectors.host.identity import digest
from joulebook_collectors.host.quickjson import encode
from joulebook_collectors.meters.meter import CounterValue, MeterDescription, NoData, PowerValue
from joulebook_collectors.presence.span import Span
from joulebook_ledger.core.attribution import UNTRACKED, UNWATCHED, Claim, method_text, split_window
from joulebook_ledger.core.metering import (
    Baseline,
    Measured,
    Missing,
    cut_by_time,
    energy_at_mj,
    read_counter,
    read_power,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from joulebook_collectors.meters.meter import Meter

    Item = dict[str, Any]

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
NOT_READ = "not_read"
TIME = "time"
MODEL = "model"


class Piece:
    """A stretch of a meter's time: energy in it, or why nothing is known of it. Times in milliseconds of the reader's clock."""

    __slots__ = ("end_ms", "energy_mj", "estimate_mj", "reason", "start_ms")

    def __init__(
        self, start_ms: int, end_ms: int, energy_mj: int | None, reason: str = "", estimate_mj: int | None = None
    ) -> None:
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.energy_mj = energy_mj
        self.reason = reason
        self.estimate_mj = estimate_mj

    def cut_at_hours(self) -> list[Piece]:
        """Return its parts, none of which crosses a UTC hour."""
        first = (self.start_ms // HOUR_MS + 1) * HOUR_MS
        bounds = [self.start_ms, *range(first, self.end_ms, HOUR_MS), self.end_ms]
        energies = _cut(self.energy_mj, bounds)
        estimates = _cut(self.estimate_mj, bounds)
        return [
            Piece(start, end, energy, self.reason, estimate)
            for start, end, energy, estimate in zip(bounds, bounds[1:], energies, estimates, strict=False)
        ]


def _cut(whole: int | None, bounds: list[int]) -> list[int | None]:
    return [None] * (len(bounds) - 1) if whole is None else [*cut_by_time(whole, bounds)]


class Watch:
    """One meter under watch.

    Attributes:
        key: The meter's id.
        description: What it is.
        span: Who was there since the open window began.
        start_ms: When the open window began.
        is_lively: Whether it is worth a sample each second: not where it is no more than what processes did, seen every few seconds.
    """

    __slots__ = (
        "_base", "_energy_mj", "_has_failed", "_lowest_mw", "_max_gap_ms", "_minute", "_pieces", "_reason", "description", "is_lively", "key",
        "meter", "span", "start_ms",
    )  # fmt: skip

    def __init__(
        self, meter: Meter | None, description: MeterDescription, *, start_ms: int, max_gap_ms: int, span: Span
    ) -> None:
        """Watch from `start_ms` on; `max_gap_ms` is the longest pause that two samples of power may bridge."""
        self.meter = meter
        self.description = description
        self.is_lively = meter is not None and description.method != MODEL
        self.key = meter_key(description)
        self.span = span
        self.start_ms = start_ms
        self._base: Baseline | None = None
        self._energy_mj = 0
        self._pieces: list[Piece] = []
        self._reason = NOT_READ
        self._has_failed = False
        self._max_gap_ms = max_gap_ms
        self._minute = (0, 0)  # where its full minute began, and the energy since
        self._lowest_mw: int | None = None

    def sample(self, at_ms: int) -> None:
        """Ask the meter, and note its answer."""
        if self.meter is not None:
            self.observe(self.meter.read(), at_ms)

    def observe(self, answer: CounterValue | PowerValue | NoData, at_ms: int) -> None:
        """Note an answer. What lies behind us stays as it is: an instant before the last answer is passed over."""
        before = self._base
        if isinstance(answer, NoData):
            self._reason, self._has_failed = answer.reason, True
            return
        self._has_failed = False
        result: Measured | Missing | None
        if isinstance(answer, CounterValue):
            self._base, result = read_counter(
                before, answer.value, at_ms, per_joule=answer.per_joule, wraps_at=answer.range,
                max_power_mw=self.description.max_power_mw,
            )  # fmt: skip
        else:
            self._base, result = read_power(
                before, answer.power_mw, at_ms, max_gap_ms=self._max_gap_ms, max_power_mw=self.description.max_power_mw
            )
        if before is None and self._base is not None:
            self._lose(self.start_ms, at_ms, self._reason, None)
        elif before is not None and isinstance(result, Missing):
            self._lose(before.at_ms, at_ms, result.reason, result.estimate_mj)
        elif before is not None and isinstance(result, Measured):
            self._gain(before.at_ms, at_ms, result.energy_mj)

    def close(self, at_ms: int) -> list[Item]:
        """End the window at `at_ms` and return its items; where the last answer is older, a counter's window stays open.

        A power meter without an answer for too long, and a meter that never answered, have a gap up to here.
        """
        if self.description.component == TIME:
            self._pieces = [Piece(self.start_ms, at_ms, 0)]
        elif self._base is None:
            self._lose(self.start_ms, at_ms, self._reason, None)
        elif self._base.at_ms < at_ms:
            return []
        elif self._base.at_ms > self.start_ms:
            self._pieces.append(Piece(self.start_ms, self._base.at_ms, self._energy_mj))
        self.start_ms, self._energy_mj = max(self.start_ms, at_ms), 0
        pieces, self._pieces = self._pieces, []
        return [
            self._window(part) for piece in pieces if piece.end_ms > piece.start_ms for part in piece.cut_at_hours()
        ]

    def give_up(self, at_ms: int, *, goes_on: bool = False) -> list[Item]:
        """End the window for good: what was measured, then a gap for the time since the last answer, if a later one failed.

        There is no gap where somebody `goes_on` with the counter's last value.
        """
        last_ms = self._base.at_ms if self._base is not None else at_ms
        items = self.close(max(self.start_ms, min(last_ms, at_ms)))
        if self._has_failed and last_ms < at_ms and not goes_on:
            items += [self._window(part) for part in Piece(last_ms, at_ms, None, self._reason).cut_at_hours()]
            self.start_ms, self._base = at_ms, None
        return items

    def skip(self, from_ms: int, to_ms: int, reason: str, longest_ms: int) -> list[Item]:
        """End the window, then tell of a gap: the reader's time stepped. The next window begins with the same counter value.

        Where the last answer is older than the step, the time since then is behind the gap: it passed, and its energy is yet to come.
        """
        last_ms = from_ms if self._base is None else max(self.start_ms, self._base.at_ms)
        items = self.close(last_ms)
        to_ms -= from_ms - last_ms
        gap = Piece(max(last_ms, to_ms - longest_ms), to_ms, None, reason)
        items += [self._window(part) for part in gap.cut_at_hours()]
        self.start_ms = to_ms
        self._minute = (0, 0)
        if self._base is not None:
            self._base = Baseline(self._base.value, to_ms, self._base.rest)
        return items

    @property
    def open_mj(self) -> int:
        """What was measured since the last window was told, millijoules."""
        return self._energy_mj + sum(piece.energy_mj or 0 for piece in self._pieces)

    def uses(self, window: Item, devices: list[str]) -> list[Item]:
        """Return the uses of a window."""
        length_ms = window["end_ms"] - window["start_ms"]
        static_mw, origin = self._static_power()
        number = 1
        if self.span.is_unwatched:
            claims, method, static_mw = [Claim(UNTRACKED, holding=0, activity=1)], UNWATCHED, 0
        elif self.description.component == TIME:
            claims, number = self.span.claims_on_time(devices)
            method = "holding"
        else:
            claims, basis = self.span.claims(self.description.component, self.description.device)
            method = method_text(basis, static_mw, origin)
        if self.span.side_by_side:
            method += ", side by side in threads: equal shares"
        shares = split_window(
            window.get("energy_mj") or 0, energy_at_mj(static_mw, length_ms), length_ms, claims,
            capacity=self.span.capacity * number,
        )  # fmt: skip
        return [
            {
                "meter": self.key, "start_ms": window["start_ms"], "run": share.account, "energy_mj": share.energy_mj,
                "static_mj": share.static_mj, "time_ms": share.time_ms, "active_ms": share.active_ms, "method": method,
            }
            for share in shares
            if share.account != UNTRACKED or share.energy_mj
        ]  # fmt: skip

    def give_up_before(self, at_ms: int) -> None:
        """Forget the open window, which somebody else closed where the counter was read last, `at_ms` at the latest."""
        self._energy_mj, self._pieces, self.start_ms = 0, [], at_ms if self._base is None else self._base.at_ms

    def to_json(self) -> list[Any]:
        """Return what a successor needs to go on with this window; small, for it is written each second."""
        base = self._base
        values = (0, -1, 0) if base is None else (base.value, base.at_ms, base.rest)
        pieces = [[p.start_ms, p.end_ms, p.energy_mj, p.reason, p.estimate_mj] for p in self._pieces]
        return [
            self.start_ms,
            self._energy_mj,
            *values,
            self._reason,
            self._has_failed,
            *self._minute,
            self._lowest_mw,
            pieces,
        ]

    def encoded(self) -> bytes:
        """Return the same as JSON. In the usual state by hand: an encoder, entered anew each second, costs more than the rest."""
        base = self._base
        if base is None or self._pieces or not self._reason.isidentifier() or not self._reason.isascii():
            return encode(self.to_json()).encode()
        lowest = b"null" if self._lowest_mw is None else b"%d" % self._lowest_mw
        return b'[%d,%d,%d,%d,%d,"%s",%s,%d,%d,%s,[]]' % (
            self.start_ms, self._energy_mj, base.value, base.at_ms, base.rest, self._reason.encode(),
            b"true" if self._has_failed else b"false", *self._minute, lowest,
        )  # fmt: skip

    def resume(self, state: list[Any]) -> None:
        """Go on where a predecessor stopped."""
        self.start_ms, self._energy_mj, value, at_ms, rest, *more = state
        self._reason, self._has_failed, began_ms, energy_mj, lowest_mw, pieces = more
        self._base = None if at_ms < 0 else Baseline(value, at_ms, rest)
        self._minute = (began_ms, energy_mj)
        self._pieces = [Piece(*piece) for piece in pieces]
        self._lowest_mw = lowest_mw

    def take_over(self, other: Watch) -> None:
        """Go on with the open window of another watch of this meter."""
        self.span = other.span
        self.resume(other.to_json())

    def remember(self, other: Watch) -> None:
        """Take over only what this boot has taught of the meter: its lowest power."""
        self._lowest_mw = other._lowest_mw

    def _gain(self, since_ms: int, at_ms: int, energy_mj: int) -> None:
        """Count energy. Over the end of an hour the window is cut there, so that each hour has its own part."""
        hour_ms = at_ms // HOUR_MS * HOUR_MS
        if self.start_ms < hour_ms < at_ms:
            first, rest = cut_by_time(energy_mj, [since_ms, max(hour_ms, since_ms), at_ms])
            self._pieces.append(Piece(self.start_ms, hour_ms, self._energy_mj + first))
            self.start_ms, self._energy_mj = hour_ms, rest
        else:
            self._energy_mj += energy_mj
        self._learn_minute(at_ms, energy_mj)

    def _lose(self, since_ms: int, at_ms: int, reason: str, estimate_mj: int | None) -> None:
        since_ms = max(since_ms, self.start_ms)
        if since_ms > self.start_ms:
            self._pieces.append(Piece(self.start_ms, since_ms, self._energy_mj))
        if at_ms > since_ms:
            self._pieces.append(Piece(since_ms, at_ms, None, reason, estimate_mj))
        self.start_ms, self._energy_mj, self._minute = at_ms, 0, (0, 0)

    def _learn_minute(self, at_ms: int, energy_mj: int) -> None:
        """Keep the lowest mean of a full minute: what the device draws when idle, as far as this boot has seen."""
        began_ms, energy_before = self._minute
        if not began_ms:
            self._minute = (at_ms, 0)
            return
        energy_mj += energy_before
        if at_ms - began_ms < MINUTE_MS:
            self._minute = (began_ms, energy_mj)
            return
        mean_mw = energy_mj * 1_000 // (at_ms - began_ms)
        self._lowest_mw = mean_mw if self._lowest_mw is None else min(self._lowest_mw, mean_mw)
        self._minute = (at_ms, 0)

    def _static_power(self) -> tuple[int, str]:
        if self.description.static_power_mw is not None:
            return self.description.static_power_mw, "declared"
        if self._lowest_mw is not None:
            return self._lowest_mw, "observed"
        return 0, "not yet observed"

    def _window(self, piece: Piece) -> Item:
        window: Item = {"meter": self.key, "start_ms": piece.start_ms, "end_ms": piece.end_ms}
        if piece.energy_mj is None:
            window["reason"] = piece.reason
            if piece.estimate_mj is not None:
                window["estimate_mj"] = piece.estimate_mj
        else:
            window["energy_mj"] = piece.energy_mj
            window["method"] = self.description.method
        return window


def meter_key(description: MeterDescription) -> str:
    """Return the id of a meter: the same as `core.records.meter_id`, which the measured path does not load."""
    attributes = "|".join(
        (
            description.component,
            description.boundary,
            description.role,
            str(description.max_power_mw),
            description.label,
        )
    )
    return f"{description.device}/{description.domain}~{digest(attributes)[:8]}"


def meter_item(description: MeterDescription) -> Item:
    """Return a meter as a fact."""
    return {
        "device": description.device, "domain": description.domain, "component": description.component,
        "boundary": description.boundary, "role": description.role, "max_power_mw": description.max_power_mw,
        "label": description.label,
    }  # fmt: skip
