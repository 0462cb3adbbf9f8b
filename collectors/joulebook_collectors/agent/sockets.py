"""The agent's two doors: a socket in the file system for jobs of this host, and one on loopback for scrapers."""

from __future__ import annotations

import os
import socket
import stat

from joulebook_ledger.core.refusals import Unavailable

BACKLOG = 512
FOLDER_MODE = 0o755


def listen_for_jobs(path: str, mode: int) -> socket.socket:
    """Return a socket that jobs can reach; one that a dead agent left is replaced.

    Raises:
        Unavailable: Another agent listens there, or the path cannot be used; the message has the way out.
    """
    folder = os.path.dirname(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        os.makedirs(folder, FOLDER_MODE, exist_ok=True)
        _clear(path)
        listener.bind(path)
        os.chmod(path, mode)
        listener.listen(BACKLOG)
    except Unavailable:
        listener.close()
        raise
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"the socket {path} cannot be made by user id {os.geteuid()} ({error.strerror or error}): let its folder belong to the agent "
            f"(RuntimeDirectory=joulebook in its unit), or set socket to another path or to none"
        ) from None
    return listener


def listen_for_scrapers(host: str, port: int) -> socket.socket:
    """Return a socket for the metrics page.

    Raises:
        Unavailable: The address cannot be used; the message has the way out.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=16)
    except OSError as error:
        raise Unavailable(
            f"the metrics page cannot listen at {host}:{port} ({error.strerror or error}): set metrics to a free address, or to none"
        ) from None


def remove(path: str) -> None:
    """Remove the socket, so that jobs no longer try it."""
    try:
        if path and stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
    except OSError:
        return


def _clear(path: str) -> None:
    """Remove what a dead agent left.

    Raises:
        Unavailable: A living one listens there, or it is no socket.
    """
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise Unavailable(f"{path} is there and is no socket: remove it, or set socket to another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(1.0)
        try:
            caller.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            os.unlink(path)
            return
    raise Unavailable(
        f"another agent listens at {path}: stop it first (systemctl stop joulebook-agent), or set socket to another path"
    )
