"""The little language of tests/months: a book's life as an accountant would write it, one behaviour per file.

The first line says what the file shows. Then one fact or act per line; words are separated by spaces, `#` begins a remark:

    site NAME ZONE OWNERSHIP [from TIME]   machine NAME SITE [from TIME]
    factor KIND OBJECT VALUE [from TIME] [to TIME] [by PROVIDER] [as provisional]
    meter NAME COMPONENT BOUNDARY [check]                          reader NAME MACHINE RANK
    reading READER METER DATE FROM-TO ENERGY METHOD | RUN ENERGY HELD MINUTES | ...
    gap READER METER DATE FROM-TO REASON [ESTIMATE] | RUN ENERGY HELD MINUTES | ...
    void READER METER DATE FROM
    close YYYY-MM                       seals the month; everything must be booked by then
    restate YYYY-MM YYYY-MM [kind KIND] [object OBJECT] [provider PROVIDER]
    undo                                voids the last restatement
    instrument NAME KIND MARKET YYYY[-MM] ENERGY VALUE     retired for us, its attributes with it; ENERGY 0 of a rate is all that is left
    allocate MARKET YYYY [final]        what is booked by then is covered; the rest is at the residual mix; all machines are in the market
    book COLUMN...                      what is posted: rows `DAY METER ACCOUNT METHOD VALUE...`, all of them, and no others
    month YYYY-MM COLUMN...             what then stands, as known today: rows `ACCOUNT VALUE...`
    closed YYYY-MM COLUMN...            what was booked of the month until it was closed: rows `ACCOUNT VALUE...`
    adjusted YYYY-MM COLUMN...          what was booked in the month of earlier ones: rows `MONTH ACCOUNT VALUE...`

Energy is in joules, a factor in the unit people use (g/kWh, l/kWh, g/h, money). Rows of a table are indented; a table without rows
says that there is nothing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from helpers.pure_book import PureBook

from joulebook_ledger.core.allocation import Rest, assign
from joulebook_ledger.core.booking import Target, delta, plus
from joulebook_ledger.core.factors import FACTOR_UNITS, Factor, Placement, Site
from joulebook_ledger.core.facts import Correction, Restatement
from joulebook_ledger.core.instruments import Instrument
from joulebook_ledger.core.periods import (
    day_text,
    month_interval,
    month_of_day,
    month_text,
    next_month,
    parse_month,
    parse_time,
)
from joulebook_ledger.core.pricing import COLUMNS
from joulebook_ledger.core.records import Meter, Reader, Use, Window
from joulebook_ledger.core.units import scale_decimal
from joulebook_ledger.core.vocabulary import account_order
from joulebook_ledger.core.wire import Batch, Item
from joulebook_ledger.market.sheet import vintage_of

MINUTE_MS = 60_000
DESK = Reader(reader="desk", rank=2)


@dataclass
class Month:
    """A book being told."""

    meters: dict[str, Meter] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)
    links: list[int] = field(default_factory=list)
    closes: list[tuple[int, int]] = field(default_factory=list)
    link: int = 1
    restated: int = 0
    booked: dict[tuple[str, int], Target] = field(default_factory=dict)
    posted: list[tuple[int, int, str, tuple[int, ...]]] = field(default_factory=list)

    def post(self) -> list[tuple[int, str, str, str, tuple[int, ...]]]:
        """Post what is missing, under a link of its own; return (day, source, account, method, amounts) of every posting."""
        targets, rows = PureBook(self.batches, self.links, self.closes).targets(), []
        closed = self.closes[-1][0] if self.closes else 0
        for source, day in sorted({*targets, *self.booked}, key=lambda key: (key[1], key[0])):
            standing = self.booked.get((source, day), Target())
            posted = delta(targets.get((source, day), Target()), standing)
            self.booked[source, day] = plus(standing, posted)
            month = month_of_day(day)
            for (account, method), amounts in posted.postings.items():
                rows.append((day, source, account, method, amounts))
                self.posted.append((max(month, next_month(closed) if closed else 0), month, account, amounts))
        self.link += 1
        return rows

    def deliver(self, reader: Reader, *facts: object) -> None:
        """Deliver facts in a batch of their own."""
        items = tuple(Item(kind="", index=i, fact=fact) for i, fact in enumerate(facts))
        self.batches.append(Batch(reader=reader, sequence=len(self.batches) + 1, items=items))
        self.links.append(self.link)

    def names(self) -> dict[str, str]:
        """Return meter id -> its name in the file."""
        return {meter.key: name for name, meter in self.meters.items()}


def tell(text: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """Act out a file and yield, for every table, (line, rows expected, rows found)."""
    month = Month()
    lines = [(n, line.partition("#")[0].rstrip()) for n, line in enumerate(text.splitlines(), 1)][1:]
    acts = [(n, line) for n, line in lines if line]
    heads = [i for i, (_, line) in enumerate(acts) if not line[0].isspace()]
    for head, following in zip(heads, [*heads[1:], len(acts)], strict=True):
        number, line = acts[head]
        rows = [" ".join(row.split()) for _, row in acts[head + 1 : following]]
        word, *words = line.split()
        if word in TABLES:
            yield number, rows, TABLES[word](month, words)
        else:
            assert not rows, f"line {number}: {word} has no rows"
            FACTS[word](month, words)


def _site(month: Month, words: list[str]) -> None:
    name, zone, ownership, *options = words
    since, version = _options(options, {"from": "valid_from_ms"}), str(len(month.batches))
    month.deliver(DESK, Site(site=name, zone=zone.strip("-"), ownership=ownership, version=version, **since))


def _machine(month: Month, words: list[str]) -> None:
    name, site, *options = words
    since, version = _options(options, {"from": "valid_from_ms"}), str(len(month.batches))
    month.deliver(DESK, Placement(machine=name, site=site, version=version, **since))


def _factor(month: Month, words: list[str]) -> None:
    kind, name, value, *options = words
    told = {"provider": "desk"} | _options(
        options, {"from": "valid_from_ms", "to": "valid_to_ms", "by": "provider", "as": "state"}
    )
    currency = "EUR" if kind in {"tariff", "instance_price"} else ""
    number, unit = scale_decimal(value, 1_000_000, kind), FACTOR_UNITS[kind]
    version = str(len(month.batches))
    month.deliver(
        DESK,
        Factor(
            kind=kind, object=name, version=version, value=number, unit=unit, source="told", currency=currency, **told
        ),
    )


def _meter(month: Month, words: list[str]) -> None:
    name, component, boundary, *role = words
    meter = Meter(
        device=name,
        domain=name,
        component=component,
        boundary=boundary,
        role=(role or ["counted"])[0],
        max_power_mw=10**6,
    )
    month.meters[name] = meter
    month.deliver(DESK, meter)


def _reader(month: Month, words: list[str]) -> None:
    name, machine, rank = words
    month.readers[name] = Reader(reader=name, machine=machine, rank=int(rank))


def _reading(month: Month, words: list[str]) -> None:
    said, *claims = _clauses(words)
    reader, meter, start_ms, end_ms, (energy, method) = _where(month, said)
    window = Window(meter=meter, start_ms=start_ms, end_ms=end_ms, energy_mj=_joules(energy), method=method)
    month.deliver(reader, window, *_uses(window, claims))


def _gap(month: Month, words: list[str]) -> None:
    said, *claims = _clauses(words)
    reader, meter, start_ms, end_ms, (reason, *estimate) = _where(month, said)
    guess = _joules(estimate[0]) if estimate else None
    window = Window(meter=meter, start_ms=start_ms, end_ms=end_ms, reason=reason, estimate_mj=guess)
    month.deliver(reader, window, *_uses(window, claims))


def _void(month: Month, words: list[str]) -> None:
    reader, meter, date, start = words
    key = [month.meters[meter].key, reader, parse_time(f"{date}T{start}Z")]
    month.deliver(DESK, Correction(table="meter_window", key=json.dumps(key), reason="told", author="somebody"))


def _close(month: Month, words: list[str]) -> None:
    (wanted,) = words
    month.closes.append((parse_month(wanted), month.link))
    assert month.post() == [], f"{wanted} is closed with something not booked"


def _restate(month: Month, words: list[str]) -> None:
    first, last, *options = words
    month.restated += 1
    series = dict(zip(options[::2], options[1::2], strict=True))
    months = {"from_month": parse_month(first), "to_month": parse_month(last)}
    said = {
        "restatement": f"r{month.restated}",
        "factors_known": month.link - 1,
        "reason": "told",
        "author": "somebody",
    }
    month.deliver(DESK, Restatement(**said, **months, **series))


def _undo(month: Month, words: list[str]) -> None:
    assert not words
    key = json.dumps([f"r{month.restated}"])
    month.deliver(DESK, Correction(table="restatement", key=key, reason="told", author="somebody"))


def _book(month: Month, columns: list[str]) -> list[str]:
    names = month.names()
    return [
        " ".join((day_text(day), names[source], account, method, *_figures(amounts, columns)))
        for day, source, account, method, amounts in month.post()
    ]


def _month(month: Month, words: list[str]) -> list[str]:
    wanted, *columns = words
    return _by_account([(row[2], row[3]) for row in month.posted if month_text(row[1]) == wanted], columns)


def _closed(month: Month, words: list[str]) -> list[str]:
    wanted, *columns = words
    return _by_account(
        [(row[2], row[3]) for row in month.posted if {month_text(row[0]), month_text(row[1])} == {wanted}], columns
    )


def _adjusted(month: Month, words: list[str]) -> list[str]:
    wanted, *columns = words
    late = [row for row in month.posted if month_text(row[0]) == wanted and row[1] < row[0]]
    return [
        f"{month_text(origin)} {line}"
        for origin in sorted({row[1] for row in late})
        for line in _by_account([(row[2], row[3]) for row in late if row[1] == origin], columns)
    ]


def _by_account(rows: list[tuple[str, tuple[int, ...]]], columns: list[str]) -> list[str]:
    totals: defaultdict[str, tuple[int, ...]] = defaultdict(lambda: (0,) * len(COLUMNS))
    for account, amounts in rows:
        totals[account] = tuple(a + b for a, b in zip(totals[account], amounts, strict=True))
    return [" ".join((account, *_figures(totals[account], columns))) for account in sorted(totals, key=account_order)]


def _instrument(month: Month, words: list[str]) -> None:
    name, kind, market, vintage, energy, value = words
    start_ms, end_ms = vintage_of(vintage)
    told = Instrument(
        issuer="registry", instrument=name, version=str(len(month.instruments)), kind=kind, market=market, vintage_from_ms=start_ms,
        vintage_to_ms=end_ms, energy_mj=_joules(energy), value=scale_decimal(value, 1_000_000, kind), retired_for="us", retired_at_ms=end_ms,
        quality={"attributes": "yes"},
    )  # fmt: skip
    month.instruments[name] = told


def _allocate(month: Month, words: list[str]) -> None:
    market, year, *final = words
    loads: defaultdict[int, int] = defaultdict(int)
    for row in month.posted:
        if row[1] // 100 == int(year):
            loads[row[1]] += row[3][COLUMNS.index("energy_facility_mj")]
    mixes = [
        fact
        for batch in month.batches
        for fact in batch.facts()
        if isinstance(fact, Factor) and fact.kind == "residual_mix"
    ]
    rest = Rest(mixes[-1].value, "residual_mix") if mixes else None
    rests = dict.fromkeys(loads, rest) if rest else {}
    for its in assign(loads, month.instruments.values(), rests).months:
        within = month_interval(its.month)
        state = "final" if final else "provisional"
        made = Factor(
            kind="grid_market", object=market, provider="allocation", version=str(len(month.batches)), value=its.value,
            unit=FACTOR_UNITS["grid_market"], source="told", valid_from_ms=within.start_ms, valid_to_ms=within.end_ms, state=state,
        )  # fmt: skip
        month.deliver(DESK, made)


FACTS: dict[str, Callable[[Month, list[str]], None]] = {
    "site": _site,
    "machine": _machine,
    "factor": _factor,
    "meter": _meter,
    "reader": _reader,
    "reading": _reading,
    "gap": _gap,
    "void": _void,
    "instrument": _instrument,
    "allocate": _allocate,
    "close": _close,
    "restate": _restate,
    "undo": _undo,
}
TABLES: dict[str, Callable[[Month, list[str]], list[str]]] = {
    "book": _book, "month": _month, "closed": _closed, "adjusted": _adjusted,
}  # fmt: skip


def _figures(amounts: tuple[int, ...], columns: list[str]) -> list[str]:
    return [str(amounts[COLUMNS.index(column)]) for column in columns]


def _clauses(words: list[str]) -> list[list[str]]:
    return [list(clause) for is_bar, clause in groupby(words, key=lambda word: word == "|") if not is_bar]


def _where(month: Month, said: list[str]) -> tuple[Reader, str, int, int, list[str]]:
    reader, meter, date, span, *rest = said
    start, end = span.split("-")
    start_ms = parse_time(f"{date}T{start}Z")
    end_ms = parse_time(f"{date}T00:00Z") + 86_400_000 if end == "24:00" else parse_time(f"{date}T{end}Z")
    return month.readers[reader], month.meters[meter].key, start_ms, end_ms, rest


def _uses(window: Window, claims: list[list[str]]) -> Iterator[Use]:
    for run, energy, held, minutes in claims:
        yield Use(
            meter=window.meter,
            start_ms=window.start_ms,
            run=run,
            energy_mj=_joules(energy),
            static_mj=_joules(held),
            time_ms=int(minutes) * MINUTE_MS,
            method="told",
        )


def _joules(text: str) -> int:
    return scale_decimal(text, 1_000, "energy")


def _options(words: list[str], names: dict[str, str]) -> dict[str, object]:
    pairs = zip(words[::2], words[1::2], strict=True)
    return {
        names[word]: value if word in {"by", "as"} else parse_time(f"{value}Z" if "T" in value else value)
        for word, value in pairs
    }
