"""The one place that wires the front door: from settings to a ledger, brought up to date before anybody reads it.

Every command first recovers what this host's readers left in the spool and delivers it, books, and leaves the snapshot of factors
and prices from which the next run computes its footprint.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from joulebook.tables import Page, page_of, write
from joulebook_ledger.core.refusals import BadInput, Unavailable
from joulebook_ledger.ledger import Ledger
from joulebook_ledger.settings import Settings, load_settings, without_secret

if TYPE_CHECKING:
    from joulebook_ledger.desk.entering import Entry

DROP_BOX = "file://"
AUTHOR = "JOULEBOOK_AUTHOR"
_SERVICE = ("http://", "https://")


def open_ledger(settings: Settings) -> Ledger:
    """Return the ledger that the settings name: a book on this machine, a server's, or a service's.

    Raises:
        BadInput: It is a drop-box, which has no reports.
        Unavailable: The ledger cannot be reached, or was written by a newer version.
    """
    if is_drop_box(settings):
        folder = settings.ledger.removeprefix(DROP_BOX)
        raise BadInput(
            f"{settings.ledger} is a drop-box: what this host measured was left there, and it has no reports of its own. Ask the book "
            f"that takes it in: `JOULEBOOK_LEDGER=sqlite:////path/book.sqlite joulebook import spool {folder}`"
        )
    if settings.ledger.startswith(_SERVICE):
        from joulebook_ledger.client import HttpLedger
        from joulebook_ledger.settings import read_api_key

        return HttpLedger(settings.ledger, read_api_key(settings))
    from joulebook_ledger.local import LocalLedger

    return LocalLedger(settings.ledger)


def is_drop_box(settings: Settings) -> bool:
    """Say whether the ledger is a folder that readers leave batches in."""
    return settings.ledger.startswith(DROP_BOX)


def machine_of(settings: Settings) -> str:
    """Return the id of the machine that the settings are on."""
    from joulebook_collectors.host.identity import machine_id

    return machine_id(settings.machine, proc_root=settings.proc_root, sysfs_root=settings.sysfs_root)


class Door:
    """What a command has: its surroundings, and the ways to the ledger and to whoever reads its answer.

    Attributes:
        environment: Variables.
        out: Where answers go.
        err: Where everything else goes.
        keys: Where a person's answers come from.
    """

    __slots__ = ("_settings", "environment", "err", "keys", "now_ms", "out")

    def __init__(
        self, environment: Mapping[str, str] | None = None, *, out: TextIO | None = None, err: TextIO | None = None,
        keys: TextIO | None = None, now_ms: int | None = None,
    ) -> None:  # fmt: skip
        """Take the process's own surroundings for whatever is not given; `now_ms` stands still."""
        self.environment = os.environ if environment is None else environment
        self.out = sys.stdout if out is None else out
        self.err = sys.stderr if err is None else err
        self.keys = sys.stdin if keys is None else keys
        self.now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        self._settings: Settings | None = None

    @property
    def loaded(self) -> Settings:
        """What is set, with whatever could not be taken named in its `problems`."""
        if self._settings is None:
            self._settings = load_settings(self.environment)
        return self._settings

    @property
    def settings(self) -> Settings:
        """What is set; whatever could not be taken is refused here.

        Raises:
            BadInput: A setting is none.
        """
        self.loaded.require_sound()
        return self.loaded

    @property
    def page(self) -> Page:
        """The page that answers are written on."""
        return page_of(self.out, self.environment)

    @contextlib.contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """Give the ledger, brought up to date; afterwards leave the snapshot where the next run finds it."""
        if is_drop_box(self.settings):
            self.fill_drop_box()
        with contextlib.closing(open_ledger(self.settings)) as ledger:
            self.bring_up_to_date(ledger)
            yield ledger
            self.leave_snapshot(ledger)

    def entry(self, author: str = "") -> Entry:
        """Return a new act at the desk."""
        from joulebook_ledger.desk.entering import Entry

        return Entry(name=uuid.uuid4().hex, at_ms=self.now_ms, author=self.author(author))

    def author(self, given: str = "") -> str:
        """Return who acts: who is named, by option or JOULEBOOK_AUTHOR, else the host. User names are not recorded."""
        from joulebook_collectors.host.identity import host_name

        return given or self.environment.get(AUTHOR, "") or f"the desk of {host_name(self.settings.proc_root)}"

    def enter(self, ledger: Ledger, batch: bytes) -> int:
        """Deliver what a person entered and book it; return how many entries were added to the journal.

        Raises:
            BadInput: The ledger refused a part of it, or holds another content under its key.
            Unavailable: It asks to be given a part of it later.
        """
        for outcome in ledger.deliver(batch).exceptions:
            if outcome.outcome == "stored_after_close":
                continue
            told = f"{outcome.detail or outcome.reason or outcome.outcome} ({outcome.kind}: {outcome.outcome})"
            raise Unavailable(told) if outcome.outcome == "retry_later" else BadInput(told)
        return ledger.book()

    def say(self, text: str) -> None:
        """Write an answer."""
        write(text, self.out)

    def tell(self, text: str) -> None:
        """Write what is no answer: progress, warnings."""
        write(text, self.err)

    def answer(self, body: Mapping[str, Any], text: str | None) -> None:
        """Write a body: as JSON where `text` is None, else the text that was made of it."""
        if text is not None:
            self.say(text)
            return
        import json

        self.say(json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False))

    def leave_snapshot(self, ledger: Ledger) -> None:
        """Write the factors and prices of this machine beside its spool, whole or not at all.

        Where the folder cannot be written nothing is lost: runs then end with figures that lack prices until they are booked.
        """
        from joulebook_collectors.delivery.spools import read_snapshot, spool_folder
        from joulebook_collectors.spool.folders import SNAPSHOT, prepare

        snapshot = ledger.snapshot(machine_of(self.settings))
        if read_snapshot(self.settings) == snapshot:
            return
        folder = Path(spool_folder(self.settings))
        draft = folder / f".{SNAPSHOT}-{os.getpid()}"
        with contextlib.suppress(OSError):
            for place in (folder.parent.parent, folder.parent, folder):
                prepare(str(place))
            draft.write_bytes(snapshot)
            draft.replace(folder / SNAPSHOT)

    def fill_drop_box(self) -> None:
        """Leave in the drop-box what this host's spools hold."""
        from joulebook_collectors.delivery.dropbox import DropBox, folder_of
        from joulebook_collectors.delivery.recovery import recover_and_deliver

        recover_and_deliver(self.loaded, DropBox(folder_of(self.loaded.ledger)))

    def memory_of(self, name: str) -> str:
        """Return a file in which to remember something about this ledger; its folder is there."""
        from joulebook_collectors.host.identity import digest

        home = Path(self.settings.home)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return str(home / f"remembered-{digest(f'{without_secret(self.settings.ledger)} {name}')[:16]}.json")

    def bring_up_to_date(self, ledger: Ledger) -> None:
        """Recover and deliver this host's spools, and book."""
        from joulebook_collectors.delivery.recovery import recover_and_deliver

        recover_and_deliver(self.loaded, ledger)
        ledger.book()


def refuse_unknown(value: str, name: str, choices: Sequence[str]) -> None:
    """Raise `BadInput` unless the value is empty or one of the choices.

    Raises:
        BadInput: It is neither; the message lists them.
    """
    if value and value not in choices:
        raise BadInput(f"{name} {value[:60]!r} is none of: {', '.join(choices)}")
