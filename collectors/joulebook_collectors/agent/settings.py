"""What the agent is told: by `JOULEBOOK_AGENT_…` and `JOULEBOOK_…` variables, then by its TOML file, then by default.

What cannot be taken is named with its key, its value and the way out, all of it at once; an agent that was told nonsense does not
start. Sections of other parts (`[node]`, `[[serving]]`, `[slurm]`, `[kubernetes]`) are handed to them as they are.
"""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from joulebook_collectors.agent.log import LEVELS
from joulebook_collectors.presence.unannounced_words import presence_settings
from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "JOULEBOOK_AGENT_"
CONFIG = "/etc/joulebook/agent.toml"
SOCKET = "/run/joulebook/agent.sock"
METRICS = "127.0.0.1:8421"
OFF = "none"
# Keys that a tracked process has too, with the same meaning.
SHARED = (
    "ledger",
    "home",
    "spool",
    "spool_megabytes",
    "api_key_file",
    "machine",
    "sample_seconds",
    "flush_seconds",
    "proc_root",
    "sysfs_root",
)
OWN = (
    "socket",
    "socket_mode",
    "metrics",
    "deliver_seconds",
    "most_connections",
    "most_connections_per_user",
    "log_level",
)
SECTIONS = ("agent", "node", "serving", "slurm", "kubernetes")
_LARGEST_FILE = 1 << 20
_LARGEST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What is set, ready to use.

    Attributes:
        base: What the agent shares with tracked processes: ledger, spool, roots and so on.
        config: The file it was read from; empty for none.
        socket: Path of the socket on which jobs announce themselves; empty for none.
        socket_mode: Its permission bits.
        metrics_host: Address of the metrics page; empty for no page.
        metrics_port: Its port; 0 takes a free one.
        deliver_seconds: Time between two deliveries.
        most_connections: Jobs that may be connected at once.
        most_connections_per_user: Those of one user.
        log_level: Least level of a line that is written.
        sections: Sections of other parts, as they stand in the file.
    """

    base: Settings
    config: str = ""
    socket: str = SOCKET
    socket_mode: int = 0o666
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 8421
    deliver_seconds: float = 60.0
    most_connections: int = 4_096
    most_connections_per_user: int = 1_024
    log_level: str = "info"
    sections: Mapping[str, Any] = field(default_factory=dict)


def load_agent_settings(environment: Mapping[str, str], config: str = "") -> AgentSettings:
    """Return what is set.

    Args:
        environment: Variables.
        config: The file; else JOULEBOOK_AGENT_CONFIG, else /etc/joulebook/agent.toml where it is there.

    Raises:
        BadInput: Something cannot be taken; the message names all of it, one sentence each.
    """
    problems: list[str] = []
    path = config or environment.get(f"{PREFIX}CONFIG", "")
    if not path and os.path.exists(CONFIG):
        path = CONFIG
    document = _read(path, problems) if path else {}
    given = _table(document, path, problems)
    given.update(_of_environment(environment, problems))
    base = load_settings(_for_base(environment, given), "")
    problems += base.problems
    take = _Taker(given, problems)
    host, port = take.address("metrics", METRICS)
    settings = AgentSettings(
        base=base, config=path, socket=take.path("socket", _default_socket(environment)), socket_mode=take.mode("socket_mode", 0o666),
        metrics_host=host, metrics_port=port, deliver_seconds=take.number("deliver_seconds", 60.0, 1.0, 3600.0),
        most_connections=int(take.number("most_connections", 4_096, 1, 100_000)),
        most_connections_per_user=int(take.number("most_connections_per_user", 1_024, 1, 100_000)),
        log_level=take.choice("log_level", LEVELS, "info"), sections={name: document[name] for name in SECTIONS[1:] if name in document},
    )  # fmt: skip
    _look_at_secret(base, problems)
    problems += presence_settings(settings.sections).problems
    if problems:
        raise BadInput("; ".join(problems))
    return settings


def nearest(word: str, known: tuple[str, ...]) -> str:
    """Return which known word is meant, as the end of a sentence; all of them where none is near."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"{near[0]} is meant?" if near else f"there are {', '.join(sorted(known))}"


