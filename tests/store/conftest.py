"""Books in a database for the tests of the store, made from a template: a schema of forty tables takes longer than most tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from helpers import postgres
from helpers.stored_book import StoredBook

from joulebook_ledger.store.engine import open_book
from joulebook_ledger.store.rows import sqlite_path

ENGINES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a book with nothing in it."""
    path = tmp_path_factory.mktemp("template") / "book.sqlite"
    open_book(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """Return the name of a PostgreSQL database that is a book with nothing in it."""
    with postgres.fresh_database(postgres_server) as url:
        open_book(url).close()
        yield url.partition("?")[0].rpartition("/")[2]


@contextmanager
def new_book(engine: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[StoredBook]:
    """Yield a book of its own with nothing in it."""
    with ExitStack() as stack:
        if engine == "sqlite":
            url = f"sqlite:///{folder / 'book.sqlite'}"
            shutil.copy(request.getfixturevalue("sqlite_template"), sqlite_path(url))
        else:
            server, template = request.getfixturevalue("postgres_server"), request.getfixturevalue("postgres_template")
            url = stack.enter_context(postgres.fresh_database(server, template))
        book = StoredBook(url)
        stack.callback(book.close)
        yield book


@pytest.fixture(params=ENGINES)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoredBook]:
    """Return a fresh book, once for each engine."""
    with new_book(request.param, request, tmp_path) as book:
        yield book


@pytest.fixture(scope="module", params=ENGINES)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredBook]:
    """Return a book for all tests of a module that leave it as it was, once for each engine."""
    with new_book(request.param, request, tmp_path_factory.mktemp("shared")) as book:
        yield book
