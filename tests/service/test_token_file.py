"""The token is made once, belongs to one user, and is shown to nobody."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from joulebook_ledger.core.refusals import BadInput
from joulebook_ledger.settings import load_settings, read_api_key
from joulebook_ledger.transport.token_file import ensure_token


def test_a_token_is_made_once_and_is_only_its_owners(tmp_path: Path) -> None:
    """256 random bits, mode 0600, in a folder that was not there."""
    path = tmp_path / "home" / "token"
    token = ensure_token(path)
    assert len(token) == 43
    assert ensure_token(path) == token
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["token"]


def test_two_homes_have_two_tokens(tmp_path: Path) -> None:
    """Nothing is derived from anything."""
    assert ensure_token(tmp_path / "a" / "token") != ensure_token(tmp_path / "b" / "token")


def test_of_many_who_make_it_at_once_all_get_the_same(tmp_path: Path) -> None:
    """Nobody reads half a token, or one that was replaced."""
    with ThreadPoolExecutor(max_workers=16) as threads:
        tokens = set(threads.map(ensure_token, [tmp_path / "token"] * 64))
    assert len(tokens) == 1


def test_a_mask_of_the_process_opens_nothing(tmp_path: Path) -> None:
    """Whatever the umask, nobody else reads it."""
    before = os.umask(0)
    try:
        ensure_token(tmp_path / "token")
    finally:
        os.umask(before)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever has read it knows the token: the text says how to get a new one, and not the token."""
    path = tmp_path / "token"
    token = ensure_token(path)
    path.chmod(mode)
    with pytest.raises(BadInput, match=f"{mode:04o}.*remove it") as refusal:
        ensure_token(path)
    assert token not in str(refusal.value)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"short", b"with a space in the middle of it", b"\xff" * 40, b"a" * 20 + b"\x00"]
)
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty secret would open the book to everybody."""
    path = tmp_path / "token"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BadInput, match="holds no token"):
        ensure_token(path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Nobody can have another file read out as a token."""
    (tmp_path / "secret").write_text("the-secret-of-somebody-else")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "token").symlink_to(tmp_path / "secret")
    with pytest.raises(BadInput, match="remove it") as refusal:
        ensure_token(tmp_path / "token")
    assert "somebody" not in str(refusal.value)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: os.mkfifo(path, 0o600)], ids=["folder", "pipe"])
def test_what_is_no_file_is_refused(tmp_path: Path, make: object) -> None:
    """A pipe would keep the service waiting for ever."""
    make(tmp_path / "token")  # type: ignore[operator]
    with pytest.raises(BadInput, match="remove it"):
        ensure_token(tmp_path / "token")


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """The way out is named."""
    (tmp_path / "home").write_text("")
    with pytest.raises(BadInput, match="JOULEBOOK_HOME"):
        ensure_token(tmp_path / "home" / "deeper" / "token")


def test_a_command_reads_the_token_that_the_service_made(tmp_path: Path) -> None:
    """On one machine nothing has to be copied."""
    settings = load_settings({"JOULEBOOK_HOME": str(tmp_path)}, str(tmp_path))
    assert ensure_token(tmp_path / "token") == read_api_key(settings)
