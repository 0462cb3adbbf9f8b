"""Random books for property tests: what readers that overlap, repeat and contradict each other may deliver, and what a desk enters."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from joulebook_ledger.core.factors import FACTOR_UNITS, Factor, Placement, Site
from joulebook_ledger.core.facts import Correction, Restatement
from joulebook_ledger.core.records import Meter, Reader, Use, Window
from joulebook_ledger.core.wire import Batch, decode_batch, encode_batch, list_of, to_wire

# A book is large: fewer of them than of small things, and drawing one on a busy machine takes what it takes.
BOOKS = settings(
    max_examples=max(10, settings.default.max_examples // 3),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
HOUR_MS = 3_600_000
FIRST_HOUR = 20_028 * 24 - 1  # the last hour of October 2024: books cross midnight and the end of a month
MONTHS = (202410, 202411)
MACHINES = ("machine-a", "machine-b")
RUNS = ("run-1", "run-2", "Run-3", "untracked")
MAX_POWER_MW = 1_000_000
METERS = (
    Meter(device="GPU-1", domain="gpu", component="gpu", max_power_mw=MAX_POWER_MW, label="H200"),
    Meter(device="boot-1", domain="time", component="time", max_power_mw=0),
    Meter(device="boot-1", domain="wall", component="facility", boundary="facility", max_power_mw=MAX_POWER_MW),
    Meter(device="boot-1", domain="psu", component="node_rest", boundary="it", role="check", max_power_mw=MAX_POWER_MW),
)
ONE_PROCESSOR = tuple(
    Meter(device="boot-1", domain=domain, component="cpu", max_power_mw=MAX_POWER_MW)
    for domain in ("package-0", "package-1", "model-1", "model-2")
)
"""Meters of one component of one device: what one reader models another one measures."""
FACTOR_VALUES = {
    "grid_location": st.integers(0, 2_000_000_000),
    "grid_market": st.integers(0, 2_000_000_000),
    "pue": st.integers(1_000_000, 5_000_000),
    "water_site": st.integers(0, 1_000_000_000),
    "water_source": st.integers(0, 1_000_000_000),
    "tariff": st.integers(0, 1_000_000_000),
    "instance_price": st.integers(0, 1_000_000_000_000),
    "embodied": st.integers(0, 1_000_000_000_000),
    "residual_mix": st.integers(0, 2_000_000_000),
    "grid_marginal": st.integers(0, 2_000_000_000),
    "upstream": st.integers(0, 2_000_000_000),
    "transmission_loss": st.integers(0, 999_999),
}
OBJECTS = {
    "grid_location": ("FR", "DE"),
    "grid_market": ("FR", "DE"),
    "water_source": ("FR", "DE"),
    "pue": ("site-1", "site-2"),
    "water_site": ("site-1", "site-2"),
    "tariff": ("site-1", "site-2"),
    "instance_price": MACHINES,
    "embodied": MACHINES,
    "residual_mix": ("FR", "DE"),
    "grid_marginal": ("FR", "DE"),
    "upstream": ("FR", "DE"),
    "transmission_loss": ("FR", "DE"),
}


@dataclass(frozen=True)
class Deliveries:
    """Batches as bytes, in the order in which they were sent; `readers` of meters, `desk` of what people entered."""

    readers: tuple[bytes, ...]
    desk: tuple[bytes, ...]

    def batches(self) -> list[Batch]:
        """Return the batches decoded, the desk's first."""
        return [decode_batch(data) for data in (*self.desk, *self.readers)]


def batch_of(reader: Reader, sequence: int, facts: list[object], **envelope: object) -> bytes:
    """Return a batch of facts as bytes."""
    lists: dict[str, list[dict[str, object]]] = {}
    for fact in facts:
        lists.setdefault(list_of(fact), []).append(to_wire(fact))
    return encode_batch(reader=reader, sequence=sequence, lists=lists, **envelope)


