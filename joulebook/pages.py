"""Each answer of a ledger as a page for people: the bodies that `--json` prints whole, rounded and laid out.

Nothing is computed here but what rounding needs: a figure that is not in the body is not on the page. What is unknown shows as `?`
and is named below the table, with the command that supplies it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from joulebook import doubts, figures
from joulebook.tables import GAP, Column, Page, branches, clean, grid, pairs, sentence, shortest_prefixes
from joulebook_ledger.bodies import (
    FootprintRow,
    RankBody,
    RankRow,
    ReportBody,
    RunBody,
    RunsBody,
    VerifyBody,
    WhyBody,
    WhyNode,
)

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
ACCOUNT_NOTES = {
    "idle": "drawn while nobody used or held it",
    "untracked": "used by processes of no run",
    "unallocated": "bill lines that match no machine",
}
_FIRST_STEPS = "joulebook run -- python train.py, or joulebook.track() in your script"
_FIGURE_NAMES = {
    "energy_kwh": "energy", "cost": "cost", "co2e_location_kg": "CO2e (location)", "co2e_market_kg": "CO2e (market)",
    "co2e_embodied_kg": "CO2e (embodied)", "water_l": "water",
}  # fmt: skip
_SHOWN_OF_RUNS = ("energy_kwh", "cost", "co2e_location_kg")
_RESOURCES = {"cost": "cost", "co2e": "CO2e", "energy": "energy", "duration": "time", "params": "parameters"}
_RATIO_UNITS = {
    "cost": "unit of money",
    "co2e": "kg CO2e",
    "energy": "kWh",
    "duration": "second",
    "params": "parameter",
}


def runs(body: RunsBody, page: Page, *, are_chosen: bool = False) -> str:
    """Return a list of runs, newest first; `are_chosen` says that labels were asked for."""
    items = body["items"]
    if not items:
        return "No run has these labels." if are_chosen else f"No runs yet. Track one: {_FIRST_STEPS}."
    currency = next((r["footprint"].get("currency") for r in items if r["footprint"].get("currency")), None)
    columns = [
        Column("RUN"), Column("MODEL", shrinks=True), Column("TASK", shrinks=True, leaves=3), Column("STATUS", leaves=1),
        Column("STARTED (UTC)", leaves=2), Column("SCORE", shrinks=True, leaves=4), Column("TIME", right=True, leaves=1),
        *_amount_columns(currency), Column("GRADE", leaves=5),
    ]  # fmt: skip
    prefixes = shortest_prefixes([item["run"] for item in items]) if page.width else {}
    rows = [_run_cells(item, prefixes) for item in items]
    more = "" if body["next_cursor"] is None else f"More: joulebook runs --cursor {body['next_cursor']}"
    return _paragraphs(
        grid(columns, rows, page), more, _missing([item["footprint"] for item in items], page, _SHOWN_OF_RUNS)
    )


def run(body: RunBody, page: Page) -> str:
    """Return one run: what it was, what it used, what it reached."""
    footprint = body["footprint"]
    labels = body["labels"]
    title = " · ".join(filter(None, [_model(labels), labels.get("task"), labels.get("stage"), body["status"]]))
    others = ", ".join(f"{k} {v}" for k, v in labels.items() if k not in {"model", "version", "task", "stage"})
    started = f"{figures.moment(body['started_at'])} UTC, {figures.duration(footprint.get('duration_s'))}"
    told = pairs(
        [
            ("started", f"{started}, on {', '.join(body['hosts'])}" if body["hosts"] else started),
            ("labels", others),
            *_footprint_pairs(footprint),
            ("recorded", ", ".join(f"{_fact(k, v)}" for k, v in body["facts"].items())),
        ],
        page,
        indent=GAP,
    )
    heading = page.styled(f"Run {body['run']}", "bold") + (f"  {clean(title)}" if title else "")
    provisional = "Provisional: some of it is not booked yet." if body["provisional"] else ""
    verdict = page.styled(f"{GAP}{_verdict(footprint)}", "bold") if _verdict(footprint) else ""
    return _paragraphs(f"{heading}\n{told}", verdict, _scores(body, page), provisional, _missing([footprint], page))


def report(body: ReportBody, page: Page) -> str:
    """Return a report: its rows with idle and untracked, the total, what was booked late, what it stands on."""
    period = (
        body["from_month"] if body["from_month"] == body["to_month"] else f"{body['from_month']} to {body['to_month']}"
    )
    until = (
        f"booked until {figures.moment(body['booked_until'])} UTC"
        if body["booked_until"]
        else "no energy is booked yet"
    )
    stand = f"as of {body['as_of']}, " if body["as_of"] else ""
    heading = f"{page.styled(f'Report {period}', 'bold')}  {stand}{until}, link {body['link']} ({body['head'][:12]})"
    rows = [*body["rows"], body["total"]]
    table = footprints(rows, body["by"], page, total=True) if body["rows"] else "No energy is booked in this period."
    adjusted = _records("Adjustments (booked in this period for earlier months)", body["adjustments"], page)
    machines = _records("Machines", body["machines"], page)
    notes = "\n".join(sentence(note, page, "dim") for note in body["notes"])
    verdict = _verdict(body["total"])
    # What nobody ran has no hours and bears no hardware: nothing is missing there.
    lacking = _missing([row for row in rows if row.get("account") not in ACCOUNT_NOTES], page)
    return _paragraphs(
        heading, table, page.styled(verdict, "bold"), adjusted, machines, notes, lacking, *doubts.paragraphs(body, page)
    )


def footprints(rows: Sequence[FootprintRow], by: Sequence[str], page: Page, *, total: bool = False) -> str:
    """Return rows of figures with their keys; a column of which nothing is known is left to the footer.

    Args:
        rows: What is shown, in its order.
        by: Names of the key columns.
        page: What it is written on.
        total: Whether the last row is the total of the others.
    """
    currency = next((row.get("currency") for row in rows if row.get("currency")), None)
    further = [
        (Column("CO2e market", right=True, leaves=4), "co2e_market_kg", figures.mass),
        (Column("CO2e embodied", right=True, leaves=5), "co2e_embodied_kg", figures.mass),
        (Column("WATER", right=True, leaves=6), "water_l", figures.water),
        (Column("HELD UNUSED", right=True, leaves=7), "held_unused_kwh", figures.energy),
    ]
    further = [entry for entry in further if any(_number(row, entry[1]) for row in rows)]
    columns = [
        *[Column(key.removeprefix("tag:").upper(), shrinks=True) for key in by], Column("RUNS", right=True, leaves=2),
        Column("TIME", right=True, leaves=3), *_amount_columns(currency), *[entry[0] for entry in further], Column("GRADE", leaves=8),
    ]  # fmt: skip
    cells = []
    styles = {}
    for number, row in enumerate(rows):
        is_total = total and number == len(rows) - 1
        keys = _keys(row, by, is_total=is_total)
        counted = "" if not row.get("runs") else str(row["runs"])
        lasted = figures.duration(row.get("duration_s")) if row.get("runs") else ""
        more = [show(_number(row, name)) for _, name, show in further]
        cells.append([*keys, counted, lasted, *_amounts(row), *more, row.get("grade", "")])
        styles[number] = "bold" if is_total else "dim" if row.get("account") in ACCOUNT_NOTES else ""
    return grid(columns, cells, page, styles)


def rank(body: RankBody, page: Page) -> str:
    """Return a ranking, its Pareto front first."""
    resource = _RESOURCES.get(body["per"], body["per"])
    measure = f" by {body['score']} per {_RATIO_UNITS.get(body['per'], body['per'])}" if body["score"] else ""
    title = f"Ranking{' of ' + body['task'] if body['task'] else ''}{measure}"
    scope = ", ".join(filter(None, [body["stage"], body["split"] and f"{body['split']} split", _direction(body)]))
    heading = f"{page.styled(clean(title), 'bold')}{'  ' + clean(scope) if scope else ''}"
    columns = [
        Column("FRONT"), Column("MODEL", shrinks=True), Column("VERSION", shrinks=True, leaves=1),
        Column(body["score"].upper(), right=True), Column(resource.upper(), right=True), Column("RATIO", right=True),
        Column("RUNS", right=True, leaves=2), Column("ALL RUNS", right=True, leaves=3), Column("BEATEN BY", shrinks=True, leaves=4),
    ]  # fmt: skip
    rows = [_rank_cells(row, body["per"]) for row in body["rows"]]
    styles = {number: "green" for number, row in enumerate(body["rows"]) if row["on_frontier"]}
    legend = (
        "* on the Pareto front: nothing else is better in both. Medians per run; ALL RUNS adds failed ones."
        if rows
        else ""
    )
    table = grid(columns, rows, page, styles) if rows else "Nothing to rank."
    excluded = "\n".join(sentence(f"Left out: {told}", page, "dim") for told in _left_out(body["excluded"]))
    notes = "\n".join(sentence(note, page, "dim") for note in body["notes"])
    return _paragraphs(heading, table, sentence(legend, page, "dim"), excluded, notes)


def why(body: WhyBody, page: Page) -> str:
    """Return the derivation of a figure as a tree."""
    value = figures.UNKNOWN if body["value"] is None else f"{body['value']} {body['unit']}"
    root = page.styled(clean(f"{body['figure']} = {value}"), "bold")
    return "\n".join([root, *branches([_branch(body["tree"])], page)])


def verify(body: VerifyBody, page: Page) -> str:
    """Return what was proved, the first thing that differs, and what cannot be proved."""
    lines = []
    for check in body["checks"]:
        mark = page.styled("ok    ", "green") if check["ok"] else page.styled("WRONG ", "red")
        lines.append(
            f"{mark} {clean(check['name'])}: {clean(check['detail'])}"
            if check["detail"]
            else f"{mark} {clean(check['name'])}"
        )
    verdict = "The book proves itself." if body["ok"] else "The book does NOT prove itself."
    stand = f"link {body['link']}, head {body['head']}"
    warnings = [sentence(clean(warning), page, "yellow") for warning in body["warnings"]]
    return _paragraphs(
        "\n".join(lines), f"{page.styled(verdict, 'bold' if body['ok'] else 'red')}  {stand}", *warnings,
        sentence(body["cannot_prove"], page, "dim"),
    )  # fmt: skip


def _amount_columns(currency: str | None) -> list[Column]:
    return [
        Column("ENERGY", right=True),
        Column(f"COST ({currency})" if currency else "COST", right=True),
        Column("CO2e", right=True),
    ]


def _amounts(row: FootprintRow) -> list[str]:
    return [
        figures.energy(row.get("energy_kwh")), figures.amount_text(row.get("cost")), figures.mass(row.get("co2e_location_kg")),
    ]  # fmt: skip


def _run_cells(item: RunBody, prefixes: Mapping[str, str]) -> list[str]:
    labels, footprint = item["labels"], item["footprint"]
    score = next(
        (f"{s['name']} {figures.plain(s['value'])}" for s in item["scores"] if s["name"] not in {"params", "samples"}),
        "",
    )
    return [
        prefixes.get(item["run"], item["run"]), _model(labels), labels.get("task", ""), item["status"],
        figures.moment(item["started_at"])[: -len(":00")], score, figures.duration(footprint.get("duration_s")),
        *_amounts(footprint), footprint.get("grade", ""),
    ]  # fmt: skip


def _footprint_pairs(row: FootprintRow) -> list[tuple[str, str]]:
    """Return the figures of a row, each with its uncertainty and what belongs beside it."""
    beside = [
        f"{figures.energy(_number(row, name))} {words}"
        for name, words in (
            ("facility_energy_kwh", "with the building (PUE)"),
            ("held_unused_kwh", "of it held and not used"),
            ("unmetered_estimate_kwh", "more estimated where nothing was metered"),
        )
        if _number(row, name) and (name != "facility_energy_kwh" or row.get(name) != row.get("energy_kwh"))
    ]
    carbon = [
        f"{figures.mass(_number(row, name))} {words}"
        for name, words in (("co2e_market_kg", "market-based"), ("co2e_embodied_kg", "embodied in the hardware"))
        if _number(row, name) is not None
    ]
    location = f"{_with_spread(row, 'co2e_location_kg', figures.mass(row.get('co2e_location_kg')))}"
    return [
        ("energy", "; ".join([_with_spread(row, "energy_kwh", figures.energy(row.get("energy_kwh"))), *beside])),
        ("cost", _with_spread(row, "cost", figures.money(row.get("cost"), row.get("currency")))),
        (
            "CO2e",
            "; ".join([f"{location} location-based" if row.get("co2e_location_kg") is not None else location, *carbon]),
        ),
        (
            "water",
            "" if row.get("water_l") is None else _with_spread(row, "water_l", figures.water(row.get("water_l"))),
        ),
    ]


def _with_spread(row: FootprintRow, name: str, text: str) -> str:
    sigma = (row.get("uncertainty") or {}).get(name)
    return text if text == figures.UNKNOWN else f"{text} {figures.spread(sigma)}".rstrip()


def _verdict(row: FootprintRow) -> str:
    grade = row.get("grade")
    told = row.get("sentence", "")
    return f"Grade {grade}: {told}" if grade and told else told


def _scores(body: RunBody, page: Page) -> str:
    columns = [
        Column("  SCORE"), Column("SPLIT"), Column("VALUE", right=True), Column("UNIT"), Column("STEP", right=True, leaves=2),
        Column("BEST", right=True, leaves=1),
    ]  # fmt: skip
    rows = [
        [
            f"  {score['name']}", score["split"], figures.plain(score["value"]), score["unit"],
            "" if score["step"] is None else str(score["step"]),
            figures.plain(score["best"]) if score["best"] is not None and score["best"] != score["value"] else "",
        ]
        for score in body["scores"]
    ]  # fmt: skip
    return grid(columns, rows, page) if rows else ""


def _rank_cells(row: RankRow, per: str) -> list[str]:
    return [
        "*" if row["on_frontier"] else "-", row["model"], row["version"], figures.plain(row["value"]),
        _resource(row["per_unit"], per), figures.plain(row["ratio"]) if row["ratio"] is not None else figures.UNKNOWN,
        str(row["runs"]) if row["runs"] == row["total_runs"] else f"{row['runs']} of {row['total_runs']}",
        _resource(row["total_per_unit"], per), row["dominated_by"] or "",
    ]  # fmt: skip


def _resource(value: float | None, per: str) -> str:
    if value is None:
        return figures.UNKNOWN
    shown = {"energy": figures.energy, "co2e": figures.mass, "duration": figures.duration}
    if per in shown:
        return shown[per](value)
    return figures.amount_text(f"{value:.6f}") if per == "cost" else figures.plain(value)


def _direction(body: RankBody) -> str:
    return "lower is better" if body["lower_is_better"] else ""


def _branch(node: WhyNode) -> tuple[str, Sequence[object]]:
    text = node["text"]
    if node.get("value"):
        text = f"{text}: {node['value']}"
    if node.get("source"):
        text = f"{text}  [{node['source']}]"
    return text, [_branch(child) for child in node.get("children", [])]


def _keys(row: FootprintRow, by: Sequence[str], *, is_total: bool) -> list[str]:
    """Return the keys of a row; a reserved account stands where a run's label would, or beside the place or day it is of."""
    if is_total:
        return ["total", *("" for _ in by[1:])]
    account = row.get("account", "")
    values: Mapping[str, Any] = row  # key columns stand beside the figures
    shown = [str(values.get(key) or "-") for key in by]
    if account not in ACCOUNT_NOTES:
        return shown
    if account not in shown:
        return [f"{shown[0]}, {account}", *shown[1:]]
    first = shown.index(account)
    return ["" if text == account and place > first else text for place, text in enumerate(shown)]


