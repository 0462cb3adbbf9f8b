"""The secret that a service without keys asks for: one file that only its owner can read."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from joulebook_ledger.core.refusals import BadInput

TOKEN_BYTES = 32
SHORTEST_TOKEN = 16
LARGEST_FILE_BYTES = 4096
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_WAY_OUT = "remove it, and a new one is made, or set JOULEBOOK_HOME to a folder of your own"


def ensure_token(path: Path) -> str:
    """Return the token in the file; where there is no file, make one of 256 random bits, readable by its owner only.

    Raises:
        BadInput: Others can read the file, it is somebody else's, a link, or holds no token. What it holds is never shown.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        _make(path)
    return _read(path)


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadInput(f"the token file {path} cannot be read ({error.strerror}): {_WAY_OUT}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(f"the token file {path} is no plain file: {_WAY_OUT}")
        _require_private(path, status)
        content = os.read(descriptor, LARGEST_FILE_BYTES)
    finally:
        os.close(descriptor)
    token = content.decode("ascii", "replace").strip()
    if len(token) < SHORTEST_TOKEN or not all("!" <= character <= "~" for character in token):
        raise BadInput(f"the token file {path} holds no token of {SHORTEST_TOKEN} characters or more: {_WAY_OUT}")
    return token


def _require_private(path: Path, status: os.stat_result) -> None:
    if os.name != "posix":
        return  # there the folder of the user's profile is closed to others
    if status.st_uid != os.geteuid():
        raise BadInput(
            f"the token file {path} belongs to somebody else: remove it, or set JOULEBOOK_HOME to a folder of your own"
        )
    if status.st_mode & _OTHERS:
        raise BadInput(
            f"the token file {path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}): "
            "remove it, and a new one is made; or, if nobody has read it, chmod 600 it"
        )


def _make(path: Path) -> None:
    """Write the file beside its place and link it there: nobody ever sees half a token, and of two makers one wins."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(TOKEN_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    except OSError as error:
        raise BadInput(
            f"no token can be written to {path} ({error.strerror}): set JOULEBOOK_HOME to a folder of your own"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
