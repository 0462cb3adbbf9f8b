"""What every test can ask for: a home of its own, a fresh database on both engines, and the option --long."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest
from helpers import postgres

# A shared machine is slow at times, and a test never asserts a time. The default suite tries the same examples every time, so that what
# passed before a change fails after it only for the change; `--long` goes looking for new ones.
hypothesis.settings.register_profile("default", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.register_profile("long", deadline=None, print_blob=True, max_examples=2_000)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --long."""
    parser.addoption("--long", action="store_true", help="also run the long simulations, with many more seeds")


def pytest_configure(config: pytest.Config) -> None:
    """Cut the run off from the user's own Joulebook, and name the folder of its PostgreSQL server."""
    hypothesis.settings.load_profile("long" if config.getoption("--long") else "default")
    _hear_signals()
    if _is_worker(config):
        return  # a worker of xdist inherits all this from the process that started it
    kept = {postgres.SERVER_URL, "JOULEBOOK_VENV"}
    for name in [name for name in os.environ if name.startswith("JOULEBOOK_") and name not in kept]:
        del os.environ[name]
    os.environ[postgres.RUN_FOLDER] = str(postgres.run_folder(psutil.Process()))


def _hear_signals() -> None:
    """Stop ignoring what a shell told this run to ignore (nohup, `&`): a program started here could not trap it either."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the run's PostgreSQL server, if any test asked for it."""
    if not _is_worker(config) and (folder := os.environ.pop(postgres.RUN_FOLDER, None)):
        postgres.end(Path(folder))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked long, unless it was asked for, and say so in the summary."""
    if config.getoption("--long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture(scope="session", autouse=True)
def _nobody_elses_books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the whole run a home and a spool of its own: a test that asks for none still never touches the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOULEBOOK_HOME", str(tmp_path_factory.mktemp("run-home")))
        patch.setenv("JOULEBOOK_SPOOL", str(tmp_path_factory.mktemp("run-spool")))
        patch.setenv("JOULEBOOK_AGENT_SOCKET", "none")
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a fresh JOULEBOOK_HOME; JOULEBOOK_SPOOL lies beside it."""
    folder = tmp_path / "home"
    spool = tmp_path / "spool"
    for place, name in ((folder, "JOULEBOOK_HOME"), (spool, "JOULEBOOK_SPOOL")):
        place.mkdir(mode=0o700)
        monkeypatch.setenv(name, str(place))
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """Return the URL of the run's PostgreSQL server, started by whoever asks first."""
    return postgres.server_url(Path(os.environ[postgres.RUN_FOLDER]))


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Return the URL of a fresh empty PostgreSQL database, dropped afterwards."""
    with postgres.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'book.sqlite'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def book_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a fresh empty database, once for each engine."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
