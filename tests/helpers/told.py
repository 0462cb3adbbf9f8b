"""What a reader told, as its segments hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from joulebook_collectors.spool.segments import decode_frames, segment_names


class Told:
    """What the segments of one spool folder hold.

    Attributes:
        folder: The spool folder.
    """

    folder: str

    def frames(self) -> list[dict[str, Any]]:
        """Return what all segments hold, finished ones too."""
        folders = [Path(self.folder), Path(self.folder) / "done"]
        names = [folder / name for folder in folders for name in segment_names(str(folder))]
        return [frame for path in names for frame in decode_frames(path.read_bytes())[0]]

    def windows(self, domain: str = "package-0") -> list[dict[str, Any]]:
        """Return the windows of a meter in order of time, each once; who tells of one again uses the same words."""
        found: dict[int, dict[str, Any]] = {}
        for frame in self.frames():
            for window in [*frame.get("readings", ()), *frame.get("gaps", ())]:
                if f"/{domain}~" in window["meter"]:
                    assert found.setdefault(window["start_ms"], window) == window
        return [found[start] for start in sorted(found)]

    def uses(self) -> dict[str, int]:
        """Return the energy of each account, millijoules."""
        sums: dict[tuple[str, str, int], int] = {}
        for frame in self.frames():
            for use in frame.get("uses", ()):
                sums[use["run"], use["meter"], use["start_ms"]] = use["energy_mj"]
        accounts: dict[str, int] = {}
        for (account, _, _), energy in sums.items():
            accounts[account] = accounts.get(account, 0) + energy
        return accounts

    def total_mj(self) -> int:
        """Return the energy of all windows."""
        return sum(window.get("energy_mj", 0) for window in self.windows())
