"""The words of facts and the checks that every record shares; a word outside the list is refused with the list."""

from __future__ import annotations

from joulebook_ledger.core.refusals import BadInput, Refused
from joulebook_ledger.core.units import require_integer

UNTRACKED = "untracked"
UNALLOCATED = "unallocated"
IDLE = "idle"
RESERVED_ACCOUNTS = (UNTRACKED, UNALLOCATED, IDLE)
STAGES = ("training", "finetuning", "tuning", "evaluation", "serving", "other")
COMPONENTS = ("gpu", "cpu", "dram", "node_rest", "facility", "time", "other")
BOUNDARIES = ("device", "it", "facility")
ROLES = ("counted", "check")
METHODS = ("counter", "sensor", "model", "declared")
MODEL = "model"
MEASURED_METHODS = ("counter", "sensor")
ONE_PER_DEVICE = ("gpu", "cpu", "dram")
"""Components that a device has once, whatever meters speak of it; `other` is many things, and each of its meters another one."""
READER_STATES = ("active", "retired")
RANKS = {"agent": 0, "job": 1, "import": 2}
EVENT_KINDS = ("started", "labelled", "joined", "ended")
STATUSES = ("finished", "failed", "killed")
LABELS = (
    "model",
    "version",
    "task",
    "stage",
    "project",
    "team",
    "base_model",
    "sweep",
    "name",
)
OWNERSHIPS = ("owned", "colocated", "cloud")
DEFAULT_SPLIT = ""
LONGEST_TEXT = 512
LONGEST_NAME = 200
# A meter draws at most this much more than its declared greatest power before a reading is held implausible: sensors overshoot
# briefly (standards.md §7), a factor of two never happens.
PLAUSIBLE_OVERSHOOT_PERCENT = 120


def account_order(account: str) -> tuple[int, bytes]:
    """Return the sort key of accounts: runs by the bytes of their id, then untracked, unallocated, idle."""
    if account in RESERVED_ACCOUNTS:
        return 1 + RESERVED_ACCOUNTS.index(account), b""
    return 0, account.encode()


def require_text(value: object, name: str, *, longest: int = LONGEST_TEXT, empty: bool = False) -> str:
    """Return `value` if it is a text of bounded length without control characters."""
    if not isinstance(value, str):
        raise Refused("not_a_text", f"{name} must be a text, not {value!r}")
    if not value and not empty:
        raise Refused("empty_text", f"{name} must not be empty")
    if len(value) > longest:
        raise Refused(
            "text_too_long",
            f"{name} has {len(value)} characters, {longest} are allowed: {value[:40]!r}…",
        )
    # Nearly every text is printable, and seen to be at once; half a surrogate pair is no text.
    if not value.isprintable() and any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise Refused(
            "control_character",
            f"{name} must hold no control characters: {value[:40]!r}",
        )
    return value


def require_choice(value: object, name: str, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of the choices; the message names them all."""
    if value not in choices:
        raise Refused(
            f"unknown_{name}",
            f"{name} {str(value)[:60]!r} is none of: {', '.join(choices)}",
        )
    return str(value)


def require_whole(value: object, name: str, least: int | None = 0) -> int:
    """Return `value` if it is an integer of at least `least`; the refusal says which rule it broke."""
    try:
        return require_integer(value, name, least=least)
    except BadInput as error:
        negative = isinstance(value, int) and not isinstance(value, bool) and value < 0
        raise Refused("negative" if negative else "not_an_integer", str(error)) from None