@st.composite
def instants(draw: st.DrawFn, hours: int) -> int:
    """Draw a validity that may begin before the book, at one of its hours, or within one."""
    hour = draw(st.integers(-1, hours))
    return max(0, (FIRST_HOUR + hour) * HOUR_MS) + draw(st.sampled_from([0, 0, 1, HOUR_MS // 3, HOUR_MS - 1]))


@st.composite
def windows_of(draw: st.DrawFn, meter: Meter, hour: int, most: int) -> list[Window]:
    """Draw windows of one reader in one hour: they do not overlap, may leave holes, and some are gaps."""
    inside = st.one_of(st.integers(0, HOUR_MS), st.integers(0, 60).map(lambda minute: minute * 60_000))
    cuts = sorted(draw(st.sets(inside, min_size=2, max_size=most + 1)))
    windows = []
    for start, end in pairwise(cuts):
        kind = draw(st.sampled_from(["counter", "counter", "counter", "model", "gap", "hole"]))
        if meter in ONE_PROCESSOR and kind in {"counter", "model"}:
            kind = "model" if meter.domain.startswith("model") else "counter"
        key = {"meter": meter.key, "start_ms": hour * HOUR_MS + start, "end_ms": hour * HOUR_MS + end}
        greatest = meter.max_power_mw * (end - start) // 1_000
        if kind == "gap":
            windows.append(
                Window(**key, reason="read_failed", estimate_mj=draw(st.one_of(st.none(), st.integers(0, greatest))))
            )
        elif kind != "hole":
            windows.append(Window(**key, energy_mj=draw(st.integers(0, greatest)), method=kind))
    return windows


@st.composite
def uses_of(draw: st.DrawFn, window: Window) -> list[Use]:
    """Draw claims on a window, which together may exceed it."""
    if window.energy_mj and draw(st.integers(0, 4)) == 0:
        length = window.end_ms - window.start_ms
        of = {"meter": window.meter, "start_ms": window.start_ms, "run": "untracked", "energy_mj": window.energy_mj}
        return [Use(**of, static_mj=0, time_ms=length, active_ms=0, method="unwatched")]
    uses = []
    for run in draw(st.sets(st.sampled_from(RUNS), max_size=3)):
        energy = draw(st.integers(0, window.energy_mj or 0))
        time = draw(st.integers(0, window.end_ms - window.start_ms))
        uses.append(
            Use(
                meter=window.meter,
                start_ms=window.start_ms,
                run=run,
                energy_mj=energy,
                static_mj=draw(st.integers(0, energy)),
                time_ms=time,
                active_ms=draw(st.integers(0, time)),
                method="cpu_time",
            )
        )
    return uses


@st.composite
def readers_of_meters(
    draw: st.DrawFn, hours: int, most_windows: int = 4, meters: tuple[Meter, ...] = METERS
) -> list[bytes]:
    """Draw what one to three readers deliver about up to three of the meters in a few hours."""
    batches = []
    for number in range(draw(st.integers(1, 3))):
        rank = draw(st.integers(0, 2))
        machine = draw(st.sampled_from(MACHINES))
        reader = Reader(reader=f"{draw(st.sampled_from('abAB'))}-{number}", machine=machine, boot="boot-1", rank=rank)
        for sequence, meter in enumerate(
            draw(st.lists(st.sampled_from(meters), min_size=1, max_size=3, unique=True)), start=1
        ):
            facts: list[object] = [meter]
            for hour in draw(st.sets(st.integers(0, hours - 1), min_size=1, max_size=2)):
                for window in draw(windows_of(meter, FIRST_HOUR + hour, most_windows)):
                    facts += [window, *draw(uses_of(window))]
            batches.append(batch_of(reader, sequence, facts))
    return batches


@st.composite
def factors(draw: st.DrawFn, hours: int, version: str) -> Factor:
    """Draw a factor or price of any kind, whose validity may begin and end within an hour."""
    kind = draw(st.sampled_from(sorted(FACTOR_UNITS)))
    start = draw(instants(hours))
    length = draw(st.one_of(st.none(), st.sampled_from([1, HOUR_MS // 2, HOUR_MS, 30 * HOUR_MS])))
    return Factor(
        kind=kind,
        object=draw(st.sampled_from(OBJECTS[kind])),
        provider=draw(st.sampled_from(["desk", "owid", "table"])),
        valid_from_ms=start,
        valid_to_ms=None if length is None else start + length,
        version=version,
        value=draw(FACTOR_VALUES[kind]),
        unit=FACTOR_UNITS[kind],
        state=draw(st.sampled_from(["final", "final", "provisional"])),
        fallback=draw(st.sampled_from(["exact", "country", "world"])),
        source="drawn",
        currency="EUR" if kind in {"tariff", "instance_price"} else "",
    )


@st.composite
def placed_and_priced(draw: st.DrawFn) -> list[object]:
    """Draw a desk that left nothing open: both machines stand at sites, and every factor of these holds from the first day on."""
    facts: list[object] = []
    for number, (machine, site, zone) in enumerate(zip(MACHINES, ("site-1", "site-2"), ("FR", "DE"), strict=True)):
        ownership = draw(st.sampled_from(["owned", "colocated", "cloud"]))
        facts.append(Site(site=site, zone=zone, ownership=ownership, version="whole"))
        facts.append(Placement(machine=machine, site=site, version="whole"))
        for kind, unit in FACTOR_UNITS.items():
            value, name = draw(FACTOR_VALUES[kind]), OBJECTS[kind][number]
            currency = "EUR" if kind in {"tariff", "instance_price"} else ""
            facts.append(
                Factor(
                    kind=kind,
                    object=name,
                    provider="owid",
                    version="whole",
                    value=value,
                    unit=unit,
                    state=draw(st.sampled_from(["final", "provisional"])),
                    source="drawn",
                    currency=currency,
                )
            )
    return facts


@st.composite
def desks(draw: st.DrawFn, hours: int, most_factors: int = 6) -> list[bytes]:
    """Draw what people enter: sites, placements, and factors, one batch each so that they are learnt in that order."""
    desk = Reader(reader="desk", rank=2, author="somebody")
    facts: list[object] = draw(st.one_of(st.just([]), placed_and_priced(), placed_and_priced()))
    for number in range(draw(st.integers(0, 2))):
        site = draw(st.sampled_from(["site-1", "site-2"]))
        zone = draw(st.sampled_from(["FR", "DE", ""]))
        owned = draw(st.sampled_from(["owned", "colocated", "cloud"]))
        facts.append(
            Site(site=site, zone=zone, ownership=owned, valid_from_ms=draw(instants(hours)), version=f"s{number}")
        )
    for number in range(draw(st.integers(0, 2))):
        machine, site = draw(st.sampled_from(MACHINES)), draw(st.sampled_from(["site-1", "site-2"]))
        facts.append(Placement(machine=machine, site=site, valid_from_ms=draw(instants(hours)), version=f"p{number}"))
    facts += [draw(factors(hours, f"f{number}")) for number in range(draw(st.integers(0, most_factors)))]
    return [batch_of(desk, sequence, [fact]) for sequence, fact in enumerate(facts, start=1)]


@st.composite
def books(draw: st.DrawFn, hours: int = 2, meters: tuple[Meter, ...] = METERS) -> Deliveries:
    """Draw a book: what readers delivered, and what people entered before."""
    return Deliveries(readers=tuple(draw(readers_of_meters(hours, meters=meters))), desk=tuple(draw(desks(hours))))


@st.composite
def corrections_of(draw: st.DrawFn, deliveries: Deliveries, first: int = 0) -> list[bytes]:
    """Draw corrections that void some windows, uses, factors and places of a book, as the desk enters them from a sequence on."""
    keys: list[tuple[str, list[object]]] = []
    for batch in deliveries.batches():
        for fact in batch.facts():
            match fact:
                case Window():
                    keys.append(("meter_window", [fact.meter, batch.reader.reader, fact.start_ms]))
                case Use():
                    keys.append(("meter_use", [fact.meter, batch.reader.reader, fact.start_ms, fact.run]))
                case Factor():
                    keys.append(("factor", [fact.kind, fact.object, fact.provider, fact.valid_from_ms, fact.version]))
                case Site():
                    keys.append(("site", [fact.site, fact.valid_from_ms, fact.version]))
                case Placement():
                    keys.append(("placement", [fact.machine, fact.valid_from_ms, fact.version]))
    chosen = draw(st.lists(st.sampled_from(keys), max_size=5, unique_by=str)) if keys else []
    desk = Reader(reader="desk", rank=2, author="somebody")
    first = first or len(deliveries.desk) + 1
    return [
        batch_of(desk, n, [Correction(table=table, key=key_text(key), reason="wrong", author="somebody")])
        for n, (table, key) in enumerate(chosen, first)
    ]


@dataclass(frozen=True)
class Life:
    """What happened to a book, in order: ("tell", batch as bytes), ("book", 0), ("close", month)."""

    acts: tuple[tuple[str, bytes | int], ...]

    def sealed(self) -> tuple[list[Batch], list[int], list[tuple[int, int]]]:
        """Return the batches, the link that seals each, and (month, link) of the closes; each "book" and "close" makes a link."""
        batches, links, closes, link = [], [], [], 1
        for act, what in self.acts:
            if act == "tell":
                batches.append(decode_batch(what))
                links.append(link)
                continue
            if act == "close":
                closes.append((what, link))
            link += 1
        return batches, links, closes


@st.composite
def lives(draw: st.DrawFn, hours: int = 2) -> Life:
    """Draw the life of a book: told of, booked, closed, told more, restated and not, in any order."""
    deliveries = draw(books(hours))
    after = len(deliveries.desk) + 1
    desk = Reader(reader="desk", rank=2, author="somebody")
    known = [fact for batch in deliveries.batches() for fact in batch.facts() if isinstance(fact, Factor)]
    first = list(draw(st.permutations([*deliveries.desk, *deliveries.readers])))
    more = [
        batch_of(desk, after + n, [draw(revisions(known, hours, f"m{n}"))]) for n in range(draw(st.integers(0, 10)))
    ]
    told = [*first, *more] if draw(st.booleans()) else list(draw(st.permutations([*first, *more])))
    acts: list[tuple[str, bytes | int]] = []
    closed, link, restated = 0, 1, 0
    for data in told:
        acts.append(("tell", data))
        match draw(st.sampled_from(["on", "on", "on", "book", "close", "restate", "undo", "void"])):
            case "book":
                acts.append(("book", 0))
                link += 1
            case "close" if closed < len(MONTHS):
                acts.append(("close", MONTHS[closed]))
                closed, link = closed + 1, link + 1
            case "restate" if closed:
                restated += 1
                restatement = draw(restatements(f"r{restated}", MONTHS[:closed], link - 1))
                acts.append(("tell", batch_of(desk, 1000 + len(acts), [restatement])))
            case "undo" if restated:
                key = key_text([f"r{draw(st.integers(1, restated))}"])
                wrong = Correction(table="restatement", key=key, reason="wrong", author="somebody")
                acts.append(("tell", batch_of(desk, 1000 + len(acts), [wrong])))
            case "void":
                so_far = Deliveries(readers=(), desk=tuple(what for act, what in acts if act == "tell"))
                acts += [("tell", data) for data in draw(corrections_of(so_far, first=1000 + len(acts)))]
    return Life(acts=(*acts, ("book", 0)))


@st.composite
def revisions(draw: st.DrawFn, known: list[Factor], hours: int, version: str) -> Factor:
    """Draw a factor: mostly another version of one that is known, of the same validity or of another."""
    if not known or draw(st.sampled_from([False, False, True])):
        return draw(factors(hours, version))
    before = draw(st.sampled_from(known))
    start, end = before.valid_from_ms, before.valid_to_ms
    if draw(st.booleans()):
        start = draw(instants(hours))
        end = None if end is None or end <= start else end
    return replace(
        before, version=version, value=draw(FACTOR_VALUES[before.kind]), valid_from_ms=start, valid_to_ms=end,
        state=draw(st.sampled_from(["final", "provisional"])), fallback=draw(st.sampled_from([before.fallback, "country"])),
    )  # fmt: skip


@st.composite
def restatements(draw: st.DrawFn, name: str, closed: tuple[int, ...], newest_link: int) -> Restatement:
    """Draw a restatement of closed months, of all factors or of some."""
    first = draw(st.integers(0, len(closed) - 1))
    kind = draw(st.sampled_from(["", "", *sorted(OBJECTS)]))
    return Restatement(
        restatement=name,
        from_month=closed[first],
        to_month=closed[-1],
        kind=kind,
        object=draw(st.sampled_from(["", *OBJECTS[kind]])) if kind else "",
        provider=draw(st.sampled_from(["", "", "owid"])),
        factors_known=draw(st.integers(1, newest_link)),
        reason="revised",
        author="somebody",
    )


def key_text(parts: list[object]) -> str:
    """Return a fact's key as corrections name it: a JSON list without spaces."""
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
