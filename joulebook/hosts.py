"""Machines and their readers for people, and which readers a word means."""

from __future__ import annotations

from joulebook import figures
from joulebook.tables import Column, Page, clean, grid, sentence, shortest_prefixes
from joulebook_ledger.bodies import HostsBody, MachineBody, ReaderBody
from joulebook_ledger.core.refusals import BadInput, NotFound

RETIRED = "retired"
LOST = "lost"


def page(body: HostsBody, paper: Page) -> str:
    """Return the machines: one line for each reader that is not retired, and one for a machine without any."""
    if not body["machines"]:
        return "No reader was heard of yet: track a run, or start `joulebook agent`."
    shown = [(machine, reader) for machine in body["machines"] for reader in _shown(machine)]
    prefixes = shortest_prefixes([reader["reader"] for _, reader in shown]) if paper.width else {}
    columns = [
        Column("HOST"), Column("MACHINE", leaves=2), Column("READER"), Column("BY", leaves=1), Column("STATE"), Column("COMPLETE UNTIL"), Column("LAST HEARD"),
        Column("OWES"),
    ]  # fmt: skip
    rows = [_cells(machine, reader, prefixes) for machine, reader in shown]
    owing = sorted({month for machine in body["machines"] for month in machine["owing"]})
    is_lost = any(reader["state"] == LOST for _, reader in shown)
    told = (
        f"{', '.join(owing)}: something is still owed; what comes late is booked as an adjustment once the month is closed."
        if owing
        else ""
    )
    hint = "A host that is gone for good: joulebook retire READER --reason TEXT" if is_lost else ""
    cloned = [f"{clean(m['host'] or m['machine'])}: {m['warning']}" for m in body["machines"] if "warning" in m]
    notes = [sentence(note, paper, "dim") for note in (told, hint, *cloned) if note]
    return "\n\n".join([grid(columns, rows, paper), *notes])


def readers_named(body: HostsBody, word: str) -> list[ReaderBody]:
    """Return the reader of an id or of a prefix that only one has, or all of a machine that owe something or are not retired.

    Raises:
        NotFound: Nobody is called so.
        BadInput: Several readers begin so, or none of the machine's is left to be retired.
    """
    readers = [reader for machine in body["machines"] for reader in machine["readers"]]
    found = [reader for reader in readers if word and reader["reader"].startswith(word)]
    exact = [reader for reader in found if reader["reader"] == word]
    if exact or len(found) == 1:
        return exact or found
    if found:
        raise BadInput(
            f"{len(found)} readers begin with {word[:60]!r}: write more of the id that `joulebook hosts --json` shows"
        )
    of_host = [m for m in body["machines"] if word in {m["machine"], m["host"]}]
    if not of_host:
        raise NotFound(f"no reader and no machine is called {word[:60]!r}: `joulebook hosts` lists them")
    left = [reader for machine in of_host for reader in machine["readers"] if reader["state"] != RETIRED]
    if not left:
        raise BadInput(f"every reader of {word[:60]!r} is retired already: nothing is owed")
    return left


def _shown(machine: MachineBody) -> list[ReaderBody]:
    return [reader for reader in machine["readers"] if reader["state"] != RETIRED] or machine["readers"][-1:]


def _cells(machine: MachineBody, reader: ReaderBody, prefixes: dict[str, str]) -> list[str]:
    name = prefixes.get(reader["reader"], reader["reader"])
    until = reader["complete_until"]
    return [
        clean(machine["host"] or machine["machine"]), clean(machine["machine"]), clean(name), reader["rank"], reader["state"],
        figures.moment(until) if until else "never", figures.moment(reader["last_heard"]), ", ".join(reader["owing"]),
    ]  # fmt: skip