def _missing(rows: Iterable[FootprintRow], page: Page, shown: Container[str] = _FIGURE_NAMES) -> str:
    """Return one line for each reason why something shown is unknown: which figures, why, and the command that supplies it."""
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        for name, reason in row.get("reasons", {}).items():
            if name not in shown:
                continue
            told = _FIGURE_NAMES.get(name, name)
            if told not in by_reason.setdefault(reason, []):
                by_reason[reason].append(told)
    return "\n".join(sentence(f"? {', '.join(names)}: {reason}", page, "yellow") for reason, names in by_reason.items())


def _records(title: str, records: Sequence[Mapping[str, Any]], page: Page) -> str:
    """Return records of any shape as a table under a title; nothing where there are none."""
    if not records:
        return ""
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = [
        Column(name.replace("_", " ").upper(), shrinks=True, leaves=0 if number < 2 else number)
        for number, name in enumerate(names)
    ]
    rows = [[_cell(record.get(name)) for name in names] for record in records]
    return f"{page.styled(title, 'bold')}\n{grid(columns, rows, page)}"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return figures.plain(value)
    text = "" if value is None else str(value)
    return figures.moment(text) if _INSTANT.fullmatch(text) else text


def _left_out(excluded: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return, for each reason, how many runs were left out for it; `--json` names them."""
    reasons = Counter(str(item.get("reason", "")) for item in excluded)
    return [f"{number} {'run' if number == 1 else 'runs'}: {reason}" for reason, number in reasons.items()]


def _model(labels: Mapping[str, str]) -> str:
    return " ".join(filter(None, [labels.get("model", ""), labels.get("version", "")])) or labels.get("name", "")


def _fact(name: str, value: int | str) -> str:
    if name.endswith("_bytes") and isinstance(value, int):
        return f"{name.removesuffix('_bytes').replace('_', ' ')} {value / 2**20:,.0f} MiB"
    if name.endswith("_ms") and isinstance(value, int):
        return f"{name.removesuffix('_ms').replace(':', ' ')} {figures.duration(value / 1_000)}"
    return f"{name.replace('_', ' ')} {value}"


def _number(row: FootprintRow, name: str) -> float | None:
    value = row.get(name)
    return value if isinstance(value, float | int) else None


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