def _read(path: str, problems: list[str]) -> dict[str, Any]:
    """Return the file's content; a file that anybody may write is not believed."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            problems.append(f"{path} is no file: name a TOML file")
            return {}
        if status.st_mode & stat.S_IWOTH:
            problems.append(f"{path} may be written by anybody: chmod o-w {path}")
        with open(path, "rb") as file:
            return tomllib.loads(file.read(_LARGEST_FILE).decode())
    except PermissionError:
        problems.append(f"{path} cannot be read by user id {os.geteuid()}: chgrp joulebook {path}; chmod 640 {path}")
    except OSError as error:
        problems.append(f"{path} cannot be read: {error.strerror or error}")
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        problems.append(f"{path} is no TOML: {error}")
    return {}


def _table(document: dict[str, Any], path: str, problems: list[str]) -> dict[str, Any]:
    """Return the keys of `[agent]`; what is not known is named with the nearest that is."""
    unknown = [name for name in document if name not in SECTIONS]
    problems += [f"{path}: [{name}] is not known: {nearest(name, SECTIONS)}" for name in unknown]
    table = document.get("agent", {})
    if not isinstance(table, dict):
        problems.append(f"{path}: agent must be a section: write [agent], and its keys below")
        return {}
    given = {}
    for key, value in table.items():
        if key == "api_key":
            problems.append(
                f"{path}: a secret does not belong there: write it into a file of its own and set api_key_file"
            )
        elif key not in {*SHARED, *OWN}:
            problems.append(f"{path}: [agent] has no key {key!r}: {nearest(key, (*SHARED, *OWN))}")
        elif isinstance(value, bool) or not isinstance(value, str | int | float):
            problems.append(f"{path}: [agent] {key} must be a text or a number, not {value!r}")
        else:
            given[key] = value
    return given


def _of_environment(environment: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    known = tuple(f"{PREFIX}{key.upper()}" for key in (*SHARED, *OWN, "config"))
    given: dict[str, Any] = {}
    unknown = [name for name in sorted(environment) if name.startswith(PREFIX) and name not in known]
    problems += [f"{name} is not known: {nearest(name, known)}" for name in unknown]
    for key in (*SHARED, *OWN):
        value = environment.get(f"{PREFIX}{key.upper()}") or (
            environment.get(f"JOULEBOOK_{key.upper()}") if key in SHARED else ""
        )
        if value:
            given[key] = value
    return given


def _for_base(environment: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables from which a tracked process would read what was given to us."""
    variables = {name: value for name, value in environment.items() if not name.startswith(PREFIX)}
    variables.update({f"JOULEBOOK_{key.upper()}": str(given[key]) for key in SHARED if key in given})
    state = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if state:  # systemd made it for us
        variables.setdefault("JOULEBOOK_HOME", state)
        variables.setdefault("JOULEBOOK_SPOOL", os.path.join(state, "spool"))
    return variables


def _default_socket(environment: Mapping[str, str]) -> str:
    folder = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return os.path.join(folder, os.path.basename(SOCKET)) if folder else SOCKET


def _look_at_secret(base: Settings, problems: list[str]) -> None:
    """A secret that everybody on the host can read is none."""
    path = base.api_key_file
    if not path:
        return
    try:
        mode = os.stat(path).st_mode
        with open(path, "rb"):
            pass
    except OSError as error:
        problems.append(
            f"api_key_file {path!r} cannot be read by user id {os.geteuid()} ({error.strerror}): chgrp joulebook {path}; chmod 640 {path}"
        )
        return
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        problems.append(f"api_key_file {path!r} can be read or written by anybody: chmod o-rwx {path}")


class _Taker:
    """Takes each value that was given, or its default with a problem."""

    __slots__ = ("given", "problems")

    def __init__(self, given: Mapping[str, Any], problems: list[str]) -> None:
        self.given = given
        self.problems = problems

    def text(self, key: str, default: str) -> str:
        value = self.given.get(key)
        if value is not None and not isinstance(value, str):
            self.problems.append(f"{key} must be a text, not {value!r}")
            return default
        return default if value is None else value

    def path(self, key: str, default: str) -> str:
        value = self.text(key, default)
        if value.strip().lower() in {OFF, ""}:
            return ""
        if not os.path.isabs(value):
            self.problems.append(f"{key} {value!r} must be a whole path, such as {default}, or {OFF}")
        return value

    def mode(self, key: str, default: int) -> int:
        value = str(self.given.get(key, ""))
        if not value:
            return default
        try:
            mode = int(value, 8)
        except ValueError:
            mode = -1
        if 0 <= mode <= 0o777:
            return mode
        self.problems.append(f'{key} must be permission bits as an octal text, such as "0666", not {value!r}')
        return default

    def number(self, key: str, default: float, least: float, most: float) -> float:
        value = self.given.get(key, default)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = least - 1
        if least <= number <= most:
            return number
        self.problems.append(f"{key} must be a number from {least:g} to {most:g}, not {value!r}")
        return default

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(key, default)
        if value in choices:
            return value
        self.problems.append(f"{key} {value!r} is none of: {', '.join(choices)}")
        return default

    def address(self, key: str, default: str) -> tuple[str, int]:
        value = self.text(key, default)
        if value.strip().lower() in {OFF, ""}:
            return "", 0
        host, colon, port = value.rpartition(":")
        if colon and host and port.isascii() and port.isdigit() and int(port) <= _LARGEST_PORT:
            return host.strip("[]"), int(port)
        self.problems.append(f"{key} {value!r} is no address: write it as {default}, or {OFF}")
        return "", 0
