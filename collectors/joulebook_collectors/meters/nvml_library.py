"""NVIDIA's management library: where it is, how it is started, and what its errors mean.

This is the only file that imports pynvml, and only when a driver's device node and library were found first: the import alone costs
60 ms. Every call goes through `answer`: a driver's library may raise anything at any time, and no meter raises into the job.
"""

from __future__ import annotations

import os

from joulebook_collectors.host.processes import read_bytes
from joulebook_collectors.meters.meter import (
    DEVICE_LOST,
    DRIVER_MISMATCH,
    DRIVER_MISSING,
    LIBRARY_FAULTS,
    LIBRARY_MISSING,
    NOT_FOUND,
    NOT_SUPPORTED,
    PACKAGE_MISSING,
    PERMISSION_DENIED,
    READ_FAILED,
    NoData,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SUCCESS, _UNINITIALIZED, _NOT_FOUND = 0, 1, 6
NOT_STARTED = "not_started"
# NVML's return codes (nvml.h, nvmlReturn_t); what is not here is `read_failed`, and its number is kept for `joulebook doctor`.
REASONS = {
    _UNINITIALIZED: NOT_STARTED,
    3: NOT_SUPPORTED,
    4: PERMISSION_DENIED,
    _NOT_FOUND: NOT_FOUND,
    9: DRIVER_MISSING,
    12: LIBRARY_MISSING,
    13: NOT_SUPPORTED,  # the library is older than the function
    15: DEVICE_LOST,
    16: DEVICE_LOST,  # the device must be reset
    18: DRIVER_MISMATCH,
    28: DEVICE_LOST,  # it is not on the bus any more
}
_LIBRARY = "libnvidia-ml.so.1"
_LIBRARY_FOLDERS = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/lib/wsl/lib",
    "usr/local/nvidia/lib64",
    "run/opengl-driver/lib",
)
_CACHE_BYTES = 1 << 22


class Session:
    """NVML, started once for all devices of this process.

    Attributes:
        reasons: What its return codes mean.
        name: The library's, for people.
        users: How many devices use it.
        generation: How often it was started anew: handles of an earlier start are void.
        unknown_code: The last return code that has no name here; None where there was none.
        faults: What its functions raise.
    """

    reasons = REASONS
    name = "NVML"
    _stop = "nvmlShutdown"
    _error = "NVMLError"

    def __init__(self, library: Any) -> None:
        """Start nothing yet."""
        self._library = library
        self.faults: tuple[type[Exception], ...] = LIBRARY_FAULTS
        own = getattr(library, self._error, None)
        if isinstance(own, type) and issubclass(own, Exception):
            self.faults += (own,)
        self._why = ""
        self.users = 0
        self.generation = 0
        self.unknown_code: int | None = None

    @property
    def why(self) -> str:
        """Why the last start failed; empty where it did not."""
        return self._why

    def start(self) -> int | NoData:
        """Start NVML and return how many devices it shows."""
        started = self.ask("nvmlInit")
        count = started if isinstance(started, NoData) else self.ask("nvmlDeviceGetCount")
        self._why = count.reason if isinstance(count, NoData) else ""
        if isinstance(count, NoData) and not isinstance(started, NoData):
            self.stop()
        return count

    def start_anew(self) -> None:
        """End NVML and start it again: only then does it see a driver that was loaded anew, or a device that came back.

        Whoever else uses NVML in this process keeps it: it counts how often it was started.
        """
        self.stop()
        self.start()
        self.generation += 1

    def stop(self) -> None:
        """Let go of the library."""
        self.ask(self._stop)

    def ask(self, name: str, *arguments: Any) -> Any:
        """Return what a function of the library answers, or `NoData` with the reason."""
        return answer(lambda: getattr(self._library, name)(*arguments), self)

    def reason(self, code: int) -> str:
        """Return what a return code means."""
        if code not in self.reasons:
            self.unknown_code = code
        return self.reasons.get(code, READ_FAILED)

    def told(self, reason: str) -> str:
        """Return what to say of a code that has no name here; nothing where the reason is another one."""
        return (
            f"{self.name} code {self.unknown_code}" if reason == READ_FAILED and self.unknown_code is not None else ""
        )


def answer(call: Callable[[], Any], session: Session | None = None) -> Any:
    """Return what `call` answers, or why it does not: the one place where errors of NVML are caught and named."""
    faults = LIBRARY_FAULTS if session is None else session.faults
    try:
        return call()
    except faults as error:
        return NoData(_reason_of(error, session))


def _reason_of(error: Exception, session: Session | None) -> str:
    if isinstance(error, ImportError):
        return PACKAGE_MISSING
    if isinstance(error, AttributeError):
        return NOT_SUPPORTED
    code = getattr(error, "value", getattr(error, "err_code", None))  # as pynvml and amdsmi name it
    if not isinstance(code, int) or session is None:
        return READ_FAILED
    # pynvml raises "success" where a list of processes is empty
    return NOT_FOUND if code == SUCCESS else session.reason(code)


def import_pynvml() -> Any:
    """Return the Python package that speaks with the library."""
    import pynvml

    return pynvml


def load_library() -> None:
    """Import the packages now whose driver is here, for a meter that is found later in another thread.

    To be called on the job's own thread: a fork in the middle of an import leaves the child with a lock that nobody will ever free.
    """
    if not why_no_driver():
        answer(import_pynvml)
    if exists("/dev/kfd"):
        from joulebook_collectors.meters.amd import load_library as load_amd

        load_amd()


def why_no_driver(root: str = "/") -> str:
    """Return why NVML need not be tried here, or nothing where a driver and its library are found."""
    if os.name == "nt":
        dll = os.path.join(os.environ.get("WINDIR", "C:/Windows"), "System32", "nvml.dll")
        return "" if exists(dll) else DRIVER_MISSING
    if not any(exists(f"{root}dev/{node}") for node in ("nvidiactl", "dxg")):
        return DRIVER_MISSING
    return "" if has_library(_LIBRARY, _LIBRARY_FOLDERS, root) else LIBRARY_MISSING


def has_library(name: str, folders: tuple[str, ...], root: str = "/") -> bool:
    """Tell whether the loader would find a library, or it lies in one of these folders; nothing is loaded."""
    if name.encode() in (read_bytes(f"{root}etc/ld.so.cache", _CACHE_BYTES) or b""):
        return True
    searched = os.environ.get("LD_LIBRARY_PATH", "").split(":") if root == "/" else []
    places = [*(f"{root}{folder}" for folder in folders), *filter(None, searched)]
    return any(exists(f"{folder}/{name}") for folder in places)


def exists(path: str) -> bool:
    """Tell whether something is there; what may not be looked at is not."""
    try:
        os.stat(path)
    except (OSError, ValueError):
        return False
    return True
