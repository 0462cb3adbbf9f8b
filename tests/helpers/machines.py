"""Recorded machines: parts of /proc, /sys and /etc laid out in a folder, to be read as if they were this machine's."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RECORDED = Path(__file__).resolve().parents[1] / "machines"
POWERCAP = "sys/class/powercap"
_NOBODY = 65534


class Machine:
    """A machine in a folder."""

    def __init__(self, folder: Path) -> None:
        """Take the folder as the root of the machine's file system."""
        self.folder = folder
        self.root = f"{folder}/"
        self.proc_root = f"{folder}/proc"
        self.sysfs_root = f"{folder}/sys"
        self.etc_root = f"{folder}/etc"

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Put a file there, in place of what was there."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        target.chmod(mode)

    def remove(self, path: str) -> None:
        """Take a file away."""
        (self.folder / path).unlink()

    def remove_folder(self, path: str) -> None:
        """Take a folder away with all that is in it."""
        shutil.rmtree(self.folder / path)

    def break_file(self, path: str) -> None:
        """Make a file fail when it is read, though it can be opened (a folder does)."""
        self.remove(path)
        (self.folder / path).mkdir()

    def counts(self, zone: str, energy_uj: int) -> None:
        """Let a domain's counter show a value."""
        self.write(f"{POWERCAP}/{zone}/energy_uj", f"{energy_uj}\n")


def lay_out(name: str, folder: Path) -> Machine:
    """Lay out a recorded machine; `==> path (mode)` begins a file of it."""
    machine = Machine(folder)
    text = (RECORDED / f"{name}.txt").read_text(encoding="utf-8")
    for part in re.split(r"^==> ", text, flags=re.MULTILINE)[1:]:
        head, _, content = part.partition("\n")
        path, _, mode = head.partition(" ")
        machine.write(path, content, int(mode.strip("()") or "644", 8))
    for directory, _, _ in os.walk(folder):
        Path(directory).chmod(0o755)
    return machine


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user without rights for a while, where we are root, whom no mode of a file stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
