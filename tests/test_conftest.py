"""The shared fixtures keep their promises."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest
from helpers import postgres


def plain(url: str) -> str:
    """Return a URL as psycopg itself takes it."""
    return url.replace("+psycopg", "")


@pytest.mark.postgres
def test_a_postgres_database_is_fresh_and_empty(postgres_url: str) -> None:
    """Two tests never meet in one database."""
    with psycopg.connect(plain(postgres_url)) as connection:
        connection.execute("CREATE TABLE left_here (number bigint)")
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (1,)


@pytest.mark.postgres
def test_a_database_is_dropped_even_while_somebody_is_connected(postgres_server: str) -> None:
    """A test that leaks a connection does not leak a database."""
    with postgres.fresh_database(postgres_server) as url:
        leaked = psycopg.connect(plain(url))
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(plain(url))
    leaked.close()


def test_a_home_is_empty_and_closed_to_others(home: Path) -> None:
    """Neither books nor spools of the user are in reach of a test."""
    assert os.environ["JOULEBOOK_HOME"] == str(home)
    assert Path(os.environ["JOULEBOOK_SPOOL"]).is_dir()
    assert home.stat().st_mode & 0o777 == 0o700
    assert list(home.iterdir()) == []


@pytest.mark.postgres
@pytest.mark.processes
def test_the_server_of_a_killed_run_is_ended_by_the_next(tmp_path: Path) -> None:
    """A run that was killed leaves a server behind; the next run ends it by its process id and removes its folder."""
    program = (
        "import os, psutil; from pathlib import Path; from helpers import postgres\n"
        "os.environ.pop(postgres.SERVER_URL, None)\n"
        "folder = postgres.run_folder(psutil.Process())\n"
        "folder = folder.parent.with_name(folder.parent.name + '-killed') / folder.name\n"
        "print(postgres.server_url(folder), flush=True); print(folder, flush=True); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, check=False, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    folder = Path(run.stdout.splitlines()[-1])
    left = psutil.Process(int((folder / "data" / "postmaster.pid").read_text().split("\n")[0]))
    postgres.end_leftovers(folder.parent)
    assert not left.is_running()
    assert not folder.exists()
    folder.parent.rmdir()
